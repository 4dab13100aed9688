#include "proxy/route_piece.h"

#include "base/mem.h"

#include <stdlib.h>

/* A route of 16 rules, 64 matches each, stays far below. */
#define PIECE_BYTES_MAX (16u << 20)

/* The pieces of a compilation: the first failure is kept, so that the copying reads without tests.
 */
struct maker {
    struct proxy_route_piece *p;
    bool failed;
    bool refuses; /* all rules answer 500 */
    bool partly; /* a rule that does not compile answers 500 (Gateway API, HTTPRouteRule.filters) */
};

static void *make(struct maker *m, size_t n, size_t size)
{
    if (n == 0 || m->failed)
        return NULL;
    void *ptr = wt_arena_zalloc(&m->p->arena, n * size);
    m->failed = !ptr;
    return ptr;
}

static struct wt_str copy(struct maker *m, struct wt_str s)
{
    if (!s.ptr || m->failed)
        return (struct wt_str){NULL, 0};
    struct wt_str c = wt_arena_str(&m->p->arena, s);
    m->failed = !c.ptr;
    return c;
}

static struct wt_str copy_lower(struct maker *m, struct wt_str s)
{
    struct wt_str c = copy(m, s);
    char *out = (char *)(uintptr_t)c.ptr;
    for (size_t i = 0; i < c.len; i++)
        out[i] = (char)wt_lower((unsigned char)out[i]);
    return c;
}

static struct wt_str join(struct maker *m, struct wt_str a, struct wt_str b)
{
    char *z = m->failed ? NULL : wt_arena_printf(&m->p->arena, "%.*s/%.*s", WT_ARG(a), WT_ARG(b));
    m->failed = !z;
    return wt_str_z(z);
}

static void make_parents(struct maker *m, const struct model_http_route_spec *spec)
{
    struct proxy_route_piece *p = m->p;
    p->parents = make(m, spec->n_parent_refs, sizeof *p->parents);
    for (uint32_t i = 0; i < spec->n_parent_refs && !m->failed; i++) {
        const struct model_parent_ref *ref = &spec->parent_refs[i];
        if (!wt_str_eq(ref->kind, WT_STR("Gateway")))
            continue;
        struct proxy_route_parent *out = &p->parents[p->n_parents++];
        out->namespace_ = ref->has_namespace ? copy(m, ref->namespace) : p->namespace_;
        out->name = copy(m, ref->name);
        out->section = copy(m, ref->section_name);
        out->port = ref->has_port ? (uint16_t)ref->port : 0;
    }
}

static void make_hostnames(struct maker *m, const struct model_http_route_spec *spec)
{
    struct proxy_route_piece *p = m->p;
    p->hostnames = make(m, spec->n_hostnames, sizeof *p->hostnames);
    for (uint32_t i = 0; i < spec->n_hostnames && !m->failed; i++)
        p->hostnames[p->n_hostnames++] = copy_lower(m, spec->hostnames[i]);
}

static void make_refs(struct maker *m, const struct model_http_route_rule *from,
                      struct proxy_rule *rule)
{
    struct proxy_route_piece *p = m->p;
    struct proxy_ref *refs = make(m, from->n_backend_refs, sizeof *refs);
    rule->refs = refs;
    rule->first_ref = p->n_refs;
    for (uint32_t i = 0; i < from->n_backend_refs && !m->failed; i++) {
        const struct model_http_backend_ref *ref = &from->backend_refs[i];
        struct proxy_ref *out = &refs[rule->n_refs++];
        out->group = copy(m, ref->group);
        out->kind = copy(m, ref->kind);
        out->namespace_ = ref->has_namespace ? copy(m, ref->namespace) : p->namespace_;
        out->name = copy(m, ref->name);
        out->key = join(m, out->namespace_, out->name);
        out->weight = ref->weight > 0 ? (uint32_t)ref->weight : 0;
        out->foreign = !wt_str_eq(out->namespace_, p->namespace_);
        rule->total_weight += out->weight;
    }
    p->n_refs += rule->n_refs;
}

/* Of two entries with equivalent names only the first counts (Gateway API, HTTPHeaderMatch.name).
 */
static bool seen(const struct proxy_want *wants, uint32_t n, struct wt_str name, bool any_case)
{
    for (uint32_t i = 0; i < n; i++) {
        if (any_case ? wt_str_eq_nocase(wants[i].name, name) : wt_str_eq(wants[i].name, name))
            return true;
    }
    return false;
}

static void make_wants(struct maker *m, const struct model_http_route_match *from,
                       struct proxy_route_cond *cond)
{
    struct proxy_want *headers = make(m, from->n_headers, sizeof *headers);
    struct proxy_want *queries = make(m, from->n_query_params, sizeof *queries);
    cond->headers = headers;
    cond->queries = queries;
    for (uint32_t i = 0; i < from->n_headers && !m->failed; i++) {
        const struct model_http_header_match *h = &from->headers[i];
        if (seen(headers, cond->n_headers, h->name, true))
            continue;
        headers[cond->n_headers++] = (struct proxy_want){copy_lower(m, h->name), copy(m, h->value),
                                                         (uint8_t)http_field_lookup(h->name)};
    }
    for (uint32_t i = 0; i < from->n_query_params && !m->failed; i++) {
        const struct model_http_query_match *q = &from->query_params[i];
        if (seen(queries, cond->n_queries, q->name, false))
            continue;
        queries[cond->n_queries++] = (struct proxy_want){copy(m, q->name), copy(m, q->value), 0};
    }
}

static enum http_method method_of(enum model_http_method method)
{
    static const enum http_method methods[] = {
        [MODEL_HTTP_METHOD_UNSET] = HTTP_METHOD_OTHER,
        [MODEL_HTTP_METHOD_GET] = HTTP_METHOD_GET,
        [MODEL_HTTP_METHOD_HEAD] = HTTP_METHOD_HEAD,
        [MODEL_HTTP_METHOD_POST] = HTTP_METHOD_POST,
        [MODEL_HTTP_METHOD_PUT] = HTTP_METHOD_PUT,
        [MODEL_HTTP_METHOD_DELETE] = HTTP_METHOD_DELETE,
        [MODEL_HTTP_METHOD_CONNECT] = HTTP_METHOD_CONNECT,
        [MODEL_HTTP_METHOD_OPTIONS] = HTTP_METHOD_OPTIONS,
        [MODEL_HTTP_METHOD_TRACE] = HTTP_METHOD_TRACE,
        [MODEL_HTTP_METHOD_PATCH] = HTTP_METHOD_PATCH,
    };
    return methods[method];
}

static void make_path(struct maker *m, const struct model_http_path_match *from,
                      struct proxy_route_cond *cond)
{
    struct wt_str path = from && from->value.len ? from->value : WT_STR("/");
    cond->path_chars = (uint32_t)path.len;
    cond->exact = from && from->type == MODEL_HTTP_PATH_EXACT;
    /* "/foo/" and "/foo" are the same prefix (HTTPPathMatch.type). */
    while (!cond->exact && path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    cond->path = copy(m, path);
}

static void make_conds(struct maker *m, const struct model_http_route_rule *from, uint32_t rule)
{
    struct proxy_route_piece *p = m->p;
    uint32_t n = from->n_matches ? from->n_matches : 1;
    for (uint32_t i = 0; i < n && !m->failed; i++) {
        struct proxy_route_cond *cond = &p->conds[p->n_conds++];
        cond->rule = rule;
        cond->index = i;
        /* No match at all is the prefix "/". */
        const struct model_http_route_match *match = from->n_matches ? &from->matches[i] : NULL;
        make_path(m, match ? match->path : NULL, cond);
        if (!match)
            continue;
        cond->method = method_of(match->method);
        make_wants(m, match, cond);
    }
}

/* Nothing to choose from: proxy_rule_pick() finds none. */
static void drop_refs(struct proxy_route_piece *p, struct proxy_rule *rule)
{
    p->n_refs = rule->first_ref;
    rule->n_refs = 0;
    rule->total_weight = 0;
}

static int make_rules(struct maker *m, const struct model_http_route_spec *spec, struct wt_err *err)
{
    struct proxy_route_piece *p = m->p;
    uint32_t n_conds = 0;
    for (uint32_t i = 0; i < spec->n_rules; i++)
        n_conds += spec->rules[i].n_matches ? spec->rules[i].n_matches : 1;
    p->conds = make(m, n_conds, sizeof *p->conds);
    p->rules = make(m, spec->n_rules, sizeof *p->rules);
    for (uint32_t i = 0; i < spec->n_rules && !m->failed; i++) {
        const struct model_http_route_rule *from = &spec->rules[i];
        struct proxy_rule *rule = &p->rules[p->n_rules++];
        const struct model_http_timeouts *t = from->timeouts;
        rule->route = p->key;
        rule->index = i;
        char *z = wt_arena_printf(&p->arena, "httproute/%.*s/rule/%u", WT_ARG(p->key), i);
        rule->log_name = wt_str_z(z);
        rule->request_timeout_ms = t && t->has_request ? t->request_ms : PROXY_TIMEOUT_UNSET;
        rule->backend_timeout_ms =
            t && t->has_backend_request ? t->backend_request_ms : PROXY_TIMEOUT_UNSET;
        make_refs(m, from, rule);
        make_conds(m, from, i);
        if (m->failed || !z)
            return wt_fail(err, WT_ENOMEM, "no memory");
        int r = m->refuses ? WT_EINVAL
                           : proxy_filters_compile(from->filters, from->n_filters, &p->arena,
                                                   &rule->filters, err);
        if (r < 0 && !m->partly)
            return wt_wrap(err, r, "spec.rules[%u]", i);
        if (r < 0)
            drop_refs(p, rule);
    }
    return m->failed ? wt_fail(err, WT_ENOMEM, "no memory") : 0;
}

static int make_piece(const struct model_http_route *view, uint64_t version, bool partly,
                      bool refuses, struct proxy_route_piece **out, struct wt_err *err)
{
    if (!view->metadata || !view->spec)
        return wt_fail(err, WT_EINVAL, "HTTPRoute: metadata or spec is missing");
    struct proxy_route_piece *p = wt_calloc(1, sizeof *p);
    if (!p)
        return wt_fail(err, WT_ENOMEM, "HTTPRoute: no memory");
    p->refs = 1;
    p->version = version;
    p->arena = wt_arena_make(PIECE_BYTES_MAX);
    struct maker m = {.p = p, .partly = partly, .refuses = refuses};
    p->created_ms = view->metadata->creation_timestamp_ms;
    p->namespace_ = copy(&m, view->metadata->namespace);
    p->key = join(&m, p->namespace_, view->metadata->name);
    make_parents(&m, view->spec);
    make_hostnames(&m, view->spec);
    int r = make_rules(&m, view->spec, err);
    if (r < 0) {
        proxy_route_piece_unref(p);
        return wt_wrap(err, r, "HTTPRoute %.*s/%.*s", WT_ARG(view->metadata->namespace),
                       WT_ARG(view->metadata->name));
    }
    *out = p;
    return 0;
}

int proxy_route_piece_new(const struct model_http_route *view, uint64_t version,
                          struct proxy_route_piece **out, struct wt_err *err)
{
    return make_piece(view, version, false, false, out, err);
}

int proxy_route_piece_new_partly(const struct model_http_route *view, bool serves,
                                 struct proxy_route_piece **out, struct wt_err *err)
{
    return make_piece(view, PROXY_ROUTE_PARTLY, true, !serves, out, err);
}

struct proxy_route_piece *proxy_route_piece_ref(struct proxy_route_piece *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void proxy_route_piece_unref(struct proxy_route_piece *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    wt_arena_done(&p->arena);
    wt_free(p);
}

uint64_t proxy_route_piece_version(const struct proxy_route_piece *p)
{
    return p->version;
}

int proxy_rule_pick(const struct proxy_rule *rule, uint32_t random)
{
    if (!rule->total_weight)
        return -1;
    if (rule->n_refs == 1) /* without a look at it: it is in no cache */
        return 0;
    uint64_t at = ((uint64_t)random * rule->total_weight) >> 32;
    for (uint32_t i = 0; i < rule->n_refs; i++) {
        if (at < rule->refs[i].weight)
            return (int)i;
        at -= rule->refs[i].weight;
    }
    return -1;
}

static int names_of(const struct proxy_field *fields, uint32_t n, struct proxy_aliases *out)
{
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < n; i++)
        r = proxy_aliases_add(out, fields[i].name);
    return r;
}

int proxy_route_piece_names(const struct proxy_route_piece *p, struct proxy_aliases *out)
{
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < p->n_conds; i++)
        for (uint32_t k = 0; r == 0 && k < p->conds[i].n_headers; k++)
            r = proxy_aliases_add(out, p->conds[i].headers[k].name);
    for (uint32_t i = 0; r == 0 && i < p->n_rules; i++) {
        const struct proxy_filters *f = p->rules[i].filters;
        if (f)
            r = names_of(f->request.set, f->request.n_set, out);
        if (f && r == 0)
            r = names_of(f->request.add, f->request.n_add, out);
        if (f && r == 0)
            r = names_of(f->request.remove, f->request.n_remove, out);
    }
    return r;
}
