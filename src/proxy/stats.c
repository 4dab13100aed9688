#include "proxy/stats.h"

#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

#define LINE_BYTES 64

const uint64_t proxy_histogram_bounds_us[PROXY_HISTOGRAM_BOUNDS] = {
    500,      1000,      5000,      10000,      25000,      50000,    100000,
    250000,   500000,    1000000,   2500000,    5000000,    10000000, 30000000,
    60000000, 300000000, 600000000, 1800000000, 3600000000,
};

static const struct {
    size_t size;
} kinds[PROXY_STATS_KINDS] = {
    [PROXY_STATS_BACKEND] = {sizeof(struct proxy_backend_stats)},
    [PROXY_STATS_LISTENER] = {sizeof(struct proxy_listener_stats)},
    [PROXY_STATS_MIGRATION] = {sizeof(struct proxy_migration_stats)},
    [PROXY_STATS_WORKER] = {sizeof(struct proxy_worker_stats)},
};

struct proxy_stats_entry {
    struct proxy_stats *stats;
    enum proxy_stats_kind kind;
    struct wt_str name;
    uint64_t refs; /* under the registry's lock */
    size_t stride; /* bytes from one worker's block to the next: whole cache lines */
    uint64_t gauges[PROXY_GAUGES_MAX]; /* bits of a double */
    char *blocks;                      /* aligned within `memory` */
    void *memory;
};

struct proxy_stats {
    pthread_mutex_t lock;
    unsigned n_workers;
    struct wt_map entries[PROXY_STATS_KINDS];
    struct proxy_stats_entry *workers;
};

_Static_assert((int)PROXY_BACKEND_GAUGES <= PROXY_GAUGES_MAX &&
                   (int)PROXY_MIGRATION_GAUGES <= PROXY_GAUGES_MAX,
               "gauges of an entry");

static void entry_free(struct proxy_stats_entry *e)
{
    wt_free(e->memory);
    wt_free((char *)(uintptr_t)e->name.ptr);
    wt_free(e);
}

static struct proxy_stats_entry *entry_new(struct proxy_stats *s, enum proxy_stats_kind kind,
                                           struct wt_str name)
{
    struct proxy_stats_entry *e = wt_calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->stats = s;
    e->kind = kind;
    e->stride = (kinds[kind].size + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    e->name = wt_str(wt_str_dup(name), name.len);
    e->memory = wt_calloc(1, e->stride * s->n_workers + LINE_BYTES);
    if (!e->name.ptr || !e->memory) {
        entry_free(e);
        return NULL;
    }
    uintptr_t at = ((uintptr_t)e->memory + LINE_BYTES - 1) & ~(uintptr_t)(LINE_BYTES - 1);
    e->blocks = (char *)at;
    return e;
}

struct proxy_stats *proxy_stats_new(unsigned n_workers)
{
    if (n_workers < 1 || n_workers > 1024)
        return NULL;
    struct proxy_stats *s = wt_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->n_workers = n_workers;
    pthread_mutex_init(&s->lock, NULL);
    s->workers = proxy_stats_take(s, PROXY_STATS_WORKER, WT_STR("worker"));
    if (!s->workers) {
        proxy_stats_free(s);
        return NULL;
    }
    return s;
}

void proxy_stats_free(struct proxy_stats *s)
{
    if (!s)
        return;
    proxy_stats_entry_unref(s->workers);
    for (unsigned k = 0; k < PROXY_STATS_KINDS; k++)
        wt_map_done(&s->entries[k]);
    pthread_mutex_destroy(&s->lock);
    wt_free(s);
}

unsigned proxy_stats_workers(const struct proxy_stats *s)
{
    return s->n_workers;
}

static struct proxy_stats_entry *take_locked(struct proxy_stats *s, enum proxy_stats_kind kind,
                                             struct wt_str name)
{
    struct proxy_stats_entry *e = wt_map_get(&s->entries[kind], name);
    if (!e) {
        e = entry_new(s, kind, name);
        if (!e)
            return NULL;
        if (wt_map_put(&s->entries[kind], name, e, NULL) < 0) {
            entry_free(e);
            return NULL;
        }
    }
    e->refs++;
    return e;
}

struct proxy_stats_entry *proxy_stats_take(struct proxy_stats *s, enum proxy_stats_kind kind,
                                           struct wt_str name)
{
    pthread_mutex_lock(&s->lock);
    struct proxy_stats_entry *e = take_locked(s, kind, name);
    pthread_mutex_unlock(&s->lock);
    return e;
}

struct proxy_stats_entry *proxy_stats_entry_ref(struct proxy_stats_entry *e)
{
    pthread_mutex_lock(&e->stats->lock);
    e->refs++;
    pthread_mutex_unlock(&e->stats->lock);
    return e;
}

void proxy_stats_entry_unref(struct proxy_stats_entry *e)
{
    if (!e)
        return;
    struct proxy_stats *s = e->stats;
    pthread_mutex_lock(&s->lock);
    bool last = --e->refs == 0;
    if (last)
        wt_map_take(&s->entries[e->kind], e->name);
    pthread_mutex_unlock(&s->lock);
    if (last)
        entry_free(e);
}

struct wt_str proxy_stats_entry_name(const struct proxy_stats_entry *e)
{
    return e->name;
}

static void *block(const struct proxy_stats_entry *e, unsigned worker)
{
    return e->blocks + e->stride * worker;
}

struct proxy_backend_stats *proxy_stats_backend(struct proxy_stats_entry *e, unsigned worker)
{
    return block(e, worker);
}

struct proxy_listener_stats *proxy_stats_listener(struct proxy_stats_entry *e, unsigned worker)
{
    return block(e, worker);
}

struct proxy_migration_stats *proxy_stats_migration(struct proxy_stats_entry *e, unsigned worker)
{
    return block(e, worker);
}

struct proxy_worker_stats *proxy_stats_worker(struct proxy_stats *s, unsigned worker)
{
    return block(s->workers, worker);
}

void proxy_gauge_set(struct proxy_stats_entry *e, unsigned gauge, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    __atomic_store_n(&e->gauges[gauge], bits, __ATOMIC_RELAXED);
}

double proxy_gauge_get(const struct proxy_stats_entry *e, unsigned gauge)
{
    uint64_t bits = __atomic_load_n(&e->gauges[gauge], __ATOMIC_RELAXED);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void proxy_stats_sum(const struct proxy_stats_entry *e, void *out)
{
    size_t n = kinds[e->kind].size / sizeof(uint64_t);
    uint64_t *sum = out;
    memset(sum, 0, kinds[e->kind].size);
    for (unsigned w = 0; w < e->stats->n_workers; w++) {
        const uint64_t *from = block(e, w);
        for (size_t i = 0; i < n; i++)
            sum[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
}

void proxy_stats_each(struct proxy_stats *s, enum proxy_stats_kind kind,
                      void (*visit)(void *ctx, const struct proxy_stats_entry *e), void *ctx)
{
    pthread_mutex_lock(&s->lock);
    const struct wt_map *m = &s->entries[kind];
    for (struct wt_map_entry *e = wt_map_first(m); e; e = wt_map_next(m, e))
        visit(ctx, e->value);
    pthread_mutex_unlock(&s->lock);
}

void proxy_histogram_observe(struct proxy_histogram *h, int64_t duration_us)
{
    uint64_t us = duration_us > 0 ? (uint64_t)duration_us : 0;
    unsigned i = 0;
    /* Most answers take less than 25 ms: a short linear scan beats a binary search. */
    while (i < PROXY_HISTOGRAM_BOUNDS && us > proxy_histogram_bounds_us[i])
        i++;
    proxy_count(&h->buckets[i]);
    proxy_count_add(&h->sum_us, us);
}
