/* The data plane as a process: `watari proxy`. A main thread (snapshots, probes, discovery, admin,
 * sync with control) and a worker thread per CPU. */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "base/err.h"
#include "model/snapshot.h"

struct proxy_options {
    const char *name;           /* what control knows it by */
    const char *state_dir;      /* its last good snapshot, verdicts, the site's key */
    const char *control_socket; /* unix socket of control's API; NULL: no control */
    const char *admin;          /* "127.0.0.1:7071"; port 0 picks one; NULL: none */
    const char *access_log;     /* file, "-" standard output, NULL none */
    bool log_json;
    unsigned workers; /* 0: the CPUs the process may use */
    int64_t drain_ms; /* after SIGTERM */
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms; /* of clients; 0: the defaults */
    unsigned client_conns;       /* most connections of one client; 0: half of all there may be */
    unsigned trace_percent;      /* of requests without a traceparent that begin a sampled trace */
    uint64_t memory_limit_bytes; /* 0: that of the cgroup, if it has one */
    uint64_t max_request_bytes;  /* of a request's body; 0: no limit */
    const char *supervisor; /* unix socket that hands out listening sockets; NULL: opened here */
    struct model_snapshot *fixed; /* served as it is, without control (taken over); or NULL */
    bool quiet;                   /* does not print the addresses it listens on */
};

/* Runs until SIGTERM or SIGINT, drained. 0, or an error before it served anything. */
int proxy_run(const struct proxy_options *options, struct wt_err *err);

#endif
