#include "base/map.h"

#include "base/hash.h"
#include "base/mem.h"

#include <pthread.h>
#include <sys/random.h>

static struct wt_hash_key map_key;
static pthread_once_t map_key_once = PTHREAD_ONCE_INIT;

/* The key only has to be unknown to whoever sends the keys; a failing getrandom leaves a weaker
 * one. */
static void make_map_key(void)
{
    uint8_t bytes[16] = {0};
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) < 0)
        memcpy(bytes, &(void *){(void *)&map_key}, sizeof(void *));
    map_key = wt_hash_key_from(bytes);
}

static uint64_t hash_of(struct wt_str key)
{
    pthread_once(&map_key_once, make_map_key);
    return wt_hash_str(map_key, key);
}

void wt_map_done(struct wt_map *m)
{
    for (uint32_t i = 0; i < m->n_entries; i++)
        wt_free((char *)m->entries[i].key.ptr);
    wt_free(m->entries);
    wt_free(m->index);
    *m = (struct wt_map){0};
}

static struct wt_map_entry *find(const struct wt_map *m, struct wt_str key, uint64_t hash)
{
    if (!m->n_index)
        return NULL;
    for (uint32_t i = (uint32_t)hash & (m->n_index - 1); m->index[i];
         i = (i + 1) & (m->n_index - 1)) {
        struct wt_map_entry *e = &m->entries[m->index[i] - 1];
        if (e->hash == hash && wt_str_eq(e->key, key))
            return e;
    }
    return NULL;
}

void *wt_map_get(const struct wt_map *m, struct wt_str key)
{
    if (!m->n_live)
        return NULL;
    const struct wt_map_entry *e = find(m, key, hash_of(key));
    return e ? e->value : NULL;
}

static void place(struct wt_map *m, uint32_t entry)
{
    uint32_t i = (uint32_t)m->entries[entry].hash & (m->n_index - 1);
    while (m->index[i])
        i = (i + 1) & (m->n_index - 1);
    m->index[i] = entry + 1;
}

/* Drops removed entries and makes room for one more; the index stays at most half full. */
static int grow(struct wt_map *m)
{
    uint32_t cap = m->n_live < 8 ? 16 : m->n_live * 2;
    struct wt_map_entry *entries = wt_calloc(cap, sizeof *entries);
    uint32_t n_index = 32;
    while (n_index < cap * 2)
        n_index *= 2;
    uint32_t *index = wt_calloc(n_index, sizeof *index);
    if (!entries || !index) {
        wt_free(entries);
        wt_free(index);
        return WT_ENOMEM;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_entries; i++) {
        if (m->entries[i].value)
            entries[n++] = m->entries[i];
        else
            wt_free((char *)m->entries[i].key.ptr);
    }
    wt_free(m->entries);
    wt_free(m->index);
    *m = (struct wt_map){entries, index, n, cap, n_index, n};
    for (uint32_t i = 0; i < n; i++)
        place(m, i);
    return 0;
}

int wt_map_put(struct wt_map *m, struct wt_str key, void *value, void **out_old)
{
    uint64_t hash = hash_of(key);
    struct wt_map_entry *e = find(m, key, hash);
    if (e) {
        if (out_old)
            *out_old = e->value;
        m->n_live += e->value == NULL;
        e->value = value;
        return 0;
    }
    if (m->n_entries == m->cap_entries && grow(m) < 0)
        return WT_ENOMEM;
    char *copy = wt_str_dup(key);
    if (!copy)
        return WT_ENOMEM;
    m->entries[m->n_entries] = (struct wt_map_entry){wt_str(copy, key.len), value, hash};
    place(m, m->n_entries++);
    m->n_live++;
    if (out_old)
        *out_old = NULL;
    return 0;
}

void *wt_map_take(struct wt_map *m, struct wt_str key)
{
    struct wt_map_entry *e = m->n_live ? find(m, key, hash_of(key)) : NULL;
    if (!e || !e->value)
        return NULL;
    void *value = e->value;
    e->value = NULL;
    m->n_live--;
    return value;
}

struct wt_map_entry *wt_map_first(const struct wt_map *m)
{
    return m->n_entries ? wt_map_next(m, m->entries - 1) : NULL;
}

struct wt_map_entry *wt_map_next(const struct wt_map *m, const struct wt_map_entry *e)
{
    const struct wt_map_entry *end = m->entries + m->n_entries;
    for (e++; e < end; e++)
        if (e->value)
            return (struct wt_map_entry *)e;
    return NULL;
}
