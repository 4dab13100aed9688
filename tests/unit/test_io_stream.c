#include "io/loop.h"
#include "io/process.h"
#include "io/stream.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static void in_loop(void (*test)(void *arg))
{
    struct io_loop *loop;
    assert_int_equal(io_loop_new(io_sys_real(), &loop, NULL), 0);
    assert_int_equal(io_spawn_on(loop, IO_STACK_DEEP, test, NULL, NULL), 0);
    io_loop_run(loop, true);
    io_loop_free(loop);
}

static void pair(struct io_stream *a, struct io_stream *b)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    io_stream_init(a);
    io_stream_init(b);
    assert_int_equal(io_stream_open(a, fd[0]), 0);
    assert_int_equal(io_stream_open(b, fd[1]), 0);
}

static int64_t in_ms(int ms)
{
    return io_now_ms() + ms;
}

/* Ends a test that hangs: no machine is so slow. */
static int64_t soon(void)
{
    return in_ms(20000);
}

static int result;

static void reader(void *arg)
{
    char c;
    result = (int)io_read(arg, &c, 1, IO_NEVER);
}

static void waits(void *arg)
{
    struct io_stream a, b;
    char text[100];
    pair(&a, &b);
    assert_int_equal(io_read(&a, text, sizeof text, in_ms(5)), WT_ETIMEOUT);
    assert_int_equal(io_read_now(&a, text, sizeof text), WT_EAGAIN);
    assert_int_equal(io_peek_quiet(&a), 0);
    assert_int_equal(io_write_str(&b, WT_STR("abc"), soon()), 0);
    assert_int_equal(io_peek_quiet(&a), WT_EPROTO);
    assert_int_equal(io_read(&a, text, 2, soon()), 2);
    assert_int_equal(io_read(&a, text, 2, soon()), 1);

    struct io_fiber *f;
    assert_int_equal(io_spawn(IO_STACK_FLOW, reader, &a, &f), 0);
    io_sleep_until(in_ms(2));
    io_stream_close(&a); /* while it is waited for */
    io_join(f);
    assert_int_equal(result, WT_ECANCELED);
    io_stream_close(&a);
    assert_int_equal(io_read(&a, text, 1, in_ms(5)), WT_ECANCELED);
    assert_int_equal(io_read(&b, text, 1, soon()), WT_EOF);
    assert_int_equal(io_write_str(&b, WT_STR("x"), soon()), WT_ERESET);

    io_stream_close(&b);
    pair(&a, &b);
    assert_int_equal(io_spawn(IO_STACK_FLOW, reader, &b, &f), 0);
    io_cancel(f);
    io_join(f);
    assert_int_equal(result, WT_ECANCELED);
    io_stream_close(&a);
    io_stream_close(&b);
}

static void drain(void *arg)
{
    struct io_stream *s = arg;
    char text[4096];
    size_t total = 0;
    ssize_t got;
    while ((got = io_read(s, text, sizeof text, soon())) > 0)
        total += (size_t)got;
    result = got == WT_EOF ? (int)total : -1;
}

static void back_pressure(void *arg)
{
    static char big[1 << 20];
    struct io_stream a, b;
    pair(&a, &b);
    struct iovec iov[2] = {{big, 1000}, {big, sizeof big}};
    assert_int_equal(io_write_all(&a, iov, 2, in_ms(10)), WT_ETIMEOUT); /* nobody reads */
    io_stream_close(&a);
    io_stream_close(&b);
    pair(&a, &b);
    struct io_fiber *f;
    assert_int_equal(io_spawn(IO_STACK_FLOW, drain, &b, &f), 0);
    iov[0] = (struct iovec){big, 1000};
    iov[1] = (struct iovec){big, sizeof big};
    assert_int_equal(io_write_all(&a, iov, 2, soon()), 0);
    io_stream_close(&a);
    io_join(f);
    assert_int_equal(result, 1000 + sizeof big);
    io_stream_close(&b);
}

/* A writer that waits for room while it watches another stream is woken by the room. */
static void watching(void *arg)
{
    static char big[1 << 20], sink[1 << 20];
    struct io_stream a, b, c, d;
    pair(&a, &b);
    pair(&c, &d);
    struct iovec iov = {big, sizeof big};
    while (io_write_now(&a, &iov, 1) > 0)
        ;
    assert_int_equal(io_wait_watching(&a, IO_OUT, &c, in_ms(5)), WT_ETIMEOUT);
    while (io_read_now(&b, sink, sizeof sink) > 0)
        ;
    assert_int_equal(io_wait_watching(&a, IO_OUT, &c, soon()), IO_OUT);
    while (io_write_now(&a, &iov, 1) > 0)
        ;
    io_stream_close(&d);
    assert_int_equal(io_wait_watching(&a, IO_OUT, &c, soon()), WT_ERESET);
    io_stream_close(&a);
    io_stream_close(&b);
    io_stream_close(&c);
}

/* x is what the reader waits for first, y what the watcher waits for, w what both have an eye on.
 */
struct beside {
    struct io_stream x, x_peer, y, y_peer, w, w_peer;
    ssize_t read;
};

static void watcher(void *arg)
{
    struct beside *b = arg;
    io_wait_watching(&b->y, IO_IN, &b->w, soon());
}

static void late_reader(void *arg)
{
    struct beside *b = arg;
    char c;
    io_read(&b->x, &c, 1, soon());
    io_read_now(&b->w, &c, 1);
    io_read_now(&b->w, &c, 1);
    b->read = io_read(&b->w, &c, 1, soon());
}

/* Who begins to read a stream after its watcher was woken, but before the watcher runs, keeps the
 * place of the reader. An upload stood still for a minute otherwise. */
static void watching_beside_a_reader(void *arg)
{
    struct beside b = {.read = 0};
    struct io_fiber *watches, *reads;
    pair(&b.x, &b.x_peer);
    pair(&b.y, &b.y_peer);
    pair(&b.w, &b.w_peer);
    assert_int_equal(io_spawn(IO_STACK_FLOW, watcher, &b, &watches), 0);
    assert_int_equal(io_spawn(IO_STACK_FLOW, late_reader, &b, &reads), 0);
    io_sleep_until(in_ms(5));
    io_write_str(&b.x_peer, WT_STR("x"), soon());
    io_write_str(&b.w_peer, WT_STR("w"), soon());
    io_sleep_until(in_ms(5));
    io_write_str(&b.w_peer, WT_STR("w"), soon());
    io_join(reads);
    assert_int_equal(b.read, 1);
    io_write_str(&b.y_peer, WT_STR("y"), soon());
    io_join(watches);
    struct io_stream *all[] = {&b.x, &b.x_peer, &b.y, &b.y_peer, &b.w, &b.w_peer};
    for (int i = 0; i < 6; i++)
        io_stream_close(all[i]);
}

/* Another process may hold the listener: a closed shared stream must not be told of connections any
 * more. */
static void shared_listener_closed(void *arg)
{
    union io_addr addr;
    struct io_stream listener, client;
    io_stream_init(&listener);
    io_stream_init(&client);
    io_addr_parse(WT_STR("127.0.0.1"), 0, &addr, NULL);
    int fd = io_listen(io_sys_here(), &addr, 4, NULL);
    assert_true(fd >= 0);
    int other = dup(fd);
    assert_int_equal(io_sys_here()->sockname(io_sys_here(), fd, &addr.storage), 0);
    assert_int_equal(io_stream_open_shared(&listener, fd), 0);
    io_stream_close(&listener);
    assert_int_equal(io_connect(&client, &addr, soon()), 0);
    io_sleep_until(in_ms(5));
    assert_int_equal(listener.ready, 0);
    assert_true(wt_list_empty(&listener.pending));
    io_stream_close(&client);
    close(other);
}

/* ---- processes ---- */

static struct io_process_spec shell(const char *const argv[])
{
    return (struct io_process_spec){.path = "/bin/sh", .argv = argv};
}

static void processes(void *arg)
{
    struct io_process p, again;
    struct io_process_end end;
    struct wt_err err;
    struct io_stream a, b;
    char text[100] = {0};

    /* descriptors and environment arrive; the status comes back */
    pair(&a, &b);
    const char *const say[] = {"sh", "-c", "printf %s \"$WORD\" >&5; exit 7", NULL};
    const char *const env[] = {"WORD=hello", NULL};
    struct io_process_fd fds[] = {{b.fd, 5}, {b.fd, 4}};
    struct io_process_spec spec = shell(say);
    spec.env = env;
    spec.fds = fds;
    spec.n_fds = 2;
    assert_int_equal(io_process_spawn(&spec, &p, &err), 0);
    io_stream_close(&b);
    assert_int_equal(io_read(&a, text, sizeof text, soon()), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(io_read(&a, text, sizeof text, soon()), WT_EOF);
    assert_int_equal(io_process_wait(&p, soon(), &end), 0);
    assert_true(end.how == IO_PROCESS_EXITED && end.value == 7);
    assert_int_equal(io_process_signal(&p, SIGTERM), WT_ENOENT);
    io_process_done(&p);
    io_stream_close(&a);

    /* a program that is not there */
    const char *const none[] = {"none", NULL};
    spec = (struct io_process_spec){.path = "/does/not/exist", .argv = none};
    assert_int_equal(io_process_spawn(&spec, &p, &err), WT_ENOENT);
    assert_non_null(strstr(err.msg, "/does/not/exist"));

    /* deadline, adoption, stubborn child */
    const char *const stubborn[] = {"sh", "-c", "trap '' TERM; echo; while :; do sleep 9; done",
                                    NULL};
    pair(&a, &b);
    spec = shell(stubborn);
    fds[0] = (struct io_process_fd){b.fd, 1};
    spec.fds = fds;
    spec.n_fds = 1;
    spec.new_session = true;
    assert_int_equal(io_process_spawn(&spec, &p, &err), 0);
    io_stream_close(&b);
    assert_int_equal(io_read(&a, text, sizeof text, soon()), 1); /* the trap is set */
    assert_int_equal(io_process_wait(&p, in_ms(5), &end), WT_ETIMEOUT);
    struct io_process_id wrong = {p.id.pid, p.id.start_ticks + 1};
    assert_int_equal(io_process_adopt(wrong, &again, &err), WT_ENOENT);
    assert_int_equal(io_process_adopt(p.id, &again, &err), 0);
    io_process_stop(&p, in_ms(20), &end);
    assert_true(end.how == IO_PROCESS_KILLED && end.value == SIGKILL);
    assert_int_equal(io_process_wait(&again, soon(), &end), 0);
    assert_int_equal(end.how, IO_PROCESS_GONE); /* the other handle has taken the status */
    kill(-p.id.pid, SIGKILL);                   /* its sleep */
    io_process_done(&p);
    io_process_done(&again);
    io_stream_close(&a);
}

static void descriptors(void *arg)
{
    struct io_stream a, b;
    char note[IO_NOTE_BYTES];
    int pipe_fd[2], got;
    pair(&a, &b);
    assert_int_equal(pipe(pipe_fd), 0);
    assert_int_equal(io_send_fd(&a, -1, WT_STR("plain"), soon()), 0);
    assert_int_equal(io_send_fd(&a, pipe_fd[1], WT_STR("a pipe"), soon()), 0);
    assert_int_equal(io_send_fd(&a, pipe_fd[0], WT_STR(""), soon()), 0);
    assert_int_equal(io_recv_fd(&b, &got, note, sizeof note, soon()), 5);
    assert_int_equal(got, -1);
    assert_int_equal(io_recv_fd(&b, &got, note, sizeof note, soon()), 6);
    assert_memory_equal(note, "a pipe", 6);
    assert_int_equal(write(got, "x", 1), 1);
    close(got);
    assert_int_equal(io_recv_fd(&b, &got, note, sizeof note, soon()), 0);
    assert_int_equal(read(got, note, 2), 1);
    close(got);
    assert_int_equal(io_recv_fd(&b, &got, note, sizeof note, in_ms(5)), WT_ETIMEOUT);
    assert_int_equal(io_send_fd(&a, pipe_fd[0], WT_STR("too long"), soon()), 0);
    assert_int_equal(io_recv_fd(&b, &got, note, 3, soon()), WT_ELIMIT);
    io_stream_close(&a);
    io_stream_close(&b);
    pair(&a, &b);
    assert_int_equal(io_write_str(&a, WT_STR("rubbish"), soon()), 0);
    assert_int_equal(io_recv_fd(&b, &got, note, sizeof note, soon()), WT_EPROTO);
    io_stream_close(&a);
    assert_int_equal(io_recv_fd(&b, &got, note, sizeof note, soon()), WT_EPROTO);
    io_stream_close(&b);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

#define IN_LOOP(name)                                                                              \
    static void in_##name(void **state)                                                            \
    {                                                                                              \
        in_loop(name);                                                                             \
    }
IN_LOOP(waits)
IN_LOOP(back_pressure)
IN_LOOP(watching)
IN_LOOP(watching_beside_a_reader)
IN_LOOP(shared_listener_closed)
IN_LOOP(processes)
IN_LOOP(descriptors)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_waits),
        cmocka_unit_test(in_back_pressure),
        cmocka_unit_test(in_watching),
        cmocka_unit_test(in_watching_beside_a_reader),
        cmocka_unit_test(in_shared_listener_closed),
        cmocka_unit_test(in_processes),
        cmocka_unit_test(in_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
