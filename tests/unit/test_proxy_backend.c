/* proxy/backend.h: which host a try goes to, and how many retries there may be. */
#include "proxy/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { HOSTS = 4, WORKERS = 2 };

static struct proxy_backend *make(bool round_robin)
{
    struct proxy_backend *b = proxy_backend_new(WT_STR("default/shop"), WORKERS, NULL);
    assert_non_null(b);
    b->policy = proxy_policy_from(NULL);
    b->policy.round_robin = round_robin;
    b->hosts = wt_arena_alloc(&b->arena, HOSTS * sizeof(struct proxy_host *));
    assert_non_null(b->hosts);
    for (unsigned i = 0; i < HOSTS; i++) {
        union io_addr addr = {0};
        assert_int_equal(io_addr_parse(WT_STR("10.0.0.1"), (uint16_t)(80 + i), &addr, NULL), 0);
        b->hosts[i] = proxy_host_new(&addr, 1, WORKERS);
        assert_non_null(b->hosts[i]);
        b->n_hosts++;
    }
    return b;
}

static struct proxy_backend *make_weighted(bool round_robin, const uint32_t weights[HOSTS])
{
    struct proxy_backend *b = make(round_robin);
    for (unsigned i = 0; i < HOSTS; i++)
        b->hosts[i]->weight = weights[i];
    assert_int_equal(proxy_backend_weigh(b), 0);
    return b;
}

static const struct proxy_tried none = {.n = 0};

static unsigned index_of(const struct proxy_backend *b, const struct proxy_host *h)
{
    for (unsigned i = 0; i < b->n_hosts; i++)
        if (b->hosts[i] == h)
            return i;
    fail_msg("a host of nobody");
    return 0;
}

static void count_picks(const struct proxy_backend *b, const struct proxy_tried *tried, unsigned n,
                        unsigned out[HOSTS])
{
    struct wt_rng rng = {7};
    memset(out, 0, HOSTS * sizeof *out);
    for (unsigned i = 0; i < n; i++)
        out[index_of(b, proxy_backend_pick(b, 0, tried, &rng))]++;
}

static void round_robin_takes_turns(void **ctx)
{
    unsigned n[HOSTS];
    struct proxy_backend *b = make(true);
    count_picks(b, &none, 40, n);
    for (unsigned i = 0; i < HOSTS; i++)
        assert_int_equal(n[i], 10);
    proxy_backend_unref(b);
}

static void a_host_that_is_down_makes_no_other_take_its_turns(void **ctx)
{
    unsigned n[HOSTS];
    struct proxy_backend *b = make(true);
    atomic_store(&b->hosts[1]->healthy, false);
    count_picks(b, &none, 300, n);
    assert_int_equal(n[0], 100);
    assert_int_equal(n[2], 100);
    assert_int_equal(n[3], 100);
    proxy_backend_unref(b);
}

/* Bits of `down`: hosts that are. */
static const struct {
    uint32_t weights[HOSTS];
    unsigned picks, down, expected[HOSTS], off;
} shares[] = {
    {{9, 1, 5, 5}, 2000, 0, {900, 100, 500, 500}, 0},
    {{1000, 1, 1, 1}, 1003, 0, {1000, 1, 1, 1}, 0},
    {{3, 3, 3, 3}, 400, 0, {100, 100, 100, 100}, 0},
    {{9, 1, 5, 5}, 1500, 1 << 2, {900, 100, 0, 500}, 0},
    {{9, 1, 5, 5}, 1100, 1 << 0, {0, 100, 500, 500}, 0},
    {{9, 1, 5, 5}, 1000, 1 << 2 | 1 << 3, {900, 100, 0, 0}, 0},
    {{9, 1, 5, 5}, 2000, 15, {900, 100, 500, 500}, 0}, /* panic */
    /* Nearly all places are of the one that is down. */
    {{1000, 2, 1, 1}, 1000, 1 << 0, {0, 500, 250, 250}, 3},
    {{1000, 2, 1, 1}, 1000, 1 << 0 | 1 << 1, {0, 0, 500, 500}, 3},
};

static void weights_are_shares(void **ctx)
{
    for (size_t k = 0; k < 2 * sizeof shares / sizeof shares[0]; k++) {
        size_t i = k / 2;
        bool round_robin = k % 2;
        unsigned n[HOSTS];
        struct proxy_backend *b = make_weighted(round_robin, shares[i].weights);
        for (unsigned h = 0; h < HOSTS; h++)
            atomic_store(&b->hosts[h]->healthy, !(shares[i].down >> h & 1));
        count_picks(b, &none, shares[i].picks, n);
        /* LeastRequest with equal weights picks at random. */
        unsigned off = round_robin || b->rotation.n_places ? shares[i].off : 40;
        for (unsigned h = 0; h < HOSTS; h++)
            assert_in_range(n[h] + off, shares[i].expected[h], shares[i].expected[h] + 2 * off);
        proxy_backend_unref(b);
    }
}

static void weighted_turns_are_each_workers_own_and_go_on(void **ctx)
{
    static const uint32_t weights[] = {4, 1, 1, 1}, later[] = {1, 1, 1, 4};
    unsigned n[HOSTS];
    struct wt_rng rng = {7};
    struct proxy_backend *b = make_weighted(true, weights);
    assert_ptr_equal(proxy_backend_pick(b, 1, &none, &rng), b->hosts[0]);
    count_picks(b, &none, 7, n);
    assert_int_equal(n[0], 4);
    proxy_backend_lane(b, 0)->turn = 1000; /* of an older configuration with more places */
    for (unsigned i = 0; i < HOSTS; i++)
        b->hosts[i]->weight = later[i];
    assert_int_equal(proxy_backend_weigh(b), 0);
    count_picks(b, &none, 7, n);
    assert_int_equal(n[3], 4);
    proxy_backend_unref(b);
}

static void a_retry_takes_no_weighted_turn(void **ctx)
{
    static const uint32_t weights[] = {9, 1, 5, 5};
    for (unsigned rr = 0; rr < 2; rr++) {
        unsigned n[HOSTS] = {0}, again[HOSTS] = {0};
        struct wt_rng rng = {7};
        struct proxy_backend *b = make_weighted(rr, weights);
        for (unsigned k = 0; k < 2000; k++) {
            struct proxy_tried tried = {.n = 1};
            tried.hosts[0] = proxy_backend_pick(b, 0, &none, &rng);
            n[index_of(b, tried.hosts[0])]++;
            const struct proxy_host *other = proxy_backend_pick(b, 0, &tried, &rng);
            assert_ptr_not_equal(other, tried.hosts[0]);
            again[index_of(b, other)]++;
        }
        for (unsigned h = 0; h < HOSTS; h++)
            assert_int_equal(n[h], weights[h] * 100);
        assert_true(again[1] < again[2] && again[1] < again[3]);
        proxy_backend_unref(b);
    }
}

static void two_choices_avoid_the_busy(void **ctx)
{
    unsigned n[HOSTS];
    struct proxy_backend *b = make(false);
    b->hosts[2]->lanes[0].active = 100;
    count_picks(b, &none, 1600, n);
    /* Only when both choices are the busy one: 1 in 16. */
    assert_in_range(n[2], 50, 160);
    assert_in_range(n[0], 350, 650);
    b->hosts[2]->lanes[0].active = 0;
    b->hosts[2]->lanes[1].active = 100; /* another worker's load is not looked at */
    count_picks(b, &none, 1600, n);
    assert_in_range(n[2], 300, 500);
    proxy_backend_unref(b);
}

/* Requests that last: the k-th ends when the (k+40)-th begins. */
static void load_follows_the_weights(void **ctx)
{
    enum { UNDER_WAY = 40 };
    static const uint32_t weights[] = {9, 1, 5, 5};
    struct proxy_host *busy[UNDER_WAY] = {0};
    struct wt_rng rng = {7};
    struct proxy_backend *b = make_weighted(false, weights);
    unsigned n[HOSTS] = {0};
    b->hosts[0]->lanes[0].active = 9; /* these never end */
    for (unsigned k = 0; k < 4000; k++) {
        struct proxy_host **slot = &busy[k % UNDER_WAY];
        if (*slot)
            (*slot)->lanes[0].active--;
        *slot = proxy_backend_pick(b, 0, &none, &rng);
        (*slot)->lanes[0].active++;
        n[index_of(b, *slot)]++;
    }
    /* 49 requests on weights of 20: 22 on the first, 9 of them those. */
    assert_in_range(b->hosts[0]->lanes[0].active, 18, 26);
    assert_in_range(b->hosts[1]->lanes[0].active, 1, 5);
    assert_in_range(n[0], 1000, 1600);
    assert_in_range(n[2], 950, 1450);
    proxy_backend_unref(b);
}

static void the_unhealthy_are_left_out(void **ctx)
{
    for (unsigned rr = 0; rr < 2; rr++) {
        unsigned n[HOSTS];
        struct proxy_backend *b = make(rr);
        atomic_store(&b->hosts[1]->healthy, false);
        count_picks(b, &none, 400, n);
        assert_int_equal(n[1], 0);
        assert_true(n[0] && n[2] && n[3]);
        assert_int_equal(proxy_backend_healthy(b), 3);
        proxy_backend_unref(b);
    }
}

static void without_a_healthy_host_all_are_taken(void **ctx)
{
    for (unsigned rr = 0; rr < 2; rr++) {
        unsigned n[HOSTS];
        struct proxy_backend *b = make(rr);
        for (unsigned i = 0; i < HOSTS; i++)
            atomic_store(&b->hosts[i]->healthy, false);
        count_picks(b, &none, 400, n);
        for (unsigned i = 0; i < HOSTS; i++)
            assert_true(n[i] > 0);
        proxy_backend_unref(b);
    }
}

static void a_retry_goes_elsewhere_if_it_can(void **ctx)
{
    for (unsigned rr = 0; rr < 2; rr++) {
        unsigned n[HOSTS];
        struct proxy_backend *b = make(rr);
        struct proxy_tried tried = {{b->hosts[0], b->hosts[3]}, 2};
        count_picks(b, &tried, 400, n);
        assert_int_equal(n[0] + n[3], 0);
        assert_true(n[1] && n[2]);
        /* A healthy host that was tried is better than a sick one that was not. */
        atomic_store(&b->hosts[1]->healthy, false);
        atomic_store(&b->hosts[2]->healthy, false);
        count_picks(b, &tried, 400, n);
        assert_int_equal(n[1] + n[2], 0);
        proxy_backend_unref(b);
    }
}

static void no_hosts_no_pick(void **ctx)
{
    struct wt_rng rng = {7};
    struct proxy_backend *b = proxy_backend_new(WT_STR("default/none"), WORKERS, NULL);
    assert_non_null(b);
    assert_null(proxy_backend_pick(b, 0, &none, &rng));
    proxy_backend_unref(b);
}

static const struct {
    double percent;
    unsigned min, active, allowed;
} budgets[] = {
    {20, 3, 0, 3}, {20, 3, 10, 3}, {20, 3, 100, 20}, {0, 0, 100, 0}, {100, 0, 5, 5}, {20, 0, 4, 0},
};

static void retries_have_a_budget(void **ctx)
{
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        struct proxy_backend *b = make(false);
        b->policy.budget_percent = budgets[i].percent;
        b->policy.budget_min = budgets[i].min;
        proxy_backend_lane(b, 1)->active = budgets[i].active;
        unsigned got = 0;
        while (got < 1000 && proxy_backend_take_retry(b, 1))
            got++;
        assert_int_equal(got, budgets[i].allowed);
        if (got) {
            proxy_backend_give_retry(b, 1);
            assert_true(proxy_backend_take_retry(b, 1));
        }
        proxy_backend_unref(b);
    }
}

static void turns_and_budgets_outlive_a_snapshot(void **ctx)
{
    struct proxy_backend *b = make(true);
    proxy_backend_lane(b, 0)->active = 17;
    struct proxy_backend *next = proxy_backend_new(b->name, WORKERS, b);
    assert_non_null(next);
    proxy_backend_unref(b);
    assert_int_equal(proxy_backend_lane(next, 0)->active, 17);
    proxy_backend_unref(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_takes_turns),
        cmocka_unit_test(two_choices_avoid_the_busy),
        cmocka_unit_test(load_follows_the_weights),
        cmocka_unit_test(a_host_that_is_down_makes_no_other_take_its_turns),
        cmocka_unit_test(weights_are_shares),
        cmocka_unit_test(weighted_turns_are_each_workers_own_and_go_on),
        cmocka_unit_test(a_retry_takes_no_weighted_turn),
        cmocka_unit_test(the_unhealthy_are_left_out),
        cmocka_unit_test(without_a_healthy_host_all_are_taken),
        cmocka_unit_test(a_retry_goes_elsewhere_if_it_can),
        cmocka_unit_test(no_hosts_no_pick),
        cmocka_unit_test(retries_have_a_budget),
        cmocka_unit_test(turns_and_budgets_outlive_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
