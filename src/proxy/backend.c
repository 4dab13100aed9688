#include "proxy/backend.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdlib.h>

struct proxy_backend_lanes {
    atomic_uint refs;
    struct proxy_backend_lane lanes[];
};

static struct proxy_backend_lanes *lanes_new(unsigned n)
{
    struct proxy_backend_lanes *l;
    size_t size = (sizeof *l + n * sizeof l->lanes[0] + 63) & ~(size_t)63;
    l = aligned_alloc(64, size);
    if (!l)
        return NULL;
    memset(l, 0, size);
    atomic_init(&l->refs, 1);
    return l;
}

static struct proxy_backend_lanes *lanes_ref(struct proxy_backend_lanes *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

static void lanes_unref(struct proxy_backend_lanes *l)
{
    if (l && atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1)
        free(l);
}

struct proxy_backend *proxy_backend_new(struct wt_str name, unsigned n_workers,
                                        const struct proxy_backend *before)
{
    struct proxy_backend *b = wt_calloc(1, sizeof *b);
    if (!b)
        return NULL;
    atomic_init(&b->refs, 1);
    b->arena = wt_arena_make(16 << 20);
    b->name = wt_arena_str(&b->arena, name);
    b->lanes = before ? lanes_ref(before->lanes) : lanes_new(n_workers);
    if (!b->name.ptr || !b->lanes) {
        proxy_backend_unref(b);
        return NULL;
    }
    return b;
}

struct proxy_backend *proxy_backend_ref(struct proxy_backend *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void proxy_backend_unref(struct proxy_backend *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < b->n_hosts; i++)
        proxy_host_unref(b->hosts[i]);
    for (int i = 0; i < 2; i++)
        json_decref(b->docs[i]);
    proxy_stats_entry_unref(b->stats);
    lanes_unref(b->lanes);
    wt_arena_done(&b->arena);
    wt_free(b);
}

struct proxy_backend_lane *proxy_backend_lane(const struct proxy_backend *b, unsigned worker)
{
    return &b->lanes->lanes[worker];
}

static bool usable(const struct proxy_host *h)
{
    return atomic_load_explicit(&h->healthy, memory_order_relaxed);
}

unsigned proxy_backend_healthy(const struct proxy_backend *b)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < b->n_hosts; i++)
        n += usable(b->hosts[i]);
    return n;
}

bool proxy_backend_alive(const struct proxy_backend *b, int64_t now_ms)
{
    for (uint32_t i = 0; i < b->n_hosts; i++)
        if (usable(b->hosts[i]) ||
            now_ms - atomic_load_explicit(&b->hosts[i]->answered_ms, memory_order_relaxed) <
                PROXY_ANSWERED_FRESH_MS)
            return true;
    return false;
}

static bool was_tried(const struct proxy_tried *tried, const struct proxy_host *h)
{
    for (unsigned i = 0; i < tried->n; i++)
        if (tried->hosts[i] == h)
            return true;
    return false;
}

enum wish { FRESH_AND_HEALTHY, HEALTHY, FRESH, ANY, WISHES };

static bool fits(const struct proxy_host *h, const struct proxy_tried *tried, enum wish wish)
{
    if ((wish == FRESH_AND_HEALTHY || wish == HEALTHY) && !usable(h))
        return false;
    return !((wish == FRESH_AND_HEALTHY || wish == FRESH) && was_tried(tried, h));
}

/* The first fitting host from `start` on, round the list. */
static struct proxy_host *scan(const struct proxy_backend *b, uint32_t start,
                               const struct proxy_tried *tried, enum wish wish)
{
    for (uint32_t i = 0; i < b->n_hosts; i++) {
        struct proxy_host *h = b->hosts[(start + i) % b->n_hosts];
        if (fits(h, tried, wish))
            return h;
    }
    return NULL;
}

static struct proxy_host *less_busy(struct proxy_host *a, struct proxy_host *b, unsigned worker)
{
    /* Scaled by weight: a host of twice the weight is as busy with twice the requests. */
    uint64_t load_a = (uint64_t)(a->lanes[worker].active + 1) * b->weight;
    uint64_t load_b = (uint64_t)(b->lanes[worker].active + 1) * a->weight;
    return load_b < load_a ? b : a;
}

struct proxy_host *proxy_backend_pick(const struct proxy_backend *b, unsigned worker,
                                      const struct proxy_tried *tried, struct wt_rng *rng)
{
    if (b->n_hosts == 0)
        return NULL;
    struct proxy_backend_lane *lane = proxy_backend_lane(b, worker);
    for (enum wish wish = FRESH_AND_HEALTHY; wish < WISHES; wish++) {
        uint32_t start =
            b->policy.round_robin ? lane->turn++ % b->n_hosts : wt_rng_below(rng, b->n_hosts);
        struct proxy_host *one = scan(b, start, tried, wish);
        if (!one)
            continue;
        if (b->policy.round_robin || b->n_hosts == 1)
            return one;
        struct proxy_host *two = scan(b, wt_rng_below(rng, b->n_hosts), tried, wish);
        return less_busy(one, two, worker);
    }
    return NULL;
}

bool proxy_backend_take_retry(const struct proxy_backend *b, unsigned worker)
{
    struct proxy_backend_lane *lane = proxy_backend_lane(b, worker);
    uint32_t allowed = (uint32_t)(b->policy.budget_percent * lane->active / 100);
    if (allowed < b->policy.budget_min)
        allowed = b->policy.budget_min;
    if (lane->active_retries >= allowed)
        return false;
    lane->active_retries++;
    return true;
}

void proxy_backend_give_retry(const struct proxy_backend *b, unsigned worker)
{
    proxy_backend_lane(b, worker)->active_retries--;
}
