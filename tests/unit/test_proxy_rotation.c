/* proxy/rotation.h: in which order hosts of unequal weights take turns. */
#include "proxy/rotation.h"

#include "base/hash.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct proxy_rotation make(const uint32_t *weights, uint32_t n, struct wt_arena *arena)
{
    struct proxy_rotation r;
    *arena = wt_arena_make(1 << 20);
    assert_int_equal(proxy_rotation_make(weights, n, arena, &r), 0);
    return r;
}

/* "aab": whose turns they are. */
static const struct {
    uint32_t weights[4], n;
    const char *cycle;
} orders[] = {
    {{9, 1}, 2, "aaaaabaaaa"}, {{900, 100}, 2, "aaaaabaaaa"}, /* what they have in common makes no
                                                                 cycle longer */
    {{2, 1, 1}, 3, "abca"},    {{5, 1, 1}, 3, "aabacaa"},     {{3, 2, 1}, 3, "abacba"},
    {{2, 3}, 2, "babab"},
};

static void small_orders_are_those_of_nginx(void **ctx)
{
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct wt_arena arena;
        struct proxy_rotation r = make(orders[i].weights, orders[i].n, &arena);
        char got[32] = "";
        uint32_t turn = 0;
        assert_int_equal(r.n_places, strlen(orders[i].cycle));
        for (uint32_t k = 0; k < r.n_places; k++)
            got[k] = (char)('a' + proxy_rotation_next(&r, &turn));
        assert_string_equal(got, orders[i].cycle);
        wt_arena_done(&arena);
    }
}

static void equal_weights_need_no_order(void **ctx)
{
    static const uint32_t weights[] = {7, 7, 7};
    struct wt_arena arena;
    for (uint32_t n = 0; n <= 3; n++) {
        struct proxy_rotation r = make(weights, n, &arena);
        assert_int_equal(r.n_places, 0);
        assert_int_equal(arena.used, 0);
        wt_arena_done(&arena);
    }
}

/* Rows of hosts: `n` whose weights go from `from` to `to`, after `first` (0: none). */
static const struct {
    uint32_t first, n, from, to;
    bool listed;
} rows[] = {
    {9, 1, 1, 1, true},           {1, 1, 1000, 1000, true},     {1000, 1, 999, 999, true},
    {100, 100, 1, 1, true},       {1000, 24, 1, 1, true},       {0, 30, 1, 30, true},
    {0, 40, 1, 1000, true},       {1000, 1, 1, 1, true},        {0, 100, 990, 1000, false},
    {1000, 1000, 1, 1, false},    {0, 400, 1, 1000, false},     {1000, 4095, 1, 1, false},
    {0, 4096, 1, 50, false},      {1, 1000, 1000, 1000, false}, {0, 2000, 1, 2, false},
    {999, 300, 999, 1000, false},
};

static uint32_t *row(size_t i, struct wt_rng *rng, uint32_t *out_n)
{
    uint32_t n = 0, *weights = wt_calloc(rows[i].n + 1, sizeof *weights);
    assert_non_null(weights);
    if (rows[i].first)
        weights[n++] = rows[i].first;
    for (uint32_t k = 0; k < rows[i].n; k++)
        weights[n++] = rows[i].from + wt_rng_below(rng, rows[i].to - rows[i].from + 1);
    *out_n = n;
    return weights;
}

static void check_cycle(const struct proxy_rotation *r, const uint32_t *weights, uint32_t n)
{
    /* How far a host's number of turns may be from its share at any time. */
    const double off_max = r->order ? 1 : 5;
    uint32_t *got = wt_calloc(n, sizeof *got), turn = 0;
    uint64_t sum = 0;
    assert_non_null(got);
    for (uint32_t i = 0; i < n; i++)
        sum += weights[i];
    for (uint32_t k = 0; k < r->n_places; k++) {
        uint32_t i = proxy_rotation_next(r, &turn);
        assert_true(i < n);
        double share = (double)weights[i] / (double)sum;
        /* Just before and just after a turn it is the farthest off. */
        assert_true(k * share - got[i] < off_max && got[i] + 1 - (k + 1) * share < off_max);
        got[i]++;
    }
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal((uint64_t)got[i] * sum, (uint64_t)weights[i] * r->n_places);
    assert_int_equal(turn, 0);
    wt_free(got);
}

static void shares_are_exact_and_come_evenly(void **ctx)
{
    struct wt_rng rng = {3};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wt_arena arena;
        uint32_t n, *weights = row(i, &rng, &n);
        struct proxy_rotation r = make(weights, n, &arena);
        assert_int_equal(r.order != NULL, rows[i].listed);
        assert_true(arena.used <= (64 << 10));
        check_cycle(&r, weights, n);
        wt_free(weights);
        wt_arena_done(&arena);
    }
}

static void a_turn_of_another_order_will_do(void **ctx)
{
    struct wt_arena arena;
    struct proxy_rotation r = make(orders[0].weights, 2, &arena);
    uint32_t turn = UINT32_MAX, n[2] = {0};
    for (unsigned k = 0; k < 10; k++)
        n[proxy_rotation_next(&r, &turn)]++;
    assert_int_equal(n[0], 9);
    wt_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_orders_are_those_of_nginx),
        cmocka_unit_test(equal_weights_need_no_order),
        cmocka_unit_test(shares_are_exact_and_come_evenly),
        cmocka_unit_test(a_turn_of_another_order_will_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
