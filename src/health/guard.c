#include "health/guard.h"

#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum {
    WORDS = HEALTH_GUARD_SLOTS / 64,
    BASELINE_REQUESTS = 1000, /* a step with fewer adds to what is known of "before" */
    RING = 256,
};

/* Order of the bitmaps: seen old, bad old, seen new, bad new. */
enum mark { MARK_SEEN, MARK_BAD, MARKS };

/* Written by one worker only, so that an addition needs no locked instruction; 64 bytes apart, so
 * that workers do not fight for a cache line. */
struct tally {
    _Alignas(64) _Atomic uint64_t tried[HEALTH_SIDES];
    _Atomic uint64_t total[HEALTH_SIDES], bad[HEALTH_SIDES]; /* requests; of the step only */
};

struct window {
    _Atomic uint64_t bits[HEALTH_SIDES][MARKS][WORDS];
    _Atomic uint64_t count[HEALTH_SIDES][MARKS];
    _Atomic uint64_t index;
    _Atomic int64_t ends_ms;
    struct tally tally[HEALTH_GUARD_WORKERS];
};

/* Two windows by turns: the one that comes is emptied before it is shown. */
struct span {
    struct window window[2];
    _Atomic unsigned current;
    _Atomic bool turning;
};

/* Slots in the order in which they turned bad in their minute. Any thread adds; whoever holds the
 * lock takes them out, and is called often enough that none is overwritten before. An entry is
 * slot, side, how often the ring has turned (so that one not written yet is known), and the time.
 */
struct ring {
    _Atomic uint64_t head;
    _Atomic uint64_t entry[RING], good[RING];
    uint64_t taken; /* under the lock */
};

struct health_guard {
    struct span span[HEALTH_SPANS], pulse;
    struct ring ring;
    _Atomic bool alone;     /* only then pulses and spells are counted */
    _Atomic uint64_t spell; /* run << 32 | recent; written by who turns the pulse */
    _Atomic int64_t began_ms;
    _Atomic int verdict;
    unsigned workers;
    pthread_mutex_t lock; /* of what follows; never taken by observe() */
    struct health_params params;
    struct health_requests before;
    struct health_onsets onsets;
};

static inline uint64_t get(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static inline void set(_Atomic uint64_t *n, uint64_t value)
{
    atomic_store_explicit(n, value, memory_order_relaxed);
}

static inline int64_t get_ms(const _Atomic int64_t *ms)
{
    return atomic_load_explicit(ms, memory_order_relaxed);
}

static inline void add_mine(_Atomic uint64_t *n)
{
    set(n, get(n) + 1);
}

static void window_clear(struct window *w)
{
    for (int side = 0; side < HEALTH_SIDES; side++)
        for (int mark = 0; mark < MARKS; mark++) {
            if (get(&w->count[side][mark]) == 0)
                continue;
            set(&w->count[side][mark], 0);
            for (int i = 0; i < WORDS; i++)
                set(&w->bits[side][mark][i], 0);
        }
    for (int i = 0; i < HEALTH_GUARD_WORKERS; i++)
        for (int side = 0; side < HEALTH_SIDES; side++) {
            set(&w->tally[i].tried[side], 0);
            set(&w->tally[i].total[side], 0);
            set(&w->tally[i].bad[side], 0);
        }
}

static struct window *window_now(struct span *s)
{
    return &s->window[atomic_load_explicit(&s->current, memory_order_acquire)];
}

/* Shows the other window, empty. The caller has won `turning`. */
static void span_turn(struct span *s, uint64_t index, int64_t ends_ms)
{
    unsigned next = !atomic_load_explicit(&s->current, memory_order_relaxed);
    struct window *w = &s->window[next];
    window_clear(w);
    set(&w->index, index);
    atomic_store_explicit(&w->ends_ms, ends_ms, memory_order_relaxed);
    atomic_store_explicit(&s->current, next, memory_order_release);
}

static bool turn_try(struct span *s)
{
    return !atomic_exchange_explicit(&s->turning, true, memory_order_acquire);
}

static void turn_end(struct span *s)
{
    atomic_store_explicit(&s->turning, false, memory_order_release);
}

static bool is_over(struct span *s, int64_t now_ms)
{
    return now_ms >= get_ms(&window_now(s)->ends_ms);
}

static void __attribute__((noinline))
span_advance(struct health_guard *g, enum health_span which, int64_t now_ms)
{
    struct span *s = &g->span[which];
    if (!turn_try(s))
        return;
    /* Asked again: another thread may have turned it, or begin() may have started anew. */
    if (is_over(s, now_ms)) {
        int64_t length = health_span_ms(which);
        int64_t began = get_ms(&g->began_ms);
        int64_t index = (now_ms - began) / length;
        span_turn(s, (uint64_t)index, began + (index + 1) * length);
    }
    turn_end(s);
}

static struct health_spell spell_of(const struct health_guard *g)
{
    uint64_t packed = get(&g->spell);
    return (struct health_spell){(uint32_t)(packed >> 32), (uint32_t)packed};
}

static struct health_pulse pulse_of(const struct health_guard *g, const struct window *w)
{
    struct health_pulse p = {{0}, {0}};
    for (int side = 0; side < HEALTH_SIDES; side++) {
        p.bad[side] = get(&w->count[side][MARK_BAD]);
        for (unsigned i = 0; i < g->workers; i++)
            p.tried[side] += get(&w->tally[i].tried[side]);
    }
    return p;
}

/* A spell begins anew with each pulse that follows one which was not mostly bad. */
static void __attribute__((noinline)) pulse_advance(struct health_guard *g, int64_t now_ms)
{
    struct span *s = &g->pulse, *spell = &g->span[HEALTH_SPAN_SPELL];
    if (!turn_try(s))
        return;
    if (is_over(s, now_ms)) {
        struct health_pulse ended = pulse_of(g, window_now(s));
        struct health_spell so_far = spell_of(g);
        int64_t began = get_ms(&g->began_ms), index = (now_ms - began) / HEALTH_PULSE_MS;
        bool goes_on = health_spell_add(&so_far, &ended);
        set(&g->spell, (uint64_t)so_far.run << 32 | so_far.recent);
        span_turn(s, (uint64_t)index, began + (index + 1) * HEALTH_PULSE_MS);
        if (!goes_on && turn_try(spell)) {
            span_turn(spell, (uint64_t)index, INT64_MAX);
            turn_end(spell);
        }
    }
    turn_end(s);
}

/* The caller has no lock that a turn waits for. */
static void span_restart(struct span *s, int64_t ends_ms)
{
    while (!turn_try(s))
        sched_yield();
    span_turn(s, 0, ends_ms);
    turn_end(s);
}

static void restart(struct health_guard *g, const struct health_params *params, int64_t now_ms)
{
    bool alone = health_evidence_is_alone(params);
    g->params = *params;
    atomic_store_explicit(&g->began_ms, now_ms, memory_order_relaxed);
    span_restart(&g->span[HEALTH_SPAN_STEP], INT64_MAX);
    span_restart(&g->span[HEALTH_SPAN_MINUTE], now_ms + health_span_ms(HEALTH_SPAN_MINUTE));
    if (alone) { /* else their bitmaps need not even be in memory */
        span_restart(&g->pulse, now_ms + HEALTH_PULSE_MS);
        span_restart(&g->span[HEALTH_SPAN_SPELL], INT64_MAX);
        set(&g->spell, 0);
    }
    atomic_store_explicit(&g->alone, alone, memory_order_release);
    g->onsets = (struct health_onsets){0};
    g->ring.taken = get(&g->ring.head);
    atomic_store(&g->verdict, HEALTH_CAUSE_NONE);
}

struct health_guard *health_guard_new(const struct health_params *params, unsigned workers,
                                      int64_t now_ms)
{
    if (workers < 1 || workers > HEALTH_GUARD_WORKERS)
        return NULL;
    /* The counters' alignment is a matter of speed only, but the type promises it to the compiler.
     */
    void *memory = wt_calloc(1, sizeof(struct health_guard) + 64 + sizeof(void *));
    if (!memory)
        return NULL;
    uintptr_t aligned = ((uintptr_t)memory + sizeof(void *) + 63) & ~(uintptr_t)63;
    ((void **)aligned)[-1] = memory;
    struct health_guard *g = (struct health_guard *)aligned;
    pthread_mutex_init(&g->lock, NULL);
    g->workers = workers;
    restart(g, params, now_ms);
    return g;
}

void health_guard_free(struct health_guard *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->lock);
    wt_free(((void **)g)[-1]);
}

static struct health_requests requests_of(struct health_guard *g, enum health_side side)
{
    struct window *w = window_now(&g->span[HEALTH_SPAN_STEP]);
    struct health_requests sum = {0, 0};
    for (unsigned i = 0; i < g->workers; i++) {
        sum.total += get(&w->tally[i].total[side]);
        sum.bad += get(&w->tally[i].bad[side]);
    }
    return sum;
}

void health_guard_begin(struct health_guard *g, const struct health_params *params, int64_t now_ms)
{
    pthread_mutex_lock(&g->lock);
    struct health_requests old = requests_of(g, HEALTH_OLD);
    if (atomic_load(&g->verdict) == HEALTH_CAUSE_NONE) {
        bool is_long = old.total >= BASELINE_REQUESTS;
        g->before.total = old.total + (is_long ? 0 : g->before.total);
        g->before.bad = old.bad + (is_long ? 0 : g->before.bad);
    }
    restart(g, params, now_ms);
    pthread_mutex_unlock(&g->lock);
}

/* True when this call was the first to mark the slot. */
static bool mark(struct window *w, enum health_side side, enum mark which, uint16_t slot)
{
    _Atomic uint64_t *word = &w->bits[side][which][slot / 64];
    uint64_t bit = UINT64_C(1) << (slot % 64);
    if (get(word) & bit)
        return false;
    if (atomic_fetch_or_explicit(word, bit, memory_order_relaxed) & bit)
        return false;
    atomic_fetch_add_explicit(&w->count[side][which], 1, memory_order_relaxed);
    return true;
}

static bool was_bad(const struct window *w, enum health_side side, uint16_t slot)
{
    return get(&w->bits[side][MARK_BAD][slot / 64]) >> (slot % 64) & 1;
}

static uint64_t turn_of(uint64_t index)
{
    return (index / RING + 1) & 0x7fff;
}

/* Returns true when the ring wants to be emptied, though the old side alone has filled it. */
static bool __attribute__((noinline))
ring_add(struct health_guard *g, enum health_side side, uint16_t slot, int64_t now_ms)
{
    struct ring *r = &g->ring;
    struct health_requests new = requests_of(g, HEALTH_NEW);
    uint64_t index = atomic_fetch_add_explicit(&r->head, 1, memory_order_relaxed);
    uint64_t entry = (uint64_t)slot << 48 | (uint64_t)(side == HEALTH_NEW) << 47 |
                     turn_of(index) << 32 | (uint32_t)now_ms;
    set(&r->good[index % RING], new.total - new.bad);
    atomic_store_explicit(&r->entry[index % RING], entry, memory_order_release);
    return index % (RING / 4) == RING / 4 - 1;
}

static void ring_take(struct health_guard *g, int64_t now_ms)
{
    struct ring *r = &g->ring;
    uint64_t head = get(&r->head);
    if (head - r->taken > RING) { /* some are lost: accounts with holes prove nothing */
        g->onsets.n = 0;
        r->taken = head - RING;
    }
    for (; r->taken < head; r->taken++) {
        unsigned i = r->taken % RING;
        uint64_t entry = atomic_load_explicit(&r->entry[i], memory_order_acquire);
        if ((entry >> 32 & 0x7fff) != turn_of(r->taken))
            break; /* its writer is not done; next time */
        /* Its age by the low 32 bits of the clock: a few seconds, or negative by some. */
        int64_t age_ms = (int32_t)((uint32_t)now_ms - (uint32_t)entry);
        int64_t at_ms = now_ms - age_ms - get_ms(&g->began_ms);
        if (at_ms >= 0) /* else it is of the step before */
            health_onset_add(&g->onsets, entry >> 47 & 1 ? HEALTH_NEW : HEALTH_OLD,
                             (uint16_t)(entry >> 48), at_ms, get(&r->good[i]));
    }
}

/* True when this attempt was the slot's first bad one in the window. */
static bool window_try(struct window *w, unsigned worker, enum health_side side, uint16_t slot,
                       bool bad)
{
    if (was_bad(w, side, slot))
        return false;
    add_mine(&w->tally[worker].tried[side]);
    return bad && mark(w, side, MARK_BAD, slot);
}

static bool observe_alone(struct health_guard *g, unsigned worker, enum health_side side,
                          uint16_t slot, bool bad, int64_t now_ms)
{
    if (is_over(&g->pulse, now_ms))
        pulse_advance(g, now_ms);
    window_try(window_now(&g->span[HEALTH_SPAN_SPELL]), worker, side, slot, bad);
    return window_try(window_now(&g->pulse), worker, side, slot, bad);
}

bool health_guard_observe(struct health_guard *g, unsigned worker, enum health_side side,
                          uint16_t slot, bool bad, int64_t now_ms)
{
    bool first_bad = false, judge = false;
    struct tally *mine = &window_now(&g->span[HEALTH_SPAN_STEP])->tally[worker];
    add_mine(&mine->total[side]);
    if (bad)
        add_mine(&mine->bad[side]);
    if (atomic_load_explicit(&g->alone, memory_order_acquire))
        first_bad = observe_alone(g, worker, side, slot, bad, now_ms);
    for (int i = 0; i < HEALTH_SPAN_SPELL; i++) {
        struct span *s = &g->span[i];
        if (is_over(s, now_ms))
            span_advance(g, (enum health_span)i, now_ms);
        struct window *w = window_now(s);
        mark(w, side, MARK_SEEN, slot);
        if (!window_try(w, worker, side, slot, bad))
            continue;
        first_bad = true;
        if (i == HEALTH_SPAN_MINUTE)
            judge = ring_add(g, side, slot, now_ms);
    }
    return judge || (first_bad && side == HEALTH_NEW);
}

static void window_read(const struct health_guard *g, const struct window *w,
                        struct health_counts *out)
{
    out->index = get(&w->index);
    for (int side = 0; side < HEALTH_SIDES; side++) {
        struct health_tally *t = &out->side[side];
        t->seen = get(&w->count[side][MARK_SEEN]);
        t->bad = get(&w->count[side][MARK_BAD]);
        t->tried = 0;
        for (unsigned i = 0; i < g->workers; i++)
            t->tried += get(&w->tally[i].tried[side]);
    }
}

static void read_locked(struct health_guard *g, int64_t now_ms, struct health_evidence *out)
{
    memset(out, 0, sizeof(*out));
    bool alone = atomic_load(&g->alone);
    if (alone && is_over(&g->pulse, now_ms))
        pulse_advance(g, now_ms);
    for (int i = 0; i < (alone ? HEALTH_SPANS : HEALTH_SPAN_SPELL); i++) {
        if (is_over(&g->span[i], now_ms))
            span_advance(g, (enum health_span)i, now_ms);
        window_read(g, window_now(&g->span[i]), &out->span[i]);
    }
    if (alone)
        out->spell = spell_of(g);
    for (int side = 0; side < HEALTH_SIDES; side++)
        out->requests[side] = requests_of(g, (enum health_side)side);
    out->before = g->before;
    ring_take(g, now_ms);
    out->onsets = g->onsets;
}

enum health_cause health_guard_judge(struct health_guard *g, int64_t now_ms, bool *out_first)
{
    struct health_evidence e;
    bool first = false;
    pthread_mutex_lock(&g->lock);
    enum health_cause verdict = (enum health_cause)atomic_load(&g->verdict);
    if (verdict != HEALTH_CAUSE_ERRORS) {
        read_locked(g, now_ms, &e);
        enum health_cause now = health_evidence_judge(&g->params, &e);
        first = now == HEALTH_CAUSE_ERRORS || (now != verdict && verdict == HEALTH_CAUSE_NONE);
        if (first)
            atomic_store(&g->verdict, verdict = now);
    }
    pthread_mutex_unlock(&g->lock);
    if (out_first)
        *out_first = first;
    return verdict;
}

void health_guard_read(struct health_guard *g, int64_t now_ms, struct health_evidence *out)
{
    pthread_mutex_lock(&g->lock);
    read_locked(g, now_ms, out);
    pthread_mutex_unlock(&g->lock);
}

/* Bytes with the lowest slot in the lowest bit, whatever the machine's byte order. */
void health_guard_export(const struct health_guard *g, uint8_t *out)
{
    const struct span *s = &g->span[HEALTH_SPAN_STEP];
    const struct window *w = &s->window[atomic_load_explicit(&s->current, memory_order_acquire)];
    for (int side = 0; side < HEALTH_SIDES; side++)
        for (int which = 0; which < MARKS; which++)
            for (int i = 0; i < WORDS; i++) {
                uint64_t word = get(&w->bits[side][which][i]);
                for (int b = 0; b < 8; b++)
                    *out++ = (uint8_t)(word >> (8 * b));
            }
}

static uint64_t bits_in(const uint8_t *bytes)
{
    uint64_t n = 0, word;
    for (size_t i = 0; i < HEALTH_GUARD_BITMAP_BYTES; i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        n += (uint64_t)__builtin_popcountll(word);
    }
    return n;
}

void health_guard_union(uint8_t *into, const uint8_t *from, struct health_counts *counts)
{
    for (size_t i = 0; i < (size_t)HEALTH_GUARD_BITMAPS * HEALTH_GUARD_BITMAP_BYTES; i++)
        into[i] |= from[i];
    if (!counts)
        return;
    for (int side = 0; side < HEALTH_SIDES; side++) {
        const uint8_t *bits = into + (size_t)side * MARKS * HEALTH_GUARD_BITMAP_BYTES;
        counts->side[side].seen = bits_in(bits);
        counts->side[side].bad = bits_in(bits + HEALTH_GUARD_BITMAP_BYTES);
    }
}
