#include "proxy/counters.h"

/* Envoy adds to the name what Prometheus' labels do not say of a shape. */
#define METRIC_COUNTER ""
#define METRIC_ACTIVE ""
#define METRIC_TIME ""
#define METRIC_TIME_SIDES ""
#define METRIC_CLASSES "_xx"
#define METRIC_SIDES "_total"

#define ROW(kind, struct_name, shape, field, prefix, name, help)                                   \
    {                                                                                              \
        kind, PROXY_SHAPE_##shape, offsetof(struct struct_name, field), name,                      \
            prefix name METRIC_##shape, help, NULL                                                 \
    }
#define GAUGE(kind, gauge, prefix, name, help)                                                     \
    {                                                                                              \
        kind, PROXY_SHAPE_GAUGE, gauge, name, prefix name, help, NULL                              \
    }
#define B(shape, field, name, help)                                                                \
    ROW(PROXY_STATS_BACKEND, proxy_backend_stats, shape, field, "envoy_cluster_", name, help)
/* Of a kind that Envoy has, which knows no such counter. */
#define W(field, name, help)                                                                       \
    ROW(PROXY_STATS_BACKEND, proxy_backend_stats, COUNTER, field, "watari_cluster_", name, help)
#define BH(end, help)                                                                              \
    {                                                                                              \
        PROXY_STATS_BACKEND, PROXY_SHAPE_COUNTER,                                                  \
            offsetof(struct proxy_backend_stats, health_check_##end), "health_check." #end,        \
            "envoy_cluster_health_check_" #end, help, NULL                                         \
    }
#define BG(gauge, name, help)                                                                      \
    GAUGE(PROXY_STATS_BACKEND, PROXY_BACKEND_##gauge, "envoy_cluster_", name, help)
#define L(shape, field, name, help)                                                                \
    ROW(PROXY_STATS_LISTENER, proxy_listener_stats, shape, field, "envoy_http_", name, help)
#define M(shape, field, name, help)                                                                \
    ROW(PROXY_STATS_MIGRATION, proxy_migration_stats, shape, field, "watari_migration_", name, help)
#define MG(gauge, name, help)                                                                      \
    GAUGE(PROXY_STATS_MIGRATION, PROXY_MIGRATION_##gauge, "watari_migration_", name, help)

const struct proxy_counter proxy_counters[] = {
    B(COUNTER, rq_total, "upstream_rq_total", "Requests sent to the backend, retries included."),
    B(CLASSES, rq_class, "upstream_rq", "Answers of the backend by class of status."),
    B(ACTIVE, rq_active, "upstream_rq_active", "Requests in flight."),
    B(COUNTER, rq_retry, "upstream_rq_retry", "Requests tried again."),
    B(COUNTER, rq_retry_success, "upstream_rq_retry_success", "Retries that were answered."),
    B(COUNTER, rq_retry_overflow, "upstream_rq_retry_overflow", "Retries refused by the budget."),
    B(COUNTER, rq_retry_abandoned, "retry_or_shadow_abandoned",
      "Retries given up because the body no longer fitted the buffer."),
    B(COUNTER, rq_timeout, "upstream_rq_timeout", "Requests that ran out of time."),
    B(COUNTER, rq_per_try_timeout, "upstream_rq_per_try_timeout", "Tries that ran out of time."),
    B(COUNTER, rq_rx_reset, "upstream_rq_rx_reset", "Requests reset by the backend."),
    B(COUNTER, rq_tx_reset, "upstream_rq_tx_reset", "Requests reset by the proxy."),
    B(COUNTER, rq_pending_overflow, "upstream_rq_pending_overflow",
      "Requests refused because too many waited for a connection."),
    B(TIME, rq_time, "upstream_rq_time", "Time until the backend's answer, in milliseconds."),
    B(COUNTER, cx_total, "upstream_cx_total", "Connections opened to the backend."),
    B(ACTIVE, cx_active, "upstream_cx_active", "Open connections."),
    B(COUNTER, cx_connect_fail, "upstream_cx_connect_fail", "Connections that failed to open."),
    B(COUNTER, cx_connect_timeout, "upstream_cx_connect_timeout", "Connects that ran out of time."),
    B(COUNTER, cx_overflow, "upstream_cx_overflow", "Times the limit of connections was reached."),
    W(cx_reused_stale, "upstream_cx_reused_stale",
      "Pooled connections found closed by the peer when they were to be used."),
    W(cx_surplus, "upstream_cx_surplus",
      "Connections given up because the backend sent more than its answer."),
    B(COUNTER, cx_rx_bytes, "upstream_cx_rx_bytes_total", "Bytes received from the backend."),
    B(COUNTER, cx_tx_bytes, "upstream_cx_tx_bytes_total", "Bytes sent to the backend."),
    BH(attempt, "Probes sent."),
    BH(success, "Probes that passed."),
    BH(failure, "Probes that failed."),
    BG(MEMBERS, "membership_total", "Endpoints of the backend."),
    BG(HEALTHY, "membership_healthy", "Endpoints that pass their checks."),

    L(COUNTER, rq_total, "downstream_rq_total", "Requests received."),
    L(CLASSES, rq_class, "downstream_rq", "Answers given by class of status."),
    L(ACTIVE, rq_active, "downstream_rq_active", "Requests in flight."),
    L(TIME, rq_time, "downstream_rq_time", "Time of a request in milliseconds."),
    L(COUNTER, rq_rx_reset, "downstream_rq_rx_reset", "Requests the client left."),
    L(COUNTER, rq_timeout, "downstream_rq_timeout", "Requests too slow to arrive."),
    L(COUNTER, rq_too_large, "downstream_rq_too_large", "Requests over a size limit."),
    L(COUNTER, rq_overload, "downstream_rq_overload_close",
      "Requests refused because memory was short."),
    L(COUNTER, rq_no_route, "no_route", "Requests that no route matched."),
    L(COUNTER, cx_total, "downstream_cx_total", "Connections accepted."),
    L(ACTIVE, cx_active, "downstream_cx_active", "Open connections."),
    L(COUNTER, cx_protocol_error, "downstream_cx_protocol_error",
      "Connections closed because the client broke the protocol."),
    L(COUNTER, cx_idle_timeout, "downstream_cx_idle_timeout", "Idle connections closed."),
    /* Envoy's connection managers do not see what is refused at accept: its listeners count it. */
    {PROXY_STATS_LISTENER, PROXY_SHAPE_COUNTER, offsetof(struct proxy_listener_stats, cx_refused),
     "downstream_cx_overload_reject", "envoy_listener_downstream_cx_overload_reject",
     "Connections refused because a limit was reached.", "envoy_listener_address"},
    L(COUNTER, cx_rx_bytes, "downstream_cx_rx_bytes_total", "Bytes from clients."),
    L(COUNTER, cx_tx_bytes, "downstream_cx_tx_bytes_total", "Bytes to clients."),
    {PROXY_STATS_LISTENER, PROXY_SHAPE_COUNTER, offsetof(struct proxy_listener_stats, rq_lost),
     "requests_lost", "watari_listener_requests_lost_total",
     "Requests without a complete answer, or with an error that the proxy made.", NULL},

    MG(WEIGHT, "weight", "Share asked of the new side, in per cent."),
    MG(SHARE_OBSERVED, "share_observed", "Share seen on the new side, in per cent."),
    MG(STEP, "step", "Index of the step in force."),
    MG(EPOCH, "epoch", "Number of the attempt; a verdict of a higher one wins."),
    MG(USERS_MOVED, "users_moved", "Users moved to the new side."),
    MG(USERS_MOVED_BACK, "users_moved_back", "Users moved back to the old side."),
    MG(EVIDENCE, "guard_evidence",
       "How near the guard is to a verdict: 1 is one, 0 is no sign at all."),
    M(SIDES, requests, "requests", "Requests by side."),
    M(SIDES, lost, "lost",
      "Requests without a complete answer, or with an error that the proxy made."),
    M(SIDES, bad, "bad", "Bad answers of the side that reached a client."),
    M(SIDES, rescued, "rescued", "Requests that failed on the side and were saved by a retry."),
    M(TIME_SIDES, rq_time, "rq_time", "Time until the side's answer, in milliseconds."),
};
const size_t proxy_counters_len = sizeof proxy_counters / sizeof proxy_counters[0];

const uint64_t *proxy_counter_words(const struct proxy_counter *c, const union proxy_sums *sums)
{
    return (const uint64_t *)(const void *)(sums->bytes +
                                            (c->shape == PROXY_SHAPE_GAUGE ? 0 : c->offset));
}
