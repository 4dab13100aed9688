/* Every counter that the proxy shows, said once: its names, its help and where it is kept. /metrics
 * and /stats are both made from this table. */
#ifndef PROXY_COUNTERS_H
#define PROXY_COUNTERS_H

#include "proxy/stats.h"

/* How the words at `offset` of the summed struct are read. */
enum proxy_shape {
    PROXY_SHAPE_COUNTER,
    PROXY_SHAPE_ACTIVE,     /* a uint64_t that goes up and down */
    PROXY_SHAPE_CLASSES,    /* uint64_t[PROXY_STATUS_CLASSES] */
    PROXY_SHAPE_SIDES,      /* uint64_t[PROXY_SIDES] */
    PROXY_SHAPE_TIME,       /* struct proxy_histogram, shown in milliseconds as Envoy does */
    PROXY_SHAPE_TIME_SIDES, /* struct proxy_histogram[PROXY_SIDES] */
    PROXY_SHAPE_GAUGE,      /* `offset` is the number of a gauge of the kind */
};

struct proxy_counter {
    enum proxy_stats_kind kind;
    enum proxy_shape shape;
    size_t offset;
    const char *name;   /* in /stats, after the entry's: "upstream_rq_total" */
    const char *metric; /* in /metrics: "envoy_cluster_upstream_rq_total" */
    const char *help;
    const char *label; /* in /metrics, for the entry's name; NULL: the kind's */
};

extern const struct proxy_counter proxy_counters[];
extern const size_t proxy_counters_len;

/* What proxy_stats_sum() fills for an entry of any kind that is in the table. */
union proxy_sums {
    struct proxy_backend_stats backend;
    struct proxy_listener_stats listener;
    struct proxy_migration_stats migration;
    char bytes[1];
};

/* The counter's words within the sums of an entry of its kind; meaningless for a gauge. */
const uint64_t *proxy_counter_words(const struct proxy_counter *c, const union proxy_sums *sums);

#endif
