#include "base/hash.h"
#include "base/mem.h"
#include "io/sys.h"
#include "proxy/clients.h"
#include "proxy/overload.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t key_of(const char *host)
{
    union io_addr a;
    struct wt_err err;
    assert_int_equal(io_addr_parse(wt_str_z(host), 1234, &a, &err), 0);
    return proxy_client_key(&a);
}

static void test_who_is_one_client(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"::ffff:10.0.0.1", "10.0.0.1", true},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.2", false},
        {"64:ff9b::10.0.0.1", "10.0.0.1", true},
        {"64:ff9b::10.0.0.1", "64:ff9b::10.0.0.2", false},
        {"64:ff9b:1::1", "64:ff9b:1::2", true}, /* local use (RFC 8215): as any other */
        {"::1", "10.0.0.1", false},
        {"0.0.0.0", "::", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(key_of(rows[i].a) == key_of(rows[i].b), rows[i].same);
    assert_int_equal(key_of("/run/x"), 0);
    assert_int_not_equal(key_of("::1"), 0);
}

static void test_each_client_has_its_own_share(void **state)
{
    struct proxy_clients *c = proxy_clients_new(io_sys_real(), 3);
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(proxy_clients_enter(c, 7), 0);
    assert_int_equal(proxy_clients_enter(c, 7), WT_ELIMIT);
    assert_int_equal(proxy_clients_enter(c, 8), 0);
    proxy_clients_leave(c, 7);
    assert_int_equal(proxy_clients_enter(c, 7), 0);
    assert_int_equal(proxy_clients_count(c, 7), 3);
    for (int i = 0; i < 10; i++)
        assert_int_equal(proxy_clients_enter(c, 0), 0); /* a unix socket is nobody */
    for (int i = 0; i < 3; i++)
        proxy_clients_leave(c, 7);
    proxy_clients_leave(c, 8);
    assert_int_equal(proxy_clients_known(c), 0);
    proxy_clients_free(c);
    assert_int_equal(proxy_clients_enter(NULL, 7), 0);
    proxy_clients_leave(NULL, 7);
    proxy_clients_free(NULL);
}

/* Against a plain array of counts, with a key of its own each time. */
static void test_the_table_against_an_array(void **state)
{
    enum { KEYS = 3000, STEPS = 200000, EACH = 4 };
    static uint32_t want[KEYS + 1];
    struct proxy_clients *c = proxy_clients_new(io_sys_real(), EACH);
    struct wt_rng rng = {42};
    uint32_t known = 0;
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        uint64_t key = 1 + wt_rng_below(&rng, KEYS);
        if (wt_rng_below(&rng, 2) && want[key]) {
            proxy_clients_leave(c, key);
            known -= --want[key] == 0;
        } else {
            int r = proxy_clients_enter(c, key);
            assert_int_equal(r, want[key] < EACH ? 0 : WT_ELIMIT);
            if (r == 0)
                known += want[key]++ == 0;
        }
    }
    for (uint64_t key = 1; key <= KEYS; key++)
        assert_int_equal(proxy_clients_count(c, key), want[key]);
    assert_int_equal(proxy_clients_known(c), known);
    proxy_clients_free(c);
}

static void *come_and_go(void *clients)
{
    for (uint64_t i = 0; i < 20000; i++) {
        assert_int_equal(proxy_clients_enter(clients, 1 + i % 50), 0);
        proxy_clients_leave(clients, 1 + i % 50);
    }
    return NULL;
}

static void test_from_several_threads(void **state)
{
    struct proxy_clients *c = proxy_clients_new(io_sys_real(), 1000);
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, c), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(proxy_clients_known(c), 0);
    proxy_clients_free(c);
}

static bool refuse_all(void *ctx, size_t size)
{
    (void)ctx;
    (void)size;
    return true;
}

static void test_without_memory_nobody_new_enters(void **state)
{
    struct proxy_clients *c = proxy_clients_new(io_sys_real(), 10);
    (void)state;
    assert_int_equal(proxy_clients_enter(c, 1), 0);
    wt_mem_set_fault(refuse_all, NULL);
    int entered = 0, r = 0;
    for (uint64_t key = 2; key < 5000 && r == 0; key++) {
        r = proxy_clients_enter(c, key);
        entered += r == 0;
    }
    assert_int_equal(proxy_clients_enter(c, 1), 0); /* it is there already */
    wt_mem_set_fault(NULL, NULL);
    assert_int_equal(r, WT_ENOMEM);
    assert_int_equal(proxy_clients_known(c), 1 + entered);
    assert_int_equal(proxy_clients_count(c, 1), 2);
    proxy_clients_free(c);
}

/* ---- the watermark ---- */

static void test_levels(void **state)
{
    enum {
        NONE = PROXY_OVERLOAD_NONE,
        SHRINK = PROXY_OVERLOAD_SHRINK,
        REFUSE = PROXY_OVERLOAD_REFUSE
    };
    static const struct {
        int now;
        unsigned used; /* of 1000 */
        int next;
    } rows[] = {
        {NONE, 0, NONE},       {NONE, 949, NONE},     {NONE, 950, SHRINK},   {NONE, 979, SHRINK},
        {NONE, 980, REFUSE},   {NONE, 5000, REFUSE},  {SHRINK, 950, SHRINK}, {SHRINK, 921, SHRINK},
        {SHRINK, 919, NONE},   {SHRINK, 980, REFUSE}, {REFUSE, 979, REFUSE}, {REFUSE, 950, REFUSE},
        {REFUSE, 949, SHRINK}, {REFUSE, 921, SHRINK}, {REFUSE, 919, NONE},   {REFUSE, 0, NONE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(proxy_overload_next((enum proxy_overload)rows[i].now, rows[i].used, 1000),
                         rows[i].next);
    assert_int_equal(proxy_overload_next(PROXY_OVERLOAD_NONE, UINT64_MAX, 0), NONE);
    assert_int_equal(proxy_overload_next(PROXY_OVERLOAD_NONE, UINT64_MAX, 1), REFUSE);
}

static void test_what_is_promised_counts_beyond_the_reserve(void **state)
{
    static const struct {
        uint64_t measured, promised, limit, used;
    } rows[] = {
        {500, 0, 1000, 500},   {500, 20, 1000, 500},   {500, 21, 1000, 501},
        {500, 400, 1000, 880}, {990, 400, 1000, 1370},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(proxy_overload_used(rows[i].measured, rows[i].promised, rows[i].limit),
                         rows[i].used);
}

/* All workers together never take more than what was left, but for the least part of each. */
static void test_a_part_of_what_is_left(void **state)
{
    enum { LEAST = 64 << 10 };
    const uint64_t limit = 100 << 20, mark = limit / 100 * 98;
    (void)state;
    for (unsigned n = 1; n <= 64; n *= 4)
        for (uint64_t used = 0; used < 2 * limit; used += 1 << 20) {
            uint64_t part = proxy_overload_part(PROXY_OVERLOAD_NONE, used, limit, n);
            uint64_t left = used < mark ? mark - used : 0;
            assert_true(part >= LEAST);
            assert_true(part * n <= left || part <= limit >> 10);
            assert_true(part >= left / n);
        }
    assert_int_equal(proxy_overload_part(PROXY_OVERLOAD_SHRINK, mark, limit, 1), limit >> 10);
    assert_int_equal(proxy_overload_part(PROXY_OVERLOAD_SHRINK, 1 << 20, 1 << 20, 8), LEAST);
    assert_int_equal(proxy_overload_part(PROXY_OVERLOAD_REFUSE, 0, limit, 1), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_one_client),
        cmocka_unit_test(test_each_client_has_its_own_share),
        cmocka_unit_test(test_the_table_against_an_array),
        cmocka_unit_test(test_from_several_threads),
        cmocka_unit_test(test_without_memory_nobody_new_enters),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_what_is_promised_counts_beyond_the_reserve),
        cmocka_unit_test(test_a_part_of_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
