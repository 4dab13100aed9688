/* The filters of a rule, compiled: header modifiers, redirect, rewrite (Gateway API,
 * HTTPRouteFilter). Pure: they work on heads, new text goes to an arena. */
#ifndef PROXY_FILTER_H
#define PROXY_FILTER_H

#include "http/head.h"
#include "model/kinds.h"

struct proxy_field {
    struct wt_str name, value;
    uint8_t id; /* enum http_field_id */
};

/* Carried out in this order: set, add, remove. */
struct proxy_field_changes {
    const struct proxy_field *set, *add, *remove;
    uint32_t n_set, n_add, n_remove;
};

enum proxy_path_change_type { PROXY_PATH_KEEP, PROXY_PATH_FULL, PROXY_PATH_PREFIX };

struct proxy_path_change {
    enum proxy_path_change_type type;
    struct wt_str value; /* of a prefix: without slashes at its end */
};

struct proxy_filters {
    struct proxy_field_changes request, response;
    struct wt_str host;            /* that the request's changes set; empty: none */
    bool redirect;                 /* answer with proxy_filter_redirect(); there is no backend */
    struct wt_str scheme;          /* of the redirect; empty: the request's */
    struct wt_str hostname;        /* of redirect or rewrite; empty: the request's */
    struct proxy_path_change path; /* of redirect or rewrite */
    uint16_t port;                 /* of the redirect; 0: see there */
    uint16_t status;               /* of the redirect */
};

/* *out is NULL where there is nothing to do. WT_EINVAL: a filter that this release does not know,
 * or one given twice, or redirect and rewrite together. Everything is copied into the arena. */
int proxy_filters_compile(const struct model_http_route_filter *filters, uint32_t n,
                          struct wt_arena *arena, const struct proxy_filters **out,
                          struct wt_err *err) WT_NODISCARD;

/* On the way to the backend: the request's fields, then Host and path. Fields that frame the
 * message or belong to the connection are left alone whatever the filter says. `prefix_len` is that
 * of the match. Changes head->path (not target); WT_ENOMEM, WT_ELIMIT (too many fields). `f` may be
 * NULL. */
int proxy_filter_request(const struct proxy_filters *f, struct http_head *request,
                         uint32_t prefix_len, struct wt_arena *arena) WT_NODISCARD;

/* On the way back to the client. */
int proxy_filter_response(const struct proxy_filters *f, struct http_head *response) WT_NODISCARD;

/* What a redirect depends on beside the request. */
struct proxy_redirect_from {
    struct wt_str scheme;   /* of the listener: "http" */
    uint16_t listener_port; /* of the Gateway's listener, not of the socket */
    uint32_t prefix_len;
};

/* The Location of f->redirect; {NULL, 0} without memory. The status is f->status. */
struct wt_str proxy_filter_redirect(const struct proxy_filters *f, const struct http_head *request,
                                    const struct proxy_redirect_from *from, struct wt_arena *arena);

#endif
