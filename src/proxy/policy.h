/* How a backend is treated: one BackendTrafficPolicy, resolved to plain values. Pure. */
#ifndef PROXY_POLICY_H
#define PROXY_POLICY_H

#include "model/kinds.h"

struct proxy_check {
    bool enabled;
    bool http; /* else TCP: a connection is enough */
    struct wt_str path, hostname, method;
    const int64_t *statuses; /* that mean healthy */
    size_t n_statuses;
    int64_t interval_ms, timeout_ms;
    unsigned healthy_threshold, unhealthy_threshold;
};

struct proxy_policy {
    int64_t connect_timeout_ms;
    int64_t request_timeout_ms; /* 0: none */
    int64_t try_timeout_ms;     /* 0: none */
    unsigned num_retries;
    uint32_t retry_triggers; /* 1 << MODEL_RETRY_… */
    const int64_t *retry_statuses;
    size_t n_retry_statuses;
    bool retry_non_idempotent;
    int64_t back_off_base_ms, back_off_max_ms;
    double budget_percent;
    unsigned budget_min;
    bool round_robin;
    struct proxy_check check;
};

/* Without a policy (NULL): Envoy's time limits, one try after the first where nothing was sent, no
 * checks. Strings and lists point into the view. */
struct proxy_policy proxy_policy_from(const struct model_backend_traffic_policy *view);

/* Why a try failed, for the decision below. */
enum proxy_failure {
    PROXY_FAIL_NONE,
    PROXY_FAIL_CONNECT,      /* no connection: nothing was sent */
    PROXY_FAIL_RESET_UNSENT, /* broken before a byte was sent */
    PROXY_FAIL_RESET,        /* broken after bytes were sent, before the answer */
    PROXY_FAIL_PROTOCOL,     /* what came is no answer */
    PROXY_FAIL_TIMEOUT,      /* no answer in time */
    PROXY_FAIL_STATUS,       /* an answer whose status is listed */
};

/* Whether the policy wants another try after this end of one. `status` is 0 without an answer. Only
 * whether it is wanted: proxy_retry_safe() tells whether it may be. */
bool proxy_policy_wants_retry(const struct proxy_policy *p, enum proxy_failure failure,
                              unsigned status);

/* Sending twice is safe while nothing was sent, or for idempotent methods (RFC 9110 §9.2.2), or
 * when the user has said that the backend bears it. */
bool proxy_retry_safe(const struct proxy_policy *p, enum proxy_failure failure, bool idempotent);

/* Full jitter (Brooker, AWS 2015) under an exponential cap: try 1 waits at most the base. `random`
 * is any. */
int64_t proxy_policy_back_off_ms(const struct proxy_policy *p, unsigned attempt, uint64_t random);

#endif
