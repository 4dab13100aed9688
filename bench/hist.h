/* A histogram of durations with buckets of constant relative width (as HdrHistogram has): 64
 * buckets to each power of two, so a percentile is read at most 1.6 % too high, from 1 ns to 1,000
 * s.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

enum { HIST_SUB_BITS = 6, HIST_BUCKETS = (41 - HIST_SUB_BITS) << HIST_SUB_BITS };

struct hist {
    uint64_t count;
    int64_t sum_ns, max_ns;
    uint64_t buckets[HIST_BUCKETS];
};

/* Negative durations count as 0; those over 2^40 ns fall into the last bucket. */
void hist_add(struct hist *hist, int64_t value_ns);

/* The smallest bucket end that `quantile` (0 … 1) of the values do not exceed; 0 when empty. */
int64_t hist_quantile_ns(const struct hist *hist, double quantile);

/* 0 when empty. */
double hist_mean_ns(const struct hist *hist);

#endif
