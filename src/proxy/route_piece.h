/* The inside of a compiled HTTPRoute, for the index (route.c) alone. */
#ifndef PROXY_ROUTE_PIECE_H
#define PROXY_ROUTE_PIECE_H

#include "base/arena.h"
#include "proxy/route.h"

#include <stdatomic.h>

struct proxy_want {
    struct wt_str name, value;
    uint8_t id; /* enum http_field_id, for header fields */
};

struct proxy_route_cond {
    struct wt_str path;  /* as compared: a prefix has no slash at its end, "/" is empty */
    uint32_t path_chars; /* as written, for the precedence */
    bool exact;
    enum http_method method; /* HTTP_METHOD_OTHER: any */
    const struct proxy_want *headers, *queries;
    uint32_t n_headers, n_queries;
    uint32_t rule, index; /* position in the document */
};

struct proxy_route_parent {
    struct wt_str namespace_, name, section; /* section empty: every listener */
    uint16_t port;                           /* 0: every port */
};

struct proxy_route_piece {
    atomic_uint refs;
    uint64_t version;
    struct wt_arena arena;
    struct wt_str namespace_, key;
    int64_t created_ms;
    struct proxy_route_parent *parents;
    struct wt_str *hostnames; /* lower case */
    struct proxy_rule *rules;
    struct proxy_route_cond *conds; /* of all rules */
    uint32_t n_parents, n_hostnames, n_rules, n_conds, n_refs;
};

#endif
