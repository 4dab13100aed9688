#include "proxy/config.h"

#include "base/log.h"
#include "base/mem.h"
#include "model/attach.h"
#include "model/view.h"
#include "proxy/opened.h"

#include <stdlib.h>

/* ---- listeners ---- */

struct proxy_listener *proxy_listener_ref(struct proxy_listener *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void proxy_listener_unref(struct proxy_listener *l)
{
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (l->fd >= 0)
        l->sys->close(l->sys, l->fd);
    proxy_stats_entry_unref(l->stats);
    wt_free(l);
}

/* ---- life of a config ---- */

struct proxy_config *proxy_config_ref(struct proxy_config *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

static void free_document(struct proxy_document *d)
{
    json_decref(d->doc);
    wt_free(d);
}

void proxy_config_unref(struct proxy_config *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    proxy_routes_free(c->routes);
    for (uint32_t i = 0; i < c->n_listeners; i++)
        proxy_listener_unref(c->listeners[i]);
    for (uint32_t i = 0; i < c->n_backends; i++)
        proxy_backend_unref(c->backends[i]);
    for (uint32_t i = 0; i < c->n_migrations; i++)
        proxy_migration_unref(c->migrations[i]);
    for (struct wt_map_entry *e = wt_map_first(&c->pieces); e; e = wt_map_next(&c->pieces, e))
        proxy_route_piece_unref(e->value);
    wt_map_done(&c->pieces);
    for (struct wt_map_entry *e = wt_map_first(&c->documents); e; e = wt_map_next(&c->documents, e))
        free_document(e->value);
    wt_map_done(&c->documents);
    proxy_aliases_done(&c->aliases);
    proxy_left_outs_done(&c->left_outs);
    wt_map_done(&c->by_name);
    wt_free(c->listeners);
    proxy_opened_done(c);
    wt_free(c->backends);
    wt_free(c->migrations);
    wt_free(c->targets);
    wt_free(c);
}

/* ---- building ---- */

struct policy {
    const struct proxy_document *in_force;
    const struct model_backend_traffic_policy *view;
};

struct builder {
    const struct model_snapshot *snapshot;
    struct proxy_config *before;
    const struct proxy_build *build;
    struct proxy_config *config;
    struct wt_arena arena; /* of views; dies with the build */
    uint32_t cap_targets;
    struct policy *policies;
    uint32_t n_policies;
    struct proxy_route_listener *route_listeners;
    uint32_t n_route_listeners;
};

static const struct model_item *next_of(struct builder *b, const char *kind,
                                        const struct model_item *after)
{
    return model_snapshot_next(b->snapshot, model_kind_find(wt_str_z(kind)), after);
}

static uint32_t count_of(struct builder *b, const char *kind)
{
    uint32_t n = 0;
    for (const struct model_item *i = next_of(b, kind, NULL); i; i = next_of(b, kind, i))
        n++;
    return n;
}

/* "KIND/namespace/name" without the kind. */
static struct wt_str full_name(const struct model_item *i)
{
    return wt_str_sub(i->key, wt_str_find(i->key, '/') + 1, i->key.len);
}

static int no_memory(struct wt_err *err)
{
    return wt_fail(err, WT_ENOMEM, "out of memory");
}

/* ---- what cannot be taken ---- */

/* Why an object is not taken costs that object alone: a whole snapshot is a user's abort too. */
static int leave_out(struct builder *b, const struct model_item *item, bool kept,
                     const char *without, const struct wt_err *why, struct wt_err *err)
{
    int r = proxy_left_outs_add(&b->config->left_outs, b->before ? &b->before->left_outs : NULL,
                                item, why->msg, kept ? "what it said before stays" : without);
    return r < 0 ? no_memory(err) : 0;
}

/* A view of what model_check is against may lack what its readers rely on. */
static bool is_wrong(const struct model_item *item, struct wt_err *why)
{
    if (item->wrong)
        wt_fail(why, WT_EINVAL, "%s", item->wrong);
    return item->wrong;
}

/* What its views point into lives as long as the config. */
static int put_document(struct builder *b, struct wt_str key, json_t *doc, uint64_t version,
                        struct proxy_document **out, struct wt_err *err)
{
    struct proxy_document *d = wt_calloc(1, sizeof *d);
    if (!d || wt_map_put(&b->config->documents, key, d, NULL) < 0) {
        wt_free(d);
        return no_memory(err);
    }
    *d = (struct proxy_document){json_incref(doc), version};
    *out = d;
    return 0;
}

/* The view of an item, or of what it said before; *out NULL: neither. */
static int take_document(struct builder *b, const struct model_item *item,
                         int (*view)(struct builder *b, const json_t *doc, const void **out,
                                     struct wt_err *err),
                         const void **out_view, struct proxy_document **out, struct wt_err *err)
{
    struct wt_err why;
    struct proxy_document *old = b->before ? wt_map_get(&b->before->documents, item->key) : NULL;
    json_t *doc = item->doc;
    uint64_t version = item->version;
    *out = NULL;
    if (is_wrong(item, &why) || view(b, doc, out_view, &why) < 0) {
        int r = leave_out(b, item, old, "it is not in force", &why, err);
        if (r < 0 || !old || view(b, old->doc, out_view, &why) < 0)
            return r;
        doc = old->doc;
        version = old->version;
    }
    return put_document(b, item->key, doc, version, out, err);
}

/* ---- backends ---- */

static int view_policy(struct builder *b, const json_t *doc, const void **out, struct wt_err *err)
{
    const struct model_backend_traffic_policy *v;
    int r = model_backend_traffic_policy_view(doc, &b->arena, &v, err);
    if (r == 0)
        *out = v;
    return r;
}

static int policies_by_order(const void *a, const void *b)
{
    const struct policy *x = a, *y = b;
    return model_attach_order(x->view->metadata, y->view->metadata);
}

static int add_policies(struct builder *b, struct wt_err *err)
{
    uint32_t n = count_of(b, "BackendTrafficPolicy");
    b->policies = wt_arena_zalloc(&b->arena, (n + 1) * sizeof *b->policies);
    if (!b->policies)
        return no_memory(err);
    for (const struct model_item *i = next_of(b, "BackendTrafficPolicy", NULL); i;
         i = next_of(b, "BackendTrafficPolicy", i)) {
        const void *view;
        struct proxy_document *d;
        int r = take_document(b, i, view_policy, &view, &d, err);
        if (r < 0)
            return r;
        if (d)
            b->policies[b->n_policies++] = (struct policy){d, view};
    }
    qsort(b->policies, b->n_policies, sizeof *b->policies, policies_by_order);
    return 0;
}

/* The policy of a backend: the first of those that target it (Gateway API policy attachment,
 * GEP-713). */
static const struct proxy_document *policy_of(struct builder *b,
                                              const struct model_backend *backend)
{
    for (uint32_t i = 0; i < b->n_policies; i++) {
        const struct model_backend_traffic_policy *v = b->policies[i].view;
        if (!wt_str_eq(v->metadata->namespace, backend->metadata->namespace))
            continue;
        for (uint32_t k = 0; k < v->spec->n_target_refs; k++)
            if (wt_str_eq(v->spec->target_refs[k].kind, WT_STR("Backend")) &&
                wt_str_eq(v->spec->target_refs[k].name, backend->metadata->name))
                return b->policies[i].in_force;
    }
    return NULL;
}

static struct proxy_host *host_of(const struct proxy_backend *before, const union io_addr *addr,
                                  uint32_t weight, unsigned n_workers)
{
    for (uint32_t i = 0; before && i < before->n_hosts; i++) {
        struct proxy_host *h = before->hosts[i];
        if (h->weight == weight && io_addr_len(&h->addr) == io_addr_len(addr) &&
            memcmp(&h->addr, addr, io_addr_len(addr)) == 0)
            return proxy_host_ref(h);
    }
    return proxy_host_new(addr, weight, n_workers);
}

static int add_host(struct proxy_backend *p, const struct proxy_backend *before,
                    const union io_addr *addr, uint32_t weight, unsigned n_workers)
{
    struct proxy_host *h = host_of(before, addr, weight, n_workers);
    if (!h)
        return WT_ENOMEM;
    atomic_store(&h->retired, false);
    p->hosts[p->n_hosts++] = h;
    return 0;
}

static int add_hosts(struct builder *b, struct proxy_backend *p, const struct proxy_backend *before,
                     const struct model_backend *view, const struct proxy_found_hosts *found,
                     struct wt_err *err)
{
    const struct model_backend_spec *spec = view->spec;
    size_t n = spec->n_endpoints ? spec->n_endpoints : found->n;
    int r = 0;
    p->hosts = wt_arena_alloc(&p->arena, (n + 1) * sizeof(struct proxy_host *));
    if (!p->hosts)
        return no_memory(err);
    for (uint32_t i = 0; r == 0 && i < spec->n_endpoints; i++) {
        const struct model_backend_endpoint *e = &spec->endpoints[i];
        union io_addr addr;
        r = io_addr_parse(e->address, (uint16_t)e->port, &addr, err);
        if (r == 0)
            r = add_host(p, before, &addr, (uint32_t)e->weight, b->build->n_workers);
    }
    for (unsigned i = 0; r == 0 && !spec->n_endpoints && i < found->n; i++)
        r = add_host(p, before, &found->addrs[i], 1, b->build->n_workers);
    if (r == 0 && proxy_backend_weigh(p) < 0)
        r = no_memory(err);
    return r;
}

static struct proxy_backend *known(struct builder *b, struct wt_str name)
{
    return b->before ? wt_map_get(&b->before->by_name, name) : NULL;
}

static int make_backend(struct builder *b, const struct model_item *item,
                        struct proxy_backend **out, struct wt_err *err)
{
    struct wt_str name = full_name(item);
    struct proxy_backend *before = known(b, name);
    const struct model_backend *view;
    const struct model_backend_traffic_policy *policy = NULL;
    const struct proxy_document *of_policy;
    struct proxy_found_hosts found = {0};
    int r = model_backend_view(item->doc, &b->arena, &view, err);
    if (r < 0)
        return r;
    of_policy = policy_of(b, view);
    if (!view->spec->n_endpoints && b->build->found)
        b->build->found(b->build->found_ctx, name, view, &found);
    uint64_t versions[3] = {item->version, of_policy ? of_policy->version : 0, found.version};
    if (before && memcmp(before->versions, versions, sizeof versions) == 0) {
        *out = proxy_backend_ref(before);
        return 0;
    }
    struct proxy_backend *p = proxy_backend_new(name, b->build->n_workers, before);
    if (!p)
        return no_memory(err);
    memcpy(p->versions, versions, sizeof versions);
    p->docs[0] = json_incref(item->doc);
    p->docs[1] = of_policy ? json_incref(of_policy->doc) : NULL;
    p->stats = proxy_stats_take(b->build->stats, PROXY_STATS_BACKEND, name);
    /* Views of its own: the policy's strings must live as long as it does. */
    r = p->stats ? add_hosts(b, p, before, view, &found, err) : no_memory(err);
    if (r == 0 && of_policy)
        r = model_backend_traffic_policy_view(of_policy->doc, &p->arena, &policy, err);
    p->policy = proxy_policy_from(policy);
    if (r < 0)
        proxy_backend_unref(p);
    else
        *out = p;
    return r;
}

/* *out NULL: it is left out. */
static int take_backend(struct builder *b, const struct model_item *item,
                        struct proxy_backend **out, struct wt_err *err)
{
    struct wt_err why;
    struct proxy_backend *before = known(b, full_name(item));
    if (!is_wrong(item, &why) && make_backend(b, item, out, &why) == 0)
        return 0;
    *out = before ? proxy_backend_ref(before) : NULL;
    return leave_out(b, item, before, "requests to it get 500", &why, err);
}

static int add_backends(struct builder *b, struct wt_err *err)
{
    struct proxy_config *c = b->config;
    c->backends = wt_calloc(count_of(b, "Backend") + 1, sizeof(struct proxy_backend *));
    if (!c->backends)
        return no_memory(err);
    for (const struct model_item *i = next_of(b, "Backend", NULL); i;
         i = next_of(b, "Backend", i)) {
        struct proxy_backend *p;
        int r = take_backend(b, i, &p, err);
        if (p)
            c->backends[c->n_backends++] = p;
        if (r < 0)
            return r;
        if (!p)
            continue;
        if (wt_map_put(&c->by_name, p->name, p, NULL) < 0)
            return no_memory(err);
    }
    return 0;
}

/* Hosts that were served before and are in nothing now. */
static void retire_hosts(struct builder *b)
{
    for (uint32_t i = 0; b->before && i < b->before->n_backends; i++) {
        struct proxy_backend *old = b->before->backends[i];
        struct proxy_backend *now = wt_map_get(&b->config->by_name, old->name);
        for (uint32_t k = 0; old != now && k < old->n_hosts; k++) {
            bool kept = false;
            for (uint32_t j = 0; now && j < now->n_hosts && !kept; j++)
                kept = now->hosts[j] == old->hosts[k];
            atomic_store(&old->hosts[k]->retired, !kept);
        }
    }
}

/* ---- migrations ---- */

static struct proxy_migration *known_migration(struct builder *b, const struct model_item *item)
{
    const char *uid =
        json_string_value(json_object_get(json_object_get(item->doc, "metadata"), "uid"));
    for (uint32_t i = 0; b->before && i < b->before->n_migrations; i++) {
        struct proxy_migration *m = b->before->migrations[i];
        if (wt_str_eq(m->id, full_name(item)) &&
            (!uid || !*uid || wt_str_eq(m->uid, wt_str_z(uid))))
            return m;
    }
    return NULL;
}

static int make_migration(struct builder *b, const struct model_item *item,
                          struct proxy_migration **out, struct wt_err *err)
{
    struct proxy_migration *m;
    const struct model_migration *view;
    int r = model_migration_view(item->doc, &b->arena, &view, err);
    if (r == 0)
        r = proxy_migration_new(view, item->version, &m, err);
    if (r < 0)
        return r;
    struct proxy_live *live = b->build->live(b->build->ctx, m);
    m->stats = proxy_stats_take(b->build->stats, PROXY_STATS_MIGRATION, m->id);
    if (!live || !m->stats) {
        proxy_migration_unref(m);
        return no_memory(err);
    }
    proxy_migration_attach(m, live, b->build->now_ms);
    *out = m;
    return 0;
}

/* *out NULL: it is left out. */
static int take_migration(struct builder *b, const struct model_item *item,
                          struct proxy_migration **out, struct wt_err *err)
{
    struct wt_err why;
    struct proxy_migration *before = known_migration(b, item);
    bool same = before && before->version == item->version;
    if (!same && !is_wrong(item, &why) && make_migration(b, item, out, &why) == 0)
        return 0;
    *out = before ? proxy_migration_ref(before) : NULL;
    return same ? 0 : leave_out(b, item, before, "it is not in force", &why, err);
}

static int add_migrations(struct builder *b, struct wt_err *err)
{
    struct proxy_config *c = b->config;
    c->migrations = wt_calloc(count_of(b, "Migration") + 1, sizeof(struct proxy_migration *));
    if (!c->migrations)
        return no_memory(err);
    for (const struct model_item *i = next_of(b, "Migration", NULL); i;
         i = next_of(b, "Migration", i)) {
        int r = take_migration(b, i, &c->migrations[c->n_migrations], err);
        c->n_migrations += c->migrations[c->n_migrations] != NULL;
        if (r < 0)
            return r;
    }
    qsort(c->migrations, c->n_migrations, sizeof(struct proxy_migration *),
          proxy_migration_compare);
    return 0;
}

/* ---- listeners ---- */

static struct proxy_listener *known_listener(const struct proxy_config *c,
                                             const union io_addr *addr)
{
    for (uint32_t i = 0; c && i < c->n_listeners; i++)
        if (memcmp(&c->listeners[i]->addr, addr, io_addr_len(addr)) == 0)
            return c->listeners[i];
    return NULL;
}

static struct proxy_listener *open_listener(struct builder *b, const union io_addr *addr,
                                            struct wt_err *err)
{
    struct proxy_listener *l = wt_calloc(1, sizeof *l);
    if (!l) {
        no_memory(err);
        return NULL;
    }
    atomic_init(&l->refs, 1);
    l->sys = b->build->sys;
    l->addr = *addr;
    l->port = io_addr_port(addr);
    io_addr_format(addr, l->text);
    l->stats = proxy_stats_take(b->build->stats, PROXY_STATS_LISTENER, wt_str_z(l->text));
    l->fd = l->stats ? b->build->listen(b->build->ctx, addr, err) : no_memory(err);
    if (l->fd < 0) {
        proxy_listener_unref(l);
        return NULL;
    }
    return l;
}

/* The number of the socket for this address; UINT32_MAX when it cannot be had, which leaves all
 * else as it is. */
static uint32_t socket_for(struct builder *b, const union io_addr *addr, struct wt_err *err)
{
    struct proxy_config *c = b->config;
    for (uint32_t i = 0; i < c->n_listeners; i++)
        if (memcmp(&c->listeners[i]->addr, addr, io_addr_len(addr)) == 0)
            return i;
    struct proxy_listener *l = known_listener(b->before, addr);
    l = l ? proxy_listener_ref(l) : open_listener(b, addr, err);
    if (!l)
        return UINT32_MAX;
    int64_t socket = proxy_opened_add(b->config, l);
    if (socket < 0)
        no_memory(err);
    return socket < 0 ? UINT32_MAX : (uint32_t)socket;
}

/* A Gateway without addresses listens on all of IPv4. */
static int add_listener(struct builder *b, const struct model_gateway *gw,
                        const struct model_gateway_listener *view, struct wt_err *err)
{
    uint32_t n = gw->spec->n_addresses ? gw->spec->n_addresses : 1;
    uint32_t *sockets = wt_arena_alloc(&b->arena, n * sizeof *sockets);
    struct proxy_route_listener *l = &b->route_listeners[b->n_route_listeners];
    if (!sockets)
        return no_memory(err);
    proxy_route_listener_init(l, gw, view);
    const struct proxy_opened_name what = proxy_opened_name(l);
    for (uint32_t i = 0; i < n; i++) {
        union io_addr addr = {0};
        struct wt_str text =
            gw->spec->n_addresses ? gw->spec->addresses[i].value : WT_STR("0.0.0.0");
        int r = io_addr_parse(text, (uint16_t)view->port, &addr, err);
        if (r < 0)
            return r;
        struct wt_err why;
        uint32_t s = socket_for(b, &addr, &why);
        if (s != UINT32_MAX)
            sockets[l->n_sockets++] = s;
        r = s != UINT32_MAX ? proxy_opened_note(b->config, what.text, s, false)
                            : proxy_opened_miss(b->config, b->before, what.text, &addr, why.msg);
        if (r < 0)
            return no_memory(err);
    }
    l->sockets = sockets;
    b->n_route_listeners++;
    return 0;
}

/* They come last: what a listener of the new config wants is not theirs. */
static int keep_listeners(struct builder *b, struct wt_err *err)
{
    uint32_t room = b->before ? b->before->n_served : 0, n = b->n_route_listeners;
    for (uint32_t i = 0; room && i < n; i++) {
        uint32_t *sockets = wt_arena_alloc(&b->arena, room * sizeof *sockets);
        const struct proxy_opened_name what = proxy_opened_name(&b->route_listeners[i]);
        int kept = sockets ? proxy_opened_keep(b->config, b->before, what.text, sockets) : -1;
        if (kept < 0)
            return no_memory(err);
        for (int k = 0; k < kept; k++) {
            struct proxy_route_listener *l = &b->route_listeners[b->n_route_listeners++];
            *l = b->route_listeners[i];
            l->sockets = &sockets[k];
            l->n_sockets = 1;
            l->kept_port = b->config->listeners[sockets[k]]->port;
        }
    }
    return 0;
}

static int view_gateway(struct builder *b, const json_t *doc, const void **out, struct wt_err *err)
{
    const struct model_gateway *gw;
    union io_addr addr;
    int r = model_gateway_view(doc, &b->arena, &gw, err);
    for (uint32_t i = 0; r == 0 && i < gw->spec->n_addresses; i++)
        r = io_addr_parse(gw->spec->addresses[i].value, 1, &addr, err);
    if (r == 0)
        *out = gw;
    return r;
}

static int gateways_by_order(const void *a, const void *b)
{
    const struct model_gateway *const *x = a, *const *y = b;
    return model_attach_order((*x)->metadata, (*y)->metadata);
}

/* Those of our class, in the order in which they get what more than one of them wants: the set's
 * own order tells only in which they arrived here. `out` has room for all of the set. */
static int gateways_in_order(struct builder *b, const struct model_gateway *out[], uint32_t *out_n,
                             struct wt_err *err)
{
    uint32_t n = 0;
    for (const struct model_item *i = next_of(b, "Gateway", NULL); i;
         i = next_of(b, "Gateway", i)) {
        const void *view;
        struct proxy_document *d;
        int r = take_document(b, i, view_gateway, &view, &d, err);
        const struct model_gateway *gw = d ? view : NULL;
        if (r < 0)
            return r;
        if (!gw || !wt_str_eq(gw->spec->gateway_class_name, WT_STR("watari")))
            continue; /* another controller's, or left out */
        out[n++] = gw;
    }
    qsort(out, n, sizeof(struct model_gateway *), gateways_by_order);
    *out_n = n;
    return 0;
}

static int add_listeners(struct builder *b, struct wt_err *err)
{
    enum { LISTENERS_A_GATEWAY = 64 };
    size_t room = (size_t)count_of(b, "Gateway") + 1, kept = b->before ? b->before->n_served : 0;
    const struct model_gateway **gateways =
        wt_arena_alloc(&b->arena, room * sizeof(struct model_gateway *));
    uint32_t n;
    b->route_listeners = wt_arena_zalloc(&b->arena, (room * LISTENERS_A_GATEWAY + kept) *
                                                        sizeof *b->route_listeners);
    if (!gateways || !b->route_listeners)
        return no_memory(err);
    int r = gateways_in_order(b, gateways, &n, err);
    for (uint32_t i = 0; r == 0 && i < n; i++) {
        const struct model_gateway *gw = gateways[i];
        for (uint32_t k = 0; r == 0 && k < gw->spec->n_listeners && k < LISTENERS_A_GATEWAY; k++)
            r = add_listener(b, gw, &gw->spec->listeners[k], err);
        if (r < 0)
            wt_wrap(err, r, "Gateway/%.*s/%.*s", WT_ARG(gw->metadata->namespace),
                    WT_ARG(gw->metadata->name));
    }
    return r < 0 ? r : keep_listeners(b, err);
}

/* ---- routes ---- */

static int make_piece(struct builder *b, const struct model_item *item,
                      const struct proxy_route_piece *old, struct proxy_route_piece **out,
                      struct wt_err *err)
{
    struct wt_arena arena = wt_arena_make(16 << 20);
    const struct model_http_route *view = NULL;
    struct wt_err why, again;
    int r = model_http_route_view(item->doc, &arena, &view, &why);
    if (r < 0)
        view = NULL;
    else if (is_wrong(item, &why))
        r = WT_EINVAL;
    else
        r = proxy_route_piece_new(view, item->version, out, &why);
    if (r < 0) {
        if (old || !view || proxy_route_piece_new_partly(view, !item->wrong, out, &again) < 0)
            *out = NULL;
        r = leave_out(b, item, old,
                      !*out         ? "it is not served"
                      : item->wrong ? "it answers 500"
                                    : "rules with it answer 500",
                      &why, err);
    }
    wt_arena_done(&arena);
    return r;
}

/* *out NULL: it is left out. */
static int take_piece(struct builder *b, const struct model_item *item,
                      struct proxy_route_piece **out, struct wt_err *err)
{
    struct proxy_route_piece *old = b->before ? wt_map_get(&b->before->pieces, item->key) : NULL;
    uint64_t version = old ? proxy_route_piece_version(old) : PROXY_ROUTE_PARTLY;
    int r = 0;
    *out = NULL;
    if (version == PROXY_ROUTE_PARTLY) /* made anew as long as nothing better is there */
        old = NULL;
    if (!old || version != item->version)
        r = make_piece(b, item, old, out, err);
    if (!*out && old)
        *out = proxy_route_piece_ref(old);
    return r;
}

/* What a ref means is the same for all of a config's refs with the same route and backend, so they
 * share a target. */
static uint32_t resolve(void *ctx, const struct proxy_rule *rule, const struct proxy_ref *ref)
{
    struct builder *b = ctx;
    struct proxy_config *c = b->config;
    struct proxy_target t = {0};
    if (!wt_str_eq(ref->kind, WT_STR("Backend")))
        return PROXY_TARGET_NONE;
    t.backend = wt_map_get(&c->by_name, ref->key);
    for (uint32_t i = 0; i < c->n_migrations && !t.migration; i++)
        if (proxy_migration_covers(c->migrations[i], rule->route, ref->key))
            t.migration = c->migrations[i];
    if (t.migration) {
        t.sides[PROXY_SIDE_OLD] = wt_map_get(&c->by_name, t.migration->from);
        t.sides[PROXY_SIDE_NEW] = wt_map_get(&c->by_name, t.migration->to);
    }
    if (!t.backend && !t.migration)
        return PROXY_TARGET_NONE;
    if (c->n_targets && memcmp(&c->targets[c->n_targets - 1], &t, sizeof t) == 0)
        return c->n_targets - 1;
    if (c->n_targets == b->cap_targets) {
        uint32_t cap = b->cap_targets ? b->cap_targets * 2 : 64;
        struct proxy_target *all = wt_realloc(c->targets, cap * sizeof *all);
        if (!all)
            return PROXY_TARGET_NONE;
        c->targets = all;
        b->cap_targets = cap;
    }
    c->targets[c->n_targets] = t;
    return c->n_targets++;
}

/* Of kinds that a later release brought. */
static int add_unknown(struct builder *b, struct wt_err *err)
{
    int r = 0;
    for (const struct model_item *i = model_snapshot_next(b->snapshot, NULL, NULL); r == 0 && i;
         i = model_snapshot_next(b->snapshot, NULL, i)) {
        struct wt_str kind = wt_str_sub(i->key, 0, wt_str_find(i->key, '/'));
        struct wt_err why;
        if (is_wrong(i, &why) && !model_kind_find(kind))
            r = leave_out(b, i, false, "it is not in force", &why, err);
    }
    return r;
}

/* A name counts in all routes: what one of them does not match may be for the next. */
static int add_aliases(struct builder *b, struct wt_err *err)
{
    struct proxy_config *c = b->config;
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < c->n_migrations; i++)
        if (c->migrations[i]->key == PROXY_KEY_HEADER)
            r = proxy_aliases_add(&c->aliases, c->migrations[i]->key_name);
    for (struct wt_map_entry *e = wt_map_first(&c->pieces); r == 0 && e;
         e = wt_map_next(&c->pieces, e))
        r = proxy_route_piece_names(e->value, &c->aliases);
    return r < 0 ? no_memory(err) : 0;
}

static int add_routes(struct builder *b, struct wt_err *err)
{
    struct proxy_config *c = b->config;
    uint32_t n = 0;
    struct proxy_route_piece **pieces =
        wt_calloc(count_of(b, "HTTPRoute") + 1, sizeof(struct proxy_route_piece *));
    if (!pieces)
        return no_memory(err);
    int r = 0;
    for (const struct model_item *i = next_of(b, "HTTPRoute", NULL); r == 0 && i;
         i = next_of(b, "HTTPRoute", i)) {
        struct proxy_route_piece *p;
        r = take_piece(b, i, &p, err);
        if (!p)
            continue;
        pieces[n++] = p;
        int put = wt_map_put(&c->pieces, i->key, p, NULL);
        if (put < 0) {
            proxy_route_piece_unref(p);
            r = no_memory(err);
        }
    }
    struct proxy_routes_input in = {
        .pieces = pieces,
        .n_pieces = n,
        .listeners = b->route_listeners,
        .n_listeners = b->n_route_listeners,
        .n_sockets = c->n_listeners,
        .resolve = resolve,
        .ctx = b,
    };
    if (r == 0)
        r = add_aliases(b, err);
    if (r == 0)
        r = proxy_routes_build(&in, &c->routes, err);
    wt_free(pieces);
    return r;
}

int proxy_config_build(const struct model_snapshot *snapshot, struct proxy_config *before,
                       const struct proxy_build *build, struct proxy_config **out,
                       struct wt_err *err)
{
    struct proxy_config *c = wt_calloc(1, sizeof *c);
    if (!c)
        return no_memory(err);
    atomic_init(&c->refs, 1);
    c->version = model_snapshot_version(snapshot);
    struct builder b = {.snapshot = snapshot, .before = before, .build = build, .config = c};
    b.arena = wt_arena_make(256 << 20);
    int r = add_policies(&b, err);
    if (r == 0)
        r = add_backends(&b, err);
    if (r == 0)
        r = add_migrations(&b, err);
    if (r == 0)
        r = add_listeners(&b, err);
    if (r == 0)
        r = add_routes(&b, err);
    if (r == 0)
        r = add_unknown(&b, err);
    wt_arena_done(&b.arena);
    if (r < 0) {
        proxy_config_unref(c);
        return wt_wrap(err, r, "snapshot %llu",
                       (unsigned long long)model_snapshot_version(snapshot));
    }
    retire_hosts(&b);
    *out = c;
    return 0;
}
