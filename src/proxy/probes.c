/* Active checks: one fiber a host of a backend whose policy has a check. A probe outlives snapshots
 * as its host does; it looks at its backend's newest policy before each check, and ends by itself
 * when it is no longer wanted. */
#include "base/log.h"
#include "base/mem.h"
#include "health/probe.h"
#include "proxy/internal.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    FIRST_MS = 500, /* the first checks are spread over this, or the interval if that is less */
    PROBES_MAX = 65536,
};

struct probe {
    struct proxy_probes *all;
    char key[320];                 /* "namespace/name ADDRESS:PORT" */
    struct proxy_backend *backend; /* references; of the newest config */
    struct proxy_host *host;
    struct health_probe state;
    bool wanted;  /* by the config that is followed now */
    bool stopped; /* its fiber frees it */
    struct io_cond wake;
};

struct proxy_probes {
    struct proxy *proxy;
    struct wt_map probes; /* key -> struct probe */
    struct wt_rng rng;
};

struct proxy_probes *proxy_probes_new(struct proxy *p)
{
    struct proxy_probes *pr = wt_calloc(1, sizeof *pr);
    if (!pr)
        return NULL;
    pr->proxy = p;
    p->sys->random(p->sys, &pr->rng.state, sizeof pr->rng.state);
    return pr;
}

static void set_gauges(const struct proxy_backend *b)
{
    proxy_gauge_set(b->stats, PROXY_BACKEND_MEMBERS, b->n_hosts);
    proxy_gauge_set(b->stats, PROXY_BACKEND_HEALTHY, proxy_backend_healthy(b));
}

/* ---- one probe ---- */

static void free_probe(struct probe *pb)
{
    proxy_backend_unref(pb->backend);
    proxy_host_unref(pb->host);
    wt_free(pb);
}

static void log_change(const struct probe *pb, const struct wt_err *err)
{
    const struct proxy_backend *b = pb->backend;
    bool healthy = pb->state.state == HEALTH_STATE_HEALTHY;
    wt_log(healthy ? WT_LOG_INFO : WT_LOG_WARN,
           "backend %.*s: host %.*s is %s%s%s (%u of %" PRIu32 " healthy)", WT_ARG(b->name),
           WT_ARG(pb->host->text), health_state_text(pb->state.state), healthy ? "" : ": ",
           healthy ? "" : err->msg, proxy_backend_healthy(b), b->n_hosts);
}

static void take_result(struct probe *pb, bool success, const struct wt_err *err)
{
    struct proxy_backend_stats *stats = proxy_stats_backend(pb->backend->stats, 0);
    proxy_count(&stats->health_check_attempt);
    proxy_count(success ? &stats->health_check_success : &stats->health_check_failure);
    bool first = pb->state.state == HEALTH_STATE_UNKNOWN;
    if (!health_probe_take(&pb->state, success))
        return;
    bool was = atomic_load(&pb->host->healthy);
    atomic_store(&pb->host->healthy, success);
    set_gauges(pb->backend);
    if (!first || was != success)
        log_change(pb, err);
    if (was != success) {
        pb->all->proxy->n_news++;
        io_cond_broadcast(&pb->all->proxy->news);
    }
}

/* The policy may change while the check runs: the reference keeps what it points into. */
static void check(struct probe *pb)
{
    struct wt_err err;
    struct proxy_backend *b = proxy_backend_ref(pb->backend);
    const struct proxy_check *c = &b->policy.check;
    struct health_check what = {
        .http = c->http,
        .method = c->method,
        .path = c->path,
        .host = c->hostname,
        .statuses = c->statuses,
        .n_statuses = c->n_statuses,
    };
    health_probe_adjust(&pb->state, c->healthy_threshold, c->unhealthy_threshold);
    int r = health_check_run(&pb->host->addr, &what, io_now_ms() + c->timeout_ms, &err);
    if (!pb->stopped)
        take_result(pb, r == 0, &err);
    proxy_backend_unref(b);
}

/* Hosts must not be asked by all probes at one moment: a tenth more or less. */
static int64_t interval_of(const struct probe *pb)
{
    double jitter = 0.9 + 0.2 * wt_rng_unit(&pb->all->rng);
    return (int64_t)((double)pb->backend->policy.check.interval_ms * jitter) + 1;
}

static void run(void *arg)
{
    struct probe *pb = arg;
    int64_t spread = pb->backend->policy.check.interval_ms;
    int64_t at_ms = io_now_ms();
    at_ms += wt_rng_below(&pb->all->rng, (uint32_t)(spread < FIRST_MS ? spread : FIRST_MS));
    while (!pb->stopped) {
        if (io_now_ms() < at_ms) {
            io_cond_wait(&pb->wake, at_ms);
            continue;
        }
        int64_t began_ms = io_now_ms();
        check(pb);
        if (!pb->stopped)
            at_ms = began_ms + interval_of(pb);
    }
    free_probe(pb);
}

/* ---- following the configs ---- */

/* The probe of a host, with the references of the newest config. */
static void adopt(struct probe *pb, struct proxy_backend *b, struct proxy_host *h)
{
    /* Another object for the same address (its weight changed): what is known of it stays true. */
    if (pb->host != h && pb->state.state != HEALTH_STATE_UNKNOWN)
        atomic_store(&h->healthy, pb->state.state == HEALTH_STATE_HEALTHY);
    proxy_backend_ref(b);
    proxy_host_ref(h);
    proxy_backend_unref(pb->backend);
    proxy_host_unref(pb->host);
    pb->backend = b;
    pb->host = h;
    pb->wanted = true;
}

static int start(struct proxy_probes *pr, const char *key, struct proxy_backend *b,
                 struct proxy_host *h)
{
    const struct proxy_check *c = &b->policy.check;
    struct probe *pb = wt_map_len(&pr->probes) < PROBES_MAX ? wt_calloc(1, sizeof *pb) : NULL;
    if (!pb)
        return WT_ENOMEM;
    pb->all = pr;
    snprintf(pb->key, sizeof pb->key, "%s", key);
    io_cond_init(&pb->wake);
    health_probe_init(&pb->state, c->healthy_threshold, c->unhealthy_threshold);
    adopt(pb, b, h);
    if (wt_map_put(&pr->probes, wt_str_z(key), pb, NULL) < 0 ||
        io_spawn(IO_STACK_FLOW, run, pb, NULL) < 0) {
        wt_map_take(&pr->probes, wt_str_z(key));
        free_probe(pb);
        return WT_ENOMEM;
    }
    return 0;
}

static void want(struct proxy_probes *pr, struct proxy_backend *b, struct proxy_host *h)
{
    char key[sizeof((struct probe *)0)->key];
    snprintf(key, sizeof key, "%.*s %.*s", WT_ARG(b->name), WT_ARG(h->text));
    struct probe *pb = wt_map_get(&pr->probes, wt_str_z(key));
    if (pb)
        adopt(pb, b, h);
    else if (start(pr, key, b, h) < 0)
        wt_log(WT_LOG_ERROR, "out of memory: %s is not checked", key);
}

static bool is_retired(const struct proxy_config *c, const struct proxy_backend *b)
{
    for (uint32_t i = 0; i < c->n_migrations; i++)
        if (c->migrations[i]->old_retired && wt_str_eq(c->migrations[i]->from, b->name))
            return true;
    return false;
}

static void stop_unwanted(struct proxy_probes *pr)
{
    for (struct wt_map_entry *e = wt_map_first(&pr->probes); e; e = wt_map_next(&pr->probes, e)) {
        struct probe *pb = e->value;
        if (pb->wanted)
            continue;
        wt_map_take(&pr->probes, e->key);
        pb->stopped = true;
        /* Nobody would ever find it well again. What has left the config stays as it was found. */
        if (!atomic_load(&pb->host->retired))
            atomic_store(&pb->host->healthy, true);
        io_cond_broadcast(&pb->wake);
    }
}

void proxy_probes_follow(struct proxy_probes *pr)
{
    const struct proxy_config *c = pr->proxy->config;
    for (struct wt_map_entry *e = wt_map_first(&pr->probes); e; e = wt_map_next(&pr->probes, e))
        ((struct probe *)e->value)->wanted = false;
    for (uint32_t i = 0; i < c->n_backends; i++) {
        struct proxy_backend *b = c->backends[i];
        bool checked = b->policy.check.enabled && !is_retired(c, b);
        for (uint32_t k = 0; checked && k < b->n_hosts; k++)
            want(pr, b, b->hosts[k]);
    }
    stop_unwanted(pr);
    for (uint32_t i = 0; i < c->n_backends; i++)
        set_gauges(c->backends[i]);
}
