#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>

/* The paper's appendix A (length 15) and the reference implementation's first vectors: key 00 … 0f,
 * input 00, 01, … */
static void siphash_vectors(void **state)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } rows[] = {
        {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
        {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5},
    };
    uint8_t key[16], in[16];
    for (uint8_t i = 0; i < 16; i++)
        key[i] = in[i] = i;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(wt_siphash(wt_hash_key_from(key), in, rows[i].len), rows[i].hash);
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
        const char *shortest;
    } rows[] = {
        {"0s", 0, "0s"},         {"5s", 5000, "5s"},      {"1h30m", 5400000, "1h30m"},
        {"500ms", 500, "500ms"}, {"90s", 90000, "1m30s"}, {"1m1s1ms", 61001, "1m1s1ms"},
        {"", -1, NULL},          {"5", -1, NULL},         {"s", -1, NULL},
        {"-1s", -1, NULL},       {"1s1h", -1, NULL},      {"1s1s", -1, NULL},
        {"1.5s", -1, NULL},      {"123456s", -1, NULL},   {"1d", -1, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;
        char out[32];
        bool ok = wt_duration_parse(wt_str_z(rows[i].text), &ms);
        assert_int_equal(ok, rows[i].ms >= 0);
        if (!ok)
            continue;
        assert_int_equal(ms, rows[i].ms);
        assert_string_equal(wt_duration_format(ms, out), rows[i].shortest);
    }
}

static void instants(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* INT64_MIN: refused */
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-21T06:48:41.123Z", 1795243721123},
        {"2026-11-21T15:48:41+09:00", 1795243721000},
        {"2038-01-19T03:14:08Z", 2147483648000},
        {"2026-13-21T06:48:41Z", INT64_MIN},
        {"2026-11-21 06:48:41Z", INT64_MIN},
        {"2026-11-21T06:48:41", INT64_MIN},
        {"2026-11-21T06:48:41+9", INT64_MIN},
    };
    char out[32];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = 0;
        assert_int_equal(wt_time_parse(wt_str_z(rows[i].text), &ms), rows[i].ms != INT64_MIN);
        if (rows[i].ms != INT64_MIN)
            assert_int_equal(ms, rows[i].ms);
    }
    assert_string_equal(wt_time_format(1795243721123, true, out), "2026-11-21T06:48:41.123Z");
    assert_string_equal(wt_time_format_http(1795243721, out), "Sat, 21 Nov 2026 06:48:41 GMT");
}

static void strings(void **state)
{
    struct wt_str list = WT_STR("a,,b");
    assert_true(wt_str_eq(wt_str_next(&list, ','), WT_STR("a")));
    assert_true(wt_str_eq(wt_str_next(&list, ','), WT_STR("")));
    assert_true(wt_str_eq(wt_str_next(&list, ','), WT_STR("b")));
    assert_null(list.ptr);
    uint64_t v;
    assert_true(wt_str_u64(WT_STR("18446744073709551615"), &v) && v == UINT64_MAX);
    assert_false(wt_str_u64(WT_STR("18446744073709551616"), &v));
    assert_false(wt_str_u64(WT_STR("+1"), &v));
    assert_false(wt_str_u64(WT_STR(""), &v));
    assert_true(wt_str_eq(wt_str_trim(WT_STR(" \tx y ")), WT_STR("x y")));
    assert_int_equal(wt_str_distance(WT_STR("setWeigth"), WT_STR("setWeight"), 9), 1);
    assert_int_equal(wt_str_distance(WT_STR("kitten"), WT_STR("sitting"), 9), 3);
    assert_true(wt_str_eq_nocase(WT_STR("Host"), WT_STR("hOST")));
    assert_true(wt_str_cmp(WT_STR("a"), WT_STR("ab")) < 0);
}

static void a_buffer_stops_at_its_cap(void **state)
{
    struct wt_buf b = wt_buf_make(10);
    assert_int_equal(wt_buf_add(&b, "12345678", 8), 0);
    assert_int_equal(wt_buf_printf(&b, "%s", "too long"), WT_ELIMIT);
    assert_int_equal(wt_buf_add(&b, "9", 1), WT_ELIMIT); /* the first failure stays */
    assert_true(wt_str_eq(wt_buf_str(&b), WT_STR("12345678")));
    wt_buf_done(&b);
    assert_int_equal(wt_buf_printf(&b, "%d", 42), 0);
    assert_string_equal(wt_buf_z(&b), "42");
    wt_buf_consume(&b, 1);
    assert_true(wt_str_eq(wt_buf_str(&b), WT_STR("2")));
    wt_buf_done(&b);
}

static void an_arena_is_bounded_and_aligned(void **state)
{
    char lent[100];
    struct wt_arena a = wt_arena_make(10000);
    wt_arena_lend(&a, lent, sizeof lent);
    for (int i = 1; i < 60; i++) {
        void *p = wt_arena_alloc(&a, (size_t)i);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, i, (size_t)i);
    }
    assert_null(wt_arena_alloc(&a, 20000));
    assert_string_equal(wt_arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    wt_arena_done(&a);
}

/* Against a plain array: puts, replacements, removals, order. */
static void a_map_is_an_ordered_map(void **state)
{
    enum { KEYS = 200, STEPS = 20000 };
    struct wt_map m = {0};
    static char values[KEYS];
    bool there[KEYS] = {0};
    struct wt_rng rng = {7};
    unsigned live = 0;
    for (int i = 0; i < STEPS; i++) {
        unsigned k = wt_rng_below(&rng, KEYS);
        char key[16];
        snprintf(key, sizeof key, "key%u", k);
        if (wt_rng_below(&rng, 3) == 0) {
            void *taken = wt_map_take(&m, wt_str_z(key));
            assert_ptr_equal(taken, there[k] ? &values[k] : NULL);
            live -= there[k];
            there[k] = false;
        } else {
            void *old;
            assert_int_equal(wt_map_put(&m, wt_str_z(key), &values[k], &old), 0);
            assert_ptr_equal(old, there[k] ? &values[k] : NULL);
            live += !there[k];
            there[k] = true;
        }
        assert_int_equal(wt_map_len(&m), live);
    }
    unsigned seen = 0;
    for (struct wt_map_entry *e = wt_map_first(&m); e; e = wt_map_next(&m, e))
        seen++;
    assert_int_equal(seen, live);
    wt_map_done(&m);
}

static bool refuse_all(void *ctx, size_t size)
{
    return true;
}

static void no_memory_is_an_error(void **state)
{
    struct wt_map m = {0};
    struct wt_buf b = wt_buf_make(100);
    struct wt_arena a = wt_arena_make(1000);
    wt_mem_set_fault(refuse_all, NULL);
    int put = wt_map_put(&m, WT_STR("k"), &m, NULL), add = wt_buf_add(&b, "x", 1);
    void *p = wt_arena_alloc(&a, 10);
    wt_mem_set_fault(NULL, NULL);
    assert_int_equal(put, WT_ENOMEM);
    assert_int_equal(add, WT_ENOMEM);
    assert_null(p);
}

static void base64_and_hex(void **state)
{
    static const struct {
        const char *plain, *coded;
    } rows[] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wt_buf coded = wt_buf_make(100), plain = wt_buf_make(100);
        assert_int_equal(wt_base64_add(&coded, rows[i].plain, strlen(rows[i].plain)), 0);
        assert_true(wt_str_eq(wt_buf_str(&coded), wt_str_z(rows[i].coded)));
        assert_int_equal(wt_base64_decode(&plain, wt_buf_str(&coded)), 0);
        assert_true(wt_str_eq(wt_buf_str(&plain), wt_str_z(rows[i].plain)));
        wt_buf_done(&coded);
        wt_buf_done(&plain);
    }
    struct wt_buf out = wt_buf_make(100);
    assert_int_equal(wt_base64_decode(&out, WT_STR("Zg==")), WT_EINVAL);
    assert_int_equal(wt_base64_decode(&out, WT_STR("Z")), WT_EINVAL);
    wt_buf_done(&out);
    char hex[9];
    uint8_t bytes[4];
    wt_hex("\x00\xff\x10\xab", 4, hex);
    assert_string_equal(hex, "00ff10ab");
    assert_true(wt_unhex(WT_STR("00FF10ab"), bytes, 4) && bytes[1] == 0xff);
    assert_false(wt_unhex(WT_STR("00ff10a"), bytes, 4));
    assert_false(wt_unhex(WT_STR("00ff10ag"), bytes, 4));
}

static void errors_grow_from_the_inside(void **state)
{
    struct wt_err e;
    int r = wt_fail(&e, WT_EINVAL, "%d is over %d", 300, 100);
    r = wt_wrap(&e, r, "line %d", 12);
    r = wt_wrap(&e, r, "site.yaml");
    assert_int_equal(r, WT_EINVAL);
    assert_string_equal(e.msg, "site.yaml: line 12: 300 is over 100");
    assert_int_equal(wt_fail(NULL, WT_ENOENT, "nobody listens"), WT_ENOENT);
    char line[700];
    memset(line, 'x', sizeof line);
    line[699] = '\0';
    wt_fail(&e, WT_EIO, "%s", line);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    assert_string_equal(e.msg + sizeof e.msg - 4, "…");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_vectors),
        cmocka_unit_test(durations),
        cmocka_unit_test(instants),
        cmocka_unit_test(strings),
        cmocka_unit_test(a_buffer_stops_at_its_cap),
        cmocka_unit_test(an_arena_is_bounded_and_aligned),
        cmocka_unit_test(a_map_is_an_ordered_map),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(base64_and_hex),
        cmocka_unit_test(errors_grow_from_the_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
