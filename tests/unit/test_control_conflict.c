/* What the statuses say where two objects want what only one can have. */
#include "control_status_help.h"

/* ---- listeners ---- */

/* The younger of two Gateways with a listener for the same; the older one is "web". */
static const struct twin_row {
    const char *class, *addresses, *more; /* of its listener, after name and protocol */
    bool lost;
} twin_rows[] = {
    {"watari", "{\"value\": \"127.0.0.1\"}", "\"port\": 80", true},
    {"watari", "{\"value\": \"127.0.0.1\"}", "\"port\": 83", false},
    {"watari", "{\"value\": \"127.0.0.2\"}", "\"port\": 80", false},
    {"watari", "", "\"port\": 80", false}, /* 0.0.0.0: a socket of its own, or none */
    {"watari", "{\"value\": \"127.0.0.2\"}, {\"value\": \"127.0.0.1\"}", "\"port\": 80", true},
    {"watari", "{\"value\": \"127.0.0.2\"}, {\"value\": \"127.0.0.2\"}", "\"port\": 80", false},
    {"watari", "{\"value\": \"127.0.0.1\"}", "\"port\": 81, \"hostname\": \"*.shop\"", true},
    {"watari", "{\"value\": \"127.0.0.1\"}", "\"port\": 81, \"hostname\": \"a.shop\"", false},
    {"watari", "{\"value\": \"127.0.0.1\"}", "\"port\": 80, \"hostname\": \"shop\"", false},
    {"other", "{\"value\": \"127.0.0.1\"}", "\"port\": 80", false},
};

/* "first listener's / Gateway's / its route's conditions" */
static void twin_conditions(struct world *w, char *out, size_t size)
{
    const json_t *status = status_of(w, model_kind_gateway, "zeb"),
                 *route = status_of(w, model_kind_http_route, "r");
    *out = '\0';
    add_conditions(json_array_get(json_object_get(status, "listeners"), 0), out, size);
    snprintf(out + strlen(out), size - strlen(out), "/ ");
    add_conditions(status, out, size);
    snprintf(out + strlen(out), size - strlen(out), "/ ");
    add_conditions(json_array_get(json_object_get(route, "parents"), 0), out, size);
}

#define GOOD "Accepted=True/Accepted Programmed=True/Programmed "
#define REFS "ResolvedRefs=True/ResolvedRefs "
#define SERVED GOOD REFS "/ " GOOD "/ Accepted=True/Accepted " REFS
#define SOON "Accepted=True/Accepted Programmed=False/Pending "
#define WAITS SOON REFS "/ " SOON "/ Accepted=True/Accepted " REFS

static void of_two_listeners_one_is_served(void **unused)
{
    (void)unused;
    static const char lost[] = "Accepted=False/HostnameConflict Programmed=False/Invalid " REFS
                               "Conflicted=True/HostnameConflict / "
                               "Accepted=False/ListenersNotValid Programmed=False/Invalid / "
                               "Accepted=False/NoReadyListeners " REFS;
    for (size_t i = 0; i < sizeof(twin_rows) / sizeof(twin_rows[0]); i++) {
        const struct twin_row *row = &twin_rows[i];
        bool ours = strcmp(row->class, "watari") == 0;
        struct world w;
        char text[1024];
        open_world(&w);
        snprintf(text, sizeof(text),
                 "{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"Gateway\","
                 " \"metadata\": {\"name\": \"zeb\"}, \"spec\": {\"gatewayClassName\": \"%s\","
                 " \"addresses\": [%s], \"listeners\": [{\"name\": \"mine\","
                 " \"protocol\": \"HTTP\", %s}]}}",
                 row->class, row->addresses, row->more);
        put(&w, text);
        put_route(&w, "r", "\"parentRefs\": [{\"name\": \"zeb\"}], " RULES(REF));
        report(&w, "p", -1, "");
        settle(&w, false);
        twin_conditions(&w, text, sizeof(text));
        if (ours && strcmp(text, row->lost ? lost : SERVED) != 0)
            fail_msg("row %zu: %s", i, text);
        assert_int_equal(status_of(&w, model_kind_gateway, "zeb") != NULL, ours);
        *text = '\0';
        add_conditions(status_of(&w, model_kind_gateway, "web"), text, sizeof(text));
        assert_string_equal(text, GOOD);
        /* Nothing is left of the conflict once the other one is gone, and a proxy knows. */
        uint64_t had = model_snapshot_version(control_publisher_snapshot(w.publisher));
        assert_int_equal(
            control_store_delete(w.store, model_kind_gateway, "default", "web", 0, 0, NULL, NULL),
            0);
        for (int k = 0; k < 2; k++) {
            settle(&w, false);
            twin_conditions(&w, text, sizeof(text));
            if (ours && strcmp(text, row->lost ? WAITS : SERVED) != 0)
                fail_msg("row %zu, look %d: %s", i, k, text);
            report(&w, "q", (int64_t)had, "");
        }
        report(&w, "p", -1, "");
        settle(&w, false);
        twin_conditions(&w, text, sizeof(text));
        if (ours)
            assert_string_equal(text, SERVED);
        close_world(&w);
    }
}

static void a_conflict_is_told_in_words(void **unused)
{
    (void)unused;
    struct world w;
    open_world(&w);
    put(&w, "{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"Gateway\","
            " \"metadata\": {\"name\": \"zeb\"}, \"spec\": {\"gatewayClassName\": \"watari\","
            " \"addresses\": [{\"value\": \"127.0.0.1\"}], \"listeners\": ["
            "{\"name\": \"one\", \"port\": 80, \"protocol\": \"HTTP\"},"
            "{\"name\": \"two\", \"port\": 84, \"protocol\": \"HTTP\"},"
            "{\"name\": \"three\", \"port\": 85, \"protocol\": \"HTTP\"}]}}");
    /* At a listener that is served a route is attached, and counted there alone. */
    put_route(&w, "r", "\"parentRefs\": [{\"name\": \"zeb\"}], " RULES(REF));
    report(&w, "p", -1, OPEN("\"127.0.0.1:80\", \"127.0.0.1:84\""));
    settle(&w, false);
    const json_t *doc = control_store_get(w.store, model_kind_gateway, "default", "zeb");
    json_t *status = json_object_get(doc, "status");
    const json_t *listeners = json_object_get(status, "listeners"),
                 *one = json_object_get(json_array_get(listeners, 0), "conditions"),
                 *all = json_object_get(status, "conditions"),
                 *conflict = control_condition_find(one, "type", "Conflicted"),
                 *accepted = control_condition_find(all, "type", "Accepted");
    check_status(doc, status);
    assert_string_equal(json_string_value(json_object_get(conflict, "message")),
                        "Gateway default/web, listener all, has the same address, port and "
                        "hostname, and comes first");
    assert_string_equal(json_string_value(json_object_get(accepted, "status")), "True");
    assert_string_equal(json_string_value(json_object_get(accepted, "message")),
                        "2 of 3 listeners could not be opened, or conflict with another's");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            json_integer_value(json_object_get(json_array_get(listeners, i), "attachedRoutes")),
            i > 0);
    char text[200] = "";
    add_conditions(
        json_array_get(json_object_get(status_of(&w, model_kind_http_route, "r"), "parents"), 0),
        text, sizeof(text));
    assert_string_equal(text, "Accepted=True/Accepted " REFS);
    close_world(&w);
}

/* ---- policies ---- */

static void put_policy(struct world *w, const char *name, const char *target, const char *second)
{
    char text[1024], more[200] = "";
    if (second)
        snprintf(more, sizeof(more),
                 ", {\"group\": \"watari.dev\", \"kind\": \"Backend\", \"name\": \"%s\"}", second);
    snprintf(text, sizeof(text),
             "{\"apiVersion\": \"watari.dev/v1alpha1\", \"kind\": \"BackendTrafficPolicy\","
             " \"metadata\": {\"name\": \"%s\"}, \"spec\": {\"targetRefs\": [{\"group\":"
             " \"watari.dev\", \"kind\": \"Backend\", \"name\": \"%s\"}%s]}}",
             name, target, more);
    put(w, text);
}

static void delete_policy(struct world *w, const char *name)
{
    assert_int_equal(control_store_delete(w->store, model_kind_backend_traffic_policy, "default",
                                          name, 0, 0, NULL, NULL),
                     0);
}

/* "Accepted=True/Accepted Accepted=False/Conflicted ", by target. */
static void check_policy(struct world *w, const char *name, const char *expected)
{
    char text[300] = "";
    size_t i;
    json_t *entry;
    const json_t *doc =
        control_store_get(w->store, model_kind_backend_traffic_policy, "default", name);
    json_t *status = json_object_get(doc, "status");
    check_status(doc, status);
    json_array_foreach(json_object_get(status, "ancestors"), i, entry)
    {
        assert_string_equal(json_string_value(json_object_get(entry, "controllerName")),
                            CONTROL_CONTROLLER_NAME);
        assert_true(json_equal(
            json_object_get(entry, "ancestorRef"),
            json_array_get(json_object_get(json_object_get(doc, "spec"), "targetRefs"), i)));
        add_conditions(entry, text, sizeof(text));
    }
    assert_string_equal(text, expected);
}

/* One story: each step's change reaches the other policies too. */
static void policies(void **unused)
{
    (void)unused;
    struct world w;
    open_world(&w);
    put_policy(&w, "m", "old", "new");
    settle(&w, false);
    check_policy(&w, "m", "Accepted=True/Accepted Accepted=False/TargetNotFound ");
    put_policy(&w, "z", "old", NULL); /* younger, or as old, and later by name */
    settle(&w, false);
    check_policy(&w, "m", "Accepted=True/Accepted Accepted=False/TargetNotFound ");
    check_policy(&w, "z", "Accepted=False/Conflicted ");
    put(&w, "{\"apiVersion\": \"watari.dev/v1alpha1\", \"kind\": \"Backend\", \"metadata\": "
            "{\"name\": \"new\"}, \"spec\": {\"endpoints\": [{\"address\": \"10.0.0.2\","
            " \"port\": 80}]}}");
    settle(&w, false);
    check_policy(&w, "m", "Accepted=True/Accepted Accepted=True/Accepted ");
    put_policy(&w, "m", "new", NULL);
    settle(&w, false);
    check_policy(&w, "m", "Accepted=True/Accepted ");
    check_policy(&w, "z", "Accepted=True/Accepted ");
    put_policy(&w, "z", "new", NULL);
    settle(&w, false);
    check_policy(&w, "z", "Accepted=False/Conflicted ");
    delete_policy(&w, "m");
    settle(&w, false);
    check_policy(&w, "z", "Accepted=True/Accepted ");
    report(&w, "p", -1,
           "\"notTaken\": [{\"key\": \"BackendTrafficPolicy/default/z\", \"version\": 9,"
           " \"message\": \"no\"}]");
    settle(&w, false);
    check_policy(&w, "z", "Accepted=False/Invalid ");
    report(&w, "p", -1, "\"notTaken\": []");
    settle(&w, false);
    check_policy(&w, "z", "Accepted=True/Accepted ");
    /* It rests: what was written brings no round, and is not published. */
    uint64_t writes = control_status_writes(w.status);
    unsigned published = w.published;
    settle(&w, false);
    assert_int_equal(control_status_writes(w.status), writes);
    assert_int_equal(w.published, published);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_listeners_one_is_served),
        cmocka_unit_test(a_conflict_is_told_in_words),
        cmocka_unit_test(policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
