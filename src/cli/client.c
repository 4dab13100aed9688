#include "cli/client.h"

#include "cli/cli.h"
#include "rpc/client.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALL_MS = 30000, TOKEN_MAX = 16 << 10, ANSWER_MAX = 64 << 20, LINE_MAX_BYTES = 16 << 20 };

static void dir_of(const char *given, const char *root, const char *variable, const char *fallback,
                   char *out, size_t size)
{
    const char *xdg = getenv(variable);
    const char *home = getenv("HOME");
    char here[160];
    if (given && *given != '/' &&
        getcwd(here, sizeof here)) /* a socket's path has to begin with / */
        snprintf(out, size, "%s/%s", here, given);
    else if (given)
        snprintf(out, size, "%s", given);
    else if (geteuid() == 0)
        snprintf(out, size, "%s", root);
    else if (xdg && *xdg)
        snprintf(out, size, "%s/watari", xdg);
    else
        snprintf(out, size, "%s/%s/watari", home ? home : "", fallback);
}

void cli_state_dir(const char *given, char *out, size_t size)
{
    dir_of(given, "/var/lib/watari", "XDG_STATE_HOME", ".local/state", out, size);
}

void cli_run_dir(const char *given, char *out, size_t size)
{
    dir_of(given, "/run/watari", "XDG_RUNTIME_DIR", ".local/state", out, size);
}

/* ---- where ---- */

static int parse_port(struct wt_str s, uint16_t *out)
{
    uint64_t v;
    if (!wt_str_u64(s, &v) || v == 0 || v > 65535)
        return WT_EINVAL;
    *out = (uint16_t)v;
    return 0;
}

static int resolve(struct cli_client *c, struct wt_str host, uint16_t port, struct wt_err *err)
{
    if (io_addr_parse(host, port, &c->addr, NULL) == 0)
        return 0;
    char name[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    snprintf(name, sizeof name, "%.*s", WT_ARG(host));
    int e = getaddrinfo(name, NULL, &hints, &found);
    if (e)
        return wt_fail(err, WT_ENOENT, "%s: %s", name, gai_strerror(e));
    memcpy(&c->addr, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (c->addr.sa.sa_family == AF_INET)
        c->addr.in.sin_port = htons(port);
    else
        c->addr.in6.sin6_port = htons(port);
    return 0;
}

static int set_url(struct cli_client *c, struct wt_str url, struct wt_err *err)
{
    uint16_t port = 7070;
    if (wt_str_starts(url, WT_STR("unix:")))
        return io_addr_parse(wt_str_sub(url, 5, url.len), 0, &c->addr, err);
    if (wt_str_starts(url, WT_STR("https://")))
        return wt_fail(err, WT_EINVAL, "--server %.*s: https is not supported yet", WT_ARG(url));
    if (!wt_str_starts(url, WT_STR("http://")))
        return wt_fail(err, WT_EINVAL, "--server %.*s: write http://HOST:PORT or unix:/PATH",
                       WT_ARG(url));
    struct wt_str rest = wt_str_sub(url, 7, url.len);
    struct wt_str host = wt_str_next(&rest, '/');
    size_t colon = host.len;
    while (colon > 0 && host.ptr[colon - 1] != ':' && host.ptr[colon - 1] != ']')
        colon--;
    if (colon > 0 && host.ptr[colon - 1] == ':') {
        if (parse_port(wt_str_sub(host, colon, host.len), &port) < 0)
            return wt_fail(err, WT_EINVAL, "--server %.*s: wrong port", WT_ARG(url));
        host = wt_str_sub(host, 0, colon - 1);
    }
    snprintf(c->host, sizeof c->host, "%.*s:%u", WT_ARG(host), port);
    return resolve(c, host, port, err);
}

static int read_token(struct cli_client *c, const char *path, struct wt_err *err)
{
    c->token = wt_buf_make(TOKEN_MAX);
    if (!path)
        return 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return wt_fail(err, WT_ENOENT, "--token-file %s: cannot be read", path);
    char piece[1024];
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        wt_buf_add(&c->token, piece, n);
    fclose(f);
    while (c->token.len && (unsigned char)c->token.ptr[c->token.len - 1] <= ' ')
        c->token.len--;
    return wt_buf_error(&c->token);
}

int cli_client_init(struct cli_client *c, const struct cli_target *t, struct wt_err *err)
{
    char dir[200], socket[256];
    *c = (struct cli_client){.namespace = t->all_namespaces ? NULL
                                          : t->namespace    ? t->namespace
                                                            : "default"};
    snprintf(c->host, sizeof c->host, "localhost");
    int r = read_token(c, t->token_file, err);
    if (r < 0)
        return r;
    if (t->server) {
        snprintf(c->where, sizeof c->where, "%s", t->server);
        c->by_url = true;
        return set_url(c, wt_str_z(t->server), err);
    }
    cli_run_dir(t->state_dir, dir, sizeof dir);
    snprintf(socket, sizeof socket, "%s/api.sock", dir);
    snprintf(c->where, sizeof c->where, "%.150s", socket);
    return io_addr_parse(wt_str_z(socket), 0, &c->addr, err);
}

void cli_client_done(struct cli_client *c)
{
    wt_buf_done(&c->token);
}

/* ---- calls ---- */

int cli_path(struct wt_buf *out, const struct model_kind *kind, const char *namespace,
             const char *name, const char *sub)
{
    if (*kind->group)
        wt_buf_printf(out, "/apis/%s/%s", kind->group, kind->version);
    else
        wt_buf_printf(out, "/api/%s", kind->version);
    if (kind->namespaced && namespace)
        wt_buf_printf(out, "/namespaces/%s", namespace);
    wt_buf_printf(out, "/%s", kind->plural);
    if (name)
        wt_buf_printf(out, "/%s", name);
    if (sub)
        wt_buf_printf(out, "/%s", sub);
    return wt_buf_error(out);
}

static int code_of_status(unsigned status)
{
    static const struct {
        unsigned status;
        int code;
    } rows[] = {{400, WT_EINVAL},    {422, WT_EINVAL},  {404, WT_ENOENT},
                {409, WT_ECONFLICT}, {401, WT_EDENIED}, {403, WT_EDENIED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            return rows[i].code;
    return WT_EIO;
}

/* A server's refusal is a Status object whose message is the sentence. */
static int refused(const struct rpc_answer *a, json_t *json, struct wt_err *err)
{
    const char *message = json_string_value(json_object_get(json, "message"));
    int code = code_of_status(a->status);
    if (message)
        return wt_fail(err, code, "%s", message);
    return wt_fail(err, code, "the server answered %u", a->status);
}

static struct rpc_call call_of(const struct cli_client *c, const char *method, const char *path)
{
    return (struct rpc_call){
        .method = wt_str_z(method),
        .target = wt_str_z(path),
        .host = wt_str_z(c->host),
        .bearer = wt_buf_str(&c->token),
        .max_body_bytes = ANSWER_MAX,
    };
}

static int unreachable(const struct cli_client *c, int r, struct wt_err *err)
{
    if (r == WT_EDENIED)
        return wt_fail(err, r,
                       "%s: not allowed; it is for root and the user that `watari up` runs as",
                       c->where);
    if (r == WT_EREFUSED || r == WT_ENOENT)
        return wt_fail(
            err, WT_EREFUSED, "nothing answers at %s; is `watari up` running, and is %s?", c->where,
            c->by_url ? "that the address of its API (its --listen)" : "it the same --state-dir");
    return r;
}

int cli_call(const struct cli_client *c, const char *method, const char *path, const json_t *body,
             json_t **out_json, struct wt_err *err)
{
    struct rpc_call call = call_of(c, method, path);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (text) {
        call.body = wt_str_z(text);
        call.content_type = WT_STR("application/json");
    }
    struct rpc_answer answer = {0};
    int r = rpc_call(&c->addr, &call, io_now_ms() + CALL_MS, &answer, err);
    free(text);
    if (r < 0)
        return unreachable(c, r, err);
    json_t *json = json_loadb(answer.body.ptr ? answer.body.ptr : "", answer.body.len, 0, NULL);
    if (answer.status > 299)
        r = refused(&answer, json, err);
    else if (!json && answer.body.len)
        r = wt_fail(err, WT_EPROTO, "%s: the answer is not JSON", c->where);
    wt_buf_done(&answer.body);
    if (r < 0 || !out_json)
        json_decref(json);
    else
        *out_json = json;
    return r;
}

int cli_get_object(const struct cli_client *c, const struct model_kind *kind, const char *namespace,
                   const char *name, json_t **out, struct wt_err *err)
{
    struct wt_buf path = wt_buf_make(4096);
    cli_path(&path, kind, namespace, name, NULL);
    const char *z = wt_buf_z(&path);
    int r = z ? cli_call(c, "GET", z, NULL, out, err) : wt_fail(err, WT_ENOMEM, "out of memory");
    wt_buf_done(&path);
    return r;
}

/* ---- watch ---- */

struct watch {
    struct wt_buf line;
    int (*on_event)(void *ctx, const char *type, json_t *object);
    void *ctx;
    int result;
};

static int one_line(struct watch *w, struct wt_str line)
{
    json_t *event = json_loadb(line.ptr, line.len, 0, NULL);
    const char *type = json_string_value(json_object_get(event, "type"));
    if (type)
        w->result = w->on_event(w->ctx, type, json_object_get(event, "object"));
    json_decref(event);
    return w->result ? WT_ECANCELED : 0;
}

static int on_bytes(void *ctx, struct wt_str bytes)
{
    struct watch *w = ctx;
    int r = wt_buf_add_str(&w->line, bytes);
    while (r == 0) {
        struct wt_str all = wt_buf_str(&w->line);
        size_t end = wt_str_find(all, '\n');
        if (end == all.len)
            break;
        r = one_line(w, wt_str_sub(all, 0, end));
        wt_buf_consume(&w->line, end + 1);
    }
    return r;
}

int cli_watch(const struct cli_client *c, const char *path_and_query, int64_t for_ms,
              int (*on_event)(void *ctx, const char *type, json_t *object), void *ctx,
              struct wt_err *err)
{
    struct watch w = {wt_buf_make(LINE_MAX_BYTES), on_event, ctx, 0};
    struct rpc_call call = call_of(c, "GET", path_and_query);
    struct rpc_answer answer = {0};
    int64_t deadline = for_ms ? io_now_ms() + for_ms : IO_NEVER;
    int r = rpc_stream(&c->addr, &call, deadline, on_bytes, &w, &answer, err);
    if (r == WT_ECANCELED && w.result)
        r = w.result;
    else if (r < 0)
        r = unreachable(c, r, err);
    else if (answer.status > 299)
        r = wt_fail(err, code_of_status(answer.status), "the server answered %u", answer.status);
    wt_buf_done(&answer.body);
    wt_buf_done(&w.line);
    return r;
}

/* ---- running ---- */

struct run {
    int (*body)(void *ctx);
    void *ctx;
    int result;
};

static void run_fiber(void *arg)
{
    struct run *r = arg;
    r->result = r->body(r->ctx);
}

int cli_run(int (*body)(void *ctx), void *ctx)
{
    struct run r = {body, ctx, CLI_FAILED};
    struct io_loop *loop;
    struct wt_err err;
    if (io_loop_new(io_sys_real(), &loop, &err) < 0)
        return cli_fail("cli", &err);
    if (io_spawn_on(loop, IO_STACK_DEEP, run_fiber, &r, NULL) == 0)
        io_loop_run(loop, true);
    io_loop_free(loop);
    return r.result;
}
