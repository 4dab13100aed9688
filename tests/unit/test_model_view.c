#include "model_help.h"

#include "base/clock.h"
#include "model/pattern.h"
#include "model/view.h"

#include <stdlib.h>

static const struct model_migration *migration(json_t *doc, struct wt_arena *arena)
{
    const struct model_migration *m;
    struct wt_err err = {0};
    if (model_migration_view(doc, arena, &m, &err) < 0)
        fail_msg("%s", err.msg);
    return m;
}

#define assert_text(s, z) assert_true(wt_str_eq(s, wt_str_z(z)))

static void test_migration(void **state)
{
    struct wt_arena arena = wt_arena_make(1 << 20);
    json_t *doc =
        parse_one(MIGRATION "  steps: [{setWeight: 0.5}, {pause: {duration: 1m30s}}, {pause: {}}, "
                            "{setWeight: 100}, {retire: {}}, {finish: {}}]\n"
                            "status: {phase: Paused, pausedUntil: '2026-11-21T00:00:01Z'}\n");
    const struct model_migration *m = migration(doc, &arena);
    const struct model_migration_spec *spec = m->spec;
    assert_text(m->kind, "Migration");
    assert_text(m->metadata->name, "m");
    assert_text(m->metadata->namespace, "default");
    assert_int_equal(spec->n_route_refs, 1);
    assert_text(spec->route_refs[0].group, "gateway.networking.k8s.io");
    assert_text(spec->from->kind, "Backend");
    assert_int_equal(spec->state, MODEL_STATE_SHARED);
    assert_false(spec->has_user_key);
    assert_null(spec->user_key);
    assert_int_equal(spec->n_steps, 6);
    assert_true(spec->steps[0].has_set_weight && spec->steps[0].set_weight == 0.5);
    assert_true(spec->steps[1].pause->has_duration);
    assert_int_equal(spec->steps[1].pause->duration_ms, 90000);
    assert_false(spec->steps[1].has_set_weight);
    assert_true(spec->steps[2].has_pause && !spec->steps[2].pause->has_duration);
    assert_int_equal(spec->steps[4].retire->after_ms, 0);
    assert_true(spec->steps[5].finish);
    assert_true(spec->guard->alpha == 0.001 && spec->guard->excluding == 0.05);
    assert_false(spec->guard->has_slower_than);
    assert_int_equal(spec->guard->on_trip, MODEL_TRIP_ROLLBACK);
    assert_int_equal(m->status->phase, MODEL_PHASE_PAUSED);
    assert_string_equal(model_enum_text(&model_enum_migration_phase, m->status->phase), "Paused");
    assert_int_equal(m->status->paused_until_ms % 60000, 1000);
    assert_int_equal(m->status->verdict == NULL, 1);
    wt_arena_done(&arena);
    json_decref(doc);
}

static void test_route(void **state)
{
    struct wt_arena arena = wt_arena_make(1 << 20);
    struct wt_err err = {0};
    const struct model_http_route *r;
    json_t *doc = parse_one(
        ROUTE
        "  hostnames: [a.b, '*.c.d']\n"
        "  rules:\n"
        "  - {matches: []}\n"
        "  - matches: [{method: GET, headers: [{name: X, value: y}]}, {path: {type: Exact, value: "
        "/a}}]\n"
        "    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a, b], add: "
        "[{name: c, value: d}]}}]\n"
        "    backendRefs: [{group: watari.dev, kind: Backend, name: s, weight: 0}]\n"
        "    timeouts: {request: 0s}\n");
    assert_int_equal(model_http_route_view(doc, &arena, &r, &err), 0);
    assert_int_equal(r->spec->n_hostnames, 2);
    assert_text(r->spec->hostnames[1], "*.c.d");
    const struct model_http_route_rule *rule = r->spec->rules;
    assert_int_equal(rule[0].n_matches, 1);
    assert_int_equal(rule[0].matches[0].path->type, MODEL_HTTP_PATH_PREFIX);
    assert_text(rule[0].matches[0].path->value, "/");
    assert_int_equal(rule[1].matches[0].method, MODEL_HTTP_METHOD_GET);
    assert_text(rule[1].matches[0].path->value, "/");
    assert_int_equal(rule[1].matches[0].headers[0].type, MODEL_HTTP_MATCH_EXACT);
    assert_int_equal(rule[1].matches[1].path->type, MODEL_HTTP_PATH_EXACT);
    assert_int_equal(rule[1].matches[1].method, MODEL_HTTP_METHOD_UNSET);
    assert_text(rule[1].filters[0].request_header_modifier->remove[1], "b");
    assert_text(rule[1].filters[0].request_header_modifier->add[0].value, "d");
    assert_int_equal(rule[1].backend_refs[0].weight, 0);
    assert_true(rule[1].timeouts->has_request && !rule[1].timeouts->has_backend_request);
    wt_arena_done(&arena);
    json_decref(doc);
}

static void test_policy_and_maps(void **state)
{
    struct wt_arena arena = wt_arena_make(1 << 20);
    struct wt_err err = {0};
    const struct model_backend_traffic_policy *p;
    json_t *doc =
        parse_one(POLICY "  retry: {retryOn: {triggers: [5xx, reset], httpStatusCodes: [503]}}\n"
                         "  healthCheck: {active: {http: {path: /}}}\n");
    json_object_set_new(json_object_get(doc, "metadata"), "labels", json_pack("{s:s}", "a", "b"));
    assert_int_equal(model_backend_traffic_policy_view(doc, &arena, &p, &err), 0);
    assert_int_equal(p->metadata->n_labels, 1);
    assert_text(p->metadata->labels[0].value, "b");
    assert_int_equal(p->spec->retry->retry_on->n_triggers, 2);
    assert_int_equal(p->spec->retry->retry_on->triggers[1], MODEL_RETRY_RESET);
    assert_int_equal(p->spec->retry->retry_on->http_status_codes[0], 503);
    assert_int_equal(p->spec->health_check->active->http->expected_statuses[0], 200);
    assert_int_equal(p->spec->health_check->active->interval_ms, 3000);
    assert_int_equal(p->spec->load_balancer->type, MODEL_BALANCE_LEAST_REQUEST);
    assert_null(p->spec->timeout);
    wt_arena_done(&arena);
    json_decref(doc);
}

/* Also without model_fill and model_check: scalars hold defaults, wrong types are errors, never
 * crashes. */
static void test_unfilled_and_wrong(void **state)
{
    struct wt_arena arena = wt_arena_make(1 << 20);
    struct wt_err err = {0};
    const void *view = NULL;
    json_t *v = json_loads("{\"hostname\":\"a.b\",\"port\":80}", 0, NULL);
    assert_int_equal(model_view_object(v, model_backend_dns_schema(), &arena, &view, &err), 0);
    const struct model_backend_dns *dns = view;
    assert_true(dns->refresh_ms == 5000 && !dns->has_refresh && dns->n_resolvers == 0);
    json_object_set_new(v, "port", json_string("80"));
    view = NULL;
    assert_int_equal(model_view_object(v, model_backend_dns_schema(), &arena, &view, &err),
                     WT_EINVAL);
    assert_string_equal(err.msg, "port: expected integer");
    assert_null(view);
    assert_int_equal(model_view(v, model_kind_backend, &arena, &view, &err), WT_EINVAL);
    json_decref(v);
    struct wt_arena small = wt_arena_make(64);
    json_t *doc = parse_one(MIGRATION "  steps: [{setWeight: 1}]\n");
    assert_int_equal(model_view(doc, model_kind_migration, &small, &view, &err), WT_ENOMEM);
    json_decref(doc);
    wt_arena_done(&small);
    wt_arena_done(&arena);
}

/* A value of each type in each field: a view or WT_EINVAL. The same type in the same field always
 * ends alike. */
static void try_every_type(const struct model_object *object)
{
    static const char *const values[] = {"1",  "1.5", "\"x\"",   "true", "[]",
                                         "{}", "[1]", "[\"x\"]", "null"};
    struct wt_arena arena = wt_arena_make(1 << 20);
    const void *view;
    for (unsigned i = 0; i < object->n_fields; i++) {
        const struct model_field *f = &object->fields[i];
        unsigned accepted = 0;
        for (size_t k = 0; k < N_OF(values); k++) {
            json_t *v = json_pack("{s:o}", f->name, json_loads(values[k], JSON_DECODE_ANY, NULL));
            int r = model_view_object(v, object, &arena, &view, NULL);
            assert_true(r == 0 || r == WT_EINVAL);
            accepted += r == 0;
            json_decref(v);
        }
        assert_in_range(accepted, 1, f->type == MODEL_ANY || f->type == MODEL_MARK ? 9 : 4);
        if (f->object)
            try_every_type(f->object());
    }
    wt_arena_done(&arena);
}

static void test_every_type(void **state)
{
    for (unsigned i = 0; i < model_kinds_len; i++)
        try_every_type(model_kinds[i].object());
}

static const struct model_object *secret_schema(void)
{
    static const struct model_field fields[] = {
        {.name = "key", .type = MODEL_STR, .flags = MODEL_SECRET},
        {.name = "plain", .type = MODEL_STR},
        {.name = "inner", .type = MODEL_OBJ, .object = secret_schema},
        {.name = "list", .type = MODEL_LIST, .object = secret_schema},
    };
    static const struct model_object object = {.name = "t", .fields = fields, .n_fields = 4};
    return &object;
}

static void test_redact(void **state)
{
    json_t *v = json_loads(
        "{\"key\":\"a\",\"plain\":\"b\",\"inner\":{\"key\":1},\"list\":[{},{\"key\":{}}]}", 0,
        NULL);
    json_t *wanted =
        json_loads("{\"key\":\"(hidden)\",\"plain\":\"b\",\"inner\":{\"key\":\"(hidden)\"},"
                   "\"list\":[{},{\"key\":\"(hidden)\"}]}",
                   0, NULL);
    model_redact_object(secret_schema(), v);
    assert_true(json_equal(v, wanted));
    json_decref(v);
    json_decref(wanted);
    v = parse_one(MIGRATION "  steps: [{setWeight: 1.0}]\n");
    wanted = json_deep_copy(v);
    model_redact(v);
    assert_true(json_equal(v, wanted));
    const json_t *step = json_array_get(json_object_get(json_object_get(v, "spec"), "steps"), 0);
    assert_true(json_is_integer(json_object_get(step, "setWeight"))); /* 1.0 has one form */
    json_decref(v);
    json_decref(wanted);
}

static void check_default(const struct model_object *object, const struct model_field *f)
{
    int64_t ms;
    struct wt_str s = wt_str_z(f->def);
    json_t *v = NULL;
    bool right = false;
    if (f->type == MODEL_STR)
        right = !s.len || model_pattern_match(f->pattern, s);
    else if (f->type == MODEL_ENUM)
        right = model_enum_value(f->enumeration, s) > 0;
    else if (f->type == MODEL_DUR)
        right = wt_duration_parse(s, &ms) && (double)ms >= f->min && (double)ms <= f->max;
    else if ((v = json_loads(f->def, JSON_DECODE_ANY, NULL)))
        right = f->type == MODEL_BOOL  ? json_is_boolean(v)
                : f->type == MODEL_INT ? json_is_integer(v)
                : f->type == MODEL_NUM ? json_is_number(v)
                : f->type == MODEL_OBJ ? json_is_object(v)
                : f->type == MODEL_LIST || f->type == MODEL_ENUMS
                    ? json_is_array(v)
                    : json_is_array(v) || json_is_object(v);
    json_decref(v);
    if (!right)
        fail_msg("%s.%s: the default %s is wrong", object->name, f->name, f->def);
}

static void check_schema(const struct model_object *object, unsigned depth)
{
    assert_true(depth < 16 && object->n_fields > 0);
    for (unsigned i = 0; i < object->n_fields; i++) {
        const struct model_field *f = &object->fields[i];
        if (!*f->help || f->help[strlen(f->help) - 1] != '.')
            fail_msg("%s.%s: help is no sentence", object->name, f->name);
        if (f->max < f->min || (f->def && f->flags & (MODEL_REQUIRED | MODEL_SOON)))
            fail_msg("%s.%s: contradicts itself", object->name, f->name);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(f->name, object->fields[k].name);
        if (f->def)
            check_default(object, f);
        if (f->object)
            check_schema(f->object(), depth + 1);
    }
    struct wt_str rest = wt_str_z(object->one_of + (*object->one_of == '?'));
    while (rest.len)
        assert_non_null(model_field_find(object, wt_str_next(&rest, ',')));
}

/* The tables themselves: defaults parse, names are unique, every field has its sentence. */
static void test_schema(void **state)
{
    for (unsigned i = 0; i < model_kinds_len; i++)
        check_schema(model_kinds[i].object(), 0);
}

static void test_kinds(void **state)
{
    static const struct {
        const char *name, *kind;
    } names[] = {{"hr", "HTTPRoute"},
                 {"httproutes", "HTTPRoute"},
                 {"HTTPRoute", "HTTPRoute"},
                 {"gw", "Gateway"},
                 {"gateways.gateway.networking.k8s.io", "Gateway"},
                 {"be", "Backend"},
                 {"btp", "BackendTrafficPolicy"},
                 {"mig", "Migration"},
                 {"MIGRATIONS", "Migration"},
                 {"ev", "Event"},
                 {"gatewayclass", "GatewayClass"},
                 {"gateways.watari.dev", NULL},
                 {"", NULL},
                 {"pods", NULL}};
    for (size_t i = 0; i < N_OF(names); i++) {
        const struct model_kind *k = model_kind_find(wt_str_z(names[i].name));
        if (names[i].kind)
            assert_string_equal(k->name, names[i].kind);
        else
            assert_null(k);
    }
    assert_ptr_equal(
        model_kind_resource(WT_STR("watari.dev"), WT_STR("v1alpha1"), WT_STR("migrations")),
        model_kind_migration);
    assert_string_equal(model_kind_event->api_version, "v1");
    assert_null(model_kind_resource(WT_STR("watari.dev"), WT_STR("v1"), WT_STR("migrations")));
    char key[MODEL_KEY_MAX];
    json_t *doc = parse_one(MIGRATION "  steps: [{setWeight: 1}]\n");
    assert_string_equal(model_key(doc, key, sizeof(key)), "Migration/default/m");
    json_decref(doc);
    doc = json_loads("{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"GatewayClass\","
                     "\"metadata\":{\"name\":\"watari\",\"namespace\":\"x\"},"
                     "\"spec\":{\"controllerName\":\"watari.dev/gateway\"}}",
                     0, NULL);
    assert_int_equal(model_fill(doc), 0);
    assert_null(json_object_get(json_object_get(doc, "metadata"), "namespace"));
    assert_string_equal(model_key(doc, key, sizeof(key)), "GatewayClass//watari");
    json_decref(doc);
}

static const struct {
    enum model_pattern pattern;
    const char *text;
    bool right;
} pattern_rows[] = {
    {MODEL_DNS_LABEL, "a-1", true},
    {MODEL_DNS_LABEL, "-a", false},
    {MODEL_DNS_LABEL, "a-", false},
    {MODEL_DNS_LABEL, "a.b", false},
    {MODEL_DNS_SUBDOMAIN, "a.b-c", true},
    {MODEL_DNS_SUBDOMAIN, "a..b", false},
    {MODEL_DNS_SUBDOMAIN, "a.", false},
    {MODEL_DNS_SUBDOMAIN, "A", false},
    {MODEL_HOSTNAME, "a1.b2", true},
    {MODEL_HOSTNAME, "1.2.3.4", false},
    {MODEL_HOSTNAME, "42", false},
    {MODEL_HOSTNAME, "*.a", false},
    {MODEL_WILDCARD_HOSTNAME, "*.a", true},
    {MODEL_WILDCARD_HOSTNAME, "a.*", false},
    {MODEL_WILDCARD_HOSTNAME, "*.", false},
    {MODEL_QUALIFIED_NAME, "watari.dev/share", true},
    {MODEL_QUALIFIED_NAME, "/x", false},
    {MODEL_QUALIFIED_NAME, "a/", false},
    {MODEL_HEADER_NAME, "X-A_b", true},
    {MODEL_HEADER_NAME, "a:b", false},
    {MODEL_HEADER_NAME, "", false},
    {MODEL_HEADER_VALUE, "a b\tc", true},
    {MODEL_HEADER_VALUE, "a\n", false},
    {MODEL_HEADER_VALUE, " a", false},
    {MODEL_MATCH_PATH, "/a/b", true},
    {MODEL_MATCH_PATH, "/a//b", false},
    {MODEL_MATCH_PATH, "/a/./b", false},
    {MODEL_MATCH_PATH, "/a/..", false},
    {MODEL_MATCH_PATH, "/a%2Fb", false},
    {MODEL_MATCH_PATH, "/..a", true},
    {MODEL_TARGET_PATH, "/a?b=c", true},
    {MODEL_TARGET_PATH, "/a#b", false},
    {MODEL_TARGET_PATH, "a", false},
    {MODEL_REWRITE_PATH, "", true},
    {MODEL_REWRITE_PATH, "/", true},
    {MODEL_REWRITE_PATH, "/a//b/", true},
    {MODEL_REWRITE_PATH, "/-._~!$&'()*+,;=:@aZ09", true},
    {MODEL_REWRITE_PATH, "/%2Fx%c3%BC", true},
    {MODEL_REWRITE_PATH, "/a.b/.../.a/..b/c..", true},
    {MODEL_REWRITE_PATH, "a", false},
    {MODEL_REWRITE_PATH, "%2Fa", false},
    {MODEL_REWRITE_PATH, "/b?x=1", false},
    {MODEL_REWRITE_PATH, "/b?", false},
    {MODEL_REWRITE_PATH, "/b#x", false},
    {MODEL_REWRITE_PATH, "/b c", false},
    {MODEL_REWRITE_PATH, "/b\\c", false},
    {MODEL_REWRITE_PATH, "/b\"c", false},
    {MODEL_REWRITE_PATH, "/b<c", false},
    {MODEL_REWRITE_PATH, "/{b}", false},
    {MODEL_REWRITE_PATH, "/b|c", false},
    {MODEL_REWRITE_PATH, "/b^c", false},
    {MODEL_REWRITE_PATH, "/b[c]", false},
    {MODEL_REWRITE_PATH, "/b\xc3\xbc", false},
    {MODEL_REWRITE_PATH, "/b\x7f", false},
    {MODEL_REWRITE_PATH, "/b%", false},
    {MODEL_REWRITE_PATH, "/b%2", false},
    {MODEL_REWRITE_PATH, "/b%2g", false},
    {MODEL_REWRITE_PATH, "/b%00", false},
    {MODEL_REWRITE_PATH, "/.", false},
    {MODEL_REWRITE_PATH, "/..", false},
    {MODEL_REWRITE_PATH, "/a/./b", false},
    {MODEL_REWRITE_PATH, "/a/../b", false},
    {MODEL_REWRITE_PATH, "/a/%2E./b", false},
    {MODEL_REWRITE_PATH, "/a/.%2e", false},
    {MODEL_IP, "10.0.0.256", false},
    {MODEL_IP, "fe80::1", true},
    {MODEL_IP, "::ffff:1.2.3.4", true},
    {MODEL_IP_PORT, "1.2.3.4:53", true},
    {MODEL_IP_PORT, "1.2.3.4", false},
    {MODEL_IP_PORT, "[::1]:0", false},
    {MODEL_IP_PORT, "[1.2.3.4]:53", false},
    {MODEL_FILE_PATH, "/x", true},
    {MODEL_FILE_PATH, "x", false},
    {MODEL_GROUP, "", true},
    {MODEL_KIND_NAME, "HTTPRoute", true},
    {MODEL_KIND_NAME, "1a", false},
};

static void test_patterns(void **state)
{
    for (size_t i = 0; i < N_OF(pattern_rows); i++) {
        if (model_pattern_match(pattern_rows[i].pattern, wt_str_z(pattern_rows[i].text)) !=
            pattern_rows[i].right)
            fail_msg("row %zu: \"%s\"", i, pattern_rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_migration),       cmocka_unit_test(test_route),
        cmocka_unit_test(test_policy_and_maps), cmocka_unit_test(test_unfilled_and_wrong),
        cmocka_unit_test(test_schema),          cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_patterns),        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_redact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
