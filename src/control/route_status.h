/* The status of an HTTPRoute (Gateway API, RouteStatus): one entry a parent, with what is seen of
 * Gateways and Backends, and whether proxies can take it. */
#ifndef CONTROL_ROUTE_STATUS_H
#define CONTROL_ROUTE_STATUS_H

#include "control/condition.h"

enum { CONTROL_PARENTS_MAX = 32, CONTROL_LISTENERS_MAX = 64 };

enum control_parent_case {
    CONTROL_PARENT_NO_GATEWAY,
    CONTROL_PARENT_OTHERS, /* a Gateway of another controller: no entry is ours to write */
    CONTROL_PARENT_NO_LISTENER,
    CONTROL_PARENT_NOT_ALLOWED,
    CONTROL_PARENT_NO_HOSTNAME,
    CONTROL_PARENT_CONFLICTED, /* only to listeners that another Gateway's is served in place of */
    CONTROL_PARENT_ATTACHED,
};

struct control_parent_seen {
    enum control_parent_case what;
    uint64_t listeners; /* bit n: attached to listener n of the Gateway */
};

enum control_ref_case {
    CONTROL_REF_RESOLVED,
    CONTROL_REF_NOT_FOUND,
    CONTROL_REF_NOT_PERMITTED, /* in another namespace: there is no ReferenceGrant here */
    CONTROL_REF_KIND,
};

struct control_route_seen {
    struct control_parent_seen parents[CONTROL_PARENTS_MAX]; /* as spec.parentRefs */
    enum control_ref_case ref;                               /* the first that does not resolve */
    char ref_name[256];                                      /* its name */
    const char *refused; /* by which proxy and why it is not taken; NULL: by none */
};

/* A parent of a route of namespace `namespace`, against the view of its Gateway; `lost_to` as of
 * struct control_gateway_count. */
struct control_parent_seen control_parent_see(const struct model_http_route_spec *route,
                                              struct wt_str namespace,
                                              const struct model_parent_ref *ref,
                                              const struct model_gateway *gateway,
                                              const char *const lost_to[CONTROL_LISTENERS_MAX]);

/* A new status document for the route `doc`; a pure function. Entries of other controllers are
 * kept; NULL without memory. */
json_t *control_route_status(const json_t *doc, const struct control_route_seen *seen,
                             int64_t wall_ms);

#endif
