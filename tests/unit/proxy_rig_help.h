/* What the tests of the data plane share: one worker on a loop of the test's own, its snapshot made
 * of short texts (single quotes stand for double ones), and a small HTTP/1 reader that shares no
 * code with what is tested. */
#ifndef TESTS_PROXY_RIG_HELP_H
#define TESTS_PROXY_RIG_HELP_H

#include "base/map.h"
#include "base/mem.h"
#include "io/loop.h"
#include "model/check.h"
#include "proxy/accept.h"
#include "proxy/config.h"
#include "proxy/outbound.h"
#include "proxy/worker.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define RIG_CHECK(x) ((x) ? (void)0 : rig_fail(#x, __LINE__))

__attribute__((noreturn)) static inline void rig_fail(const char *what, int line)
{
    fprintf(stderr, "line %d: %s\n", line, what);
    abort();
}

struct rig {
    struct proxy_shared shared;
    struct proxy_worker worker;
    struct model_snapshot *snapshot;
    struct proxy_config *config; /* the newest; NULL before the first */
    struct wt_map lives;
    uint64_t version;
    bool running;
};

/* ---- documents ---- */

/* Sets the document, as control would publish it. */
static inline void rig_set(struct rig *r, const char *format, ...)
{
    static char text[32 << 10]; /* larger than a stack bears */
    char key[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_error_t error;
    json_t *doc = json_loads(text, 0, &error);
    if (!doc)
        fprintf(stderr, "%s in %s\n", error.text, text);
    RIG_CHECK(doc && model_fill(doc) == 0);
    json_t *meta = json_object_get(doc, "metadata");
    snprintf(key, sizeof key, "%s/default/%s", json_string_value(json_object_get(doc, "kind")),
             json_string_value(json_object_get(meta, "name")));
    RIG_CHECK(model_snapshot_set(r->snapshot, wt_str_z(key), ++r->version, doc) == 0);
    json_decref(doc);
}

static inline void rig_set_gateway(struct rig *r)
{
    rig_set(r,
            "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'Gateway',"
            "'metadata':{'name':'web','namespace':'default'},'spec':{'gatewayClassName':'watari',"
            "'addresses':[{'type':'IPAddress','value':'10.0.0.1'}],"
            "'listeners':[{'name':'http','port':80,'protocol':'HTTP'}]}}");
}

static inline void rig_set_route(struct rig *r, const char *backend)
{
    rig_set(
        r,
        "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute',"
        "'metadata':{'name':'shop','namespace':'default'},'spec':{'parentRefs':[{'name':'web'}],"
        "'rules':[{'matches':[{'path':{'type':'PathPrefix','value':'/'}}],"
        "'backendRefs':[{'group':'watari.dev','kind':'Backend','name':'%s'}]}]}}",
        backend);
}

/* Hosts 10.0.NET.1 … n, port 80. */
static inline void rig_set_backend(struct rig *r, const char *name, int net, int n)
{
    char list[512] = "";
    for (int i = 1; i <= n; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list),
                 "%s{'address':'10.0.%d.%d','port':80}", i > 1 ? "," : "", net, i);
    rig_set(r,
            "{'apiVersion':'watari.dev/v1alpha1','kind':'Backend',"
            "'metadata':{'name':'%s','namespace':'default'},'spec':{'endpoints':[%s]}}",
            name, list);
}

static inline void rig_set_policy(struct rig *r, const char *backend, const char *rest)
{
    rig_set(r,
            "{'apiVersion':'watari.dev/v1alpha1','kind':'BackendTrafficPolicy',"
            "'metadata':{'name':'of-%s','namespace':'default'},'spec':{'targetRefs':"
            "[{'group':'watari.dev','kind':'Backend','name':'%s'}],%s}}",
            backend, backend, rest);
}

/* ---- the worker ---- */

static inline int rig_listen(void *ctx, const union io_addr *addr, struct wt_err *err)
{
    struct rig *r = ctx;
    return io_listen(r->shared.sys, addr, 64, err);
}

static inline struct proxy_live *rig_live(void *ctx, const struct proxy_migration *m)
{
    struct rig *r = ctx;
    struct proxy_live *l = wt_map_get(&r->lives, m->uid);
    if (l)
        return l;
    l = proxy_live_new(m->uid, &m->params, 1, io_now_ms());
    if (l && wt_map_put(&r->lives, m->uid, l, NULL) < 0) {
        proxy_live_unref(l);
        return NULL;
    }
    return l;
}

static inline bool rig_init(struct rig *r, struct io_sys *sys)
{
    static const uint8_t site_key[32] = "the key of this site";
    *r = (struct rig){0};
    r->shared = (struct proxy_shared){
        .sys = sys,
        .n_workers = 1,
        .keys = model_identity_keys_from(site_key),
        .idle_timeout_ms = 60000,
        .header_timeout_ms = 5000,
        .body_timeout_ms = 5000,
        .max_conns = 1000,
    };
    r->shared.stats = proxy_stats_new(1);
    r->snapshot = model_snapshot_new(WT_STR("store"));
    return r->shared.stats && r->snapshot;
}

/* Builds the config of the documents; the worker starts with the first one. */
static inline int rig_publish(struct rig *r)
{
    struct wt_err err = {0};
    struct proxy_config *c;
    struct proxy_build build = {
        .sys = r->shared.sys,
        .n_workers = 1,
        .stats = r->shared.stats,
        .now_ms = io_now_ms(),
        .listen = rig_listen,
        .live = rig_live,
        .ctx = r,
    };
    int e = proxy_config_build(r->snapshot, r->config, &build, &c, &err);
    if (e < 0)
        return e;
    if (r->running) {
        proxy_worker_publish(&r->worker, c);
    } else {
        e = proxy_worker_init(&r->worker, 0, &r->shared, proxy_config_ref(c), io_loop_here(), &err);
        if (e < 0) {
            proxy_config_unref(c);
            return e;
        }
        r->running = true;
        proxy_worker_begin(&r->worker);
    }
    proxy_config_unref(r->config);
    r->config = c;
    return 0;
}

/* How many of these counters are not 0, as they must be once all is over. */
static inline unsigned rig_not_zero(struct rig *r, const char *seed)
{
    unsigned n = 0;
#define RIG_ZERO(x)                                                                                \
    do {                                                                                           \
        long value = (long)(x);                                                                    \
        if (value)                                                                                 \
            printf("%s: %s is %ld at the end\n", seed, #x, value);                                 \
        n += value != 0;                                                                           \
    } while (0)
    struct proxy_config *c = r->config;
    RIG_ZERO(atomic_load(&c->refs) - 2); /* the test's and the worker's */
    RIG_ZERO(r->worker.n_conns);
    RIG_ZERO(r->worker.pin->in_flight);
    RIG_ZERO(r->worker.stats->in_flight_older);
    RIG_ZERO(!wt_list_empty(&r->worker.older));
    RIG_ZERO(!wt_list_empty(&r->worker.conns));
    RIG_ZERO(!wt_list_empty(&r->worker.accepting));
    for (uint32_t i = 0; i < c->n_listeners; i++) {
        struct proxy_listener_stats s;
        proxy_stats_sum(c->listeners[i]->stats, &s);
        RIG_ZERO(s.rq_active);
        RIG_ZERO(s.cx_active);
        RIG_ZERO(atomic_load(&c->listeners[i]->refs) - 1);
    }
    for (uint32_t i = 0; i < c->n_backends; i++) {
        struct proxy_backend *b = c->backends[i];
        struct proxy_backend_stats s;
        proxy_stats_sum(b->stats, &s);
        RIG_ZERO(s.rq_active);
        RIG_ZERO(s.cx_active);
        RIG_ZERO(proxy_backend_lane(b, 0)->active);
        RIG_ZERO(proxy_backend_lane(b, 0)->active_retries);
        RIG_ZERO(atomic_load(&b->refs) - 1);
        for (uint32_t k = 0; k < b->n_hosts; k++) {
            RIG_ZERO(b->hosts[k]->lanes[0].active);
            RIG_ZERO(b->hosts[k]->lanes[0].n_idle);
            RIG_ZERO(atomic_load(&b->hosts[k]->refs) - 1);
        }
    }
    for (uint32_t i = 0; i < c->n_migrations; i++)
        RIG_ZERO(atomic_load(&c->migrations[i]->refs) - 1);
#undef RIG_ZERO
    return n;
}

/* Ends what can be ended from here: accepting, kept connections. In a fiber; clients are gone. */
static inline void rig_quiesce(struct rig *r)
{
    if (!r->running)
        return;
    r->worker.draining = true;
    proxy_accept_follow(&r->worker);
    int64_t end_ms = io_now_ms() + 400000;
    while ((r->worker.n_conns || !wt_list_empty(&r->worker.accepting) ||
            !wt_list_empty(&r->worker.older)) &&
           io_now_ms() < end_ms)
        io_sleep_until(io_now_ms() + 50);
    for (uint32_t i = 0; i < r->config->n_backends; i++)
        for (uint32_t k = 0; k < r->config->backends[i]->n_hosts; k++)
            proxy_h1_out_sweep(&r->worker, r->config->backends[i]->hosts[k]);
}

/* After the last fiber; the loop still lives. */
static inline void rig_done(struct rig *r)
{
    if (r->running)
        proxy_worker_done(&r->worker);
    proxy_config_unref(r->config);
    for (struct wt_map_entry *e = wt_map_first(&r->lives); e; e = wt_map_next(&r->lives, e))
        proxy_live_unref(e->value);
    wt_map_done(&r->lives);
    model_snapshot_free(r->snapshot);
    if (r->shared.stats)
        proxy_stats_free(r->shared.stats);
}

/* ---- HTTP/1 by hand ---- */

struct mini {
    struct io_stream s;
    size_t have;
    int64_t patience_ms; /* for each wait */
    char buf[4096], head[4096], trailer[128];
};

static inline int64_t mini_deadline(const struct mini *m)
{
    return io_now_ms() + m->patience_ms;
}

static inline int mini_more(struct mini *m)
{
    if (m->have == sizeof m->buf)
        return WT_ELIMIT;
    ssize_t n = io_read(&m->s, m->buf + m->have, sizeof m->buf - m->have, mini_deadline(m));
    if (n > 0)
        m->have += (size_t)n;
    return n > 0 ? 0 : (int)n;
}

static inline void mini_drop(struct mini *m, size_t n)
{
    memmove(m->buf, m->buf + n, m->have - n);
    m->have -= n;
}

/* Up to and without `end`, terminated. WT_EOF only before the first byte. */
static inline int mini_until(struct mini *m, const char *end, char *out, size_t cap)
{
    size_t len = strlen(end);
    for (;;) {
        char *at = memmem(m->buf, m->have, end, len);
        if (at) {
            size_t n = (size_t)(at - m->buf);
            if (n >= cap)
                return WT_ELIMIT;
            memcpy(out, m->buf, n);
            out[n] = 0;
            mini_drop(m, n + len);
            return 0;
        }
        int r = mini_more(m);
        if (r < 0)
            return r == WT_EOF && m->have ? WT_EPROTO : r;
    }
}

static inline int mini_head(struct mini *m)
{
    return mini_until(m, "\r\n\r\n", m->head, sizeof m->head);
}

static inline bool mini_field(const char *head, const char *name, char *out, size_t cap)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) || line[len] != ':')
            continue;
        const char *v = line + len + 1;
        v += strspn(v, " ");
        snprintf(out, cap, "%.*s", (int)strcspn(v, "\r"), v);
        return true;
    }
    out[0] = 0;
    return false;
}

static inline int mini_take(struct mini *m, size_t n, struct wt_buf *out)
{
    while (n > 0) {
        size_t now = n < m->have ? n : m->have;
        if (wt_buf_add(out, m->buf, now) < 0)
            return WT_ENOMEM;
        mini_drop(m, now);
        n -= now;
        int r = n ? mini_more(m) : 0;
        if (r < 0)
            return r == WT_EOF ? WT_EPROTO : r;
    }
    return 0;
}

static inline int mini_chunked(struct mini *m, struct wt_buf *out)
{
    char line[128];
    int r;
    do {
        r = mini_until(m, "\r\n", line, sizeof line);
        size_t n = strtoul(line, NULL, 16);
        if (r == 0 && n == 0)
            break;
        if (r == 0)
            r = mini_take(m, n, out);
        if (r == 0)
            r = mini_until(m, "\r\n", line, sizeof line);
        if (r == 0 && line[0])
            r = WT_EPROTO;
    } while (r == 0);
    while (r == 0) {
        r = mini_until(m, "\r\n", line, sizeof line);
        if (r < 0 || !line[0])
            break;
        snprintf(m->trailer, sizeof m->trailer, "%s", line);
    }
    return r == WT_EOF ? WT_EPROTO : r;
}

/* The body that belongs to m->head. 0: whole. */
static inline int mini_body(struct mini *m, bool response, bool no_body, struct wt_buf *out)
{
    char value[64];
    m->trailer[0] = 0;
    if (no_body)
        return 0;
    if (mini_field(m->head, "transfer-encoding", value, sizeof value))
        return mini_chunked(m, out);
    if (mini_field(m->head, "content-length", value, sizeof value))
        return mini_take(m, strtoul(value, NULL, 10), out);
    while (response) {
        int r = mini_take(m, m->have, out);
        if (r == 0)
            r = mini_more(m);
        if (r < 0)
            return r == WT_EOF ? 0 : r;
    }
    return 0;
}

static inline int mini_write(struct mini *m, const void *ptr, size_t n)
{
    return io_write_str(&m->s, wt_str(ptr, n), mini_deadline(m));
}

static inline int mini_status(const struct mini *m)
{
    return strncmp(m->head, "HTTP/1.1 ", 9) ? 0 : atoi(m->head + 9);
}

#endif
