#include "control/report.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/refusal.h"
#include "health/guard.h"
#include "model/kind.h"

#include <stdio.h>
#include <string.h>

struct report {
    json_t *json;
    int64_t at_ms, wall_ms;
};

struct control_reports {
    struct wt_map proxies; /* name -> struct report */
    uint64_t news, refusals;
};

struct control_reports *control_reports_new(void)
{
    return wt_calloc(1, sizeof(struct control_reports));
}

static void free_report(struct report *p)
{
    json_decref(p->json);
    wt_free(p);
}

void control_reports_free(struct control_reports *r)
{
    if (!r)
        return;
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e))
        free_report(e->value);
    wt_map_done(&r->proxies);
    wt_free(r);
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static int64_t integer(const json_t *o, const char *name)
{
    int64_t n = json_integer_value(json_object_get(o, name));
    return n > 0 ? n : 0;
}

static int check_shape(const json_t *report, struct wt_err *err)
{
    if (!json_is_object(report) || !*text(report, "proxy") || !*text(report, "boot"))
        return wt_fail(err, WT_EINVAL, "a sync request needs \"proxy\" and \"boot\"");
    if (strlen(text(report, "proxy")) > 253)
        return wt_fail(err, WT_EINVAL, "proxy: longer than 253 bytes");
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(report, "migrations"), i, m)
    {
        double weight = json_number_value(json_object_get(m, "weight"));
        if (!*text(m, "uid") || !(weight >= 0 && weight <= 100))
            return wt_fail(err, WT_EINVAL, "migrations[%zu]: needs a uid and a weight of 0 to 100",
                           i);
    }
    return 0;
}

static void forget_dead(struct control_reports *r, int64_t now_ms)
{
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e)) {
        struct report *p = e->value;
        if (now_ms - p->at_ms > CONTROL_FORGET_MS) {
            wt_map_take(&r->proxies, e->key);
            free_report(p);
        }
    }
}

static bool is_the_same(const json_t *a, const json_t *b, const char *name)
{
    const json_t *x = json_object_get(a, name), *y = json_object_get(b, name);
    return x == y || json_equal(x, y);
}

static bool refuses_the_same(const json_t *a, const json_t *b)
{
    return is_the_same(a, b, "store") && is_the_same(a, b, "rejected") &&
           is_the_same(a, b, "notTaken");
}

/* In what statuses are made of. */
static bool says_the_same(const json_t *a, const json_t *b)
{
    return is_the_same(a, b, "listeners") && is_the_same(a, b, "kept") &&
           is_the_same(a, b, "backends") && refuses_the_same(a, b) &&
           integer(json_object_get(a, "ack"), "version") ==
               integer(json_object_get(b, "ack"), "version");
}

int control_reports_absorb(struct control_reports *r, json_t *report, int64_t now_ms,
                           int64_t wall_ms, struct wt_err *err)
{
    int code = check_shape(report, err);
    if (code < 0)
        return code;
    forget_dead(r, now_ms);
    struct wt_str name = wt_str_z(text(report, "proxy"));
    struct report *p = wt_map_get(&r->proxies, name);
    if (!p) {
        if (wt_map_len(&r->proxies) >= CONTROL_PROXIES_MAX)
            return wt_fail(err, WT_ELIMIT, "more than %d proxies report", CONTROL_PROXIES_MAX);
        p = wt_calloc(1, sizeof(*p));
        if (!p || wt_map_put(&r->proxies, name, p, NULL) < 0) {
            wt_free(p);
            return wt_fail(err, WT_ENOMEM, "out of memory");
        }
    }
    r->news += !says_the_same(p->json, report);
    r->refusals += !refuses_the_same(p->json, report);
    json_incref(report);
    json_decref(p->json);
    *p = (struct report){report, now_ms, wall_ms};
    return 0;
}

static bool is_fresh(const struct report *p, int64_t now_ms)
{
    return now_ms - p->at_ms <= CONTROL_SILENT_MS;
}

static bool is_silent(const struct report *p, int64_t now_ms)
{
    return !is_fresh(p, now_ms) && now_ms - p->at_ms <= CONTROL_FORGET_MS;
}

unsigned control_reports_fresh(const struct control_reports *r, int64_t now_ms)
{
    unsigned n = 0;
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e))
        n += is_fresh(e->value, now_ms);
    return n;
}

unsigned control_reports_silent(const struct control_reports *r, int64_t now_ms)
{
    unsigned n = 0;
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e))
        n += is_silent(e->value, now_ms);
    return n;
}

void control_reports_each(const struct control_reports *r, int64_t now_ms,
                          void (*each)(void *ctx, const char *proxy, const json_t *report),
                          void *ctx)
{
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e)) {
        const struct report *p = e->value;
        if (is_fresh(p, now_ms))
            each(ctx, e->key.ptr, p->json);
    }
}

uint64_t control_reports_news(const struct control_reports *r)
{
    return r->news;
}

uint64_t control_reports_refusals(const struct control_reports *r)
{
    return r->refusals;
}

int64_t control_reports_silence_ms(const struct control_reports *r, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e)) {
        const struct report *p = e->value;
        int64_t at_ms = p->at_ms + CONTROL_SILENT_MS + 1;
        if (is_fresh(p, now_ms) && at_ms < next)
            next = at_ms;
    }
    return next;
}

static const json_t *migration_by(const struct report *p, const struct control_report_key *key)
{
    const char *store = text(p->json, "store");
    bool by_name = key->store && *store && strcmp(store, key->store) != 0;
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(p->json, "migrations"), i, m)
    {
        if (strcmp(text(m, "uid"), key->uid) == 0)
            return m;
        if (by_name && strcmp(text(m, "name"), key->name) == 0 &&
            strcmp(text(m, "namespace"), key->namespace) == 0)
            return m;
    }
    return NULL;
}

static const json_t *migration_of(const struct report *p, const char *uid)
{
    const struct control_report_key key = {.uid = uid};
    return migration_by(p, &key);
}

static void see_running(const json_t *m, struct control_running_seen *r)
{
    int64_t epoch = integer(m, "epoch"), version = integer(m, "tableVersion");
    if (epoch < 1 ||
        (r->any && (epoch < r->epoch || (epoch == r->epoch && version <= r->table_version))))
        return;
    *r = (struct control_running_seen){
        .any = true,
        .epoch = epoch,
        .step = integer(m, "step"),
        .table_version = version,
        .weight = json_number_value(json_object_get(m, "weight")),
        .held = json_is_true(json_object_get(m, "held")),
    };
}

static void see_verdict(const json_t *m, const char *proxy, struct control_verdict *v)
{
    const json_t *in = json_object_get(m, "verdict");
    int64_t epoch = integer(in, "epoch");
    int cause = model_enum_value(&model_enum_verdict_cause, wt_str_z(text(in, "cause")));
    if (!in || epoch < 1 || cause == 0 ||
        !control_verdict_outranks(epoch, (enum model_verdict_cause)cause, v))
        return;
    memset(v, 0, sizeof(*v));
    v->epoch = epoch;
    v->step = integer(in, "step");
    v->cause = (enum model_verdict_cause)cause;
    v->at_ms = integer(in, "atMs");
    snprintf(v->message, sizeof(v->message), "%.399s", text(in, "message"));
    snprintf(v->by, sizeof(v->by), "%.127s", proxy);
}

/* Evidence. Spans are [{index, old: {seen, bad, tried}, new: {…}}], in the order of enum
 * health_span. */

static void read_tally(const json_t *in, struct health_tally *out)
{
    *out = (struct health_tally){(uint64_t)integer(in, "seen"), (uint64_t)integer(in, "bad"),
                                 (uint64_t)integer(in, "tried")};
}

static void read_evidence(const json_t *guard, struct health_evidence *e)
{
    memset(e, 0, sizeof(*e));
    for (size_t i = 0; i < HEALTH_SPANS; i++) {
        const json_t *span = json_array_get(json_object_get(guard, "spans"), i);
        e->span[i].index = (uint64_t)integer(span, "index");
        read_tally(json_object_get(span, "old"), &e->span[i].side[HEALTH_OLD]);
        read_tally(json_object_get(span, "new"), &e->span[i].side[HEALTH_NEW]);
    }
    e->requests[HEALTH_OLD].total = (uint64_t)integer(guard, "requestsOld");
    e->requests[HEALTH_OLD].bad = (uint64_t)integer(guard, "badRequestsOld");
    e->requests[HEALTH_NEW].total = (uint64_t)integer(guard, "requestsNew");
    e->requests[HEALTH_NEW].bad = (uint64_t)integer(guard, "badRequestsNew");
    e->before.total = (uint64_t)integer(guard, "requestsBefore");
    e->before.bad = (uint64_t)integer(guard, "badRequestsBefore");
    e->spell.run = (uint32_t)integer(guard, "badRun");
    e->spell.recent = (uint32_t)integer(guard, "badRecent");
}

struct merge {
    struct health_evidence sum;
    uint8_t *bits; /* the union, or NULL when some proxy sent none */
    unsigned n;
};

enum { BITMAP_BYTES = HEALTH_GUARD_BITMAPS * HEALTH_GUARD_BITMAP_BYTES };

static bool read_bitmaps(const json_t *in, struct wt_buf *out)
{
    static const char *const names[HEALTH_GUARD_BITMAPS] = {"seenOld", "badOld", "seenNew",
                                                            "badNew"};
    out->len = 0;
    for (size_t i = 0; i < HEALTH_GUARD_BITMAPS; i++) {
        size_t before = out->len;
        if (wt_base64_decode(out, wt_str_z(text(in, names[i]))) < 0 ||
            out->len - before != HEALTH_GUARD_BITMAP_BYTES)
            return false;
    }
    return true;
}

static void merge_one(struct merge *m, const json_t *migration)
{
    struct health_evidence e;
    read_evidence(json_object_get(migration, "guard"), &e);
    if (m->n++ == 0)
        m->sum = e;
    else
        health_evidence_add(&m->sum, &e);
    wt_autobuf struct wt_buf buf = wt_buf_make(BITMAP_BYTES);
    if (m->bits && read_bitmaps(json_object_get(migration, "bitmaps"), &buf)) {
        health_guard_union(m->bits, (const uint8_t *)buf.ptr, &m->sum.span[HEALTH_SPAN_STEP]);
    } else if (m->bits) {
        wt_free(m->bits);
        m->bits = NULL;
    }
}

/* Several proxies may together hold what none of them can prove alone. */
static void judge_together(const struct merge *m, const struct health_params *params,
                           const struct control_migration_state *state, int64_t wall_ms,
                           struct control_verdict *v)
{
    if (m->n < 2 || !m->bits)
        return;
    /* Only the step has bitmaps, so only there a slot that two proxies saw counts once; in the sums
     * of windows one broken client would count once a proxy. */
    struct health_evidence step = m->sum;
    for (int s = HEALTH_SPAN_STEP + 1; s < HEALTH_SPANS; s++)
        memset(&step.span[s], 0, sizeof(step.span[s]));
    static const enum model_verdict_cause causes[] = {
        [HEALTH_CAUSE_NONE] = MODEL_CAUSE_UNSET,
        [HEALTH_CAUSE_ERRORS] = MODEL_CAUSE_ERRORS,
        [HEALTH_CAUSE_SHARED] = MODEL_CAUSE_SHARED,
    };
    enum model_verdict_cause cause = causes[health_evidence_judge(params, &step)];
    if (cause == MODEL_CAUSE_UNSET || !control_verdict_outranks(state->epoch, cause, v))
        return;
    memset(v, 0, sizeof(*v));
    v->epoch = state->epoch;
    v->step = state->step;
    v->cause = cause;
    v->at_ms = wall_ms;
    snprintf(v->by, sizeof(v->by), "control");
    snprintf(v->message, sizeof(v->message),
             "the new side fails more than the old, over %u proxies", m->n);
}

void control_reports_migration(const struct control_reports *r,
                               const struct control_report_key *key,
                               const struct control_migration_state *state,
                               const struct health_params *params, int64_t now_ms, int64_t wall_ms,
                               struct control_migration_seen *seen)
{
    struct merge merge = {.bits = NULL};
    seen->proxies = control_reports_fresh(r, now_ms);
    seen->silent = control_reports_silent(r, now_ms);
    if (seen->proxies > 1)
        merge.bits = wt_calloc(1, BITMAP_BYTES);
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e)) {
        const struct report *p = e->value;
        const json_t *m = migration_by(p, key);
        if (!m)
            continue;
        see_verdict(m, e->key.ptr, &seen->verdict);
        see_running(m, &seen->running);
        bool same = integer(m, "epoch") == state->epoch && integer(m, "step") == state->step &&
                    integer(m, "tableVersion") == state->table_version;
        if (!same || !is_fresh(p, now_ms))
            continue;
        seen->running_now++;
        merge_one(&merge, m);
    }
    /* A proxy that is silent, or behind, may have seen what the others have not. */
    bool whole = seen->proxies > 0 && seen->silent == 0 && seen->running_now == seen->proxies;
    seen->passed = whole && health_evidence_passed(params, &merge.sum);
    if (merge.n)
        seen->wanting = (int64_t)health_evidence_wanting(params, &merge.sum);
    judge_together(&merge, params, state, wall_ms, &seen->verdict);
    wt_free(merge.bits);
}

void control_reports_side(const struct control_reports *r, const char *namespace, const char *name,
                          int64_t now_ms, struct control_side_seen *side)
{
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e)) {
        const struct report *p = e->value;
        if (!is_fresh(p, now_ms))
            continue;
        size_t i;
        json_t *b;
        json_array_foreach(json_object_get(p->json, "backends"), i, b)
        {
            if (strcmp(text(b, "name"), name) != 0 || strcmp(text(b, "namespace"), namespace) != 0)
                continue;
            unsigned healthy = (unsigned)integer(b, "healthy"),
                     total = (unsigned)integer(b, "total");
            side->known = true;
            side->healthy = healthy > side->healthy ? healthy : side->healthy;
            side->total = total > side->total ? total : side->total;
        }
    }
}

enum { COUNTS = 5 };
static const char *const count_names[COUNTS] = {"old", "new", "lost", "bad", "rescued"};

json_t *control_reports_count(const struct control_reports *r, const char *uid, const json_t *base,
                              struct control_counts *total)
{
    int64_t *const totals[COUNTS] = {&total->old, &total->new, &total->lost, &total->bad,
                                     &total->rescued};
    json_t *next = base ? json_deep_copy(base) : json_object();
    if (!next)
        return NULL;
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e)) {
        const struct report *p = e->value;
        const json_t *requests = json_object_get(migration_of(p, uid), "requests");
        if (!requests)
            continue;
        const json_t *was = json_object_get(base, e->key.ptr);
        bool same_boot = was && strcmp(text(was, "boot"), text(p->json, "boot")) == 0;
        json_t *n = json_array();
        for (size_t i = 0; i < COUNTS; i++) {
            int64_t now = integer(requests, count_names[i]);
            int64_t before =
                same_boot ? json_integer_value(json_array_get(json_object_get(was, "n"), i)) : 0;
            /* A count that fell began again from nothing (a new Migration object, a new step
             * table). */
            *totals[i] += now >= before ? now - before : now;
            json_array_append_new(n, json_integer(now));
        }
        json_object_set_new(next, e->key.ptr,
                            json_pack("{s:s, s:o}", "boot", text(p->json, "boot"), "n", n));
    }
    return next;
}

/* Keeps the old entry when it says the same but for seenAt, and is not half a minute old. */
static json_t *settle(json_t *entry, const json_t *before, int64_t wall_ms)
{
    size_t i;
    json_t *old;
    json_array_foreach(before, i, old)
    {
        int64_t at;
        if (strcmp(text(old, "name"), text(entry, "name")) != 0 ||
            !wt_time_parse(wt_str_z(text(old, "seenAt")), &at) || wall_ms - at > CONTROL_FORGET_MS)
            continue;
        json_t *seen_at = json_incref(json_object_get(entry, "seenAt"));
        json_object_set(entry, "seenAt", json_object_get(old, "seenAt"));
        if (json_equal(entry, old)) {
            json_decref(seen_at);
            return entry;
        }
        json_object_set_new(entry, "seenAt", seen_at);
    }
    return entry;
}

/* An older proxy does not tell what all its workers run: it is what it was given. */
static json_t *proxy_entry(const char *name, const struct report *p,
                           const struct control_report_key *key)
{
    char at[32], object[MODEL_KEY_MAX];
    const json_t *m = migration_of(p, key->uid), *ack = json_object_get(p->json, "ack");
    const json_t *runs = json_object_get(m, "runs") ? json_object_get(m, "runs") : m;
    snprintf(object, sizeof(object), "%s/%s/%s", model_kind_migration->name, key->namespace,
             key->name);
    const char *refused = control_refusal_in(p->json, object);
    json_t *entry = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "name", name, "version",
        (json_int_t)integer(ack, "version"), "inFlightOlder",
        (json_int_t)integer(ack, "inFlightOlder"), "step", (json_int_t)integer(runs, "step"),
        "epoch", (json_int_t)integer(runs, "epoch"), "tableVersion",
        (json_int_t)integer(runs, "tableVersion"), "seenAt", wt_time_format(p->wall_ms, false, at));
    if (entry && refused)
        json_object_set_new(entry, "refused", json_string(refused));
    return entry;
}

json_t *control_reports_proxies(const struct control_reports *r,
                                const struct control_report_key *key, const json_t *before,
                                int64_t now_ms)
{
    json_t *list = json_array();
    for (struct wt_map_entry *e = wt_map_first(&r->proxies); e; e = wt_map_next(&r->proxies, e)) {
        const struct report *p = e->value;
        if (now_ms - p->at_ms > CONTROL_FORGET_MS)
            continue;
        json_t *entry = proxy_entry(e->key.ptr, p, key);
        if (entry)
            json_array_append_new(list, settle(entry, before, p->wall_ms));
    }
    return list;
}
