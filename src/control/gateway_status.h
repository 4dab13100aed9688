/* The status of a Gateway and its listeners, and of a GatewayClass (Gateway API). Accepted tells of
 * the spec, Programmed of what proxies report: they have the snapshot that holds this spec, and
 * listen. */
#ifndef CONTROL_GATEWAY_STATUS_H
#define CONTROL_GATEWAY_STATUS_H

#include "control/route_status.h"

struct control_listener_seen {
    uint32_t attached_routes;
    unsigned open;       /* proxies that have the snapshot and listen on all its addresses */
    const char *lost_to; /* as of struct control_gateway_count */
    char kept[128];      /* "0.0.0.0:80", where a proxy serves it until it has the new one; "" */
};

struct control_gateway_seen {
    unsigned proxies;  /* that report */
    unsigned have;     /* of these: have a snapshot that holds this generation */
    char refused[400]; /* by which proxy and why it, or a snapshot, is not taken; "" by none */
    struct control_listener_seen listeners[CONTROL_LISTENERS_MAX]; /* as spec.listeners */
};

/* A new status document for the Gateway `doc`, whose view is `gateway`; a pure function. NULL
 * without memory. */
json_t *control_gateway_status(const json_t *doc, const struct model_gateway *gateway,
                               const struct control_gateway_seen *seen, int64_t wall_ms);

/* Likewise; NULL also for a class of another controller. */
json_t *control_gateway_class_status(const json_t *doc, int64_t wall_ms);

#endif
