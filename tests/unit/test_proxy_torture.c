/* A worker on a system that fails: every call and every allocation in turn, while a few requests go
 * through. Nothing crashes, leaks or hangs, and no answer is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy_rig_help.h"

#include "base/log.h"
#include "io/sys_fault.h"
#include "io/sys_sim.h"

enum { REQUESTS = 4, ANSWER_BYTES = 3000 };

/* Every how many of the places a failure is tried at: `test_proxy_torture 1` tries all. */
static unsigned stride = 6;

struct world {
    struct rig rig;
    struct io_stream listener;
    unsigned n_open;
    unsigned n_right, n_failed;
    unsigned n_seen[REQUESTS];
    bool stopping, listening;
    /* allocations: */
    bool counting;
    uint64_t n_allocations, fail_from;
    bool persistent;
};

static const struct {
    const char *method;
    int len;
    bool chunked, close;
} requests[REQUESTS] = {
    {"GET", 0, false, false},
    {"POST", 20000, true, false},
    {"POST", 100, false, false},
    {"GET", 0, false, true},
};

/* ---- the origin ---- */

static bool serve_one(struct world *w, struct mini *m)
{
    char id[16];
    struct wt_buf body wt_autobuf = wt_buf_make(1 << 20), out wt_autobuf = wt_buf_make(1 << 20);
    if (mini_head(m) < 0 || !mini_field(m->head, "x-id", id, sizeof id))
        return false;
    unsigned n = (unsigned)atoi(id);
    assert_true(n < REQUESTS);
    w->n_seen[n]++;
    if (mini_body(m, false, false, &body) < 0)
        return false;
    assert_int_equal(body.len, requests[n].len);
    wt_buf_printf(&out, "HTTP/1.1 200 OK\r\nX-Echo: %u\r\n", n);
    wt_buf_printf(&out,
                  n % 2 ? "Transfer-Encoding: chunked\r\n\r\n%x\r\n" : "Content-Length: %d\r\n\r\n",
                  ANSWER_BYTES);
    for (int i = 0; i < ANSWER_BYTES; i++)
        wt_buf_add_char(&out, (char)('a' + n));
    if (n % 2)
        wt_buf_printf(&out, "\r\n0\r\n\r\n");
    return !wt_buf_error(&out) && mini_write(m, out.ptr, out.len) == 0;
}

static void serve_conn(void *arg)
{
    struct mini *m = arg;
    struct world *w;
    memcpy(&w, m->head, sizeof w);
    int fd = m->s.fd;
    io_stream_init(&m->s);
    if (io_stream_open(&m->s, fd) < 0)
        io_sys_here()->close(io_sys_here(), fd);
    while (m->s.fd >= 0 && serve_one(w, m))
        ;
    io_stream_close(&m->s);
    free(m);
    w->n_open--;
}

static void run_origin(void *arg)
{
    struct world *w = arg;
    while (!w->stopping) {
        union io_addr peer;
        int fd = io_accept(&w->listener, &peer, IO_NEVER);
        if (fd < 0) {
            /* Not told again what was not taken. */
            if (fd != WT_ECANCELED)
                io_sleep_until(io_now_ms() + 20);
            continue;
        }
        struct mini *m = calloc(1, sizeof *m);
        m->s.fd = fd;
        m->patience_ms = 20000;
        memcpy(m->head, &w, sizeof w);
        w->n_open++;
        if (io_spawn(IO_STACK_DEEP, serve_conn, m, NULL) < 0) {
            io_sys_here()->close(io_sys_here(), fd);
            free(m);
            w->n_open--;
        }
    }
    io_stream_close(&w->listener);
}

/* ---- the client ---- */

static int connect_proxy(struct mini *m)
{
    union io_addr addr;
    io_addr_parse(WT_STR("10.0.0.1"), 80, &addr, NULL);
    io_stream_init(&m->s);
    m->have = 0;
    m->patience_ms = 30000;
    return io_connect(&m->s, &addr, io_now_ms() + 30000);
}

static bool send_request(struct mini *m, unsigned n)
{
    struct wt_buf out wt_autobuf = wt_buf_make(1 << 20);
    char bytes[1000];
    memset(bytes, 'z', sizeof bytes);
    wt_buf_printf(&out, "%s / HTTP/1.1\r\nHost: a\r\nX-Id: %u\r\n%s", requests[n].method, n,
                  requests[n].close ? "Connection: close\r\n" : "");
    if (requests[n].chunked)
        wt_buf_printf(&out, "Transfer-Encoding: chunked\r\n\r\n");
    else
        wt_buf_printf(&out, "Content-Length: %d\r\n\r\n", requests[n].len);
    for (int at = 0; at < requests[n].len; at += 1000) {
        int len = requests[n].len - at < 1000 ? requests[n].len - at : 1000;
        wt_buf_printf(&out, requests[n].chunked ? "%x\r\n%.*s\r\n" : "%.0x%.*s", len, len, bytes);
    }
    if (requests[n].chunked)
        wt_buf_printf(&out, "0\r\n\r\n");
    return !wt_buf_error(&out) && mini_write(m, out.ptr, out.len) == 0;
}

/* Whether the answer came, and is an answer; a wrong one fails the test. */
static bool read_answer(struct mini *m, unsigned n)
{
    char value[16];
    struct wt_buf body wt_autobuf = wt_buf_make(1 << 20);
    int r = mini_head(m);
    if (r == 0)
        r = mini_body(m, true, false, &body);
    assert_int_not_equal(r, WT_ETIMEOUT);
    if (r < 0)
        return false;
    if (!mini_field(m->head, "x-echo", value, sizeof value)) {
        assert_true(mini_status(m) >= 400);
        return !mini_field(m->head, "connection", value, sizeof value);
    }
    assert_int_equal(atoi(value), n);
    assert_int_equal(body.len, ANSWER_BYTES);
    for (size_t i = 0; i < body.len; i++)
        assert_int_equal(body.ptr[i], 'a' + n);
    return true;
}

static void run_client(struct world *w)
{
    struct mini *m = calloc(1, sizeof *m);
    bool open = false;
    for (unsigned n = 0; n < REQUESTS; n++) {
        if (!open && connect_proxy(m) < 0) {
            w->n_failed++;
            continue;
        }
        open = send_request(m, n) && read_answer(m, n);
        char value[16];
        if (open && mini_field(m->head, "x-echo", value, sizeof value))
            w->n_right++;
        else
            w->n_failed++;
        if (!open)
            io_stream_close(&m->s);
    }
    io_stream_close(&m->s);
    free(m);
}

/* ---- one play ---- */

static bool fail_allocation(void *ctx, size_t size)
{
    struct world *w = ctx;
    if (!w->counting)
        return false;
    uint64_t n = ++w->n_allocations;
    return w->fail_from && (n == w->fail_from || (n > w->fail_from && w->persistent));
}

static void run_world(void *arg)
{
    struct world *w = arg;
    struct io_fiber *origin;
    union io_addr addr;
    assert_true(rig_init(&w->rig, io_sys_here()));
    rig_set_gateway(&w->rig);
    rig_set_route(&w->rig, "old");
    rig_set_backend(&w->rig, "old", 1, 1);
    w->counting = true;
    io_addr_parse(WT_STR("10.0.1.1"), 80, &addr, NULL);
    int fd = io_listen(io_sys_here(), &addr, 16, NULL);
    io_stream_init(&w->listener);
    int r = fd < 0 ? fd : io_stream_open(&w->listener, fd);
    if (fd >= 0 && r < 0)
        io_sys_here()->close(io_sys_here(), fd);
    if (r == 0)
        r = io_spawn(IO_STACK_FLOW, run_origin, w, &origin);
    bool runs = r == 0;
    if (r == 0)
        r = rig_publish(&w->rig);
    w->listening = r == 0 && w->rig.config->n_listeners > 0;
    if (r == 0)
        run_client(w);
    w->counting = false;
    rig_quiesce(&w->rig);
    w->stopping = true;
    if (runs) {
        io_cancel(origin);
        io_join(origin);
    } else {
        io_stream_close(&w->listener);
    }
    while (w->n_open)
        io_sleep_until(io_now_ms() + 10);
    if (w->rig.running)
        assert_int_equal(rig_not_zero(&w->rig, "torture"), 0);
    for (unsigned n = 0; n < REQUESTS; n++)
        assert_true(w->n_seen[n] <= 1 || !requests[n].len);
    rig_done(&w->rig);
}

static void play(struct world *w, struct io_sys_fault *fault, enum io_call kind, uint64_t nth,
                 bool persistent)
{
    struct io_sim *sim;
    struct io_loop *loop;
    struct io_sim_options options = {.seed = 5, .split_percent = 30};
    assert_int_equal(io_sim_new(&options, &sim), 0);
    io_sys_fault_init(fault, io_sim_sys(sim));
    assert_int_equal(io_loop_new(&fault->sys, &loop, NULL), 0);
    io_sys_fault_set(fault, kind, nth, persistent);
    assert_int_equal(io_spawn_on(loop, IO_STACK_DEEP, run_world, w, NULL), 0);
    wt_mem_set_fault(fail_allocation, w);
    io_loop_run(loop, true);
    wt_mem_set_fault(NULL, NULL);
    io_loop_free(loop);
    assert_int_equal(io_sim_open_fds(sim), 0);
    io_sim_free(sim);
}

/* Calls that fail once; for ever after only those that a program can live without noticing at once.
 */
static void every_call(void **state)
{
    static const enum io_call kinds[] = {
        IO_CALL_random,       IO_CALL_socket,          IO_CALL_accept,      IO_CALL_connect,
        IO_CALL_setsockopt,   IO_CALL_shutdown,        IO_CALL_recv,        IO_CALL_send,
        IO_CALL_sendv,        IO_CALL_close,           IO_CALL_bind,        IO_CALL_listen,
        IO_CALL_poll_add,     IO_CALL_poll_add_shared, IO_CALL_poll_remove, IO_CALL_poll_wait,
        IO_CALL_socket_error,
    };
    struct io_sys_fault plain, fault;
    struct world w = {0};
    unsigned n_failed = 0, n_plays = 0;
    play(&w, &plain, IO_CALL_ANY, 0, false);
    assert_int_equal(w.n_right, REQUESTS);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        uint64_t n = plain.n_calls[kinds[k]], step = (1 + n / 40) * stride;
        for (uint64_t nth = 1; nth <= n; nth += step) {
            if (getenv("NTH"))
                print_message("%s %d\n", io_call_name(kinds[k]), (int)nth);
            memset(&w, 0, sizeof w);
            play(&w, &fault, kinds[k], nth, false);
            n_failed += w.n_failed;
            n_plays++;
            /* One failure costs one answer, or with its connection the next one too. */
            assert_true(!w.listening || w.n_failed <= 2);
        }
    }
    assert_true(n_plays > 100 / stride && n_failed > 50 / stride);
}

static void every_allocation(void **state)
{
    struct io_sys_fault fault;
    struct world plain = {0}, w;
    unsigned n_failed = 0;
    play(&plain, &fault, IO_CALL_ANY, 0, false);
    assert_int_equal(plain.n_right, REQUESTS);
    for (uint64_t nth = 1; nth <= plain.n_allocations; nth += stride) {
        if (getenv("NTH"))
            print_message("allocation %d\n", (int)nth);
        memset(&w, 0, sizeof w);
        w.fail_from = nth;
        play(&w, &fault, IO_CALL_ANY, 0, false);
        n_failed += w.n_failed > 0;
    }
    assert_true(n_failed > 20 / stride);
}

static void short_sends(void **state)
{
    struct io_sys_fault fault;
    for (size_t n = 1; n <= 1500; n = n * 3 + 4) {
        struct world w = {0};
        struct io_sim *sim;
        struct io_loop *loop;
        struct io_sim_options options = {.seed = n};
        assert_int_equal(io_sim_new(&options, &sim), 0);
        io_sys_fault_init(&fault, io_sim_sys(sim));
        fault.short_bytes = n;
        assert_int_equal(io_loop_new(&fault.sys, &loop, NULL), 0);
        assert_int_equal(io_spawn_on(loop, IO_STACK_DEEP, run_world, &w, NULL), 0);
        io_loop_run(loop, true);
        io_loop_free(loop);
        assert_int_equal(w.n_right, REQUESTS);
        assert_int_equal(io_sim_open_fds(sim), 0);
        io_sim_free(sim);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        stride = (unsigned)atoi(argv[1]);
    wt_log_setup("torture", WT_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call),
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(short_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
