#include "io/fiber.h"

#include "base/mem.h"
#include "io/internal.h"
#include "io/switch.h"

#include <assert.h>

#if defined(__SANITIZE_ADDRESS__)
#define ASAN_FIBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN_FIBERS 1
#endif
#endif
#ifdef ASAN_FIBERS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
enum { STACK_SCALE = 4 }; /* red zones make frames larger */
#else
enum { STACK_SCALE = 1 };
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

enum {
    MAX_IDLE = 512,      /* stacks kept for reuse, by class and loop */
    SAMPLE_EVERY = 2048, /* of how many ended fibers one stack is measured */
};

static const size_t stack_bytes[] = {
    [IO_STACK_FLOW] = (size_t)STACK_SCALE * 64 << 10,
    [IO_STACK_DEEP] = (size_t)STACK_SCALE * 256 << 10,
};

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_PARKED, FIBER_ENDED };

struct io_fiber {
    void *sp;
    struct io_loop *loop;
    struct io_fiber *next; /* in the ready queue, or among the idle ones */
    void (*run)(void *arg);
    void *arg;
    struct io_timer timer;
    struct io_stack_mem stack;
    struct io_fiber *joiner;
    enum fiber_state state;
    enum io_stack class;
    bool joinable;
    bool canceled;
    bool unparked;  /* io_unpark came before io_park */
    bool timed_out; /* why it woke */
    void *asan_fake_stack;
    void *tsan_fiber;
};

/* ---- switching ---- */

static void into_fiber(struct io_loop *loop, struct io_fiber *f)
{
    loop->current = f;
    f->state = FIBER_RUNNING;
#ifdef ASAN_FIBERS
    __sanitizer_start_switch_fiber(&loop->asan_fake_stack, f->stack.low, f->stack.size_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
    loop->tsan_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan_fiber, 0);
#endif
    io_switch_stacks(&loop->loop_sp, f->sp);
#ifdef ASAN_FIBERS
    __sanitizer_finish_switch_fiber(loop->asan_fake_stack, NULL, NULL);
#endif
    loop->current = NULL;
}

static void arrived(struct io_fiber *f)
{
#ifdef ASAN_FIBERS
    __sanitizer_finish_switch_fiber(f->asan_fake_stack, &f->loop->asan_stack,
                                    &f->loop->asan_stack_size);
#else
    (void)f;
#endif
}

static void into_loop(struct io_fiber *f)
{
    struct io_loop *loop = f->loop;
#ifdef ASAN_FIBERS
    /* NULL as the place for the fake stack frees it: this fiber does not come back. */
    __sanitizer_start_switch_fiber(f->state == FIBER_ENDED ? NULL : &f->asan_fake_stack,
                                   loop->asan_stack, loop->asan_stack_size);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(loop->tsan_fiber, 0);
#endif
    io_switch_stacks(&f->sp, loop->loop_sp);
    arrived(f);
}

static void append(struct io_fiber **head, struct io_fiber **tail, struct io_fiber *f)
{
    f->state = FIBER_READY;
    f->next = NULL;
    if (*head)
        (*tail)->next = f;
    else
        *head = f;
    *tail = f;
}

static void enqueue(struct io_fiber *f)
{
    append(&f->loop->ready_head, &f->loop->ready_tail, f);
}

static void entry(void)
{
    struct io_fiber *f = io_loop_current->current;
    arrived(f);
    f->run(f->arg);
    f->state = FIBER_ENDED;
    if (f->joiner)
        io_unpark(f->joiner);
    into_loop(f);
    __builtin_unreachable();
}

/* ---- life ---- */

static void deadline_passed(struct io_timer *t)
{
    struct io_fiber *f = WT_CONTAINER(t, struct io_fiber, timer);
    f->timed_out = true;
    enqueue(f);
}

static struct io_fiber *fiber_new(struct io_loop *loop, enum io_stack class)
{
    struct io_fiber *f = loop->idle[class];
    if (f) {
        loop->idle[class] = f->next;
        loop->n_idle[class]--;
        return f;
    }
    f = wt_calloc(1, sizeof *f);
    if (!f || io_stack_new(stack_bytes[class], &f->stack) < 0) {
        wt_free(f);
        return NULL;
    }
    f->class = class;
    io_timer_init(&f->timer, deadline_passed);
    return f;
}

static void fiber_destroy(struct io_fiber *f)
{
    io_timer_cancel(&f->timer);
    io_stack_free(&f->stack);
    wt_free(f);
}

static void fiber_retire(struct io_loop *loop, struct io_fiber *f)
{
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(f->tsan_fiber);
#endif
    loop->stats.fibers_live--;
    if ((loop->stats.fibers_spawned - loop->stats.fibers_live) % SAMPLE_EVERY == 0) {
        size_t used = io_stack_used(&f->stack);
        if (used > loop->stats.stack_high_water_bytes)
            loop->stats.stack_high_water_bytes = used;
    }
    if (loop->n_idle[f->class] == MAX_IDLE) {
        fiber_destroy(f);
        return;
    }
    f->next = loop->idle[f->class];
    loop->idle[f->class] = f;
    loop->n_idle[f->class]++;
}

void io_fiber_free_idle(struct io_loop *loop)
{
    for (int class = 0; class < 2; class ++) {
        while (loop->idle[class]) {
            struct io_fiber *f = loop->idle[class];
            loop->idle[class] = f->next;
            fiber_destroy(f);
        }
        loop->n_idle[class] = 0;
    }
}

int io_spawn_on(struct io_loop *loop, enum io_stack class, void (*run)(void *arg), void *arg,
                struct io_fiber **out)
{
    struct io_fiber *f = fiber_new(loop, class);
    if (!f)
        return WT_ENOMEM;
    f->loop = loop;
    f->run = run;
    f->arg = arg;
    f->joiner = NULL;
    f->joinable = out != NULL;
    f->canceled = f->unparked = f->timed_out = false;
    f->asan_fake_stack = NULL;
#ifdef ASAN_FIBERS
    ASAN_UNPOISON_MEMORY_REGION(f->stack.low, f->stack.size_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
    f->tsan_fiber = __tsan_create_fiber(0);
#endif
    f->sp = io_switch_prepare(f->stack.low + f->stack.size_bytes, entry);
    loop->stats.fibers_spawned++;
    loop->stats.fibers_live++;
    enqueue(f);
    if (out)
        *out = f;
    return 0;
}

int io_spawn(enum io_stack class, void (*run)(void *arg), void *arg, struct io_fiber **out)
{
    return io_spawn_on(io_loop_current, class, run, arg, out);
}

struct io_fiber *io_self(void)
{
    return io_loop_current ? io_loop_current->current : NULL;
}

void io_fiber_resume_yielded(struct io_loop *loop)
{
    struct io_fiber *next;
    for (struct io_fiber *f = loop->later; f; f = next) {
        next = f->next;
        enqueue(f);
    }
    loop->later = NULL;
}

void io_fiber_run_ready(struct io_loop *loop)
{
    while (loop->ready_head) {
        struct io_fiber *f = loop->ready_head;
        loop->ready_head = f->next;
        into_fiber(loop, f);
        if (f->state == FIBER_ENDED && !f->joinable)
            fiber_retire(loop, f);
    }
}

/* ---- waiting ---- */

static void park(struct io_fiber *f, int64_t deadline_ms)
{
    f->timed_out = false;
    f->state = FIBER_PARKED;
    if (deadline_ms != IO_NEVER)
        io_timer_set(&f->timer, deadline_ms);
    into_loop(f);
}

int io_park(int64_t deadline_ms)
{
    struct io_fiber *f = io_self();
    assert(f);
    if (!f->unparked && !f->canceled)
        park(f, deadline_ms);
    bool unparked = f->unparked;
    f->unparked = false;
    if (unparked)
        return 0;
    return f->canceled ? WT_ECANCELED : WT_ETIMEOUT;
}

static void wake(struct io_fiber *f)
{
    if (f->state != FIBER_PARKED)
        return;
    io_timer_stop(&f->timer);
    enqueue(f);
}

void io_unpark(struct io_fiber *f)
{
    f->unparked = true;
    wake(f);
}

void io_cancel(struct io_fiber *f)
{
    f->canceled = true;
    wake(f);
}

bool io_canceled(void)
{
    return io_self()->canceled;
}

void io_uncancel(void)
{
    io_self()->canceled = false;
}

/* Waits for io_unpark(), cancelled or not: somebody else holds pointers into this stack. */
void io_park_shielded(void)
{
    struct io_fiber *f = io_self();
    while (!f->unparked)
        park(f, IO_NEVER);
    f->unparked = false;
}

void io_join(struct io_fiber *f)
{
    struct io_fiber *self = io_self();
    assert(f->joinable && !f->joiner);
    f->joiner = self;
    while (f->state != FIBER_ENDED)
        io_park_shielded();
    fiber_retire(f->loop, f);
}

int io_sleep_until(int64_t at_ms)
{
    for (;;) {
        int r = io_park(at_ms);
        if (r == WT_ETIMEOUT)
            return 0;
        if (r < 0)
            return r;
    }
}

void io_yield(void)
{
    struct io_fiber *f = io_self();
    f->state = FIBER_READY;
    f->next = f->loop->later;
    f->loop->later = f;
    into_loop(f);
}

void io_gather(void)
{
    struct io_fiber *f = io_self();
    struct io_loop *loop = f->loop;
    if (!loop->ready_head)
        return; /* the last one */
    append(&loop->gathered_head, &loop->gathered_tail, f);
    into_loop(f);
}

bool io_fiber_resume_gathered(struct io_loop *loop)
{
    if (!loop->gathered_head)
        return false;
    loop->ready_head = loop->gathered_head;
    loop->ready_tail = loop->gathered_tail;
    loop->gathered_head = NULL;
    return true;
}

/* ---- conditions ---- */

struct waiter {
    struct wt_list node;
    struct io_fiber *fiber;
};

void io_cond_init(struct io_cond *c)
{
    wt_list_init(&c->waiters);
}

int io_cond_wait(struct io_cond *c, int64_t deadline_ms)
{
    struct waiter w = {.fiber = io_self()};
    wt_list_init(&w.node);
    wt_list_add_tail(&c->waiters, &w.node);
    int r = io_park(deadline_ms);
    wt_list_remove(&w.node);
    return r;
}

void io_cond_broadcast(struct io_cond *c)
{
    while (!wt_list_empty(&c->waiters)) {
        struct waiter *w = WT_CONTAINER(c->waiters.next, struct waiter, node);
        wt_list_remove(&w->node);
        io_unpark(w->fiber);
    }
}
