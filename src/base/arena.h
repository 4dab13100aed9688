/* An arena: many small pieces that die together (a request, a decode, a plan).
 *
 * Under AddressSanitizer every piece is a malloc of its own, or the arena would hide overflows and
 * uses after free. Pieces are aligned to 16 bytes.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/err.h"
#include "base/str.h"

struct wt_arena_chunk;

struct wt_arena {
    char *at, *end; /* what is left of the newest chunk */
    struct wt_arena_chunk *chunks;
    size_t used; /* bytes in chunks */
    size_t max;  /* never more than this */
};

static inline struct wt_arena wt_arena_make(size_t max)
{
    return (struct wt_arena){.max = max};
}

/* Gives the arena a first chunk that it does not own (a piece of stack or of a pooled buffer). */
void wt_arena_lend(struct wt_arena *a, void *ptr, size_t size);

void wt_arena_done(struct wt_arena *a); /* frees all; usable again */
#define wt_autoarena __attribute__((cleanup(wt_arena_done)))

/* NULL without memory or beyond the cap. Not zeroed / zeroed. */
void *wt_arena_alloc(struct wt_arena *a, size_t size) WT_NODISCARD;
void *wt_arena_zalloc(struct wt_arena *a, size_t size) WT_NODISCARD;

/* Terminated copies; {NULL, 0} or NULL without memory. */
struct wt_str wt_arena_str(struct wt_arena *a, struct wt_str s);
char *wt_arena_printf(struct wt_arena *a, const char *fmt, ...) WT_PRINTF(2, 3);

#endif
