/* A small flow on a system that fails: every call in turn, once and for ever after. Nothing
 * crashes, leaks or hangs. */
#include "base/mem.h"
#include "io/file.h"
#include "io/stream.h"
#include "io/sys_fault.h"
#include "io/sys_sim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct flow {
    struct io_stream listener;
    union io_addr addr;
    int result;
};

static void echo(void *arg)
{
    struct flow *f = arg;
    union io_addr peer = {0};
    int fd = io_accept(&f->listener, &peer, io_now_ms() + 1000);
    if (fd < 0)
        return;
    struct io_stream s;
    io_stream_init(&s);
    if (io_stream_open(&s, fd) < 0) {
        io_sys_here()->close(io_sys_here(), fd);
        return;
    }
    char text[64];
    for (;;) {
        ssize_t got = io_read(&s, text, sizeof text, io_now_ms() + 1000);
        struct iovec iov[2] = {{text, 1}, {text + 1, got > 0 ? (size_t)got - 1 : 0}};
        if (got <= 0 || io_write_all(&s, iov, 2, io_now_ms() + 1000) < 0)
            break;
    }
    io_stream_close(&s);
}

static int talk(struct flow *f)
{
    struct io_stream s;
    io_stream_init(&s);
    int r = io_connect(&s, &f->addr, io_now_ms() + 1000);
    if (r < 0)
        return r;
    char text[16];
    r = io_write_str(&s, WT_STR("hello, world"), io_now_ms() + 1000);
    for (size_t have = 0; r == 0 && have < 12;) {
        ssize_t got = io_read(&s, text + have, sizeof text - have, io_now_ms() + 1000);
        if (got < 0)
            r = (int)got;
        else
            have += (size_t)got;
    }
    if (r == 0)
        assert_memory_equal(text, "hello, world", 12);
    io_stream_close(&s);
    return r;
}

static int save(void)
{
    struct wt_buf out wt_autobuf = wt_buf_make(100);
    int r = io_file_write(io_sys_here(), "/d/state", WT_STR("content"), 0600, NULL);
    if (r == 0)
        r = io_file_read(io_sys_here(), "/d/state", 100, &out, NULL);
    if (r == 0)
        assert_true(wt_str_eq(wt_buf_str(&out), WT_STR("content")));
    return r;
}

static void run_flow(void *arg)
{
    struct flow *f = arg;
    struct io_fiber *server = NULL;
    struct wt_err err;
    io_stream_init(&f->listener);
    io_addr_parse(WT_STR("10.0.0.1"), 7, &f->addr, NULL);
    int fd = io_listen(io_sys_here(), &f->addr, 4, &err);
    f->result = fd < 0 ? fd : io_stream_open(&f->listener, fd);
    if (fd >= 0 && f->result < 0)
        io_sys_here()->close(io_sys_here(), fd);
    if (f->result == 0)
        f->result = io_spawn(IO_STACK_FLOW, echo, f, &server);
    if (f->result == 0)
        f->result = talk(f);
    if (server) {
        io_cancel(server);
        io_join(server);
    }
    io_stream_close(&f->listener);
    if (f->result == 0)
        f->result = save();
}

/* What the flow ends with; the calls are counted in *fault. */
static int play(struct io_sys_fault *fault, enum io_call kind, uint64_t nth, bool persistent,
                size_t short_bytes)
{
    struct io_sim *sim;
    struct io_sim_options options = {.seed = 3, .split_percent = 30};
    struct flow f = {0};
    struct io_loop *loop;
    assert_int_equal(io_sim_new(&options, &sim), 0);
    io_sys_fault_init(fault, io_sim_sys(sim));
    io_sys_fault_set(fault, kind, nth, persistent);
    fault->short_bytes = short_bytes;
    int r = io_loop_new(&fault->sys, &loop, NULL);
    if (r == 0) {
        assert_int_equal(io_spawn_on(loop, IO_STACK_FLOW, run_flow, &f, NULL), 0);
        io_loop_run(loop, true);
        io_loop_free(loop);
        r = f.result;
    }
    if (io_sim_open_fds(sim))
        print_error("%s %d: descriptors left\n", io_call_name(kind), (int)nth);
    assert_int_equal(io_sim_open_fds(sim), 0);
    io_sim_free(sim);
    return r;
}

/* Calls whose failure does not matter to the flow. */
static bool harmless(enum io_call kind)
{
    static const enum io_call list[] = {IO_CALL_close, IO_CALL_setsockopt, IO_CALL_poll_wait,
                                        IO_CALL_poll_remove};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (list[i] == kind)
            return true;
    return false;
}

static void every_call(void **state)
{
    struct io_sys_fault plain, fault;
    assert_int_equal(play(&plain, IO_CALL_ANY, 0, false, 0), 0);
    assert_true(plain.n_calls[IO_CALL_sendv] > 0 && plain.n_calls[IO_CALL_fsync] == 2);
    unsigned n_bad = 0;
    for (int kind = 0; kind < IO_CALL_COUNT; kind++) {
        for (uint64_t nth = 1; nth <= plain.n_calls[kind]; nth++) {
            int once = play(&fault, (enum io_call)kind, nth, false, 0);
            assert_true(fault.n_failed > 0);
            assert_true(once <= 0);
            n_bad += once < 0;
            if (harmless((enum io_call)kind))
                continue;
            int ever = play(&fault, (enum io_call)kind, nth, true, 0);
            assert_true(ever <= 0);
            n_bad += ever < 0;
        }
    }
    assert_true(n_bad > 20);
}

static void short_transfers(void **state)
{
    struct io_sys_fault fault;
    for (size_t n = 1; n <= 8; n++)
        assert_int_equal(play(&fault, IO_CALL_ANY, 0, false, n), 0);
    assert_true(fault.n_calls[IO_CALL_write] >= 1);
}

static const struct {
    enum io_call kind;
    int error, code;
} file_faults[] = {
    {IO_CALL_write, ENOSPC, WT_EIO},
    {IO_CALL_fsync, EIO, WT_EIO},
    {IO_CALL_open, EMFILE, WT_ELIMIT},
    {IO_CALL_rename, EACCES, WT_EDENIED},
};

/* A failed write leaves the old content and no second file. */
static void file_keeps_old(void **state)
{
    for (size_t i = 0; i < sizeof file_faults / sizeof file_faults[0]; i++) {
        struct io_sim *sim;
        struct io_sim_options options = {.seed = 3};
        struct io_sys_fault fault;
        struct wt_err err;
        assert_int_equal(io_sim_new(&options, &sim), 0);
        io_sys_fault_init(&fault, io_sim_sys(sim));
        struct io_sys *sys = &fault.sys;
        assert_int_equal(io_file_write(sys, "/d/f", WT_STR("old"), 0600, &err), 0);
        io_sys_fault_set(&fault, file_faults[i].kind, 1, false);
        fault.error = file_faults[i].error;
        assert_int_equal(io_file_write(sys, "/d/f", WT_STR("new"), 0600, &err),
                         file_faults[i].code);
        assert_non_null(strstr(err.msg, "/d/f"));
        struct wt_buf out wt_autobuf = wt_buf_make(100);
        assert_int_equal(io_file_read(sys, "/d/f", 100, &out, &err), 0);
        assert_true(wt_str_eq(wt_buf_str(&out), WT_STR("old")));
        assert_int_equal(io_file_read(sys, "/d/f.new", 100, &out, &err), WT_ENOENT);
        assert_int_equal(io_file_read(sys, "/d/f", 2, &out, &err), WT_ELIMIT);
        assert_int_equal(io_sim_open_fds(sim), 0);
        io_sim_free(sim);
    }
}

/* Power is lost after the nth call of a write: afterwards the file is the old one or the new one,
 * and the new one for sure once the write has reported success. */
static void file_survives_crash(void **state)
{
    unsigned n_old = 0, n_new = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        for (uint64_t stop = 1; stop <= 9; stop++) {
            struct io_sim *sim;
            struct io_sim_options options = {.seed = seed};
            struct io_sys_fault fault;
            assert_int_equal(io_sim_new(&options, &sim), 0);
            struct io_sys *sys = io_sim_sys(sim);
            assert_int_equal(io_file_write(sys, "/d/f", WT_STR("old state"), 0600, NULL), 0);
            io_sys_fault_init(&fault, sys);
            io_sys_fault_set(&fault, IO_CALL_ANY, stop, true); /* nothing works from there on */
            int r = io_file_write(&fault.sys, "/d/f", WT_STR("new"), 0600, NULL);
            io_sim_crash(sim);
            struct wt_buf out wt_autobuf = wt_buf_make(100);
            assert_int_equal(io_file_read(sys, "/d/f", 100, &out, NULL), 0);
            bool is_new = wt_str_eq(wt_buf_str(&out), WT_STR("new"));
            assert_true(is_new || wt_str_eq(wt_buf_str(&out), WT_STR("old state")));
            assert_true(r < 0 || is_new);
            n_new += is_new;
            n_old += !is_new;
            io_sim_free(sim);
        }
    }
    assert_true(n_old > 0 && n_new > 0);
}

static const char *read_all(struct io_sys *sys)
{
    static char text[8];
    struct wt_buf out wt_autobuf = wt_buf_make(sizeof text - 1);
    assert_int_equal(io_file_read(sys, "/d/f", sizeof text - 1, &out, NULL), 0);
    snprintf(text, sizeof text, "%.*s", (int)out.len, out.ptr);
    return text;
}

/* What need not survive a power cut waits for no disk; else it is replaced as any other. */
static void file_is_put_without_the_disk(void **state)
{
    struct io_sim *sim;
    struct io_sim_options options = {.seed = 5};
    struct io_sys_fault fault;
    struct wt_err err;
    assert_int_equal(io_sim_new(&options, &sim), 0);
    io_sys_fault_init(&fault, io_sim_sys(sim));
    assert_int_equal(io_file_put(&fault.sys, "/d/f", WT_STR("old"), 0600, &err), 0);
    io_sys_fault_set(&fault, IO_CALL_rename, 1, false);
    assert_true(io_file_put(&fault.sys, "/d/f", WT_STR("new"), 0600, &err) < 0);
    assert_string_equal(read_all(&fault.sys), "old");
    io_sys_fault_set(&fault, IO_CALL_fsync, 1, true);
    assert_int_equal(io_file_put(&fault.sys, "/d/f", WT_STR("new"), 0600, &err), 0);
    assert_string_equal(read_all(&fault.sys), "new");
    assert_int_equal(io_sim_open_fds(sim), 0);
    io_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call),
        cmocka_unit_test(short_transfers),
        cmocka_unit_test(file_keeps_old),
        cmocka_unit_test(file_survives_crash),
        cmocka_unit_test(file_is_put_without_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
