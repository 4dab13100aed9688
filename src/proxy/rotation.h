/* In which order hosts of unequal weights take turns. Pure, immutable once made.
 *
 * A cycle has as many places as the weights come to (divided by what they have in common), and each
 * host has exactly its weight of them, spread over the cycle. A turn goes from place to place and
 * is all that a worker has to keep. */
#ifndef PROXY_ROTATION_H
#define PROXY_ROTATION_H

#include "base/arena.h"

struct proxy_rotation {
    uint32_t n_places; /* 0: all weights are equal, nothing is kept here */
    uint32_t step;     /* from one turn's place to the next one's */
    uint32_t n_hosts;
    const uint16_t *order; /* whose each place is; NULL where that would be a long list */
    const uint32_t *ends;  /* then host i has the places below ends[i] that are no earlier one's */
};

/* `weights`: n of 1 to 1000. What it keeps is in the arena, at most 64 KiB or 4 bytes a host. 0 or
 * WT_ENOMEM. */
int proxy_rotation_make(const uint32_t *weights, uint32_t n, struct wt_arena *arena,
                        struct proxy_rotation *out) WT_NODISCARD;

/* The host that has a place (< n_places); of a uniformly random one: drawn by weight. */
uint32_t proxy_rotation_at(const struct proxy_rotation *r, uint32_t place);

/* Whose turn it is; *turn, any number at first, goes on to the next. */
uint32_t proxy_rotation_next(const struct proxy_rotation *r, uint32_t *turn);

#endif
