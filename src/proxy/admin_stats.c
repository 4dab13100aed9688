#include "proxy/admin.h"
#include "proxy/counters.h"

#include <stdarg.h>
#include <stdio.h>

/* How an entry of the kind is named in the list. */
static const char *const kind_prefixes[PROXY_STATS_KINDS] = {
    [PROXY_STATS_BACKEND] = "cluster",
    [PROXY_STATS_LISTENER] = "listener",
    [PROXY_STATS_MIGRATION] = "migration",
};

struct visit {
    json_t *out;
    enum proxy_stats_kind kind;
};

static void add(json_t *out, json_t *value, const char *fmt, ...) WT_PRINTF(3, 4);

static void add(json_t *out, json_t *value, const char *fmt, ...)
{
    char name[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    json_object_set_new(out, name, value);
}

static json_t *whole(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static void add_counter(json_t *out, const char *entry, const struct proxy_counter *c,
                        const union proxy_sums *sums, double gauge)
{
    static const char *const sides[PROXY_SIDES] = {"old", "new"};
    const uint64_t *words = proxy_counter_words(c, sums);
    switch (c->shape) {
    case PROXY_SHAPE_COUNTER:
    case PROXY_SHAPE_ACTIVE:
        add(out, whole(words[0]), "%s.%s", entry, c->name);
        break;
    case PROXY_SHAPE_CLASSES:
        for (unsigned k = 0; k < PROXY_STATUS_CLASSES; k++)
            add(out, whole(words[k]), "%s.%s_%uxx", entry, c->name, k + 1);
        break;
    case PROXY_SHAPE_SIDES:
        for (unsigned k = 0; k < PROXY_SIDES; k++)
            add(out, whole(words[k]), "%s.%s.%s", entry, sides[k], c->name);
        break;
    case PROXY_SHAPE_GAUGE:
        add(out, json_real(gauge), "%s.%s", entry, c->name);
        break;
    case PROXY_SHAPE_TIME:
    case PROXY_SHAPE_TIME_SIDES:
        break; /* a list of plain numbers has no histograms */
    }
}

static void visit_entry(void *ctx, const struct proxy_stats_entry *e)
{
    const struct visit *v = ctx;
    struct wt_str name = proxy_stats_entry_name(e);
    char entry[500];
    snprintf(entry, sizeof entry, "%s.%.*s", kind_prefixes[v->kind], WT_ARG(name));
    union proxy_sums sums;
    proxy_stats_sum(e, &sums);
    for (size_t i = 0; i < proxy_counters_len; i++) {
        const struct proxy_counter *c = &proxy_counters[i];
        if (c->kind == v->kind)
            add_counter(v->out, entry, c, &sums,
                        c->shape == PROXY_SHAPE_GAUGE ? proxy_gauge_get(e, (unsigned)c->offset)
                                                      : 0);
    }
}

static void add_watermark(void *out, const char *name, bool counter, const char *help,
                          uint64_t value)
{
    (void)counter;
    (void)help;
    add(out, whole(value), "%s", name);
}

json_t *proxy_admin_stats(struct proxy *p)
{
    json_t *out = json_object();
    if (!out)
        return NULL;
    proxy_admin_set_gauges(p);
    for (enum proxy_stats_kind kind = 0; kind < PROXY_STATS_KINDS; kind++)
        if (kind_prefixes[kind])
            proxy_stats_each(p->shared.stats, kind, visit_entry, &(struct visit){out, kind});
    uint64_t older = 0, conns = 0;
    for (unsigned i = 0; i < p->shared.n_workers; i++) {
        older += proxy_worker_in_flight_older(&p->workers[i]);
        conns += proxy_worker_conns(&p->workers[i]);
    }
    add(out, whole((uint64_t)(p->sys->wall_ms(p->sys) - p->start_wall_ms) / 1000), "server.uptime");
    proxy_watermark_each(p, add_watermark, out);
    add(out, whole(p->shared.n_workers), "server.concurrency");
    add(out, whole(!p->draining), "server.live");
    add(out, whole(conns), "server.total_connections");
    add(out, whole(p->config->version), "snapshot.version");
    add(out, whole(older), "snapshot.in_flight_older");
    add(out, whole(p->snapshots_rejected), "snapshot.rejected");
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
    struct health_params params = proxy_migration_params(m);
    health_guard_read(m->live->guard, io_now_ms(), &e);
    double old = (double)e.requests[HEALTH_OLD].total, new = (double)e.requests[HEALTH_NEW].total;
    proxy_gauge_set(m->stats, PROXY_MIGRATION_WEIGHT, m->weight);
    proxy_gauge_set(m->stats, PROXY_MIGRATION_SHARE_OBSERVED,
                    old + new > 0 ? 100 * new / (old + new) : 0);
    proxy_gauge_set(m->stats, PROXY_MIGRATION_STEP, (double)m->step);
    proxy_gauge_set(m->stats, PROXY_MIGRATION_EPOCH, (double)m->epoch);
    proxy_gauge_set(m->stats, PROXY_MIGRATION_EVIDENCE, health_evidence_level(&params, &e));
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
