#include "http/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Field lists are "name: value|name: value". */
static void fill(struct http_head *h, struct wt_arena *arena, const char *text)
{
    struct wt_str list = wt_str_z(text);
    http_head_init(h, arena);
    while (list.len) {
        struct wt_str one = wt_str_next(&list, '|');
        struct wt_str name = wt_str_next(&one, ':');
        assert_int_equal(http_head_add(h, name, one.ptr ? one : WT_STR("")), 0);
    }
}

static void expect(const struct http_head *h, const char *text, size_t row)
{
    struct wt_str list = wt_str_z(text);
    uint32_t n = 0;
    for (; list.len; n++) {
        struct wt_str one = wt_str_next(&list, '|');
        struct wt_str name = wt_str_next(&one, ':');
        if (n >= h->n_fields || !wt_str_eq_nocase(h->fields[n].name, name) ||
            !wt_str_eq(h->fields[n].value, wt_str_trim(one)))
            fail_msg("row %zu: field %u is not %.*s", row, n, WT_ARG(name));
    }
    if (n != h->n_fields)
        fail_msg("row %zu: %u fields, not %u", row, h->n_fields, n);
}

static const struct {
    const char *before, *after;
    bool upgrade;
} strips[] = {
    {"Host: a|Accept: b", "Host: a|Accept: b", false},
    {"Connection: keep-alive|Keep-Alive: 5|A: 1", "A: 1", false},
    {"A: 1|X: 2|Connection: close, X|B: 3|x: 4", "A: 1|B: 3", false},
    {"X: 1|Y: 2|Connection: X|A: 3|Connection: Y|B: 4", "A: 3|B: 4", false},
    {"Y: 1|X: 2|Connection: Y|Connection: X, A|A: 3|B: 4", "B: 4", false},
    {"Connection: Cookie, Host, Authorization, X-Forwarded-For, X-Request-ID, traceparent|"
     "Cookie: c|Host: h|Authorization: a|X-Forwarded-For: f|X-Request-ID: r|traceparent: t",
     "Cookie: c|Host: h|Authorization: a|X-Forwarded-For: f|X-Request-ID: r|traceparent: t", false},
    {"Connection: accept|Accept: b", "", false},
    {"TE: trailers|Connection: te|Transfer-Encoding: chunked|A: 1", "A: 1", false},
    {"Proxy-Connection: x|Proxy-Authenticate: y|Proxy-Authorization: z|A: 1", "A: 1", false},
    {"Upgrade: w|Connection: upgrade", "", false},
    {"Upgrade: w|Connection: upgrade", "Upgrade: w", true},
    {"Connection: ,, ,|A: 1", "A: 1", false},
};

static void strip_hop_by_hop(void **state)
{
    for (size_t i = 0; i < sizeof strips / sizeof *strips; i++) {
        struct wt_arena none = wt_arena_make(0);
        struct http_head h;
        fill(&h, &none, strips[i].before);
        h.upgrade = strips[i].upgrade;
        h.has_te_trailers = true;
        http_strip_hop_by_hop(&h);
        expect(&h, strips[i].after, i);
        assert_true(h.has_te_trailers);
    }
}

static const struct {
    const char *before, *authority, *after;
    bool strip;
} adds[] = {
    {"A: 1", "h", "A: 1|x-forwarded-for: p|x-forwarded-proto: http|x-forwarded-host: h", false},
    {"X-Forwarded-For: 1|X-Forwarded-For:|X-Forwarded-For: 2, 3", "",
     "x-forwarded-for: 1, 2, 3, p|x-forwarded-proto: http", false},
    {"X-Forwarded-Proto: https|X-Forwarded-Host: o", "h",
     "x-forwarded-proto: http|x-forwarded-host: o|x-forwarded-for: p", false},
    {"Forwarded: f|X-Forwarded-For: 1|X-Forwarded-Host: o|X-Forwarded-Port: 1|X-Real-IP: 2", "h",
     "x-forwarded-for: p|x-forwarded-proto: http|x-forwarded-host: h", true},
};

static void add(void **state)
{
    for (size_t i = 0; i < sizeof adds / sizeof *adds; i++) {
        wt_autoarena struct wt_arena arena = wt_arena_make(4096);
        struct http_head h;
        fill(&h, &arena, adds[i].before);
        h.authority = wt_str_z(adds[i].authority);
        if (adds[i].strip)
            http_strip_forwarding(&h);
        assert_int_equal(http_forwarded_add(&h, WT_STR("p"), WT_STR("http")), 0);
        expect(&h, adds[i].after, i);
    }
}

static void uuid(void **state)
{
    static const uint8_t ones[16] = {255, 255, 255, 255, 255, 255, 255, 255,
                                     255, 255, 255, 255, 255, 255, 255, 255};
    char out[HTTP_UUID_LEN + 1];
    http_uuid_format(ones, out);
    assert_string_equal(out, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    http_uuid_format((const uint8_t[16]){0}, out);
    assert_string_equal(out, "00000000-0000-4000-8000-000000000000");
}

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static const struct {
    const char *in;
    bool ok;
} traces[] = {
    {"00-" TRACE "-" SPAN "-01", true},
    {"00-" TRACE "-" SPAN "-01-x", false},
    {"01-" TRACE "-" SPAN "-01-x", true},
    {"01-" TRACE "-" SPAN "-01x", false},
    {"ff-" TRACE "-" SPAN "-01", false},
    {"00-" TRACE "-" SPAN "-0", false},
    {"00-00000000000000000000000000000000-" SPAN "-01", false},
    {"00-" TRACE "-0000000000000000-01", false},
    {"00-4BF92f3577b34da6a3ce929d0e0e4736-" SPAN "-01", false},
    {"00_" TRACE "-" SPAN "-01", false},
    {"0g-" TRACE "-" SPAN "-01", false},
    {"", false},
};

static void traceparent(void **state)
{
    struct http_traceparent t;
    char out[HTTP_TRACEPARENT_LEN + 1];
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
        if (http_traceparent_parse(wt_str_z(traces[i].in), &t) != traces[i].ok)
            fail_msg("%s", traces[i].in);
    assert_true(http_traceparent_parse(wt_str_z(traces[0].in), &t));
    http_traceparent_format(&t, out);
    assert_string_equal(out, traces[0].in);
    t = http_traceparent_mint((const uint8_t[24]){0});
    http_traceparent_format(&t, out);
    assert_true(http_traceparent_parse(wt_str_z(out), &t));
    assert_int_equal(t.flags, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strip_hop_by_hop),
        cmocka_unit_test(add),
        cmocka_unit_test(uuid),
        cmocka_unit_test(traceparent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
