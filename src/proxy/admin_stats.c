#include "proxy/admin.h"

#include <stdarg.h>
#include <stdio.h>

enum shape { COUNT, CLASSES, SIDES };

struct line {
    enum shape shape;
    uint16_t offset;
    const char *name;
};

#define BACKEND(shape, field, name)                                                                \
    {                                                                                              \
        shape, offsetof(struct proxy_backend_stats, field), name                                   \
    }
#define LISTENER(shape, field, name)                                                               \
    {                                                                                              \
        shape, offsetof(struct proxy_listener_stats, field), name                                  \
    }
#define MIGRATION(shape, field, name)                                                              \
    {                                                                                              \
        shape, offsetof(struct proxy_migration_stats, field), name                                 \
    }

static const struct line backend_lines[] = {
    BACKEND(COUNT, rq_total, "upstream_rq_total"),
    BACKEND(COUNT, rq_active, "upstream_rq_active"),
    BACKEND(CLASSES, rq_class, "upstream_rq"),
    BACKEND(COUNT, rq_retry, "upstream_rq_retry"),
    BACKEND(COUNT, rq_retry_success, "upstream_rq_retry_success"),
    BACKEND(COUNT, rq_retry_overflow, "upstream_rq_retry_overflow"),
    BACKEND(COUNT, rq_timeout, "upstream_rq_timeout"),
    BACKEND(COUNT, rq_per_try_timeout, "upstream_rq_per_try_timeout"),
    BACKEND(COUNT, rq_rx_reset, "upstream_rq_rx_reset"),
    BACKEND(COUNT, rq_tx_reset, "upstream_rq_tx_reset"),
    BACKEND(COUNT, rq_pending_overflow, "upstream_rq_pending_overflow"),
    BACKEND(COUNT, cx_total, "upstream_cx_total"),
    BACKEND(COUNT, cx_active, "upstream_cx_active"),
    BACKEND(COUNT, cx_connect_fail, "upstream_cx_connect_fail"),
    BACKEND(COUNT, cx_connect_timeout, "upstream_cx_connect_timeout"),
    BACKEND(COUNT, cx_overflow, "upstream_cx_overflow"),
    BACKEND(COUNT, cx_rx_bytes, "upstream_cx_rx_bytes_total"),
    BACKEND(COUNT, cx_tx_bytes, "upstream_cx_tx_bytes_total"),
    BACKEND(COUNT, health_check_attempt, "health_check.attempt"),
    BACKEND(COUNT, health_check_success, "health_check.success"),
    BACKEND(COUNT, health_check_failure, "health_check.failure"),
};

static const struct line listener_lines[] = {
    LISTENER(COUNT, rq_total, "downstream_rq_total"),
    LISTENER(COUNT, rq_active, "downstream_rq_active"),
    LISTENER(CLASSES, rq_class, "downstream_rq"),
    LISTENER(COUNT, rq_rx_reset, "downstream_rq_rx_reset"),
    LISTENER(COUNT, rq_timeout, "downstream_rq_timeout"),
    LISTENER(COUNT, rq_too_large, "downstream_rq_too_large"),
    LISTENER(COUNT, rq_no_route, "no_route"),
    LISTENER(COUNT, cx_total, "downstream_cx_total"),
    LISTENER(COUNT, cx_active, "downstream_cx_active"),
    LISTENER(COUNT, cx_protocol_error, "downstream_cx_protocol_error"),
    LISTENER(COUNT, cx_idle_timeout, "downstream_cx_idle_timeout"),
    LISTENER(COUNT, cx_refused, "downstream_cx_overload_reject"),
    LISTENER(COUNT, cx_rx_bytes, "downstream_cx_rx_bytes_total"),
    LISTENER(COUNT, cx_tx_bytes, "downstream_cx_tx_bytes_total"),
    LISTENER(COUNT, rq_lost, "requests_lost"),
};

static const struct line migration_lines[] = {
    MIGRATION(SIDES, requests, "requests"),
    MIGRATION(SIDES, lost, "lost"),
    MIGRATION(SIDES, bad, "bad"),
    MIGRATION(SIDES, rescued, "rescued"),
};

struct section {
    enum proxy_stats_kind kind;
    const char *prefix;
    const struct line *lines;
    size_t n_lines;
};

#define SECTION(kind, prefix, lines)                                                               \
    {                                                                                              \
        kind, prefix, lines, sizeof(lines) / sizeof(lines)[0]                                      \
    }
static const struct section sections[] = {
    SECTION(PROXY_STATS_BACKEND, "cluster", backend_lines),
    SECTION(PROXY_STATS_LISTENER, "listener", listener_lines),
    SECTION(PROXY_STATS_MIGRATION, "migration", migration_lines),
};

struct visit {
    json_t *out;
    const struct section *section;
};

static void add(json_t *out, uint64_t value, const char *fmt, ...) WT_PRINTF(3, 4);

static void add(json_t *out, uint64_t value, const char *fmt, ...)
{
    char name[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    json_object_set_new(out, name, json_integer((json_int_t)value));
}

static void visit_entry(void *ctx, const struct proxy_stats_entry *e)
{
    static const char *const sides[PROXY_SIDES] = {"old", "new"};
    const struct visit *v = ctx;
    union {
        struct proxy_backend_stats backend;
        struct proxy_listener_stats listener;
        struct proxy_migration_stats migration;
    } sum;
    struct wt_str name = proxy_stats_entry_name(e);
    proxy_stats_sum(e, &sum);
    for (size_t i = 0; i < v->section->n_lines; i++) {
        const struct line *l = &v->section->lines[i];
        const uint64_t *at = (const uint64_t *)(const void *)((const char *)&sum + l->offset);
        const char *prefix = v->section->prefix;
        if (l->shape == COUNT)
            add(v->out, *at, "%s.%.*s.%s", prefix, WT_ARG(name), l->name);
        for (unsigned k = 0; l->shape == CLASSES && k < PROXY_STATUS_CLASSES; k++)
            add(v->out, at[k], "%s.%.*s.%s_%uxx", prefix, WT_ARG(name), l->name, k + 1);
        for (unsigned k = 0; l->shape == SIDES && k < PROXY_SIDES; k++)
            add(v->out, at[k], "%s.%.*s.%s.%s", prefix, WT_ARG(name), sides[k], l->name);
    }
    if (v->section->kind == PROXY_STATS_BACKEND) {
        add(v->out, (uint64_t)proxy_gauge_get(e, PROXY_BACKEND_MEMBERS),
            "cluster.%.*s.membership_total", WT_ARG(name));
        add(v->out, (uint64_t)proxy_gauge_get(e, PROXY_BACKEND_HEALTHY),
            "cluster.%.*s.membership_healthy", WT_ARG(name));
    }
}

json_t *proxy_admin_stats(struct proxy *p)
{
    json_t *out = json_object();
    if (!out)
        return NULL;
    proxy_admin_set_gauges(p);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        struct visit v = {out, &sections[i]};
        proxy_stats_each(p->shared.stats, sections[i].kind, visit_entry, &v);
    }
    uint64_t older = 0, conns = 0;
    for (unsigned i = 0; i < p->shared.n_workers; i++) {
        older += proxy_worker_in_flight_older(&p->workers[i]);
        conns += proxy_worker_conns(&p->workers[i]);
    }
    add(out, (uint64_t)(p->sys->wall_ms(p->sys) - p->start_wall_ms) / 1000, "server.uptime");
    add(out, p->shared.n_workers, "server.concurrency");
    add(out, !p->draining, "server.live");
    add(out, conns, "server.total_connections");
    add(out, p->config->version, "snapshot.version");
    add(out, older, "snapshot.in_flight_older");
    add(out, p->snapshots_rejected, "snapshot.rejected");
    return out;
}

/* ---- gauges ---- */

static void set_users(struct proxy *p, const struct proxy_migration *m)
{
    char key[MODEL_KEY_MAX];
    snprintf(key, sizeof key, "Migration/%.*s", WT_ARG(m->id));
    const struct model_item *item = model_snapshot_get(p->snapshot, wt_str_z(key));
    const json_t *users =
        item ? json_object_get(json_object_get(item->doc, "status"), "users") : NULL;
    proxy_gauge_set(m->stats, PROXY_MIGRATION_USERS_MOVED,
                    json_number_value(json_object_get(users, "moved")));
    proxy_gauge_set(m->stats, PROXY_MIGRATION_USERS_MOVED_BACK,
                    json_number_value(json_object_get(users, "movedBack")));
}

static void set_migration(struct proxy *p, const struct proxy_migration *m)
{
    struct health_evidence e;
    health_guard_read(m->live->guard, io_now_ms(), &e);
    double old = (double)e.requests[HEALTH_OLD].total, new = (double)e.requests[HEALTH_NEW].total;
    proxy_gauge_set(m->stats, PROXY_MIGRATION_WEIGHT, m->weight);
    proxy_gauge_set(m->stats, PROXY_MIGRATION_SHARE_OBSERVED,
                    old + new > 0 ? 100 * new / (old + new) : 0);
    proxy_gauge_set(m->stats, PROXY_MIGRATION_STEP, (double)m->step);
    proxy_gauge_set(m->stats, PROXY_MIGRATION_EPOCH, (double)m->epoch);
    proxy_gauge_set(m->stats, PROXY_MIGRATION_EVIDENCE, health_evidence_level(&m->params, &e));
    set_users(p, m);
}

void proxy_admin_set_gauges(struct proxy *p)
{
    for (uint32_t i = 0; i < p->config->n_backends; i++) {
        const struct proxy_backend *b = p->config->backends[i];
        proxy_gauge_set(b->stats, PROXY_BACKEND_MEMBERS, b->n_hosts);
        proxy_gauge_set(b->stats, PROXY_BACKEND_HEALTHY, proxy_backend_healthy(b));
    }
    for (uint32_t i = 0; i < p->config->n_migrations; i++)
        set_migration(p, p->config->migrations[i]);
}
