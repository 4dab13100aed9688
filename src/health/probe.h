/* Active checks of hosts: when enough of them agree a host changes its state (pure), and how one
 * check is made. */
#ifndef HEALTH_PROBE_H
#define HEALTH_PROBE_H

#include "base/str.h"
#include "io/stream.h"

enum health_state {
    HEALTH_STATE_UNKNOWN, /* no check has told yet: used as if healthy */
    HEALTH_STATE_HEALTHY,
    HEALTH_STATE_UNHEALTHY,
};

/* "unknown", "healthy", "unhealthy" */
const char *health_state_text(enum health_state state);

struct health_probe {
    enum health_state state;
    unsigned healthy_threshold,
        unhealthy_threshold; /* checks in a row that change the state, >= 1 */
    unsigned in_row;         /* checks in a row that speak against the state */
};

/* Nothing known. A threshold of 0 counts as 1. */
void health_probe_init(struct health_probe *p, unsigned healthy_threshold,
                       unsigned unhealthy_threshold);

/* New thresholds; the state and what speaks against it stay. */
void health_probe_adjust(struct health_probe *p, unsigned healthy_threshold,
                         unsigned unhealthy_threshold);

/* The end of one check; true when the state changed. From unknown the first success suffices, but
 * failures count as they do for a healthy host, so that a start under one lost packet takes no host
 * away. */
bool health_probe_take(struct health_probe *p, bool success);

/* One check. */
struct health_check {
    bool http;                        /* else a connection is enough */
    struct wt_str method, path, host; /* `host`: the Host field; empty: the address */
    const int64_t *statuses;          /* that mean healthy */
    size_t n_statuses;
};

/* Waits for its end, in a fiber: 0 when the host is healthy, or an error with a sentence that says
 * what was wrong (WT_EPROTO for a status that was not expected; redirects are not followed). */
int health_check_run(const union io_addr *addr, const struct health_check *check,
                     int64_t deadline_ms, struct wt_err *err);

#endif
