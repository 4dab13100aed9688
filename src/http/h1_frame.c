#include "http/h1_frame.h"

#include "http/internal.h"
#include "http/uri.h"

/* The fields that steer, collected in one pass. */
struct seen {
    struct http_field *host;
    const struct http_field *length, *coding, *expect, *upgrade;
    bool close, keep_alive, says_upgrade, te_trailers;
    uint64_t length_bytes;
    unsigned options; /* of Connection */
};

/* Each costs a pass over the fields when they are stripped: thousands would be an attack. */
enum { MAX_CONNECTION_OPTIONS = 64 };

static enum http_h1_fault see_length(struct seen *s, const struct http_field *f)
{
    uint64_t n;
    if (!wt_str_u64(f->value, &n) || n > INT64_MAX)
        return HTTP_H1_FAULT_LENGTH_INVALID;
    if (s->length && s->length_bytes != n)
        return HTTP_H1_FAULT_LENGTH_DIFFERS;
    s->length = f;
    s->length_bytes = n;
    return HTTP_H1_FAULT_NONE;
}

static enum http_h1_fault see_connection(struct seen *s, struct wt_str list)
{
    while (list.ptr) {
        if (s->options++ == MAX_CONNECTION_OPTIONS)
            return HTTP_H1_FAULT_TOO_MANY_FIELDS;
        struct wt_str one = wt_str_trim(wt_str_next(&list, ','));
        s->keep_alive |= wt_str_eq_nocase(one, WT_STR("keep-alive"));
        s->close |= wt_str_eq_nocase(one, WT_STR("close"));
        s->says_upgrade |= wt_str_eq_nocase(one, WT_STR("upgrade"));
    }
    return HTTP_H1_FAULT_NONE;
}

static enum http_h1_fault see_field(struct seen *s, struct http_field *f)
{
    if (f->id == HTTP_FIELD_CONTENT_LENGTH)
        return see_length(s, f);
    if (f->id == HTTP_FIELD_CONNECTION)
        return see_connection(s, f->value);
    if (f->id == HTTP_FIELD_TE)
        s->te_trailers |= http_list_has(f->value, WT_STR("trailers"));
    if (f->id == HTTP_FIELD_EXPECT)
        s->expect = f;
    if (f->id == HTTP_FIELD_UPGRADE)
        s->upgrade = f;
    if (f->id == HTTP_FIELD_TRANSFER_ENCODING) {
        if (s->coding)
            return HTTP_H1_FAULT_CODING_INVALID;
        s->coding = f;
    }
    if (f->id == HTTP_FIELD_HOST) {
        if (s->host)
            return HTTP_H1_FAULT_HOST_DUPLICATE;
        s->host = f;
    }
    return HTTP_H1_FAULT_NONE;
}

static enum http_h1_fault see(struct http_head *h, struct seen *s)
{
    *s = (struct seen){0};
    const uint64_t steering = http_bits(HTTP_FIELD_HOST, HTTP_FIELD_UPGRADE);
    struct http_field *end = h->present & steering ? h->fields + h->n_fields : h->fields;
    for (struct http_field *f = h->fields; f < end; f++) {
        if (!(http_bit(f->id) & steering))
            continue;
        enum http_h1_fault fault = see_field(s, f);
        if (fault)
            return fault;
    }
    h->keep_alive = !s->close && (h->minor >= 1 || s->keep_alive);
    h->has_te_trailers = s->te_trailers;
    return HTTP_H1_FAULT_NONE;
}

/* RFC 9112 §6.1, §6.3: whoever forwards such a message is the smuggler's tool, so doubt is refused.
 */
static enum http_h1_fault check_coding(const struct http_head *h, const struct seen *s)
{
    if (s->length)
        return HTTP_H1_FAULT_LENGTH_AND_CODING;
    if (h->minor == 0)
        return HTTP_H1_FAULT_CODING_OLD_VERSION;
    struct wt_str list = s->coding->value, last = {NULL, 0};
    bool more = false;
    if (wt_str_eq_nocase(list, WT_STR("chunked")))
        return HTTP_H1_FAULT_NONE;
    while (list.ptr) {
        more |= last.ptr != NULL;
        last = wt_str_trim(wt_str_next(&list, ','));
        if (!http_field_name_valid(last))
            return HTTP_H1_FAULT_CODING_INVALID;
        if (list.ptr && wt_str_eq_nocase(last, WT_STR("chunked")))
            return HTTP_H1_FAULT_CODING_INVALID;
    }
    return more && wt_str_eq_nocase(last, WT_STR("chunked")) ? HTTP_H1_FAULT_CODING_UNKNOWN
                                                             : HTTP_H1_FAULT_CODING_INVALID;
}

static enum http_h1_fault split_path(struct http_head *h, struct wt_str t)
{
    size_t q = wt_str_find(t, '?');
    h->has_query = q < t.len;
    h->query = wt_str_sub(t, q + 1, t.len);
    struct wt_str path = wt_str_sub(t, 0, q);
    int r = http_path_normalise(path.len ? path : WT_STR("/"), h->arena, &h->path);
    return r == 0           ? HTTP_H1_FAULT_NONE
           : r == WT_ENOMEM ? HTTP_H1_FAULT_NO_MEMORY
                            : HTTP_H1_FAULT_TARGET;
}

/* "http://host/path" (RFC 9112 §3.2.2). */
static enum http_h1_fault absolute_target(struct http_head *h)
{
    struct wt_str t = h->target;
    size_t colon = wt_str_find(t, ':');
    h->scheme = wt_str_sub(t, 0, colon);
    if (!wt_str_eq_nocase(h->scheme, WT_STR("http")) &&
        !wt_str_eq_nocase(h->scheme, WT_STR("https")))
        return HTTP_H1_FAULT_TARGET;
    if (!wt_str_starts(wt_str_sub(t, colon, t.len), WT_STR("://")))
        return HTTP_H1_FAULT_TARGET;
    t = wt_str_sub(t, colon + 3, t.len);
    size_t end = 0;
    while (end < t.len && t.ptr[end] != '/' && t.ptr[end] != '?')
        end++;
    h->authority = wt_str_sub(t, 0, end);
    if (!http_authority_split(h->authority, NULL, NULL))
        return HTTP_H1_FAULT_TARGET;
    return split_path(h, wt_str_sub(t, end, t.len));
}

static enum http_h1_fault read_target(struct http_head *h)
{
    int port = -1;
    if (h->method == HTTP_METHOD_CONNECT) {
        h->authority = h->target;
        bool ok = http_authority_split(h->authority, NULL, &port) && port > 0;
        return ok ? HTTP_H1_FAULT_NONE : HTTP_H1_FAULT_TARGET;
    }
    if (h->target.ptr[0] == '/')
        return split_path(h, h->target);
    if (h->method == HTTP_METHOD_OPTIONS && wt_str_eq(h->target, WT_STR("*"))) {
        h->path = h->target;
        return HTTP_H1_FAULT_NONE;
    }
    return absolute_target(h);
}

static enum http_h1_fault read_host(struct http_head *h, const struct seen *s)
{
    if (!s->host)
        return h->minor >= 1 ? HTTP_H1_FAULT_HOST_MISSING : HTTP_H1_FAULT_NONE;
    if (!http_authority_split(s->host->value, NULL, NULL))
        return HTTP_H1_FAULT_HOST_INVALID;
    if (h->authority.len)
        s->host->value = h->authority; /* RFC 9112 §3.2.2: the target's authority wins */
    else
        h->authority = s->host->value;
    return HTTP_H1_FAULT_NONE;
}

static enum http_h1_fault read_body(struct http_head *h, const struct seen *s)
{
    if (s->coding) {
        h->framing = HTTP_FRAMING_CHUNKED;
        return check_coding(h, s);
    }
    if (s->length) {
        h->framing = HTTP_FRAMING_LENGTH;
        h->length = s->length_bytes;
    }
    return HTTP_H1_FAULT_NONE;
}

/* h2c is never taken up (RFC 9113 §3.1 withdrew it); any other upgrade ends HTTP on the connection,
 * so a body in front of it is refused (CVE-2026-2833). */
static enum http_h1_fault read_upgrade(struct http_head *h, const struct seen *s)
{
    if (h->minor == 0 || !s->upgrade || !s->says_upgrade ||
        http_list_has(s->upgrade->value, WT_STR("h2c")))
        return HTTP_H1_FAULT_NONE;
    h->upgrade = true;
    bool body = h->framing == HTTP_FRAMING_CHUNKED || h->length > 0;
    return body ? HTTP_H1_FAULT_UPGRADE_BODY : HTTP_H1_FAULT_NONE;
}

static enum http_h1_fault read_expect(struct http_head *h, const struct seen *s)
{
    if (!s->expect || h->minor == 0) /* RFC 9110 §10.1.1: ignored on HTTP/1.0 */
        return HTTP_H1_FAULT_NONE;
    if (!wt_str_eq_nocase(s->expect->value, WT_STR("100-continue")))
        return HTTP_H1_FAULT_EXPECT_UNKNOWN;
    h->expect_continue = h->framing == HTTP_FRAMING_CHUNKED || h->length > 0;
    return HTTP_H1_FAULT_NONE;
}

enum http_h1_fault http_h1_frame_request(struct http_head *h)
{
    static enum http_h1_fault (*const steps[])(struct http_head *, const struct seen *) = {
        read_host, read_body, read_upgrade, read_expect};
    struct seen s;
    enum http_h1_fault fault = see(h, &s);
    if (!fault)
        fault = read_target(h);
    for (size_t i = 0; !fault && i < sizeof steps / sizeof *steps; i++)
        fault = steps[i](h, &s);
    return fault;
}

enum http_h1_fault http_h1_frame_response(struct http_head *h, enum http_method method)
{
    struct seen s;
    enum http_h1_fault fault = see(h, &s);
    if (fault)
        return fault;
    h->upgrade = h->status == 101;
    bool tunnel = method == HTTP_METHOD_CONNECT && h->status / 100 == 2;
    if (s.coding && s.length)
        return HTTP_H1_FAULT_LENGTH_AND_CODING;
    /* RFC 9112 §6.3: these have no body, whatever their fields say. */
    if (tunnel || h->status < 200 || h->status == 204 || h->status == 304 ||
        method == HTTP_METHOD_HEAD)
        return HTTP_H1_FAULT_NONE;
    if (!s.coding && !s.length) {
        h->framing = HTTP_FRAMING_UNTIL_CLOSE;
        h->keep_alive = false;
        return HTTP_H1_FAULT_NONE;
    }
    return read_body(h, &s);
}
