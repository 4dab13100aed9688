#include "control/status_observe.h"

#include "base/mem.h"
#include "io/stream.h"
#include "model/attach.h"
#include "model/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GATEWAYS_BYTES = 64 << 20, ROUTE_BYTES = 16 << 20, NAME_MAX_ = 400 };

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static unsigned count(const json_t *o, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(o, name));
    return n > 0 && n <= UINT32_MAX ? (unsigned)n : 0;
}

static struct wt_str full_name(const char *namespace, const char *name, char out[NAME_MAX_])
{
    snprintf(out, NAME_MAX_, "%s/%s", namespace, name);
    return wt_str_z(out);
}

/* ---- Backends ---- */

static void see_hosts(void *ctx, const char *proxy, const json_t *report)
{
    struct control_hosts *h = ctx;
    (void)proxy;
    size_t i;
    json_t *b;
    json_array_foreach(json_object_get(report, "backends"), i, b)
    {
        char name[NAME_MAX_];
        struct wt_str key = full_name(text(b, "namespace"), text(b, "name"), name);
        struct control_side_seen *side = wt_map_get(&h->sides, key);
        if (!side) {
            side = wt_calloc(1, sizeof(*side));
            if (!side || wt_map_put(&h->sides, key, side, NULL) < 0) {
                wt_free(side);
                return;
            }
        }
        unsigned healthy = count(b, "healthy"), total = count(b, "total");
        side->known = true;
        side->healthy = healthy > side->healthy ? healthy : side->healthy;
        side->total = total > side->total ? total : side->total;
    }
}

void control_hosts_see(const struct control_reports *reports, int64_t now_ms,
                       struct control_hosts *out)
{
    *out = (struct control_hosts){0};
    control_reports_each(reports, now_ms, see_hosts, out);
}

void control_hosts_done(struct control_hosts *h)
{
    for (struct wt_map_entry *e = wt_map_first(&h->sides); e; e = wt_map_next(&h->sides, e))
        wt_free(e->value);
    wt_map_done(&h->sides);
    *h = (struct control_hosts){0};
}

struct control_side_seen control_hosts_of(const struct control_hosts *h, const json_t *backend)
{
    char name[NAME_MAX_];
    struct wt_str key = full_name(model_namespace(backend), model_name(backend), name);
    const struct control_side_seen *side = wt_map_get(&h->sides, key);
    return side ? *side : (struct control_side_seen){0};
}

/* ---- Gateways and what attaches to them ---- */

static int add_gateway(struct control_gateways *g, const json_t *doc, struct wt_err *err)
{
    char name[NAME_MAX_];
    struct control_gateway_count *c = wt_arena_zalloc(&g->arena, sizeof(*c));
    if (!c)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    int r = model_gateway_view(doc, &g->arena, &c->view, err);
    if (r < 0)
        return r;
    c->ours = wt_str_eq(c->view->spec->gateway_class_name, WT_STR("watari"));
    c->generation = c->view->metadata->generation;
    if (wt_map_put(&g->counts, full_name(model_namespace(doc), model_name(doc), name), c, NULL) < 0)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    return 0;
}

/* ---- listeners that want the same ---- */

static size_t n_addresses(const struct model_gateway_spec *spec)
{
    return spec->n_addresses ? spec->n_addresses : 1;
}

/* As proxies know it; false: none that could be listened on. */
static bool address_text(const struct model_gateway_spec *spec, size_t i, int64_t port,
                         char out[IO_ADDR_TEXT])
{
    union io_addr addr;
    struct wt_str text = spec->n_addresses ? spec->addresses[i].value : WT_STR("0.0.0.0");
    if (io_addr_parse(text, (uint16_t)port, &addr, NULL) < 0)
        return false;
    io_addr_format(&addr, out);
    return true;
}

/* The first to come has the address, port and hostname; nobody loses to itself. */
static int claim(struct wt_map *claims, struct control_gateway_count *c, size_t i, char *label,
                 struct wt_err *err)
{
    const struct model_gateway_listener *l = &c->view->spec->listeners[i];
    struct wt_str host = model_attach_host(l->hostname);
    for (size_t k = 0; k < n_addresses(c->view->spec); k++) {
        char address[IO_ADDR_TEXT], key[IO_ADDR_TEXT + NAME_MAX_];
        if (!address_text(c->view->spec, k, l->port, address))
            continue;
        int n = snprintf(key, sizeof(key), "%s %.*s", address, WT_ARG(host));
        for (char *p = key; *p; p++)
            *p = (char)wt_lower((unsigned char)*p);
        const char *first = wt_map_get(claims, wt_str(key, (size_t)n));
        if (first && first != label)
            c->lost_to[i] = first;
        else if (!first && wt_map_put(claims, wt_str(key, (size_t)n), label, NULL) < 0)
            return wt_fail(err, WT_ENOMEM, "out of memory");
    }
    return 0;
}

static int claim_all(struct control_gateways *g, struct wt_map *claims,
                     struct control_gateway_count *c, struct wt_err *err)
{
    enum { LABEL_MAX = 700 };
    int r = 0;
    for (size_t i = 0; r == 0 && i < c->view->spec->n_listeners && i < CONTROL_LISTENERS_MAX; i++) {
        char text[LABEL_MAX];
        const struct model_metadata *m = c->view->metadata;
        int n =
            snprintf(text, sizeof(text), "Gateway %.*s/%.*s, listener %.*s,", WT_ARG(m->namespace),
                     WT_ARG(m->name), WT_ARG(c->view->spec->listeners[i].name));
        struct wt_str label = wt_arena_str(&g->arena, wt_str(text, (size_t)n));
        r = label.ptr ? claim(claims, c, i, (char *)(uintptr_t)label.ptr, err)
                      : wt_fail(err, WT_ENOMEM, "out of memory");
    }
    return r;
}

static int by_order(const void *a, const void *b)
{
    const struct control_gateway_count *const *x = a, *const *y = b;
    return model_attach_order((*x)->view->metadata, (*y)->view->metadata);
}

static int see_conflicts(struct control_gateways *g, struct wt_err *err)
{
    struct wt_map claims = {0};
    size_t n = 0;
    int r = 0;
    wt_autofree struct control_gateway_count **all =
        wt_calloc(wt_map_len(&g->counts) + 1, sizeof(*all));
    if (!all)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    for (struct wt_map_entry *e = wt_map_first(&g->counts); e; e = wt_map_next(&g->counts, e)) {
        all[n] = e->value;
        n += all[n]->ours;
    }
    qsort(all, n, sizeof(*all), by_order);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = claim_all(g, &claims, all[i], err);
    wt_map_done(&claims);
    return r;
}

int control_gateways_see(const struct control_store *store, struct control_gateways *out,
                         struct wt_err *err)
{
    *out = (struct control_gateways){.arena = wt_arena_make(GATEWAYS_BYTES)};
    out->docs = control_store_list(store, model_kind_gateway, NULL);
    int r = out->docs ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < json_array_size(out->docs); i++)
        r = add_gateway(out, json_array_get(out->docs, i), err);
    if (r == 0)
        r = see_conflicts(out, err);
    if (r < 0)
        control_gateways_done(out);
    return r;
}

/* Its own document is as it was: only the whole snapshot tells whether a proxy knows. */
void control_gateways_follow(struct control_gateways *now, const struct control_gateways *before,
                             uint64_t version)
{
    for (struct wt_map_entry *e = wt_map_first(&now->counts); e; e = wt_map_next(&now->counts, e)) {
        struct control_gateway_count *c = e->value;
        const struct control_gateway_count *was = wt_map_get(&before->counts, e->key);
        c->since = was ? was->since : 0;
        for (size_t i = 0; was && i < CONTROL_LISTENERS_MAX; i++)
            if (was->lost_to[i] && !c->lost_to[i])
                c->since = version;
    }
}

void control_gateways_done(struct control_gateways *g)
{
    for (struct wt_map_entry *e = wt_map_first(&g->routes); e; e = wt_map_next(&g->routes, e))
        wt_free(e->value);
    wt_map_done(&g->routes);
    wt_map_done(&g->counts);
    wt_arena_done(&g->arena);
    json_decref(g->docs);
    *g = (struct control_gateways){0};
}

static struct control_gateway_count *find(const struct control_gateways *g, const char *namespace,
                                          const char *name)
{
    char full[NAME_MAX_];
    return wt_map_get(&g->counts, full_name(namespace, name, full));
}

const struct control_gateway_count *control_gateways_find(const struct control_gateways *g,
                                                          const char *namespace, const char *name)
{
    return find(g, namespace, name);
}

static enum control_ref_case ref_case(const struct control_store *store, const char *namespace,
                                      const struct model_http_backend_ref *ref)
{
    if (!wt_str_eq(ref->kind, WT_STR("Backend")) || !wt_str_eq(ref->group, WT_STR("watari.dev")))
        return CONTROL_REF_KIND;
    if (ref->namespace.len && !wt_str_eq(ref->namespace, wt_str_z(namespace)))
        return CONTROL_REF_NOT_PERMITTED;
    return control_store_get(store, model_kind_backend, namespace, ref->name.ptr)
               ? CONTROL_REF_RESOLVED
               : CONTROL_REF_NOT_FOUND;
}

static void see_refs(const struct control_store *store, const char *namespace,
                     const struct model_http_route_spec *spec, struct control_route_seen *out)
{
    for (size_t i = 0; i < spec->n_rules; i++)
        for (size_t k = 0; k < spec->rules[i].n_backend_refs; k++) {
            const struct model_http_backend_ref *ref = &spec->rules[i].backend_refs[k];
            out->ref = ref_case(store, namespace, ref);
            if (out->ref == CONTROL_REF_RESOLVED)
                continue;
            snprintf(out->ref_name, sizeof(out->ref_name), "%.*s", WT_ARG(ref->name));
            return;
        }
}

/* ---- where a route is counted ---- */

struct attachment {
    struct control_gateway_count *gateway;
    uint64_t listeners; /* bits */
};

struct counted_route {
    size_t n;
    struct attachment at[];
};

static void count_at(const struct attachment *a, uint32_t by)
{
    for (unsigned i = 0; i < CONTROL_LISTENERS_MAX; i++)
        a->gateway->attached[i] += (a->listeners >> i) & 1 ? by : 0;
}

void control_gateways_uncount(struct control_gateways *gateways, const char *namespaced_name)
{
    struct counted_route *was = wt_map_take(&gateways->routes, wt_str_z(namespaced_name));
    for (size_t i = 0; was && i < was->n; i++)
        count_at(&was->at[i], (uint32_t)-1);
    wt_free(was);
}

static int count_route(struct control_gateways *gateways, struct wt_str name,
                       const struct attachment *at, size_t n, struct wt_err *err)
{
    struct counted_route *now = wt_malloc(sizeof(*now) + n * sizeof(*at));
    if (!now || wt_map_put(&gateways->routes, name, now, NULL) < 0) {
        wt_free(now);
        return wt_fail(err, WT_ENOMEM, "out of memory");
    }
    now->n = n;
    for (size_t i = 0; i < n; i++) {
        now->at[i] = at[i];
        count_at(&at[i], 1);
    }
    return 0;
}

/* A route that names a listener twice is attached to it once. */
static struct attachment attach(struct control_gateway_count *gateway, uint64_t listeners,
                                const struct attachment *before, size_t n)
{
    for (size_t i = 0; i < n; i++)
        listeners &= before[i].gateway == gateway ? ~before[i].listeners : UINT64_MAX;
    return (struct attachment){gateway, listeners};
}

int control_route_see(const struct control_store *store, struct control_gateways *gateways,
                      const json_t *doc, struct control_route_seen *out, struct wt_err *err)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(ROUTE_BYTES);
    const char *namespace = model_namespace(doc);
    struct attachment at[CONTROL_PARENTS_MAX];
    size_t n = 0;
    char full[NAME_MAX_];
    const struct model_http_route *route;
    memset(out, 0, sizeof(*out));
    struct wt_str name = full_name(namespace, model_name(doc), full);
    control_gateways_uncount(gateways, full);
    int r = model_http_route_view(doc, &arena, &route, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < route->spec->n_parent_refs && i < CONTROL_PARENTS_MAX; i++) {
        const struct model_parent_ref *ref = &route->spec->parent_refs[i];
        const char *in = ref->namespace.len ? ref->namespace.ptr : namespace;
        struct control_gateway_count *g = find(gateways, in, ref->name.ptr);
        if (!g || !g->ours) {
            out->parents[i].what = g ? CONTROL_PARENT_OTHERS : CONTROL_PARENT_NO_GATEWAY;
            continue;
        }
        out->parents[i] =
            control_parent_see(route->spec, wt_str_z(namespace), ref, g->view, g->lost_to);
        at[n] = attach(g, out->parents[i].listeners, at, n);
        n++;
    }
    see_refs(store, namespace, route->spec, out);
    return count_route(gateways, name, at, n, err);
}

/* ---- what proxies make of a Gateway ---- */

struct gateway_look {
    const struct model_gateway *gateway;
    const char *store;
    uint64_t version;
    struct control_gateway_seen *out;
};

static bool listens(const json_t *listeners, const char *wanted)
{
    size_t i;
    json_t *have;
    json_array_foreach(listeners, i, have)
    {
        if (json_is_string(have) && strcmp(json_string_value(have), wanted) == 0)
            return true;
    }
    return false;
}

/* A report that names no listeners at all is of an older proxy: what it has taken it listens on. */
static bool is_open(const json_t *report, const struct model_gateway_spec *spec,
                    const struct model_gateway_listener *l)
{
    const json_t *listeners = json_object_get(report, "listeners");
    char address[IO_ADDR_TEXT];
    bool open = true;
    for (size_t i = 0; listeners && open && i < n_addresses(spec); i++)
        open = address_text(spec, i, l->port, address) && listens(listeners, address);
    return open;
}

/* Where a proxy serves it that cannot open what it wants now (proxy/opened.h). */
static void see_kept(const json_t *report, const struct model_gateway *gateway,
                     const struct model_gateway_listener *l, struct control_listener_seen *out)
{
    char wanted[640];
    size_t i;
    json_t *one;
    snprintf(wanted, sizeof(wanted), "Gateway %.*s/%.*s, listener %.*s",
             WT_ARG(gateway->metadata->namespace), WT_ARG(gateway->metadata->name),
             WT_ARG(l->name));
    json_array_foreach(json_object_get(report, "kept"), i, one)
    {
        if (!*out->kept && strcmp(text(one, "listener"), wanted) == 0)
            snprintf(out->kept, sizeof(out->kept), "%s", text(one, "address"));
    }
}

static void see_proxy(void *ctx, const char *proxy, const json_t *report)
{
    const struct gateway_look *look = ctx;
    struct control_gateway_seen *out = look->out;
    const struct model_gateway_spec *spec = look->gateway->spec;
    const json_t *ack = json_object_get(json_object_get(report, "ack"), "version");
    const json_t *rejected = json_object_get(report, "rejected");
    out->proxies++;
    bool ours = strcmp(text(report, "store"), look->store) == 0;
    if (rejected && !*out->refused)
        snprintf(out->refused, sizeof(out->refused), "proxy %.60s refuses the snapshot: %.200s",
                 proxy, text(rejected, "message"));
    if (!ours || (uint64_t)json_integer_value(ack) < look->version)
        return;
    out->have++;
    for (size_t i = 0; i < spec->n_listeners && i < CONTROL_LISTENERS_MAX; i++) {
        out->listeners[i].open += is_open(report, spec, &spec->listeners[i]);
        see_kept(report, look->gateway, &spec->listeners[i], &out->listeners[i]);
    }
}

void control_gateway_see(const struct control_reports *reports, const struct model_gateway *gateway,
                         const char *store, uint64_t version, int64_t now_ms,
                         struct control_gateway_seen *out)
{
    struct gateway_look look = {gateway, store, version, out};
    memset(out, 0, sizeof(*out));
    control_reports_each(reports, now_ms, see_proxy, &look);
}
