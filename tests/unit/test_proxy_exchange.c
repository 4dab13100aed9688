/* The forwarding flow with a client that speaks no HTTP/1: frames of any size from memory,
 * trailers, flow control that stalls, resets at any point. What passes here passes for any protocol
 * that fills in a proxy_inbound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy_rig_help.h"

#include "io/sys_sim.h"
#include "proxy/serve.h"

#include <limits.h>

enum { NEVER = INT_MAX };

enum script {
    ECHO,          /* the body comes back, by length */
    ECHO_CHUNKED,  /* chunked, with a trailer */
    ECHO_TO_CLOSE, /* without a length */
    EARLY,         /* 403 with a body before the request's is read */
    TRUNCATED,     /* half of the body, then the end */
    BROKEN,        /* half of the body without a length, then a reset */
    RESET_FIRST,   /* the first request is reset, later ones are echoed */
    CLOSE_KEPT, /* like it, but only the second request of the connection, after its bytes came */
    SILENT,
};

struct row {
    const char *name, *method;
    int body_len, frame; /* of the request */
    bool length_known, trailers;
    int stall_every; /* frames, both ways: then the other end makes no room for a while; 0: never */
    int reset_reading_at; /* the client resets once so many bytes of the request were read */
    int reset_writing_at; /* … of the answer were written */
    int reset_after_ms;   /* … so long after the start, while nobody reads or writes */
    enum script script;
    int status; /* that the client sees; 0: none */
    bool clean, reset;
    int n_heads; /* that the origin saw */
    bool reused; /* by the next request */
};

static const struct row rows[] = {
    {"get", "GET", 0, 0, true, false, 0, NEVER, NEVER, NEVER, ECHO, 200, true, false, 1, true},
    {"post", "POST", 5000, 77, true, false, 0, NEVER, NEVER, NEVER, ECHO, 200, true, false, 1,
     true},
    {"one byte frames", "POST", 600, 1, true, false, 0, NEVER, NEVER, NEVER, ECHO, 200, true, false,
     1, true},
    {"no length", "POST", 5000, 333, false, false, 0, NEVER, NEVER, NEVER, ECHO, 200, true, false,
     1, true},
    {"empty, no length", "POST", 0, 9, false, false, 0, NEVER, NEVER, NEVER, ECHO, 200, true, false,
     1, true},
    {"trailers", "POST", 4000, 1001, false, true, 0, NEVER, NEVER, NEVER, ECHO_CHUNKED, 200, true,
     false, 1, true},
    {"only trailers", "POST", 0, 1, false, true, 0, NEVER, NEVER, NEVER, ECHO_CHUNKED, 200, true,
     false, 1, true},
    {"stalls", "PUT", 60000, 999, false, true, 3, NEVER, NEVER, NEVER, ECHO_CHUNKED, 200, true,
     false, 1, true},
    {"to close", "PUT", 3000, 100, true, false, 2, NEVER, NEVER, NEVER, ECHO_TO_CLOSE, 200, true,
     false, 1, false},
    {"reset at once", "POST", 4000, 100, true, false, 0, 0, NEVER, NEVER, ECHO, 0, false, true, 1,
     false},
    {"reset in the body", "POST", 9000, 100, true, false, 2, 4000, NEVER, NEVER, ECHO, 0, false,
     true, 1, false},
    {"reset before trailers", "POST", 900, 100, false, true, 0, 900, NEVER, NEVER, ECHO, 0, false,
     true, 1, false},
    {"reset while waiting", "GET", 0, 1, true, false, 0, NEVER, NEVER, 50, SILENT, 0, false, true,
     1, false},
    {"reset in the answer", "POST", 30000, 999, true, false, 0, NEVER, 7000, NEVER, ECHO, 200,
     false, true, 1, false},
    {"reset in chunks", "POST", 9000, 999, true, false, 4, NEVER, 1, NEVER, ECHO_CHUNKED, 200,
     false, true, 1, false},
    {"truncated", "PUT", 4000, 500, true, false, 0, NEVER, NEVER, NEVER, TRUNCATED, 200, false,
     true, 1, false},
    {"truncated, stalls", "PUT", 4000, 500, true, false, 1, NEVER, NEVER, NEVER, TRUNCATED, 200,
     false, true, 1, false},
    {"broken", "PUT", 4000, 500, true, false, 0, NEVER, NEVER, NEVER, BROKEN, 200, false, true, 1,
     false},
    {"early", "POST", 60000, 500, true, false, 3, NEVER, NEVER, NEVER, EARLY, 403, true, false, 1,
     false},
    {"get again", "GET", 0, 1, true, false, 0, NEVER, NEVER, NEVER, RESET_FIRST, 200, true, false,
     2, true},
    {"post never again", "POST", 10, 10, true, false, 0, NEVER, NEVER, NEVER, RESET_FIRST, 502,
     true, false, 1, false},
    {"put, body gone by", "PUT", 900, 10, false, false, 0, NEVER, NEVER, NEVER, RESET_FIRST, 502,
     true, false, 1, false},
    {"silent", "GET", 0, 1, true, false, 0, NEVER, NEVER, NEVER, SILENT, 504, true, false, 1,
     false},
};

/* ---- the client ---- */

struct fake {
    struct proxy_inbound in;
    const struct row *row;
    struct http_head request, trailers;
    struct wt_arena arena;
    struct wt_buf body;
    size_t at; /* of the body: read */
    unsigned n_frames;
    bool waited;           /* the frame at hand has kept its reader waiting */
    struct io_stream line; /* stands for the connection */
    /* what it saw */
    int status;
    bool ended, was_reset;
    struct wt_buf answer;
    char trailer[128];
    enum http_framing framing;
};

static struct fake *of(struct proxy_inbound *in)
{
    return WT_CONTAINER(in, struct fake, in);
}

static int pause_ms(int64_t deadline_ms, int ms)
{
    assert_true(deadline_ms >= io_now_ms());
    return io_sleep_until(io_now_ms() + ms);
}

static int read_body(struct proxy_inbound *in, bool wait, int64_t deadline_ms, struct wt_str *out)
{
    struct fake *f = of(in);
    const struct row *q = f->row;
    *out = wt_str(NULL, 0);
    if (f->was_reset || (int)f->at >= q->reset_reading_at)
        return WT_ERESET;
    if (q->stall_every && ++f->n_frames % (unsigned)q->stall_every == 0 && !f->waited) {
        f->waited = true;
        if (!wait)
            return WT_EAGAIN;
        int r = pause_ms(deadline_ms, 3);
        if (r < 0)
            return r;
    }
    f->waited = false;
    *out = wt_str_sub(wt_buf_str(&f->body), f->at, f->at + (size_t)q->frame);
    f->at += out->len;
    /* Trailers come in a frame of their own, behind all data. */
    if (f->at < f->body.len || (q->trailers && out->len))
        return PROXY_PIECE_DATA;
    in->trailers = q->trailers ? &f->trailers : NULL;
    return PROXY_PIECE_END;
}

static bool whole_body(struct proxy_inbound *in, struct wt_str *out)
{
    struct fake *f = of(in);
    *out = wt_buf_str(&f->body);
    return f->row->length_known && f->row->body_len <= f->row->frame;
}

static int send_head(struct proxy_inbound *in, struct http_head *response, bool last,
                     int64_t deadline_ms)
{
    struct fake *f = of(in);
    if (f->was_reset)
        return WT_ERESET;
    assert_int_equal(f->status, 0);
    f->status = response->status;
    f->framing = response->framing;
    f->ended = last;
    return 0;
}

static int send_body(struct proxy_inbound *in, struct wt_str bytes, bool last,
                     const struct http_head *trailers, int64_t deadline_ms)
{
    struct fake *f = of(in);
    const struct row *q = f->row;
    assert_true(f->status && !f->ended);
    /* A window of 1000 bytes. */
    while (bytes.len) {
        struct wt_str piece = wt_str_sub(bytes, 0, 1000);
        if (f->was_reset || (int)(f->answer.len + piece.len) > q->reset_writing_at)
            return WT_ERESET;
        if (q->stall_every && ++f->n_frames % (unsigned)q->stall_every == 0) {
            int r = pause_ms(deadline_ms, 2);
            if (r < 0)
                return r;
        }
        wt_buf_add_str(&f->answer, piece);
        bytes = wt_str_sub(bytes, piece.len, bytes.len);
    }
    if (last && trailers)
        snprintf(f->trailer, sizeof f->trailer, "%.*s: %.*s", WT_ARG(trailers->fields[0].name),
                 WT_ARG(trailers->fields[0].value));
    f->ended = last;
    return 0;
}

static int flush(struct proxy_inbound *in, int64_t deadline_ms)
{
    return of(in)->was_reset ? WT_ERESET : 0;
}

static void reset(struct proxy_inbound *in)
{
    assert_false(of(in)->ended);
    of(in)->was_reset = true;
}

static struct io_stream *watch(struct proxy_inbound *in)
{
    return &of(in)->line;
}

static const struct proxy_inbound_ops ops = {read_body, whole_body, send_head, send_body,
                                             flush,     reset,      watch};

static void make_request(struct fake *f, const struct row *row)
{
    *f = (struct fake){.row = row};
    f->arena = wt_arena_make(64 << 10);
    f->body = wt_buf_make(1 << 20);
    f->answer = wt_buf_make(1 << 20);
    for (int i = 0; i < row->body_len; i++)
        wt_buf_add_char(&f->body, (char)('a' + i * 7 % 26));
    struct http_head *h = &f->request;
    http_head_init(h, &f->arena);
    h->method_text = wt_str_z(row->method);
    h->method = http_method_lookup(h->method_text);
    h->authority = WT_STR("shop.example");
    h->target = h->path = WT_STR("/a");
    h->minor = 1;
    bool has_body = row->body_len || !row->length_known;
    h->framing = !has_body           ? HTTP_FRAMING_NONE
                 : row->length_known ? HTTP_FRAMING_LENGTH
                                     : HTTP_FRAMING_CHUNKED;
    h->length = (uint64_t)row->body_len;
    http_head_init(&f->trailers, &f->arena);
    assert_int_equal(http_head_add(&f->trailers, WT_STR("x-sum"), WT_STR("77")), 0);
    f->in = (struct proxy_inbound){&ops, h, has_body, NULL};
    io_stream_init(&f->line);
    f->line.fd = INT_MAX; /* never given to the system */
}

static void fake_done(struct fake *f)
{
    wt_buf_done(&f->body);
    wt_buf_done(&f->answer);
    wt_arena_done(&f->arena);
}

/* ---- the origin ---- */

struct world {
    const struct row *row;
    struct rig rig;
    struct io_fiber *origin;
    struct io_stream listener;
    int n_conns, n_heads, n_open;
    struct wt_buf body; /* of the last request */
    char trailer[128];
    bool body_whole;
    bool plain; /* the second request: echoed, whatever the script */
};

static void answer(struct world *w, struct mini *m, enum script script)
{
    struct wt_str body = wt_buf_str(&w->body);
    struct wt_buf out wt_autobuf = wt_buf_make(1 << 20);
    wt_buf_printf(&out, "HTTP/1.1 %s\r\n", script == EARLY ? "403 No" : "200 OK");
    if (script == ECHO_CHUNKED)
        wt_buf_printf(&out, "Transfer-Encoding: chunked\r\n\r\n");
    else if (script == ECHO_TO_CLOSE || script == BROKEN)
        wt_buf_printf(&out, "Connection: close\r\n\r\n");
    else
        wt_buf_printf(&out, "Content-Length: %zu\r\n\r\n", body.len);
    if (script == TRUNCATED || script == BROKEN)
        body.len /= 2;
    for (size_t at = 0; script == ECHO_CHUNKED && at < body.len; at += 501) {
        struct wt_str piece = wt_str_sub(body, at, at + 501);
        wt_buf_printf(&out, "%zx\r\n%.*s\r\n", piece.len, WT_ARG(piece));
    }
    if (script == ECHO_CHUNKED)
        wt_buf_printf(&out, "0\r\nX-Sum: 78\r\n\r\n");
    else
        wt_buf_add_str(&out, body);
    mini_write(m, out.ptr, out.len);
}

static bool serve_one(struct world *w, struct mini *m)
{
    if (mini_head(m) < 0)
        return false;
    enum script script =
        w->plain || (w->row->script == RESET_FIRST && w->n_heads) ? ECHO : w->row->script;
    if (!w->plain)
        w->n_heads++;
    w->body.len = 0;
    w->body_whole = false;
    if (script == EARLY) {
        wt_buf_add_str(&w->body, WT_STR("not you"));
        answer(w, m, script);
        io_sleep_until(io_now_ms() + 500);
        return false;
    }
    if (script != RESET_FIRST && mini_body(m, false, false, &w->body) < 0)
        return false;
    w->body_whole = true;
    snprintf(w->trailer, sizeof w->trailer, "%s", m->trailer);
    if (script == SILENT) {
        mini_more(m); /* until the proxy gives up */
        return false;
    }
    if (script == RESET_FIRST) {
        io_stream_reset(&m->s);
        return false;
    }
    answer(w, m, script);
    if (script == BROKEN) {
        io_sleep_until(io_now_ms() + 100);
        io_stream_reset(&m->s);
    }
    return script == ECHO || script == ECHO_CHUNKED;
}

static void serve_conn(void *arg)
{
    struct mini *m = arg;
    struct world *w;
    memcpy(&w, m->head, sizeof w);
    int fd = m->s.fd;
    io_stream_init(&m->s);
    assert_int_equal(io_stream_open(&m->s, fd), 0);
    while (serve_one(w, m))
        ;
    io_stream_close(&m->s);
    free(m);
    w->n_open--;
}

static void run_origin(void *arg)
{
    struct world *w = arg;
    union io_addr peer;
    int fd;
    while ((fd = io_accept(&w->listener, &peer, IO_NEVER)) >= 0) {
        struct mini *m = calloc(1, sizeof *m);
        m->s.fd = fd;
        m->patience_ms = 100000;
        memcpy(m->head, &w, sizeof w);
        w->n_conns++;
        w->n_open++;
        assert_int_equal(io_spawn(IO_STACK_DEEP, serve_conn, m, NULL), 0);
    }
    io_stream_close(&w->listener);
}

/* ---- one row ---- */

struct visit {
    struct world *w;
    struct fake *f;
    enum proxy_served served;
};

static void visit(void *arg)
{
    struct visit *v = arg;
    struct world *w = v->w;
    struct proxy_client client = {
        .worker = &w->rig.worker,
        .listener = w->rig.config->listeners[0],
        .peer_text = WT_STR("10.9.9.9:4000"),
        .peer_host = WT_STR("10.9.9.9"),
        .connection_id = 1,
        .start_ns = io_now_ns(),
    };
    struct wt_arena arena = wt_arena_make(256 << 10);
    v->served = proxy_serve(&client, &v->f->in, &arena);
    wt_arena_done(&arena);
}

/* On a fiber of its own, as connections are: a client that goes away cancels it. */
static enum proxy_served serve(struct world *w, struct fake *f)
{
    struct visit v = {w, f, PROXY_SERVED};
    struct io_fiber *fiber;
    assert_int_equal(io_spawn(IO_STACK_FLOW, visit, &v, &fiber), 0);
    io_join(fiber);
    return v.served;
}

static void hang_up(void *arg)
{
    struct fake *f = arg;
    io_sleep_until(io_now_ms() + f->row->reset_after_ms);
    f->was_reset = true;
    f->line.ready |= IO_HUP;
    if (f->line.reader)
        io_unpark(f->line.reader);
}

static void check(const struct world *w, const struct fake *f, enum proxy_served served)
{
    const struct row *q = w->row;
    bool by_client = q->reset_after_ms != NEVER;
    assert_int_equal(f->status, q->status);
    assert_int_equal(f->ended, q->clean);
    assert_int_equal(f->was_reset || (!q->clean && !f->ended && q->reset_reading_at != NEVER),
                     q->reset);
    assert_int_equal(served, q->clean ? PROXY_SERVED : PROXY_SERVED_BROKEN);
    assert_int_equal(w->n_heads, q->n_heads);
    if (by_client || !q->clean || q->status != 200)
        return;
    assert_true(w->body_whole);
    assert_true(wt_str_eq(wt_buf_str(&w->body), wt_buf_str(&f->body)));
    assert_true(wt_str_eq(wt_buf_str(&f->answer), wt_buf_str(&f->body)));
    assert_string_equal(w->trailer, q->trailers ? "x-sum: 77" : "");
    if (q->script == ECHO_CHUNKED)
        assert_int_equal(strcasecmp(f->trailer, "x-sum: 78"), 0);
}

static void run_row(void *arg)
{
    static const struct row next = {"next", "GET", 0,    1,   true, false, 0, NEVER,
                                    NEVER,  NEVER, ECHO, 200, true, false, 1, true};
    struct world *w = arg;
    union io_addr addr;
    struct fake *f = calloc(2, sizeof *f);
    assert_true(rig_init(&w->rig, io_sys_here()));
    rig_set_gateway(&w->rig);
    rig_set_route(&w->rig, "old");
    rig_set_backend(&w->rig, "old", 1, 1);
    rig_set_policy(&w->rig, "old",
                   "'timeout':{'http':{'requestTimeout':'3s'}},"
                   "'retry':{'numRetries':2,'retryOn':{'triggers':['reset','connect-failure']},"
                   "'perRetry':{'timeout':'3s'}}");
    assert_int_equal(rig_publish(&w->rig), 0);
    io_addr_parse(WT_STR("10.0.1.1"), 80, &addr, NULL);
    io_stream_init(&w->listener);
    assert_int_equal(io_stream_open(&w->listener, io_listen(io_sys_here(), &addr, 9, NULL)), 0);
    assert_int_equal(io_spawn(IO_STACK_FLOW, run_origin, w, &w->origin), 0);
    w->body = wt_buf_make(1 << 20);

    make_request(&f[0], w->row);
    if (w->row->reset_after_ms != NEVER)
        assert_int_equal(io_spawn(IO_STACK_FLOW, hang_up, &f[0], NULL), 0);
    enum proxy_served served = serve(w, &f[0]);
    io_sleep_until(io_now_ms() + 100); /* what was sent has arrived */
    check(w, &f[0], served);
    int before = w->n_conns;
    w->plain = true;
    make_request(&f[1], &next);
    assert_int_equal(serve(w, &f[1]), PROXY_SERVED);
    assert_int_equal(f[1].status, 200);
    assert_int_equal(w->n_conns == before, w->row->reused);

    rig_quiesce(&w->rig);
    io_sleep_until(io_now_ms() + 1000);
    assert_int_equal(w->n_open, 0); /* what was cancelled is closed, not left */
    io_cancel(w->origin);
    io_join(w->origin);
    assert_int_equal(rig_not_zero(&w->rig, w->row->name), 0);
    rig_done(&w->rig);
    fake_done(&f[0]);
    fake_done(&f[1]);
    free(f);
    wt_buf_done(&w->body);
}

static void play(const struct row *row, uint64_t seed)
{
    struct io_sim *sim;
    struct io_loop *loop;
    struct io_sim_options options = {
        .seed = seed, .buffer_bytes = 1500, .split_percent = 20 * (unsigned)seed};
    struct world *w = calloc(1, sizeof *w);
    w->row = row;
    assert_int_equal(io_sim_new(&options, &sim), 0);
    assert_int_equal(io_loop_new(io_sim_sys(sim), &loop, NULL), 0);
    assert_int_equal(io_spawn_on(loop, IO_STACK_DEEP, run_row, w, NULL), 0);
    io_loop_run(loop, true);
    io_loop_free(loop);
    assert_int_equal(io_sim_open_fds(sim), 0);
    io_sim_free(sim);
    free(w);
}

static void every_row(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            if (getenv("ROW"))
                print_message("%s %d\n", rows[i].name, (int)seed);
            play(&rows[i], seed);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
