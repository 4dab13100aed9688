/* What the statuses of Backends, HTTPRoutes and Gateways are made of, from store and reports. */
#ifndef CONTROL_STATUS_OBSERVE_H
#define CONTROL_STATUS_OBSERVE_H

#include "base/arena.h"
#include "base/map.h"
#include "control/gateway_status.h"
#include "control/report.h"
#include "control/store.h"

/* The hosts of all Backends that proxies report, each the most that any proxy sees. */
struct control_hosts {
    struct wt_map sides; /* "namespace/name" -> struct control_side_seen */
};

/* Both reports and hosts are left as they are without memory: then some are missing. */
void control_hosts_see(const struct control_reports *reports, int64_t now_ms,
                       struct control_hosts *out);
void control_hosts_done(struct control_hosts *h);
struct control_side_seen control_hosts_of(const struct control_hosts *h, const json_t *backend);

/* The Gateways of the moment, and the routes counted at each. */
struct control_gateway_count {
    const struct model_gateway *view;
    bool ours; /* its class is served here */
    int64_t generation;
    uint64_t since; /* the snapshot from which on a listener of it is served that was not; 0: all */
    uint32_t attached[CONTROL_LISTENERS_MAX];
    /* Which listener is served in place of this one, as it has the same address, port and hostname
     * and goes first (model_attach_order()): "Gateway default/web, listener http"; NULL: none. */
    const char *lost_to[CONTROL_LISTENERS_MAX];
};

struct control_gateways {
    struct wt_map counts; /* "namespace/name" -> struct control_gateway_count */
    struct wt_map routes; /* "namespace/name" -> where it is counted */
    json_t *docs;         /* what the views point into */
    struct wt_arena arena;
};

int control_gateways_see(const struct control_store *store, struct control_gateways *out,
                         struct wt_err *err);
/* What `now` cannot tell from the store: which listeners have got since `before` what another had.
 * `version`: of the snapshot that is published. */
void control_gateways_follow(struct control_gateways *now, const struct control_gateways *before,
                             uint64_t version);
void control_gateways_done(struct control_gateways *g);
const struct control_gateway_count *control_gateways_find(const struct control_gateways *g,
                                                          const char *namespace, const char *name);

/* A route against the Gateways, which count it (and no longer as it was), and the Backends of the
 * store. */
int control_route_see(const struct control_store *store, struct control_gateways *gateways,
                      const json_t *doc, struct control_route_seen *out, struct wt_err *err);
void control_gateways_uncount(struct control_gateways *gateways, const char *namespaced_name);

/* What proxies make of the Gateway of the view. A proxy has it whose snapshot of `store` is as new
 * as `version`. */
void control_gateway_see(const struct control_reports *reports, const struct model_gateway *gateway,
                         const char *store, uint64_t version, int64_t now_ms,
                         struct control_gateway_seen *out);

#endif
