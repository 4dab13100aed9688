/* The hash table under the route index: from (hash, number) pairs to numbers, where the caller
 * compares. The hash is not keyed: what is stored comes from the configuration, and a client that
 * aims at a bucket only finds what is there. */
#ifndef PROXY_ROUTE_TABLE_H
#define PROXY_ROUTE_TABLE_H

#include "base/err.h"
#include "base/hash.h"

#define PROXY_NO_INDEX UINT32_MAX

/* A power of two of slots, at most half of them in use. */
struct proxy_route_slot {
    uint32_t hash;   /* the upper half, which also says where */
    uint32_t number; /* + 1; 0: free */
};

struct proxy_route_table {
    struct proxy_route_slot *slots;
    uint32_t mask, used;
};

int proxy_route_table_init(struct proxy_route_table *t); /* WT_ENOMEM */
void proxy_route_table_done(struct proxy_route_table *t);
int proxy_route_table_add(struct proxy_route_table *t, uint64_t hash, uint32_t number);

/* for (uint32_t at = …first(t, hash), n; (n = …next(t, hash, &at)) != PROXY_NO_INDEX;) */
static inline uint32_t proxy_route_table_first(const struct proxy_route_table *t, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & t->mask;
}

static inline uint32_t proxy_route_table_next(const struct proxy_route_table *t, uint64_t hash,
                                              uint32_t *at)
{
    for (;;) {
        const struct proxy_route_slot *s = &t->slots[*at];
        *at = (*at + 1) & t->mask;
        if (!s->number)
            return PROXY_NO_INDEX;
        if (s->hash == (uint32_t)(hash >> 32))
            return s->number - 1;
    }
}

static inline uint64_t proxy_route_mix(uint64_t a, uint64_t b)
{
    __uint128_t r = (__uint128_t)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

/* Eight bytes a step. Chains: the result is the seed of the next piece, so the hashes of all
 * prefixes of a path come out of one walk. */
static inline uint64_t proxy_route_hash(uint64_t seed, const char *p, size_t n)
{
    uint64_t h = seed ^ (n * UINT64_C(0x9e3779b97f4a7c15));
    uint64_t word = 0;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = proxy_route_mix(h ^ word, UINT64_C(0xa0761d6478bd642f));
    }
    word = 0;
    for (size_t i = 0; i < n; i++)
        word = word << 8 | (unsigned char)p[i];
    return proxy_route_mix(h ^ word ^ UINT64_C(0xe7037ed1a0b428db), UINT64_C(0x8ebc6af09c88c6e3));
}

#endif
