#include "io/loop.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/internal.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Thread_local struct io_loop *io_loop_current;

static void woken(struct io_stream *s)
{
    uint64_t n;
    s->ready &= (uint8_t)~IO_IN;
    ssize_t ignored = read(s->fd, &n, sizeof n);
    (void)ignored;
}

static void read_clocks(struct io_loop *loop)
{
    loop->now_ns = loop->sys->mono_ns(loop->sys);
    loop->now_ms = loop->now_ns / WT_MS_NS;
    loop->wall_ms = loop->sys->wall_ms(loop->sys);
}

static int open_wake(struct io_loop *loop)
{
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0)
        return -errno;
    loop->wake.fd = loop->wake_fd;
    loop->wake.on_ready = woken;
    return loop->sys->poll_add(loop->sys, loop->poll_fd, loop->wake_fd, &loop->wake);
}

int io_loop_new(struct io_sys *sys, struct io_loop **out, struct wt_err *err)
{
    struct io_loop *loop = wt_calloc(1, sizeof *loop);
    if (!loop)
        return wt_fail(err, WT_ENOMEM, "event loop: out of memory");
    loop->sys = sys;
    loop->wake_fd = -1;
    io_stream_init(&loop->wake);
    wt_list_init(&loop->pending);
    read_clocks(loop);
    io_wheel_init(&loop->wheel, loop->now_ms);
    loop->poll_fd = sys->poll_open(sys);
    int r = loop->poll_fd;
    if (r >= 0 && !sys->single_threaded)
        r = open_wake(loop);
    if (r < 0) {
        io_loop_free(loop);
        return wt_fail(err, wt_code_from_errno(-r), "event loop: %s", strerror(-r));
    }
    *out = loop;
    return 0;
}

void io_loop_free(struct io_loop *loop)
{
    /* A task may have run, and so ended the loop, before its poster has rung: the descriptor could
     * be another's by then. */
    while (atomic_load_explicit(&loop->posting, memory_order_acquire))
        sched_yield();
    io_fiber_free_idle(loop);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->poll_fd >= 0)
        loop->sys->close(loop->sys, loop->poll_fd);
    if (io_loop_current == loop)
        io_loop_current = NULL;
    wt_free(loop);
}

/* ---- tasks from other threads ---- */

void io_loop_post(struct io_loop *loop, struct io_task *task)
{
    struct io_task *old = atomic_load_explicit(&loop->tasks, memory_order_relaxed);
    atomic_fetch_add_explicit(&loop->posting, 1, memory_order_relaxed);
    do
        task->next = old;
    while (!atomic_compare_exchange_weak_explicit(&loop->tasks, &old, task, memory_order_release,
                                                  memory_order_relaxed));
    /* Else whoever put the first one there rings, or there is one thread only. */
    uint64_t one = 1;
    ssize_t ignored = !old && loop->wake_fd >= 0 ? write(loop->wake_fd, &one, sizeof one) : 0;
    (void)ignored;
    atomic_fetch_sub_explicit(&loop->posting, 1, memory_order_release);
}

static void run_tasks(struct io_loop *loop)
{
    if (!atomic_load_explicit(&loop->tasks, memory_order_relaxed))
        return;
    struct io_task *newest = atomic_exchange_explicit(&loop->tasks, NULL, memory_order_acquire);
    struct io_task *oldest = NULL;
    while (newest) {
        struct io_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct io_task *next = oldest->next;
        oldest->run(oldest);
        oldest = next;
    }
}

static void stop_task(struct io_task *task)
{
    wt_free(task);
}

void io_loop_stop(struct io_loop *loop)
{
    atomic_store(&loop->stop, true);
    struct io_task *t =
        wt_calloc(1, sizeof *t); /* only to wake it; without memory it stops later */
    if (!t)
        return;
    t->run = stop_task;
    io_loop_post(loop, t);
}

/* ---- the loop ---- */

static void note_ready(struct io_loop *loop, const struct io_ready *ready, int n)
{
    for (int i = 0; i < n; i++) {
        struct io_stream *s = ready[i].data;
        s->ready |= (uint8_t)ready[i].events;
        if (wt_list_empty(&s->pending))
            wt_list_add_tail(&loop->pending, &s->pending);
    }
}

static int64_t wait_time_ms(struct io_loop *loop)
{
    if (loop->ready_head || loop->later || !wt_list_empty(&loop->pending) ||
        atomic_load(&loop->tasks))
        return 0;
    int64_t next = io_wheel_next_ms(&loop->wheel);
    if (next == IO_NEVER)
        return -1;
    int64_t wait = next - loop->now_ms;
    return wait < 0 ? 0 : wait;
}

static void run_flows(struct io_loop *loop)
{
    do {
        io_stream_dispatch(loop);
        io_fiber_run_ready(loop);
    } while (!wt_list_empty(&loop->pending) || io_fiber_resume_gathered(loop));
}

static void turn(struct io_loop *loop)
{
    struct io_ready ready[256] WT_UNSET;
    int n = loop->sys->poll_wait(loop->sys, loop->poll_fd, ready, 256, wait_time_ms(loop));
    read_clocks(loop);
    loop->stats.turns++;
    if (n > 0) {
        loop->stats.events += (uint64_t)n;
        note_ready(loop, ready, n);
    }
    run_tasks(loop);
    io_fiber_resume_yielded(loop);
    io_wheel_advance(&loop->wheel, loop->now_ms);
    run_flows(loop);
}

void io_loop_run(struct io_loop *loop, bool until_idle)
{
    struct io_loop *outer = io_loop_current;
    io_loop_current = loop;
    atomic_store(&loop->stop, false);
    run_flows(loop);
    while (!atomic_load_explicit(&loop->stop, memory_order_relaxed) &&
           !(until_idle && loop->stats.fibers_live == 0))
        turn(loop);
    io_loop_current = outer;
}

struct io_loop *io_loop_here(void)
{
    return io_loop_current;
}

struct io_sys *io_sys_here(void)
{
    return io_loop_current->sys;
}

int64_t io_now_ns(void)
{
    return io_loop_current->now_ns;
}

int64_t io_now_ms(void)
{
    return io_loop_current->now_ms;
}

int64_t io_wall_ms(void)
{
    return io_loop_current->wall_ms;
}

void io_loop_trim(void)
{
    io_fiber_free_idle(io_loop_current);
}

void io_loop_get_stats(const struct io_loop *loop, struct io_loop_stats *out)
{
    *out = loop->stats;
    out->stacks_cached = loop->n_idle[0] + loop->n_idle[1];
}
