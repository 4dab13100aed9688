/* Memory runs short: first what is only kept for a faster next time is given up, then new requests
 * are refused, so that those under way can end (reliability item 43). The names in the metrics are
 * those of Envoy's overload manager. */
#ifndef PROXY_OVERLOAD_H
#define PROXY_OVERLOAD_H

#include "io/loop.h"
#include "io/memory.h"

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

/* The main thread's watch over it. */
struct proxy_watermark {
    struct io_memory memory;
    struct io_memory_use use; /* as it was read last */
    struct io_timer timer;
    int64_t trimmed_ms;
    bool trimming;
    uint64_t shrinks, failed_reads;
};

struct proxy;
void proxy_watermark_start(struct proxy *p); /* on the main loop */

/* Every statistic of it: name (Envoy's, with dots, or "watari.…"), whether it is a counter, help,
 * value. */
void proxy_watermark_each(struct proxy *p,
                          void (*visit)(void *ctx, const char *name, bool counter, const char *help,
                                        uint64_t value),
                          void *ctx);

#endif
