#include "health/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct health_params usual = {0.001, 0.005, 0.25, 0.05, 0.01, false};

/* One row: a span's window and the tallies of both sides; the step has seen as much. */
static const struct {
    const char *what;
    double share;
    bool shared;
    enum health_span span;
    uint64_t index;
    struct health_tally old, new;
    struct health_requests before;
    enum health_cause cause;
} cases[] = {
    {"nothing at all", .01, false, HEALTH_SPAN_STEP, 0, {0}, {0}, {0}, HEALTH_CAUSE_NONE},
    {"one bad slot, whatever it does",
     .00002,
     false,
     HEALTH_SPAN_STEP,
     0,
     {900, 0, 9000},
     {1, 1, 1},
     {0},
     HEALTH_CAUSE_NONE},
    {"two of two, old is clean",
     .01,
     false,
     HEALTH_SPAN_STEP,
     0,
     {198, 0, 198},
     {2, 2, 2},
     {0},
     HEALTH_CAUSE_ERRORS},
    {"two of two, old is as bad",
     .01,
     false,
     HEALTH_SPAN_STEP,
     0,
     {198, 198, 198},
     {2, 2, 2},
     {0},
     HEALTH_CAUSE_NONE},
    {"three of three in a window",
     .01,
     false,
     HEALTH_SPAN_MINUTE,
     5,
     {297, 0, 297},
     {3, 3, 3},
     {0},
     HEALTH_CAUSE_NONE},
    {"four of four in a window",
     .01,
     false,
     HEALTH_SPAN_MINUTE,
     5,
     {396, 0, 396},
     {4, 4, 4},
     {0},
     HEALTH_CAUSE_ERRORS},
    {"four in a window two hours later",
     .01,
     false,
     HEALTH_SPAN_MINUTE,
     120,
     {396, 0, 396},
     {4, 4, 4},
     {0},
     HEALTH_CAUSE_NONE},
    {"five in a window two hours later",
     .01,
     false,
     HEALTH_SPAN_MINUTE,
     120,
     {495, 0, 495},
     {5, 5, 5},
     {0},
     HEALTH_CAUSE_ERRORS},
    {"below the floor",
     .01,
     false,
     HEALTH_SPAN_STEP,
     0,
     {60000, 0, 990000},
     {650, 20, 9000},
     {0},
     HEALTH_CAUSE_NONE},
    {"far above the floor",
     .01,
     false,
     HEALTH_SPAN_STEP,
     0,
     {60000, 0, 990000},
     {650, 200, 9000},
     {0},
     HEALTH_CAUSE_ERRORS},
    {"within the tolerance",
     .5,
     false,
     HEALTH_SPAN_STEP,
     0,
     {30000, 1000, 90000},
     {30000, 1200, 90000},
     {0},
     HEALTH_CAUSE_NONE},
    {"twice as bad",
     .5,
     false,
     HEALTH_SPAN_STEP,
     0,
     {30000, 1000, 90000},
     {30000, 2000, 90000},
     {0},
     HEALTH_CAUSE_ERRORS},
    {"better",
     .5,
     false,
     HEALTH_SPAN_STEP,
     0,
     {30000, 2000, 90000},
     {30000, 1000, 90000},
     {0},
     HEALTH_CAUSE_NONE},
    {"more seen than the table says",
     .01,
     false,
     HEALTH_SPAN_STEP,
     0,
     {500, 10, 500},
     {500, 10, 500},
     {0},
     HEALTH_CAUSE_NONE},
    {"all on new, past unknown, a third is bad",
     1,
     false,
     HEALTH_SPAN_STEP,
     0,
     {0},
     {300, 110, 300},
     {0},
     HEALTH_CAUSE_NONE},
    {"all on new, past unknown, most are bad",
     1,
     false,
     HEALTH_SPAN_STEP,
     0,
     {0},
     {300, 250, 300},
     {0},
     HEALTH_CAUSE_ERRORS},
    {"all on new, past short, most are bad",
     1,
     false,
     HEALTH_SPAN_SPELL,
     300,
     {0},
     {20, 20, 20},
     {5, 1},
     HEALTH_CAUSE_ERRORS},
    {"all on new, past short, good enough for a stricter look",
     1,
     false,
     HEALTH_SPAN_SPELL,
     300,
     {0},
     {14, 14, 14},
     {60, 0},
     HEALTH_CAUSE_ERRORS},
    {"all on new, past unknown, as few",
     1,
     false,
     HEALTH_SPAN_SPELL,
     300,
     {0},
     {14, 14, 14},
     {0},
     HEALTH_CAUSE_NONE},
    {"all on new, worse than before",
     1,
     false,
     HEALTH_SPAN_STEP,
     0,
     {0},
     {300, 150, 300},
     {10000, 10},
     HEALTH_CAUSE_ERRORS},
    {"all on new, bad as before",
     1,
     false,
     HEALTH_SPAN_STEP,
     0,
     {0},
     {300, 150, 300},
     {10000, 5000},
     HEALTH_CAUSE_NONE},
    {"both worse than before, shared",
     .1,
     true,
     HEALTH_SPAN_STEP,
     0,
     {900, 450, 900},
     {100, 50, 100},
     {10000, 10},
     HEALTH_CAUSE_SHARED},
    {"both worse than before, separate",
     .1,
     false,
     HEALTH_SPAN_STEP,
     0,
     {900, 450, 900},
     {100, 50, 100},
     {10000, 10},
     HEALTH_CAUSE_NONE},
    {"both as before, shared",
     .1,
     true,
     HEALTH_SPAN_STEP,
     0,
     {900, 9, 900},
     {100, 2, 100},
     {10000, 100},
     HEALTH_CAUSE_NONE},
    {"only old is worse, shared",
     .1,
     true,
     HEALTH_SPAN_STEP,
     0,
     {900, 450, 900},
     {100, 0, 100},
     {10000, 10},
     HEALTH_CAUSE_NONE},
};

static void test_judge(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct health_params p = usual;
        struct health_evidence e;
        memset(&e, 0, sizeof(e));
        p.share = cases[i].share;
        p.shared = cases[i].shared;
        e.span[HEALTH_SPAN_STEP].side[HEALTH_OLD].seen = cases[i].old.seen;
        e.span[HEALTH_SPAN_STEP].side[HEALTH_NEW].seen = cases[i].new.seen;
        e.span[cases[i].span].index = cases[i].index;
        e.span[cases[i].span].side[HEALTH_OLD] = cases[i].old;
        e.span[cases[i].span].side[HEALTH_NEW] = cases[i].new;
        e.before = cases[i].before;
        e.spell.run = 4;
        enum health_cause cause = health_evidence_judge(&p, &e);
        if (cause != cases[i].cause)
            fail_msg("%s: %s", cases[i].what, health_cause_text(cause));
        double level = health_evidence_level(&p, &e);
        assert_true(isfinite(level) && (level >= 1) == (cause != HEALTH_CAUSE_NONE));
        /* Where nobody is left beside it, what does not last is no verdict, whatever it shows. */
        e.spell.run = 3;
        bool lasting_only = cases[i].share > 0.9;
        assert_int_equal(health_evidence_judge(&p, &e), lasting_only ? HEALTH_CAUSE_NONE : cause);
    }
}

static void test_passed(void **state)
{
    static const struct {
        struct health_requests old, new;
        uint64_t wanting;
    } rows[] = {
        {{0, 0}, {0, 0}, 68},        {{0, 0}, {67, 0}, 1},         {{0, 0}, {68, 0}, 0},
        {{99000, 99}, {68, 0}, 0},   {{99000, 0}, {1000, 500}, 0}, {{99000, 0}, {1000, 60}, 0},
        {{99000, 0}, {1000, 20}, 0}, {{99000, 49500}, {10, 5}, 0},
    };
    static const bool passes[] = {false, false, true, true, false, false, true, false};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct health_evidence e;
        memset(&e, 0, sizeof(e));
        e.requests[HEALTH_OLD] = rows[i].old;
        e.requests[HEALTH_NEW] = rows[i].new;
        if (health_evidence_passed(&usual, &e) != passes[i])
            fail_msg("row %zu", i);
        uint64_t wanting = health_evidence_wanting(&usual, &e);
        assert_int_equal(wanting == 0, passes[i]);
        if (rows[i].wanting)
            assert_int_equal(wanting, rows[i].wanting);
        e.requests[HEALTH_NEW].total += wanting;
        assert_true(health_evidence_passed(&usual, &e));
    }
}

static void test_least(void **state)
{
    struct health_params p = usual;
    double fast = health_evidence_least(&p, 100, 10000, 0.001, 10);
    double slow = health_evidence_least(&p, 100, 10000, 0.001, 300);
    assert_true(fast > 0.15 && fast < 0.6);
    assert_true(slow > 0.005 && slow < 0.08);
    assert_true(health_evidence_least(&p, 1000, 10000, 0.001, 300) <= slow);
    /* A hundredth of 50 users is half a user: nothing can be found. */
    assert_true(health_evidence_least(&p, 100, 50, 0.001, 1800) > 1);
    assert_true(health_evidence_least(&p, 0, 10000, 0.001, 10) > 1);
}

static void test_add(void **state)
{
    struct health_evidence a, b;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    a.span[HEALTH_SPAN_MINUTE] = (struct health_counts){3, {{10, 1, 20}, {5, 2, 6}}};
    b.span[HEALTH_SPAN_MINUTE] = (struct health_counts){4, {{1, 1, 2}, {3, 0, 4}}};
    b.requests[HEALTH_NEW] = (struct health_requests){7, 1};
    b.spell.run = 4;
    health_evidence_add(&a, &b);
    assert_int_equal(a.span[HEALTH_SPAN_MINUTE].index, 4);
    assert_int_equal(a.span[HEALTH_SPAN_MINUTE].side[HEALTH_NEW].seen, 3);
    health_evidence_add(&a, &b);
    assert_int_equal(a.span[HEALTH_SPAN_MINUTE].side[HEALTH_NEW].tried, 8);
    assert_int_equal(a.requests[HEALTH_NEW].total, 14);
    assert_true(health_spell_lasts(&a.spell));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_passed),
        cmocka_unit_test(test_least),
        cmocka_unit_test(test_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
