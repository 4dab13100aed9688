/* Response heads, and bodies by length and until close. The first byte chooses the method. */
#include "http/cache.h"
#include "http/h1_body.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_body(const struct http_head *h, struct wt_str rest)
{
    struct http_h1_body b;
    struct wt_str data;
    size_t used, total = 0;
    http_h1_body_init(&b, h, NULL);
    while (http_h1_body_read(&b, rest, &data, &used) == HTTP_H1_BODY_DATA) {
        if (used > rest.len || data.len > used || !used)
            abort();
        total += data.len;
        rest = wt_str_sub(rest, used, rest.len);
    }
    if ((h->framing == HTTP_FRAMING_NONE && total) ||
        (h->framing == HTTP_FRAMING_LENGTH && total > h->length))
        abort();
}

static void check_again(const struct http_head *h, enum http_method method, struct wt_arena *arena)
{
    static struct http_head again;
    static const struct http_h1_limits wide = {128 * 1024, 128 * 1024, 200};
    enum http_h1_fault fault;
    size_t used;
    wt_autobuf struct wt_buf out = wt_buf_make(128 * 1024);
    if (http_h1_write_response(h, &out) < 0)
        abort();
    http_head_init(&again, arena);
    if (http_h1_parse_response(wt_buf_str(&out), 0, method, &wide, &again, &used, &fault) < 0 ||
        used != out.len || again.status != h->status || again.framing != h->framing ||
        again.length != h->length)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head h, request;
    wt_autoarena struct wt_arena arena = wt_arena_make(1024 * 1024);
    if (!size)
        return 0;
    enum http_method method = (enum http_method)(data[0] % HTTP_METHOD_COUNT);
    struct wt_str in = wt_str((const char *)data + 1, size - 1);
    enum http_h1_fault fault;
    size_t used = 0;
    http_head_init(&h, &arena);
    int r = http_h1_parse_response(in, 0, method, &http_h1_default_limits, &h, &used, &fault);
    if ((r == 0 && used > in.len) || (r != 0 && r != WT_EAGAIN && !fault))
        abort();
    if (r < 0)
        return 0;
    http_head_init(&request, &arena);
    request.method = method;
    http_may_store_shared(&request, &h);
    check_again(&h, method, &arena);
    check_body(&h, wt_str_sub(in, used, in.len));
    return 0;
}
