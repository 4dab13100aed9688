#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

struct wt_arena_chunk {
    struct wt_arena_chunk *next;
    size_t size;
    _Alignas(16) char bytes[];
};

enum { CHUNK = 4096 - (int)sizeof(struct wt_arena_chunk), ALIGN = 16 };

#if defined(__SANITIZE_ADDRESS__)
#define EACH_ITS_OWN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EACH_ITS_OWN 1
#endif
#endif
#ifndef EACH_ITS_OWN
#define EACH_ITS_OWN 0
#endif

void wt_arena_lend(struct wt_arena *a, void *ptr, size_t size)
{
    uintptr_t skip = -(uintptr_t)ptr & (ALIGN - 1);
    if (EACH_ITS_OWN || size <= skip)
        return;
    a->at = (char *)ptr + skip;
    a->end = (char *)ptr + size;
}

void wt_arena_done(struct wt_arena *a)
{
    struct wt_arena_chunk *next;
    for (struct wt_arena_chunk *c = a->chunks; c; c = next) {
        next = c->next;
        wt_free(c);
    }
    *a = wt_arena_make(a->max);
}

static void *grow(struct wt_arena *a, size_t size)
{
    size_t chunk = EACH_ITS_OWN || size > CHUNK / 4 ? size : CHUNK;
    if (chunk > a->max - a->used)
        return NULL;
    struct wt_arena_chunk *c = wt_malloc(sizeof *c + chunk);
    if (!c)
        return NULL;
    c->size = chunk;
    c->next = a->chunks;
    a->chunks = c;
    a->used += chunk;
    if (chunk == CHUNK && !EACH_ITS_OWN) {
        a->at = c->bytes + size;
        a->end = c->bytes + chunk;
    }
    return c->bytes;
}

void *wt_arena_alloc(struct wt_arena *a, size_t size)
{
    if (size > a->max)
        return NULL;
    size_t padded = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (EACH_ITS_OWN || padded > (size_t)(a->end - a->at))
        return grow(a, EACH_ITS_OWN ? size : padded);
    void *p = a->at;
    a->at += padded;
    return p;
}

void *wt_arena_zalloc(struct wt_arena *a, size_t size)
{
    void *p = wt_arena_alloc(a, size);
    if (p)
        memset(p, 0, size);
    return p;
}

struct wt_str wt_arena_str(struct wt_arena *a, struct wt_str s)
{
    char *p = wt_arena_alloc(a, s.len + 1);
    if (!p)
        return wt_str(NULL, 0);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return wt_str(p, s.len);
}

char *wt_arena_printf(struct wt_arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : wt_arena_alloc(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}
