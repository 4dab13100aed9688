/* POST /watari.dev/sync/v1: a proxy reports and gets what has changed (docs/ARCHITECTURE.md,
 * "Sync"). */
#ifndef CONTROL_SYNC_H
#define CONTROL_SYNC_H

#include "control/publish.h"
#include "control/report.h"
#include "rpc/server.h"

#define CONTROL_SYNC_PATH "/watari.dev/sync/v1"

struct control_sync {
    struct control_store *store;
    struct control_publisher *publisher;
    struct control_reports *reports;
    struct io_cond *published; /* broadcast when the snapshot changed, or is held no more */
    const bool *held;          /* the snapshot is half of a change: nobody gets it now */
    void (*reported)(void *ctx, const json_t *report); /* after each report: plan again */
    void *ctx;
    uint64_t requests;
};

void control_sync_handle(struct control_sync *s, const struct rpc_request *request,
                         struct rpc_reply *reply);

#endif
