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

static void weights_scale_the_load(void **ctx)
{
    unsigned n[HOSTS];
    struct proxy_backend *b = make(false);
    for (unsigned i = 0; i < HOSTS; i++)
        b->hosts[i]->lanes[0].active = 3;
    b->hosts[1]->weight = 4; /* 3 under way are little for it */
    count_picks(b, &none, 1600, n);
    assert_in_range(n[1], 600, 800); /* whenever it is one of the two: 7 in 16 */
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
        cmocka_unit_test(weights_scale_the_load),
        cmocka_unit_test(the_unhealthy_are_left_out),
        cmocka_unit_test(without_a_healthy_host_all_are_taken),
        cmocka_unit_test(a_retry_goes_elsewhere_if_it_can),
        cmocka_unit_test(no_hosts_no_pick),
        cmocka_unit_test(retries_have_a_budget),
        cmocka_unit_test(turns_and_budgets_outlive_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
