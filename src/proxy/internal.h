/* The main thread's own: what the parts of the process know of each other. */
#ifndef PROXY_INTERNAL_H
#define PROXY_INTERNAL_H

#include "io/fiber.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

struct proxy_ready {
    union io_addr addr;
    int fd; /* -1: it is the config's now */
};

struct proxy {
    const struct proxy_options *options;
    struct io_sys *sys;
    struct io_loop *loop;
    struct proxy_shared shared;
    struct proxy_worker *workers;
    struct model_snapshot *snapshot;
    struct proxy_config *config; /* the newest, a reference */
    struct wt_map lives;         /* uid -> struct proxy_live */
    struct wt_map pending;       /* uid -> struct proxy_verdict read from disk, not attached yet */
    struct proxy_discover *discover;
    struct proxy_probes *probes;
    struct proxy_watermark watermark;
    uint64_t n_news;     /* how often there was any: sync may be busy when it comes */
    struct io_cond news; /* a verdict, an acknowledgement, a host's health: sync reports it */
    int64_t start_wall_ms;
    uint64_t snapshots_rejected;
    uint64_t reopened;         /* how often a listener was served that had been left out */
    struct proxy_ready *ready; /* opened for the config to come (listen.c) */
    uint32_t n_ready;
    /* The newest config: how long its build took, and from there until every worker ran it. */
    int64_t build_ns, adopt_ns;
    int64_t built_ns;     /* when it was ready; 0: all run it */
    char boot[33];        /* random id of this process, hexadecimal */
    uint8_t site_key[32]; /* as it is on disk; main loop only */
    bool draining, stopping;
    bool synced;     /* control has had its say, or is away */
    bool publishing; /* a build may wait (listen.c); the next one must not begin meanwhile */
    struct io_cond published; /* the build has ended */
    bool verdicts_unsaved, verdicts_saving;
};

/* Builds the config of p->snapshot and hands it to all workers. On an error everything stays as it
 * was. Main thread. */
int proxy_publish(struct proxy *p, struct wt_err *err) WT_NODISCARD;

/* The same with a delta (of `store`) applied to p->snapshot before. Once applied it stays there,
 * even if the config cannot be built: *out_applied says so. */
int proxy_publish_delta(struct proxy *p, struct wt_str store, const json_t *delta,
                        bool *out_applied, struct wt_err *err) WT_NODISCARD;

/* From the main thread: no new connections, and an end in options->drain_ms at most. */
void proxy_begin_drain(struct proxy *p);

/* ---- verdict.c: verdicts outlive the process ---- */
void proxy_verdicts_load(struct proxy *p);
void proxy_verdicts_save(struct proxy *p); /* in a fiber: waits for the disk */

/* ---- discover.c: hosts behind names and in files ---- */
struct proxy_discover *proxy_discover_new(struct proxy *p);
void proxy_discover_found(void *discover, struct wt_str backend, const struct model_backend *view,
                          struct proxy_found_hosts *out);
void proxy_discover_follow(struct proxy_discover *d); /* after a publish: forgets what is gone */
void proxy_discover_settle(struct proxy_discover *d,
                           int64_t deadline_ms); /* waits until all were asked once */

/* ---- probes.c: active checks of the hosts of the newest config ---- */
struct proxy_probes *proxy_probes_new(struct proxy *p);
void proxy_probes_follow(struct proxy_probes *pr); /* after a publish */

/* ---- admin.c ---- */
int proxy_admin_start(struct proxy *p, struct wt_err *err) WT_NODISCARD;

/* ---- sync.c: the long poll to control ---- */
int proxy_sync_start(struct proxy *p, struct wt_err *err) WT_NODISCARD;
void proxy_sync_settle(struct proxy *p,
                       int64_t deadline_ms); /* waits until control has answered or is away */

int proxy_listen(void *proxy, const union io_addr *addr, struct wt_err *err);
int proxy_listen_link(
    struct proxy *p); /* keeps a supervisor, also a new one, in possession of our sockets */
int proxy_listen_again(struct proxy *p); /* tries what could not be listened on, until it can */

#endif
