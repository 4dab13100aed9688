/* The guard of one migration in one process: bitmaps and counters that all workers share.
 *
 * Observing is a few loads when the slot was seen before; a slot's first request and its first bad
 * answer in a span cost an atomic `or`. Nothing is locked. When a window ends, one thread wins the
 * change; marks that others make in that instant may fall into the window that has ended and are
 * lost: some requests per minute, out of both sides alike.
 */
#ifndef HEALTH_GUARD_H
#define HEALTH_GUARD_H

#include "base/buf.h"
#include "health/evidence.h"

enum {
    HEALTH_GUARD_SLOTS = 65536,
    HEALTH_GUARD_WORKERS = 64,
    HEALTH_GUARD_BITMAP_BYTES = HEALTH_GUARD_SLOTS / 8,
    HEALTH_GUARD_BITMAPS = 4, /* seen old, bad old, seen new, bad new */
};

struct health_guard;

/* `workers` threads (1 … 64) will observe. `now_ms` is monotonic, as everywhere below. About 150
 * KiB, twice that above 90 %. NULL without memory or with a wrong number of workers. */
struct health_guard *health_guard_new(const struct health_params *params, unsigned workers,
                                      int64_t now_ms);
void health_guard_free(struct health_guard *g);

/* Starts a step from nothing, with the share now in force. What the old side did in the last step
 * becomes `before` if that step had no verdict and was long enough to tell (1,000 requests); a
 * shorter one adds to it. Any
 * thread; others may observe meanwhile, some of whose marks are lost. */
void health_guard_begin(struct health_guard *g, const struct health_params *params, int64_t now_ms);

/* One first attempt with a known end. `worker` is the calling thread's number: one thread each.
 * Returns true when health_guard_judge() should be called now: one
 * more slot of the new side is bad, or many of the old one. */
bool health_guard_observe(struct health_guard *g, unsigned worker, enum health_side side,
                          uint16_t slot, bool bad, int64_t now_ms);

/* The verdict, from any thread. Errors stays until the next begin(); Shared stays, too, unless
 * Errors follows. The first caller that sees a verdict gets *out_first true and announces it. */
enum health_cause health_guard_judge(struct health_guard *g, int64_t now_ms, bool *out_first);

/* The counts as they are, from any thread. */
void health_guard_read(struct health_guard *g, int64_t now_ms, struct health_evidence *out);

/* The step's four bitmaps, HEALTH_GUARD_BITMAPS × HEALTH_GUARD_BITMAP_BYTES, in the order above. */
void health_guard_export(const struct health_guard *g, uint8_t *out);

/* Ors `from` into `into` (both as exported) and, when `counts` is not NULL, writes the union's seen
 * and bad. */
void health_guard_union(uint8_t *into, const uint8_t *from, struct health_counts *counts);

#endif
