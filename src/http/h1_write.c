#include "http/h1_write.h"

#include "http/internal.h"

#include <stdio.h>

#define CRLF WT_STR("\r\n")

static int put_field(struct wt_buf *out, struct wt_str name, struct wt_str value)
{
    if (!http_field_name_valid(name) || !http_field_value_valid(value))
        return WT_EINVAL;
    /* One reservation a field; sizes are bounded by the buffer's cap. */
    if (wt_buf_reserve(out, name.len + value.len + 4) < 0)
        return wt_buf_error(out);
    wt_buf_add_str(out, name);
    wt_buf_add_str(out, WT_STR(": "));
    wt_buf_add_str(out, value);
    return wt_buf_add_str(out, CRLF);
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
    case HTTP_FIELD_UPGRADE:
        return !h->upgrade;
    default:
        return false;
    }
}

static int put_fields(const struct http_head *h, struct wt_buf *out)
{
    for (uint32_t i = 0; i < h->n_fields; i++) {
        const struct http_field *f = &h->fields[i];
        if (f->id && f->id <= HTTP_FIELD_UPGRADE && is_written_elsewhere(h, f->id))
            continue;
        int r = put_field(out, f->name, f->value);
        if (r < 0)
            return r;
    }
    return 0;
}

static void put_framing(const struct http_head *h, struct wt_buf *out)
{
    if (h->framing == HTTP_FRAMING_LENGTH)
        wt_buf_printf(out, "content-length: %llu\r\n", (unsigned long long)h->length);
    if (h->framing == HTTP_FRAMING_CHUNKED)
        wt_buf_add_str(out, WT_STR("transfer-encoding: chunked\r\n"));
    bool te = h->has_te_trailers && !h->status;
    if (te)
        wt_buf_add_str(out, WT_STR("te: trailers\r\n"));
    if (h->upgrade)
        wt_buf_add_str(out, WT_STR("connection: upgrade\r\n"));
    else if (!h->keep_alive || h->framing == HTTP_FRAMING_UNTIL_CLOSE)
        wt_buf_add_str(out,
                       te ? WT_STR("connection: close, te\r\n") : WT_STR("connection: close\r\n"));
    else if (te)
        wt_buf_add_str(out, WT_STR("connection: te\r\n"));
    wt_buf_add_str(out, CRLF);
}

/* Takes back what was added when the head turned out unfit. */
static int finish(struct wt_buf *out, size_t before, int r)
{
    if (r == 0)
        r = wt_buf_error(out);
    if (r < 0 && out->len > before)
        out->len = before;
    return r;
}

static int put_target(const struct http_head *h, struct wt_buf *out)
{
    struct wt_str path = h->method == HTTP_METHOD_CONNECT ? h->authority : h->path;
    if (!path.len || !http_all(path, HTTP_CLASS_PATH) || !http_all(h->query, HTTP_CLASS_TARGET))
        return WT_EINVAL;
    wt_buf_add_str(out, path);
    if (!h->has_query && !h->query.len)
        return 0;
    wt_buf_add_char(out, '?');
    return wt_buf_add_str(out, h->query);
}

static int put_request(const struct http_head *h, struct wt_buf *out)
{
    if (!http_field_name_valid(h->method_text) || h->status ||
        h->framing == HTTP_FRAMING_UNTIL_CLOSE)
        return WT_EINVAL;
    wt_buf_add_str(out, h->method_text);
    wt_buf_add_char(out, ' ');
    int r = put_target(h, out);
    if (r < 0)
        return r;
    wt_buf_add_str(out, WT_STR(" HTTP/1.1\r\n"));
    r = put_field(out, WT_STR("host"), h->authority);
    return r < 0 ? r : put_fields(h, out);
}

int http_h1_write_request(const struct http_head *h, struct wt_buf *out)
{
    size_t before = out->len;
    int r = put_request(h, out);
    if (r == 0)
        put_framing(h, out);
    return finish(out, before, r);
}

int http_h1_write_response(const struct http_head *h, struct wt_buf *out)
{
    size_t before = out->len;
    if (h->status < 100 || h->status > 599 || !http_field_value_valid(h->reason))
        return WT_EINVAL;
    wt_buf_printf(out, "HTTP/1.1 %u ", h->status);
    wt_buf_add_str(out, h->reason.len ? h->reason : wt_str_z(http_status_text(h->status)));
    wt_buf_add_str(out, CRLF);
    int r = put_fields(h, out);
    if (r == 0)
        put_framing(h, out);
    return finish(out, before, r);
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

int http_h1_write_chunk(struct wt_str data, struct wt_buf *out)
{
    char line[HTTP_H1_CHUNK_LINE_MAX];
    size_t before = out->len;
    if (!data.len)
        return 0;
    wt_buf_add(out, line, http_h1_chunk_line(data.len, line));
    wt_buf_add_str(out, data);
    wt_buf_add_str(out, CRLF);
    return finish(out, before, 0);
}

int http_h1_write_last_chunk(const struct http_head *trailers, struct wt_buf *out)
{
    size_t before = out->len;
    int r = 0;
    wt_buf_add_str(out, WT_STR("0\r\n"));
    for (uint32_t i = 0; trailers && r == 0 && i < trailers->n_fields; i++)
        r = put_field(out, trailers->fields[i].name, trailers->fields[i].value);
    wt_buf_add_str(out, CRLF);
    return finish(out, before, r);
}
