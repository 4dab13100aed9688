#include "model/slots.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct model_slots table, other, third;

static struct wt_hash_key key_of(const char *salt)
{
    return model_slots_key(wt_str_z(salt));
}

static void share(struct model_slots *t, double percent, const char *salt)
{
    assert_true(model_slots_set_share(t, percent, key_of(salt), NULL) >= 0);
}

static void test_quotas(void **state)
{
    static const struct {
        double weights[4];
        unsigned n;
        unsigned slots[4];
    } cases[] = {
        {{100, 0}, 2, {65536, 0}},
        {{99, 1}, 2, {64881, 655}},
        {{99.998, 0.002}, 2, {65535, 1}},
        {{1e9, 1}, 2, {65535, 1}},
        {{1, 1}, 2, {32768, 32768}},
        {{1, 1, 1}, 3, {21846, 21845, 21845}},
        {{5, 3, 2, 0}, 4, {32768, 19661, 13107, 0}},
        {{0, 0, 0, 7}, 4, {0, 0, 0, 65536}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        model_slots_fill(&table, 0);
        int moved = model_slots_move(&table, cases[i].weights, cases[i].n, key_of("a"), NULL);
        assert_int_equal(moved, MODEL_SLOTS - cases[i].slots[0]);
        for (unsigned d = 0; d < cases[i].n; d++)
            assert_int_equal(model_slots_count(&table, (uint8_t)d), cases[i].slots[d]);
    }
    assert_int_equal(model_slots_quota(0), 0);
    assert_int_equal(model_slots_quota(0.002), 1);
    assert_int_equal(model_slots_quota(1), 655);
    assert_int_equal(model_slots_quota(100), 65536);
}

static void test_wrong_weights(void **state)
{
    static const struct {
        double weights[2];
        unsigned n;
        const char *sentence;
    } cases[] = {
        {{1, -1}, 2, "weight 1 is negative or not a number"},
        {{NAN, 1}, 2, "weight 0 is negative or not a number"},
        {{1, INFINITY}, 2, "weight 1 is negative or not a number"},
        {{0, 0}, 2, "the weights sum to 0: at least one must be above 0"},
        {{1, 1}, 0, "0 destinations: expected 1 to 16"},
        {{1, 1}, 17, "17 destinations: expected 1 to 16"},
        {{1, 1}, 1, "slot 0 is at destination 1 of 1"},
    };
    model_slots_fill(&table, 1);
    other = table;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wt_err err = {0};
        assert_int_equal(model_slots_move(&table, cases[i].weights, cases[i].n, key_of("a"), &err),
                         WT_EINVAL);
        assert_string_equal(err.msg, cases[i].sentence);
        assert_memory_equal(&table, &other, sizeof(table));
    }
    assert_int_equal(model_slots_set_share(&table, 100.1, key_of("a"), NULL), WT_EINVAL);
    assert_int_equal(model_slots_set_share(&table, NAN, key_of("a"), NULL), WT_EINVAL);
}

/* Slots that are at `destination` in `b` and were elsewhere in `a`. */
static unsigned gained(const struct model_slots *a, const struct model_slots *b,
                       uint8_t destination)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MODEL_SLOTS; i++)
        n += a->to[i] != destination && b->to[i] == destination;
    return n;
}

static void test_way_back_is_identical(void **state)
{
    static const double up[] = {0.002, 1, 5, 25, 50, 99.998, 100};
    struct model_slots *seen = wt_calloc(7, sizeof(*seen));
    model_slots_fill(&table, 0);
    for (int i = 0; i < 7; i++) {
        other = table;
        int before = (int)model_slots_count(&table, 1);
        assert_int_equal(model_slots_set_share(&table, up[i], key_of("shop"), NULL),
                         (int)model_slots_quota(up[i]) - before);
        /* Nested: nobody who was moved is moved back. */
        assert_int_equal(gained(&other, &table, 0), 0);
        seen[i] = table;
    }
    for (int i = 6; i >= 0; i--) {
        share(&table, up[i], "shop");
        assert_memory_equal(&table, &seen[i], sizeof(table));
    }
    /* The same share by any other way. */
    share(&table, 60, "shop");
    share(&table, 0, "shop");
    share(&table, 25, "shop");
    assert_memory_equal(&table, &seen[3], sizeof(table));
    wt_free(seen);
}

static void test_salt_redraws(void **state)
{
    model_slots_fill(&table, 0);
    model_slots_fill(&other, 0);
    share(&table, 10, "a");
    share(&other, 10, "b");
    /* Two independent tenths share a hundredth: 655, sigma 24. */
    unsigned both = model_slots_quota(10) - gained(&table, &other, 1);
    assert_in_range(both, 535, 775);
}

static void test_minimal_among_many(void **state)
{
    static const double from[] = {40, 30, 20, 10, 0}, to[] = {35, 35, 20, 5, 5};
    model_slots_fill(&table, 0);
    model_slots_move(&table, from, 5, key_of("a"), NULL);
    other = table;
    int moved = model_slots_move(&table, to, 5, key_of("a"), NULL), least = 0;
    for (unsigned d = 0; d < 5; d++) {
        int had = (int)model_slots_count(&other, (uint8_t)d),
            has = (int)model_slots_count(&table, (uint8_t)d);
        least += had > has ? had - has : 0;
        assert_true(fabs(has - to[d] / 100 * MODEL_SLOTS) <= 1);
    }
    assert_int_equal(moved, least);
    assert_int_equal(model_slots_changed(&table, &other), moved);
    assert_int_equal(model_slots_move(&table, to, 5, key_of("a"), NULL), 0);
}

static void test_text(void **state)
{
    static const struct {
        double weights[5];
        unsigned n;
        size_t len;
    } cases[] = {
        {{1, 0}, 2, 3},           {{1, 1}, 2, 10925},          {{1, 1, 1}, 3, 21848},
        {{1, 1, 1, 1}, 4, 21848}, {{1, 1, 1, 1, 1}, 5, 43693},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wt_autobuf struct wt_buf text = wt_buf_make(100000);
        unsigned n = 0;
        model_slots_fill(&table, 0);
        model_slots_move(&table, cases[i].weights, cases[i].n, key_of("a"), NULL);
        assert_int_equal(model_slots_encode(&table, cases[i].n, &text), 0);
        assert_int_equal(text.len, cases[i].len);
        assert_int_equal(model_slots_decode(&other, wt_buf_str(&text), &n, NULL), 0);
        assert_int_equal(n, cases[i].n);
        assert_memory_equal(&other, &table, sizeof(table));
        /* Cut short at any place, it is refused. */
        for (size_t len = 0; len < text.len; len += 1 + text.len / 6)
            assert_int_equal(model_slots_decode(&other, wt_str(text.ptr, len), &n, NULL),
                             WT_EINVAL);
    }
    static const char *const wrong[] = {"",   "2",  "2:",   "2=2",  "0=0",   "17=0",
                                        "2=", "=1", "2=0x", "02=0", "2:####"};
    third = other;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct wt_err err;
        assert_int_equal(model_slots_decode(&other, wt_str_z(wrong[i]), NULL, &err), WT_EINVAL);
    }
    assert_memory_equal(&other, &third, sizeof(third));
}

/* Pinned: a new release must not deal the users anew. */
static void test_pinned(void **state)
{
    assert_int_equal(model_slot_of(key_of("default/old"), WT_STR("alice")), 3357);
    model_slots_fill(&table, 0);
    share(&table, 1, "default/old");
    uint64_t sum = 0;
    for (unsigned i = 0; i < MODEL_SLOTS; i++)
        sum += table.to[i] * (uint64_t)i;
    assert_int_equal(sum, 21466943);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotas),
        cmocka_unit_test(test_wrong_weights),
        cmocka_unit_test(test_way_back_is_identical),
        cmocka_unit_test(test_salt_redraws),
        cmocka_unit_test(test_minimal_among_many),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
