/* A map from bytes to pointers: open addressing, keyed hash, insertion order kept for iteration.
 * Keys are copied; values belong to the caller. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/err.h"
#include "base/str.h"

struct wt_map_entry {
    struct wt_str key; /* terminated */
    void *value;       /* NULL marks a removed entry */
    uint64_t hash;
};

struct wt_map {
    struct wt_map_entry *entries; /* in insertion order, removed ones included */
    uint32_t *index;              /* 0 free, else entry number + 1 */
    uint32_t n_entries, cap_entries;
    uint32_t n_index; /* a power of two */
    uint32_t n_live;
};

void wt_map_done(struct wt_map *m); /* frees keys and table, not the values */
void *wt_map_get(const struct wt_map *m, struct wt_str key);

/* Sets or replaces; `value` is not NULL. The old value, if any, goes to *out_old (may be NULL). */
int wt_map_put(struct wt_map *m, struct wt_str key, void *value, void **out_old) WT_NODISCARD;
void *wt_map_take(struct wt_map *m, struct wt_str key); /* removes; NULL if it was not there */

/* for (struct wt_map_entry *e = wt_map_first(m); e; e = wt_map_next(m, e)) */
struct wt_map_entry *wt_map_first(const struct wt_map *m);
struct wt_map_entry *wt_map_next(const struct wt_map *m, const struct wt_map_entry *e);

static inline uint32_t wt_map_len(const struct wt_map *m)
{
    return m->n_live;
}

#endif
