#include "base/clock.h"
#include "proxy/admin.h"

static json_t *text(struct wt_str s)
{
    return json_stringn(s.ptr ? s.ptr : "", s.len);
}

static json_t *host_json(const struct proxy_host *h)
{
    return json_pack("{s:o, s:b, s:I}", "address", text(h->text), "healthy",
                     (int)atomic_load(&h->healthy), "weight", (json_int_t)h->weight);
}

static json_t *backend_json(const struct proxy_backend *b)
{
    json_t *hosts = json_array();
    for (uint32_t i = 0; i < b->n_hosts; i++)
        json_array_append_new(hosts, host_json(b->hosts[i]));
    return json_pack("{s:o, s:b, s:I, s:o}", "name", text(b->name), "checked",
                     (int)b->policy.check.enabled, "healthy", (json_int_t)proxy_backend_healthy(b),
                     "hosts", hosts);
}

static json_t *verdict_json(const struct proxy_migration *m)
{
    struct proxy_verdict v;
    char at[32];
    if (!proxy_live_verdict(m->live, &v))
        return json_null();
    return json_pack("{s:I, s:I, s:s, s:s, s:s}", "epoch", (json_int_t)v.epoch, "step",
                     (json_int_t)v.step, "cause", health_cause_text(v.cause), "message", v.message,
                     "at", wt_time_format(v.at_wall_ms, true, at));
}

static json_t *migration_json(const struct proxy_migration *m)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:f, s:I, s:b, s:b, s:b, s:b, s:o}", "name",
                     text(m->id), "uid", text(m->uid), "from", text(m->from), "to", text(m->to),
                     "epoch", (json_int_t)m->epoch, "step", (json_int_t)m->step, "weight",
                     m->weight, "tableVersion", (json_int_t)m->table_version, "engaged",
                     (int)m->engaged, "oldRetired", (int)m->old_retired, "rolledBack",
                     (int)proxy_migration_rolled_back(m), "takenBack",
                     (int)proxy_migration_taken_back(m), "verdict", verdict_json(m));
}

static json_t *listener_json(const struct proxy_listener *l)
{
    return json_pack("{s:s}", "address", l->text);
}

static json_t *workers_json(struct proxy *p)
{
    json_t *out = json_array();
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        json_array_append_new(
            out, json_pack("{s:I, s:I, s:I}", "version",
                           (json_int_t)proxy_worker_version(&p->workers[i]), "inFlightOlder",
                           (json_int_t)proxy_worker_in_flight_older(&p->workers[i]), "connections",
                           (json_int_t)proxy_worker_conns(&p->workers[i])));
    return out;
}

json_t *proxy_admin_config(struct proxy *p)
{
    const struct proxy_config *c = p->config;
    json_t *listeners = json_array(), *backends = json_array(), *migrations = json_array();
    for (uint32_t i = 0; i < c->n_listeners; i++)
        json_array_append_new(listeners, listener_json(c->listeners[i]));
    for (uint32_t i = 0; i < c->n_backends; i++)
        json_array_append_new(backends, backend_json(c->backends[i]));
    for (uint32_t i = 0; i < c->n_migrations; i++)
        json_array_append_new(migrations, migration_json(c->migrations[i]));
    return json_pack("{s:s, s:s, s:o, s:I, s:I, s:o, s:b, s:I, s:o, s:o, s:o, s:o}", "proxy",
                     p->options->name, "boot", p->boot, "store",
                     text(model_snapshot_store(p->snapshot)), "version", (json_int_t)c->version,
                     "rejected", (json_int_t)p->snapshots_rejected, "notTaken",
                     proxy_left_outs_json(&c->left_outs), "draining", (int)p->draining, "routes",
                     (json_int_t)wt_map_len(&c->pieces), "listeners", listeners, "backends",
                     backends, "migrations", migrations, "workers", workers_json(p));
}
