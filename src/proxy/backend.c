#include "proxy/backend.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdlib.h>

enum { PLACES_TRIED = 16 }; /* before all hosts are looked at */

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

int proxy_backend_weigh(struct proxy_backend *b)
{
    uint32_t *weights = wt_calloc(b->n_hosts + 1, sizeof *weights);
    if (!weights)
        return WT_ENOMEM;
    for (uint32_t i = 0; i < b->n_hosts; i++)
        weights[i] = b->hosts[i]->weight;
    int r = proxy_rotation_make(weights, b->n_hosts, &b->arena, &b->rotation);
    wt_free(weights);
    return r;
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

/* Each one after the other. A turn that finds nobody is not taken; one that passes over a host goes
 * on behind it, or the next in the list would have that host's share too. */
static struct proxy_host *in_turn(const struct proxy_backend *b, struct proxy_backend_lane *lane,
                                  const struct proxy_tried *tried, enum wish wish)
{
    uint32_t at = lane->turn;
    for (uint32_t i = 0; i < b->n_hosts; i++) {
        at = at < b->n_hosts ? at : 0;
        struct proxy_host *h = b->hosts[at++];
        if (fits(h, tried, wish)) {
            lane->turn = at;
            return h;
        }
    }
    return NULL;
}

/* By weight among those that fit, all of them looked at. */
static struct proxy_host *by_weight(const struct proxy_backend *b, uint32_t random,
                                    const struct proxy_tried *tried, enum wish wish)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < b->n_hosts; i++)
        total += fits(b->hosts[i], tried, wish) ? b->hosts[i]->weight : 0;
    uint64_t at = total * random >> 32;
    for (uint32_t i = 0; i < b->n_hosts && total; i++) {
        struct proxy_host *h = b->hosts[i];
        if (!fits(h, tried, wish))
            continue;
        if (at < h->weight)
            return h;
        at -= h->weight;
    }
    return NULL;
}

/* With unequal weights: in turn, or without turns at random. Places of hosts that do not fit are
 * passed over, so the others keep their shares; where most of the weight is theirs, the rest is
 * shared out by weight. */
static struct proxy_host *weighted(const struct proxy_backend *b, struct proxy_backend_lane *turns,
                                   struct wt_rng *rng, const struct proxy_tried *tried,
                                   enum wish wish)
{
    uint32_t turn = turns ? turns->turn : 0;
    struct proxy_host *h = NULL;
    for (unsigned i = 0; i < PLACES_TRIED && !h; i++) {
        uint32_t host =
            turns ? proxy_rotation_next(&b->rotation, &turn)
                  : proxy_rotation_at(&b->rotation, wt_rng_below(rng, b->rotation.n_places));
        h = fits(b->hosts[host], tried, wish) ? b->hosts[host] : NULL;
    }
    if (!h) {
        uint32_t random =
            turns ? (turns->spare += 0x9e3779b9u) : (uint32_t)(wt_rng_next(rng) >> 32);
        h = by_weight(b, random, tried, wish);
    }
    if (h && turns)
        turns->turn = turn;
    return h;
}

/* The first one fitting; a retry takes nobody's turn from the others where weights differ. */
static struct proxy_host *first_choice(const struct proxy_backend *b,
                                       struct proxy_backend_lane *lane, struct wt_rng *rng,
                                       const struct proxy_tried *tried, enum wish wish)
{
    if (b->rotation.n_places)
        return weighted(b, tried->n ? NULL : lane, rng, tried, wish);
    if (b->policy.round_robin)
        return in_turn(b, lane, tried, wish);
    return scan(b, wt_rng_below(rng, b->n_hosts), tried, wish);
}

/* A host of twice the weight is as busy with twice the requests. The one under way already count,
 * not the one to come: between two idle hosts the draw decides, and that was by weight. */
static struct proxy_host *less_busy(struct proxy_host *a, struct proxy_host *b, unsigned worker)
{
    uint64_t load_a = (uint64_t)a->lanes[worker].active * b->weight;
    uint64_t load_b = (uint64_t)b->lanes[worker].active * a->weight;
    return load_b < load_a ? b : a;
}

struct proxy_host *proxy_backend_pick(const struct proxy_backend *b, unsigned worker,
                                      const struct proxy_tried *tried, struct wt_rng *rng)
{
    if (b->n_hosts == 0)
        return NULL;
    struct proxy_backend_lane *lane = proxy_backend_lane(b, worker);
    for (enum wish wish = FRESH_AND_HEALTHY; wish < WISHES; wish++) {
        struct proxy_host *one = first_choice(b, lane, rng, tried, wish), *two;
        if (!one)
            continue;
        if (b->policy.round_robin || b->n_hosts == 1)
            return one;
        two = b->rotation.n_places ? weighted(b, NULL, rng, tried, wish)
                                   : scan(b, wt_rng_below(rng, b->n_hosts), tried, wish);
        return two ? less_busy(one, two, worker) : one; /* probes may have changed their mind */
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
