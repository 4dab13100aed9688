#include "base/mem.h"
#include "io/loop.h"
#include "rpc/client.h"
#include "rpc/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the world of a test: a loop, a server on a free port, and one fiber that is the test ---- */

struct world {
    struct rpc_server *server;
    union io_addr addr;
    struct io_cond news;
    unsigned n_gone; /* watches that saw their client go */
    void (*test)(struct world *w);
};

static void echo(struct rpc_reply *r, const struct rpc_request *q)
{
    struct wt_buf text wt_autobuf = wt_buf_make(1 << 20);
    wt_buf_printf(&text, "%.*s %.*s ?%.*s ", WT_ARG(q->method), WT_ARG(q->path), WT_ARG(q->query));
    wt_buf_add_str(&text, q->body);
    rpc_reply_send(r, 200, WT_STR("text/plain"), wt_buf_str(&text));
}

static void count(struct rpc_reply *r, bool abort)
{
    rpc_reply_begin(r, 200, WT_STR("text/plain"));
    for (int i = 0; i < 5; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "line %d\n", i);
        rpc_reply_chunk(r, wt_str(text, (size_t)n));
    }
    if (abort)
        rpc_reply_abort(r);
}

static void watch(struct world *w, struct rpc_reply *r)
{
    rpc_reply_begin(r, 200, WT_STR("text/plain"));
    rpc_reply_chunk(r, WT_STR("ready\n"));
    int e = 0;
    while (e == 0)
        e = rpc_reply_wait(r, &w->news, IO_NEVER);
    w->n_gone += e == WT_ERESET;
    io_cond_broadcast(&w->news);
}

static void handle(void *ctx, const struct rpc_request *q, struct rpc_reply *r)
{
    if (wt_str_eq(q->path, WT_STR("/count")))
        count(r, false);
    else if (wt_str_eq(q->path, WT_STR("/abort")))
        count(r, true);
    else if (wt_str_eq(q->path, WT_STR("/watch")))
        watch(ctx, r);
    else if (wt_str_eq(q->path, WT_STR("/sleep")))
        rpc_reply_wait(r, NULL, io_now_ms() + 10), echo(r, q);
    else if (!wt_str_eq(q->path, WT_STR("/silent")))
        echo(r, q);
}

static void run_world(void *arg)
{
    struct world *w = arg;
    struct rpc_handler h = {handle, w, 1000, 8};
    io_addr_parse(WT_STR("127.0.0.1"), 0, &w->addr, NULL);
    struct io_sys *sys = io_sys_here();
    int fd = io_listen(sys, &w->addr, 16, NULL);
    assert_true(fd >= 0);
    assert_int_equal(sys->sockname(sys, fd, &w->addr.storage), 0);
    io_cond_init(&w->news);
    assert_int_equal(rpc_server_new(&h, fd, &w->server), 0);
    w->test(w);
    rpc_server_free(w->server);
}

static void in_world(void (*test)(struct world *w))
{
    struct world w = {.test = test};
    struct io_loop *loop;
    assert_int_equal(io_loop_new(io_sys_real(), &loop, NULL), 0);
    assert_int_equal(io_spawn_on(loop, IO_STACK_DEEP, run_world, &w, NULL), 0);
    io_loop_run(loop, true);
    struct io_loop_stats stats;
    io_loop_get_stats(loop, &stats);
    assert_int_equal(stats.fibers_live, 0);
    io_loop_free(loop);
}

static int64_t soon(void)
{
    return io_now_ms() + 20000;
}

/* ---- calls ---- */

static const struct {
    const char *method, *target, *body;
    unsigned status; /* or 0 with the error */
    int error;
    const char *answer;
} calls[] = {
    {"", "/a/../b%20c?x=1&y", "", 200, 0, "GET /b c ?x=1&y "},
    {"POST", "/", "hello", 200, 0, "POST / ? hello"},
    {"PUT", "/p", "", 200, 0, "PUT /p ? "},
    {"HEAD", "/h", "", 200, 0, ""},
    {"GET", "/count", "", 200, 0, "line 0\nline 1\nline 2\nline 3\nline 4\n"},
    {"GET", "/sleep", "", 200, 0, "GET /sleep ? "},
    {"GET", "/silent", "", 500, 0, "no answer\n"},
    {"GET", "/abort", "", 0, WT_EPROTO, ""},
    {"GET", "/bad path", "", 0, WT_EINVAL, ""},
    {"GET", "/%00", "", 400, 0, NULL},
};

static void test_calls(struct world *w)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct rpc_call call = {.method = wt_str_z(calls[i].method),
                                .target = wt_str_z(calls[i].target),
                                .host = WT_STR("test"),
                                .body = wt_str_z(calls[i].body),
                                .bearer = WT_STR("token")};
        struct rpc_answer answer = {0};
        struct wt_err err = {0};
        int r = rpc_call(&w->addr, &call, soon(), &answer, &err);
        if (r != calls[i].error || answer.status != calls[i].status)
            print_error("%s %s: %d %s, status %u\n", calls[i].method, calls[i].target, r, err.msg,
                        answer.status);
        assert_int_equal(r, calls[i].error);
        assert_int_equal(answer.status, calls[i].status);
        if (r == 0 && calls[i].answer) {
            assert_int_equal(answer.body.len, strlen(calls[i].answer));
            assert_memory_equal(answer.body.ptr ? answer.body.ptr : "", calls[i].answer,
                                answer.body.len);
        }
        if (r == 0)
            wt_buf_done(&answer.body);
    }
}

/* ---- raw bytes in, what comes back ---- */

static const struct {
    const char *in;
    const char *starts; /* of all that comes back */
    const char *holds;  /* also somewhere in it, or NULL */
    int answers;
} raw[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
     "HTTP/1.1 200", "GET /2 ?", 2},
    {"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
     "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
     "GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
     "HTTP/1.1 200", "POST /1 ? abcde", 2},
    {"GET /count HTTP/1.0\r\n\r\n", "HTTP/1.1 200", "\r\n\r\nline 0\nline 1\n", 1},
    {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "Host", 1},
    {"rubbish\r\n\r\n", "HTTP/1.1 400", NULL, 1},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 413", NULL, 1},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400", NULL,
     1},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
     "HTTP/1.1 400", NULL, 1},
    {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
     "Connection: close\r\n\r\n",
     "HTTP/1.1 100 Continue\r\n\r\n", NULL, 1},
};

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

static void one_raw(struct world *w, size_t i, size_t piece)
{
    struct io_stream s;
    io_stream_init(&s);
    assert_int_equal(io_connect(&s, &w->addr, soon()), 0);
    struct wt_str in = wt_str_z(raw[i].in);
    for (size_t at = 0; at < in.len; at += piece) {
        if (io_write_str(&s, wt_str_sub(in, at, at + piece), soon()) < 0)
            break;
        if (piece < in.len)
            io_yield();
    }
    struct io_sys *sys = io_sys_here();
    sys->shutdown(sys, s.fd, SHUT_WR);
    struct wt_buf all wt_autobuf = wt_buf_make(1 << 16);
    for (;;) {
        char text[1000];
        ssize_t got = io_read(&s, text, sizeof text, soon());
        if (got <= 0)
            break;
        wt_buf_add(&all, text, (size_t)got);
    }
    const char *z = wt_buf_z(&all);
    bool ok = wt_str_starts(wt_buf_str(&all), wt_str_z(raw[i].starts)) &&
              (!raw[i].holds || strstr(z, raw[i].holds)) &&
              count_of(z, "HTTP/1.1 ") == (unsigned)raw[i].answers;
    if (!ok)
        print_error("case %zu, pieces of %zu: %s\n", i, piece, z);
    assert_true(ok);
    io_stream_close(&s);
}

static void test_raw(struct world *w)
{
    for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) {
        one_raw(w, i, 1 << 16);
        one_raw(w, i, 7);
    }
}

/* ---- streams, limits, people who leave ---- */

static int until_ready(void *ctx, struct wt_str bytes)
{
    wt_buf_add_str(ctx, bytes);
    return wt_str_ends(bytes, WT_STR("ready\n")) ? WT_EAGAIN : 0;
}

static void test_watch(struct world *w)
{
    struct rpc_call call = {.target = WT_STR("/watch"), .host = WT_STR("a")};
    struct rpc_answer answer;
    struct wt_buf got wt_autobuf = wt_buf_make(100);
    assert_int_equal(rpc_stream(&w->addr, &call, soon(), until_ready, &got, &answer, NULL),
                     WT_EAGAIN);
    assert_true(wt_str_eq(wt_buf_str(&got), WT_STR("ready\n")));
    while (w->n_gone == 0)
        assert_int_equal(io_cond_wait(&w->news, soon()), 0);
}

static void watcher(void *arg)
{
    struct world *w = arg;
    struct rpc_call call = {.target = WT_STR("/watch"), .host = WT_STR("a")};
    struct rpc_answer answer;
    assert_true(rpc_call(&w->addr, &call, soon(), &answer, NULL) < 0);
}

/* The server goes while nine watches are open, one more than it takes; run_world() frees it. */
static void test_limit(struct world *w)
{
    for (int i = 0; i < 8; i++)
        assert_int_equal(io_spawn(IO_STACK_DEEP, watcher, w, NULL), 0);
    assert_int_equal(io_sleep_until(io_now_ms() + 20), 0);
    struct rpc_call call = {.target = WT_STR("/"), .host = WT_STR("a")};
    struct rpc_answer answer;
    assert_int_equal(rpc_call(&w->addr, &call, soon(), &answer, NULL), 0);
    assert_int_equal(answer.status, 503);
    wt_buf_done(&answer.body);
}

static void test_client_limits(struct world *w)
{
    struct rpc_answer answer;
    struct wt_err err;
    struct rpc_call call = {.target = WT_STR("/count"), .host = WT_STR("a"), .max_body_bytes = 10};
    assert_int_equal(rpc_call(&w->addr, &call, soon(), &answer, &err), WT_ELIMIT);
    call.target = WT_STR("/watch");
    call.max_body_bytes = 0;
    assert_int_equal(rpc_call(&w->addr, &call, io_now_ms() + 20, &answer, &err), WT_ETIMEOUT);
    assert_non_null(strstr(err.msg, "127.0.0.1:"));
    union io_addr nobody;
    io_addr_parse(WT_STR("127.0.0.1"), 1, &nobody, NULL);
    assert_int_equal(rpc_call(&nobody, &call, soon(), &answer, &err), WT_EREFUSED);
}

static void query(void **state)
{
    static const struct {
        const char *query, *name, *value; /* NULL: absent */
    } rows[] = {
        {"a=1&b=2", "b", "2"},
        {"a=1", "b", NULL},
        {"", "a", NULL},
        {"a", "a", ""},
        {"%61=x%2By+z", "a", "x+y z"},
        {"a=%zz", "a", NULL},
        {"a=1&a=2", "a", "1"},
        {"a=%4", "a", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wt_buf out wt_autobuf = wt_buf_make(100);
        bool found = rpc_query_get(wt_str_z(rows[i].query), wt_str_z(rows[i].name), &out);
        assert_int_equal(found, rows[i].value != NULL);
        assert_int_equal(rpc_query_readable(wt_str_z(rows[i].query)),
                         !strstr(rows[i].query, "%z") && !strstr(rows[i].query, "%4"));
        if (found)
            assert_true(wt_str_eq(wt_buf_str(&out), wt_str_z(rows[i].value)));
    }
}

#define WORLD_TEST(name)                                                                           \
    static void in_##name(void **state)                                                            \
    {                                                                                              \
        in_world(test_##name);                                                                     \
    }
WORLD_TEST(calls)
WORLD_TEST(raw)
WORLD_TEST(watch)
WORLD_TEST(limit)
WORLD_TEST(client_limits)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_calls), cmocka_unit_test(in_raw),           cmocka_unit_test(in_watch),
        cmocka_unit_test(in_limit), cmocka_unit_test(in_client_limits), cmocka_unit_test(query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
