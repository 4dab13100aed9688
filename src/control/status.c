#include "control/status.h"

#include "base/log.h"
#include "base/mem.h"
#include "control/backend_status.h"
#include "control/policy_status.h"
#include "control/refusal.h"
#include "control/status_observe.h"

#include <stdio.h>
#include <string.h>

enum {
    SETTLE_MS = 300,      /* before a round over all: proxies take a change up first, and it would
                             cost them half as much again beside thousands of objects */
    ROUND_EVERY_MS = 500, /* from the end of one to the next, of a kind */
    SLICE_LOOKS = 200,
    SLICE_WRITES = 100, /* one transaction */
    SLICE_PAUSE_MS = 50,
    TRY_AGAIN_MS = 5000,
    TOUCHED_MAX = 1000, /* more are all */
};

/* The order counts: routes are counted before Gateways tell how many there are. */
enum duty_kind { CLASSES, BACKENDS, POLICIES, ROUTES, GATEWAYS, DUTIES };

struct duty {
    int64_t due_ms; /* INT64_MAX: nothing to do */
    int64_t not_before_ms;
    bool all;        /* the next round is over all objects of the kind */
    json_t *touched; /* else over these: an object whose members are keys */
    json_t *round;   /* the objects of the round that runs, or NULL */
    size_t at;
};

struct control_status {
    struct control_store *store;
    const struct control_reports *reports;
    const struct control_publisher *publisher;
    struct duty duties[DUTIES];
    struct control_hosts hosts;       /* of the round of Backends */
    struct control_policies policies; /* of the round of policies */
    struct control_gateways gateways; /* of the last round of routes */
    struct control_refusals refusals; /* as of the last look */
    uint64_t news, n_refusals;        /* of reports; likewise */
    unsigned fresh;
    bool pending, writing;
    uint64_t writes;
};

struct moment {
    int64_t now_ms, wall_ms;
};

struct slice {
    unsigned looks, n;
    struct control_write writes[SLICE_WRITES];
};

struct control_status *control_status_new(struct control_store *store,
                                          const struct control_reports *reports,
                                          const struct control_publisher *publisher)
{
    struct control_status *s = wt_calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->store = store;
    s->reports = reports;
    s->publisher = publisher;
    /* All is due at first: what was written before a restart may be old. */
    for (size_t i = 0; i < DUTIES; i++)
        s->duties[i].all = true;
    return s;
}

void control_status_free(struct control_status *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < DUTIES; i++) {
        json_decref(s->duties[i].round);
        json_decref(s->duties[i].touched);
    }
    control_hosts_done(&s->hosts);
    control_policies_done(&s->policies);
    control_gateways_done(&s->gateways);
    control_refusals_done(&s->refusals);
    wt_free(s);
}

uint64_t control_status_writes(const struct control_status *s)
{
    return s->writes;
}

static void make_all_due(struct control_status *s, enum duty_kind kind, int64_t at_ms)
{
    struct duty *d = &s->duties[kind];
    if (!d->all || at_ms < d->due_ms)
        d->due_ms = at_ms;
    d->all = true;
    json_decref(d->touched);
    d->touched = NULL;
}

static void touch(struct control_status *s, enum duty_kind kind, const json_t *doc, int64_t now_ms)
{
    struct duty *d = &s->duties[kind];
    char key[MODEL_KEY_MAX];
    if (d->all)
        return; /* it is among them */
    if (!d->touched)
        d->touched = json_object();
    if (json_object_size(d->touched) == TOUCHED_MAX ||
        json_object_set_new(d->touched, model_key(doc, key, sizeof(key)), json_true()) < 0)
        make_all_due(s, kind, now_ms + SETTLE_MS);
    else
        d->due_ms = now_ms;
}

void control_status_change(struct control_status *s, const struct control_change *change,
                           int64_t now_ms)
{
    const struct {
        const struct model_kind *kind;
        enum duty_kind duty;
        bool always; /* else only when it comes or goes */
        bool alone;  /* it tells of nothing but itself */
    } rows[] = {
        {model_kind_gateway_class, CLASSES, true, true},
        {model_kind_backend, BACKENDS, true, true},
        {model_kind_backend, POLICIES, false, false},
        {model_kind_backend_traffic_policy, POLICIES, true, false},
        {model_kind_backend, ROUTES, false, false},
        {model_kind_http_route, ROUTES, true, true},
        {model_kind_gateway, ROUTES, true, false},
    };
    if (s->writing)
        return;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].kind != change->kind || (!rows[i].always && change->type == CONTROL_MODIFIED))
            continue;
        if (rows[i].alone)
            touch(s, rows[i].duty, change->doc, now_ms);
        else
            make_all_due(s, rows[i].duty, now_ms + SETTLE_MS);
    }
}

/* ---- what each kind does: begin a round, plan one object, end the round ---- */

static json_t *plan_class(struct control_status *s, json_t *doc, const struct moment *m)
{
    (void)s;
    return control_gateway_class_status(doc, m->wall_ms);
}

static int begin_backends(struct control_status *s, const struct moment *m, struct wt_err *err)
{
    (void)err;
    control_hosts_done(&s->hosts);
    control_hosts_see(s->reports, m->now_ms, &s->hosts);
    return 0;
}

static json_t *plan_backend(struct control_status *s, json_t *doc, const struct moment *m)
{
    const json_t *before = json_object_get(doc, "status"),
                 *generation = json_object_get(json_object_get(doc, "metadata"), "generation");
    struct control_side_seen seen = control_hosts_of(&s->hosts, doc);
    if (s->pending && before)
        return NULL;
    return control_backend_status(&seen, json_integer_value(generation), before, m->wall_ms);
}

static void end_backends(struct control_status *s, const struct moment *m)
{
    (void)m;
    control_hosts_done(&s->hosts);
}

static int begin_policies(struct control_status *s, const struct moment *m, struct wt_err *err)
{
    (void)m;
    control_policies_done(&s->policies);
    return control_policies_see(s->store, &s->policies, err);
}

static json_t *plan_policy(struct control_status *s, json_t *doc, const struct moment *m)
{
    return control_policy_status(&s->policies, s->store, doc,
                                 control_refusals_of(&s->refusals, doc), m->wall_ms);
}

static void end_policies(struct control_status *s, const struct moment *m)
{
    (void)m;
    control_policies_done(&s->policies);
}

static int begin_routes(struct control_status *s, const struct moment *m, struct wt_err *err)
{
    (void)m;
    if (!s->duties[ROUTES].all)
        return 0;
    struct control_gateways before = s->gateways;
    int r = control_gateways_see(s->store, &s->gateways, err);
    if (r == 0)
        control_gateways_follow(&s->gateways, &before,
                                model_snapshot_version(control_publisher_snapshot(s->publisher)));
    control_gateways_done(&before);
    return r;
}

static json_t *plan_route(struct control_status *s, json_t *doc, const struct moment *m)
{
    struct control_route_seen seen;
    struct wt_err err = {0};
    int r = control_route_see(s->store, &s->gateways, doc, &seen, &err);
    seen.refused = control_refusals_of(&s->refusals, doc);
    if (r == 0)
        return control_route_status(doc, &seen, m->wall_ms);
    wt_log(WT_LOG_ERROR, "status of HTTPRoute %s/%s: %s", model_namespace(doc), model_name(doc),
           err.msg);
    return NULL;
}

static void end_routes(struct control_status *s, const struct moment *m)
{
    make_all_due(s, GATEWAYS, m->now_ms);
}

static uint64_t published_version(const struct control_status *s, const json_t *doc)
{
    char key[MODEL_KEY_MAX];
    const struct model_item *item = model_snapshot_get(control_publisher_snapshot(s->publisher),
                                                       wt_str_z(model_key(doc, key, sizeof(key))));
    return item ? item->version : UINT64_MAX;
}

static json_t *plan_gateway(struct control_status *s, json_t *doc, const struct moment *m)
{
    const json_t *generation = json_object_get(json_object_get(doc, "metadata"), "generation");
    const struct control_gateway_count *g =
        control_gateways_find(&s->gateways, model_namespace(doc), model_name(doc));
    struct control_gateway_seen seen;
    /* One that came or changed since the routes were counted has a round of them before it. */
    if (!g || !g->ours || g->generation != json_integer_value(generation) ||
        (s->pending && json_object_get(doc, "status")))
        return NULL;
    uint64_t version = published_version(s, doc);
    control_gateway_see(s->reports, g->view, control_store_id(s->store),
                        version > g->since ? version : g->since, m->now_ms, &seen);
    const char *refused = control_refusals_of(&s->refusals, doc);
    if (refused)
        snprintf(seen.refused, sizeof(seen.refused), "%s", refused);
    for (size_t i = 0; i < CONTROL_LISTENERS_MAX; i++) {
        seen.listeners[i].attached_routes = g->attached[i];
        seen.listeners[i].lost_to = g->lost_to[i];
    }
    return control_gateway_status(doc, g->view, &seen, m->wall_ms);
}

static const struct {
    const struct model_kind *const *kind;
    int (*begin)(struct control_status *s, const struct moment *m, struct wt_err *err);
    json_t *(*plan)(struct control_status *s, json_t *doc, const struct moment *m);
    void (*end)(struct control_status *s, const struct moment *m);
} works[DUTIES] = {
    [CLASSES] = {&model_kind_gateway_class, NULL, plan_class, NULL},
    [BACKENDS] = {&model_kind_backend, begin_backends, plan_backend, end_backends},
    [POLICIES] = {&model_kind_backend_traffic_policy, begin_policies, plan_policy, end_policies},
    [ROUTES] = {&model_kind_http_route, begin_routes, plan_route, end_routes},
    [GATEWAYS] = {&model_kind_gateway, NULL, plan_gateway, NULL},
};

/* ---- rounds ---- */

/* Takes up the document to write, if the plan says something new of it. */
static void one(struct control_status *s, enum duty_kind kind, json_t *doc, struct slice *slice,
                const struct moment *m)
{
    static const char *const kept[] = {"apiVersion", "kind", "metadata"};
    json_t *status = works[kind].plan(s, doc, m), *write = json_object();
    if (!status || !write || json_equal(status, json_object_get(doc, "status"))) {
        json_decref(status);
        json_decref(write);
        return;
    }
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        json_object_set(write, kept[i], json_object_get(doc, kept[i]));
    json_object_set_new(write, "status", status);
    slice->writes[slice->n++] =
        (struct control_write){.verb = CONTROL_UPDATE, .doc = write, .parts = CONTROL_STATUS};
}

/* What was changed meanwhile is left out: that change has brought another round. */
static int write_all(struct control_status *s, struct slice *slice, struct wt_err *err)
{
    s->writing = true;
    int r = control_store_write(s->store, slice->writes, slice->n, err);
    s->writing = false;
    s->writes += r > 0 ? (unsigned)r : 0;
    for (size_t i = 0; i < slice->n; i++) {
        json_decref((json_t *)slice->writes[i].doc);
        json_decref(slice->writes[i].out);
    }
    slice->n = 0;
    return r;
}

/* What stops one object would stop the next: the disk, or memory. */
static void give_up(struct control_status *s, enum duty_kind kind, const struct moment *m,
                    const struct wt_err *err)
{
    struct duty *d = &s->duties[kind];
    wt_log(WT_LOG_ERROR, "status of %s: %s", (*works[kind].kind)->plural, err->msg);
    json_decref(d->round);
    d->round = NULL;
    if (kind == ROUTES)
        control_gateways_done(&s->gateways); /* half counted */
    make_all_due(s, kind, m->now_ms + TRY_AGAIN_MS);
}

/* NULL without memory. */
static json_t *touched_objects(struct control_status *s, enum duty_kind kind)
{
    json_t *list = json_array(), *unused;
    const char *key;
    json_object_foreach(s->duties[kind].touched, key, unused)
    {
        json_t *doc = control_store_get_key(s->store, key);
        if (!doc && kind == ROUTES)
            control_gateways_uncount(&s->gateways, strchr(key, '/') + 1);
        if (doc && json_array_append(list, doc) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static void begin(struct control_status *s, enum duty_kind kind, const struct moment *m)
{
    struct duty *d = &s->duties[kind];
    struct wt_err err = {0};
    int r = works[kind].begin ? works[kind].begin(s, m, &err) : 0;
    if (r == 0)
        d->round = d->all ? control_store_list(s->store, *works[kind].kind, NULL)
                          : touched_objects(s, kind);
    if (r == 0 && !d->round)
        wt_fail(&err, WT_ENOMEM, "out of memory");
    d->at = 0;
    d->due_ms = INT64_MAX;
    d->all = false;
    json_decref(d->touched);
    d->touched = NULL;
    if (!d->round)
        give_up(s, kind, m, &err);
}

/* Routes are counted in one go, from their first to what the Gateways tell of them. */
static bool has_to_wait(const struct control_status *s, enum duty_kind kind)
{
    return (kind == ROUTES && s->duties[GATEWAYS].round) ||
           (kind == GATEWAYS && s->duties[ROUTES].round);
}

static void work(struct control_status *s, enum duty_kind kind, struct slice *slice,
                 const struct moment *m)
{
    struct duty *d = &s->duties[kind];
    struct wt_err err = {0};
    if (!d->round && d->due_ms <= m->now_ms && d->not_before_ms <= m->now_ms)
        begin(s, kind, m);
    while (d->round && d->at < json_array_size(d->round) && slice->looks < SLICE_LOOKS &&
           slice->n < SLICE_WRITES) {
        slice->looks++;
        one(s, kind, json_array_get(d->round, d->at++), slice, m);
    }
    if (slice->n && write_all(s, slice, &err) < 0) {
        give_up(s, kind, m, &err);
        return;
    }
    if (!d->round || d->at < json_array_size(d->round))
        return;
    json_decref(d->round);
    d->round = NULL;
    d->not_before_ms = m->now_ms + ROUND_EVERY_MS;
    if (works[kind].end)
        works[kind].end(s, m);
}

/* Routes and policies are many: they are looked at again only where refusals changed. */
static void look_at_refusals(struct control_status *s, const struct moment *m)
{
    struct control_refusals now;
    control_refusals_see(s->reports, control_store_id(s->store), m->now_ms, &now);
    if (wt_map_len(&now.by_key) || wt_map_len(&s->refusals.by_key)) {
        make_all_due(s, POLICIES, m->now_ms);
        make_all_due(s, ROUTES, m->now_ms);
    }
    control_refusals_tell(&now, &s->refusals, s->store, m->wall_ms);
    control_refusals_done(&s->refusals);
    s->refusals = now;
    s->n_refusals = control_reports_refusals(s->reports);
}

static void look_at_reports(struct control_status *s, bool pending, const struct moment *m)
{
    int64_t now_ms = m->now_ms;
    unsigned fresh = control_reports_fresh(s->reports, now_ms);
    uint64_t news = control_reports_news(s->reports);
    if (control_reports_refusals(s->reports) != s->n_refusals || fresh != s->fresh)
        look_at_refusals(s, m);
    if (news != s->news || fresh != s->fresh || pending != s->pending) {
        make_all_due(s, BACKENDS, now_ms);
        make_all_due(s, GATEWAYS, now_ms);
    }
    s->news = news;
    s->fresh = fresh;
    s->pending = pending;
}

int64_t control_status_run(struct control_status *s, bool pending, int64_t now_ms, int64_t wall_ms)
{
    const struct moment m = {now_ms, wall_ms};
    struct slice slice = {.n = 0};
    int64_t next = control_reports_silence_ms(s->reports, now_ms);
    look_at_reports(s, pending, &m);
    for (unsigned kind = 0; kind < DUTIES; kind++) {
        if (has_to_wait(s, kind))
            continue;
        work(s, kind, &slice, &m);
        const struct duty *d = &s->duties[kind];
        int64_t at_ms = d->due_ms < d->not_before_ms ? d->not_before_ms : d->due_ms;
        if (d->round)
            at_ms = now_ms + SLICE_PAUSE_MS;
        if (d->round || d->due_ms != INT64_MAX)
            next = at_ms < next ? at_ms : next;
    }
    return next > now_ms ? next : now_ms + 1;
}
