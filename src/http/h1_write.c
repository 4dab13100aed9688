#include "http/h1_write.h"

#include "http/internal.h"

#define CRLF WT_STR("\r\n")

enum {
    LINE_ROOM = 32,    /* blanks, version, CRLF, status, the name of Host */
    FRAMING_ROOM = 96, /* the longest that put_framing() writes */
};

/* Fields come judged, from the parser or http_head_add(); what took their place by hand does not.
 */
static inline bool fits(const struct http_field *f)
{
    if (f->seal == http_field_seal(f->name, f->value))
        return true;
    bool name = f->id ? http_field_is(f->id, f->name) : http_field_name_valid(f->name);
    return name && http_value_fits(f->value);
}

static inline char *put_field(char *p, const struct http_field *f)
{
    p = wt_put(p, f->name);
    memcpy(p, ": ", 2);
    p = wt_put(p + 2, f->value);
    memcpy(p, "\r\n", 2);
    return p + 2;
}

/* Fields that the head's own members stand for. */
static bool is_written_elsewhere(const struct http_head *h, uint8_t id)
{
    switch (id) {
    case HTTP_FIELD_HOST:
        return h->authority.len || !h->status;
    case HTTP_FIELD_CONTENT_LENGTH:
        return !h->status || h->framing != HTTP_FRAMING_NONE || h->status < 200 || h->status == 204;
    case HTTP_FIELD_TRANSFER_ENCODING:
    case HTTP_FIELD_CONNECTION:
    case HTTP_FIELD_KEEP_ALIVE:
    case HTTP_FIELD_PROXY_CONNECTION:
    case HTTP_FIELD_TE:
        return true;
    case HTTP_FIELD_EXPECT: /* one that was ignored, as on HTTP/1.0, must not come alive */
        return !h->status && !h->expect_continue;
    case HTTP_FIELD_UPGRADE:
        return !h->upgrade;
    default:
        return false;
    }
}

static inline bool is_skipped(const struct http_head *h, uint8_t id)
{
    return id && id <= HTTP_FIELD_UPGRADE && is_written_elsewhere(h, id);
}

/* How much room the fields take at most. */
static size_t fields_room(const struct http_head *h)
{
    size_t room = 0;
    for (uint32_t i = 0; i < h->n_fields; i++)
        room += h->fields[i].name.len + h->fields[i].value.len + 4;
    return room;
}

/* NULL when one of them is unfit. */
static char *put_fields(const struct http_head *h, char *p)
{
    for (uint32_t i = 0; i < h->n_fields; i++) {
        const struct http_field *f = &h->fields[i];
        if (is_skipped(h, f->id))
            continue;
        if (!fits(f))
            return NULL;
        p = put_field(p, f);
    }
    return p;
}

static char *put_framing(const struct http_head *h, char *p)
{
    bool te = h->has_te_trailers && !h->status;
    if (h->framing == HTTP_FRAMING_LENGTH) {
        p = wt_put(p, WT_STR("content-length: "));
        p = wt_put(wt_put_u64(p, h->length), CRLF);
    }
    if (h->framing == HTTP_FRAMING_CHUNKED)
        p = wt_put(p, WT_STR("transfer-encoding: chunked\r\n"));
    if (te)
        p = wt_put(p, WT_STR("te: trailers\r\n"));
    if (h->upgrade)
        p = wt_put(p, WT_STR("connection: upgrade\r\n"));
    else if (!h->keep_alive || h->framing == HTTP_FRAMING_UNTIL_CLOSE)
        p = wt_put(p, te ? WT_STR("connection: close, te\r\n") : WT_STR("connection: close\r\n"));
    else if (te)
        p = wt_put(p, WT_STR("connection: te\r\n"));
    else if (h->status && h->minor == 0) /* RFC 9112 §9.3: or its client takes it for closed */
        p = wt_put(p, WT_STR("connection: keep-alive\r\n"));
    return wt_put(p, CRLF);
}

static struct wt_str target_path(const struct http_head *h)
{
    return h->method == HTTP_METHOD_CONNECT ? h->authority : h->path;
}

static char *put_request_line(const struct http_head *h, char *p)
{
    p = wt_put(p, h->method_text);
    *p++ = ' ';
    p = wt_put(p, target_path(h));
    if (h->has_query || h->query.len) {
        *p++ = '?';
        p = wt_put(p, h->query);
    }
    p = wt_put(p, WT_STR(" HTTP/1.1\r\nhost: "));
    return wt_put(wt_put(p, h->authority), CRLF);
}

int http_h1_write_request(const struct http_head *h, struct wt_buf *out)
{
    struct wt_str path = target_path(h);
    if (h->status || h->framing == HTTP_FRAMING_UNTIL_CLOSE || !path.len ||
        !http_field_name_valid(h->method_text) || !http_value_fits(h->authority) ||
        !http_all(path, HTTP_CLASS_PATH) || !http_all(h->query, HTTP_CLASS_TARGET))
        return WT_EINVAL;
    size_t line = h->method_text.len + path.len + h->query.len + h->authority.len;
    int r = wt_buf_reserve(out, line + fields_room(h) + LINE_ROOM + FRAMING_ROOM);
    if (r < 0)
        return r;
    char *p = put_fields(h, put_request_line(h, out->ptr + out->len));
    if (!p)
        return WT_EINVAL;
    out->len = (size_t)(put_framing(h, p) - out->ptr);
    return 0;
}

int http_h1_write_response(const struct http_head *h, struct wt_buf *out)
{
    if (h->status < 100 || h->status > 599 || !http_value_fits(h->reason))
        return WT_EINVAL;
    struct wt_str reason = h->reason.len ? h->reason : wt_str_z(http_status_text(h->status));
    int r = wt_buf_reserve(out, reason.len + fields_room(h) + LINE_ROOM + FRAMING_ROOM);
    if (r < 0)
        return r;
    char *p = wt_put(out->ptr + out->len, WT_STR("HTTP/1.1 "));
    p = wt_put_u64(p, h->status);
    *p++ = ' ';
    p = wt_put(wt_put(p, reason), CRLF);
    p = put_fields(h, p);
    if (!p)
        return WT_EINVAL;
    out->len = (size_t)(put_framing(h, p) - out->ptr);
    return 0;
}

struct wt_str http_h1_continue(void)
{
    return WT_STR("HTTP/1.1 100 Continue\r\n\r\n");
}

size_t http_h1_chunk_line(uint64_t size, char out[HTTP_H1_CHUNK_LINE_MAX])
{
    static const char hex[] = "0123456789abcdef";
    unsigned digits = 1;
    while (digits < 16 && size >> (4 * digits))
        digits++;
    for (unsigned i = 0; i < digits; i++)
        out[i] = hex[(size >> (4 * (digits - 1 - i))) & 15];
    memcpy(out + digits, "\r\n", 2);
    return digits + 2;
}

int http_h1_write_last_chunk(const struct http_head *trailers, struct wt_buf *out)
{
    size_t room = 1 + LINE_ROOM;
    for (uint32_t i = 0; trailers && i < trailers->n_fields; i++) {
        const struct http_field *f = &trailers->fields[i];
        if (!fits(f))
            return WT_EINVAL;
        room += f->name.len + f->value.len + 4;
    }
    int r = wt_buf_reserve(out, room);
    if (r < 0)
        return r;
    char *p = wt_put(out->ptr + out->len, WT_STR("0\r\n"));
    for (uint32_t i = 0; trailers && i < trailers->n_fields; i++)
        p = put_field(p, &trailers->fields[i]);
    out->len = (size_t)(wt_put(p, CRLF) - out->ptr);
    return 0;
}
