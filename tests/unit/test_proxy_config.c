/* An object that a proxy cannot take costs itself, not the snapshot it came in; and who has what
 * two want. No worker and no sockets: what is looked at is the config. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy_rig_help.h"

#include "http/h1_parse.h"
#include "proxy/opened.h"

#include <fcntl.h>

static uint16_t taken_port; /* by somebody else */

static int open_null(void *ctx, const union io_addr *addr, struct wt_err *err)
{
    if (taken_port && io_addr_port(addr) == taken_port)
        return wt_fail(err, WT_EIO, "Address already in use");
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* rig_live() asks a loop for the time. */
static struct proxy_live *live(void *ctx, const struct proxy_migration *m)
{
    struct rig *r = ctx;
    struct proxy_live *l = wt_map_get(&r->lives, m->uid);
    if (!l) {
        l = proxy_live_new(m->uid, &m->params, 1, 1);
        assert_int_equal(wt_map_put(&r->lives, m->uid, l, NULL), 0);
    }
    return l;
}

static void publish(struct rig *r)
{
    struct wt_err err;
    struct proxy_config *c;
    struct proxy_build build = {
        .sys = io_sys_real(),
        .n_workers = 1,
        .stats = r->shared.stats,
        .now_ms = 1,
        .listen = open_null,
        .live = live,
        .ctx = r,
    };
    if (proxy_config_build(r->snapshot, r->config, &build, &c, &err) < 0)
        fail_msg("%s", err.msg);
    proxy_config_unref(r->config);
    r->config = c;
    assert_int_equal(c->version, r->version);
}

static void set_filter(struct rig *r, const char *backend, const char *field)
{
    rig_set(r,
            "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute',"
            "'metadata':{'name':'shop','namespace':'default'},'spec':{'parentRefs':"
            "[{'name':'web'}],'rules':[{'matches':[{'path':{'type':'PathPrefix','value':'/a'}}],"
            "'filters':[{'type':'RequestHeaderModifier','requestHeaderModifier':{'set':"
            "[{'name':'%s','value':'1'}]}}],"
            "'backendRefs':[{'group':'watari.dev','kind':'Backend','name':'%s'}]},"
            "{'matches':[{'path':{'type':'PathPrefix','value':'/b'}}],"
            "'backendRefs':[{'group':'watari.dev','kind':'Backend','name':'%s'}]}]}}",
            field, backend, backend);
}

static void set_migration(struct rig *r, int weight, const char *table)
{
    rig_set(r,
            "{'apiVersion':'watari.dev/v1alpha1','kind':'Migration','metadata':{'name':'shop',"
            "'namespace':'default','uid':'u'},'spec':{'routeRefs':[{'kind':'HTTPRoute','name':"
            "'shop'}],'from':{'name':'old'},'to':{'name':'new'},'state':'Shared',"
            "'steps':[{'setWeight':50}]},'status':{'phase':'Progressing','epoch':1,'step':0,"
            "'weight':%d,'tableVersion':%d%s}}",
            weight, weight, table);
}

static void set_site(struct rig *r)
{
    *r = (struct rig){0};
    r->shared.stats = proxy_stats_new(1);
    r->snapshot = model_snapshot_new(WT_STR("store"));
    rig_set_gateway(r);
    rig_set_backend(r, "old", 1, 1);
    rig_set_backend(r, "new", 2, 1);
    rig_set_policy(r, "old", "'retry':{'numRetries':7}");
    set_migration(r, 50, "");
    set_filter(r, "old", "x-a");
    publish(r);
    assert_int_equal(r->config->left_outs.n, 0);
}

static uint16_t named_port; /* that a redirect of the last one would name */

/* The backend of the rule for a path; "500" where it has none, "404" without a rule. */
static const char *leads_to(struct rig *r, const char *path)
{
    static char name[100];
    struct proxy_match m;
    struct http_head head;
    struct wt_arena arena = wt_arena_make(1 << 16);
    http_head_init(&head, &arena);
    head.method = HTTP_METHOD_GET;
    head.authority = WT_STR("any.test");
    head.path = wt_str_z(path);
    bool found = proxy_route_match(r->config->routes, 0, &head, &m);
    wt_arena_done(&arena);
    if (!found)
        return "404";
    named_port = m.port;
    int ref = proxy_rule_pick(m.rule, 1);
    uint32_t target = ref < 0 ? PROXY_TARGET_NONE : m.targets[ref];
    if (target == PROXY_TARGET_NONE)
        return "500";
    const struct proxy_backend *b = r->config->targets[target].backend;
    snprintf(name, sizeof name, "%.*s", WT_ARG(b->name));
    return name;
}

static void assert_left_out(struct rig *r, const char *key, const char *why)
{
    const struct proxy_left_outs *l = &r->config->left_outs;
    assert_int_equal(l->n, 1);
    assert_string_equal(l->all[0].key, key);
    if (!strstr(l->all[0].why, why))
        fail_msg("%s: %s", key, l->all[0].why);
    json_t *json = proxy_left_outs_json(l);
    json_t *first = json_array_get(json, 0);
    assert_string_equal(json_string_value(json_object_get(first, "key")), key);
    assert_int_equal(json_integer_value(json_object_get(first, "version")), l->all[0].version);
    json_decref(json);
}

static struct proxy_backend *backend(struct rig *r, const char *name)
{
    return wt_map_get(&r->config->by_name, wt_str_z(name));
}

/* What came in the same snapshot is in force: with a user's abort that is what counts. */
static void assert_rest_is_taken(struct rig *r)
{
    static int net = 10;
    rig_set_backend(r, "more", ++net, 2);
    if (r->config->migrations[0]->weight > 0)
        set_migration(r, 0, "");
    struct proxy_backend *before = backend(r, "default/more");
    publish(r);
    assert_ptr_not_equal(backend(r, "default/more"), before);
    assert_int_equal(r->config->n_migrations, 1);
    assert_int_equal(r->config->migrations[0]->table_version, 0);
}

static void a_route_stays_as_it_was(void **state)
{
    struct rig r;
    set_site(&r);
    set_filter(&r, "new", "Content-Length");
    assert_rest_is_taken(&r);
    assert_left_out(&r, "HTTPRoute/default/shop",
                    "spec.rules[0]: filters[0]: field \"Content-Length\" is the proxy's own; "
                    "what it said before stays");
    assert_string_equal(leads_to(&r, "/a"), "default/old");
    /* Another build does not take the wrong one for the right one. */
    rig_set_backend(&r, "more", 3, 1);
    publish(&r);
    assert_left_out(&r, "HTTPRoute/default/shop", "stays");
    set_filter(&r, "new", "x-b");
    publish(&r);
    assert_int_equal(r.config->left_outs.n, 0);
    assert_string_equal(leads_to(&r, "/a"), "default/new");
    rig_done(&r);
}

static void rules_of_a_new_route_answer_500(void **state)
{
    struct rig r;
    set_site(&r);
    model_snapshot_remove(r.snapshot, WT_STR("HTTPRoute/default/shop"), ++r.version);
    publish(&r);
    assert_string_equal(leads_to(&r, "/a"), "404");
    set_filter(&r, "old", "Upgrade");
    assert_rest_is_taken(&r);
    assert_left_out(&r, "HTTPRoute/default/shop", "; rules with it answer 500");
    assert_string_equal(leads_to(&r, "/a"), "500");
    assert_string_equal(leads_to(&r, "/b"), "default/old");
    /* Still wrong, but otherwise: the newest counts, nothing of it was ever whole. */
    set_filter(&r, "new", "Upgrade");
    publish(&r);
    assert_string_equal(leads_to(&r, "/a"), "500");
    assert_string_equal(leads_to(&r, "/b"), "default/new");
    assert_left_out(&r, "HTTPRoute/default/shop", "; rules with it answer 500");
    set_filter(&r, "new", "x-a");
    publish(&r);
    assert_string_equal(leads_to(&r, "/a"), "default/new");
    assert_int_equal(r.config->left_outs.n, 0);
    rig_done(&r);
}

/* As control of an earlier release took it for right: what of it can be read is where it answers.
 */
static void a_route_that_is_wrong(void **state)
{
    struct rig r, from = {.version = 100};
    json_t *delta;
    set_site(&r);
    from.snapshot = model_snapshot_new(WT_STR("store"));
    rig_set_gateway(&from);
    rig_set_backend(&from, "old", 1, 1);
    set_filter(&from, "old", "Trailer");
    assert_int_equal(model_snapshot_delta(from.snapshot, WT_STR(""), 0, &delta), 0);
    assert_int_equal(model_snapshot_apply(r.snapshot, WT_STR("store"), delta, NULL), 0);
    r.version = from.version;
    publish(&r);
    assert_left_out(&r, "HTTPRoute/default/shop",
                    "the proxy alone sets it, no filter may; what it");
    assert_string_equal(leads_to(&r, "/a"), "default/old");
    /* After a restart nothing is left of what it said before. */
    proxy_config_unref(r.config);
    r.config = NULL;
    publish(&r);
    assert_left_out(&r, "HTTPRoute/default/shop", "no filter may; it answers 500");
    assert_string_equal(leads_to(&r, "/a"), "500");
    assert_string_equal(leads_to(&r, "/b"), "500");
    json_decref(delta);
    model_snapshot_free(from.snapshot);
    rig_done(&r);
}

static void a_route_that_cannot_be_read(void **state)
{
    struct rig r;
    set_site(&r);
    rig_set(&r, "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute',"
                "'metadata':{'name':'other','namespace':'default'},"
                "'spec':{'parentRefs':[{'name':'web'}],'rules':[{'matches':[{'method':'NEW'}]}]}}");
    assert_rest_is_taken(&r);
    assert_left_out(&r, "HTTPRoute/default/other", "; it is not served");
    assert_string_equal(leads_to(&r, "/a"), "default/old");
    rig_done(&r);
}

static void set_wrong_backend(struct rig *r, const char *name)
{
    rig_set(r,
            "{'apiVersion':'watari.dev/v1alpha1','kind':'Backend','metadata':{'name':'%s',"
            "'namespace':'default'},'spec':{'endpoints':[{'address':'x','port':80}]}}",
            name);
}

static void a_backend_stays_as_it_was(void **state)
{
    struct rig r;
    set_site(&r);
    struct proxy_backend *before = backend(&r, "default/old");
    set_wrong_backend(&r, "old");
    assert_rest_is_taken(&r);
    assert_left_out(&r, "Backend/default/old", "; what it said before stays");
    assert_ptr_equal(backend(&r, "default/old"), before);
    assert_false(atomic_load(&before->hosts[0]->retired));
    rig_done(&r);
}

static void a_new_backend_is_left_out(void **state)
{
    struct rig r;
    set_site(&r);
    set_wrong_backend(&r, "next");
    set_filter(&r, "next", "x-a");
    assert_rest_is_taken(&r);
    assert_left_out(&r, "Backend/default/next", "; requests to it get 500");
    assert_string_equal(leads_to(&r, "/a"), "500");
    rig_done(&r);
}

static void a_policy_stays_as_it_was(void **state)
{
    struct rig r;
    set_site(&r);
    struct proxy_backend *before = backend(&r, "default/old");
    rig_set_policy(&r, "old", "'healthCheck':{'active':{'type':'NEW'}}");
    rig_set_policy(&r, "new", "'healthCheck':{'active':{'type':'NEW'}}");
    publish(&r);
    assert_int_equal(r.config->left_outs.n, 2);
    assert_non_null(strstr(r.config->left_outs.all[1].why, "; it is not in force"));
    assert_non_null(strstr(r.config->left_outs.all[0].why, "; what it said before stays"));
    assert_ptr_equal(backend(&r, "default/old"), before);
    rig_set_backend(&r, "old", 1, 2);
    publish(&r);
    assert_int_equal(backend(&r, "default/old")->n_hosts, 2);
    assert_int_equal(backend(&r, "default/old")->policy.num_retries, 7);
    rig_done(&r);
}

static void a_migration_stays_as_it_was(void **state)
{
    struct rig r;
    set_site(&r);
    struct proxy_migration *before = r.config->migrations[0];
    set_migration(&r, 70, ",'table':{'version':70,'bits':'#'}");
    rig_set_backend(&r, "more", 3, 1);
    publish(&r);
    assert_left_out(&r, "Migration/default/shop", "; what it said before stays");
    assert_int_equal(r.config->n_migrations, 1);
    assert_ptr_equal(r.config->migrations[0], before);
    assert_non_null(backend(&r, "default/more"));
    rig_done(&r);
}

static void a_gateway_stays_as_it_was(void **state)
{
    struct rig r;
    set_site(&r);
    struct proxy_listener *before = r.config->listeners[0];
    rig_set(&r, "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'Gateway','metadata':"
                "{'name':'web','namespace':'default'},'spec':{'gatewayClassName':'watari',"
                "'addresses':[{'type':'IPAddress','value':'x'}],"
                "'listeners':[{'name':'http','port':80,'protocol':'HTTP'}]}}");
    for (int i = 0; i < 2; i++) {
        rig_set_backend(&r, "more", 3, i + 1);
        publish(&r);
        assert_left_out(&r, "Gateway/default/web", "; what it said before stays");
        assert_int_equal(r.config->n_listeners, 1);
        assert_ptr_equal(r.config->listeners[0], before);
        assert_string_equal(leads_to(&r, "/a"), "default/old");
    }
    rig_done(&r);
}

/* Of two with an age of their own the older one goes first, else the first by name. */
static const struct order_row {
    const char *names[2], *created[2]; /* as they arrive */
    unsigned first;
} order_rows[] = {
    {{"a", "b"}, {"2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"}, 0},
    {{"a", "b"}, {"2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z"}, 1},
    {{"b", "a"}, {"2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"}, 0},
    {{"b", "a"}, {"2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z"}, 1},
    {{"b", "a"}, {"2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"}, 1},
    {{"a", "b"}, {"2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"}, 0},
};

enum { N_ORDER_ROWS = sizeof(order_rows) / sizeof(order_rows[0]) };

static void set_rivals(struct rig *r, const struct order_row *row)
{
    for (unsigned k = 0; k < 2; k++) {
        rig_set(r,
                "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'Gateway','metadata':"
                "{'name':'%s','namespace':'default','creationTimestamp':'%s'},"
                "'spec':{'gatewayClassName':'watari','addresses':[{'type':'IPAddress',"
                "'value':'127.0.0.1'}],"
                "'listeners':[{'name':'http','port':80,'protocol':'HTTP'}]}}",
                row->names[k], row->created[k]);
        rig_set(r,
                "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute','metadata':"
                "{'name':'of-%s','namespace':'default'},'spec':{'parentRefs':[{'name':'%s'}],"
                "'rules':[{'backendRefs':[{'group':'watari.dev','kind':'Backend','name':'%s'}]}]}}",
                row->names[k], row->names[k], row->names[k]);
        rig_set_backend(r, row->names[k], (int)k + 1, 1);
    }
}

static void open_rig(struct rig *r)
{
    *r = (struct rig){0};
    r->shared.stats = proxy_stats_new(1);
    r->snapshot = model_snapshot_new(WT_STR("store"));
}

static void the_older_gateway_has_the_listener(void **state)
{
    for (size_t i = 0; i < N_ORDER_ROWS; i++) {
        const struct order_row *row = &order_rows[i];
        struct rig r;
        char expected[40];
        open_rig(&r);
        set_rivals(&r, row);
        publish(&r);
        assert_int_equal(r.config->n_listeners, 1);
        snprintf(expected, sizeof(expected), "default/%s", row->names[row->first]);
        if (strcmp(leads_to(&r, "/"), expected) != 0)
            fail_msg("row %zu: %s", i, leads_to(&r, "/"));
        rig_done(&r);
    }
}

static void the_older_policy_is_in_force(void **state)
{
    for (size_t i = 0; i < N_ORDER_ROWS; i++) {
        const struct order_row *row = &order_rows[i];
        struct rig r;
        open_rig(&r);
        rig_set_backend(&r, "shop", 1, 1);
        for (unsigned k = 0; k < 2; k++)
            rig_set(&r,
                    "{'apiVersion':'watari.dev/v1alpha1','kind':'BackendTrafficPolicy','metadata':"
                    "{'name':'%s','namespace':'default','creationTimestamp':'%s'},'spec':"
                    "{'targetRefs':[{'group':'watari.dev','kind':'Backend','name':'shop'}],"
                    "'retry':{'numRetries':%u}}}",
                    row->names[k], row->created[k], 7 + k);
        publish(&r);
        unsigned retries = backend(&r, "default/shop")->policy.num_retries;
        if (retries != 7 + row->first)
            fail_msg("row %zu: %u", i, retries - 7);
        rig_done(&r);
    }
}

static void set_gateway_at(struct rig *r, const char *name, const char *address, int port)
{
    rig_set(r,
            "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'Gateway','metadata':"
            "{'name':'%s','namespace':'default','creationTimestamp':'%s'},'spec':"
            "{'gatewayClassName':'watari','addresses':[{'type':'IPAddress','value':'%s'}],"
            "'listeners':[{'name':'http','port':%d,'protocol':'HTTP'}]}}",
            name, strcmp(name, "web") == 0 ? "2026-01-01T00:00:00Z" : "2026-01-01T00:00:01Z",
            address, port);
}

/* "10.0.0.1:80 …", what is listened on. */
static const char *listens_on(const struct rig *r)
{
    static char text[200];
    size_t n = 0;
    *text = 0;
    for (uint32_t i = 0; i < r->config->n_listeners; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "",
                              r->config->listeners[i]->text);
    return text;
}

/* Make before break: where the new address cannot be had, the one before stays, with the routes of
 * the new config. */
static void a_listener_moves_once_it_can(void **state)
{
    static const struct {
        const char *from, *to;
        uint16_t to_port;
        const char *during;
    } rows[] = {
        {"10.0.0.1", "10.0.0.1", 81, "10.0.0.1:80"},
        {"10.0.0.1", "10.0.0.2", 81, "10.0.0.1:80"},
        {"10.0.0.1", "0.0.0.0", 81, "10.0.0.1:80"},
        /* it is ours that is in the way */
        {"10.0.0.1", "0.0.0.0", 80, ""},
        {"0.0.0.0", "10.0.0.1", 80, ""},
        {"::", "10.0.0.1", 80, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig r;
        char last[100];
        taken_port = 0;
        set_site(&r);
        set_gateway_at(&r, "web", rows[i].from, 80);
        publish(&r);
        set_gateway_at(&r, "web", rows[i].to, rows[i].to_port);
        taken_port = rows[i].to_port;
        for (int n = 0; n < 2; n++) {
            set_filter(&r, n ? "new" : "old", "x-a");
            publish(&r);
            if (strcmp(listens_on(&r), rows[i].during) != 0)
                fail_msg("row %zu: %s", i, listens_on(&r));
            assert_int_equal(r.config->n_unopened, 1);
            json_t *kept = proxy_opened_kept_json(r.config);
            assert_int_equal(json_array_size(kept), *rows[i].during ? 1 : 0);
            if (kept) {
                const json_t *one = json_array_get(kept, 0);
                assert_string_equal(json_string_value(json_object_get(one, "listener")),
                                    "Gateway default/web, listener http");
                assert_string_equal(json_string_value(json_object_get(one, "address")),
                                    rows[i].during);
                assert_string_equal(leads_to(&r, "/b"), n ? "default/new" : "default/old");
                assert_int_equal(named_port, 80);
            }
            json_decref(kept);
        }
        taken_port = 0;
        publish(&r);
        snprintf(last, sizeof last, "%s:%u", rows[i].to, rows[i].to_port);
        assert_string_equal(listens_on(&r), last);
        assert_int_equal(r.config->n_unopened, 0);
        assert_null(proxy_opened_kept_json(r.config));
        assert_string_equal(leads_to(&r, "/b"), "default/new");
        assert_int_equal(named_port, rows[i].to_port);
        rig_done(&r);
    }
}

/* What stays for one listener is not taken from another that wants it, and goes with its own. */
static void what_stays_is_nobodys_claim(void **state)
{
    struct rig r;
    taken_port = 0;
    set_site(&r);
    set_gateway_at(&r, "web", "10.0.0.1", 80);
    publish(&r);
    rig_set_backend(&r, "more", 3, 1);
    rig_set(&r, "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute','metadata':"
                "{'name':'more','namespace':'default'},'spec':{'parentRefs':[{'name':'later'}],"
                "'rules':[{'backendRefs':[{'group':'watari.dev','kind':'Backend','name':"
                "'more'}]}]}}");
    set_gateway_at(&r, "later", "10.0.0.1", 80);
    set_gateway_at(&r, "web", "10.0.0.1", 81);
    taken_port = 81;
    publish(&r);
    assert_string_equal(listens_on(&r), "10.0.0.1:80");
    assert_string_equal(leads_to(&r, "/a"), "default/more");
    rig_done(&r);

    taken_port = 0;
    set_site(&r);
    set_gateway_at(&r, "web", "10.0.0.1", 80);
    publish(&r);
    rig_set(&r, "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'Gateway','metadata':"
                "{'name':'web','namespace':'default'},'spec':{'gatewayClassName':'watari',"
                "'addresses':[{'type':'IPAddress','value':'10.0.0.1'}],"
                "'listeners':[{'name':'other','port':81,'protocol':'HTTP'}]}}");
    taken_port = 81;
    publish(&r);
    assert_string_equal(listens_on(&r), "");
    taken_port = 0;
    rig_done(&r);
}

static void set_names(struct rig *r, const char *match, const char *set, const char *add,
                      const char *remove, const char *key)
{
    rig_set(r,
            "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute','metadata':"
            "{'name':'shop','namespace':'default'},'spec':{'parentRefs':[{'name':'web'}],'rules':"
            "[{'matches':[{'headers':[{'name':'%s','value':'1'}]}],'filters':[{'type':"
            "'RequestHeaderModifier','requestHeaderModifier':{'set':[{'name':'%s','value':'1'}],"
            "'add':[{'name':'%s','value':'1'}],'remove':['%s']}}],'backendRefs':[{'group':"
            "'watari.dev','kind':'Backend','name':'old'}]}]}}",
            match, set, add, remove);
    rig_set(r,
            "{'apiVersion':'watari.dev/v1alpha1','kind':'Migration','metadata':{'name':'shop',"
            "'namespace':'default','uid':'u'},'spec':{'routeRefs':[{'kind':'HTTPRoute','name':"
            "'shop'}],'from':{'name':'old'},'to':{'name':'new'},'state':'Shared','userKey':"
            "{'header':'%s'},'steps':[{'setWeight':50}]},'status':{'phase':'Progressing','epoch':1,"
            "'step':0,'weight':50,'tableVersion':1}}",
            key);
}

static bool is_alias(struct rig *r, const char *name)
{
    char text[400];
    struct http_head head;
    struct wt_arena arena = wt_arena_make(1 << 16);
    size_t used;
    enum http_h1_fault fault;
    int n =
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX-B: c\r\n%s: b\r\n\r\n", name);
    http_head_init(&head, &arena);
    assert_int_equal(http_h1_parse_request(wt_str(text, (size_t)n), 0, &http_h1_default_limits,
                                           &head, &used, &fault),
                     0);
    bool found = proxy_aliases_in(&r->config->aliases, &head);
    wt_arena_done(&arena);
    return found;
}

/* What a route or a Migration decides by, or sets, has no other spelling. */
static void names_have_no_aliases(void **state)
{
    static const struct {
        const char *name;
        bool alias[2]; /* of names with '-', and of those with '_' */
    } rows[] = {
        {"x-match", {false, true}},   {"X_Match", {true, false}},     {"X-Set-It", {false, true}},
        {"X_Set_It", {true, false}},  {"x_SET-it", {true, true}},     {"X-Set_It", {true, true}},
        {"x-add", {false, true}},     {"x_add", {true, false}},       {"X-Remove", {false, true}},
        {"x_remove", {true, false}},  {"x-key", {false, true}},       {"X_KEY", {true, false}},
        {"my_field", {false, false}}, {"my-field", {false, false}},   {"x_match_", {false, false}},
        {"xmatch", {false, false}},   {"x_response", {false, false}},
    };
    struct rig r;
    set_site(&r);
    assert_false(is_alias(&r, "x_match"));
    for (int k = 0; k < 2; k++) {
        const char *const names[2][5] = {{"X-Match", "x-set-it", "X-Add", "x-remove", "X-Key"},
                                         {"X_Match", "x_set_it", "X_Add", "x_remove", "X_Key"}};
        set_names(&r, names[k][0], names[k][1], names[k][2], names[k][3], names[k][4]);
        publish(&r);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (is_alias(&r, rows[i].name) != rows[i].alias[k])
                fail_msg("%d: %s", k, rows[i].name);
    }
    /* One route's '_' is no excuse where another has the name with '-'. */
    set_names(&r, "X_Match", "x-set-it", "x-match", "x_set_it", "X-Key");
    publish(&r);
    assert_true(is_alias(&r, "x_match") && is_alias(&r, "x_set_it"));
    assert_false(is_alias(&r, "x-match") || is_alias(&r, "x-set-it"));
    rig_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_stays_as_it_was),
        cmocka_unit_test(rules_of_a_new_route_answer_500),
        cmocka_unit_test(a_route_that_is_wrong),
        cmocka_unit_test(a_route_that_cannot_be_read),
        cmocka_unit_test(a_backend_stays_as_it_was),
        cmocka_unit_test(a_new_backend_is_left_out),
        cmocka_unit_test(a_policy_stays_as_it_was),
        cmocka_unit_test(a_migration_stays_as_it_was),
        cmocka_unit_test(a_gateway_stays_as_it_was),
        cmocka_unit_test(a_listener_moves_once_it_can),
        cmocka_unit_test(what_stays_is_nobodys_claim),
        cmocka_unit_test(the_older_gateway_has_the_listener),
        cmocka_unit_test(the_older_policy_is_in_force),
        cmocka_unit_test(names_have_no_aliases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
