#include "health/guard.h"

#include "base/mem.h"
#include "health/params.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct health_params usual = {0.001, 0.005, 0.25, 0.05, 0.01, false};

static struct health_tally tally(struct health_guard *g, enum health_span span,
                                 enum health_side side, int64_t now_ms)
{
    struct health_evidence e;
    health_guard_read(g, now_ms, &e);
    return e.span[span].side[side];
}

static void assert_tally(struct health_tally t, uint64_t seen, uint64_t bad, uint64_t tried)
{
    assert_int_equal(t.seen, seen);
    assert_int_equal(t.bad, bad);
    assert_int_equal(t.tried, tried);
}

static void test_a_client_counts_once(void **state)
{
    struct health_guard *g = health_guard_new(&usual, 2, 1000);
    assert_false(health_guard_observe(g, 0, HEALTH_NEW, 7, false, 1000));
    assert_true(health_guard_observe(g, 1, HEALTH_NEW, 7, true, 1001));
    for (int i = 0; i < 100; i++)
        assert_false(health_guard_observe(g, (unsigned)i % 2, HEALTH_NEW, 7, true, 1002));
    assert_false(health_guard_observe(g, 0, HEALTH_OLD, 8, true, 1003));
    for (int i = 0; i < HEALTH_SPAN_SPELL; i++) {
        assert_tally(tally(g, (enum health_span)i, HEALTH_NEW, 1003), 1, 1, 2);
        assert_tally(tally(g, (enum health_span)i, HEALTH_OLD, 1003), 1, 1, 1);
    }
    struct health_evidence e;
    health_guard_read(g, 1003, &e);
    assert_int_equal(e.requests[HEALTH_NEW].total, 102);
    assert_int_equal(e.requests[HEALTH_NEW].bad, 101);
    assert_int_equal(health_guard_judge(g, 1003, NULL), HEALTH_CAUSE_NONE);
    health_guard_free(g);
}

static void test_windows_start_from_nothing(void **state)
{
    static const struct {
        int64_t now_ms;
        uint64_t step, minute, index;
    } rows[] = {
        {500, 1, 1, 0},
        {60499, 1, 1, 0},
        {60500, 1, 1, 1},
        {60501, 1, 1, 1},
        {500 + 3600000, 1, 1, 60},
        {400, 1, 1, 60}, /* a clock that goes back
                          * turns nothing */
    };
    struct health_guard *g = health_guard_new(&usual, 1, 500);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct health_evidence e;
        health_guard_observe(g, 0, HEALTH_NEW, 9, true, rows[i].now_ms);
        health_guard_read(g, rows[i].now_ms, &e);
        assert_int_equal(e.span[HEALTH_SPAN_STEP].side[HEALTH_NEW].bad, rows[i].step);
        assert_int_equal(e.span[HEALTH_SPAN_MINUTE].side[HEALTH_NEW].bad, rows[i].minute);
        assert_int_equal(e.span[HEALTH_SPAN_MINUTE].index, rows[i].index);
    }
    /* Reading alone turns a window, too. */
    assert_tally(tally(g, HEALTH_SPAN_MINUTE, HEALTH_NEW, 500 + 7200000), 0, 0, 0);
    assert_tally(tally(g, HEALTH_SPAN_STEP, HEALTH_NEW, 500 + 7200000), 1, 1, 1);
    health_guard_free(g);
}

static void observe_many(struct health_guard *g, enum health_side side, unsigned from, unsigned n,
                         bool bad, int64_t now_ms)
{
    for (unsigned i = 0; i < n; i++)
        health_guard_observe(g, 0, side, (uint16_t)(from + i), bad, now_ms);
}

/* The order in which slots turned bad, once a minute each, reaches the judge. */
static void test_onsets(void **state)
{
    struct health_guard *g = health_guard_new(&usual, 1, 5000);
    struct health_evidence e;
    int asked = 0;
    for (unsigned i = 0; i < 120; i++)
        asked += health_guard_observe(g, 0, HEALTH_OLD, (uint16_t)i, true, 5000 + 10000 * i);
    assert_int_equal(asked, 1); /* many bad slots of the old side want to be taken out */
    health_guard_read(g, 1200000, &e);
    assert_int_equal(e.onsets.total, 120);
    assert_int_equal(e.onsets.now_ms, 1190000);
    observe_many(g, HEALTH_OLD, 2000, 1500, false, 1200000);
    observe_many(g, HEALTH_NEW, 900, 5, false, 1200000);
    observe_many(g, HEALTH_NEW, 1000, 1, true, 1201000);
    observe_many(g, HEALTH_NEW, 1000, 1, true, 1201500);
    observe_many(g, HEALTH_NEW, 1001, 1, true, 1202000);
    assert_int_equal(health_guard_judge(g, 1202000, NULL), HEALTH_CAUSE_NONE);
    observe_many(g, HEALTH_NEW, 1002, 1, true, 1203000);
    assert_int_equal(health_guard_judge(g, 1203000, NULL), HEALTH_CAUSE_ERRORS);
    health_guard_read(g, 1203000, &e);
    assert_int_equal(e.onsets.total, 123);
    assert_int_equal(e.onsets.good, 5);
    assert_int_equal(e.onsets.list[e.onsets.n - 3].bad[HEALTH_NEW], 3);
    /* Another step knows nothing of them; of more than are kept the last are left. */
    health_guard_begin(g, &usual, 1300000);
    health_guard_read(g, 1300000, &e);
    assert_int_equal(e.onsets.total, 0);
    observe_many(g, HEALTH_OLD, 0, 1000, true, 1300001);
    health_guard_read(g, 1300001, &e);
    assert_int_equal(e.onsets.total, 256);
    assert_int_equal(e.onsets.list[HEALTH_ONSETS - 1].slot, 999);
    health_guard_free(g);
}

static void test_verdict_stays(void **state)
{
    struct health_guard *g = health_guard_new(&usual, 1, 0);
    bool first = false;
    observe_many(g, HEALTH_OLD, 1000, 1500, false, 10);
    observe_many(g, HEALTH_NEW, 0, 3, true, 10);
    assert_int_equal(health_guard_judge(g, 11, &first), HEALTH_CAUSE_ERRORS);
    assert_true(first);
    observe_many(g, HEALTH_NEW, 0, 60000, false, 12);
    assert_int_equal(health_guard_judge(g, 13, &first), HEALTH_CAUSE_ERRORS);
    assert_false(first);
    /* A new step forgets all; a step that ended in a verdict is no "before". */
    health_guard_begin(g, &usual, 20);
    struct health_evidence e;
    health_guard_read(g, 20, &e);
    assert_int_equal(e.before.total, 0);
    assert_int_equal(e.requests[HEALTH_NEW].total + e.requests[HEALTH_OLD].total, 0);
    assert_int_equal(health_guard_judge(g, 21, &first), HEALTH_CAUSE_NONE);
    health_guard_free(g);
}

static void test_errors_after_shared(void **state)
{
    struct health_params shared = usual;
    shared.share = 0.1;
    shared.shared = true;
    struct health_guard *g = health_guard_new(&shared, 1, 0);
    bool first = false;
    observe_many(g, HEALTH_OLD, 0, 2000, false, 10);
    health_guard_begin(g, &shared, 20);
    observe_many(g, HEALTH_OLD, 0, 900, true, 30);
    observe_many(g, HEALTH_NEW, 900, 100, true, 30);
    assert_int_equal(health_guard_judge(g, 31, &first), HEALTH_CAUSE_SHARED);
    assert_true(first);
    assert_int_equal(health_guard_judge(g, 32, &first), HEALTH_CAUSE_SHARED);
    assert_false(first);
    /* The next minute: now it is the new side alone. */
    observe_many(g, HEALTH_OLD, 0, 900, false, 60100);
    observe_many(g, HEALTH_NEW, 900, 100, true, 60100);
    assert_int_equal(health_guard_judge(g, 60101, &first), HEALTH_CAUSE_ERRORS);
    assert_true(first);
    assert_int_equal(health_guard_judge(g, 60102, &first), HEALTH_CAUSE_ERRORS);
    assert_false(first);
    health_guard_free(g);
}

static void test_before(void **state)
{
    struct health_guard *g = health_guard_new(&usual, 1, 0);
    struct health_evidence e;
    /* Short steps add up, a long one stands for itself, one without the old side changes nothing.
     */
    static const struct {
        unsigned good, bad;
        uint64_t total, of_them_bad;
    } rows[] = {{0, 0, 0, 0},       {400, 2, 402, 2}, {90, 0, 492, 2},
                {1000, 5, 1005, 5}, {0, 0, 1005, 5},  {20, 1, 1026, 6}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        observe_many(g, HEALTH_OLD, 0, rows[i].good, false, 10);
        observe_many(g, HEALTH_OLD, 0, rows[i].bad, true, 10);
        health_guard_begin(g, &usual, 20);
        health_guard_read(g, 20, &e);
        assert_int_equal(e.before.total, rows[i].total);
        assert_int_equal(e.before.bad, rows[i].of_them_bad);
    }
    health_guard_free(g);
}

/* When the verdict falls on 60 users, each asking once in 0.6 s and all on the new side, of whose
 * answers one in `good_one_in` is good (0: none) from `bad_from` until `bad_until`; -1: never. */
static int64_t alone_verdict_at(unsigned before, unsigned good_one_in, int64_t bad_from_ms,
                                int64_t bad_until_ms)
{
    struct health_params all = usual;
    struct health_guard *g = health_guard_new(&usual, 1, 0);
    int64_t at_ms = -1;
    observe_many(g, HEALTH_OLD, 0, before, false, 0);
    all.share = 1;
    health_guard_begin(g, &all, 0);
    for (int64_t i = 0, now_ms = 0; now_ms < 300000 && at_ms < 0; now_ms = ++i * 10) {
        bool bad = now_ms >= bad_from_ms && now_ms < bad_until_ms &&
                   (!good_one_in || i % good_one_in != 0);
        if (health_guard_observe(g, 0, HEALTH_NEW, (uint16_t)(i % 60 * 1000), bad, now_ms) &&
            health_guard_judge(g, now_ms, NULL) == HEALTH_CAUSE_ERRORS)
            at_ms = now_ms;
    }
    health_guard_free(g);
    return at_ms;
}

/* Nobody is left on the old side, and users have made many good requests: yet a broken new side is
 * found within seconds, and what is over sooner is not taken for one. */
static void test_alone(void **state)
{
    static const int64_t ALWAYS = INT64_MAX;
    static const struct {
        unsigned before, good_one_in;
        int64_t from_ms, until_ms, found_within_ms; /* 0: never */
    } rows[] = {
        {2000, 0, 0, ALWAYS, 2300},     {0, 0, 0, ALWAYS, 2300},
        {0, 0, 55000, ALWAYS, 2300},    {0, 0, 70130, ALWAYS, 2300},
        {2000, 0, 95260, ALWAYS, 2300}, {30, 0, 200400, ALWAYS, 2300},
        {2000, 7, 70130, ALWAYS, 3000}, /* one in seven is good */
        {2000, 0, 70000, 71700, 0},     {0, 0, 95300, 97000, 0},
        {2000, 2, 70000, 75000, 0}, /* half of them, for five seconds */
        {2000, 2, 59000, 64000, 0},     {2000, 0, ALWAYS, ALWAYS, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t at = alone_verdict_at(rows[i].before, rows[i].good_one_in, rows[i].from_ms,
                                      rows[i].until_ms);
        bool right = rows[i].found_within_ms ? at >= rows[i].from_ms + 1750 &&
                                                   at <= rows[i].from_ms + rows[i].found_within_ms
                                             : at < 0;
        if (!right)
            fail_msg("row %zu: found at %lld ms", i, (long long)at);
    }
}

/* Slots on the old side that fail with the new one speak for the new one. */
static void test_nearly_alone(void **state)
{
    struct health_params most = usual;
    most.share = 0.95;
    for (int old_bad = 0; old_bad < 2; old_bad++) {
        struct health_guard *g = health_guard_new(&most, 1, 0);
        enum health_cause cause = HEALTH_CAUSE_NONE;
        for (unsigned i = 0; i < 600; i++) {
            bool is_new = i % 20 >= 2;
            health_guard_observe(g, 0, is_new, (uint16_t)(i * 100), is_new || old_bad, i * 10);
            cause = health_guard_judge(g, i * 10, NULL);
        }
        assert_int_equal(cause, old_bad ? HEALTH_CAUSE_NONE : HEALTH_CAUSE_ERRORS);
        health_guard_free(g);
    }
}

static void test_union(void **state)
{
    enum { SIZE = HEALTH_GUARD_BITMAPS * HEALTH_GUARD_BITMAP_BYTES };
    struct health_guard *a = health_guard_new(&usual, 1, 0), *b = health_guard_new(&usual, 1, 0);
    uint8_t *into = wt_calloc(1, SIZE), *from = wt_calloc(1, SIZE);
    struct health_counts counts = {0};
    observe_many(a, HEALTH_OLD, 0, 100, false, 0);
    observe_many(b, HEALTH_OLD, 50, 100, true, 0);
    observe_many(a, HEALTH_NEW, 65535, 1, true, 0);
    observe_many(b, HEALTH_NEW, 65535, 1, true, 0);
    health_guard_export(a, into);
    health_guard_export(b, from);
    assert_int_equal(into[0], 0xff);
    assert_int_equal(into[HEALTH_GUARD_BITMAP_BYTES * 3 - 1], 0x80); /* slot 65535 seen on new */
    health_guard_union(into, from, &counts);
    assert_tally(counts.side[HEALTH_OLD], 150, 100, 0);
    assert_tally(counts.side[HEALTH_NEW], 1, 1, 0);
    wt_free(into);
    wt_free(from);
    health_guard_free(a);
    health_guard_free(b);
}

enum { THREADS = 4, EACH = 40000 };

struct thread {
    struct health_guard *guard;
    unsigned worker;
};

static void *observe_in_thread(void *arg)
{
    struct thread *t = arg;
    for (unsigned i = 0; i < EACH; i++)
        health_guard_observe(t->guard, t->worker, i % 3 ? HEALTH_OLD : HEALTH_NEW,
                             (uint16_t)(i * 7), i % 5 == 0, i / 100);
    return NULL;
}

/* Without a window's turn in between, threads together count exactly what one counts alone. */
static void test_threads(void **state)
{
    struct health_guard *many = health_guard_new(&usual, THREADS, 0);
    struct health_guard *one = health_guard_new(&usual, 1, 0);
    struct health_params all_new = usual;
    all_new.share = 1;
    pthread_t id[THREADS];
    struct thread t[THREADS], alone = {one, 0};
    for (unsigned i = 0; i < THREADS; i++) {
        t[i] = (struct thread){many, i};
        assert_int_equal(pthread_create(&id[i], NULL, observe_in_thread, &t[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(id[i], NULL);
    observe_in_thread(&alone);
    struct health_evidence a, b;
    health_guard_read(many, 400, &a);
    health_guard_read(one, 400, &b);
    for (int side = 0; side < HEALTH_SIDES; side++) {
        assert_int_equal(a.requests[side].total, THREADS * b.requests[side].total);
        assert_int_equal(a.span[HEALTH_SPAN_STEP].side[side].seen,
                         b.span[HEALTH_SPAN_STEP].side[side].seen);
        assert_int_equal(a.span[HEALTH_SPAN_STEP].side[side].bad,
                         b.span[HEALTH_SPAN_STEP].side[side].bad);
    }
    /* Turning windows, pulses and steps meanwhile: no order is promised, but nothing breaks. */
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&id[i], NULL, observe_in_thread, &t[i]), 0);
    for (int i = 0; i < 50; i++) {
        health_guard_begin(many, i % 2 ? &all_new : &usual, -1000000 * i);
        health_guard_judge(many, 400 + 20000 * i, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(id[i], NULL);
    health_guard_free(many);
    health_guard_free(one);
}

static void test_refused(void **state)
{
    assert_null(health_guard_new(&usual, 0, 0));
    assert_null(health_guard_new(&usual, 65, 0));
}

static void test_params(void **state)
{
    struct model_migration_guard guard = {
        .alpha = 0.002, .floor = 0.01, .tolerance = 0.5, .excluding = 0.1};
    struct model_migration_spec spec = {.guard = &guard, .state = MODEL_STATE_SHARED};
    struct health_params p;
    assert_int_equal(health_params_from(&spec, 25, &p, NULL), 0);
    assert_true(p.alpha == 0.002 && p.floor == 0.01 && p.tolerance == 0.5 && p.excluding == 0.1);
    assert_true(p.share == 0.25 && p.shared);

    /* Not filled in: no second set of defaults. */
    struct wt_err err = {0};
    spec.guard = NULL;
    assert_int_equal(health_params_from(&spec, 25, &p, &err), WT_EINVAL);
    assert_non_null(strstr(err.msg, "spec.guard"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_client_counts_once),
        cmocka_unit_test(test_windows_start_from_nothing),
        cmocka_unit_test(test_onsets),
        cmocka_unit_test(test_verdict_stays),
        cmocka_unit_test(test_errors_after_shared),
        cmocka_unit_test(test_before),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_nearly_alone),
        cmocka_unit_test(test_union),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_params),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
