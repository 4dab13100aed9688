/* A worker: one thread, one loop, everything of a connection's life. Workers share snapshots
 * (proxy_config), atomics of hosts and guards, and nothing else. */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include "base/hash.h"
#include "io/loop.h"
#include "model/identity.h"
#include "proxy/accesslog.h"
#include "proxy/clients.h"
#include "proxy/config.h"
#include "proxy/logger.h"
#include "proxy/overload.h"
#include "proxy/stats.h"

#include <pthread.h>

enum {
    PROXY_BUFFER = 16 << 10, /* one direction of one exchange; a longer head grows up to: */
    PROXY_HEAD_MAX = 64 << 10,
    PROXY_BUFFERS_KEPT = 256,
};

/* A config that requests of this worker run on. */
struct proxy_pin {
    struct proxy_config *config;
    uint32_t in_flight;
    struct wt_list node; /* among the older ones */
};

struct proxy_worker {
    unsigned id;
    struct io_loop *loop;
    struct proxy_shared *shared;
    struct proxy_pin *pin;        /* the newest */
    struct wt_list older;         /* pins that requests still run on */
    struct wt_list conns;         /* all client connections */
    struct io_timer accept_again; /* after a lack of memory */
    struct io_timer housekeeping; /* flushes the log, notes the loop's counters */
    struct wt_list accepting;     /* struct proxy_acceptor of this worker */
    uint32_t n_conns;
    uint64_t promised_bytes; /* what requests under way may still take; looks read it */
    uint64_t taken_bytes;    /* since this worker looked at the memory last: at most so much */
    bool draining;
    unsigned owing_seen;   /* of shared->owing */
    int64_t shrunk_ms;     /* when it last gave memory back */
    int64_t tell_crowd_ms; /* when a client over its share is told of again */
    int64_t date_s;        /* the second that `date` says; -1: none */
    char date[32];
    struct wt_rng rng;
    char *free_buffers; /* a list through their first bytes */
    unsigned n_free_buffers;
    uint8_t secrets[4096]; /* random bytes not used yet, from the system's generator */
    unsigned secrets_left;
    struct proxy_log_lane log;
    struct proxy_log_clock log_clock;
    struct proxy_worker_stats *stats;
    pthread_t thread;
};

/* What all workers share; set before they start. */
struct proxy_shared {
    struct io_sys *sys;
    unsigned n_workers;
    struct model_identity_keys keys;
    struct proxy_stats *stats;
    struct proxy_logger *logger; /* NULL: no access log */
    const struct proxy_log_format *log_format;
    int64_t idle_timeout_ms;    /* of a client connection between requests */
    int64_t header_timeout_ms;  /* from a request's first byte to the end of its head */
    int64_t body_timeout_ms;    /* of silence within a body, either way */
    uint64_t max_request_bytes; /* of a request's body; 0: no limit */
    unsigned trace_percent;     /* of requests without a trace that begin one */
    uint32_t max_conns;         /* of clients, all workers together */
    _Atomic uint32_t n_conns;
    struct proxy_clients *clients; /* how many each client has; NULL: nobody counts */
    _Atomic unsigned owing;        /* goes on when some host->owed rises */
    _Atomic unsigned overload;     /* enum proxy_overload */
    _Atomic uint64_t part_bytes;   /* a worker that has taken more looks at the memory again */
    /* A verdict was reached (worker's thread): persist and report it. */
    void (*announce)(void *ctx, struct proxy_migration *m);
    /* This worker runs on `version` now, or an older one has ended. */
    void (*acknowledge)(void *ctx, unsigned worker);
    void (*look)(void *ctx); /* at the memory (worker's thread); NULL: there is no limit */
    void *ctx;
};

/* A buffer of PROXY_BUFFER bytes, or NULL. */
char *proxy_buffer_take(struct proxy_worker *w);
void proxy_buffer_give(struct proxy_worker *w, char *buffer);

/* The wall clock as a Date field has it; good until the fiber waits. */
struct wt_str proxy_worker_date(struct proxy_worker *w);

void proxy_secrets_refill(struct proxy_worker *w);

/* `n` <= 64 random bytes fit for secrets. */
static inline void proxy_secret_bytes(struct proxy_worker *w, void *out, unsigned n)
{
    if (w->secrets_left < n)
        proxy_secrets_refill(w);
    w->secrets_left -= n;
    memcpy(out, w->secrets + w->secrets_left, n);
    memset(w->secrets + w->secrets_left, 0, n);
}

static inline enum proxy_overload proxy_worker_overload(const struct proxy_worker *w)
{
    return (enum proxy_overload)atomic_load_explicit(&w->shared->overload, memory_order_relaxed);
}

/* Before something is admitted that takes at most `bytes`: whether it may be. */
static inline enum proxy_overload proxy_worker_take(struct proxy_worker *w, uint32_t bytes)
{
    w->taken_bytes += bytes;
    if (w->taken_bytes > atomic_load_explicit(&w->shared->part_bytes, memory_order_relaxed) &&
        w->shared->look) {
        w->taken_bytes = 0;
        w->shared->look(w->shared->ctx);
    }
    return proxy_worker_overload(w);
}

/* More of it, or less. */
static inline void proxy_worker_promise(struct proxy_worker *w, int64_t bytes)
{
    __atomic_store_n(&w->promised_bytes, w->promised_bytes + (uint64_t)bytes, __ATOMIC_RELAXED);
}

struct proxy_pin *proxy_pin_take(struct proxy_worker *w); /* for one request: the newest snapshot */
void proxy_pin_give(struct proxy_worker *w, struct proxy_pin *p);

/* Starts the thread. The config's reference is taken over. */
int proxy_worker_start(struct proxy_worker *w, unsigned id, struct proxy_shared *shared,
                       struct proxy_config *config, struct wt_err *err) WT_NODISCARD;

/* The same in parts, without a thread: on a loop of the caller's (simulations). `begin` runs on
 * that loop; `done` when no connection, fiber or posted task is left. */
int proxy_worker_init(struct proxy_worker *w, unsigned id, struct proxy_shared *shared,
                      struct proxy_config *config, struct io_loop *loop,
                      struct wt_err *err) WT_NODISCARD;
void proxy_worker_begin(struct proxy_worker *w);
void proxy_worker_done(struct proxy_worker *w);

/* From the publisher's thread. */
void proxy_worker_publish(struct proxy_worker *w,
                          struct proxy_config *config); /* takes its own ref */
void proxy_worker_drain(
    struct proxy_worker *w);                    /* no new connections; close what is idle in time */
void proxy_worker_stop(struct proxy_worker *w); /* ends the loop and joins the thread */
uint32_t proxy_worker_conns(struct proxy_worker *w);
uint32_t proxy_worker_in_flight_older(struct proxy_worker *w);
uint64_t proxy_worker_version(struct proxy_worker *w); /* acknowledged */

#endif
