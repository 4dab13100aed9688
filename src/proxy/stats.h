/* Counters of the data plane: written by one thread each, read by any.
 *
 * Every worker owns one block per backend, listener and migration, so counting is a plain add
 * without a lock or a shared cache line. A reader (the scrape, the guard's report) sums the blocks.
 * The structs hold nothing but uint64_t, which lets them be summed as arrays; a count that goes up
 * and down (…_active) is right after summing modulo 2^64, whichever worker subtracts.
 *
 * The registry is keyed by name and refcounted: a snapshot takes its entries before the older one
 * lets go of them, so the counts of what stays configured survive any number of swaps.
 */
#ifndef PROXY_STATS_H
#define PROXY_STATS_H

#include "base/err.h"
#include "base/str.h"

/* Upper bounds of Envoy's default histogram, in microseconds; the last bucket has no bound. */
#define PROXY_HISTOGRAM_BOUNDS 19
extern const uint64_t proxy_histogram_bounds_us[PROXY_HISTOGRAM_BOUNDS];

struct proxy_histogram {
    uint64_t buckets[PROXY_HISTOGRAM_BOUNDS + 1]; /* not cumulative */
    uint64_t sum_us;
};

/* Index is the first digit of the status minus 1. */
#define PROXY_STATUS_CLASSES 5

struct proxy_backend_stats {
    uint64_t rq_total, rq_active;
    uint64_t rq_class[PROXY_STATUS_CLASSES];
    uint64_t rq_retry, rq_retry_success, rq_retry_overflow, rq_retry_abandoned;
    uint64_t rq_timeout, rq_per_try_timeout, rq_rx_reset, rq_tx_reset;
    uint64_t rq_pending_overflow;
    uint64_t cx_total, cx_active, cx_connect_fail, cx_connect_timeout, cx_overflow;
    uint64_t cx_reused_stale; /* a pooled connection turned out to be closed by the peer */
    uint64_t cx_surplus;      /* bytes came that answer no request */
    uint64_t cx_rx_bytes, cx_tx_bytes;
    uint64_t health_check_attempt, health_check_success, health_check_failure;
    struct proxy_histogram rq_time;
};

struct proxy_listener_stats {
    uint64_t rq_total, rq_active;
    uint64_t rq_class[PROXY_STATUS_CLASSES];
    uint64_t rq_rx_reset, rq_timeout, rq_too_large, rq_no_route, rq_overload;
    uint64_t cx_total, cx_active, cx_protocol_error, cx_idle_timeout, cx_refused;
    uint64_t cx_rx_bytes, cx_tx_bytes;
    uint64_t rq_lost; /* no complete answer, or an error that the proxy made */
    struct proxy_histogram rq_time;
};

enum proxy_side { PROXY_SIDE_OLD, PROXY_SIDE_NEW, PROXY_SIDES };

struct proxy_migration_stats {
    uint64_t requests[PROXY_SIDES];
    uint64_t lost[PROXY_SIDES]; /* the three counters are never mixed: lost, bad, rescued */
    uint64_t bad[PROXY_SIDES];
    uint64_t rescued[PROXY_SIDES]; /* failed first on this side, answered by another host or side */
    struct proxy_histogram rq_time[PROXY_SIDES];
};

/* What belongs to a worker and to nothing configured; never forgotten. */
struct proxy_worker_stats {
    uint64_t requests_lost;
    uint64_t in_flight_older; /* requests that still run on an older snapshot */
    uint64_t snapshot_version;
    uint64_t accept_failures;
    uint64_t log_lines, log_lines_dropped;
    uint64_t fibers;                 /* that live */
    uint64_t stack_high_water_bytes; /* the deepest fiber stack seen (sampled) */
};

/* Values that describe the whole proxy rather than one worker: set, not added. Doubles; see
 * proxy_gauge_set. One writer each. */
enum proxy_backend_gauge {
    PROXY_BACKEND_MEMBERS,
    PROXY_BACKEND_HEALTHY,
    PROXY_BACKEND_GAUGES,
};

enum proxy_migration_gauge {
    PROXY_MIGRATION_WEIGHT,         /* per cent asked of the new side */
    PROXY_MIGRATION_SHARE_OBSERVED, /* per cent seen there */
    PROXY_MIGRATION_STEP,
    PROXY_MIGRATION_EPOCH,
    PROXY_MIGRATION_USERS_MOVED,
    PROXY_MIGRATION_USERS_MOVED_BACK,
    PROXY_MIGRATION_EVIDENCE, /* how near a verdict is (health_evidence_level) */
    PROXY_MIGRATION_GAUGES,
};

#define PROXY_GAUGES_MAX 8

enum proxy_stats_kind {
    PROXY_STATS_BACKEND,
    PROXY_STATS_LISTENER,
    PROXY_STATS_MIGRATION,
    PROXY_STATS_WORKER,
    PROXY_STATS_KINDS,
};

struct proxy_stats;       /* the registry; any thread */
struct proxy_stats_entry; /* one name; refcounted; any thread */

struct proxy_stats *proxy_stats_new(unsigned n_workers); /* NULL without memory; workers 1..1024 */
void proxy_stats_free(struct proxy_stats *s);            /* after every entry was let go */

unsigned proxy_stats_workers(const struct proxy_stats *s);

/* Finds or makes the entry and takes a reference; NULL without memory. `name` is copied. */
struct proxy_stats_entry *proxy_stats_take(struct proxy_stats *s, enum proxy_stats_kind kind,
                                           struct wt_str name) WT_NODISCARD;
struct proxy_stats_entry *proxy_stats_entry_ref(struct proxy_stats_entry *e);
void proxy_stats_entry_unref(struct proxy_stats_entry *e); /* NULL allowed */
struct wt_str proxy_stats_entry_name(const struct proxy_stats_entry *e);

/* A worker's own block; `worker` < n_workers. The kind of the entry must fit. */
struct proxy_backend_stats *proxy_stats_backend(struct proxy_stats_entry *e, unsigned worker);
struct proxy_listener_stats *proxy_stats_listener(struct proxy_stats_entry *e, unsigned worker);
struct proxy_migration_stats *proxy_stats_migration(struct proxy_stats_entry *e, unsigned worker);
struct proxy_worker_stats *proxy_stats_worker(struct proxy_stats *s, unsigned worker);

/* `gauge` is an enum proxy_…_gauge of the entry's kind. */
void proxy_gauge_set(struct proxy_stats_entry *e, unsigned gauge, double value);
double proxy_gauge_get(const struct proxy_stats_entry *e, unsigned gauge);

/* Sums over all workers. `out` is the struct of the entry's kind. */
void proxy_stats_sum(const struct proxy_stats_entry *e, void *out);

/* Calls `visit` for every entry of a kind in the order of first use. The registry is locked
 * meanwhile: the visitor takes and releases no entry. */
void proxy_stats_each(struct proxy_stats *s, enum proxy_stats_kind kind,
                      void (*visit)(void *ctx, const struct proxy_stats_entry *e), void *ctx);

/* Only the owner of the block adds; relaxed atomics keep readers well defined and cost nothing. */
static inline void proxy_count_add(uint64_t *counter, uint64_t n)
{
    uint64_t old = __atomic_load_n(counter, __ATOMIC_RELAXED);
    __atomic_store_n(counter, old + n, __ATOMIC_RELAXED);
}

static inline void proxy_count(uint64_t *counter)
{
    proxy_count_add(counter, 1);
}

static inline void proxy_count_down(uint64_t *counter)
{
    proxy_count_add(counter, UINT64_MAX);
}

static inline void proxy_count_set(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

/* Counts a status 100..599 in `classes`; anything else is left out. */
static inline void proxy_count_status(uint64_t classes[PROXY_STATUS_CLASSES], unsigned status)
{
    if (status >= 100 && status <= 599)
        proxy_count(&classes[status / 100 - 1]);
}

void proxy_histogram_observe(struct proxy_histogram *h, int64_t duration_us);

#endif
