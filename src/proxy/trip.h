/* A request's trip through the proxy: what serve.c, forward.c and relay.c hand each other. Lives on
 * the connection's fiber. */
#ifndef PROXY_TRIP_H
#define PROXY_TRIP_H

#include "http/forwarded.h"
#include "proxy/accesslog.h"
#include "proxy/config.h"
#include "proxy/outbound.h"
#include "proxy/serve.h"

struct proxy_trip {
    const struct proxy_client *client;
    struct proxy_worker *worker;
    struct proxy_inbound *in;
    struct wt_arena *arena;
    struct proxy_pin *pin;
    struct proxy_listener_stats *listener_stats;

    struct proxy_match match;
    const struct proxy_target *target;
    bool shared; /* a migration decides the side */
    struct proxy_share share;
    bool observed;                              /* the guard knows of the first attempt */
    int64_t request_timeout_ms, try_timeout_ms; /* 0: none */
    int64_t deadline_ms; /* of the answer's head, once the request is whole */

    /* How it went. */
    unsigned status; /* sent, or meant */
    uint32_t flags;  /* enum proxy_log_flag */
    unsigned attempts;
    struct proxy_backend *backend; /* of the last attempt */
    struct proxy_host *host;       /* likewise; a reference */
    enum proxy_side side;          /* likewise */
    int64_t first_byte_ns;         /* of the answer; 0: none */
    int64_t try_start_ns;
    int64_t
        slow_from_ns; /* when the host's time began: a slow upload is the client's; 0: not yet */
    uint64_t bytes_received, bytes_sent;
    bool failed_first; /* the first attempt failed */
    bool slow;         /* the delivered answer was slower than the guard's limit */
    bool local;        /* the answer is ours */
    bool gone;         /* the client went away */
    bool broken;       /* the answer was cut off */
    struct wt_str id, forwarded_for; /* for the log, where nothing went on to a host */
    struct wt_str location;

    /* Written before they are read: not cleared. */
    char request_id[HTTP_UUID_LEN + 1], traceparent[HTTP_TRACEPARENT_LEN + 1], cookie[160];
    struct http_head outgoing;
};

/* One attempt at a host. */
struct proxy_try {
    struct proxy_backend *backend;
    struct proxy_outbound *out;  /* NULL: there is no connection */
    struct http_head *response;  /* NULL: there is no answer */
    struct proxy_upload *upload; /* NULL: the request was sent whole */
    enum proxy_failure failure;
};

/* forward.c: attempts until one is to be delivered, or none is left. */
void proxy_forward(struct proxy_trip *t);

/* relay.c */
/* More of the request's body came than is allowed (in chunks: a length is refused at once). */
static inline bool proxy_body_too_large(const struct proxy_trip *t)
{
    uint64_t most = t->worker->shared->max_request_bytes;
    return most && t->bytes_received > most;
}

struct proxy_upload; /* the rest of a request body on its way, in a fiber of its own */
int proxy_upload_start(struct proxy_trip *t, struct proxy_outbound *out,
                       struct proxy_upload **upload);
bool proxy_upload_running(const struct proxy_upload *u);
bool proxy_upload_client_failed(const struct proxy_upload *u); /* the client ended it early */
int proxy_upload_code(const struct proxy_upload *u);           /* why: WT_EPROTO is wrong framing */
void proxy_upload_end(struct proxy_upload *u);                 /* stops it if need be; waits */

/* Delivers the attempt's answer and finishes its connection. */
void proxy_relay(struct proxy_trip *t, struct proxy_try *try);

/* reply.c: an answer of our own. */
void proxy_reply(struct proxy_trip *t, unsigned status, uint32_t flags, const char *text);

/* finish.c: counters and the log line. */
void proxy_finish(struct proxy_trip *t);

#endif
