#include "http/cookie.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *first, *second, *name;
    const char *value; /* NULL: not found */
    const char *left, *left_second;
    int removed;
} rows[] = {
    {"sid=1", NULL, "sid", "1", NULL, NULL, 1},
    {"a=1; sid=2; b=3", NULL, "sid", "2", "a=1; b=3", NULL, 1},
    {"a=1;sid=2;;b=3", NULL, "sid", "2", "a=1; b=3", NULL, 1},
    {"sid=1; a=2; sid=3", NULL, "sid", "1", "a=2", NULL, 2},
    {"a=1", "sid=2; c=3", "sid", "2", "a=1", "c=3", 1},
    {"sid=1", "sid=2", "sid", "1", NULL, NULL, 2},
    {"SID=1; xsid=2; sidx=3", NULL, "sid", NULL, "SID=1; xsid=2; sidx=3", NULL, 0},
    {"sid=\"a b\"", NULL, "sid", "\"a b\"", NULL, NULL, 1},
    {"sid=a=b==", NULL, "sid", "a=b==", NULL, NULL, 1},
    {"sid", NULL, "sid", "", NULL, NULL, 1},
    {"a=sid=1", NULL, "sid", NULL, "a=sid=1", NULL, 0},
    {" ; ;", NULL, "sid", NULL, "; ;", NULL, 0},
};

static void get_and_remove(void **state)
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
        assert_int_equal(http_cookie_get(&h, name, &v), rows[i].value != NULL);
        if (rows[i].value)
            assert_true(wt_str_eq(v, wt_str_z(rows[i].value)));
        assert_int_equal(http_cookie_remove(&h, name), rows[i].removed);
        assert_false(http_cookie_get(&h, name, &v));
        const char *left[2] = {rows[i].left, rows[i].left_second};
        const struct http_field *f = NULL;
        for (unsigned n = 0; n < 2; n++) {
            f = left[n] || !n ? http_head_next(&h, HTTP_FIELD_COOKIE, f) : f;
            if (left[n] && (!f || !wt_str_eq(f->value, wt_str_z(left[n]))))
                fail_msg("row %zu, field %u", i, n);
        }
        assert_true(http_head_get(&h, HTTP_FIELD_ACCEPT, &v));
    }
}

static const struct {
    struct http_set_cookie cookie;
    const char *want; /* NULL: refused */
} formats[] = {
#define C(n, v, p, d, ...)                                                                         \
    {                                                                                              \
        WT_STR_INIT(n), WT_STR_INIT(v), WT_STR_INIT(p), WT_STR_INIT(d), __VA_ARGS__                \
    }
    {C("a", "1", "", "", -1, false, false, HTTP_SAME_SITE_UNSET), "a=1"},
    {C("a", "", "/", "", 0, true, true, HTTP_SAME_SITE_LAX),
     "a=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"},
    {C("a", "1", "/x", "b.c", 60, true, false, HTTP_SAME_SITE_NONE),
     "a=1; Path=/x; Domain=b.c; Max-Age=60; Secure; SameSite=None"},
    {C("", "1", "", "", -1, false, false, HTTP_SAME_SITE_UNSET), NULL},
    {C("a b", "1", "", "", -1, false, false, HTTP_SAME_SITE_UNSET), NULL},
    {C("a", "1;2", "", "", -1, false, false, HTTP_SAME_SITE_UNSET), NULL},
    {C("a", "1\r\n", "", "", -1, false, false, HTTP_SAME_SITE_UNSET), NULL},
    {C("a", "1,2", "", "", -1, false, false, HTTP_SAME_SITE_UNSET), NULL},
    {C("a", "1", "/;x", "", -1, false, false, HTTP_SAME_SITE_UNSET), NULL},
    {C("a", "1", "", "b\n", -1, false, false, HTTP_SAME_SITE_UNSET), NULL},
#undef C
};

static void format(void **state)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        wt_autobuf struct wt_buf out = wt_buf_make(256);
        int r = http_set_cookie_format(&formats[i].cookie, &out);
        bool ok = formats[i].want ? r == 0 && wt_str_eq(wt_buf_str(&out), wt_str_z(formats[i].want))
                                  : r == WT_EINVAL && out.len == 0;
        if (!ok)
            fail_msg("row %zu: %d %.*s", i, r, WT_ARG(wt_buf_str(&out)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(get_and_remove), cmocka_unit_test(format)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
