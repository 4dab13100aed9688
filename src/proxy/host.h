/* A host: one address of a backend. Hosts outlive snapshots: the same address of the same backend
 * is the same host, with its health, its idle connections and its counts.
 *
 * Health is set by the prober's thread and read by workers. Everything in a lane belongs to one
 * worker.
 */
#ifndef PROXY_HOST_H
#define PROXY_HOST_H

#include "base/list.h"
#include "io/stream.h"

#include <stdatomic.h>
#include <stdbool.h>

struct proxy_host_lane {
    struct wt_list idle; /* connections in no exchange, newest first */
    uint32_t n_idle;
    uint32_t active; /* exchanges under way */
    /* The shortest silence after which this host was seen to close a kept connection; a request
     * that may not be sent twice uses none that was silent for longer. IO_NEVER: not seen yet. */
    int64_t idle_limit_ms;
    uint32_t answer_ms8; /* moving average of the time to an answer's head, in 1/8 ms */
} __attribute__((aligned(64)));

struct proxy_host {
    atomic_uint refs;
    atomic_bool healthy;         /* what probes say */
    _Atomic int64_t answered_ms; /* when a worker last had an answer from it (to about
                                    PROXY_ANSWERED_STEP_MS) */
    /* Connections that should end instead of being kept. A host that serves one connection per
     * process (Apache's prefork) or has few threads leaves new ones in its queue for as long as the
     * kept ones are busy; for each that waits there, one that it serves makes room. */
    atomic_uint owed;
    atomic_bool retired;        /* no longer in the newest snapshot: keep no connection to it */
    _Atomic int64_t surplus_ms; /* when it last sent bytes that answer no request */
    union io_addr addr;
    uint32_t weight;
    struct wt_str text; /* "10.0.0.11:80" */
    char text_bytes[IO_ADDR_TEXT];
    unsigned n_lanes;
    struct proxy_host_lane lanes[];
};

enum {
    PROXY_ANSWERED_STEP_MS = 250,
    PROXY_ANSWERED_FRESH_MS = 3000,
    PROXY_SURPLUS_FOR_MS = 10 * 60 * 1000,
};

/* It has answered a request just now. */
static inline void proxy_host_answered(struct proxy_host *h, int64_t now_ms)
{
    /* Not at every request: the cache line is shared by all workers. */
    if (now_ms - atomic_load_explicit(&h->answered_ms, memory_order_relaxed) >=
        PROXY_ANSWERED_STEP_MS)
        atomic_store_explicit(&h->answered_ms, now_ms, memory_order_relaxed);
}

/* It could not be reached: only probes may call it healthy now. */
static inline void proxy_host_silent(struct proxy_host *h)
{
    atomic_store_explicit(&h->answered_ms, INT64_MIN / 2, memory_order_relaxed);
}

/* Whether it was seen to send more than its answers (the body of a HEAD or a 204, more than its
 * Content-Length). On a kept connection such bytes are taken for the answer to whoever comes next
 * whenever they arrive a moment later than that request, and nothing tells them apart: each request
 * gets a connection of its own. */
static inline bool proxy_host_has_surplus(const struct proxy_host *h, int64_t now_ms)
{
    return now_ms - atomic_load_explicit(&h->surplus_ms, memory_order_relaxed) <
           PROXY_SURPLUS_FOR_MS;
}

/* Takes one of `owed`, if there is any: the caller's connection is not to be kept. */
static inline bool proxy_host_take_owed(struct proxy_host *h)
{
    unsigned n = atomic_load_explicit(&h->owed, memory_order_relaxed);
    while (n && !atomic_compare_exchange_weak_explicit(&h->owed, &n, n - 1, memory_order_relaxed,
                                                       memory_order_relaxed))
        ;
    return n > 0;
}

/* Healthy until a probe says otherwise. NULL without memory. */
struct proxy_host *proxy_host_new(const union io_addr *addr, uint32_t weight, unsigned n_workers);
struct proxy_host *proxy_host_ref(struct proxy_host *h);
void proxy_host_unref(struct proxy_host *h);

#endif
