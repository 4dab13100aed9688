/* Connections to hosts: kept alive in the worker's own pool, one exchange at a time (HTTP/1.1). */
#ifndef PROXY_OUTBOUND_H
#define PROXY_OUTBOUND_H

#include "proxy/backend.h"
#include "proxy/exchange.h"
#include "proxy/worker.h"

struct proxy_h1_out;

struct proxy_out_wish {
    struct proxy_worker *worker;
    const struct proxy_backend *backend;
    struct proxy_host *host;
    bool once;  /* the request may not be sent twice: a kept connection must pass a closer look */
    bool fresh; /* use no kept connection */
    int64_t deadline_ms;
};

/* A connection to the host, kept or new; the exchange begins. WT_EREFUSED, WT_ETIMEOUT, WT_ELIMIT,
 * WT_ECANCELED, …; a failure to connect was counted. */
int proxy_h1_out_open(const struct proxy_out_wish *wish, struct proxy_outbound **out) WT_NODISCARD;

/* Closes the idle connections of this worker to hosts that are retired (`all` false) or to every
 * host of it. */
void proxy_h1_out_sweep(struct proxy_worker *w, struct proxy_host *host);

/* Closes as many idle connections as the host is owed (proxy/host.h), the oldest first. */
void proxy_h1_out_pay(struct proxy_worker *w, struct proxy_host *host);

#endif
