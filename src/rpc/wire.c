#include "rpc/internal.h"

enum { READ_BYTES = 8192 };

int rpc_read_more(struct io_stream *s, struct wt_buf *in, int64_t deadline_ms)
{
    size_t room = in->max - in->len < READ_BYTES ? in->max - in->len : READ_BYTES;
    if (room == 0)
        return WT_ELIMIT;
    int r = wt_buf_reserve(in, room);
    if (r < 0)
        return r;
    ssize_t got = io_read(s, in->ptr + in->len, room, deadline_ms);
    if (got < 0)
        return (int)got;
    in->len += (size_t)got;
    return 0;
}

int rpc_take_into_buf(void *ctx, struct wt_str bytes)
{
    return wt_buf_add_str(ctx, bytes);
}

/* Gives what is there; WT_EAGAIN when the body goes on, 0 at its end. What `take` refused with is
 * in *taken: it may be any code. */
static int take_what_is_there(struct http_h1_body *body, struct wt_buf *in,
                              int (*take)(void *ctx, struct wt_str bytes), void *ctx, int *taken)
{
    size_t at = 0;
    int r;
    do {
        struct wt_str rest = wt_str_sub(wt_buf_str(in), at, in->len), data = {0};
        size_t used = 0;
        r = http_h1_body_read(body, rest, &data, &used);
        at += used;
        if (r == HTTP_H1_BODY_DATA && data.len > 0)
            *taken = take(ctx, data);
    } while (r == HTTP_H1_BODY_DATA && *taken >= 0);
    wt_buf_consume(in, at);
    return r == HTTP_H1_BODY_END ? 0 : r;
}

int rpc_read_body(struct io_stream *s, struct http_h1_body *body, struct wt_buf *in,
                  int64_t deadline_ms, int (*take)(void *ctx, struct wt_str bytes), void *ctx)
{
    for (;;) {
        int taken = 0;
        int r = take_what_is_there(body, in, take, ctx, &taken);
        if (taken < 0)
            return taken;
        if (r != WT_EAGAIN)
            return r;
        r = rpc_read_more(s, in, deadline_ms);
        if (r == WT_EOF)
            return http_h1_body_eof(body) == HTTP_H1_BODY_END ? 0 : WT_EPROTO;
        if (r < 0)
            return r;
    }
}
