/* The io room's own: what the loop, fibers and streams know of each other. */
#ifndef IO_INTERNAL_H
#define IO_INTERNAL_H

#include "io/fiber.h"
#include "io/stream.h"

#include <stdatomic.h>

/* ---- timer wheel (timer.c): 64 slots a level, 1 ms at the lowest ---- */
enum { WHEEL_LEVELS = 7, WHEEL_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_BITS };

struct io_wheel {
    int64_t now_ms;              /* every timer at or before it has fired */
    uint64_t full[WHEEL_LEVELS]; /* which slots may hold timers */
    struct wt_list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void io_wheel_init(struct io_wheel *w, int64_t now_ms);
void io_wheel_set(struct io_wheel *w, struct io_timer *t, int64_t at_ms);
void io_wheel_advance(struct io_wheel *w, int64_t now_ms); /* fires what is due */
int64_t io_wheel_next_ms(const struct io_wheel *w);        /* when to look again; IO_NEVER */

/* ---- stacks (stack.c) ---- */
struct io_stack_mem {
    char *low; /* lowest usable byte, above the guard */
    size_t size_bytes;
};

int io_stack_new(size_t size_bytes, struct io_stack_mem *out);
void io_stack_free(struct io_stack_mem *s);
size_t io_stack_used(const struct io_stack_mem *s); /* high-water mark: bytes ever written */

/* ---- the loop ---- */
struct io_loop {
    struct io_sys *sys;
    int poll_fd;
    int wake_fd; /* eventfd; -1 on a simulated system */
    struct io_stream wake;
    int64_t now_ns, now_ms, wall_ms;
    struct io_wheel wheel;
    struct wt_list pending; /* streams with news */
    struct io_fiber *ready_head, *ready_tail;
    struct io_fiber *gathered_head, *gathered_tail; /* ready when no other is (io_gather) */
    struct io_fiber *later;                         /* yielded: ready in the next turn */
    struct io_fiber *current;
    void *loop_sp;            /* where the loop's own stack waits */
    struct io_fiber *idle[2]; /* ended fibers with their stacks, by class, for reuse */
    unsigned n_idle[2];
    _Atomic(struct io_task *) tasks;
    atomic_uint posting; /* threads that still need wake_fd */
    atomic_bool stop;
    struct io_loop_stats stats;
    /* sanitizers */
    void *asan_fake_stack;
    const void *asan_stack;
    size_t asan_stack_size;
    void *tsan_fiber;
};

extern _Thread_local struct io_loop *io_loop_current;

void io_park_shielded(void);
void io_fiber_resume_yielded(struct io_loop *loop);
void io_fiber_run_ready(struct io_loop *loop);
bool io_fiber_resume_gathered(struct io_loop *loop); /* false: there were none */
void io_fiber_free_idle(struct io_loop *loop);
void io_stream_dispatch(struct io_loop *loop);

#endif
