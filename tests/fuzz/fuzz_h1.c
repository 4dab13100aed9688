/* Heads and chunked bodies: the first byte chooses. A request that parses must write and parse
 * again to the same target. */
#include "http/cookie.h"
#include "http/h1_body.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct wt_str in, struct wt_arena *arena)
{
    struct http_head h, again;
    enum http_h1_fault fault;
    size_t used;
    wt_autobuf struct wt_buf out = wt_buf_make(128 * 1024);
    http_head_init(&h, arena);
    if (http_h1_parse_request(in, 0, &http_h1_default_limits, &h, &used, &fault) < 0)
        return;
    http_cookie_remove(&h, WT_STR("a"));
    if (http_h1_write_request(&h, &out) < 0)
        abort();
    if (!h.authority.len) /* HTTP/1.0 without Host */
        return;
    const struct http_h1_limits wide = {128 * 1024, 128 * 1024, 200};
    http_head_init(&again, arena);
    if (http_h1_parse_request(wt_buf_str(&out), 0, &wide, &again, &used, &fault) < 0 ||
        !wt_str_eq(h.path, again.path) || !wt_str_eq(h.authority, again.authority) ||
        h.framing != again.framing || h.length != again.length)
        abort();
}

static void response(struct wt_str in, struct wt_arena *arena)
{
    struct http_head h;
    enum http_h1_fault fault;
    size_t used;
    wt_autobuf struct wt_buf out = wt_buf_make(128 * 1024);
    http_head_init(&h, arena);
    if (http_h1_parse_response(in, 0, HTTP_METHOD_GET, &http_h1_default_limits, &h, &used,
                               &fault) == 0 &&
        http_h1_write_response(&h, &out) < 0)
        abort();
}

static void chunked(struct wt_str in)
{
    const struct http_head head = {.framing = HTTP_FRAMING_CHUNKED};
    struct http_h1_body b;
    struct wt_str data;
    size_t used;
    http_h1_body_init(&b, &head, NULL);
    while (http_h1_body_read(&b, in, &data, &used) == HTTP_H1_BODY_DATA)
        in = wt_str_sub(in, used, in.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(1024 * 1024);
    if (!size)
        return 0;
    struct wt_str in = wt_str((const char *)data + 1, size - 1);
    if (data[0] % 3 == 0)
        request(in, &arena);
    else if (data[0] % 3 == 1)
        response(in, &arena);
    else
        chunked(in);
    return 0;
}
