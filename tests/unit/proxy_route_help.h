/* What the tests of routes share: routes and requests from short texts. Single quotes stand for
 * double ones. */
#ifndef TESTS_PROXY_ROUTE_HELP_H
#define TESTS_PROXY_ROUTE_HELP_H

#include "base/clock.h"
#include "base/hash.h"
#include "model/check.h"
#include "model/view.h"
#include "proxy/route.h"

#include <stdio.h>
#include <stdlib.h>

struct world {
    const char *namespace_; /* of the routes that are added; NULL: default */
    struct proxy_route_listener listeners[8];
    size_t n_listeners;
    struct proxy_route_piece *pieces[16];
    size_t n_pieces;
    struct proxy_routes *routes;
    struct wt_arena arena; /* of the requests */
    struct http_head head; /* the last request */
};

static const uint32_t world_socket;

static inline void world_listener(struct world *w, const char *name, const char *hostname,
                                  enum proxy_route_from from)
{
    w->listeners[w->n_listeners++] = (struct proxy_route_listener){
        .gateway_namespace = WT_STR("default"),
        .gateway_name = WT_STR("web"),
        .name = wt_str_z(name),
        .hostname = wt_str_z(hostname),
        .port = 8080,
        .from = from,
        .sockets = &world_socket,
        .n_sockets = 1,
    };
}

/* The document as control would publish it: single quotes for double ones, defaults filled in. */
static inline json_t *world_document(const char *format, ...)
{
    static char text[8192];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_error_t error;
    json_t *doc = json_loads(text, 0, &error);
    if (!doc)
        fail_msg("%s in %s", error.text, text);
    assert_int_equal(model_fill(doc), 0);
    return doc;
}

static inline int world_piece(json_t *doc, struct proxy_route_piece **out, struct wt_err *err)
{
    struct wt_arena arena = wt_arena_make(1 << 20);
    const struct model_http_route *view;
    int r = model_http_route_view(doc, &arena, &view, err);
    if (r == 0)
        r = proxy_route_piece_new(view, 1, out, err);
    /* A piece owns what it holds: the document and its view may go. */
    wt_arena_done(&arena);
    json_decref(doc);
    return r;
}

static inline void world_route_at(struct world *w, const char *name, int created_s,
                                  const char *parents, const char *hostnames, const char *rules)
{
    char created[32];
    wt_time_format(created_s * INT64_C(1000), false, created);
    struct wt_err err = {0};
    json_t *doc = world_document(
        "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute',"
        "'metadata':{'name':'%s','namespace':'%s','creationTimestamp':'%s'},"
        "'spec':{'parentRefs':%s,'hostnames':%s,'rules':%s}}",
        name, w->namespace_ ? w->namespace_ : "default", created, parents, hostnames, rules);
    if (world_piece(doc, &w->pieces[w->n_pieces], &err) < 0)
        fail_msg("%s", err.msg);
    w->n_pieces++;
}

static inline void world_route(struct world *w, const char *name, int created_s,
                               const char *hostnames, const char *rules)
{
    world_route_at(w, name, created_s, "[{'name':'web'}]", hostnames, rules);
}

static inline uint32_t world_resolve(void *ctx, const struct proxy_rule *rule,
                                     const struct proxy_ref *ref)
{
    uint32_t *next = ctx;
    return (*next)++;
}

static inline void world_build(struct world *w)
{
    uint32_t next = 100;
    /* Nothing of the input may be needed afterwards. */
    struct proxy_route_listener *listeners = malloc(sizeof w->listeners);
    memcpy(listeners, w->listeners, sizeof w->listeners);
    char hostnames[8][64];
    for (size_t i = 0; i < w->n_listeners; i++) {
        snprintf(hostnames[i], sizeof hostnames[i], "%.*s", WT_ARG(listeners[i].hostname));
        listeners[i].hostname = wt_str_z(hostnames[i]);
    }
    struct proxy_routes_input in = {w->pieces, w->n_pieces,   listeners, w->n_listeners,
                                    1,         world_resolve, &next};
    struct wt_err err = {0};
    if (proxy_routes_build(&in, &w->routes, &err) < 0)
        fail_msg("%s", err.msg);
    memset(hostnames, 'X', sizeof hostnames);
    free(listeners);
}

static inline void world_request(struct world *w, const char *method, const char *authority,
                                 const char *target, const char *headers)
{
    wt_arena_done(&w->arena);
    w->arena = wt_arena_make(1 << 20);
    struct http_head *h = &w->head;
    http_head_init(h, &w->arena);
    h->method_text = wt_str_z(method);
    h->method = http_method_lookup(h->method_text);
    h->authority = wt_str_z(authority);
    h->target = h->query = wt_str_z(target);
    h->path = wt_str_next(&h->query, '?');
    h->has_query = h->query.ptr != NULL;
    struct wt_str rest = wt_str_z(headers);
    while (rest.len) {
        struct wt_str value = wt_str_next(&rest, '\n');
        struct wt_str name = wt_str_next(&value, ':');
        assert_int_equal(http_head_add(h, name, wt_str_trim(value)), 0);
    }
}

static inline bool world_match(struct world *w, uint32_t socket, const char *method,
                               const char *authority, const char *target, const char *headers,
                               struct proxy_match *out)
{
    world_request(w, method, authority, target, headers);
    return proxy_route_match(w->routes, socket, &w->head, out);
}

static inline void world_done(struct world *w)
{
    proxy_routes_free(w->routes);
    for (size_t i = 0; i < w->n_pieces; i++)
        proxy_route_piece_unref(w->pieces[i]);
    wt_arena_done(&w->arena);
    memset(w, 0, sizeof *w);
}

#endif
