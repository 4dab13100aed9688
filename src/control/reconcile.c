#include "control/reconcile.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "control/event.h"
#include "control/in_use.h"
#include "control/migration_plan.h"
#include "control/rival.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COUNTERS_EVERY_MS = 1000, /* a status that differs only in counters is written this often */
    TRY_AGAIN_MS = 5000,
    ARENA_BYTES = 4 << 20,
};

struct due {
    int64_t at_ms;    /* INT64_MAX: nothing to do */
    int64_t wrote_ms; /* monotonic */
    json_t *base;     /* of control_reports_count() */
};

struct control_reconciler {
    struct control_store *store;
    struct control_reports *reports;
    struct wt_map queue; /* key -> struct due */
    int64_t all_ms;      /* when all come into the queue */
    struct control_reconcile_stats stats;
};

struct control_reconciler *control_reconciler_new(struct control_store *store,
                                                  struct control_reports *reports)
{
    struct control_reconciler *r = wt_calloc(1, sizeof(*r));
    if (r) {
        r->store = store;
        r->reports = reports;
        r->all_ms = INT64_MAX;
    }
    return r;
}

static void free_due(struct due *d)
{
    json_decref(d->base);
    wt_free(d);
}

void control_reconciler_free(struct control_reconciler *r)
{
    if (!r)
        return;
    for (struct wt_map_entry *e = wt_map_first(&r->queue); e; e = wt_map_next(&r->queue, e))
        free_due(e->value);
    wt_map_done(&r->queue);
    wt_free(r);
}

void control_reconciler_add(struct control_reconciler *r, const char *key, int64_t at_ms)
{
    struct due *d = wt_map_get(&r->queue, wt_str_z(key));
    if (!d) {
        d = wt_calloc(1, sizeof(*d));
        if (!d || wt_map_put(&r->queue, wt_str_z(key), d, NULL) < 0) {
            wt_free(d);
            wt_log(WT_LOG_ERROR, "reconcile %s: out of memory", key);
            return;
        }
        d->at_ms = INT64_MAX;
        d->wrote_ms = INT64_MIN / 2;
    }
    if (at_ms < d->at_ms)
        d->at_ms = at_ms;
}

void control_reconciler_add_all(struct control_reconciler *r, int64_t at_ms)
{
    if (at_ms < r->all_ms)
        r->all_ms = at_ms;
}

/* Once for thousands of changes: to find the Migrations means to look at all objects. */
static void take_up_all(struct control_reconciler *r, int64_t now_ms)
{
    json_t *list = control_store_list(r->store, model_kind_migration, NULL), *doc;
    size_t i;
    json_array_foreach(list, i, doc)
    {
        char key[MODEL_KEY_MAX];
        control_reconciler_add(r, model_key(doc, key, sizeof(key)), now_ms);
    }
    r->all_ms = list ? INT64_MAX : now_ms + TRY_AGAIN_MS;
    json_decref(list);
}

static void base_key(const json_t *doc, char *out, size_t size)
{
    const char *uid = json_string_value(json_object_get(json_object_get(doc, "metadata"), "uid"));
    snprintf(out, size, "counted/%s", uid ? uid : "");
}

static void load_base(struct control_reconciler *r, const json_t *doc, struct due *d)
{
    char key[128];
    if (d->base)
        return;
    base_key(doc, key, sizeof(key));
    wt_autofree char *text = control_store_kv_get(r->store, key);
    d->base = text ? json_loads(text, 0, NULL) : NULL;
    if (!d->base)
        d->base = json_object();
}

/* The work on one Migration, from observation to write. */
struct job {
    struct control_reconciler *r;
    struct due *due;
    json_t *doc; /* as stored */
    int64_t now_ms, wall_ms;
    struct control_migration_want want;
    struct control_migration_state state;
    struct control_migration_seen seen;
    struct control_migration_plan plan;
    json_t *status, *base; /* to write */
};

static bool has_action(const struct job *j, enum control_action_kind kind)
{
    for (unsigned i = 0; i < j->plan.n_actions; i++)
        if (j->plan.actions[i].kind == kind)
            return true;
    return false;
}

/* Without counters; of proxies what they run, for whoever waits until they do. */
static json_t *substance(const json_t *status)
{
    static const char *const counted[] = {"version", "inFlightOlder", "seenAt"};
    json_t *out = status ? json_copy((json_t *)status) : json_object(), *proxy;
    json_t *proxies = json_deep_copy(json_object_get(status, "proxies"));
    size_t i;
    json_array_foreach(proxies, i, proxy)
    {
        for (size_t k = 0; k < sizeof(counted) / sizeof(counted[0]); k++)
            json_object_del(proxy, counted[k]);
    }
    json_object_del(out, "requests");
    json_object_set_new(out, "proxies", proxies ? proxies : json_array());
    return out;
}

static bool differs_in_substance(const json_t *a, const json_t *b)
{
    json_t *x = substance(a), *y = substance(b);
    bool differs = !json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return differs;
}

static int write_status(struct job *j, struct wt_err *err)
{
    char key[128];
    json_t *doc = json_deep_copy(j->doc);
    char *text = j->base ? json_dumps(j->base, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    if (!doc || !text) {
        json_decref(doc);
        free(text);
        return wt_fail(err, WT_ENOMEM, "out of memory");
    }
    base_key(j->doc, key, sizeof(key));
    json_object_set(doc, "status", j->status);
    bool add = has_action(j, CONTROL_ACT_ADD_FINALIZER);
    if (add || has_action(j, CONTROL_ACT_REMOVE_FINALIZER))
        control_in_use_set_finalizer(doc, add);
    const struct control_kv kv = {key, text};
    int r = control_store_update(j->r->store, doc, CONTROL_STATUS | CONTROL_FINALIZERS, &kv, 1,
                                 NULL, err);
    free(text);
    json_decref(doc);
    return r;
}

static int apply(struct job *j, struct wt_err *err)
{
    const json_t *before = json_object_get(j->doc, "status");
    bool finalizer =
        has_action(j, CONTROL_ACT_ADD_FINALIZER) || has_action(j, CONTROL_ACT_REMOVE_FINALIZER);
    if (before && json_equal(before, j->status) && !finalizer)
        return 0;
    bool only_counters = before && !finalizer && !differs_in_substance(before, j->status);
    int64_t next = j->due->wrote_ms + COUNTERS_EVERY_MS;
    if (only_counters && j->now_ms < next) {
        if (next < j->due->at_ms)
            j->due->at_ms = next;
        return 0;
    }
    int r = write_status(j, err);
    if (r < 0)
        return r;
    j->r->stats.writes++;
    j->due->wrote_ms = j->now_ms;
    json_decref(j->due->base);
    j->due->base = json_incref(j->base);
    for (unsigned i = 0; i < j->plan.n_actions; i++) {
        const struct control_action *a = &j->plan.actions[i];
        if (a->kind == CONTROL_ACT_EVENT)
            control_event_emit(j->r->store, j->doc, a->warning, a->reason, a->message, j->wall_ms);
    }
    return 0;
}

static const char *rival(const struct job *j)
{
    for (struct wt_map_entry *e = wt_map_first(&j->r->queue); e; e = wt_map_next(&j->r->queue, e)) {
        const json_t *other = control_store_get_key(j->r->store, e->key.ptr);
        if (other && control_rival_before(j->doc, other))
            return model_name(other);
    }
    return NULL;
}

static bool is_superseded(const struct job *j)
{
    for (struct wt_map_entry *e = wt_map_first(&j->r->queue); e; e = wt_map_next(&j->r->queue, e)) {
        const json_t *other = control_store_get_key(j->r->store, e->key.ptr);
        if (other && control_rival_supersedes(other, j->doc))
            return true;
    }
    return false;
}

static int reconcile(struct job *j, bool pending, struct wt_err *err)
{
    const char *uid =
        json_string_value(json_object_get(json_object_get(j->doc, "metadata"), "uid"));
    const json_t *status = json_object_get(j->doc, "status");
    wt_autoarena struct wt_arena arena = wt_arena_make(ARENA_BYTES);
    int r = control_observe(j->r->store, j->r->reports, j->doc, j->now_ms, j->wall_ms, &arena,
                            &j->want, &j->state, &j->seen, err);
    if (r < 0)
        return r;
    j->seen.pending = pending;
    j->seen.rival = rival(j);
    j->seen.superseded = j->state.phase == MODEL_PHASE_COMPLETED && is_superseded(j);
    load_base(j->r, j->doc, j->due);
    j->base = control_reports_count(j->r->reports, uid ? uid : "", j->due->base, &j->seen.requests);
    control_migration_plan(&j->want, &j->state, &j->seen, j->wall_ms, &j->plan);
    if (j->plan.requeue_ms)
        j->due->at_ms = j->now_ms + j->plan.requeue_ms;
    if (j->plan.next.epoch == 0)
        return 0; /* not started: no status */
    const struct control_report_key key = {
        .uid = uid ? uid : "", .namespace = model_namespace(j->doc), .name = model_name(j->doc)};
    json_t *proxies =
        control_reports_proxies(j->r->reports, &key, json_object_get(status, "proxies"), j->now_ms);
    j->status = control_migration_state_write(&j->plan.next, status, proxies, j->wall_ms);
    json_decref(proxies);
    return j->status && j->base ? apply(j, err) : wt_fail(err, WT_ENOMEM, "out of memory");
}

static void run_one(struct control_reconciler *r, const char *key, struct due *d, bool pending,
                    int64_t now_ms, int64_t wall_ms)
{
    struct wt_err err = {0};
    struct job *j = wt_calloc(1, sizeof(*j));
    r->stats.runs++;
    if (j) {
        *j = (struct job){.r = r, .due = d, .now_ms = now_ms, .wall_ms = wall_ms};
        j->doc = json_incref(control_store_get_key(r->store, key));
    }
    int code = j ? reconcile(j, pending, &err) : wt_fail(&err, WT_ENOMEM, "out of memory");
    if (code < 0) {
        r->stats.failures++;
        d->at_ms = now_ms + TRY_AGAIN_MS;
        wt_log(WT_LOG_ERROR, "reconcile %s: %s", key, err.msg);
    }
    if (j) {
        json_decref(j->status);
        json_decref(j->base);
        json_decref(j->doc);
    }
    wt_free(j);
}

int64_t control_reconciler_run(struct control_reconciler *r, bool pending, int64_t now_ms,
                               int64_t wall_ms)
{
    if (r->all_ms <= now_ms)
        take_up_all(r, now_ms);
    int64_t next = r->all_ms;
    for (struct wt_map_entry *e = wt_map_first(&r->queue); e; e = wt_map_next(&r->queue, e)) {
        struct due *d = e->value;
        if (!control_store_get_key(r->store, e->key.ptr)) {
            wt_map_take(&r->queue, e->key);
            free_due(d);
            continue;
        }
        if (d->at_ms <= now_ms) {
            d->at_ms = INT64_MAX;
            /* A change of ours puts the Migration back into the queue: level-triggered, it ends
             * when a plan changes nothing. The entry stays where it is, no other is added
             * meanwhile. */
            run_one(r, e->key.ptr, d, pending, now_ms, wall_ms);
        }
        if (d->at_ms < next)
            next = d->at_ms;
    }
    return next;
}

struct control_reconcile_stats control_reconciler_stats(const struct control_reconciler *r)
{
    return r->stats;
}
