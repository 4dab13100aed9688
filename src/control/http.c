#include "control/http.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static const struct reason {
    unsigned status;
    const char *text;
} reasons[] = {
    {400, "BadRequest"},       {403, "Forbidden"},     {404, "NotFound"},
    {405, "MethodNotAllowed"}, {409, "Conflict"},      {410, "Expired"},
    {422, "Invalid"},          {500, "InternalError"}, {503, "ServiceUnavailable"},
};

static const struct status_of {
    int code;
    unsigned status;
    const char *reason; /* NULL: that of the status */
} statuses[] = {
    {WT_EINVAL, 400, NULL},    {WT_ENOENT, 404, NULL}, {WT_EEXIST, 409, "AlreadyExists"},
    {WT_ECONFLICT, 409, NULL}, {WT_ELIMIT, 410, NULL}, {WT_EDENIED, 403, NULL},
    {WT_EIO, 503, NULL},       {WT_ENOMEM, 503, NULL},
};

void control_send_json(struct rpc_reply *reply, unsigned status, json_t *doc)
{
    char *text = doc ? json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(doc);
    if (text) {
        size_t n = strlen(text);
        text[n] = '\n'; /* curl's users like it; the NUL is not sent */
        rpc_reply_send(reply, status, WT_STR("application/json"), wt_str(text, n + 1));
    } else {
        rpc_reply_send(reply, 500, WT_STR("text/plain"), WT_STR("out of memory\n"));
    }
    free(text);
}

static void send_failure(struct rpc_reply *reply, unsigned status, const char *reason,
                         const char *message)
{
    for (size_t i = 0; !reason && i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            reason = reasons[i].text;
    control_send_json(reply, status,
                      json_pack("{s:s, s:s, s:{}, s:s, s:s, s:s, s:i}", "kind", "Status",
                                "apiVersion", "v1", "metadata", "status", "Failure", "message",
                                message, "reason", reason ? reason : "Unknown", "code",
                                (int)status));
}

void control_send_status(struct rpc_reply *reply, unsigned status, const char *message)
{
    send_failure(reply, status, NULL, message);
}

void control_send_error(struct rpc_reply *reply, const struct wt_err *err)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (statuses[i].code == err->code) {
            send_failure(reply, statuses[i].status, statuses[i].reason, err->msg);
            return;
        }
    send_failure(reply, 500, NULL, err->msg);
}

enum { DEPTH_MAX = 40 };

/* jansson recurses to a depth of 2,048, which is more than a fiber's stack holds. */
static bool is_shallow(struct wt_str s)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > DEPTH_MAX)
            return false;
    }
    return true;
}

json_t *control_body(const struct rpc_request *request, struct wt_err *err)
{
    json_error_t je;
    if (!is_shallow(request->body)) {
        wt_fail(err, WT_EINVAL, "the body is nested deeper than %d levels", DEPTH_MAX);
        return NULL;
    }
    json_t *doc = json_loadb(request->body.ptr ? request->body.ptr : "", request->body.len,
                             JSON_REJECT_DUPLICATES, &je);
    if (!doc)
        wt_fail(err, WT_EINVAL, "the body is not JSON: line %d, column %d: %s", je.line, je.column,
                je.text);
    else if (!json_is_object(doc)) {
        json_decref(doc);
        doc = NULL;
        wt_fail(err, WT_EINVAL, "the body is not a JSON object");
    }
    return doc;
}

const char *control_query(const struct rpc_request *request, const char *name, struct wt_buf *out)
{
    out->len = 0;
    return rpc_query_get(request->query, wt_str_z(name), out) ? wt_buf_z(out) : NULL;
}

static bool is_this_machine(struct wt_str authority)
{
    static const struct wt_str names[] = {WT_STR_INIT("localhost"), WT_STR_INIT("127.0.0.1"),
                                          WT_STR_INIT("[::1]")};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct wt_str host = wt_str_sub(authority, 0, names[i].len);
        uint64_t port;
        if (wt_str_eq_nocase(host, names[i]) &&
            (authority.len == host.len ||
             (authority.ptr[host.len] == ':' &&
              wt_str_u64(wt_str_sub(authority, host.len + 1, authority.len), &port))))
            return true;
    }
    return false;
}

bool control_request_is_local(const struct rpc_request *request)
{
    if (request->peer->sa.sa_family == AF_UNIX)
        return true;
    if (!is_this_machine(request->head->authority))
        return false;
    struct wt_str origin;
    if (!http_head_get_name(request->head, WT_STR("Origin"), &origin))
        return true;
    static const struct wt_str schemes[] = {WT_STR_INIT("http://"), WT_STR_INIT("https://")};
    for (size_t i = 0; i < 2; i++)
        if (wt_str_starts(origin, schemes[i]))
            return is_this_machine(wt_str_sub(origin, schemes[i].len, origin.len));
    return false;
}
