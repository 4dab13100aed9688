#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy_route_help.h"

static struct world world; /* routes of the test that runs */

static int clean(void **state)
{
    world_done(&world);
    return 0;
}

struct row {
    const char *method, *authority, *target, *headers; /* headers: "name: value\n…" */
    const char *want;                                  /* "namespace/route#rule", or NULL for 404 */
};

static void check_rows(uint32_t socket, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char seen[160] = "404";
        struct proxy_match m;
        if (world_match(&world, socket, rows[i].method, rows[i].authority, rows[i].target,
                        rows[i].headers, &m))
            snprintf(seen, sizeof seen, "%.*s#%u", WT_ARG(m.rule->route), m.rule->index);
        const char *want = rows[i].want ? rows[i].want : "404";
        if (strcmp(seen, want) != 0)
            fail_msg("row %zu (%s %s%s): %s, not %s", i, rows[i].method, rows[i].authority,
                     rows[i].target, seen, want);
    }
}

#define CHECK(socket, rows) check_rows(socket, rows, sizeof(rows) / sizeof((rows)[0]))

static void paths(void **state)
{
    world_listener(&world, "http", "", PROXY_ROUTES_SAME);
    world_route(&world, "a", 1, "[]",
                "[{'matches':[{'path':{'type':'PathPrefix','value':'/'}}]},"
                " {'matches':[{'path':{'type':'PathPrefix','value':'/foo'}}]},"
                " {'matches':[{'path':{'type':'PathPrefix','value':'/foo/bar/'}}]},"
                " {'matches':[{'path':{'type':'Exact','value':'/foo/bar'}}]},"
                " {'matches':[{'path':{'type':'Exact','value':'/foo/'}}]}]");
    world_build(&world);
    static const struct row rows[] = {
        {"GET", "x", "/", "", "default/a#0"},
        {"GET", "x", "/foo", "", "default/a#1"},
        {"GET", "x", "/foo/", "", "default/a#4"},
        {"GET", "x", "/foo/x", "", "default/a#1"},
        {"GET", "x", "/foobar", "", "default/a#0"},
        {"GET", "x", "/foo/bar", "", "default/a#3"},
        {"GET", "x", "/foo/bar/", "", "default/a#2"},
        {"GET", "x", "/foo/bar/baz/deeper/and/deeper", "", "default/a#2"},
        {"GET", "x", "/foo/barrier", "", "default/a#1"},
        {"GET", "x", "/foo?x=/foo/bar", "", "default/a#1"},
        {"GET", "x", "/FOO", "", "default/a#0"},
        {"GET", "x", "//foo", "", "default/a#0"},
        {"OPTIONS", "x", "*", "", "default/a#0"},
        {"GET", "", "/", "", "default/a#0"},
    };
    CHECK(0, rows);
    struct proxy_match m;
    assert_true(world_match(&world, 0, "GET", "x", "/foo/bar/baz", "", &m));
    assert_int_equal(m.prefix_len, 8); /* "/foo/bar", without the slash at the end */
    assert_int_equal(m.port, 8080);
    assert_false(world_match(&world, 1, "GET", "x", "/", "", &m));
}

/* A path or host whose candidates all refuse passes the request on. */
static void falls_through(void **state)
{
    world_listener(&world, "http", "", PROXY_ROUTES_SAME);
    world_route(&world, "host", 1, "['a.b.example']",
                "[{'matches':[{'path':{'type':'Exact','value':'/x/y'},'method':'POST'},"
                "             {'path':{'value':'/x/y'},'method':'PUT'},"
                "             {'path':{'value':'/x'},'method':'PATCH'}]}]");
    world_route(&world, "wild", 1, "['*.b.example']", "[{'matches':[{'method':'DELETE'}]}]");
    world_route(&world, "wider", 1, "['*.example']", "[{'matches':[{'path':{'value':'/x'}}]}]");
    world_route(&world, "all", 1, "[]", "[{'matches':[{'path':{'value':'/'}}]}]");
    world_build(&world);
    static const struct row rows[] = {
        {"POST", "a.b.example", "/x/y", "", "default/host#0"},
        {"PUT", "a.b.example", "/x/y", "", "default/host#0"},
        {"PATCH", "a.b.example", "/x/y", "", "default/host#0"},
        {"DELETE", "a.b.example", "/x/y", "", "default/wild#0"},
        {"GET", "a.b.example", "/x/y", "", "default/wider#0"},
        {"GET", "a.b.example", "/y", "", "default/all#0"},
    };
    CHECK(0, rows);
}

static void hosts(void **state)
{
    world_listener(&world, "http", "", PROXY_ROUTES_SAME);
    world_route(&world, "exact", 1, "['shop.example']", "[{}]");
    world_route(&world, "wild", 1, "['*.example', '*.deep.example']", "[{}]");
    world_route(&world, "deep", 0, "['*.deep.example']", "[{}]");
    world_build(&world);
    static const struct row rows[] = {
        {"GET", "shop.example", "/", "", "default/exact#0"},
        {"GET", "SHOP.Example:8080", "/", "", "default/exact#0"},
        {"GET", "shop.example.", "/", "", "default/exact#0"},
        {"GET", "a.example", "/", "", "default/wild#0"},
        {"GET", "a.b.c.example", "/", "", "default/wild#0"},
        {"GET", "x.deep.example", "/", "", "default/deep#0"},
        {"GET", "deep.example", "/", "", "default/wild#0"},
        {"GET", "example", "/", "", NULL},
        {"GET", ".example", "/", "", NULL},
        {"GET", "badexample", "/", "", NULL},
        {"GET", "shop.example.com", "/", "", NULL},
        {"GET", "[::1]:8080", "/", "", NULL},
        {"GET", "", "/", "", NULL},
    };
    CHECK(0, rows);
}

/* The listener with the most specific hostname takes the request, and no other one gets it. */
static void listeners(void **state)
{
    world_listener(&world, "all", "", PROXY_ROUTES_SAME);
    world_listener(&world, "wild", "*.example", PROXY_ROUTES_SAME);
    world_listener(&world, "one", "One.Example", PROXY_ROUTES_SAME);
    world_route_at(&world, "at-all", 1, "[{'name':'web','sectionName':'all'}]", "[]", "[{}]");
    world_route_at(&world, "at-wild", 1, "[{'name':'web','sectionName':'wild'}]",
                   "['*.com', 'a.example', '*.b.example', 'one.example']", "[{}]");
    world_route_at(&world, "at-one", 1, "[{'name':'web','sectionName':'one'}]",
                   "['*.example', '*.com']", "[{'matches':[{'path':{'value':'/one'}}]}]");
    world_route_at(&world, "none", 1, "[{'name':'web','sectionName':'one'}]", "['two.example']",
                   "[{}]");
    world_route_at(&world, "other", 1, "[{'name':'another'}]", "[]", "[{}]");
    world_route_at(&world, "port", 1, "[{'name':'web','port':81}]", "[]", "[{}]");
    world_build(&world);
    static const struct row rows[] = {
        {"GET", "x.com", "/", "", "default/at-all#0"},
        {"GET", "a.example", "/", "", "default/at-wild#0"},
        {"GET", "x.b.example", "/", "", "default/at-wild#0"},
        {"GET", "c.example", "/", "", NULL},
        {"GET", "one.example", "/one", "", "default/at-one#0"},
        {"GET", "one.example", "/two", "", NULL},
    };
    CHECK(0, rows);
}

static void wide_route_at_a_narrow_listener(void **state)
{
    world_listener(&world, "narrow", "*.shop.example", PROXY_ROUTES_ALL);
    world_route(&world, "wide", 1, "['*.example']", "[{}]");
    world_route(&world, "none", 0, "[]", "[{'matches':[{'path':{'value':'/n'}}]}]");
    world_build(&world);
    static const struct row rows[] = {
        {"GET", "a.shop.example", "/", "", "default/wide#0"},
        {"GET", "a.shop.example", "/n", "", "default/none#0"},
        {"GET", "shop.example", "/", "", NULL},
        {"GET", "b.example", "/", "", NULL},
    };
    CHECK(0, rows);
}

static void namespaces(void **state)
{
    world_listener(&world, "none", "none.example", PROXY_ROUTES_NONE);
    world_listener(&world, "same", "same.example", PROXY_ROUTES_SAME);
    world_listener(&world, "all", "all.example", PROXY_ROUTES_ALL);
    world.namespace_ = "team";
    world_route_at(&world, "r", 1, "[{'name':'web','namespace':'default'}]", "[]",
                   "[{'backendRefs':[{'name':'b','group':'watari.dev','kind':'Backend'},"
                   "{'name':'b','namespace':'default','group':'watari.dev','kind':'Backend'}]}]");
    world_build(&world);
    static const struct row rows[] = {
        {"GET", "all.example", "/", "", "team/r#0"},
        {"GET", "same.example", "/", "", NULL},
        {"GET", "none.example", "/", "", NULL},
    };
    CHECK(0, rows);
    struct proxy_match m;
    assert_true(world_match(&world, 0, "GET", "all.example", "/", "", &m));
    assert_string_equal(m.rule->refs[0].key.ptr, "team/b");
    assert_int_equal(m.targets[0], 100);
    assert_true(m.rule->refs[1].foreign);
    assert_int_equal(m.targets[1], PROXY_TARGET_NONE);
}

static void precedence(void **state)
{
    world_listener(&world, "http", "", PROXY_ROUTES_SAME);
    world_route(&world, "z-old", 1, "[]",
                "[{'matches':[{'path':{'value':'/p'}}]},"
                " {'matches':[{'path':{'value':'/p'},'headers':[{'name':'A','value':'1'}]}]},"
                " {'matches':[{'path':{'value':'/p'},'queryParams':[{'name':'q','value':'1'}]}]},"
                " {'matches':[{'path':{'value':'/p'},'method':'POST'}]},"
                " {'matches':[{'path':{'value':'/p'},'headers':[{'name':'a','value':'1'},"
                "                                               {'name':'b','value':'2'}]}]},"
                " {'matches':[{'path':{'value':'/same'}}]},"
                " {'matches':[{'path':{'value':'/same'}}]}]");
    world_route(&world, "b-new", 2, "[]",
                "[{'matches':[{'path':{'value':'/p'}},{'path':{'value':'/tie'}}]}]");
    world_route(&world, "a-new", 2, "[]", "[{'matches':[{'path':{'value':'/tie'}}]}]");
    world_build(&world);
    static const struct row rows[] = {
        {"GET", "x", "/p", "", "default/z-old#0"},
        {"GET", "x", "/p", "a: 1\n", "default/z-old#1"},
        {"GET", "x", "/p?q=1", "", "default/z-old#2"},
        {"GET", "x", "/p?q=1", "a: 1\n", "default/z-old#1"},
        {"GET", "x", "/p?q=1", "a: 1\nb: 2\n", "default/z-old#4"},
        {"POST", "x", "/p?q=1", "a: 1\nb: 2\n", "default/z-old#3"},
        {"GET", "x", "/tie", "", "default/a-new#0"},
        {"GET", "x", "/same", "", "default/z-old#5"},
    };
    CHECK(0, rows);
}

static void headers_and_queries(void **state)
{
    world_listener(&world, "http", "", PROXY_ROUTES_SAME);
    world_route(
        &world, "h", 1, "[]",
        "[{'matches':[{'path':{'value':'/h'},'headers':[{'name':'X-Tier','value':'gold'},"
        "                                     {'name':'x-tier','value':'ignored'}]}]},"
        " {'matches':[{'path':{'value':'/l'},'headers':[{'name':'accept','value':'a,b'}]}]},"
        " {'matches':[{'path':{'value':'/q'},'queryParams':[{'name':'a','value':'x y'}]}]},"
        " {'matches':[{'path':{'value':'/e'},'headers':[{'name':'accept','value':'a'}],"
        "              'queryParams':[{'name':'a','value':'1'},{'name':'b','value':'2'}]}]}]");
    world_build(&world);
    static const struct row rows[] = {
        {"GET", "x", "/h", "x-TIER: gold\n", "default/h#0"},
        {"GET", "x", "/h", "x-tier: Gold\n", NULL},
        {"GET", "x", "/h", "x-tier: golden\n", NULL},
        {"GET", "x", "/h", "x-tier: gol\n", NULL},
        {"GET", "x", "/h", "x-tiers: gold\n", NULL},
        {"GET", "x", "/h", "", NULL},
        {"GET", "x", "/h", "x-tier: gold\nx-tier: gold\n", NULL},
        {"GET", "x", "/l", "accept: a\naccept: b\n", "default/h#1"},
        {"GET", "x", "/l", "accept: a,b\n", "default/h#1"},
        {"GET", "x", "/l", "accept: b\naccept: a\n", NULL},
        {"GET", "x", "/l", "accept: a\n", NULL},
        {"GET", "x", "/q?a=x%20y", "", "default/h#2"},
        {"GET", "x", "/q?z&a=x+y&a=2", "", "default/h#2"},
        {"GET", "x", "/q?%61=x%20y", "", "default/h#2"},
        {"GET", "x", "/q?a=2&a=x+y", "", NULL},
        {"GET", "x", "/q?a=x%2", "", NULL},
        {"GET", "x", "/q?a=x%zzy", "", NULL},
        {"GET", "x", "/q?", "", NULL},
        {"GET", "x", "/q", "", NULL},
        {"GET", "x", "/q?A=x%20y", "", NULL},
        {"GET", "x", "/e?b=2&a=1", "accept: a\n", "default/h#3"},
        {"GET", "x", "/e?b=2&a=1", "accept: c\n", NULL},
        {"GET", "x", "/e?b=2", "accept: a\n", NULL},
    };
    CHECK(0, rows);
}

static void rule_contents(void **state)
{
    world_listener(&world, "http", "", PROXY_ROUTES_SAME);
    world_route(
        &world, "r", 1, "[]",
        "[{'matches':[{'path':{'value':'/a'}}],"
        "  'backendRefs':[{'name':'old','weight':3},{'name':'off','weight':0},{'name':'new'}],"
        "  'timeouts':{'request':'10s','backendRequest':'0s'}},"
        " {'matches':[{'path':{'value':'/b'}}],'backendRefs':[{'name':'new'}]},"
        " {'matches':[{'path':{'value':'/c'}}]}]");
    world_build(&world);
    struct proxy_match m;
    assert_true(world_match(&world, 0, "GET", "x", "/a", "", &m));
    assert_string_equal(m.rule->log_name.ptr, "httproute/default/r/rule/0");
    assert_int_equal(m.rule->request_timeout_ms, 10000);
    assert_int_equal(m.rule->backend_timeout_ms, 0);
    assert_int_equal(m.rule->n_refs, 3);
    assert_int_equal(m.rule->total_weight, 4);
    assert_int_equal(m.targets[2], 102);
    assert_int_equal(proxy_rule_pick(m.rule, 0), 0);
    assert_int_equal(proxy_rule_pick(m.rule, (3u << 30) - 1), 0);
    assert_int_equal(proxy_rule_pick(m.rule, 3u << 30), 2);
    assert_int_equal(proxy_rule_pick(m.rule, UINT32_MAX), 2);
    assert_true(world_match(&world, 0, "GET", "x", "/b", "", &m));
    assert_int_equal(m.targets[0], 103);
    assert_int_equal(m.rule->request_timeout_ms, PROXY_TIMEOUT_UNSET);
    assert_true(world_match(&world, 0, "GET", "x", "/c", "", &m));
    assert_int_equal(proxy_rule_pick(m.rule, 7), -1);
}

/* An index lives on pieces of its own, whatever becomes of the others that use them. */
static void pieces_are_shared(void **state)
{
    world_listener(&world, "http", "", PROXY_ROUTES_SAME);
    world_route(&world, "a", 1, "['a.example']", "[{}]");
    world_route(&world, "b", 1, "['b.example']", "[{}]");
    world_build(&world);
    struct proxy_routes *before = world.routes;
    struct proxy_match old, now;
    assert_true(world_match(&world, 0, "GET", "a.example", "/", "", &old));
    proxy_route_piece_unref(world.pieces[1]);
    world.n_pieces = 1;
    world.routes = NULL;
    world_build(&world);
    assert_true(world_match(&world, 0, "GET", "a.example", "/", "", &now));
    assert_ptr_equal(old.rule->log_name.ptr, now.rule->log_name.ptr);
    assert_false(world_match(&world, 0, "GET", "b.example", "/", "", &now));
    struct proxy_routes *after = world.routes;
    world.routes = before;
    assert_true(world_match(&world, 0, "GET", "b.example", "/", "", &now));
    proxy_routes_free(after);
}

/* The index against the plain definition, over random routes and requests. */
static uint32_t slow_match(const char *const *prefixes, uint32_t n, struct wt_str path)
{
    uint32_t best = UINT32_MAX;
    size_t best_len = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct wt_str p = wt_str_z(prefixes[i]);
        if (p.len == 1)
            p.len = 0;
        bool fits = wt_str_starts(path, p) && (path.len == p.len || path.ptr[p.len] == '/');
        if (fits && (best == UINT32_MAX || p.len > best_len)) {
            best = i;
            best_len = p.len;
        }
    }
    return best;
}

static void random_paths(void **state)
{
    static const char *const prefixes[] = {"/a",     "/a/b",   "/a/bb",  "/b/a/a",    "/b",
                                           "/a/b/a", "/bb/aa", "/ab/ab", "/a/b/a/b/a"};
    char rules[2048] = "[";
    const uint32_t n = sizeof prefixes / sizeof prefixes[0];
    for (uint32_t i = 0; i < n; i++)
        sprintf(rules + strlen(rules), "%s{'matches':[{'path':{'value':'%s'}}]}", i ? "," : "",
                prefixes[i]);
    strcat(rules, "]");
    world_listener(&world, "http", "", PROXY_ROUTES_SAME);
    world_route(&world, "r", 1, "[]", rules);
    world_build(&world);
    struct wt_rng rng = {1};
    for (unsigned round = 0; round < 5000; round++) {
        char path[16] = "/";
        size_t len = 1 + wt_rng_below(&rng, 14);
        for (size_t i = 1; i < len; i++)
            path[i] = "ab/"[wt_rng_below(&rng, 3)];
        path[len] = 0;
        struct proxy_match m;
        bool found = world_match(&world, 0, "GET", "x", path, "", &m);
        uint32_t want = slow_match(prefixes, n, wt_str_z(path));
        if ((found ? m.rule->index : UINT32_MAX) != want)
            fail_msg("%s: not rule %u", path, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(paths, clean),
        cmocka_unit_test_teardown(falls_through, clean),
        cmocka_unit_test_teardown(hosts, clean),
        cmocka_unit_test_teardown(listeners, clean),
        cmocka_unit_test_teardown(wide_route_at_a_narrow_listener, clean),
        cmocka_unit_test_teardown(namespaces, clean),
        cmocka_unit_test_teardown(precedence, clean),
        cmocka_unit_test_teardown(headers_and_queries, clean),
        cmocka_unit_test_teardown(rule_contents, clean),
        cmocka_unit_test_teardown(pieces_are_shared, clean),
        cmocka_unit_test_teardown(random_paths, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
