#include "io/sys_sim.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CALL_RANDOM = 100,
    CALL_POLL_ADD,
    CALL_POLL_REMOVE,
    CALL_POLL_WAIT,
    CALL_CLOSE,
    TURN_NS = 1000, /* computing takes time too, or a program that yields would stop the clock */
};

static const int64_t wall_start_ms = INT64_C(1795000000000);

long sim_note(struct io_sim *sim, int call, long a, long result)
{
    uint64_t what = (uint64_t)call << 56 ^ (uint64_t)a << 32 ^ (uint64_t)result;
    sim->trace = wt_mix64(sim->trace ^ wt_mix64(what ^ wt_mix64((uint64_t)sim->now_ns)));
    return result;
}

/* ---- clock and chance ---- */

static int64_t sim_mono_ns(struct io_sys *sys)
{
    return sim_of(sys)->now_ns;
}

static int64_t sim_wall_ms(struct io_sys *sys)
{
    return wall_start_ms + sim_of(sys)->now_ns / WT_MS_NS;
}

static int sim_random(struct io_sys *sys, void *out, size_t n)
{
    struct io_sim *sim = sim_of(sys);
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)out)[i] = (unsigned char)wt_rng_next(&sim->rng);
    return (int)sim_note(sim, CALL_RANDOM, (long)n, 0);
}

/* ---- descriptors ---- */

int sim_fd_new(struct io_sim *sim, enum sim_kind kind)
{
    for (int fd = 3; fd < SIM_FDS; fd++) {
        struct sim_fd *f = &sim->fds[fd];
        if (f->kind != SIM_FREE)
            continue;
        *f = (struct sim_fd){.kind = kind};
        wt_list_init(&f->backlog);
        sim->n_fds = fd < sim->n_fds ? sim->n_fds : fd + 1;
        return fd;
    }
    return -EMFILE;
}

void sim_fd_free(struct io_sim *sim, int fd)
{
    wt_free(sim->fds[fd].path);
    sim->fds[fd] = (struct sim_fd){.kind = SIM_FREE};
}

static int sim_close(struct io_sys *sys, int fd)
{
    struct io_sim *sim = sim_of(sys);
    if (fd < 0 || fd >= SIM_FDS || sim->fds[fd].kind == SIM_FREE)
        return (int)sim_note(sim, CALL_CLOSE, fd, -EBADF);
    if (sim->fds[fd].kind == SIM_SOCKET || sim->fds[fd].kind == SIM_LISTENER)
        sim_socket_close(sim, fd);
    sim_fd_free(sim, fd);
    return (int)sim_note(sim, CALL_CLOSE, fd, 0);
}

/* ---- readiness ---- */

static int sim_poll_open(struct io_sys *sys)
{
    return sim_fd_new(sim_of(sys), SIM_POLL);
}

static int watch(struct io_sys *sys, int poll_fd, int fd, void *data, bool shared)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_SOCKET);
    f = f ? f : sim_fd(sim, fd, SIM_LISTENER);
    if (!f || f->poll_fd || !sim_fd(sim, poll_fd, SIM_POLL))
        return (int)sim_note(sim, CALL_POLL_ADD, fd, f && f->poll_fd ? -EEXIST : -EBADF);
    f->poll_fd = poll_fd;
    f->data = data;
    f->shared = shared;
    f->edge = true; /* what holds already is told once, as epoll does */
    return (int)sim_note(sim, CALL_POLL_ADD, fd, 0);
}

static int sim_poll_add(struct io_sys *sys, int poll_fd, int fd, void *data)
{
    return watch(sys, poll_fd, fd, data, false);
}

static int sim_poll_add_shared(struct io_sys *sys, int poll_fd, int fd, void *data)
{
    return watch(sys, poll_fd, fd, data, true);
}

static int sim_poll_remove(struct io_sys *sys, int poll_fd, int fd)
{
    struct io_sim *sim = sim_of(sys);
    bool ok = fd > 0 && fd < SIM_FDS && sim->fds[fd].poll_fd == poll_fd;
    if (ok)
        sim->fds[fd].poll_fd = 0;
    return (int)sim_note(sim, CALL_POLL_REMOVE, fd, ok ? 0 : -ENOENT);
}

static int collect(struct io_sim *sim, int poll_fd, struct io_ready *out, int n)
{
    int found = 0;
    for (int fd = 3; fd < sim->n_fds && found < n; fd++) {
        struct sim_fd *f = &sim->fds[fd];
        if (f->poll_fd != poll_fd || !(f->edge || f->shared))
            continue;
        unsigned events = sim_socket_events(f);
        f->edge = false;
        if (f->shared)
            events &= IO_IN;
        if (!events)
            continue;
        out[found++] = (struct io_ready){f->data, events};
        sim_note(sim, CALL_POLL_WAIT, fd, events);
    }
    return found;
}

static void happen_next(struct io_sim *sim)
{
    struct sim_event *e = sim->events;
    sim->events = e->next;
    if (e->at_ns > sim->now_ns)
        sim->now_ns = e->at_ns;
    e->happen(sim, e);
    wt_free(e);
}

static int sim_poll_wait(struct io_sys *sys, int poll_fd, struct io_ready *out, int n,
                         int64_t wait_ms)
{
    struct io_sim *sim = sim_of(sys);
    sim->now_ns += TURN_NS;
    int64_t until_ns = wait_ms < 0 ? INT64_MAX : sim->now_ns + wait_ms * WT_MS_NS;
    for (;;) {
        while (sim->events && sim->events->at_ns <= sim->now_ns)
            happen_next(sim);
        int found = collect(sim, poll_fd, out, n);
        if (found > 0)
            return found;
        if (!sim->events || sim->events->at_ns > until_ns)
            break;
        happen_next(sim);
    }
    if (wait_ms < 0) {
        fprintf(stderr, "simulation: seed %llu: everybody waits and nothing is under way\n",
                (unsigned long long)sim->options.seed);
        abort();
    }
    if (until_ns > sim->now_ns)
        sim->now_ns = until_ns;
    return 0;
}

/* ---- life ---- */

int io_sim_new(const struct io_sim_options *options, struct io_sim **out)
{
    struct io_sim *sim = wt_calloc(1, sizeof *sim);
    if (!sim)
        return WT_ENOMEM;
    sim->options = *options;
    if (sim->options.latency_max_us == 0) {
        sim->options.latency_min_us = 100;
        sim->options.latency_max_us = 2000;
    }
    if (sim->options.buffer_bytes == 0)
        sim->options.buffer_bytes = 4096;
    sim->rng.state = wt_mix64(options->seed);
    sim->now_ns = WT_S_NS;
    sim->next_port = 40000;
    sim->sys = (struct io_sys){
        .mono_ns = sim_mono_ns,
        .wall_ms = sim_wall_ms,
        .random = sim_random,
        .close = sim_close,
        .poll_open = sim_poll_open,
        .poll_add = sim_poll_add,
        .poll_add_shared = sim_poll_add_shared,
        .poll_remove = sim_poll_remove,
        .poll_wait = sim_poll_wait,
        .single_threaded = true,
    };
    sim_sockets_install(sim);
    sim_files_install(sim);
    *out = sim;
    return 0;
}

static void free_events(struct io_sim *sim)
{
    while (sim->events) {
        struct sim_event *e = sim->events;
        sim->events = e->next;
        wt_free(e);
    }
}

static void power_off(struct io_sim *sim)
{
    free_events(sim);
    for (int fd = 0; fd < sim->n_fds; fd++)
        if (sim->fds[fd].kind != SIM_FREE)
            sim_fd_free(sim, fd);
    sim_sockets_free(sim);
}

void io_sim_free(struct io_sim *sim)
{
    power_off(sim);
    sim_files_free(sim);
    wt_free(sim);
}

void io_sim_crash(struct io_sim *sim)
{
    power_off(sim);
    sim_files_crash(sim);
}

struct io_sys *io_sim_sys(struct io_sim *sim)
{
    return &sim->sys;
}

uint64_t io_sim_trace(const struct io_sim *sim)
{
    return sim->trace;
}

unsigned io_sim_open_fds(const struct io_sim *sim)
{
    unsigned n = 0;
    for (int fd = 0; fd < sim->n_fds; fd++)
        n += sim->fds[fd].kind != SIM_FREE;
    return n;
}
