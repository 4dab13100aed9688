/* proxy/claim.h: which claim a request shows, and that nothing strange is taken for one. */
#include "proxy/claim.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* An object or a list in another, up to the deepest that is read, and one more. */
#define DEEP_15 "[[[[[[[[[[[[[[[" /* within the claims' own object */
#define END_15 "]]]]]]]]]]]]]]]"

static const struct {
    const char *claims, *name;
    const char *value; /* NULL: none */
} claims[] = {
    {"{\"sub\":\"alice\"}", "sub", "alice"},
    {" {\"iat\" : 1516239022,\n \"sub\" : \"alice\", \"x\":[1.5,true,null]} ", "sub", "alice"},
    {"{\"https://x.example/id\":\"b\",\"sub\":\"a\"}", "https://x.example/id", "b"},
    {"{\"sub\":\"\\u0061l\\\"i\\\\ce\\u00e9\\ud83d\\ude00\"}", "sub",
     "al\"i\\ce\xc3\xa9\xf0\x9f\x98\x80"},
    {"{\"s\\u0075b\":\"escaped name\"}", "sub", "escaped name"},
    {"{\"sub\":\"\xc3\xa9\"}", "sub", "\xc3\xa9"},
    {"{\"sub\":42}", "sub", "42"},
    {"{\"sub\":-9223372036854775808}", "sub", "-9223372036854775808"},
    {"{\"sub\":\"} ] \\\" [ {\"}", "sub", "} ] \" [ {"},
    {"{\"sub\":\"a\",\"x\":" DEEP_15 END_15 "}", "sub", "a"},
    {"{\"x\":\"" DEEP_15 DEEP_15 "\",\"sub\":\"a\"}", "sub", "a"},
    {"{\"x\":\"\\\"\",\"y\":[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}],\"sub\":\"a\"}",
     "sub", "a"},
    {"{\"x\":\"\\\"" DEEP_15 DEEP_15 "\",\"sub\":\"a\"}", "sub", "a"},
    {"{\"sub\":\"a\",\"x\":[" DEEP_15 END_15 "]}", "sub", NULL},
    {"{\"sub\":\"a\",\"x\":\"\\\\\",\"y\":[" DEEP_15 END_15 "]}", "sub", NULL},
    {"{\"sub\":\"a\",\"x\":[" DEEP_15, "sub", NULL},
    {"{\"sub\":9223372036854775808}", "sub", NULL},
    {"{\"sub\":1.0}", "sub", NULL},
    {"{\"sub\":1e3}", "sub", NULL},
    {"{\"sub\":true}", "sub", NULL},
    {"{\"sub\":null}", "sub", NULL},
    {"{\"sub\":[\"a\"]}", "sub", NULL},
    {"{\"sub\":{\"sub\":\"a\"}}", "sub", NULL},
    {"{\"sub\":\"\"}", "sub", NULL},
    {"{\"x\":{\"sub\":\"a\"}}", "sub", NULL},
    {"{\"x\":{\"sub\":\"a\"}}", "x.sub", NULL},
    {"{\"Sub\":\"a\"}", "sub", NULL},
    {"{\"subject\":\"a\"}", "sub", NULL},
    {"{\"sub\":\"a\",\"sub\":\"b\"}", "sub", NULL},
    {"{\"sub\":\"a\",\"x\":1,\"x\":2}", "sub", NULL},
    {"{\"sub\":\"a\",\"s\\u0075b\":\"b\"}", "sub", NULL},
    {"{\"sub\":\"a\\u0000b\"}", "sub", NULL},
    {"{\"sub\":\"\\ud83d\"}", "sub", NULL},
    {"{\"sub\":\"\xff\"}", "sub", NULL},
    {"{\"sub\":\"a\\\nb\"}", "sub", NULL},
    {"{\"sub\":\"a\"", "sub", NULL},
    {"{\"sub\":\"a\"}}", "sub", NULL},
    {"{\"sub\":\"a\"} {}", "sub", NULL},
    {"{sub:\"a\"}", "sub", NULL},
    {"{\"sub\":'a'}", "sub", NULL},
    {"[\"sub\",\"a\"]", "sub", NULL},
    {"\"sub\"", "sub", NULL},
    {"sub", "sub", NULL},
    {"", "sub", NULL},
};

/* The claims {"sub":"alice"}, in one token and out of it; H and S stand for what is not read. */
#define ALICE "eyJzdWIiOiJhbGljZSJ9"

static const struct {
    const char *first, *second; /* Authorization fields; NULL: none */
    bool found;
} fields[] = {
    {"Bearer H." ALICE ".S", NULL, true},
    {"bearer H." ALICE ".S", NULL, true},
    {"BEARER   H." ALICE ".S", NULL, true},
    {"Bearer H." ALICE ".", NULL, true}, /* "alg": "none" */
    {NULL, NULL, false},
    {"", NULL, false},
    {"Bearer", NULL, false},
    {"Bearer ", NULL, false},
    {"Bearer H." ALICE ".S", "Bearer H." ALICE ".S", false},
    {"Bearer H." ALICE ".S", "Basic YTpi", false},
    {"Basic YTpi", "Bearer H." ALICE ".S", false},
    {"Bearer H." ALICE ".S, Bearer H." ALICE ".S", NULL, false},
    {"Basic H." ALICE ".S", NULL, false},
    {"BearerH." ALICE ".S", NULL, false},
    {"Bearers H." ALICE ".S", NULL, false},
    {"H." ALICE ".S", NULL, false},
    {"Bearer H." ALICE, NULL, false},
    {"Bearer ." ALICE ".S", NULL, false},
    {"Bearer H..S", NULL, false},
    {"Bearer ..", NULL, false},
    {"Bearer " ALICE, NULL, false},
    {"Bearer H." ALICE ".S.T.U", NULL, false},
    {"Bearer H." ALICE ".S.", NULL, false},
    {"Bearer H." ALICE "=.S", NULL, false},
    {"Bearer H. " ALICE ".S", NULL, false},
    {"Bearer H.eyJzdWIiOiJhbGljZSJ.S", NULL, false},   /* one character less: no closing brace */
    {"Bearer H.eyJzdWIiOiJhbGljZSJ9e.S", NULL, false}, /* six bits are no byte */
    {"Bearer H.eyJzdWIiOiI/Pz8ifQ.S", NULL, false},    /* "???" in the alphabet of RFC 4648 §4 */
    {"Bearer H.eyJzdWIiOiI_Pz8ifQ.S", NULL, true},
    {"Bearer H.eyJzdWIiOiJhbGljZSJ9%3D.S", NULL, false},
};

static bool ask(const char *const values[2], struct wt_arena *arena, const char *name,
                struct wt_str *out)
{
    struct http_head h;
    http_head_init(&h, arena);
    http_head_add_id(&h, HTTP_FIELD_COOKIE, WT_STR("sub=cookie"));
    for (int i = 0; i < 2; i++)
        if (values[i])
            assert_int_equal(http_head_add_id(&h, HTTP_FIELD_AUTHORIZATION, wt_str_z(values[i])),
                             0);
    return proxy_claim_get(&h, wt_str_z(name), out);
}

/* The same with a token of these claims. */
static bool ask_claims(struct wt_str text, struct wt_arena *arena, const char *name,
                       struct wt_str *out)
{
    wt_autobuf struct wt_buf b = wt_buf_make(65536);
    wt_buf_add_str(&b, WT_STR("Bearer eyJhbGciOiJIUzI1NiJ9."));
    wt_base64_add(&b, text.ptr, text.len);
    wt_buf_add_str(&b, WT_STR(".c2lnbmF0dXJl"));
    const char *const values[2] = {wt_buf_z(&b)};
    return ask(values, arena, name, out);
}

static void test_claims(void **state)
{
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        wt_autoarena struct wt_arena arena = wt_arena_make(65536);
        struct wt_str v = WT_STR("untouched");
        bool found = ask_claims(wt_str_z(claims[i].claims), &arena, claims[i].name, &v);
        const char *want = claims[i].value ? claims[i].value : "untouched";
        if (found != (claims[i].value != NULL) || !wt_str_eq(v, wt_str_z(want)))
            fail_msg("row %zu: %s: found %d: %.*s", i, claims[i].claims, found, WT_ARG(v));
    }
}

static void test_fields(void **state)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        wt_autoarena struct wt_arena arena = wt_arena_make(65536);
        struct wt_str v = WT_STR("untouched");
        const char *const values[2] = {fields[i].first, fields[i].second};
        if (ask(values, &arena, "sub", &v) != fields[i].found)
            fail_msg("row %zu: %s", i, fields[i].first);
        assert_true(fields[i].found != wt_str_eq(v, WT_STR("untouched")));
    }
}

/* The longest that is read, and one that is a character longer. */
static void test_a_long_token(void **state)
{
    static char text[PROXY_CLAIM_PAYLOAD_MAX];
    const size_t most = PROXY_CLAIM_PAYLOAD_MAX / 4 * 3;
    for (size_t more = 0; more < 2; more++) {
        wt_autoarena struct wt_arena arena = wt_arena_make(65536);
        struct wt_str v = {NULL, 0};
        int n = snprintf(text, sizeof text, "{\"sub\":\"%0*d\"}", (int)(most + more - 10), 7);
        assert_int_equal(n, most + more);
        assert_int_equal(ask_claims(wt_str(text, (size_t)n), &arena, "sub", &v), more == 0);
        assert_int_equal(v.len, more ? 0 : most - 10);
    }
}

/* A token that is cut off anywhere shows nothing; nor does it lead beyond its end. */
static void test_every_truncation(void **state)
{
    static const char whole[] = "Bearer eyJhbGciOiJIUzI1NiJ9." ALICE ".S";
    const size_t signature = sizeof whole - 2; /* from here on only that is cut */
    for (size_t n = 0; n < signature; n++) {
        wt_autoarena struct wt_arena arena = wt_arena_make(65536);
        char *part = strndup(whole, n);
        const char *const values[2] = {part};
        struct wt_str v;
        assert_int_equal(ask(values, &arena, "sub", &v), false);
        free(part);
    }
}

static void test_without_memory(void **state)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(65536), none = wt_arena_make(0);
    struct http_head h;
    struct wt_str v;
    http_head_init(&h, &arena);
    http_head_add_id(&h, HTTP_FIELD_AUTHORIZATION, WT_STR("Bearer H." ALICE ".S"));
    assert_true(proxy_claim_get(&h, WT_STR("sub"), &v));
    h.arena = &none;
    assert_false(proxy_claim_get(&h, WT_STR("sub"), &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims),         cmocka_unit_test(test_fields),
        cmocka_unit_test(test_a_long_token),   cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
