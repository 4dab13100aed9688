/* The one growable buffer: it owns its bytes, grows by doubling, and never beyond its cap.
 *
 * The first failure (no memory, cap reached) is remembered: later additions do nothing, so a writer
 * adds piece after piece and asks wt_buf_error() once at the end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>

struct wt_buf {
    char *ptr;
    size_t len;
    size_t cap; /* bytes allocated */
    size_t max; /* never more than this */
    int error;  /* 0, WT_ENOMEM or WT_ELIMIT */
};

static inline struct wt_buf wt_buf_make(size_t max)
{
    return (struct wt_buf){.max = max};
}

void wt_buf_done(struct wt_buf *b); /* frees; the buffer is empty and usable again */
#define wt_autobuf __attribute__((cleanup(wt_buf_done)))

int wt_buf_reserve(struct wt_buf *b, size_t extra); /* room for `extra` more bytes */
int wt_buf_add(struct wt_buf *b, const void *ptr, size_t n);
int wt_buf_printf(struct wt_buf *b, const char *fmt, ...) WT_PRINTF(2, 3);
void wt_buf_consume(struct wt_buf *b, size_t n); /* drops the first n bytes */

static inline int wt_buf_add_str(struct wt_buf *b, struct wt_str s)
{
    return wt_buf_add(b, s.ptr, s.len);
}

static inline int wt_buf_add_char(struct wt_buf *b, char c)
{
    return wt_buf_add(b, &c, 1);
}

static inline struct wt_str wt_buf_str(const struct wt_buf *b)
{
    return wt_str(b->ptr, b->len);
}

/* Terminates without counting the zero; NULL after a failure. The pointer lives as long as the
 * bytes. */
const char *wt_buf_z(struct wt_buf *b);

static inline int wt_buf_error(const struct wt_buf *b)
{
    return b->error;
}

#endif
