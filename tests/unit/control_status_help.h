/* What the tests of statuses share: a store, a publisher and reports, with the Gateway "web",
 * another controller's, a Backend and a class in them. */
#ifndef TESTS_CONTROL_STATUS_HELP_H
#define TESTS_CONTROL_STATUS_HELP_H

#include "control/condition.h"
#include "control/status.h"
#include "control/status_observe.h"

#include "base/mem.h"
#include "model/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char web[] =
    "{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"Gateway\","
    " \"metadata\": {\"name\": \"web\"}, \"spec\": {\"gatewayClassName\": \"watari\","
    " \"addresses\": [{\"value\": \"127.0.0.1\"}], \"listeners\": ["
    "{\"name\": \"all\", \"port\": 80, \"protocol\": \"HTTP\"},"
    "{\"name\": \"shop\", \"port\": 81, \"protocol\": \"HTTP\", \"hostname\": \"*.shop\"},"
    "{\"name\": \"grpc\", \"port\": 82, \"protocol\": \"HTTP\","
    " \"allowedRoutes\": {\"kinds\": [{\"kind\": \"GRPCRoute\"}]}}]}}";
static const char foreign[] =
    "{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"Gateway\","
    " \"metadata\": {\"name\": \"foreign\"}, \"spec\": {\"gatewayClassName\": \"other\","
    " \"listeners\": [{\"name\": \"all\", \"port\": 90, \"protocol\": \"HTTP\"}]}}";
static const char old[] =
    "{\"apiVersion\": \"watari.dev/v1alpha1\", \"kind\": \"Backend\", \"metadata\": {\"name\": "
    "\"old\"}, \"spec\": {\"endpoints\": [{\"address\": \"10.0.0.1\", \"port\": 80}]}}";
static const char class[] =
    "{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"GatewayClass\","
    " \"metadata\": {\"name\": \"watari\"}, \"spec\": {\"controllerName\": "
    "\"watari.dev/gateway\"}}";

/* A checked document with its defaults. */
static inline json_t *doc_of(const char *text)
{
    char wrong[1024];
    struct model_errors errors = {0};
    json_t *doc = json_loads(text, 0, NULL);
    assert_non_null(doc);
    if (model_check(doc, NULL, NULL, &errors) < 0)
        fail_msg("%s", model_errors_text(&errors, wrong, sizeof(wrong)));
    model_errors_done(&errors);
    assert_int_equal(model_fill(doc), 0);
    return doc;
}

static inline void check_status(const json_t *stored, json_t *status)
{
    char wrong[1024];
    struct model_errors errors = {0};
    json_t *doc = json_copy((json_t *)stored);
    json_object_set(doc, "status", status);
    if (model_check(doc, NULL, NULL, &errors) < 0)
        fail_msg("%s", model_errors_text(&errors, wrong, sizeof(wrong)));
    model_errors_done(&errors);
    json_decref(doc);
}

/* "Accepted=True/Accepted Programmed=False/Pending " */
static inline void add_conditions(const json_t *of, char *out, size_t size)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(of, "conditions"), i, c)
    {
        size_t n = strlen(out);
        snprintf(out + n, size - n, "%s=%s/%s ", json_string_value(json_object_get(c, "type")),
                 json_string_value(json_object_get(c, "status")),
                 json_string_value(json_object_get(c, "reason")));
    }
}

struct world {
    struct control_store *store;
    struct control_publisher *publisher;
    struct control_reports *reports;
    struct control_status *status;
    int64_t now_ms;
    unsigned published, changes;
};

static inline void on_change(void *ctx, const struct control_change *change)
{
    struct world *w = ctx;
    w->changes++;
    w->published += control_publisher_change(w->publisher, change);
    if (w->status)
        control_status_change(w->status, change, w->now_ms);
}

static inline void put(struct world *w, const char *text)
{
    struct wt_err err = {0};
    json_t *doc = doc_of(text);
    int r = control_store_create(w->store, doc, 0, NULL, &err);
    if (r == WT_EEXIST)
        r = control_store_update(w->store, doc, CONTROL_SPEC, NULL, 0, NULL, &err);
    json_decref(doc);
    if (r < 0)
        fail_msg("%s", err.msg);
}

static inline void put_route(struct world *w, const char *name, const char *spec)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"HTTPRoute\","
             " \"metadata\": {\"name\": \"%s\"}, \"spec\": {%s}}",
             name, spec);
    put(w, text);
}

static inline void open_world(struct world *w)
{
    *w = (struct world){.now_ms = 1000000};
    assert_int_equal(control_store_open(":memory:", io_sys_real(), &w->store, NULL), 0);
    assert_int_equal(control_publisher_new(w->store, &w->publisher, NULL), 0);
    w->reports = control_reports_new();
    w->status = control_status_new(w->store, w->reports, w->publisher);
    control_store_on_change(w->store, on_change, w);
    put(w, web);
    put(w, foreign);
    put(w, old);
    put(w, class);
}

static inline void close_world(struct world *w)
{
    control_store_on_change(w->store, NULL, NULL);
    control_status_free(w->status);
    control_reports_free(w->reports);
    control_publisher_free(w->publisher);
    control_store_free(w->store);
}

/* `more`: members after the acknowledgement of all that is published, or of version `ack`. */
static inline void report(struct world *w, const char *proxy, int64_t ack, const char *more)
{
    struct wt_err err = {0};
    char text[2048];
    if (ack < 0)
        ack = (int64_t)model_snapshot_version(control_publisher_snapshot(w->publisher));
    snprintf(text, sizeof(text),
             "{\"proxy\": \"%s\", \"boot\": \"1\", \"store\": \"%s\", \"ack\": {\"version\": %lld}"
             "%s%s}",
             proxy, control_store_id(w->store), (long long)ack, *more ? ", " : "", more);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    if (control_reports_absorb(w->reports, json, w->now_ms, 0, &err) < 0)
        fail_msg("%s", err.msg);
    json_decref(json);
}

/* Runs until nothing is left to do but to wait for silence; returns the number of runs. */
static inline unsigned settle(struct world *w, bool pending)
{
    unsigned runs = 0;
    for (; runs < 10000; runs++) {
        int64_t next = control_status_run(w->status, pending, w->now_ms, w->now_ms);
        assert_true(next > w->now_ms);
        if (next > w->now_ms + 600)
            return runs;
        w->now_ms = next;
    }
    fail_msg("it never rests");
    return runs;
}

static inline const json_t *status_of(struct world *w, const struct model_kind *kind,
                                      const char *name)
{
    return json_object_get(control_store_get(w->store, kind, "default", name), "status");
}

#define REF "{\"group\": \"watari.dev\", \"kind\": \"Backend\", \"name\": \"old\"}"
#define RULES(refs) "\"rules\": [{\"backendRefs\": [" refs "]}]"
#define WEB(more) "\"parentRefs\": [{\"name\": \"web\"" more "}], "

#define OPEN(ports) "\"listeners\": [" ports "]"

#endif
