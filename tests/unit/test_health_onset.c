#include "base/hash.h"
#include "health/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct health_params usual = {0.001, 0.005, 0.25, 0.05, 0.01, false};

static void test_allowance(void **state)
{
    static const struct {
        double ms, least, most;
    } rows[] = {
        {-1, 0, 0},
        {0, 0, 0},
        {900000, .399, .401},
        {1800000, .799, .801},
        {3600000, .899, .901},
        {3e13, .99999, 1}, /* a thousand years */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double got = health_onset_allowance(rows[i].ms);
        assert_true(got >= rows[i].least && got <= rows[i].most);
    }
}

static void test_a_slot_counts_once_an_account(void **state)
{
    struct health_onsets o = {0};
    health_onset_add(&o, HEALTH_NEW, 7, 1000, 0);
    health_onset_add(&o, HEALTH_NEW, 7, 2000, 0);
    health_onset_add(&o, HEALTH_OLD, 8, 3000, 0);
    health_onset_add(&o, HEALTH_NEW, 7, 4000, 0);
    static const uint32_t bad[][2] = {{1, 1}, {1, 1}, {1, 1}, {0, 1}}; /* old, new */
    assert_int_equal(o.n, 4);
    for (unsigned i = 0; i < o.n; i++) {
        assert_int_equal(o.list[i].bad[HEALTH_OLD], bad[i][0]);
        assert_int_equal(o.list[i].bad[HEALTH_NEW], bad[i][1]);
        assert_true(o.list[i].part == 0);
    }
}

static double parts_of(const struct health_onsets *o, unsigned from)
{
    double sum = 0;
    for (unsigned i = from; i < o->n; i++)
        sum += o->list[i].part;
    return sum;
}

/* What is spent and what is left is what was allowed, so the parts never sum to more than 1. */
static void test_parts(void **state)
{
    struct wt_rng rng = {20261121};
    struct health_onsets o = {0};
    double spent = 0, now_ms = 0;
    for (int i = 0; i < 5000; i++) {
        double before = parts_of(&o, o.n == HEALTH_ONSETS);
        now_ms += floor(wt_rng_unit(&rng) * (i % 50 < 5 ? 100 : 20000));
        health_onset_add(&o, HEALTH_OLD, (uint16_t)(wt_rng_unit(&rng) * 300), (int64_t)now_ms, 0);
        spent += parts_of(&o, 0) - before;
        assert_true(fabs(spent + o.purse - health_onset_allowance(now_ms)) < 1e-9);
    }
    assert_int_equal(o.n, HEALTH_ONSETS);
    assert_true(spent > .5 && spent <= 1);
}

/* While the old side fails far more than usual no account is opened that speaks. */
static void test_mute(void **state)
{
    struct health_onsets o = {0};
    uint16_t slot = 0;
    for (int i = 1; i <= 60; i++)
        health_onset_add(&o, HEALTH_OLD, ++slot, 10000 * i, 0);
    assert_false(o.list[o.n - 1].mute);
    for (int i = 0; i < 20; i++)
        health_onset_add(&o, HEALTH_OLD, ++slot, 600000 + 100 * i, 0);
    for (int i = 0; i < 9; i++)
        health_onset_add(&o, HEALTH_NEW, ++slot, 603000 + 100 * i, 0);
    for (unsigned i = o.n - 9; i < o.n; i++)
        assert_true(o.list[i].mute);
    for (int i = 0; i < 3; i++)
        health_onset_add(&o, HEALTH_NEW, ++slot, 640000 + 100 * i, 0);
    assert_true(!o.list[o.n - 3].mute && o.list[o.n - 3].part > 0);
}

/* One bad slot of the old side every ten seconds for twenty minutes; then these, in a second each:
 * n a new slot of the new side, N the same one again, o an old one, g a good answer of the new
 * side. */
static const struct {
    const char *what, *then;
    double share;
    enum health_cause cause;
} cases[] = {
    {"two in a row", "nn", .01, HEALTH_CAUSE_NONE},
    {"three in a row", "nnn", .01, HEALTH_CAUSE_ERRORS},
    {"one client, many times", "nNNNNNNN", .01, HEALTH_CAUSE_NONE},
    {"two clients, many times", "nnNNNNNN", .01, HEALTH_CAUSE_NONE},
    {"the old side as well", "noonoonoonoo", .01, HEALTH_CAUSE_NONE},
    {"three in a row of half the users", "nnn", .5, HEALTH_CAUSE_NONE},
    {"most users are there: no old side to compare with", "nnnnnnnnnnnn", .95, HEALTH_CAUSE_NONE},
    {"four among good ones", "nggnggnggn", .01, HEALTH_CAUSE_ERRORS},
    {"three among so many good ones that the floor allows it",
     "nggggggggggggggggggggggggggggggnggggggggggggggggggggggggggggn", .01, HEALTH_CAUSE_NONE},
};

static void test_judge(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct health_evidence e;
        struct health_params p = usual;
        int64_t now_ms = 0;
        uint16_t slot = 0;
        uint64_t good = 0;
        memset(&e, 0, sizeof(e));
        p.share = cases[i].share;
        while ((now_ms += 10000) < 1200000)
            health_onset_add(&e.onsets, HEALTH_OLD, ++slot, now_ms, good += 10);
        now_ms -= 3000;
        for (const char *c = cases[i].then; *c; c++, now_ms += 1000) {
            good += *c == 'g';
            slot += *c == 'n' || *c == 'o';
            if (*c != 'g')
                health_onset_add(&e.onsets, *c != 'o', slot, now_ms, good);
        }
        enum health_cause cause = health_evidence_judge(&p, &e);
        if (cause != cases[i].cause)
            fail_msg("%s: %s", cases[i].what, health_cause_text(cause));
    }
}

/* The bound itself, at an alpha that runs can see: slots that fail again and again, quiet hours and
 * bursts, the sides dealt at random. Every answer of the new side that counts is bad, so that only
 * the comparison holds the verdict back. */
static void test_bound(void **state)
{
    enum { RUNS = 400, SLOTS = 60, EVENTS = 300 };
    struct health_params p = {0.1, 1e-6, 0, 0.05, 0.2, false};
    struct wt_rng rng = {20261121};
    int wrong = 0;
    for (int run = 0; run < RUNS; run++) {
        struct health_evidence e;
        enum health_cause cause = HEALTH_CAUSE_NONE;
        bool is_new[SLOTS];
        double now_ms = 0;
        memset(&e, 0, sizeof(e));
        for (int i = 0; i < SLOTS; i++)
            is_new[i] = wt_rng_unit(&rng) < p.share;
        for (int i = 0; i < EVENTS && cause == HEALTH_CAUSE_NONE; i++) {
            double u = wt_rng_unit(&rng);
            int slot = (int)(u * u * SLOTS);
            now_ms += -log(1 - wt_rng_unit(&rng)) * (i % 40 < 10 ? 200 : 6000);
            health_onset_add(&e.onsets, is_new[slot], (uint16_t)slot, (int64_t)now_ms, 0);
            if (is_new[slot])
                cause = health_evidence_judge(&p, &e);
        }
        wrong += cause != HEALTH_CAUSE_NONE;
    }
    assert_true(wrong <= p.alpha * RUNS);
    assert_true(wrong > 0); /* or the runs prove nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowance), cmocka_unit_test(test_a_slot_counts_once_an_account),
        cmocka_unit_test(test_parts),     cmocka_unit_test(test_mute),
        cmocka_unit_test(test_judge),     cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
