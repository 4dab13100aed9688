/* What the proxy writes, on a disk that fails: the access log loses lines and counts them, a
 * verdict stays in force and reaches the disk as soon as that is possible. */
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/sys_fault.h"
#include "io/sys_sim.h"
#include "proxy/internal.h"
#include "proxy/logger.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the access log ---- */

enum { LANES = 4, LINES = 3, WAIT_MS = 10000 };

struct log {
    struct io_sys_fault fault;
    struct proxy_logger *logger;
    char dir[32], path[64], moved[64];
    uint64_t calls[IO_CALL_COUNT];
};

/* A line is whole when it says twice the same. */
static unsigned whole_lines(const char *path)
{
    struct wt_buf text wt_autobuf = wt_buf_make(1 << 20);
    unsigned n = 0, a, b;
    if (io_file_read(io_sys_real(), path, 1 << 20, &text, NULL) < 0)
        return 0;
    struct wt_str rest = wt_buf_str(&text);
    while (rest.len) {
        struct wt_str line = wt_str_next(&rest, '\n');
        char copy[64];
        snprintf(copy, sizeof copy, "%.*s", WT_ARG(line));
        n += sscanf(copy, "line %u is line %u.", &a, &b) == 2 && a == b &&
             wt_str_ends(line, WT_STR("."));
    }
    return n;
}

static unsigned found(const struct log *l)
{
    return whole_lines(l->path) + whole_lines(l->moved);
}

static void write_lanes(struct log *l, unsigned from)
{
    struct proxy_log_lane lane = {0};
    for (unsigned i = from; i < from + LINES; i++) {
        char *room = proxy_log_room(l->logger, &lane, 64);
        assert_non_null(room);
        proxy_log_added(&lane, (size_t)snprintf(room, 64, "line %u is line %u.\n", i, i));
    }
    proxy_log_flush(l->logger, &lane);
}

/* The writer is a thread of its own: waits until it has written or given up every line so far. */
static void await_lines(const struct log *l, unsigned n)
{
    for (int ms = 0; found(l) + proxy_logger_lines_lost(l->logger) != n; ms++) {
        if (ms > WAIT_MS)
            fail_msg("%u lines found, %u lost, of %u", found(l),
                     (unsigned)proxy_logger_lines_lost(l->logger), n);
        usleep(1000);
    }
}

/* The file is moved and opened again in the middle. The lines that were lost, or an error. */
static int play_log(struct log *l, enum io_call kind, uint64_t nth, bool persistent, size_t bytes)
{
    struct wt_err err = {0};
    snprintf(l->dir, sizeof l->dir, "/tmp/watari-log-XXXXXX");
    assert_non_null(mkdtemp(l->dir));
    snprintf(l->path, sizeof l->path, "%s/log", l->dir);
    snprintf(l->moved, sizeof l->moved, "%s/log.1", l->dir);
    io_sys_fault_init(&l->fault, io_sys_real());
    io_sys_fault_set(&l->fault, kind, nth, persistent);
    l->fault.short_bytes = bytes;
    int r = proxy_logger_new(&l->fault.sys, l->path, &l->logger, &err);
    for (unsigned i = 0; r == 0 && i < LANES; i++) {
        if (i == LANES / 2) {
            assert_int_equal(rename(l->path, l->moved), 0);
            proxy_logger_reopen(l->logger);
        }
        write_lanes(l, i * LINES);
        await_lines(l, (i + 1) * LINES);
    }
    if (r < 0)
        assert_non_null(strstr(err.msg, l->path));
    if (r == 0) {
        r = (int)proxy_logger_lines_lost(l->logger);
        assert_int_equal(r > 0, proxy_logger_write_errors(l->logger) > 0);
        proxy_logger_free(l->logger);
    }
    memcpy(l->calls, l->fault.n_calls, sizeof l->calls);
    unlink(l->path);
    unlink(l->moved);
    rmdir(l->dir);
    return r;
}

static void log_lines_are_written_or_counted(void **unused)
{
    static const struct {
        enum io_call kind;
        uint64_t nth;
        bool persistent;
        int lost; /* lines, or an error */
    } rows[] = {
        {IO_CALL_ANY, 0, false, 0},
        {IO_CALL_open, 1, false, WT_EDENIED}, /* at the start: it says so and ends */
        {IO_CALL_open, 2, true, 0},           /* the old file is better than none */
        {IO_CALL_close, 1, true, 0},
        {IO_CALL_write, 1, false, LINES},
        {IO_CALL_write, 3, false, LINES},
        {IO_CALL_write, LANES, false, LINES},
        {IO_CALL_write, 2, true, (LANES - 1) * LINES},
        {IO_CALL_write, 1, true, LANES * LINES},
    };
    struct log l;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int r = play_log(&l, rows[i].kind, rows[i].nth, rows[i].persistent, 0);
        if (r != rows[i].lost)
            fail_msg("row %zu: %d", i, r);
    }
}

/* Cut in the middle of a line, the log goes on with a line of its own. */
static void every_short_write_fails_once(void **unused)
{
    struct log l, plain;
    assert_int_equal(play_log(&plain, IO_CALL_ANY, 0, false, 16), 0);
    assert_true(plain.calls[IO_CALL_write] > LANES * LINES);
    for (uint64_t nth = 1; nth <= plain.calls[IO_CALL_write]; nth++) {
        int lost = play_log(&l, IO_CALL_write, nth, false, 16);
        assert_in_range(lost, 1, LINES);
    }
}

/* ---- verdicts ---- */

static const struct proxy_verdict verdict = {3, 1, HEALTH_CAUSE_ERRORS, 1000, "5 of 9 were bad"};

struct world {
    struct io_sim *sim;
    struct io_sys_fault fault;
    struct proxy proxy;
    int64_t saved_ms; /* how long it took; -1: not yet */
};

static const struct proxy_options options = {.state_dir = "/state"};

static void save(void *arg)
{
    struct world *w = arg;
    int64_t from_ms = io_now_ms();
    proxy_verdicts_save(&w->proxy);
    w->saved_ms = io_now_ms() - from_ms;
}

/* While the disk fails, and after it was mended. cmocka's own checks cannot leave a fiber's stack.
 */
#define CHECK(x) ((x) ? (void)0 : give_up(#x))

__attribute__((noreturn)) static void give_up(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

static void watch(void *arg)
{
    struct world *w = arg;
    struct io_fiber *f;
    struct proxy_verdict v;
    struct proxy_live *live = wt_map_get(&w->proxy.lives, WT_STR("u"));
    CHECK(io_spawn(IO_STACK_DEEP, save, w, &f) == 0);
    io_sleep_until(io_now_ms() + 500);
    CHECK(proxy_live_verdict(live, &v));
    CHECK(atomic_load(&live->rolled_back_epoch) == verdict.epoch);
    io_sleep_until(io_now_ms() + 5000);
    if (w->saved_ms < 0) {
        CHECK(w->fault.persistent && w->proxy.verdicts_saving);
        io_sys_fault_set(&w->fault, IO_CALL_ANY, 0, false);
    }
    io_join(f);
}

static void run(struct world *w, void (*work)(void *arg))
{
    struct io_loop *loop;
    assert_int_equal(io_loop_new(io_sim_sys(w->sim), &loop, NULL), 0);
    assert_int_equal(io_spawn_on(loop, IO_STACK_DEEP, work, w, NULL), 0);
    io_loop_run(loop, true);
    io_loop_free(loop);
}

/* Another process, after a power cut. */
static void check_on_disk(struct world *w)
{
    io_sim_crash(w->sim);
    struct proxy next = {.options = &options, .sys = io_sim_sys(w->sim)};
    proxy_verdicts_load(&next);
    struct proxy_verdict *v = wt_map_take(&next.pending, WT_STR("u"));
    assert_non_null(v);
    assert_int_equal(v->epoch, verdict.epoch);
    assert_string_equal(v->message, verdict.message);
    wt_free(v);
    wt_map_done(&next.pending);
}

static void play_verdict(struct world *w, enum io_call kind, uint64_t nth, bool persistent,
                         size_t bytes)
{
    static const struct health_params params = {0.001, 0.005, 0.25, 0.05, 0.1, true};
    const struct io_sim_options sim = {.seed = 5 + nth};
    *w = (struct world){.saved_ms = -1};
    assert_int_equal(io_sim_new(&sim, &w->sim), 0);
    io_sys_fault_init(&w->fault, io_sim_sys(w->sim));
    io_sys_fault_set(&w->fault, kind, nth, persistent);
    w->fault.short_bytes = bytes;
    w->proxy = (struct proxy){.options = &options, .sys = &w->fault.sys};
    struct proxy_live *live = proxy_live_new(WT_STR("u"), &params, 1, 0);
    assert_non_null(live);
    proxy_live_restore(live, &verdict, true);
    assert_int_equal(wt_map_put(&w->proxy.lives, WT_STR("u"), live, NULL), 0);
    run(w, watch);
    check_on_disk(w);
    assert_int_equal(io_sim_open_fds(w->sim), 0);
    proxy_live_unref(live);
    wt_map_done(&w->proxy.lives);
    io_sim_free(w->sim);
}

static void a_verdict_outlives_every_failing_call(void **unused)
{
    struct world plain, w;
    unsigned n_again = 0;
    play_verdict(&plain, IO_CALL_ANY, 0, false, 50);
    assert_int_equal(plain.saved_ms, 0);
    assert_int_equal(plain.fault.n_calls[IO_CALL_fsync], 2);
    for (int kind = 0; kind < IO_CALL_COUNT; kind++)
        for (uint64_t nth = 1; nth <= plain.fault.n_calls[kind]; nth++) {
            play_verdict(&w, (enum io_call)kind, nth, false, 50);
            n_again += w.saved_ms > 0;
            play_verdict(&w, (enum io_call)kind, nth, true, 50);
        }
    assert_true(n_again >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_lines_are_written_or_counted),
        cmocka_unit_test(every_short_write_fails_once),
        cmocka_unit_test(a_verdict_outlives_every_failing_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
