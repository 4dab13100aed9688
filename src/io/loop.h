/* An event loop: one per thread. It resumes fibers (io/fiber.h) when descriptors are ready, timers
 * fire or other threads post tasks; callbacks exist only here and in io/stream.h.
 *
 * Times are monotonic milliseconds of the loop's system, read once per turn of the loop.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "base/err.h"
#include "base/list.h"
#include "io/sys.h"

#include <stdint.h>

#define IO_NEVER INT64_MAX

struct io_loop;

int io_loop_new(struct io_sys *sys, struct io_loop **out, struct wt_err *err) WT_NODISCARD;
void io_loop_free(struct io_loop *loop); /* no fiber may be left */

/* Runs on the calling thread until io_loop_stop(), which may come from any thread, or until no
 * fiber is left when `until_idle` is set. */
void io_loop_run(struct io_loop *loop, _Bool until_idle);
void io_loop_stop(struct io_loop *loop);

/* Gives back what the loop that runs here keeps for reuse (stacks of ended fibers). */
void io_loop_trim(void);

struct io_loop *io_loop_here(void); /* the loop that runs on this thread, or NULL */
/* Of the loop that runs here. */
struct io_sys *io_sys_here(void);
int64_t io_now_ms(void);
int64_t io_now_ns(void); /* as of the start of this turn */
int64_t io_wall_ms(
    void); /* wall clock, as of the start of this turn: for people only, never for deadlines */

/* A task is run once, on the loop's thread, between events. The caller owns it until it runs. */
struct io_task {
    struct io_task *next;
    void (*run)(struct io_task *task);
};

void io_loop_post(struct io_loop *loop, struct io_task *task);

/* A timer lives inside its owner; `fire` runs on the loop, must not block, and may set the timer
 * again. */
struct io_timer {
    struct wt_list node;
    int64_t at_ms;    /* when it fires; IO_NEVER: it does not */
    int64_t filed_ms; /* while it lies in the wheel: when that looks at it, at_ms or sooner */
    void (*fire)(struct io_timer *timer);
};

/* Of one that is new or was cancelled. */
void io_timer_init(struct io_timer *t, void (*fire)(struct io_timer *timer));
void io_timer_set(struct io_timer *t, int64_t at_ms); /* here; moves it if it was set */
void io_timer_stop(struct io_timer *t);   /* it may still lie in the wheel: its memory must stay */
void io_timer_cancel(struct io_timer *t); /* and it is out of the wheel: its memory may go */

/* Counters of one loop, for metrics. */
struct io_loop_stats {
    uint64_t turns;
    uint64_t events;
    uint64_t fibers_spawned;
    uint32_t fibers_live;
    uint32_t stacks_cached;
    size_t stack_high_water_bytes; /* deepest stack seen (sampled) */
};

void io_loop_get_stats(const struct io_loop *loop, struct io_loop_stats *out);

#endif
