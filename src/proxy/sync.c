/* The long poll to control (docs/ARCHITECTURE.md, "Sync"): reports what this proxy runs and has
 * seen, takes what has changed. Without control the proxy goes on with what it has. */
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/file.h"
#include "proxy/internal.h"
#include "proxy/opened.h"
#include "rpc/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WAIT_MS = 1000,
    CALL_MS = 20 * 1000, /* waiting, and the transfer of a large snapshot */
    SPACING_MS = 50,     /* between two reports, whatever the news */
    BACK_OFF_MIN_MS = 100,
    BACK_OFF_MAX_MS = 1000,
    WRITE_DELAY_MS = 200, /* between two files: a burst of changes becomes two */
    SNAPSHOT_BYTES = 256 << 20,
};

static const char sync_path[] = "/watari.dev/sync/v1";

struct sync {
    struct proxy *proxy;
    union io_addr control;
    bool want_bitmaps;
    bool away;           /* control did not answer the last time */
    bool ask_full;       /* what control sends next must not build on anything */
    bool unsaved;        /* the snapshot in force is not on disk yet */
    struct io_cond save; /* it is time to write */
    int64_t sent_ms, back_off_ms;
    uint64_t acked;
    /* A set that could not be taken: control must not send it over and over. */
    uint64_t refused_version;
    char refused_store[64];
    /* What was wrong with the newest one; version 0: nothing. */
    uint64_t rejected_version;
    char rejected_message[512];
};

/* ---- the report ---- */

static json_t *tally_json(const struct health_tally *t)
{
    return json_pack("{s:I, s:I, s:I}", "seen", (json_int_t)t->seen, "bad", (json_int_t)t->bad,
                     "tried", (json_int_t)t->tried);
}

static json_t *guard_json(const struct health_evidence *e)
{
    json_t *spans = json_array();
    for (unsigned i = 0; i < HEALTH_SPANS; i++)
        json_array_append_new(spans,
                              json_pack("{s:I, s:o, s:o}", "index", (json_int_t)e->span[i].index,
                                        "old", tally_json(&e->span[i].side[HEALTH_OLD]), "new",
                                        tally_json(&e->span[i].side[HEALTH_NEW])));
    const struct health_requests *old = &e->requests[HEALTH_OLD], *new = &e->requests[HEALTH_NEW];
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "spans", spans, "requestsOld",
                     (json_int_t)old->total, "badRequestsOld", (json_int_t)old->bad, "requestsNew",
                     (json_int_t) new->total, "badRequestsNew", (json_int_t) new->bad,
                     "requestsBefore", (json_int_t)e->before.total, "badRequestsBefore",
                     (json_int_t)e->before.bad, "badRun", (json_int_t)e->spell.run, "badRecent",
                     (json_int_t)e->spell.recent);
}

static json_t *bitmaps_json(const struct health_guard *g)
{
    static const char *const names[HEALTH_GUARD_BITMAPS] = {"seenOld", "badOld", "seenNew",
                                                            "badNew"};
    uint8_t *bits = wt_malloc(HEALTH_GUARD_BITMAPS * HEALTH_GUARD_BITMAP_BYTES);
    json_t *out = bits ? json_object() : NULL;
    if (out)
        health_guard_export(g, bits);
    for (unsigned i = 0; out && i < HEALTH_GUARD_BITMAPS; i++) {
        struct wt_buf text wt_autobuf = wt_buf_make(HEALTH_GUARD_BITMAP_BYTES * 2);
        if (wt_base64_add(&text, bits + i * HEALTH_GUARD_BITMAP_BYTES, HEALTH_GUARD_BITMAP_BYTES) ==
            0)
            json_object_set_new(out, names[i], json_stringn(text.ptr, text.len));
    }
    wt_free(bits);
    return out;
}

static json_t *requests_json(const struct proxy_migration *m)
{
    struct proxy_migration_stats s;
    proxy_stats_sum(m->stats, &s);
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "old", (json_int_t)s.requests[PROXY_SIDE_OLD],
                     "new", (json_int_t)s.requests[PROXY_SIDE_NEW], "lost",
                     (json_int_t)(s.lost[PROXY_SIDE_OLD] + s.lost[PROXY_SIDE_NEW]), "bad",
                     (json_int_t)s.bad[PROXY_SIDE_NEW], "rescued",
                     (json_int_t)(s.rescued[PROXY_SIDE_OLD] + s.rescued[PROXY_SIDE_NEW]));
}

/* What control has told us, for a control that has lost it: also a user's abort. */
static json_t *absorbed_json(const struct proxy_migration *m)
{
    if (m->absorbed.epoch < 1 || m->absorbed.epoch < m->epoch)
        return json_null();
    struct wt_str cause = m->absorbed.cause, message = m->absorbed.message;
    return json_pack("{s:I, s:I, s:s#, s:s#, s:I}", "epoch", (json_int_t)m->absorbed.epoch, "step",
                     (json_int_t)m->absorbed.step, "cause", cause.ptr, cause.len, "message",
                     message.ptr ? message.ptr : "", message.len, "atMs",
                     (json_int_t)m->absorbed.at_ms);
}

/* Until a snapshot has gone past its epoch: control may have died before it kept it. */
static json_t *verdict_json(const struct proxy_migration *m)
{
    struct proxy_verdict v;
    if (!proxy_live_verdict(m->live, &v) || v.epoch < m->errors_from)
        return absorbed_json(m);
    return json_pack("{s:I, s:I, s:s, s:s, s:I}", "epoch", (json_int_t)v.epoch, "step",
                     (json_int_t)v.step, "cause", health_cause_text(v.cause), "message", v.message,
                     "atMs", (json_int_t)v.at_wall_ms);
}

static json_t *migration_json(const struct sync *s, const struct proxy_migration *m)
{
    struct health_evidence e;
    health_guard_read(m->live->guard, io_now_ms(), &e);
    json_t *out = json_pack("{s:s#, s:s#, s:s#, s:I, s:I, s:f, s:b, s:I, s:o, s:o, s:o}", "uid",
                            m->uid.ptr, m->uid.len, "namespace", m->namespace.ptr, m->namespace.len,
                            "name", m->name.ptr, m->name.len, "epoch", (json_int_t)m->epoch, "step",
                            (json_int_t)m->step, "weight", m->weight, "held", (int)m->held,
                            "tableVersion", (json_int_t)m->table_version, "requests",
                            requests_json(m), "guard", guard_json(&e), "verdict", verdict_json(m));
    json_object_set_new(out, "runs",
                        json_pack("{s:I, s:I, s:I}", "epoch", (json_int_t)m->live->runs.epoch,
                                  "step", (json_int_t)m->live->runs.step, "tableVersion",
                                  (json_int_t)m->live->runs.table_version));
    if (out && s->want_bitmaps && m->epoch > 0)
        json_object_set_new(out, "bitmaps", bitmaps_json(m->live->guard));
    return out;
}

static json_t *backend_json(const struct proxy_backend *b)
{
    unsigned healthy = proxy_backend_healthy(b);
    if (healthy == 0 && proxy_backend_alive(b, io_now_ms()))
        healthy = 1; /* it answers users, whatever the probes say */
    size_t slash = wt_str_find(b->name, '/');
    struct wt_str namespace = wt_str_sub(b->name, 0, slash);
    struct wt_str name = wt_str_sub(b->name, slash + 1, b->name.len);
    return json_pack("{s:s#, s:s#, s:I, s:I}", "namespace", namespace.ptr, namespace.len, "name",
                     name.ptr, name.len, "healthy", (json_int_t)healthy, "total",
                     (json_int_t)b->n_hosts);
}

/* The addresses that are listened on. */
static json_t *listeners_json(const struct proxy_config *c)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < c->n_listeners; i++)
        json_array_append_new(out, json_string(c->listeners[i]->text));
    return out;
}

static void note_runs(const struct proxy_config *c)
{
    for (uint32_t i = 0; i < c->n_migrations; i++) {
        const struct proxy_migration *m = c->migrations[i];
        m->live->runs.epoch = m->epoch;
        m->live->runs.step = m->step;
        m->live->runs.table_version = m->table_version;
    }
}

static bool runs_everywhere(const struct proxy *p)
{
    bool all = true;
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        all =
            all && p->workers[i].loop && proxy_worker_version(&p->workers[i]) == p->config->version;
    atomic_thread_fence(memory_order_acquire); /* pairs with adopt() in worker.c */
    return all;
}

/* A version counts as acknowledged when every worker runs it. */
static json_t *ack_json(struct sync *s)
{
    struct proxy *p = s->proxy;
    uint64_t older = 0;
    bool all = runs_everywhere(p);
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        older += p->workers[i].loop ? proxy_worker_in_flight_older(&p->workers[i]) : 0;
    if (all) {
        s->acked = p->config->version;
        note_runs(p->config);
    }
    return json_pack("{s:I, s:I, s:I}", "version", (json_int_t)s->acked, "workers",
                     (json_int_t)p->shared.n_workers, "inFlightOlder", (json_int_t)older);
}

static void add_position(const struct sync *s, json_t *report)
{
    const struct model_snapshot *snapshot = s->proxy->snapshot;
    struct wt_str store = model_snapshot_store(snapshot);
    uint64_t have = model_snapshot_version(snapshot);
    if (s->ask_full) {
        store = WT_STR("");
        have = 0;
    } else if (s->refused_version) {
        store = wt_str_z(s->refused_store);
        have = s->refused_version;
    }
    json_object_set_new(report, "store", json_stringn(store.ptr ? store.ptr : "", store.len));
    json_object_set_new(report, "have", json_integer((json_int_t)have));
}

/* Over control's unix socket only: a control that has lost its store takes the key back, or every
 * user's cookie would be void. */
static void add_site_key(const struct proxy *p, json_t *report)
{
    char key[2 * sizeof p->site_key + 1];
    wt_hex(p->site_key, sizeof p->site_key, key);
    json_object_set_new(report, "siteKey", json_string(key));
}

static char *make_report(struct sync *s)
{
    struct proxy *p = s->proxy;
    json_t *migrations = json_array(), *backends = json_array();
    json_t *ack = ack_json(s); /* before the migrations: it notes what of them runs */
    for (uint32_t i = 0; i < p->config->n_migrations; i++)
        json_array_append_new(migrations, migration_json(s, p->config->migrations[i]));
    for (uint32_t i = 0; i < p->config->n_backends; i++)
        json_array_append_new(backends, backend_json(p->config->backends[i]));
    json_t *report = json_pack("{s:s, s:s, s:I, s:b, s:o, s:o, s:o, s:o}", "proxy",
                               p->options->name, "boot", p->boot, "waitMs", (json_int_t)WAIT_MS,
                               "atOnce", (int)!p->synced, "ack", ack, "migrations", migrations,
                               "backends", backends, "listeners", listeners_json(p->config));
    if (!report)
        return NULL;
    json_object_set_new(report, "kept", proxy_opened_kept_json(p->config)); /* none: nothing */
    add_position(s, report);
    add_site_key(p, report);
    if (p->config->left_outs.n)
        json_object_set_new(report, "notTaken", proxy_left_outs_json(&p->config->left_outs));
    if (s->rejected_version)
        json_object_set_new(report, "rejected",
                            json_pack("{s:I, s:s}", "version", (json_int_t)s->rejected_version,
                                      "message", s->rejected_message));
    char *text = json_dumps(report, JSON_COMPACT);
    json_decref(report);
    return text;
}

/* ---- the answer ---- */

static void reject(struct sync *s, uint64_t version, const struct wt_err *err)
{
    wt_log(WT_LOG_ERROR, "snapshot %" PRIu64 " is not taken: %s; serving what was before", version,
           err->msg);
    s->rejected_version = version;
    snprintf(s->rejected_message, sizeof s->rejected_message, "%s", err->msg);
}

static void take_delta(struct sync *s, const char *store, uint64_t version, const json_t *delta)
{
    struct proxy *p = s->proxy;
    struct wt_err err;
    bool applied = false, was_full = s->ask_full;
    if (s->refused_version && !was_full) { /* it builds on what was refused */
        s->ask_full = true;
        return;
    }
    int r = proxy_publish_delta(p, wt_str_z(store), delta, &applied, &err);
    s->ask_full = r == WT_ECONFLICT && !applied && !was_full;
    if (s->ask_full)
        return;
    s->refused_version = 0;
    if (r < 0) {
        reject(s, version, &err);
        if (!applied) {
            s->refused_version = version;
            snprintf(s->refused_store, sizeof s->refused_store, "%s", store);
        }
        return;
    }
    s->rejected_version = 0;
    s->unsaved = true;
    io_cond_broadcast(&s->save);
    wt_log(WT_LOG_INFO, "snapshot %" PRIu64 " is in force", p->config->version);
}

struct key_file {
    struct io_sys *sys;
    const char *dir;
    const uint8_t *key;
    int result;
    struct wt_err err;
};

static void write_key(void *arg)
{
    struct key_file *k = arg;
    char path[512];
    snprintf(path, sizeof path, "%s/site.key", k->dir);
    k->result = io_file_write(k->sys, path, wt_str((const char *)k->key, 32), 0600, &k->err);
}

/* All proxies of a site sign with one key, which control hands out. Workers read the key without a
 * lock, so it is taken over only while nothing is served yet; else the next start finds it on disk.
 */
static void take_site_key(struct sync *s, struct wt_str hex)
{
    struct proxy *p = s->proxy;
    uint8_t key[32];
    if (!wt_unhex(hex, key, sizeof key))
        return;
    if (memcmp(key, p->site_key, sizeof key) == 0)
        return;
    struct key_file file = {.sys = p->sys, .dir = p->options->state_dir, .key = key};
    io_offload(write_key, &file);
    if (file.result < 0) {
        wt_log(WT_LOG_WARN, "the site's key: %s", file.err.msg);
        return;
    }
    memcpy(p->site_key, key, sizeof key);
    if (!p->workers[0].loop || p->config->n_listeners == 0)
        p->shared.keys = model_identity_keys_from(key);
    else
        wt_log(WT_LOG_WARN,
               "the site's key has changed: this proxy signs with it from its next start on");
}

static int take_answer(struct sync *s, const struct rpc_answer *a, struct wt_err *err)
{
    json_error_t e;
    if (a->status != 200)
        return wt_fail(err, WT_EPROTO, "status %u", a->status);
    json_t *doc = json_loadb(a->body.ptr ? a->body.ptr : "", a->body.len, 0, &e);
    const char *store = json_string_value(json_object_get(doc, "store"));
    if (!store) {
        json_decref(doc);
        return wt_fail(err, WT_EPROTO, "its answer is not understood: %s",
                       doc ? "no store" : e.text);
    }
    s->want_bitmaps = json_is_true(json_object_get(doc, "wantBitmaps"));
    take_site_key(s, wt_str_z(json_string_value(json_object_get(doc, "siteKey"))));
    const json_t *delta = json_object_get(doc, "delta");
    json_int_t version = json_integer_value(json_object_get(doc, "version"));
    if (json_is_object(delta))
        take_delta(s, store, (uint64_t)version, delta);
    json_decref(doc);
    return 0;
}

/* ---- one call at a time ---- */

struct call {
    struct sync *sync;
    char *body;
    uint64_t n_news; /* that the body tells */
    bool done;
    int result;
    struct rpc_answer answer;
    struct wt_err err;
};

static void run_call(void *arg)
{
    struct call *c = arg;
    struct rpc_call what = {
        .method = WT_STR("POST"),
        .target = wt_str_z(sync_path),
        .host = WT_STR("control"),
        .content_type = WT_STR("application/json"),
        .body = wt_str_z(c->body),
        .max_body_bytes = SNAPSHOT_BYTES,
    };
    c->result = rpc_call(&c->sync->control, &what, io_now_ms() + CALL_MS, &c->answer, &c->err);
    c->done = true;
    io_cond_broadcast(&c->sync->proxy->news);
}

/* So that the report that follows says that it runs, and not one a spacing later. */
static void wait_for_workers(const struct sync *s)
{
    int64_t until = io_now_ms() + SPACING_MS;
    while (s->proxy->workers[0].loop && !runs_everywhere(s->proxy) && !s->proxy->stopping &&
           io_now_ms() < until)
        io_cond_wait(&s->proxy->news, until);
}

/* News is worth more than the answer that is awaited: control asks again at once. */
static void wait_for_call(struct sync *s, struct call *c, struct io_fiber *fiber)
{
    if (!c->done && s->proxy->n_news == c->n_news)
        io_cond_wait(&s->proxy->news, IO_NEVER);
    while (!c->done && io_now_ms() < s->sent_ms + SPACING_MS)
        io_cond_wait(&s->proxy->news, s->sent_ms + SPACING_MS);
    if (!c->done)
        io_cancel(fiber);
    io_join(fiber);
}

static void note_synced(struct proxy *p)
{
    p->synced = true;
    io_cond_broadcast(&p->news);
}

static void note_absence(struct sync *s, const struct wt_err *err)
{
    note_synced(s->proxy);
    if (!s->away)
        wt_log(WT_LOG_WARN, "control is away, serving what is known: %s", err->msg);
    s->away = true;
    s->back_off_ms = s->back_off_ms ? s->back_off_ms * 2 : BACK_OFF_MIN_MS;
    if (s->back_off_ms > BACK_OFF_MAX_MS)
        s->back_off_ms = BACK_OFF_MAX_MS;
    io_sleep_until(io_now_ms() + s->back_off_ms);
}

static void exchange(struct sync *s)
{
    struct call c = {.sync = s, .n_news = s->proxy->n_news, .body = make_report(s)};
    struct io_fiber *fiber;
    uint64_t before = model_snapshot_version(s->proxy->snapshot);
    s->sent_ms = io_now_ms();
    int r = c.body ? io_spawn(IO_STACK_DEEP, run_call, &c, &fiber) : WT_ENOMEM;
    if (r == 0) {
        wait_for_call(s, &c, fiber);
        r = c.result;
    } else {
        wt_fail(&c.err, r, "out of memory");
    }
    free(c.body);
    if (r == 0) {
        r = take_answer(s, &c.answer, &c.err);
        wt_buf_done(&c.answer.body);
    }
    if (r == WT_ECANCELED)
        return;
    if (r < 0) {
        note_absence(s, &c.err);
        return;
    }
    if (s->away)
        wt_log(WT_LOG_INFO, "control is back");
    s->away = false;
    s->back_off_ms = 0;
    if (!s->proxy->synced && !s->ask_full)
        note_synced(s->proxy);
    /* Whatever makes control answer at once again and again must not make a busy loop of it. */
    if (before == model_snapshot_version(s->proxy->snapshot))
        io_sleep_until(s->sent_ms + SPACING_MS);
    else
        wait_for_workers(s);
}

static void run_sync(void *arg)
{
    struct sync *s = arg;
    while (!s->proxy->stopping)
        exchange(s);
}

/* ---- the snapshot on disk ---- */

struct write {
    struct proxy *proxy;
    struct wt_buf bytes;
    int result;
    struct wt_err err;
};

static void write_snapshot(void *arg)
{
    struct write *w = arg;
    char path[512];
    snprintf(path, sizeof path, "%s/snapshot", w->proxy->options->state_dir);
    w->result = io_file_write(w->proxy->sys, path, wt_buf_str(&w->bytes), 0600, &w->err);
}

static int save(struct proxy *p, struct wt_err *err)
{
    struct write w = {.proxy = p, .bytes = wt_buf_make(SNAPSHOT_BYTES)};
    w.result = model_snapshot_encode(p->snapshot, &w.bytes);
    if (w.result == 0)
        io_offload(write_snapshot, &w);
    else
        wt_fail(&w.err, w.result, "snapshot: %s", wt_code_text(w.result));
    wt_buf_done(&w.bytes);
    if (w.result < 0)
        *err = w.err;
    return w.result;
}

static void run_save(void *arg)
{
    struct sync *s = arg;
    struct proxy *p = s->proxy;
    struct wt_err err;
    bool failed = false;
    int64_t next_ms = 0;
    while (!p->stopping) {
        while (!s->unsaved)
            io_cond_wait(&s->save, IO_NEVER);
        io_sleep_until(next_ms);
        s->unsaved = false;
        /* What could not be served must not be found at the next start. */
        if (p->publishing || model_snapshot_version(p->snapshot) != p->config->version) {
            s->unsaved = p->publishing;
            next_ms = io_now_ms() + WRITE_DELAY_MS;
            continue;
        }
        int r = save(p, &err);
        if (r < 0 && !failed)
            wt_log(WT_LOG_WARN, "a restart would find an old snapshot: %s", err.msg);
        failed = r < 0;
        s->unsaved = s->unsaved || failed;
        next_ms = io_now_ms() + (failed ? BACK_OFF_MAX_MS : WRITE_DELAY_MS);
    }
}

int proxy_sync_start(struct proxy *p, struct wt_err *err)
{
    struct sync *s = wt_calloc(1, sizeof *s);
    if (!s)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    s->proxy = p;
    io_cond_init(&s->save);
    const char *path = p->options->control_socket;
    int r = path[0] == '/' ? io_addr_parse(wt_str_z(path), 0, &s->control, err)
                           : wt_fail(err, WT_EINVAL, "%s: needs an absolute path", path);
    if (r < 0) {
        wt_free(s);
        return r;
    }
    if (io_spawn(IO_STACK_DEEP, run_save, s, NULL) < 0 ||
        io_spawn(IO_STACK_DEEP, run_sync, s, NULL) < 0)
        return wt_fail(err, WT_ENOMEM, "out of memory"); /* the process ends with it */
    return 0;
}

void proxy_sync_settle(struct proxy *p, int64_t deadline_ms)
{
    while (!p->synced && io_now_ms() < deadline_ms)
        io_cond_wait(&p->news, deadline_ms);
    if (!p->synced)
        wt_log(WT_LOG_WARN, "control takes its time: serving what was before meanwhile");
}
