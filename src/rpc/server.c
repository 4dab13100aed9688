#include "rpc/server.h"

#include "base/list.h"
#include "base/mem.h"
#include "http/h1_write.h"
#include "rpc/internal.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

enum {
    IDLE_MS = 75000, /* between requests */
    HEAD_MS =
        10000, /* from a head's first byte to its last: slow senders hold a connection no longer */
    BODY_MS = 60000,
    LINGER_MS = 1000, /* after a refusal, for what the client still sends */
    LINGER_BYTES = 256 << 10,
    ACCEPT_PAUSE_MS = 100, /* without descriptors or memory */
};

struct rpc_server {
    struct rpc_handler handler;
    struct io_stream listener;
    struct io_fiber *acceptor;
    struct wt_list conns; /* that live */
    struct wt_list ended; /* whose fibers only wait to be joined */
    unsigned n_conns;
};

struct conn {
    struct wt_list node;
    struct rpc_server *server;
    struct io_fiber *fiber;
    struct io_stream stream;
    union io_addr peer;
    struct wt_buf in;   /* the head that is handled; strings point into it */
    struct wt_buf rest; /* what came behind it */
    struct wt_buf body;
    struct wt_arena arena;
    struct http_head head;
    struct rpc_reply reply;
};

/* ---- one request ---- */

/* 1 when a head is there, 0 when it was refused or the client has left. */
static int read_head(struct conn *c)
{
    int64_t deadline_ms = io_now_ms() + (c->in.len ? HEAD_MS : IDLE_MS);
    enum http_h1_fault fault = HTTP_H1_FAULT_NONE;
    size_t seen = 0, used = 0;
    for (;;) {
        http_head_init(&c->head, &c->arena);
        int r = WT_EAGAIN;
        if (c->in.len > seen)
            r = http_h1_parse_request(wt_buf_str(&c->in), seen, &http_h1_default_limits, &c->head,
                                      &used, &fault);
        if (r == 0)
            break;
        if (r != WT_EAGAIN) {
            const struct http_h1_fault_info *info = http_h1_fault_info(fault);
            http_head_init(&c->head, &c->arena); /* half a head is none */
            rpc_reply_init(&c->reply, &c->stream, &c->arena, &c->head, false);
            rpc_reply_refuse(&c->reply, info->status, info->text);
            return 0;
        }
        seen = c->in.len;
        if (rpc_read_more(&c->stream, &c->in, deadline_ms) < 0)
            return 0;
        if (seen == 0)
            deadline_ms = io_now_ms() + HEAD_MS;
    }
    if (wt_buf_add(&c->rest, c->in.ptr + used, c->in.len - used) < 0)
        return 0;
    c->in.len = used;
    return 1;
}

/* 0, or a negative code after which the connection closes. */
static int read_body(struct conn *c)
{
    const struct http_head *h = &c->head;
    int r = h->framing == HTTP_FRAMING_LENGTH && h->length > c->body.max ? WT_ELIMIT : 0;
    if (r == 0 && h->expect_continue && c->rest.len == 0)
        r = io_write_str(&c->stream, http_h1_continue(), io_now_ms() + HEAD_MS);
    struct http_h1_body body;
    http_h1_body_init(&body, h, NULL);
    if (r == 0)
        r = rpc_read_body(&c->stream, &body, &c->rest, io_now_ms() + BODY_MS, rpc_take_into_buf,
                          &c->body);
    if (r == 0)
        return 0;
    if (body.fault != HTTP_H1_FAULT_NONE && body.fault != HTTP_H1_FAULT_TRUNCATED)
        rpc_reply_refuse(&c->reply, http_h1_fault_info(body.fault)->status,
                         http_h1_fault_info(body.fault)->text);
    else if (r == WT_ELIMIT)
        rpc_reply_refuse(&c->reply, 413, "the body is too large");
    else if (r == WT_ETIMEOUT)
        rpc_reply_refuse(&c->reply, 408, "the body took too long");
    return r;
}

static void handle(struct conn *c)
{
    struct wt_buf path wt_autobuf = wt_buf_make(RPC_HEAD_BYTES);
    if (rpc_percent_decode(c->head.path, false, &path) < 0) {
        rpc_reply_refuse(&c->reply, 400, "invalid percent-encoding in the path");
        return;
    }
    struct rpc_request request = {
        .head = &c->head,
        .method = c->head.method_text,
        .path = wt_buf_str(&path),
        .query = c->head.query,
        .body = wt_buf_str(&c->body),
        .peer = &c->peer,
    };
    const struct rpc_handler *h = &c->server->handler;
    h->handle(h->ctx, &request, &c->reply);
}

/* Whether the connection may serve another one. */
static bool serve_one(struct conn *c)
{
    if (!read_head(c))
        return false;
    rpc_reply_init(&c->reply, &c->stream, &c->arena, &c->head, c->head.keep_alive);
    if (read_body(c) < 0)
        return false;
    handle(c);
    return rpc_reply_finish(&c->reply);
}

/* What came behind this request is the start of the next one. */
static bool next_request(struct conn *c)
{
    wt_arena_done(&c->arena);
    wt_buf_done(&c->body);
    c->in.len = 0;
    int r = wt_buf_add(&c->in, c->rest.ptr, c->rest.len);
    c->rest.len = 0;
    return r == 0;
}

/* ---- connections ---- */

/* Closing with unread bytes resets the connection, and the reset may overtake the answer (RFC 9112
 * §9.6). */
static void linger(struct conn *c)
{
    if (c->reply.state != RPC_REPLY_WHOLE || c->stream.fd < 0)
        return;
    struct io_sys *sys = io_sys_here();
    if (sys->shutdown(sys, c->stream.fd, SHUT_WR) < 0)
        return;
    int64_t deadline_ms = io_now_ms() + LINGER_MS;
    char waste[4096];
    for (size_t total = 0; total < LINGER_BYTES;) {
        ssize_t got = io_read(&c->stream, waste, sizeof waste, deadline_ms);
        if (got < 0)
            return;
        total += (size_t)got;
    }
}

static void conn_done(struct conn *c)
{
    io_stream_close(&c->stream);
    wt_buf_done(&c->in);
    wt_buf_done(&c->rest);
    wt_buf_done(&c->body);
    wt_arena_done(&c->arena);
}

static void conn_run(void *arg)
{
    struct conn *c = arg;
    while (serve_one(c) && next_request(c))
        ;
    linger(c);
    conn_done(c);
    c->server->n_conns--;
    wt_list_remove(&c->node);
    wt_list_add_tail(&c->server->ended, &c->node);
}

static void join_ended(struct rpc_server *s)
{
    while (!wt_list_empty(&s->ended)) {
        struct conn *c = WT_CONTAINER(s->ended.next, struct conn, node);
        wt_list_remove(&c->node);
        io_join(c->fiber);
        wt_free(c);
    }
}

/* Takes the descriptor over in any case. */
static void conn_start(struct rpc_server *s, int fd, const union io_addr *peer)
{
    struct io_sys *sys = io_sys_here();
    struct conn *c = s->n_conns < s->handler.max_connections ? wt_calloc(1, sizeof *c) : NULL;
    if (!c) {
        static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                                   "Connection: close\r\n\r\n";
        sys->send(sys, fd, busy, sizeof busy - 1);
        sys->close(sys, fd);
        return;
    }
    if (peer->sa.sa_family != AF_UNIX) /* or a watch's small chunks wait for acknowledgements */
        sys->setsockopt(sys, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    c->server = s;
    c->peer = *peer;
    c->in = wt_buf_make(RPC_HEAD_BYTES);
    c->rest = wt_buf_make(RPC_HEAD_BYTES);
    c->body = wt_buf_make(s->handler.max_body_bytes);
    c->arena = wt_arena_make(RPC_ARENA_BYTES);
    wt_list_init(&c->node);
    io_stream_init(&c->stream);
    if (io_stream_open(&c->stream, fd) < 0) {
        sys->close(sys, fd);
        wt_free(c);
        return;
    }
    if (io_spawn(IO_STACK_DEEP, conn_run, c, &c->fiber) < 0) {
        conn_done(c);
        wt_free(c);
        return;
    }
    s->n_conns++;
    wt_list_add_tail(&s->conns, &c->node);
}

static void accept_run(void *arg)
{
    struct rpc_server *s = arg;
    for (;;) {
        union io_addr peer = {0};
        int fd = io_accept(&s->listener, &peer, IO_NEVER);
        if (io_canceled()) {
            if (fd >= 0)
                io_sys_here()->close(io_sys_here(), fd);
            return;
        }
        join_ended(s);
        if (fd >= 0)
            conn_start(s, fd, &peer);
        else if (io_sleep_until(io_now_ms() + ACCEPT_PAUSE_MS) < 0)
            return;
    }
}

/* ---- life ---- */

int rpc_server_new(const struct rpc_handler *handler, int listen_fd, struct rpc_server **out)
{
    struct io_sys *sys = io_sys_here();
    struct rpc_server *s = wt_calloc(1, sizeof *s);
    if (!s) {
        sys->close(sys, listen_fd);
        return WT_ENOMEM;
    }
    s->handler = *handler;
    wt_list_init(&s->conns);
    wt_list_init(&s->ended);
    io_stream_init(&s->listener);
    int r = io_stream_open(&s->listener, listen_fd);
    if (r < 0)
        sys->close(sys, listen_fd);
    else
        r = io_spawn(IO_STACK_FLOW, accept_run, s, &s->acceptor);
    if (r < 0) {
        io_stream_close(&s->listener);
        wt_free(s);
        return r;
    }
    *out = s;
    return 0;
}

void rpc_server_free(struct rpc_server *s)
{
    struct io_sys *sys = io_sys_here();
    io_cancel(s->acceptor);
    io_join(s->acceptor);
    /* The supervisor may hold the same listener: leave the poll set by name. */
    sys->close(sys, io_stream_release(&s->listener));
    for (struct wt_list *n = s->conns.next; n != &s->conns; n = n->next)
        io_cancel(WT_CONTAINER(n, struct conn, node)->fiber);
    while (!wt_list_empty(&s->conns)) {
        struct conn *c = WT_CONTAINER(s->conns.next, struct conn, node);
        io_join(c->fiber); /* it has moved itself among the ended */
        wt_list_remove(&c->node);
        wt_free(c);
    }
    join_ended(s);
    wt_free(s);
}
