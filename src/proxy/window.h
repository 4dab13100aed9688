/* A window: the piece of memory through which one direction of a connection flows. Bytes come in at
 * the end and are used up at the start; what was given out stays in place until the next fill. */
#ifndef PROXY_WINDOW_H
#define PROXY_WINDOW_H

#include "io/stream.h"

struct proxy_window {
    char *ptr;
    size_t start, end, cap;
    uint64_t received; /* all bytes that came in; its owner takes them */
};

static inline struct wt_str proxy_window_str(const struct proxy_window *w)
{
    return wt_str(w->ptr + w->start, w->end - w->start);
}

/* Makes room: moves what is there to the front when needed. False when it is full. */
static inline bool proxy_window_room(struct proxy_window *w)
{
    if (w->start == w->end)
        w->start = w->end = 0;
    if (w->end == w->cap && w->start > 0) {
        memmove(w->ptr, w->ptr + w->start, w->end - w->start);
        w->end -= w->start;
        w->start = 0;
    }
    return w->end < w->cap;
}

/* Reads more into it: a count, WT_ELIMIT when it is full, or what io_read() says. */
static inline ssize_t proxy_window_fill(struct proxy_window *w, struct io_stream *s, bool wait,
                                        int64_t deadline_ms)
{
    if (!proxy_window_room(w))
        return WT_ELIMIT;
    ssize_t n = wait ? io_read(s, w->ptr + w->end, w->cap - w->end, deadline_ms)
                     : io_read_now(s, w->ptr + w->end, w->cap - w->end);
    if (n > 0) {
        w->end += (size_t)n;
        w->received += (uint64_t)n;
    }
    return n;
}

#endif
