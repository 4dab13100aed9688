/* The slot table: which users go where.
 *
 * An identity falls into one of 65,536 slots by a keyed hash with a salt per service; the table
 * says to which destination (0 … n-1) each slot goes. Control computes the table, every proxy keeps
 * it. Shares are exact to one slot, a change of weights moves the fewest slots there can be, and
 * between two destinations the table depends on the weights alone: going back restores the
 * identical users.
 *
 * Everything here is pure. Only the salt and the weights matter, so that every process computes the
 * same.
 */
#ifndef MODEL_SLOTS_H
#define MODEL_SLOTS_H

#include "base/buf.h"
#include "base/hash.h"

enum {
    MODEL_SLOTS = 65536,
    MODEL_SLOTS_DESTINATIONS = 16, /* at most so many in one table */
};

/* 64 KiB: keep it on the heap or inside something that is. */
struct model_slots {
    uint8_t to[MODEL_SLOTS]; /* destination of each slot */
};

/* The hash key of a salt (`spec.salt`, or "<namespace>/<from>"): computed once per table, not per
 * request. */
struct wt_hash_key model_slots_key(struct wt_str salt);

static inline uint16_t model_slot_of(struct wt_hash_key key, struct wt_str identity)
{
    return (uint16_t)(wt_hash_str(key, identity) >> 48);
}

/* All slots to one destination: the table before the first step (0 = old). */
void model_slots_fill(struct model_slots *t, uint8_t destination);

/* Moves slots until each destination has its share: weights[i] ÷ sum, by largest remainder over
 * 65,536 slots. A weight above 0 gets at least one slot. Moves exactly sum(max(0, have - quota))
 * slots; which ones, the key decides. Weights are any numbers >= 0 with a sum above 0 (99 and
 * 1; 99.998 and 0.002). Returns the number of slots moved, or WT_EINVAL (n = 0 or above 16, a
 * weight negative or not finite, sum 0, the table naming a destination >= n), leaving the table
 * alone. Takes some milliseconds. */
int model_slots_move(struct model_slots *t, const double *weights, unsigned n,
                     struct wt_hash_key key, struct wt_err *err);

/* The same for the usual two: slots at 1 become `percent` (0 … 100) of all, the rest go to 0. */
int model_slots_set_share(struct model_slots *t, double percent, struct wt_hash_key key,
                          struct wt_err *err);

/* How many slots a share of `percent` is: the quota that model_slots_set_share() reaches. */
unsigned model_slots_quota(double percent);

unsigned model_slots_count(const struct model_slots *t, uint8_t destination);
unsigned model_slots_changed(const struct model_slots *a, const struct model_slots *b);
/* As text for a document: "n:" and base64url of 1, 2 or 4 bits a slot (n <= 2, 4, 16); a table with
 * a single destination is "n=d". At most 44 KiB; 11 KiB for two destinations. */
int model_slots_encode(const struct model_slots *t, unsigned n, struct wt_buf *out);

/* WT_EINVAL for any text that encode would not write. `t` changes only on success. */
int model_slots_decode(struct model_slots *t, struct wt_str text, unsigned *out_n,
                       struct wt_err *err);

#endif
