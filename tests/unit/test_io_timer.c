/* The wheel against a naive model: an array of timers. */
#include "base/hash.h"
#include "io/internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { TIMERS = 60, STEPS = 4000 };

struct probe {
    struct io_timer timer;
    int64_t want_ms; /* the model: when it must fire; IO_NEVER: not set */
    unsigned n_fired;
};

static struct probe probes[TIMERS];
static struct io_wheel *wheel;

static void fired(struct io_timer *t)
{
    struct probe *p = WT_CONTAINER(t, struct probe, timer);
    /* not before its time, and never later than the first instant after it was due */
    assert_true(p->want_ms <= wheel->now_ms);
    p->want_ms = IO_NEVER;
    p->n_fired++;
}

static void set(struct probe *p, int64_t at_ms)
{
    io_wheel_set(wheel, &p->timer, at_ms);
    p->want_ms = at_ms;
}

static int64_t earliest(void)
{
    int64_t first = IO_NEVER;
    for (int i = 0; i < TIMERS; i++)
        if (probes[i].want_ms < first)
            first = probes[i].want_ms;
    return first;
}

static void random_story(uint64_t seed)
{
    struct wt_rng rng = {seed};
    struct io_wheel *w = wheel = test_calloc(1, sizeof *w);
    int64_t now = (int64_t)(wt_rng_next(&rng) >> (20 + wt_rng_below(&rng, 40)));
    io_wheel_init(w, now);
    for (int i = 0; i < TIMERS; i++) {
        io_timer_init(&probes[i].timer, fired);
        probes[i].want_ms = IO_NEVER;
    }
    for (int step = 0; step < STEPS; step++) {
        struct probe *p = &probes[wt_rng_below(&rng, TIMERS)];
        int64_t far = (int64_t)(wt_rng_next(&rng) >> (24 + wt_rng_below(&rng, 39)));
        switch (wt_rng_below(&rng, 5)) {
        case 0:
        case 1:
            set(p, now + far);
            break;
        case 2:
            io_timer_cancel(&p->timer);
            p->want_ms = IO_NEVER;
            break;
        case 3:
            io_timer_stop(&p->timer);
            p->want_ms = IO_NEVER;
            break;
        default:
            now += far % 100000;
            assert_true(io_wheel_next_ms(w) <=
                        (earliest() > w->now_ms ? earliest() : w->now_ms + 1));
            /* what is set for now or the past fires with the next instant, so give it one */
            io_wheel_advance(w, now);
            for (int i = 0; i < TIMERS; i++)
                assert_true(probes[i].want_ms > now || probes[i].want_ms == w->now_ms ||
                            io_wheel_next_ms(w) == w->now_ms + 1);
        }
    }
    io_wheel_advance(w, now + 1);
    test_free(w);
}

static void against_model(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        random_story(seed);
}

static void exact_instants(void **state)
{
    static const int64_t distances[] = {
        1, 2, 63, 64, 65, 127, 4095, 4096, 4097, 5000, 262143, 262144, 1 << 24, INT64_C(1) << 33};
    for (size_t i = 0; i < sizeof distances / sizeof distances[0]; i++) {
        for (int64_t start = 0; start < 70; start += 23) {
            struct io_wheel *w = wheel = test_calloc(1, sizeof *w);
            io_wheel_init(w, start);
            struct probe *p = &probes[0];
            io_timer_init(&p->timer, fired);
            p->n_fired = 0;
            set(p, start + distances[i]);
            io_wheel_advance(w, start + distances[i] - 1);
            assert_int_equal(p->n_fired, 0);
            io_wheel_advance(w, start + distances[i]);
            assert_int_equal(p->n_fired, 1);
            assert_true(io_wheel_next_ms(w) == IO_NEVER);
            test_free(w);
        }
    }
}

/* What is put off, stopped or set for sooner while it lies in the wheel. */
static void put_off(void **state)
{
    static const struct {
        int64_t sets[4]; /* one after the other at instant 0; IO_NEVER stops; 0: no more */
        int64_t fires;   /* IO_NEVER: it must not */
    } rows[] = {
        {{10, 5000}, 5000},         {{10, 70, 300000}, 300000}, {{5000, 10}, 10},
        {{10, 5000, 20}, 20},       {{10, IO_NEVER}, IO_NEVER}, {{10, IO_NEVER, 7000}, 7000},
        {{5000, IO_NEVER, 10}, 10}, {{IO_NEVER, 64}, 64},       {{10, 5000, IO_NEVER}, IO_NEVER},
        {{4096, 4097, 4095}, 4095},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct io_wheel *w = wheel = test_calloc(1, sizeof *w);
        struct probe *p = &probes[0];
        io_wheel_init(w, 0);
        io_timer_init(&p->timer, fired);
        p->n_fired = 0;
        for (size_t k = 0; k < 4 && rows[i].sets[k]; k++) {
            if (rows[i].sets[k] == IO_NEVER)
                io_timer_stop(&p->timer);
            else
                set(p, rows[i].sets[k]);
        }
        int64_t end = rows[i].fires == IO_NEVER ? 1000000 : rows[i].fires;
        io_wheel_advance(w, end - 1);
        assert_int_equal(p->n_fired, 0);
        io_wheel_advance(w, end);
        assert_int_equal(p->n_fired, rows[i].fires != IO_NEVER);
        assert_true(wt_list_empty(&p->timer.node)); /* nor does it lie anywhere */
        test_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_instants),
        cmocka_unit_test(against_model),
        cmocka_unit_test(put_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
