/* Routes: which rule of which HTTPRoute a request falls under (Gateway API v1).
 *
 * An HTTPRoute is compiled once into a piece, which many indexes share; an index (struct
 * proxy_routes) is built from pieces and listeners in a few milliseconds even for 10,000 routes and
 * is immutable from then on.
 *
 * Matching goes: the socket's listener with the most specific hostname; in it the hosts that fit,
 * most specific first; for each the exact path, then its prefixes from the longest; at each path
 * the candidates by method, number of header fields, number of query parameters, age of the route,
 * its name, order of the rule. All steps but the last are hash lookups, so the number of routes
 * does not matter. A host or path whose candidates all refuse passes the request on to the next
 * less specific one, never to another listener.
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include "base/err.h"
#include "base/str.h"
#include "http/head.h"
#include "model/kinds.h"
#include "proxy/alias.h"
#include "proxy/filter.h"

#define PROXY_TARGET_NONE UINT32_MAX
#define PROXY_TIMEOUT_UNSET (-1)

struct proxy_ref {
    struct wt_str group, kind, namespace_, name;
    struct wt_str key; /* "namespace/name" */
    uint32_t weight;
    bool foreign; /* of another namespace: refused, for nothing can grant it */
};

struct proxy_rule {
    /* First what every request needs, on one cache line. */
    const struct proxy_filters *filters;            /* NULL: none */
    int64_t request_timeout_ms, backend_timeout_ms; /* 0: none; PROXY_TIMEOUT_UNSET: not said */
    uint64_t total_weight;
    uint32_t n_refs;
    uint32_t first_ref;     /* number of refs in the rules before this one */
    struct wt_str log_name; /* "httproute/namespace/name/rule/0", as Envoy Gateway writes it */
    const struct proxy_ref *refs;
    struct wt_str route; /* "namespace/name" of the HTTPRoute */
    uint32_t index;      /* in spec.rules */
};

/* ---- pieces ---- */

struct proxy_route_piece; /* refcounted, immutable, any thread; owns all it holds */

/* Compiles a checked and filled HTTPRoute. `version` is the document's; the view is not kept. */
int proxy_route_piece_new(const struct model_http_route *view, uint64_t version,
                          struct proxy_route_piece **out, struct wt_err *err) WT_NODISCARD;

/* The same of one that proxy_route_piece_new() refuses, or that is not right (`serves` false):
 * rules that do not compile answer 500, or all do. Its version is PROXY_ROUTE_PARTLY, which no
 * document has. */
#define PROXY_ROUTE_PARTLY 0
int proxy_route_piece_new_partly(const struct model_http_route *view, bool serves,
                                 struct proxy_route_piece **out, struct wt_err *err) WT_NODISCARD;

struct proxy_route_piece *proxy_route_piece_ref(struct proxy_route_piece *p);
void proxy_route_piece_unref(struct proxy_route_piece *p); /* NULL allowed */
uint64_t proxy_route_piece_version(const struct proxy_route_piece *p);

/* Adds the names of fields that its matches look at and its filters change in requests. WT_ENOMEM.
 */
int proxy_route_piece_names(const struct proxy_route_piece *p, struct proxy_aliases *out);

/* ---- the index ---- */

enum proxy_route_from { PROXY_ROUTES_SAME, PROXY_ROUTES_ALL, PROXY_ROUTES_NONE };

/* A listener of a Gateway; borrowed for the build. */
struct proxy_route_listener {
    struct wt_str gateway_namespace, gateway_name, name;
    struct wt_str hostname; /* empty: every host; "*.example.com": what lies below */
    uint16_t port;
    uint16_t kept_port; /* that it is still reached by (proxy/opened.h); 0: `port` */
    enum proxy_route_from from;
    const uint32_t *sockets; /* the caller's numbers of the sockets it is reached through */
    uint32_t n_sockets;
};

/* Fills all but the sockets and kept_port from the view of a Gateway. */
void proxy_route_listener_init(struct proxy_route_listener *out,
                               const struct model_gateway *gateway,
                               const struct model_gateway_listener *listener);

struct proxy_routes_input {
    struct proxy_route_piece *const *pieces; /* the index takes references of its own */
    size_t n_pieces;
    const struct proxy_route_listener *listeners;
    size_t n_listeners;
    uint32_t n_sockets;
    /* The caller's number for a backend (PROXY_TARGET_NONE: there is none), asked once for each ref
     * that is not foreign; NULL: none for all. */
    uint32_t (*resolve)(void *ctx, const struct proxy_rule *rule, const struct proxy_ref *ref);
    void *ctx;
};

struct proxy_routes;

int proxy_routes_build(const struct proxy_routes_input *in, struct proxy_routes **out,
                       struct wt_err *err) WT_NODISCARD;
void proxy_routes_free(struct proxy_routes *r); /* NULL allowed */

struct proxy_match {
    const struct proxy_rule *rule;
    const uint32_t *targets; /* rule->n_refs numbers of the caller */
    uint32_t prefix_len;     /* bytes of the path that matched, without a slash at the end */
    uint32_t listener;       /* index in the input */
    uint16_t port;           /* that listener is reached by */
};

/* The rule for a request that came in through `socket`, or false: 404 and flag NR. The path must be
 * normalised (http/uri.h). The result lives as long as the index. */
bool proxy_route_match(const struct proxy_routes *r, uint32_t socket,
                       const struct http_head *request, struct proxy_match *out);

/* Chooses a ref by weight with a uniformly random number; -1 where all weights are 0 or there are
 * no refs. */
int proxy_rule_pick(const struct proxy_rule *rule, uint32_t random);

#endif
