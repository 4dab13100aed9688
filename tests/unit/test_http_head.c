#include "base/mem.h"
#include "http/cookie.h"
#include "http/forwarded.h"
#include "http/h1_body.h"
#include "http/h1_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void get_set_remove(void **state)
{
    struct wt_arena none = wt_arena_make(0);
    struct http_head h;
    struct wt_str v;
    http_head_init(&h, &none);
    assert_int_equal(http_head_add(&h, WT_STR("COOKIE"), WT_STR(" a ")), 0);
    assert_int_equal(http_head_add(&h, WT_STR("X-A"), WT_STR("1")), 0);
    assert_int_equal(http_head_add(&h, WT_STR("x-a"), WT_STR("2")), 0);
    assert_int_equal(http_head_add_id(&h, HTTP_FIELD_COOKIE, WT_STR("b")), 0);
    assert_true(http_head_get(&h, HTTP_FIELD_COOKIE, &v) && wt_str_eq(v, WT_STR("a")));
    assert_true(http_head_get_name(&h, WT_STR("X-a"), &v) && wt_str_eq(v, WT_STR("1")));
    assert_int_equal(http_head_set(&h, WT_STR("X-A"), WT_STR("3")), 0);
    assert_int_equal(h.n_fields, 3);
    assert_int_equal(http_head_set_id(&h, HTTP_FIELD_COOKIE, WT_STR("c")), 0);
    assert_int_equal(h.n_fields, 2);
    assert_int_equal(http_head_remove(&h, HTTP_FIELD_COOKIE), 1);
    assert_false(http_head_get(&h, HTTP_FIELD_COOKIE, &v));
    assert_int_equal(http_head_remove(&h, HTTP_FIELD_COOKIE), 0);
    assert_int_equal(http_head_set_id(&h, HTTP_FIELD_COOKIE, WT_STR("d")), 0);
    assert_true(http_head_get(&h, HTTP_FIELD_COOKIE, &v) && wt_str_eq(v, WT_STR("d")));
    assert_int_equal(http_head_remove_name(&h, WT_STR("x-A")), 1);
    assert_int_equal(h.n_fields, 1);
    assert_int_equal(http_head_add_id(&h, HTTP_FIELD_OTHER, WT_STR("v")), WT_EINVAL);
    assert_int_equal(http_head_set_id(&h, HTTP_FIELD_OTHER, WT_STR("v")), WT_EINVAL);
}

static const struct {
    struct wt_str name, value;
    int want;
} adds[] = {
    {WT_STR_INIT("a"), WT_STR_INIT("tab\there, and eight more"), 0},
    {WT_STR_INIT("a"), WT_STR_INIT("\xc3\xa4"), 0},
    {WT_STR_INIT(""), WT_STR_INIT("v"), WT_EINVAL},
    {WT_STR_INIT("a b"), WT_STR_INIT("v"), WT_EINVAL},
    {WT_STR_INIT("a:"), WT_STR_INIT("v"), WT_EINVAL},
    {WT_STR_INIT("a"), WT_STR_INIT("v\r\nX: y"), WT_EINVAL},
    {WT_STR_INIT("a"), WT_STR_INIT("a long one with a LF\n"), WT_EINVAL},
    {WT_STR_INIT("a"), WT_STR_INIT("v\0"), WT_EINVAL},
    {WT_STR_INIT("a"), WT_STR_INIT("12345678\x7f"), WT_EINVAL},
    {WT_STR_INIT("cookie"), WT_STR_INIT("12345678\r"), WT_EINVAL},
};

static void injection(void **state)
{
    for (size_t i = 0; i < sizeof adds / sizeof *adds; i++) {
        struct wt_arena none = wt_arena_make(0);
        struct http_head h;
        http_head_init(&h, &none);
        assert_int_equal(http_head_add(&h, adds[i].name, adds[i].value), adds[i].want);
        assert_int_equal(http_head_set(&h, adds[i].name, adds[i].value), adds[i].want);
        assert_int_equal(h.n_fields, adds[i].want == 0);
    }
}

static void cap_and_copies(void **state)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(1 << 20);
    char text[] = "value", path[] = "/p";
    struct http_head h, shared, owned;
    struct wt_str v;
    http_head_init(&h, &arena);
    h.path = wt_str_z(path);
    for (int i = 0; i < HTTP_HEAD_MAX_FIELDS; i++)
        assert_int_equal(http_head_add_id(&h, HTTP_FIELD_VIA, wt_str_z(text)), 0);
    assert_int_equal(http_head_add_id(&h, HTTP_FIELD_VIA, wt_str_z(text)), WT_ELIMIT);
    assert_int_equal(http_head_copy(&shared, &h, &arena), 0);
    assert_int_equal(http_head_clone(&owned, &h, &arena), 0);
    assert_ptr_not_equal(shared.fields, h.fields);
    text[0] = path[1] = 'X';
    http_head_get(&shared, HTTP_FIELD_VIA, &v);
    assert_true(wt_str_eq(v, WT_STR("Xalue")));
    http_head_get(&owned, HTTP_FIELD_VIA, &v);
    assert_true(wt_str_eq(v, WT_STR("value")) && wt_str_eq(owned.path, WT_STR("/p")));
    assert_int_equal(http_head_remove(&shared, HTTP_FIELD_VIA), HTTP_HEAD_MAX_FIELDS);
    assert_int_equal(h.n_fields, HTTP_HEAD_MAX_FIELDS);
}

/* An Expect that was ignored is not sent on as HTTP/1.1; what a member stands for is not doubled.
 */
static void written_once(void **state)
{
    static const char in[] = "POST /%41?q HTTP/1.0\r\nHost: h\r\nExpect: 200-ok\r\n"
                             "Content-Length: 007\r\nX: 1\r\n\r\n";
    wt_autoarena struct wt_arena arena = wt_arena_make(4096);
    wt_autobuf struct wt_buf out = wt_buf_make(4096);
    struct http_head h;
    size_t used;
    enum http_h1_fault fault;
    http_head_init(&h, &arena);
    assert_int_equal(
        http_h1_parse_request(wt_str_z(in), 0, &http_h1_default_limits, &h, &used, &fault), 0);
    assert_int_equal(http_h1_write_request(&h, &out), 0);
    assert_true(
        wt_str_eq(wt_buf_str(&out), WT_STR("POST /A?q HTTP/1.1\r\nhost: h\r\nX: 1\r\n"
                                           "content-length: 7\r\nconnection: close\r\n\r\n")));
    http_head_init(&h, &arena);
    h.status = 299;
    out.len = 0;
    assert_int_equal(http_h1_write_response(&h, &out), 0);
    assert_true(wt_str_eq(wt_buf_str(&out), WT_STR("HTTP/1.1 299 \r\n\r\n")));
}

/* ---- no memory ---- */

static unsigned countdown;

static bool refuse(void *ctx, size_t size)
{
    return countdown == 0 || --countdown == 0;
}

/* More fields than fit inline, an escaped path, cookies, trailers: all that asks for memory. */
static int everything(const char *request, size_t len)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(1 << 20);
    wt_autobuf struct wt_buf out = wt_buf_make(1 << 16);
    static struct http_head h, copy, owned, trailers;
    struct http_h1_body b;
    struct wt_str v;
    size_t used;
    enum http_h1_fault fault;
    http_head_init(&h, &arena);
    http_head_init(&trailers, &arena);
    int r =
        http_h1_parse_request(wt_str(request, len), 0, &http_h1_default_limits, &h, &used, &fault);
    r = r < 0 ? r : http_head_copy(&copy, &h, &arena);
    r = r < 0 ? r : http_head_clone(&owned, &copy, &arena);
    r = r < 0 ? r : http_forwarded_add(&owned, WT_STR("192.0.2.1"), WT_STR("http"));
    r = r < 0 ? r : http_h1_write_request(&owned, &out);
    if (r < 0)
        return r;
    http_h1_body_init(&b, &(struct http_head){.framing = HTTP_FRAMING_CHUNKED}, &trailers);
    r = http_h1_body_read(&b, WT_STR("0\r\nX-Sum: 1\r\n\r\n"), &v, &used);
    return r < 0 ? r : http_h1_write_last_chunk(&trailers, &out);
}

/* Leaks are the sanitizer's to see. */
static void out_of_memory(void **state)
{
    char request[4096];
    int n = snprintf(request, sizeof request,
                     "GET /%%41/../b HTTP/1.1\r\nHost: a\r\n"
                     "Cookie: a=1; sid=2\r\nCookie: sid=3; b=4\r\n");
    for (int i = 0; i < 40; i++)
        n += snprintf(request + n, sizeof request - (size_t)n, "X-%d: %d\r\n", i, i);
    n += snprintf(request + n, sizeof request - (size_t)n, "\r\n");
    assert_int_equal(everything(request, (size_t)n), 0);
    int r = WT_ENOMEM;
    unsigned nth = 1;
    for (; r == WT_ENOMEM && nth < 1000; nth++) {
        countdown = nth;
        wt_mem_set_fault(refuse, NULL);
        r = everything(request, (size_t)n);
        bool reached = countdown == 0;
        wt_mem_set_fault(NULL, NULL);
        assert_int_equal(r, reached ? WT_ENOMEM : 0);
    }
    assert_int_equal(r, 0);
    assert_true(nth > 2); /* some were refused; under ASan each piece is an allocation */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_set_remove), cmocka_unit_test(injection),
        cmocka_unit_test(cap_and_copies), cmocka_unit_test(written_once),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
