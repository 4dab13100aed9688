/* SipHash-2-4 (Aumasson and Bernstein, 2012): the keyed hash for user slots, signed cookies and
 * maps. A keyed hash keeps an attacker from aiming at one slot or one bucket. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

struct wt_hash_key {
    uint64_t k0, k1;
};

uint64_t wt_siphash(struct wt_hash_key key, const void *ptr, size_t len);

static inline uint64_t wt_hash_str(struct wt_hash_key key, struct wt_str s)
{
    return wt_siphash(key, s.ptr, s.len);
}

/* Key bytes are little-endian, as in the paper's test vectors. */
struct wt_hash_key wt_hash_key_from(const uint8_t bytes[16]);

/* splitmix64 (Steele, Lea, Flood 2014): a full-avalanche mix of 64 bits; not keyed. */
static inline uint64_t wt_mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* A small generator for choices that need no secrecy (P2C, jitter, simulation). */
struct wt_rng {
    uint64_t state;
};

static inline uint64_t wt_rng_next(struct wt_rng *r)
{
    r->state += 0x9e3779b97f4a7c15u;
    uint64_t x = r->state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Uniform in [0, n), n > 0 (Lemire's multiplication; the bias is below 2^-32 for n < 2^32). */
static inline uint32_t wt_rng_below(struct wt_rng *r, uint32_t n)
{
    return (uint32_t)(((wt_rng_next(r) >> 32) * n) >> 32);
}

/* Uniform in [0, 1). */
static inline double wt_rng_unit(struct wt_rng *r)
{
    return (double)(wt_rng_next(r) >> 11) * 0x1.0p-53;
}

#endif
