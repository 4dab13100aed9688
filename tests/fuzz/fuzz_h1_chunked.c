/* Chunked bodies: whole and in pieces must give the same data, trailers, end and fault; data and
 * trailers, written and read again, are the same. The first byte is the size of the pieces. */
#include "http/h1_body.h"
#include "http/h1_write.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    struct wt_buf data;
    struct http_head trailers;
    size_t taken;
    int last;
    enum http_h1_fault fault;
};

static void decode(struct wt_str in, size_t piece, struct wt_arena *arena, struct result *out)
{
    const struct http_head head = {.framing = HTTP_FRAMING_CHUNKED};
    struct http_h1_body b;
    size_t at = 0, end = 0;
    out->data = wt_buf_make(1024 * 1024);
    out->last = WT_EAGAIN;
    http_head_init(&out->trailers, arena);
    http_h1_body_init(&b, &head, &out->trailers);
    while (out->last == HTTP_H1_BODY_DATA || (out->last == WT_EAGAIN && end < in.len)) {
        struct wt_str span;
        size_t used;
        if (out->last == WT_EAGAIN)
            end = end + piece < in.len ? end + piece : in.len;
        out->last = http_h1_body_read(&b, wt_str_sub(in, at, end), &span, &used);
        if (used > end - at || span.len > used || wt_buf_add_str(&out->data, span) < 0)
            abort();
        at += used;
    }
    out->taken = at;
    out->fault = b.fault;
}

static void check_same(const struct result *a, const struct result *b)
{
    if (a->last != b->last || a->fault != b->fault ||
        a->trailers.n_fields != b->trailers.n_fields ||
        !wt_str_eq(wt_buf_str(&a->data), wt_buf_str(&b->data)))
        abort();
    for (uint32_t i = 0; i < a->trailers.n_fields; i++)
        if (!wt_str_eq(a->trailers.fields[i].value, b->trailers.fields[i].value))
            abort();
}

static void check_again(const struct result *r, struct wt_arena *arena)
{
    static struct result again;
    wt_autobuf struct wt_buf out = wt_buf_make(1024 * 1024);
    char line[HTTP_H1_CHUNK_LINE_MAX];
    if (r->data.len) {
        wt_buf_add(&out, line, http_h1_chunk_line(r->data.len, line));
        wt_buf_add_str(&out, wt_buf_str(&r->data));
        wt_buf_add_str(&out, WT_STR("\r\n"));
    }
    if (http_h1_write_last_chunk(&r->trailers, &out) < 0)
        abort();
    decode(wt_buf_str(&out), out.len, arena, &again);
    check_same(r, &again);
    if (again.taken != out.len)
        abort();
    wt_buf_done(&again.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct result whole, pieces;
    wt_autoarena struct wt_arena arena = wt_arena_make(1024 * 1024);
    if (size < 2)
        return 0;
    struct wt_str in = wt_str((const char *)data + 1, size - 1);
    decode(in, in.len, &arena, &whole);
    decode(in, 1 + data[0] % 32u, &arena, &pieces);
    check_same(&whole, &pieces);
    if (whole.last == HTTP_H1_BODY_END)
        check_again(&whole, &arena);
    wt_buf_done(&whole.data);
    wt_buf_done(&pieces.data);
    return 0;
}
