/* Memory runs short: first what is only kept for a faster next time is given up, then new requests
 * are refused, so that those under way can end (reliability item 43). The names in the metrics are
 * those of Envoy's overload manager. */
#ifndef PROXY_OVERLOAD_H
#define PROXY_OVERLOAD_H

#include "io/loop.h"
#include "io/memory.h"

#include <pthread.h>
#include <stdbool.h>

enum proxy_overload {
    PROXY_OVERLOAD_NONE,
    PROXY_OVERLOAD_SHRINK, /* from 95 % of the limit: no idle connections, no spare buffers */
    PROXY_OVERLOAD_REFUSE, /* from 98 %: 503 for new requests, new connections are closed */
};

/* What follows `now`. A level ends 3 points below where it began: on the edge it does not flap.
 * Pure; `limit_bytes` 0 is no limit. */
enum proxy_overload proxy_overload_next(enum proxy_overload now, uint64_t used_bytes,
                                        uint64_t limit_bytes);

/* The same of what was measured and what requests under way may still take: as far as the last 2 %
 * do not hold that, it counts as used. */
uint64_t proxy_overload_used(uint64_t measured_bytes, uint64_t promised_bytes,
                             uint64_t limit_bytes);

/* How much each of `n_workers` may take before somebody looks again: together what is left below
 * the mark from which requests are refused, but never so little that every request looks. */
uint64_t proxy_overload_part(enum proxy_overload now, uint64_t used_bytes, uint64_t limit_bytes,
                             unsigned n_workers);

/* The watch over it: the main thread looks at times, a worker whenever it may have taken its part
 * of what was left. */
struct proxy_watermark {
    pthread_mutex_t mutex; /* all of it but the timer and the trimming */
    struct io_memory memory;
    struct io_memory_use use; /* as it was read last */
    uint64_t used_bytes;      /* with what is promised */
    struct io_timer timer;
    int64_t trimmed_ms;
    bool trimming;
    uint64_t shrinks, failed_reads;
};

struct proxy;
void proxy_watermark_start(struct proxy *p); /* on the main loop */
void proxy_watermark_look(void *proxy);      /* from a worker: it raises the level, or leaves it */

/* Every statistic of it: name (Envoy's, with dots, or "watari.…"), whether it is a counter, help,
 * value. */
void proxy_watermark_each(struct proxy *p,
                          void (*visit)(void *ctx, const char *name, bool counter, const char *help,
                                        uint64_t value),
                          void *ctx);

#endif
