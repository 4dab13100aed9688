/* The counters of proxy/stats.h as Prometheus text (exposition format 0.0.4), under Envoy's names
 * where Envoy has one, so that its dashboards work; the rest is watari_*. */
#ifndef PROXY_METRICS_H
#define PROXY_METRICS_H

#include "base/buf.h"
#include "proxy/stats.h"

#define PROXY_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What the registry does not know. */
struct proxy_metrics_info {
    struct wt_str version;
    int64_t start_wall_ms, now_wall_ms;
    bool live;                   /* false while draining */
    uint64_t snapshots_rejected; /* snapshots that did not decode or compile */
    uint64_t objects_not_taken;  /* of the one in force */
    uint64_t log_write_errors;   /* pieces of the access log cut by a full disk or the like */
    uint64_t log_lines_lost;     /* the lines they lost */
    int64_t build_ns, adopt_ns;  /* of the newest: to build it, and until every worker ran it */
};

/* Adds the whole text to `out`: 0, WT_ENOMEM or WT_ELIMIT (the buffer's cap). */
int proxy_metrics_render(struct proxy_stats *s, const struct proxy_metrics_info *info,
                         struct wt_buf *out, struct wt_err *err);

/* A family of one number, without labels, for a caller that knows what no table does. */
void proxy_metrics_add(struct wt_buf *out, const char *name, bool counter, const char *help,
                       uint64_t value);

#endif
