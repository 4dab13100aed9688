/* The API: a subset of the Kubernetes REST protocol over the store (DESIGN.md §1), for the CLI and
 * for kubectl users.
 *
 * GET /version /api /apis /apis/GROUP /apis/GROUP/VERSION; GET, LIST, WATCH, POST, PUT, DELETE of
 * every kind, GET and PUT of …/status, ?dryRun=All; /healthz /readyz /metrics. Errors are
 * metav1.Status with one sentence.
 */
#ifndef CONTROL_API_H
#define CONTROL_API_H

#include "control/store.h"
#include "rpc/server.h"

struct control_api {
    struct control_store *store;
    struct io_cond *changed; /* broadcast after every change of the store */
    bool (*ready)(void *ctx);
    void (*metrics)(void *ctx, struct wt_buf *out); /* adds to /metrics */
    void *ctx;
    unsigned watches;            /* open now */
    uint64_t requests, rejected; /* rejected: POST and PUT whose input is wrong */
};

/* Answers any request of the API; nothing else is served by it. */
void control_api_handle(struct control_api *api, const struct rpc_request *request,
                        struct rpc_reply *reply);

#endif
