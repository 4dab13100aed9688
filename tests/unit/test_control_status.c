/* The statuses of Backends, HTTPRoutes and Gateways: each plan over its cases, and the rounds that
 * write them against a store, a publisher and reports. */
#include "control_status_help.h"

#include "control/backend_status.h"

/* ---- Backends ---- */

static void backends(void **unused)
{
    (void)unused;
    static const struct {
        struct control_side_seen seen;
        const char *conditions, *at;
    } rows[] = {
        {{.known = true, .healthy = 2, .total = 2}, "Healthy=True/Healthy ", "01:00:00Z"},
        {{.known = true, .healthy = 1, .total = 2}, "Healthy=True/Healthy ", "01:00:00Z"},
        {{.known = true, .healthy = 0, .total = 2}, "Healthy=False/NoneHealthy ", "01:00:02Z"},
        {{.known = true, .healthy = 0, .total = 0}, "Healthy=False/NoHosts ", "01:00:02Z"},
        {{.known = false}, "Healthy=Unknown/NotReported ", "01:00:04Z"},
        {{.known = true, .healthy = 1, .total = 1}, "Healthy=True/Healthy ", "01:00:05Z"},
    };
    json_t *doc = doc_of(old), *before = NULL;
    struct control_side_seen never = {0};
    assert_null(control_backend_status(&never, 1, NULL, 0));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[200] = "";
        int64_t wall_ms = 1767229200000 + (int64_t)i * 1000; /* 01:00:00 */
        json_t *status = control_backend_status(&rows[i].seen, 3, before, wall_ms);
        check_status(doc, status);
        add_conditions(status, text, sizeof(text));
        assert_string_equal(text, rows[i].conditions);
        const json_t *c = json_array_get(json_object_get(status, "conditions"), 0);
        const char *at = json_string_value(json_object_get(c, "lastTransitionTime"));
        assert_string_equal(at + strlen("2026-01-01T"), rows[i].at);
        assert_int_equal(json_integer_value(json_object_get(c, "observedGeneration")), 3);
        assert_int_equal(json_object_get(status, "total") != NULL, rows[i].seen.known);
        if (rows[i].seen.known)
            assert_int_equal(json_integer_value(json_object_get(status, "healthy")),
                             rows[i].seen.healthy);
        json_decref(before);
        before = status;
    }
    json_decref(before);
    json_decref(doc);
}

/* ---- routes ---- */

static const struct route_row {
    const char *spec, *conditions;
    unsigned attached[3];
} route_rows[] = {
    {WEB("") RULES(REF), "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs ", {1, 1, 0}},
    {WEB("") "\"hostnames\": [\"a.example\"], " RULES(REF),
     "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs ",
     {1, 0, 0}},
    {WEB(", \"sectionName\": \"shop\"") "\"hostnames\": [\"a.example\"], " RULES(REF),
     "Accepted=False/NoMatchingListenerHostname ResolvedRefs=True/ResolvedRefs ",
     {0, 0, 0}},
    {WEB(", \"port\": 81") "\"hostnames\": [\"*.a.shop\"], " RULES(REF),
     "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs ",
     {0, 1, 0}},
    {WEB(", \"sectionName\": \"none\"") RULES(REF),
     "Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs ",
     {0, 0, 0}},
    {WEB(", \"sectionName\": \"grpc\"") RULES(REF),
     "Accepted=False/NotAllowedByListeners ResolvedRefs=True/ResolvedRefs ",
     {0, 0, 0}},
    {WEB(", \"namespace\": \"else\"") RULES(REF),
     "Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs ",
     {0, 0, 0}},
    {"\"parentRefs\": [{\"name\": \"foreign\"}], " RULES(REF), "", {0, 0, 0}},
    /* Twice at one listener is once; each parent has its entry. */
    {"\"parentRefs\": [{\"name\": \"web\"}, {\"name\": \"web\", \"port\": 80}], " RULES(REF),
     "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs "
     "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs ",
     {1, 1, 0}},
    {WEB("") RULES(REF ", {\"group\": \"watari.dev\", \"kind\": \"Backend\", \"name\": \"gone\"}"),
     "Accepted=True/Accepted ResolvedRefs=False/BackendNotFound ",
     {1, 1, 0}},
    {WEB("") RULES("{\"group\": \"watari.dev\", \"kind\": \"Backend\", \"name\": \"old\","
                   " \"namespace\": \"else\"}"),
     "Accepted=True/Accepted ResolvedRefs=False/RefNotPermitted ",
     {1, 1, 0}},
    {WEB("") "\"rules\": [{\"filters\": [{\"type\": \"RequestRedirect\", \"requestRedirect\":"
             " {\"hostname\": \"b\"}}]}]",
     "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs ",
     {1, 1, 0}},
};

static void routes(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(route_rows) / sizeof(route_rows[0]); i++) {
        const struct route_row *row = &route_rows[i];
        struct world w;
        char text[600] = "";
        open_world(&w);
        put_route(&w, "r", row->spec);
        settle(&w, false);
        const json_t *doc = control_store_get(w.store, model_kind_http_route, "default", "r");
        json_t *status = json_object_get(doc, "status"), *parent;
        size_t k;
        check_status(doc, status);
        json_array_foreach(json_object_get(status, "parents"), k, parent)
        {
            assert_string_equal(json_string_value(json_object_get(parent, "controllerName")),
                                "watari.dev/gateway");
            add_conditions(parent, text, sizeof(text));
        }
        if (strcmp(text, row->conditions) != 0)
            fail_msg("row %zu: %s", i, text);
        const json_t *listeners =
            json_object_get(status_of(&w, model_kind_gateway, "web"), "listeners");
        for (k = 0; k < 3; k++) {
            const json_t *n = json_object_get(json_array_get(listeners, k), "attachedRoutes");
            if (json_integer_value(n) != row->attached[k])
                fail_msg("row %zu: listener %zu has %d", i, k, (int)json_integer_value(n));
        }
        close_world(&w);
    }
}

/* A kind that the API refuses today may be in a store that was written before. */
static void a_ref_of_a_wrong_kind(void **unused)
{
    (void)unused;
    struct world w;
    struct control_gateways gateways;
    struct control_route_seen seen;
    json_t *doc = json_loads(
        "{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"HTTPRoute\","
        " \"metadata\": {\"name\": \"r\"}, \"spec\": {\"rules\": [{\"backendRefs\": [{\"name\":"
        " \"old\"}]}]}}",
        0, NULL);
    open_world(&w);
    assert_int_equal(model_fill(doc), 0);
    assert_int_equal(control_gateways_see(w.store, &gateways, NULL), 0);
    assert_int_equal(control_route_see(w.store, &gateways, doc, &seen, NULL), 0);
    assert_int_equal(seen.ref, CONTROL_REF_KIND);
    control_gateways_done(&gateways);
    json_decref(doc);
    close_world(&w);
}

static void entries_of_others_stay(void **unused)
{
    (void)unused;
    struct world w;
    open_world(&w);
    put_route(&w, "r", WEB("") RULES(REF));
    json_t *doc = json_deep_copy(control_store_get(w.store, model_kind_http_route, "default", "r"));
    json_object_set_new(doc, "status",
                        json_loads("{\"parents\": [{\"parentRef\": {\"name\": \"x\"},"
                                   " \"controllerName\": \"a.b/c\"}]}",
                                   0, NULL));
    assert_int_equal(control_store_update(w.store, doc, CONTROL_STATUS, NULL, 0, NULL, NULL), 0);
    json_decref(doc);
    settle(&w, false);
    const json_t *parents = json_object_get(status_of(&w, model_kind_http_route, "r"), "parents");
    assert_int_equal(json_array_size(parents), 2);
    assert_non_null(control_condition_find(parents, "controllerName", "a.b/c"));
    assert_non_null(control_condition_find(parents, "controllerName", CONTROL_CONTROLLER_NAME));
    close_world(&w);
}

/* ---- Gateways ---- */

#define ALL OPEN("\"127.0.0.1:80\", \"127.0.0.1:81\", \"127.0.0.1:82\"")
#define NOT_TAKEN(key)                                                                             \
    "\"notTaken\": [{\"key\": \"" key "\", \"version\": 9, \"message\": \"bad\"}]"
#define KEPT(listener)                                                                             \
    "\"kept\": [{\"listener\": \"Gateway default/web, listener " listener                          \
    "\", \"address\": \"127.0.0.1:79\"}]"
#define REJECTED "\"rejected\": {\"version\": 9, \"message\": \"bad\"}"

static const struct gateway_row {
    struct {
        const char *proxy;
        int64_t ack; /* -1: all */
        const char *more;
    } reports[2];
    const char *conditions, *second, *message, *of_second;
} gateway_rows[] = {
    {{{NULL, 0, NULL}},
     "Accepted=True/Accepted Programmed=Unknown/Pending ",
     "Accepted=True/Accepted Programmed=Unknown/Pending ResolvedRefs=True/ResolvedRefs ",
     "no proxy reports"},
    {{{"p", 0, OPEN("")}},
     "Accepted=True/Accepted Programmed=False/Pending ",
     "Accepted=True/Accepted Programmed=False/Pending ResolvedRefs=True/ResolvedRefs ",
     "no proxy has it yet"},
    {{{"p", 0, OPEN("") ", " REJECTED}},
     "Accepted=True/Accepted Programmed=False/Pending ",
     "Accepted=True/Accepted Programmed=False/Pending ResolvedRefs=True/ResolvedRefs ",
     "proxy p refuses the snapshot: bad"},
    {{{"p", -1, ALL}},
     "Accepted=True/Accepted Programmed=True/Programmed ",
     "Accepted=True/Accepted Programmed=True/Programmed ResolvedRefs=True/ResolvedRefs ",
     NULL},
    /* It serves what it has, and will not take what is newer. */
    {{{"p", -1, ALL ", " REJECTED}},
     "Accepted=True/Accepted Programmed=False/Pending ",
     "Accepted=True/Accepted Programmed=False/Pending ResolvedRefs=True/ResolvedRefs ",
     "proxy p refuses the snapshot: bad"},
    {{{"p", -1, ALL ", " NOT_TAKEN("Gateway/default/web")}},
     "Accepted=True/Accepted Programmed=False/Pending ",
     "Accepted=True/Accepted Programmed=False/Pending ResolvedRefs=True/ResolvedRefs ",
     "proxy p does not take it: bad"},
    {{{"p", -1, ALL ", " NOT_TAKEN("Gateway/default/other")}},
     "Accepted=True/Accepted Programmed=True/Programmed ",
     "Accepted=True/Accepted Programmed=True/Programmed ResolvedRefs=True/ResolvedRefs ",
     NULL},
    /* An older proxy tells of no listeners. */
    {{{"p", -1, ""}},
     "Accepted=True/Accepted Programmed=True/Programmed ",
     "Accepted=True/Accepted Programmed=True/Programmed ResolvedRefs=True/ResolvedRefs ",
     NULL},
    {{{"p", -1, OPEN("\"127.0.0.1:80\", \"127.0.0.1:82\"")}},
     "Accepted=True/ListenersNotValid Programmed=False/Invalid ",
     "Accepted=False/PortUnavailable Programmed=False/Invalid ResolvedRefs=True/ResolvedRefs ",
     "1 of 3 listeners could not be opened"},
    {{{"p", -1, OPEN("\"127.0.0.2:81\"")}},
     "Accepted=False/ListenersNotValid Programmed=False/Invalid ",
     "Accepted=False/PortUnavailable Programmed=False/Invalid ResolvedRefs=True/ResolvedRefs ",
     "3 of 3 listeners could not be opened"},
    {{{"p", -1, OPEN("\"127.0.0.1:80\", \"127.0.0.1:82\", \"127.0.0.1:79\"") ", " KEPT("shop")}},
     "Accepted=True/ListenersNotValid Programmed=False/Invalid ",
     "Accepted=False/PortUnavailable Programmed=False/Invalid ResolvedRefs=True/ResolvedRefs ",
     "1 of 3 listeners could not be opened; what they had before is still served",
     "no proxy listens on it; 127.0.0.1:79, where it was, is still served"},
    {{{"p", -1, OPEN("\"127.0.0.1:80\", \"127.0.0.1:82\"") ", " KEPT("other")}},
     "Accepted=True/ListenersNotValid Programmed=False/Invalid ",
     "Accepted=False/PortUnavailable Programmed=False/Invalid ResolvedRefs=True/ResolvedRefs ",
     "1 of 3 listeners could not be opened",
     "no proxy listens on it"},
    /* One that has it is enough; one that lags behind takes nothing back. */
    {{{"p", -1, ALL}, {"q", 0, OPEN("")}},
     "Accepted=True/Accepted Programmed=True/Programmed ",
     "Accepted=True/Accepted Programmed=True/Programmed ResolvedRefs=True/ResolvedRefs ",
     NULL},
};

/* Seen when it comes and when it goes, with one event for all the reports that say the same. */
static void a_route_that_is_not_taken(void **unused)
{
    (void)unused;
    struct world w;
    char text[200] = "";
    open_world(&w);
    put_route(&w, "r", WEB("") RULES(REF));
    put_route(&w, "other", WEB("") RULES(REF));
    report(&w, "p", -1, ALL);
    settle(&w, false);
    for (int i = 0; i < 3; i++) {
        report(&w, "p", -1, ALL ", " NOT_TAKEN("HTTPRoute/default/r"));
        report(&w, "q", -1, ALL ", " NOT_TAKEN("HTTPRoute/default/r"));
        settle(&w, false);
    }
    static const struct {
        const char *name, *conditions;
    } rows[] = {{"r", "Accepted=False/UnsupportedValue ResolvedRefs=True/ResolvedRefs "},
                {"other", "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs "}};
    for (size_t i = 0; i < 2; i++) {
        const json_t *status = status_of(&w, model_kind_http_route, rows[i].name);
        text[0] = 0;
        add_conditions(json_array_get(json_object_get(status, "parents"), 0), text, sizeof(text));
        assert_string_equal(text, rows[i].conditions);
    }
    json_t *events = control_store_list(w.store, model_kind_event, NULL);
    const json_t *event = json_array_get(events, 0);
    assert_int_equal(json_array_size(events), 1);
    assert_int_equal(json_integer_value(json_object_get(event, "count")), 1);
    assert_string_equal(json_string_value(json_object_get(event, "message")),
                        "proxy p does not take it: bad");
    json_decref(events);
    report(&w, "p", -1, ALL);
    report(&w, "q", -1, ALL);
    settle(&w, false);
    text[0] = 0;
    add_conditions(
        json_array_get(json_object_get(status_of(&w, model_kind_http_route, "r"), "parents"), 0),
        text, sizeof(text));
    assert_string_equal(text, rows[1].conditions);
    close_world(&w);
}

static void gateways(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(gateway_rows) / sizeof(gateway_rows[0]); i++) {
        const struct gateway_row *row = &gateway_rows[i];
        struct world w;
        char text[300] = "", second[300] = "", third[300] = "";
        open_world(&w);
        for (size_t k = 0; k < 2 && row->reports[k].proxy; k++)
            report(&w, row->reports[k].proxy, row->reports[k].ack, row->reports[k].more);
        settle(&w, false);
        const json_t *doc = control_store_get(w.store, model_kind_gateway, "default", "web");
        json_t *status = json_object_get(doc, "status");
        const json_t *listeners = json_object_get(status, "listeners");
        check_status(doc, status);
        add_conditions(status, text, sizeof(text));
        add_conditions(json_array_get(listeners, 1), second, sizeof(second));
        add_conditions(json_array_get(listeners, 2), third, sizeof(third));
        const json_t *programmed =
            control_condition_find(json_object_get(status, "conditions"), "type", "Programmed");
        const char *message = json_string_value(json_object_get(programmed, "message"));
        if (strcmp(text, row->conditions) != 0 || strcmp(second, row->second) != 0)
            fail_msg("row %zu: %s; %s", i, text, second);
        if (row->message ? !message || strcmp(message, row->message) != 0 : message != NULL)
            fail_msg("row %zu: %s", i, message);
        programmed = control_condition_find(
            json_object_get(json_array_get(listeners, 1), "conditions"), "type", "Programmed");
        message = json_string_value(json_object_get(programmed, "message"));
        if (row->of_second && strcmp(message, row->of_second) != 0)
            fail_msg("row %zu: %s", i, message);
        assert_non_null(strstr(third, "ResolvedRefs=False/InvalidRouteKinds"));
        assert_int_equal(
            json_array_size(json_object_get(json_array_get(listeners, 2), "supportedKinds")), 0);
        bool some = row->reports[0].ack < 0 && strstr(row->reports[0].more, "127.0.0.1:80");
        bool open = some || strstr(row->conditions, "Programmed=True");
        assert_int_equal(json_object_get(status, "addresses") != NULL, open);
        assert_null(status_of(&w, model_kind_gateway, "foreign"));
        close_world(&w);
    }
}

/* ---- rounds ---- */

static int64_t healthy(struct world *w)
{
    const json_t *status = status_of(w, model_kind_backend, "old");
    const json_t *n = json_object_get(status, "healthy");
    return n ? json_integer_value(n) : -1;
}

#define HOSTS(healthy)                                                                             \
    ALL ", \"backends\": [{\"namespace\": \"default\", \"name\": \"old\", \"healthy\": " healthy   \
        ", \"total\": 2}]"

static void writes_only_what_changes(void **unused)
{
    (void)unused;
    struct world w;
    open_world(&w);
    put_route(&w, "r", WEB("") RULES(REF));
    report(&w, "p", -1, HOSTS("2"));
    settle(&w, false);
    assert_int_equal(healthy(&w), 2);
    char text[200] = "";
    add_conditions(
        json_object_get(control_store_get(w.store, model_kind_gateway_class, NULL, "watari"),
                        "status"),
        text, sizeof(text));
    assert_string_equal(text, "Accepted=True/Accepted ");
    /* Nothing was published for it, no generation rose. */
    unsigned published = w.published, changes = w.changes;
    assert_int_equal(published, 4);
    json_t *doc = control_store_get(w.store, model_kind_backend, "default", "old");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(doc, "metadata"), "generation")), 1);
    /* The same report again, many times: not one write, and hardly a look. */
    for (int i = 0; i < 20; i++) {
        w.now_ms += 1000;
        report(&w, "p", -1, HOSTS("2"));
        assert_int_equal(settle(&w, false), 0);
    }
    assert_int_equal(w.changes, changes);
    /* A host dies: one write. */
    report(&w, "p", -1, HOSTS("1"));
    settle(&w, false);
    assert_int_equal(healthy(&w), 1);
    assert_int_equal(w.changes, changes + 1);
    /* The most that any proxy sees; a proxy more changes nothing else. */
    report(&w, "q", -1, HOSTS("2"));
    settle(&w, false);
    assert_int_equal(healthy(&w), 2);
    /* A host that flaps at every report is written twice a second at most. */
    changes = w.changes;
    for (int i = 0; i < 100; i++) {
        report(&w, "p", -1, HOSTS("1"));
        report(&w, "q", -1, i % 3 ? HOSTS("2") : HOSTS("1"));
        w.now_ms += 70;
        control_status_run(w.status, false, w.now_ms, w.now_ms);
    }
    assert_in_range(w.changes - changes, 5, 15);
    assert_int_equal(w.published, published);
    close_world(&w);
}

static void silence_is_not_zero(void **unused)
{
    (void)unused;
    struct world w;
    char text[300] = "";
    open_world(&w);
    report(&w, "p", -1, HOSTS("2"));
    settle(&w, false);
    assert_int_equal(healthy(&w), 2);
    /* After a start of ours nobody has reported yet: what is known stays. */
    control_reports_free(w.reports);
    control_status_free(w.status);
    w.reports = control_reports_new();
    w.status = control_status_new(w.store, w.reports, w.publisher);
    settle(&w, true);
    assert_int_equal(healthy(&w), 2);
    report(&w, "p", -1, HOSTS("1"));
    settle(&w, false);
    assert_int_equal(healthy(&w), 1);
    /* It wakes by itself when the proxy has become silent. */
    int64_t next = control_status_run(w.status, false, w.now_ms, w.now_ms);
    assert_in_range(next - w.now_ms, 1, CONTROL_SILENT_MS + 1);
    w.now_ms = next;
    settle(&w, false);
    assert_int_equal(healthy(&w), -1);
    add_conditions(status_of(&w, model_kind_backend, "old"), text, sizeof(text));
    add_conditions(status_of(&w, model_kind_gateway, "web"), text, sizeof(text));
    assert_string_equal(text, "Healthy=Unknown/NotReported Accepted=True/Accepted "
                              "Programmed=Unknown/Pending ");
    close_world(&w);
}

/* What comes, goes or is overwritten is found again, without anybody asking. */
static void follows_the_store(void **unused)
{
    (void)unused;
    struct world w;
    char text[300] = "";
    open_world(&w);
    put_route(&w, "r", WEB("") RULES(REF));
    report(&w, "p", -1, HOSTS("2"));
    settle(&w, false);
    assert_int_equal(
        control_store_delete(w.store, model_kind_backend, "default", "old", 0, 0, NULL, NULL), 0);
    settle(&w, false);
    add_conditions(
        json_array_get(json_object_get(status_of(&w, model_kind_http_route, "r"), "parents"), 0),
        text, sizeof(text));
    assert_string_equal(text, "Accepted=True/Accepted ResolvedRefs=False/BackendNotFound ");
    put(&w, old);
    settle(&w, false);
    json_t *doc = json_deep_copy(control_store_get(w.store, model_kind_backend, "default", "old"));
    json_object_set_new(doc, "status", json_loads("{\"healthy\": 77, \"total\": 77}", 0, NULL));
    assert_int_equal(control_store_update(w.store, doc, CONTROL_STATUS, NULL, 0, NULL, NULL), 0);
    json_decref(doc);
    settle(&w, false);
    assert_int_equal(healthy(&w), 2);
    /* A new spec is observed, and programmed once a proxy has it. */
    put(&w, "{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"Gateway\","
            " \"metadata\": {\"name\": \"web\"}, \"spec\": {\"gatewayClassName\": \"watari\","
            " \"listeners\": [{\"name\": \"any\", \"port\": 80, \"protocol\": \"HTTP\"}]}}");
    settle(&w, false);
    text[0] = 0;
    add_conditions(status_of(&w, model_kind_gateway, "web"), text, sizeof(text));
    assert_string_equal(text, "Accepted=True/Accepted Programmed=False/Pending ");
    report(&w, "p", -1, OPEN("\"0.0.0.0:80\""));
    settle(&w, false);
    const json_t *status = status_of(&w, model_kind_gateway, "web");
    text[0] = 0;
    add_conditions(status, text, sizeof(text));
    assert_string_equal(text, "Accepted=True/Accepted Programmed=True/Programmed ");
    assert_int_equal(json_array_size(json_object_get(status, "listeners")), 1);
    const json_t *c = json_array_get(json_object_get(status, "conditions"), 0);
    assert_int_equal(json_integer_value(json_object_get(c, "observedGeneration")), 2);
    close_world(&w);
}

/* Many objects are done in slices: each run is short, and none is left out. */
static void many_are_done_in_slices(void **unused)
{
    (void)unused;
    enum { N = 700 };
    struct world w;
    open_world(&w);
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof(name), "r%d", i);
        put_route(&w, name, WEB(", \"sectionName\": \"all\"") RULES(REF));
    }
    unsigned before = w.changes, most = 0;
    for (int i = 0; i < 1000; i++) {
        unsigned was = w.changes;
        int64_t next = control_status_run(w.status, false, w.now_ms, w.now_ms);
        most = w.changes - was > most ? w.changes - was : most;
        if (next > w.now_ms + 600)
            break;
        w.now_ms = next;
    }
    assert_in_range(most, 1, 100 + 3);
    assert_in_range(w.changes - before, N + 1, N + 3); /* the Gateway and the class as well */
    const json_t *listeners =
        json_object_get(status_of(&w, model_kind_gateway, "web"), "listeners");
    assert_int_equal(
        json_integer_value(json_object_get(json_array_get(listeners, 0), "attachedRoutes")), N);
    close_world(&w);
}

static void attached(struct world *w, int out[3])
{
    const json_t *listeners = json_object_get(status_of(w, model_kind_gateway, "web"), "listeners");
    for (size_t i = 0; i < 3; i++)
        out[i] = (int)json_integer_value(
            json_object_get(json_array_get(listeners, i), "attachedRoutes"));
}

#define ONLY(section) WEB(", \"sectionName\": \"" section "\"") RULES(REF)
#define OTHERS "\"parentRefs\": [{\"name\": \"foreign\"}], " RULES(REF)
#define BOTH "\"parentRefs\": [{\"name\": \"web\"}, {\"name\": \"web\", \"port\": 80}], " RULES(REF)

/* Rows are steps of one story beside many routes at listener 0 that are not looked at for it. */
static void a_change_is_looked_at_alone(void **unused)
{
    (void)unused;
    enum { N = 500 };
    static const struct {
        const char *spec; /* NULL: deleted */
        int all, shop;
        unsigned writes; /* of statuses */
    } rows[] = {
        {ONLY("shop"), N, 1, 2}, /* it comes: its status and the Gateway's */
        {ONLY("all"), N + 1, 0, 2}, {BOTH, N + 1, 1, 2},
        {ONLY("none"), N, 0, 2},                     /* counted nowhere */
        {OTHERS, N, 0, 1},                           /* another's Gateway: its entry goes */
        {ONLY("all"), N + 1, 0, 2}, {NULL, N, 0, 1}, /* the Gateway's alone */
        {ONLY("all"), N + 1, 0, 2},
    };
    struct world w;
    open_world(&w);
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof(name), "r%d", i);
        put_route(&w, name, ONLY("all"));
    }
    settle(&w, false);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int now[3];
        w.now_ms += 1000;
        if (rows[i].spec)
            put_route(&w, "x", rows[i].spec);
        else
            assert_int_equal(control_store_delete(w.store, model_kind_http_route, "default", "x", 0,
                                                  0, NULL, NULL),
                             0);
        uint64_t writes = control_status_writes(w.status);
        /* At once, in one go: a look at all would take three slices after a wait. */
        int64_t next = control_status_run(w.status, false, w.now_ms, w.now_ms);
        attached(&w, now);
        if (control_status_writes(w.status) - writes != rows[i].writes || next < w.now_ms + 600 ||
            now[0] != rows[i].all || now[1] != rows[i].shop || now[2] != 0)
            fail_msg("row %zu: %d writes, %d and %d routes, again in %d ms", i,
                     (int)(control_status_writes(w.status) - writes), now[0], now[1],
                     (int)(next - w.now_ms));
    }
    /* What is changed while a round over all runs is made up for after it. */
    put(&w, web);
    put(&w, "{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"Gateway\","
            " \"metadata\": {\"name\": \"more\"}, \"spec\": {\"gatewayClassName\": \"watari\","
            " \"listeners\": [{\"name\": \"any\", \"port\": 83, \"protocol\": \"HTTP\"}]}}");
    w.now_ms += 1000;
    control_status_run(w.status, false, w.now_ms, w.now_ms);
    put_route(&w, "x", ONLY("shop"));
    put_route(&w, "r499", ONLY("shop"));
    settle(&w, false);
    int now[3];
    attached(&w, now);
    assert_int_equal(now[0], N - 1);
    assert_int_equal(now[1], 2);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends),
        cmocka_unit_test(routes),
        cmocka_unit_test(a_ref_of_a_wrong_kind),
        cmocka_unit_test(entries_of_others_stay),
        cmocka_unit_test(a_route_that_is_not_taken),
        cmocka_unit_test(gateways),
        cmocka_unit_test(writes_only_what_changes),
        cmocka_unit_test(silence_is_not_zero),
        cmocka_unit_test(follows_the_store),
        cmocka_unit_test(many_are_done_in_slices),
        cmocka_unit_test(a_change_is_looked_at_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
