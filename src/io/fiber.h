/* Fibers: stackful, cooperative, bound to the loop that spawned them. A flow (a connection, a
 * probe, a reconcile) is a fiber that reads from top to bottom.
 *
 * Each stack ends in a guard. Switches carry AddressSanitizer and ThreadSanitizer annotations. A
 * fiber never waits inside a callback of a library (SQLite, libyaml, OpenSSL).
 *
 * Every wait takes a deadline (io_now_ms() based; IO_NEVER where the owner cancels) and may return
 * WT_ECANCELED; after io_cancel() every further wait of that fiber returns it too, so clean-up does
 * not wait.
 */
#ifndef IO_FIBER_H
#define IO_FIBER_H

#include "io/loop.h"

struct io_fiber;

enum io_stack {
    IO_STACK_FLOW, /* 64 KiB: connections, probes */
    IO_STACK_DEEP, /* 256 KiB: parsers, SQLite, handshakes */
};

/* Starts `run(arg)` on the loop that runs here, later in this turn. With `out` the caller must
 * io_join() it; without, it is detached. WT_ENOMEM when no stack can be had. */
int io_spawn(enum io_stack stack, void (*run)(void *arg), void *arg,
             struct io_fiber **out) WT_NODISCARD;

/* As io_spawn on a loop that does not run yet (for its first fibers). */
int io_spawn_on(struct io_loop *loop, enum io_stack stack, void (*run)(void *arg), void *arg,
                struct io_fiber **out) WT_NODISCARD;

struct io_fiber *io_self(void); /* NULL outside of fibers */

void io_join(struct io_fiber *f);   /* waits for its end (not cancellable); frees the handle */
void io_cancel(struct io_fiber *f); /* same loop only */
_Bool io_canceled(void);            /* whether this fiber is */
void io_uncancel(void);             /* it has understood, and goes on */

int io_sleep_until(int64_t at_ms); /* 0 at the time, or WT_ECANCELED */
void io_yield(void);               /* lets all others run; comes back in the next turn */

/* Lets all run first that are ready, and comes back in this turn: who is about to send calls it, so
 * that the sends of a turn follow each other. A receiver on this machine is then woken once for all
 * of them and not once for each; the wake-up is the dearest part of a send. */
void io_gather(void);

/* The ground floor, for those who build waits: io_park() returns 0 when io_unpark(f) is called
 * (also before it parks), WT_ETIMEOUT or WT_ECANCELED. */
int io_park(int64_t deadline_ms);
void io_unpark(struct io_fiber *f);

/* A condition within one loop. Waiters re-check their predicate. */
struct io_cond {
    struct wt_list waiters;
};

void io_cond_init(struct io_cond *c);
int io_cond_wait(struct io_cond *c, int64_t deadline_ms);
void io_cond_broadcast(struct io_cond *c);

/* Runs `work(arg)` on a helper thread while the fiber waits (blocking resolver, disk sync). It
 * cannot be cancelled: it waits for the end. Outside of a fiber, or on a simulated system, it runs
 * in place. */
void io_offload(void (*work)(void *arg), void *arg);

/* The same for work that may hang for seconds (a resolver): it has threads of its own, so that it
 * delays nothing that goes to the disk. */
void io_offload_slow(void (*work)(void *arg), void *arg);

#endif
