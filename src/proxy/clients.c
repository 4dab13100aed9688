#include "proxy/clients.h"

#include "base/hash.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <pthread.h>

enum { SHARDS = 16, FIRST_SLOTS = 64 };

struct slot {
    uint64_t key; /* 0: free */
    uint32_t count;
};

/* Linear probing; at most half full, so that a free slot ends every search. */
struct shard {
    pthread_mutex_t lock;
    struct slot *slots;
    uint32_t n_slots, n_used; /* n_slots is a power of two */
};

struct proxy_clients {
    struct wt_hash_key secret;
    uint32_t each;
    struct shard shards[SHARDS];
};

struct proxy_clients *proxy_clients_new(struct io_sys *sys, uint32_t each)
{
    uint8_t secret[16];
    if (sys->random(sys, secret, sizeof secret) < 0)
        return NULL;
    struct proxy_clients *c = wt_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->secret = wt_hash_key_from(secret);
    c->each = each;
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_mutex_init(&c->shards[i].lock, NULL);
    return c;
}

void proxy_clients_free(struct proxy_clients *c)
{
    for (unsigned i = 0; c && i < SHARDS; i++) {
        pthread_mutex_destroy(&c->shards[i].lock);
        wt_free(c->shards[i].slots);
    }
    wt_free(c);
}

/* ---- who it is ---- */

static uint64_t key_of_v4(const void *bytes)
{
    uint32_t address;
    memcpy(&address, bytes, sizeof address);
    return UINT64_C(0xffff) << 32 | ntohl(address); /* no /64 is assigned there */
}

uint64_t proxy_client_key(const union io_addr *peer)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b};
    if (peer->sa.sa_family == AF_INET)
        return key_of_v4(&peer->in.sin_addr);
    if (peer->sa.sa_family != AF_INET6)
        return 0;
    const uint8_t *bytes = peer->in6.sin6_addr.s6_addr;
    if (memcmp(bytes, mapped, sizeof mapped) == 0 ||
        memcmp(bytes, translated, sizeof translated) == 0)
        return key_of_v4(bytes + 12);
    uint64_t key = 0;
    for (unsigned i = 0; i < 8; i++)
        key = key << 8 | bytes[i];
    return key ? key : 1; /* ::1 */
}

/* ---- the table ---- */

static uint64_t hash_of(const struct proxy_clients *c, uint64_t key)
{
    return wt_siphash(c->secret, &key, sizeof key);
}

static struct shard *shard_of(struct proxy_clients *c, uint64_t hash)
{
    return &c->shards[hash >> 60];
}

/* Where the key is, or would be. */
static uint32_t find(const struct shard *s, uint64_t hash, uint64_t key)
{
    uint32_t at = (uint32_t)hash & (s->n_slots - 1);
    while (s->slots[at].key && s->slots[at].key != key)
        at = (at + 1) & (s->n_slots - 1);
    return at;
}

static int grow(const struct proxy_clients *c, struct shard *s)
{
    struct shard larger = {.n_slots = s->n_slots ? s->n_slots * 2 : FIRST_SLOTS};
    larger.slots = wt_calloc(larger.n_slots, sizeof *larger.slots);
    if (!larger.slots)
        return WT_ENOMEM;
    for (uint32_t i = 0; i < s->n_slots; i++)
        if (s->slots[i].key)
            larger.slots[find(&larger, hash_of(c, s->slots[i].key), s->slots[i].key)] = s->slots[i];
    wt_free(s->slots);
    s->slots = larger.slots;
    s->n_slots = larger.n_slots;
    return 0;
}

/* Closes the gap: whoever was pushed past it moves up (Knuth, volume 3, algorithm 6.4R). */
static void erase(const struct proxy_clients *c, struct shard *s, uint32_t gap)
{
    uint32_t mask = s->n_slots - 1;
    for (uint32_t at = (gap + 1) & mask; s->slots[at].key; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)hash_of(c, s->slots[at].key) & mask;
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        s->slots[gap] = s->slots[at];
        gap = at;
    }
    s->slots[gap] = (struct slot){0};
    s->n_used--;
}

static int enter_locked(const struct proxy_clients *c, struct shard *s, uint64_t hash, uint64_t key)
{
    if (s->n_used * 2 >= s->n_slots && grow(c, s) < 0)
        return WT_ENOMEM;
    struct slot *slot = &s->slots[find(s, hash, key)];
    if (slot->count >= c->each)
        return WT_ELIMIT;
    s->n_used += slot->key == 0;
    slot->key = key;
    slot->count++;
    return 0;
}

int proxy_clients_enter(struct proxy_clients *c, uint64_t key)
{
    if (!c || !key)
        return 0;
    uint64_t hash = hash_of(c, key);
    struct shard *s = shard_of(c, hash);
    pthread_mutex_lock(&s->lock);
    int r = enter_locked(c, s, hash, key);
    pthread_mutex_unlock(&s->lock);
    return r;
}

void proxy_clients_leave(struct proxy_clients *c, uint64_t key)
{
    if (!c || !key)
        return;
    uint64_t hash = hash_of(c, key);
    struct shard *s = shard_of(c, hash);
    pthread_mutex_lock(&s->lock);
    uint32_t at = find(s, hash, key);
    if (--s->slots[at].count == 0)
        erase(c, s, at);
    pthread_mutex_unlock(&s->lock);
}

uint32_t proxy_clients_count(struct proxy_clients *c, uint64_t key)
{
    uint64_t hash = hash_of(c, key);
    struct shard *s = shard_of(c, hash);
    pthread_mutex_lock(&s->lock);
    uint32_t n = s->n_slots ? s->slots[find(s, hash, key)].count : 0;
    pthread_mutex_unlock(&s->lock);
    return n;
}

uint32_t proxy_clients_known(struct proxy_clients *c)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&c->shards[i].lock);
        n += c->shards[i].n_used;
        pthread_mutex_unlock(&c->shards[i].lock);
    }
    return n;
}
