#include "proxy/rotation.h"

#include "base/err.h"
#include "base/mem.h"

enum {
    WORK_MAX = 1 << 20, /* hosts x places for which an order is made: about a millisecond */
    STEPS = 32,         /* looked at on either side of the ideal one */
};

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* nginx's smooth weighted round robin (ngx_http_upstream_round_robin.c): all gain their weight, the
 * richest is next and pays the sum. After a cycle all have what they had at first. */
static int make_order(const uint32_t *weights, uint32_t n, uint32_t divisor, uint16_t *order,
                      uint32_t n_places)
{
    int64_t *credit = wt_calloc(n, sizeof *credit);
    if (!credit)
        return WT_ENOMEM;
    for (uint32_t place = 0; place < n_places; place++) {
        uint32_t best = 0;
        for (uint32_t i = 0; i < n; i++) {
            credit[i] += weights[i] / divisor;
            if (credit[i] > credit[best])
                best = i;
        }
        credit[best] -= n_places;
        order[place] = (uint16_t)best;
    }
    wt_free(credit);
    return 0;
}

/* The sum of the quotients of a/b's continued fraction: the smaller, the more evenly do multiples
 * of b lie round a circle of a (Niederreiter 1978). UINT32_MAX: they do not come everywhere. */
static uint32_t unevenness(uint32_t a, uint32_t b)
{
    uint32_t sum = 0;
    while (b) {
        uint32_t rest = a % b;
        sum += a / b;
        a = b;
        b = rest;
    }
    return a == 1 ? sum : UINT32_MAX;
}

/* Near the golden section, whose quotients are all 1. Of 65 numbers in a row at least one is prime
 * to any n below 2^32. */
static uint32_t golden_step(uint32_t n)
{
    uint32_t ideal = (uint32_t)((uint64_t)n * 0x9e3779b9u >> 32), best = ideal;
    uint32_t best_is = UINT32_MAX;
    for (uint32_t step = ideal - STEPS; step <= ideal + STEPS; step++) {
        uint32_t is = unevenness(n, step);
        if (is < best_is) {
            best_is = is;
            best = step;
        }
    }
    return best;
}

int proxy_rotation_make(const uint32_t *weights, uint32_t n, struct wt_arena *arena,
                        struct proxy_rotation *out)
{
    struct proxy_rotation r = {.n_hosts = n, .step = 1};
    uint32_t divisor = 0;
    bool equal = true;
    for (uint32_t i = 0; i < n; i++) {
        divisor = common_divisor(divisor, weights[i]);
        equal = equal && weights[i] == weights[0];
        r.n_places += weights[i];
    }
    if (equal) {
        *out = (struct proxy_rotation){0};
        return 0;
    }
    r.n_places /= divisor;
    if ((uint64_t)n * r.n_places <= WORK_MAX) {
        uint16_t *order = wt_arena_alloc(arena, r.n_places * sizeof *order);
        if (!order || make_order(weights, n, divisor, order, r.n_places) < 0)
            return WT_ENOMEM;
        r.order = order;
    } else {
        uint32_t *ends = wt_arena_alloc(arena, n * sizeof *ends);
        if (!ends)
            return WT_ENOMEM;
        for (uint32_t i = 0; i < n; i++)
            ends[i] = (i ? ends[i - 1] : 0) + weights[i] / divisor;
        r.ends = ends;
        r.step = golden_step(r.n_places);
    }
    *out = r;
    return 0;
}

uint32_t proxy_rotation_at(const struct proxy_rotation *r, uint32_t place)
{
    if (r->order)
        return r->order[place];
    uint32_t from = 0, to = r->n_hosts - 1;
    while (from < to) {
        uint32_t middle = (from + to) / 2;
        if (place < r->ends[middle])
            to = middle;
        else
            from = middle + 1;
    }
    return from;
}

uint32_t proxy_rotation_next(const struct proxy_rotation *r, uint32_t *turn)
{
    uint32_t place = *turn < r->n_places ? *turn : *turn % r->n_places;
    uint32_t next = place + r->step;
    *turn = next < r->n_places ? next : next - r->n_places;
    return proxy_rotation_at(r, place);
}
