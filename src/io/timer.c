/* A hierarchical timing wheel (Varghese and Lauck, 1987): setting and cancelling are O(1).
 * A timer sits at the level whose slots are just fine enough for its distance, and moves down as
 * time passes. Most timers are put off or stopped, again and again, and never fire: such a one
 * stays where it lies and is filed anew only when the wheel comes to it. */
#include "io/internal.h"

void io_wheel_init(struct io_wheel *w, int64_t now_ms)
{
    w->now_ms = now_ms;
    for (int l = 0; l < WHEEL_LEVELS; l++) {
        w->full[l] = 0;
        for (int s = 0; s < WHEEL_SLOTS; s++)
            wt_list_init(&w->slots[l][s]);
    }
}

static int level_of(uint64_t distance_ms)
{
    if (distance_ms == 0)
        return 0;
    int level = (63 - __builtin_clzll(distance_ms)) / WHEEL_BITS;
    return level < WHEEL_LEVELS ? level : WHEEL_LEVELS - 1;
}

static void file(struct io_wheel *w, struct io_timer *t)
{
    /* What is already due fires at the next advance, never at once: setting a timer runs no code.
     */
    int64_t at = t->at_ms > w->now_ms ? t->at_ms : w->now_ms + 1;
    const uint64_t longest = UINT64_C(1) << (WHEEL_LEVELS * WHEEL_BITS - 1);
    uint64_t distance = (uint64_t)(at - w->now_ms);
    if (distance > longest)
        at = w->now_ms + (int64_t)longest;
    int level = level_of((uint64_t)(at ^ w->now_ms));
    int slot = (int)((uint64_t)at >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
    t->filed_ms = at;
    wt_list_add_tail(&w->slots[level][slot], &t->node);
    w->full[level] |= UINT64_C(1) << slot;
}

void io_wheel_set(struct io_wheel *w, struct io_timer *t, int64_t at_ms)
{
    t->at_ms = at_ms;
    if (!wt_list_empty(&t->node) && t->filed_ms <= at_ms)
        return;
    wt_list_remove(&t->node);
    if (at_ms != IO_NEVER)
        file(w, t);
}

static void run_slot(struct io_wheel *w, int level, int slot)
{
    struct wt_list due;
    struct wt_list *ring = &w->slots[level][slot];
    w->full[level] &= ~(UINT64_C(1) << slot);
    if (wt_list_empty(ring))
        return;
    due = *ring;
    due.prev->next = due.next->prev = &due;
    wt_list_init(ring);
    while (!wt_list_empty(&due)) {
        struct io_timer *t = WT_CONTAINER(due.next, struct io_timer, node);
        wt_list_remove(&t->node);
        if (t->at_ms <= w->now_ms)
            t->fire(t);
        else if (t->at_ms != IO_NEVER)
            file(w, t);
    }
}

/* The first instant after now at which some slot comes due: the lowest level that has a slot ahead
 * wins. */
int64_t io_wheel_next_ms(const struct io_wheel *w)
{
    for (int l = 0; l < WHEEL_LEVELS; l++) {
        int shift = l * WHEEL_BITS;
        int at = (int)((uint64_t)w->now_ms >> shift) & (WHEEL_SLOTS - 1);
        uint64_t ahead = at == WHEEL_SLOTS - 1 ? 0 : w->full[l] & (~UINT64_C(0) << (at + 1));
        if (!ahead)
            continue;
        uint64_t base = (uint64_t)w->now_ms >> (shift + WHEEL_BITS) << (shift + WHEEL_BITS);
        return (int64_t)(base | (uint64_t)__builtin_ctzll(ahead) << shift);
    }
    return IO_NEVER;
}

void io_wheel_advance(struct io_wheel *w, int64_t now_ms)
{
    for (;;) {
        int64_t next = io_wheel_next_ms(w);
        if (next > now_ms)
            break;
        w->now_ms = next;
        /* From the top, so that what cascades down to this very instant is found below. */
        for (int l = WHEEL_LEVELS - 1; l >= 0; l--) {
            int shift = l * WHEEL_BITS;
            if ((uint64_t)next & ((UINT64_C(1) << shift) - 1))
                continue;
            run_slot(w, l, (int)((uint64_t)next >> shift) & (WHEEL_SLOTS - 1));
        }
    }
    if (now_ms > w->now_ms)
        w->now_ms = now_ms;
}

void io_timer_init(struct io_timer *t, void (*fire)(struct io_timer *timer))
{
    wt_list_init(&t->node);
    t->at_ms = IO_NEVER;
    t->fire = fire;
}

void io_timer_set(struct io_timer *t, int64_t at_ms)
{
    io_wheel_set(&io_loop_current->wheel, t, at_ms);
}

void io_timer_stop(struct io_timer *t)
{
    t->at_ms = IO_NEVER;
}

void io_timer_cancel(struct io_timer *t)
{
    wt_list_remove(&t->node);
    t->at_ms = IO_NEVER;
}
