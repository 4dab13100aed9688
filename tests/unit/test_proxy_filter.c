#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy_route_help.h"

static struct world world;

static int clean(void **state)
{
    world_done(&world);
    return 0;
}

/* The rule of one route with these filters under this prefix. */
static struct proxy_match with_filters(const char *prefix, const char *filters,
                                       const char *authority, const char *target,
                                       const char *headers)
{
    char rules[2048];
    snprintf(rules, sizeof rules, "[{'matches':[{'path':{'value':'%s'}}],'filters':[%s]}]", prefix,
             filters);
    world_done(&world);
    world_listener(&world, "http", "", PROXY_ROUTES_SAME);
    world_route(&world, "r", 1, "[]", rules);
    world_build(&world);
    struct proxy_match m;
    assert_true(world_match(&world, 0, "GET", authority, target, headers, &m));
    return m;
}

/* The table of HTTPPathModifier.replacePrefixMatch. */
static void replace_prefix(void **state)
{
    static const struct {
        const char *prefix, *with, *path, *want;
    } rows[] = {
        {"/foo", "/xyz", "/foo/bar", "/xyz/bar"},
        {"/foo", "/xyz/", "/foo/bar", "/xyz/bar"},
        {"/foo/", "/xyz", "/foo/bar", "/xyz/bar"},
        {"/foo/", "/xyz/", "/foo/bar", "/xyz/bar"},
        {"/foo", "/xyz", "/foo", "/xyz"},
        {"/foo", "/xyz", "/foo/", "/xyz/"},
        {"/foo", "", "/foo/bar", "/bar"},
        {"/foo", "", "/foo/", "/"},
        {"/foo", "", "/foo", "/"},
        {"/foo", "/", "/foo/", "/"},
        {"/foo", "/", "/foo", "/"},
        {"/", "/xyz", "/", "/xyz/"},
        {"/", "/xyz", "/bar", "/xyz/bar"},
        /* of a store that holds what no check would take: as a request's own path */
        {"/foo", "/x%79z", "/foo/bar", "/xyz/bar"},
        {"/foo", "/a/../xyz/%2e", "/foo/bar", "/xyz/bar"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char filter[256];
        snprintf(filter, sizeof filter,
                 "{'type':'URLRewrite','urlRewrite':{'path':{'type':'ReplacePrefixMatch',"
                 "'replacePrefixMatch':'%s'}}}",
                 rows[i].with);
        struct proxy_match m = with_filters(rows[i].prefix, filter, "x", rows[i].path, "");
        int r = proxy_filter_request(m.rule->filters, &world.head, m.prefix_len, &world.arena);
        assert_int_equal(r, 0);
        if (!wt_str_eq(world.head.path, wt_str_z(rows[i].want)))
            fail_msg("row %zu: %.*s", i, WT_ARG(world.head.path));
    }
}

static void rewrite(void **state)
{
    struct proxy_match m =
        with_filters("/",
                     "{'type':'URLRewrite','urlRewrite':{'hostname':'in.example',"
                     "'path':{'type':'ReplaceFullPath','replaceFullPath':'/n'}}}",
                     "x:81", "/a/b?q=1", "");
    assert_int_equal(proxy_filter_request(m.rule->filters, &world.head, m.prefix_len, &world.arena),
                     0);
    assert_true(wt_str_eq(world.head.authority, WT_STR("in.example")));
    assert_true(wt_str_eq(world.head.path, WT_STR("/n")));
    assert_true(wt_str_eq(world.head.query, WT_STR("q=1")));
    assert_int_equal(proxy_filter_request(NULL, &world.head, 0, &world.arena), 0);
    assert_int_equal(proxy_filter_response(NULL, &world.head), 0);
}

static void dump(char *out, size_t cap)
{
    size_t n = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < world.head.n_fields && n < cap; i++) {
        const struct http_field *f = &world.head.fields[i];
        n += (size_t)snprintf(out + n, cap - n, "%.*s=%.*s;", WT_ARG(f->name), WT_ARG(f->value));
    }
}

/* As upstream's users write it: the same as urlRewrite.hostname, which wins; a redirect's Location
 * has nothing to do with it. */
static void host_is_set(void **state)
{
    static const char set[] = "{'type':'RequestHeaderModifier','requestHeaderModifier':{'set':["
                              "{'name':'x-a','value':'1'},{'name':'hOST','value':'in.example:81'},"
                              "{'name':'x-b','value':'2'}]}}";
    static const struct {
        const char *more, *want;
    } rows[] = {
        {"", "in.example:81"},
        {",{'type':'URLRewrite','urlRewrite':{'hostname':'other.example'}}", "other.example"},
        {",{'type':'RequestRedirect','requestRedirect':{'port':81}}", "x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char filters[512], seen[512];
        snprintf(filters, sizeof filters, "%s%s", set, rows[i].more);
        struct proxy_match m = with_filters("/", filters, "x", "/", "Accept: c\n");
        assert_int_equal(proxy_filter_request(m.rule->filters, &world.head, 1, &world.arena), 0);
        if (!wt_str_eq(world.head.authority, wt_str_z(rows[i].want)))
            fail_msg("row %zu: %.*s", i, WT_ARG(world.head.authority));
        dump(seen, sizeof seen);
        assert_non_null(strcasestr(seen, "x-a=1;x-b=2;"));
        assert_null(strcasestr(seen, "host"));
    }
}

/* The rules of HTTPRequestRedirectFilter for scheme, host, port and path. */
static void redirects(void **state)
{
    static const struct {
        const char *redirect, *authority, *target;
        uint16_t listener_port;
        unsigned status;
        const char *want;
    } rows[] = {
        {"'hostname':'n.example'", "o.example", "/a", 80, 302, "http://n.example/a"},
        {"'hostname':'n.example'", "o.example:8080", "/a", 8080, 302, "http://n.example:8080/a"},
        {"'statusCode':301", "o.example:9", "/a?b=c", 8080, 301, "http://o.example:8080/a?b=c"},
        {"'scheme':'https'", "o.example:8080", "/a", 8080, 302, "https://o.example/a"},
        {"'scheme':'http'", "o.example", "/", 8080, 302, "http://o.example/"},
        {"'scheme':'https','port':443", "o.example", "/", 80, 302, "https://o.example/"},
        {"'scheme':'https','port':80", "o.example", "/", 80, 302, "https://o.example:80/"},
        {"'port':80", "o.example", "/", 8080, 302, "http://o.example/"},
        {"'port':8443", "[::1]:8080", "/", 8080, 302, "http://[::1]:8443/"},
        {"'scheme':'https','port':65535", "[::1]", "/", 80, 302, "https://[::1]:65535/"},
        {"'path':{'type':'ReplaceFullPath','replaceFullPath':'/n'}", "x", "/p/q?z", 80, 302,
         "http://x/n?z"},
        {"'path':{'type':'ReplacePrefixMatch','replacePrefixMatch':'/n'}", "x", "/p/q", 80, 302,
         "http://x/n/q"},
        {"'statusCode':308", "x", "/?", 80, 308, "http://x/?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char filter[256];
        snprintf(filter, sizeof filter, "{'type':'RequestRedirect','requestRedirect':{%s}}",
                 rows[i].redirect);
        bool prefix = strncmp(rows[i].target, "/p", 2) == 0;
        struct proxy_match m =
            with_filters(prefix ? "/p" : "/", filter, rows[i].authority, rows[i].target, "");
        struct proxy_redirect_from from = {WT_STR("http"), rows[i].listener_port, m.prefix_len};
        assert_true(m.rule->filters->redirect);
        assert_int_equal(m.rule->filters->status, rows[i].status);
        struct wt_str at = proxy_filter_redirect(m.rule->filters, &world.head, &from, &world.arena);
        if (!wt_str_eq(at, wt_str_z(rows[i].want)))
            fail_msg("row %zu: %.*s", i, WT_ARG(at));
    }
}

static void header_modifiers(void **state)
{
    struct proxy_match m = with_filters(
        "/",
        "{'type':'RequestHeaderModifier','requestHeaderModifier':{"
        "'set':[{'name':'x-env','value':'new'}],'add':[{'name':'X-More','value':'2'}],"
        "'remove':['X-Gone','user-agent']}},"
        "{'type':'ResponseHeaderModifier','responseHeaderModifier':{"
        "'set':[{'name':'cache-control','value':'no-store'}],'remove':['x-powered-by']}}",
        "x", "/", "X-Env: a\nx-more: 1\nx-env: b\nx-gone: 1\nUser-Agent: u\nAccept: c\n");
    char seen[512];
    assert_int_equal(proxy_filter_request(m.rule->filters, &world.head, 0, &world.arena), 0);
    dump(seen, sizeof seen);
    assert_null(strstr(seen, "=a;"));
    assert_null(strstr(seen, "=b;"));
    assert_non_null(strcasestr(seen, "x-env=new;"));
    assert_non_null(strstr(seen, "x-more=1;"));
    assert_non_null(strstr(seen, "X-More=2;"));
    assert_null(strstr(seen, "ser-"));
    assert_null(strstr(seen, "gone"));
    assert_non_null(strstr(seen, "Accept=c;"));

    world_request(&world, "GET", "x", "/", "X-Powered-By: php\nCache-Control: public\nServer: s\n");
    assert_int_equal(proxy_filter_response(m.rule->filters, &world.head), 0);
    dump(seen, sizeof seen);
    assert_null(strstr(seen, "php"));
    assert_null(strstr(seen, "public"));
    assert_non_null(strcasestr(seen, "cache-control=no-store;"));
    assert_non_null(strstr(seen, "Server=s;"));
}

static void refused(void **state)
{
    static const struct {
        const char *filters, *where;
    } rows[] = {
        {"{'type':'RequestMirror'}", "spec.rules[0]: filters[0]: "},
        {"{'type':'URLRewrite'}", "spec.rules[0]: filters[0]: "},
        {"{'type':'URLRewrite','urlRewrite':{'path':{'type':'ReplaceFullPath',"
         "'replaceFullPath':'/b?x=1'}}}",
         "filters[0]: path \"/b?x=1\""},
        {"{'type':'RequestHeaderModifier','requestHeaderModifier':{'set':["
         "{'name':'Transfer-Encoding','value':'chunked'}]}}",
         "Transfer-Encoding"},
        {"{'type':'RequestHeaderModifier','requestHeaderModifier':{'remove':['host']}}", "host"},
        {"{'type':'RequestHeaderModifier','requestHeaderModifier':{'set':["
         "{'name':'Host','value':'a/b'}]}}",
         "Host"},
        {"{'type':'ResponseHeaderModifier','responseHeaderModifier':{'set':["
         "{'name':'Host','value':'a.b'}]}}",
         "Host"},
        {"{'type':'RequestHeaderModifier','requestHeaderModifier':{'set':["
         "{'name':'a','value':'b\\r\\nc: d'}]}}",
         "\"a\""},
        {"{'type':'RequestRedirect','requestRedirect':{}},{'type':'URLRewrite','urlRewrite':{}}",
         "filters[1]"},
        {"{'type':'URLRewrite','urlRewrite':{}},{'type':'URLRewrite','urlRewrite':{}}",
         "filters[1]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct proxy_route_piece *piece = NULL;
        struct wt_err err = {0};
        json_t *doc =
            world_document("{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute',"
                           "'metadata':{'name':'r'},'spec':{'rules':[{'filters':[%s]}]}}",
                           rows[i].filters);
        assert_int_equal(world_piece(doc, &piece, &err), WT_EINVAL);
        assert_null(piece);
        assert_non_null(strstr(err.msg, "HTTPRoute default/r: "));
        if (!strstr(err.msg, rows[i].where))
            fail_msg("row %zu: %s", i, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(replace_prefix, clean),
        cmocka_unit_test_teardown(rewrite, clean),
        cmocka_unit_test_teardown(host_is_set, clean),
        cmocka_unit_test_teardown(redirects, clean),
        cmocka_unit_test_teardown(header_modifiers, clean),
        cmocka_unit_test_teardown(refused, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
