#include "proxy/body.h"

#include "base/mem.h"
#include "http/h1_write.h"
#include "io/fiber.h"
#include "proxy/worker.h"

/* A copy of the head follows on its way out, so twice its room counts. */
bool proxy_window_grow(struct proxy_window *w, struct proxy_worker *worker)
{
    if (w->cap >= PROXY_HEAD_MAX ||
        proxy_worker_take(worker, 2 * PROXY_HEAD_MAX) >= PROXY_OVERLOAD_SHRINK)
        return false;
    char *p = wt_malloc(PROXY_HEAD_MAX);
    if (!p)
        return false;
    struct wt_str there = proxy_window_str(w);
    memcpy(p, there.ptr, there.len);
    *w = (struct proxy_window){p, 0, there.len, PROXY_HEAD_MAX, w->received};
    return true;
}

int proxy_body_next(struct http_h1_body *body, struct proxy_window *w, struct io_stream *s,
                    bool wait, int64_t deadline_ms, struct wt_str *out_bytes)
{
    *out_bytes = wt_str(NULL, 0);
    for (;;) {
        size_t used = 0;
        int r = http_h1_body_done(body)
                    ? HTTP_H1_BODY_END
                    : http_h1_body_read(body, proxy_window_str(w), out_bytes, &used);
        w->start += used;
        if (r == HTTP_H1_BODY_DATA)
            return http_h1_body_done(body) ? PROXY_PIECE_END : PROXY_PIECE_DATA;
        if (r == HTTP_H1_BODY_END)
            return PROXY_PIECE_END;
        if (r != WT_EAGAIN)
            return r;
        ssize_t n = proxy_window_fill(w, s, wait, deadline_ms);
        if (n == WT_EOF)
            return http_h1_body_eof(body) == HTTP_H1_BODY_END ? PROXY_PIECE_END : WT_EPROTO;
        if (n < 0)
            return n == WT_ELIMIT ? WT_EPROTO : (int)n;
    }
}

static void push(struct iovec *iov, int *n, struct wt_str s)
{
    if (s.len)
        iov[(*n)++] = (struct iovec){(void *)s.ptr, s.len};
}

int proxy_body_send(struct io_stream *s, const struct proxy_body_out *o, int64_t deadline_ms,
                    uint64_t *sent)
{
    struct iovec iov[5];
    int n = 0;
    char line[HTTP_H1_CHUNK_LINE_MAX];
    struct wt_buf tail = wt_buf_make(16 << 10);
    push(iov, &n, o->head);
    if (o->chunked && o->bytes.len)
        push(iov, &n, wt_str(line, http_h1_chunk_line(o->bytes.len, line)));
    push(iov, &n, o->bytes);
    if (o->chunked && o->bytes.len)
        push(iov, &n, WT_STR("\r\n"));
    if (o->chunked && o->last && o->trailers) {
        int r = http_h1_write_last_chunk(o->trailers, &tail);
        if (r < 0) {
            wt_buf_done(&tail);
            return r;
        }
        push(iov, &n, wt_buf_str(&tail));
    } else if (o->chunked && o->last) {
        push(iov, &n, WT_STR("0\r\n\r\n"));
    }
    if (o->head.len)
        io_gather();
    int r = io_write_counted(s, iov, n, deadline_ms, sent);
    wt_buf_done(&tail);
    return r;
}
