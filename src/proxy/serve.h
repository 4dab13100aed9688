/* One request from its head to its log line: routing, filters, shares, tries, counters.
 * Protocol-free: it sees a proxy_inbound (proxy/exchange.h). */
#ifndef PROXY_SERVE_H
#define PROXY_SERVE_H

#include "proxy/exchange.h"
#include "proxy/worker.h"

struct proxy_client {
    struct proxy_worker *worker;
    struct proxy_listener *listener;
    struct wt_str peer_text; /* "10.0.0.1:1234", "[::1]:1234" */
    struct wt_str peer_host; /* the address of it alone */
    uint64_t connection_id;
    int64_t start_ns; /* the request's first byte */
};

/* How the exchange ended for the connection. */
enum proxy_served {
    PROXY_SERVED,        /* answered whole */
    PROXY_SERVED_BROKEN, /* reset, or the client has gone */
};

/* `arena` lives as long as the request. */
enum proxy_served proxy_serve(const struct proxy_client *client, struct proxy_inbound *in,
                              struct wt_arena *arena);

/* A request whose head was refused: counts and logs it. `status` is what was answered, 0: nothing.
 */
void proxy_serve_refused(const struct proxy_client *client, const struct http_head *head,
                         unsigned status, uint64_t bytes_sent);

#endif
