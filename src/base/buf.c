#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>

void wt_buf_done(struct wt_buf *b)
{
    wt_free(b->ptr);
    *b = wt_buf_make(b->max);
}

int wt_buf_reserve(struct wt_buf *b, size_t extra)
{
    if (b->error)
        return b->error;
    if (extra <= b->cap - b->len)
        return 0;
    if (extra > b->max - b->len)
        return b->error = WT_ELIMIT;
    size_t want = b->len + extra;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < want)
        cap *= 2;
    if (cap > b->max)
        cap = b->max;
    char *ptr = wt_realloc(b->ptr, cap);
    if (!ptr)
        return b->error = WT_ENOMEM;
    b->ptr = ptr;
    b->cap = cap;
    return 0;
}

int wt_buf_add(struct wt_buf *b, const void *ptr, size_t n)
{
    int r = wt_buf_reserve(b, n);
    if (r < 0)
        return r;
    if (n)
        memcpy(b->ptr + b->len, ptr, n);
    b->len += n;
    return 0;
}

static int add_format(struct wt_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    size_t room = b->cap - b->len;
    int n = b->error ? 0 : vsnprintf(room ? b->ptr + b->len : NULL, room, fmt, ap);
    int r = b->error;
    if (r == 0 && n < 0)
        r = b->error = WT_EINVAL;
    if (r == 0 && (size_t)n >= room) {
        r = wt_buf_reserve(b, (size_t)n + 1);
        if (r == 0)
            vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (r == 0)
        b->len += (size_t)n;
    return r;
}

int wt_buf_printf(struct wt_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = add_format(b, fmt, ap);
    va_end(ap);
    return r;
}

void wt_buf_consume(struct wt_buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
}

const char *wt_buf_z(struct wt_buf *b)
{
    if (wt_buf_reserve(b, 1) < 0)
        return NULL;
    b->ptr[b->len] = '\0';
    return b->ptr;
}
