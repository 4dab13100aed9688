#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *in, *want; /* NULL: refused */
} paths[] = {
    {"/", "/"},
    {"/a/b.html", "/a/b.html"},
    {"/a//b", "/a//b"},
    {"/a/./b", "/a/b"},
    {"/a/../b", "/b"},
    {"/a/..", "/"},
    {"/a/.", "/a/"},
    {"/../../a", "/a"},
    {"/a//../b", "/a/b"},
    {"/a/%2e%2E/b", "/b"},
    {"/a/.%2e", "/"},
    {"/...", "/..."},
    {"/.a/..b", "/.a/..b"},
    {"/%41%7e%2d", "/A~-"},
    {"/a%2Fb", "/a%2Fb"},
    {"/a%2fb/../c", "/c"},
    {"/%252e%252e/a", "/%252e%252e/a"},
    {"/%5C", "/%5C"},
    {"", NULL},
    {"a", NULL},
    {"/%", NULL},
    {"/%4", NULL},
    {"/%4g", NULL},
    {"/%00", NULL},
    {"/a b", NULL},
    {"/a#b", NULL},
    {"/a?b", NULL},
    {"/a\\b", NULL},
    {"/\x7f", NULL},
    {"/\xc3\xa4", NULL},
    {"/\t", NULL},
};

static void normalise(void **state)
{
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        wt_autoarena struct wt_arena arena = wt_arena_make(4096);
        struct wt_str out;
        int r = http_path_normalise(wt_str_z(paths[i].in), &arena, &out);
        bool ok =
            paths[i].want ? r == 0 && wt_str_eq(out, wt_str_z(paths[i].want)) : r == WT_EINVAL;
        if (!ok)
            fail_msg("%s: %d", paths[i].in, r);
    }
}

static const struct {
    const char *in, *host; /* NULL: refused */
    int port;
} authorities[] = {
    {"a", "a", -1},
    {"a.b-c_d:80", "a.b-c_d", 80},
    {"127.0.0.1:1", "127.0.0.1", 1},
    {"[::1]", "[::1]", -1},
    {"[::1]:8080", "[::1]", 8080},
    {"", NULL, 0},
    {":80", NULL, 0},
    {"a:", NULL, 0},
    {"a:0", NULL, 0},
    {"a:65536", NULL, 0},
    {"a:8x", NULL, 0},
    {"u@a", NULL, 0},
    {"[::1", NULL, 0},
    {"[g::]", NULL, 0},
    {"[1:2", NULL, 0},
    {"[::1]x", NULL, 0},
    {"a/b", NULL, 0},
    {"a b", NULL, 0},
    {"::1", NULL, 0},
};

static void authority(void **state)
{
    for (size_t i = 0; i < sizeof authorities / sizeof *authorities; i++) {
        struct wt_str host = wt_str(NULL, 0);
        int port = 0;
        bool ok = http_authority_split(wt_str_z(authorities[i].in), &host, &port);
        const char *want = authorities[i].host;
        if (ok != !!want ||
            (want && (!wt_str_eq(host, wt_str_z(want)) || port != authorities[i].port)))
            fail_msg("%s: %d %d", authorities[i].in, ok, port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalise),
        cmocka_unit_test(authority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
