#include "control/api.h"

#include "base/mem.h"
#include "control/api_path.h"
#include "control/discovery.h"
#include "control/event.h"
#include "control/http.h"
#include "control/in_use.h"
#include "control/selector.h"
#include "control/watch.h"
#include "model/check.h"
#include "model/pattern.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { REFUSAL_TEXT = 1000 }; /* an Event's message holds 1,024 */

/* One request on a resource. */
struct call {
    struct control_api *api;
    const struct rpc_request *request;
    struct rpc_reply *reply;
    struct control_path path;
    unsigned dry_run; /* CONTROL_DRY_RUN or 0 */
};

static void send_not_found(struct call *c)
{
    char message[700];
    snprintf(message, sizeof(message), "%s \"%s\" not found", c->path.kind->plural, c->path.name);
    control_send_status(c->reply, 404, message);
}

/* An Event about the object, where one can be named; a dry run leaves nothing behind. */
static void tell_refused(struct call *c, const json_t *doc, const char *message)
{
    const struct model_kind *kind = c->path.kind;
    const char *name = *c->path.name ? c->path.name : model_name(doc);
    const char *namespace = !kind->namespaced || *c->path.namespace ? c->path.namespace
                            : doc                                   ? model_namespace(doc)
                                                                    : "default";
    char text[REFUSAL_TEXT];
    if (c->dry_run || kind == model_kind_event ||
        !model_pattern_match(MODEL_DNS_SUBDOMAIN, wt_str_z(name)) ||
        (*namespace && !model_pattern_match(MODEL_DNS_LABEL, wt_str_z(namespace))))
        return;
    int n = snprintf(text, sizeof(text), "a change was refused: %s", message);
    if (n >= (int)sizeof(text)) /* half a character would make it no JSON */
        for (n = sizeof(text) - 1; n > 0 && (text[n - 1] & 0x80);)
            text[--n] = 0;
    json_t *about = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", kind->api_version, "kind",
                              kind->name, "metadata", "name", name, "namespace", namespace);
    const json_t *old = control_store_get(c->api->store, kind, namespace, name);
    if (old || about)
        control_event_emit(c->api->store, old ? old : about, true, "Refused", text, io_wall_ms());
    json_decref(about);
}

/* What is wrong in a POST or PUT; `doc` may be NULL. */
static void refuse(struct call *c, const json_t *doc, unsigned status, const char *message)
{
    c->api->rejected++;
    tell_refused(c, doc, message);
    control_send_status(c->reply, status, message);
}

static void send_invalid(struct call *c, const json_t *doc, const struct model_errors *errors)
{
    char text[4096];
    model_errors_text(errors, text, sizeof(text));
    size_t n = strlen(text);
    if (n && text[n - 1] == '\n')
        text[n - 1] = 0;
    refuse(c, doc, 422, text);
}

/* Body → a checked document of the path's kind, namespace and name, defaults filled in; NULL:
 * answered. */
static json_t *take_document(struct call *c)
{
    struct wt_err err = {0};
    json_t *doc = control_body(c->request, &err);
    if (!doc) {
        refuse(c, NULL, 400, err.msg);
        return NULL;
    }
    json_t *meta = json_object_get(doc, "metadata");
    if (c->path.kind->namespaced && json_is_object(meta) && !json_object_get(meta, "namespace"))
        json_object_set_new(meta, "namespace",
                            json_string(*c->path.namespace ? c->path.namespace : "default"));
    struct model_errors errors = {0};
    const char *wrong = NULL;
    if (model_check(doc, NULL, NULL, &errors) < 0)
        send_invalid(c, doc, &errors);
    else if (model_kind_of(doc) != c->path.kind)
        wrong = "the body's apiVersion and kind are not those of the path";
    else if (*c->path.namespace && strcmp(model_namespace(doc), c->path.namespace) != 0)
        wrong = "the body's namespace is not that of the path";
    else if (*c->path.name && strcmp(model_name(doc), c->path.name) != 0)
        wrong = "the body's name is not that of the path";
    else if (model_fill(doc) < 0)
        wrong = "out of memory";
    bool good = errors.n_errors == 0 && !wrong;
    if (wrong)
        refuse(c, doc, 400, wrong);
    model_errors_done(&errors);
    if (good)
        return doc;
    json_decref(doc);
    return NULL;
}

bool control_watch_matches(const struct control_watch_filter *f, const json_t *doc)
{
    if (*f->namespace && strcmp(model_namespace(doc), f->namespace) != 0)
        return false;
    if (*f->name && strcmp(model_name(doc), f->name) != 0)
        return false;
    return !*f->labels ||
           control_selector_matches(wt_str_z(f->labels),
                                    json_object_get(json_object_get(doc, "metadata"), "labels"));
}

/* labelSelector; fieldSelector by metadata.name. */
static bool make_filter(struct call *c, struct control_watch_filter *f)
{
    static const char field[] = "metadata.name=";
    wt_autobuf struct wt_buf buf = wt_buf_make(2 * RPC_QUERY_VALUE_MAX);
    *f = (struct control_watch_filter){.kind = c->path.kind};
    snprintf(f->namespace, sizeof(f->namespace), "%s", c->path.namespace);
    const char *text = control_query(c->request, "labelSelector", &buf);
    if (text && (!control_selector_valid(wt_str_z(text)) || strlen(text) >= sizeof(f->labels))) {
        char message[256];
        snprintf(message, sizeof(message), "labelSelector: %s", control_selector_forms);
        control_send_status(c->reply, 400, message);
        return false;
    }
    snprintf(f->labels, sizeof(f->labels), "%s", text ? text : "");
    text = control_query(c->request, "fieldSelector", &buf);
    if (text && (strncmp(text, field, sizeof(field) - 1) != 0 ||
                 strlen(text) - (sizeof(field) - 1) >= sizeof(f->name))) {
        control_send_status(c->reply, 400, "fieldSelector: only metadata.name=NAME is supported");
        return false;
    }
    snprintf(f->name, sizeof(f->name), "%s", text ? text + sizeof(field) - 1 : "");
    return true;
}

static void list(struct call *c)
{
    struct control_watch_filter filter;
    wt_autobuf struct wt_buf buf = wt_buf_make(2 * RPC_QUERY_VALUE_MAX);
    if (!make_filter(c, &filter))
        return;
    const char *watch = control_query(c->request, "watch", &buf);
    if (watch && (strcmp(watch, "1") == 0 || strcmp(watch, "true") == 0)) {
        control_watch_serve(c->api, &filter, c->request, c->reply);
        return;
    }
    json_t *all = control_store_list(c->api->store, c->path.kind,
                                     *c->path.namespace ? c->path.namespace : NULL);
    json_t *items = json_array(), *doc;
    size_t i;
    json_array_foreach(all, i, doc)
    {
        if (control_watch_matches(&filter, doc))
            json_array_append(items, doc);
    }
    json_decref(all);
    char kind[80], rv[24];
    snprintf(kind, sizeof(kind), "%sList", c->path.kind->name);
    snprintf(rv, sizeof(rv), "%" PRIu64, control_store_rv(c->api->store));
    control_send_json(c->reply, 200,
                      json_pack("{s:s, s:s, s:{s:s}, s:o}", "kind", kind, "apiVersion",
                                c->path.kind->api_version, "metadata", "resourceVersion", rv,
                                "items", items));
}

static json_t *stored(struct call *c)
{
    return control_store_get(c->api->store, c->path.kind, c->path.namespace, c->path.name);
}

static void get(struct call *c)
{
    json_t *doc = stored(c);
    if (doc)
        control_send_json(c->reply, 200, json_incref(doc));
    else
        send_not_found(c);
}

/* `doc` is what was sent, if anything was. */
static void answer(struct call *c, const json_t *doc, int r, unsigned status, json_t *made,
                   const struct wt_err *err)
{
    if (r == WT_EINVAL && doc)
        refuse(c, doc, 400, err->msg);
    else if (r < 0)
        control_send_error(c->reply, err);
    else
        control_send_json(c->reply, status, made);
}

static void create(struct call *c)
{
    struct wt_err err = {0};
    json_t *doc = take_document(c), *made = NULL;
    if (!doc)
        return;
    int r = control_store_create(c->api->store, doc, c->dry_run, &made, &err);
    answer(c, doc, r, 201, made, &err);
    json_decref(doc);
}

static void replace(struct call *c)
{
    struct wt_err err = {0};
    struct model_errors errors = {0};
    json_t *doc = take_document(c), *made = NULL;
    if (!doc)
        return;
    const json_t *old = stored(c);
    if (old && model_check_update(old, doc, &errors) < 0) {
        send_invalid(c, doc, &errors);
    } else {
        int r = control_store_update(c->api->store, doc, CONTROL_SPEC | c->dry_run, NULL, 0, &made,
                                     &err);
        answer(c, doc, r, 200, made, &err);
    }
    model_errors_done(&errors);
    json_decref(doc);
}

/* Of a Migration's status users own the request alone: the rest says where users are, and is the
 * controller's. */
static void keep_but_request(json_t *doc, const json_t *old)
{
    json_t *request = json_object_get(json_object_get(doc, "status"), "request");
    const json_t *had = json_object_get(old, "status");
    json_t *status = had ? json_copy((json_t *)had) : json_object();
    if (request)
        json_object_set(status, "request", request);
    else
        json_object_del(status, "request");
    json_object_set_new(doc, "status", status);
}

static void replace_status(struct call *c)
{
    struct wt_err err = {0};
    json_t *doc = take_document(c), *made = NULL;
    const json_t *old = stored(c);
    if (!doc)
        return;
    if (old && c->path.kind == model_kind_migration)
        keep_but_request(doc, old);
    int r =
        control_store_update(c->api->store, doc, CONTROL_STATUS | c->dry_run, NULL, 0, &made, &err);
    answer(c, doc, r, 200, made, &err);
    json_decref(doc);
}

/* Make before break: what users depend on goes when they have been moved. */
static int may_delete_backend(struct call *c, struct wt_err *err)
{
    const json_t *doc = stored(c);
    json_t *all = control_store_list(c->api->store, model_kind_migration, c->path.namespace);
    const json_t *by = doc ? control_in_use_by(c->api->store, all, doc, false) : NULL;
    char why[REFUSAL_TEXT];
    if (by)
        control_in_use_why(by, doc, why, sizeof(why));
    json_decref(all);
    return by ? wt_fail(err, WT_ECONFLICT, "%s", why) : 0;
}

/* A route may have changed a moment ago, and the controller not have looked since. */
static int hold_migration(struct call *c, struct wt_err *err)
{
    const json_t *doc = stored(c);
    if (c->dry_run || !doc || control_in_use_has_finalizer(doc) ||
        !control_in_use_share(c->api->store, doc))
        return 0;
    json_t *held = json_deep_copy(doc);
    if (!held)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    control_in_use_set_finalizer(held, true);
    int r = control_store_update(c->api->store, held, CONTROL_FINALIZERS, NULL, 0, NULL, err);
    json_decref(held);
    return r;
}

static void delete_object(struct call *c)
{
    struct wt_err err = {0};
    json_t *last = NULL;
    int r = c->path.kind == model_kind_backend     ? may_delete_backend(c, &err)
            : c->path.kind == model_kind_migration ? hold_migration(c, &err)
                                                   : 0;
    if (r == 0)
        r = control_store_delete(c->api->store, c->path.kind, c->path.namespace, c->path.name, 0,
                                 c->dry_run, &last, &err);
    if (r == WT_ENOENT)
        send_not_found(c);
    else
        answer(c, NULL, r, 200, last, &err);
}

static const struct route {
    enum control_path_form form;
    struct wt_str method;
    void (*run)(struct call *c);
} routes[] = {
    {CONTROL_PATH_LIST, WT_STR_INIT("GET"), list},
    {CONTROL_PATH_LIST, WT_STR_INIT("POST"), create},
    {CONTROL_PATH_OBJECT, WT_STR_INIT("GET"), get},
    {CONTROL_PATH_OBJECT, WT_STR_INIT("PUT"), replace},
    {CONTROL_PATH_OBJECT, WT_STR_INIT("DELETE"), delete_object},
    {CONTROL_PATH_STATUS, WT_STR_INIT("GET"), get},
    {CONTROL_PATH_STATUS, WT_STR_INIT("PUT"), replace_status},
};

/* NULL: dry_run is set. */
static const char *read_query(struct call *c)
{
    wt_autobuf struct wt_buf buf = wt_buf_make(2 * RPC_QUERY_VALUE_MAX);
    if (!rpc_query_readable(c->request->query))
        return "the query is wrongly encoded, or a value is too long";
    const char *dry_run = control_query(c->request, "dryRun", &buf);
    c->dry_run = dry_run ? CONTROL_DRY_RUN : 0;
    return !dry_run || strcmp(dry_run, "All") == 0 ? NULL : "dryRun: only All is known";
}

static void resource(struct call *c)
{
    const char *wrong = read_query(c);
    if (wrong && (wt_str_eq(c->request->method, WT_STR("POST")) ||
                  wt_str_eq(c->request->method, WT_STR("PUT")))) {
        refuse(c, NULL, 400, wrong);
        return;
    }
    if (wrong) {
        control_send_status(c->reply, 400, wrong);
        return;
    }
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (routes[i].form == c->path.form && wt_str_eq(routes[i].method, c->request->method)) {
            routes[i].run(c);
            return;
        }
    char message[128];
    struct wt_str method = wt_str_sub(c->request->method, 0, 32);
    snprintf(message, sizeof(message), "%.*s is not supported here; GET, POST, PUT and DELETE are",
             WT_ARG(method));
    control_send_status(c->reply, 405, message);
}

static void send_metrics(struct control_api *api, struct rpc_reply *reply)
{
    wt_autobuf struct wt_buf out = wt_buf_make(1 << 20);
    wt_buf_printf(&out,
                  "# HELP watari_control_resource_version Version of the store.\n"
                  "# TYPE watari_control_resource_version gauge\n"
                  "watari_control_resource_version %" PRIu64 "\n"
                  "# HELP watari_control_requests_total Requests to the API.\n"
                  "# TYPE watari_control_requests_total counter\n"
                  "watari_control_requests_total %" PRIu64 "\n"
                  "# HELP watari_control_watches Watches that are open.\n"
                  "# TYPE watari_control_watches gauge\n"
                  "watari_control_watches %u\n"
                  "# HELP watari_control_store_broken 1 after an I/O error ended writing.\n"
                  "# TYPE watari_control_store_broken gauge\n"
                  "watari_control_store_broken %d\n"
                  "# HELP watari_control_objects Objects in the store.\n"
                  "# TYPE watari_control_objects gauge\n",
                  control_store_rv(api->store), api->requests, api->watches,
                  (int)control_store_broken(api->store));
    for (unsigned i = 0; i < model_kinds_len; i++)
        wt_buf_printf(&out, "watari_control_objects{kind=\"%s\"} %zu\n", model_kinds[i].name,
                      control_store_count(api->store, &model_kinds[i]));
    if (api->metrics)
        api->metrics(api->ctx, &out);
    rpc_reply_send(reply, 200, WT_STR("text/plain; version=0.0.4"), wt_buf_str(&out));
}

static void send_health(struct control_api *api, struct rpc_reply *reply, bool ready)
{
    if (control_store_broken(api->store))
        rpc_reply_send(reply, 503, WT_STR("text/plain"), WT_STR("the state store is broken\n"));
    else if (ready && api->ready && !api->ready(api->ctx))
        rpc_reply_send(reply, 503, WT_STR("text/plain"), WT_STR("starting\n"));
    else
        rpc_reply_send(reply, 200, WT_STR("text/plain"), WT_STR("ok\n"));
}

/* True when the path is one of the fixed ones, and answered. */
static bool fixed_path(struct control_api *api, struct wt_str path, struct rpc_reply *reply)
{
    if (wt_str_eq(path, WT_STR("/version")))
        control_send_json(reply, 200, control_discovery_version());
    else if (wt_str_eq(path, WT_STR("/healthz")) || wt_str_eq(path, WT_STR("/livez")))
        send_health(api, reply, false);
    else if (wt_str_eq(path, WT_STR("/readyz")))
        send_health(api, reply, true);
    else if (wt_str_eq(path, WT_STR("/metrics")))
        send_metrics(api, reply);
    else
        return false;
    return true;
}

static json_t *discovery(const struct control_path *p)
{
    switch (p->form) {
    case CONTROL_PATH_CORE:
        return control_discovery_core();
    case CONTROL_PATH_GROUPS:
        return control_discovery_groups();
    case CONTROL_PATH_GROUP:
        return control_discovery_group(p->group);
    case CONTROL_PATH_KINDS:
        return control_discovery_kinds(p->group, p->version);
    case CONTROL_PATH_NONE:
    case CONTROL_PATH_LIST:
    case CONTROL_PATH_OBJECT:
    case CONTROL_PATH_STATUS:
        break;
    }
    return NULL;
}

void control_api_handle(struct control_api *api, const struct rpc_request *request,
                        struct rpc_reply *reply)
{
    api->requests++;
    if (!control_request_is_local(request)) {
        control_send_status(reply, 403, "Host and Origin must name localhost, 127.0.0.1 or [::1]");
        return;
    }
    if (fixed_path(api, request->path, reply))
        return;
    struct call *c = wt_calloc(1, sizeof(*c));
    if (!c) {
        control_send_status(reply, 503, "out of memory");
        return;
    }
    *c = (struct call){.api = api, .request = request, .reply = reply};
    control_path_parse(request->path, &c->path);
    json_t *doc = discovery(&c->path);
    if (doc)
        control_send_json(reply, 200, doc);
    else if (c->path.kind && c->path.form != CONTROL_PATH_NONE)
        resource(c);
    else
        control_send_status(reply, 404, "the server has nothing under this path");
    wt_free(c);
}
