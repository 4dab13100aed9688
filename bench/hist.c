#include "hist.h"

#include <math.h>

static uint32_t bucket_of(uint64_t value)
{
    if (value < (1u << HIST_SUB_BITS))
        return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HIST_SUB_BITS;
    uint64_t bucket =
        ((uint64_t)(shift + 1) << HIST_SUB_BITS) + ((value >> shift) & ((1u << HIST_SUB_BITS) - 1));
    return bucket < HIST_BUCKETS ? (uint32_t)bucket : HIST_BUCKETS - 1;
}

/* The greatest value that falls into the bucket. */
static int64_t bucket_end(uint32_t bucket)
{
    uint32_t power = bucket >> HIST_SUB_BITS;
    uint64_t sub = bucket & ((1u << HIST_SUB_BITS) - 1);
    if (power == 0)
        return (int64_t)sub;
    return (int64_t)((((1ULL << HIST_SUB_BITS) + sub + 1) << (power - 1)) - 1);
}

void hist_add(struct hist *hist, int64_t value_ns)
{
    int64_t value = value_ns < 0 ? 0 : value_ns;
    hist->buckets[bucket_of((uint64_t)value)]++;
    hist->count++;
    hist->sum_ns += value;
    if (value > hist->max_ns)
        hist->max_ns = value;
}

int64_t hist_quantile_ns(const struct hist *hist, double quantile)
{
    uint64_t wanted = (uint64_t)ceil(quantile * (double)hist->count);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        seen += hist->buckets[i];
        if (seen >= wanted && seen > 0) {
            int64_t end = bucket_end(i);
            return end < hist->max_ns ? end : hist->max_ns;
        }
    }
    return 0;
}

double hist_mean_ns(const struct hist *hist)
{
    return hist->count ? (double)hist->sum_ns / (double)hist->count : 0;
}
