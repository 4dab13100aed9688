#include "http/cache.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* RFC 9111 §3. NULL: no such field. */
static const struct {
    enum http_method method;
    unsigned status;
    const char *authorization, *asks, *says, *expires;
    enum http_store want;
} rows[] = {
    {HTTP_METHOD_GET, 200, NULL, NULL, NULL, NULL, HTTP_STORE_HEURISTIC},
    {HTTP_METHOD_HEAD, 404, NULL, NULL, NULL, NULL, HTTP_STORE_HEURISTIC},
    {HTTP_METHOD_GET, 302, NULL, NULL, NULL, NULL, HTTP_STORE_NO},
    {HTTP_METHOD_GET, 500, NULL, NULL, NULL, NULL, HTTP_STORE_NO},
    {HTTP_METHOD_GET, 103, NULL, NULL, "public", NULL, HTTP_STORE_NO},
    {HTTP_METHOD_GET, 302, NULL, NULL, "max-age=60", NULL, HTTP_STORE_EXPLICIT},
    {HTTP_METHOD_GET, 200, NULL, NULL, "Public", NULL, HTTP_STORE_EXPLICIT},
    {HTTP_METHOD_GET, 200, NULL, NULL, "s-maxage=1", NULL, HTTP_STORE_EXPLICIT},
    {HTTP_METHOD_GET, 200, NULL, NULL, NULL, "0", HTTP_STORE_EXPLICIT},
    {HTTP_METHOD_GET, 200, NULL, NULL, "no-store", NULL, HTTP_STORE_NO},
    {HTTP_METHOD_GET, 200, NULL, NULL, "max-age=1 , No-Store", NULL, HTTP_STORE_NO},
    {HTTP_METHOD_GET, 200, NULL, NULL, "private", NULL, HTTP_STORE_NO},
    {HTTP_METHOD_GET, 200, NULL, NULL, "public, private=\"set-cookie\"", NULL, HTTP_STORE_EXPLICIT},
    {HTTP_METHOD_GET, 200, NULL, "no-store", "public", NULL, HTTP_STORE_NO},
    {HTTP_METHOD_GET, 200, "Basic x", NULL, NULL, NULL, HTTP_STORE_NO},
    {HTTP_METHOD_GET, 200, "Basic x", NULL, "max-age=1", NULL, HTTP_STORE_NO},
    {HTTP_METHOD_GET, 200, "Basic x", NULL, "public", NULL, HTTP_STORE_EXPLICIT},
    {HTTP_METHOD_GET, 200, "Basic x", NULL, "s-maxage=1", NULL, HTTP_STORE_EXPLICIT},
    {HTTP_METHOD_GET, 200, "Basic x", NULL, "must-revalidate", NULL, HTTP_STORE_HEURISTIC},
    {HTTP_METHOD_POST, 200, NULL, NULL, NULL, NULL, HTTP_STORE_NO},
    {HTTP_METHOD_POST, 200, NULL, NULL, "max-age=9", NULL, HTTP_STORE_EXPLICIT},
    {HTTP_METHOD_PUT, 200, NULL, NULL, "max-age=9", NULL, HTTP_STORE_NO},
    {HTTP_METHOD_DELETE, 200, NULL, NULL, "public", NULL, HTTP_STORE_NO},
};

static void put(struct http_head *h, enum http_field_id id, const char *value)
{
    if (value)
        assert_int_equal(http_head_add_id(h, id, wt_str_z(value)), 0);
}

static void table(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wt_arena none = wt_arena_make(0);
        struct http_head q, a;
        http_head_init(&q, &none);
        http_head_init(&a, &none);
        q.method = rows[i].method;
        a.status = (uint16_t)rows[i].status;
        put(&q, HTTP_FIELD_AUTHORIZATION, rows[i].authorization);
        put(&q, HTTP_FIELD_CACHE_CONTROL, rows[i].asks);
        put(&a, HTTP_FIELD_CACHE_CONTROL, rows[i].says);
        put(&a, HTTP_FIELD_EXPIRES, rows[i].expires);
        if (http_may_store_shared(&q, &a) != rows[i].want)
            fail_msg("row %zu: %d", i, http_may_store_shared(&q, &a));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
