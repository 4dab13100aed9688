#include "http/cookie.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *first, *second, *name;
    const char *value; /* NULL: not found */
} rows[] = {
    {"sid=1", NULL, "sid", "1"},
    {"a=1; sid=2; b=3", NULL, "sid", "2"},
    {"a=1;sid=2;;b=3", NULL, "sid", "2"},
    {"sid=1; a=2; sid=3", NULL, "sid", "1"},
    {"a=1", "sid=2; c=3", "sid", "2"},
    {"sid=1", "sid=2", "sid", "1"},
    {"SID=1; xsid=2; sidx=3", NULL, "sid", NULL},
    {"sid=\"a b\"", NULL, "sid", "\"a b\""},
    {"sid=a=b==", NULL, "sid", "a=b=="},
    {"sid", NULL, "sid", ""},
    {"sid = 1 ;a=2", NULL, "sid", "1"},
    {"sid x=1", NULL, "sid", NULL},
    {"a=sid=1", NULL, "sid", NULL},
    {" ; ;", NULL, "sid", NULL},
};

static void get(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wt_autoarena struct wt_arena arena = wt_arena_make(4096);
        struct http_head h;
        struct wt_str v, name = wt_str_z(rows[i].name);
        http_head_init(&h, &arena);
        http_head_add_id(&h, HTTP_FIELD_COOKIE, wt_str_z(rows[i].first));
        http_head_add_id(&h, HTTP_FIELD_ACCEPT, WT_STR("x"));
        if (rows[i].second)
            http_head_add_id(&h, HTTP_FIELD_COOKIE, wt_str_z(rows[i].second));
        bool found = http_cookie_get(&h, name, &v);
        if (found != (rows[i].value != NULL) || (found && !wt_str_eq(v, wt_str_z(rows[i].value))))
            fail_msg("row %zu", i);
    }
}

static void each_of_a_name(void **state)
{
    static const char *const values[] = {"1", "3", "", "4"};
    wt_autoarena struct wt_arena arena = wt_arena_make(4096);
    struct http_head h;
    struct wt_str v;
    http_head_init(&h, &arena);
    http_head_add_id(&h, HTTP_FIELD_COOKIE, WT_STR("sid=1; a=2; sid=3; sid; sidx=5"));
    http_head_add_id(&h, HTTP_FIELD_COOKIE, WT_STR("b=sid; sid=4"));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(http_cookie_nth(&h, WT_STR("sid"), i, &v));
        assert_true(wt_str_eq(v, wt_str_z(values[i])));
    }
    assert_false(http_cookie_nth(&h, WT_STR("sid"), 4, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(get), cmocka_unit_test(each_of_a_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
