/* HTTP/1.1 towards clients. Between requests a connection is only this struct and a timer: no
 * fiber, no buffer. */
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "proxy/accept.h"
#include "proxy/body.h"
#include "proxy/serve.h"

#include "base/mem.h"

#include <stdio.h>

/* What a fiber's stack comes to when all it does is refuse; with AddressSanitizer there are red
 * zones, an allocation for each piece, and 32 KiB of shadow to a stack. */
#if defined(__SANITIZE_ADDRESS__)
enum { SCALE = 3, STACK_BYTES = 64 << 10 };
#else
enum { SCALE = 1, STACK_BYTES = 12 << 10 };
#endif

enum {
    PEER_TEXT = INET6_ADDRSTRLEN + 8,
    JOIN_BYTES = 4096,
    TURN_REQUESTS = 32,
    SHRINK_IDLE_MS = 1000, /* a client that is about to send its next request is not cut off */
    SHRINK_AT_ONCE = 4096,
    LINGER_MS = 1000,  /* for a client that still sends when we close */
    LINGER_READS = 16, /* a turn */
    LINGER_BYTES = 4096,
    /* What one under way may still take, in the steps that it goes: until its head is whole, until
     * its host has it (of a large head there is a copy), until it is answered. The first is also
     * what it takes until it is admitted. */
    HEAD_BYTES = SCALE * (24 << 10),
    SEND_BYTES = SCALE * (28 << 10),
    ANSWER_BYTES = SCALE * (16 << 10),
    LARGE_BYTES = PROXY_HEAD_MAX,
};

struct h1_in {
    struct io_stream stream;
    struct io_timer timer;
    struct wt_list node; /* in worker->conns */
    struct proxy_worker *worker;
    struct proxy_listener *listener; /* a reference */
    uint64_t id;
    uint64_t client;        /* proxy_client_key() */
    int64_t rests_since_ms; /* while on_ready is set */
    bool served_any;
    uint8_t peer_len, host_from, host_len;
    char
        peer[PEER_TEXT]; /* written once: every log line needs it, X-Forwarded-For the host in it */
};

/* One request under way, on the fiber's stack. */
struct exchange {
    struct proxy_inbound in;
    struct h1_in *conn;
    struct proxy_window window;
    struct wt_arena arena;
    struct http_head request, trailers;
    struct http_h1_body body;
    struct wt_buf head; /* an answer's head held back */
    char *head_buffer;
    char *large_head; /* where an answer's head did not fit into it */
    uint64_t sent;
    uint32_t promised_bytes;
    bool large;        /* the window is on the heap: the head did not fit a pooled buffer */
    bool continue_due; /* the client waits for 100 */
    bool chunked_out;
    bool close;
    bool broken;
    char arena_bytes[2048];
};

static struct exchange *self(struct proxy_inbound *in)
{
    return WT_CONTAINER(in, struct exchange, in);
}

/* What it may still take from here on, instead of what was said before. */
static void promise(struct exchange *x, uint32_t bytes)
{
    proxy_worker_promise(x->conn->worker, (int64_t)bytes - x->promised_bytes);
    x->promised_bytes = bytes;
}

static int write_str(struct exchange *x, struct wt_str bytes, int64_t deadline_ms)
{
    struct iovec iov = {(void *)bytes.ptr, bytes.len};
    return io_write_counted(&x->conn->stream, &iov, 1, deadline_ms, &x->sent);
}

/* Without a fiber: what the socket does not take at once is lost. */
static bool write_now(struct exchange *x, struct wt_str bytes)
{
    struct iovec iov = {(void *)bytes.ptr, bytes.len};
    ssize_t n = io_write_now(&x->conn->stream, &iov, 1);
    x->sent += n > 0 ? (uint64_t)n : 0;
    return n == (ssize_t)bytes.len;
}

/* ---- the request body ---- */

static int read_body(struct proxy_inbound *in, bool wait, int64_t deadline_ms,
                     struct wt_str *out_bytes)
{
    struct exchange *x = self(in);
    /* Only in front of the body, and never into an answer that has begun. */
    bool waits = x->continue_due && x->window.start == x->window.end && !x->sent && !x->head.len;
    x->continue_due = false;
    if (waits) {
        int r = write_str(x, http_h1_continue(), deadline_ms);
        if (r < 0)
            return r;
    }
    int r = proxy_body_next(&x->body, &x->window, &x->conn->stream, wait, deadline_ms, out_bytes);
    if (r == PROXY_PIECE_END && x->trailers.n_fields)
        in->trailers = &x->trailers;
    return r;
}

static bool whole_body(struct proxy_inbound *in, struct wt_str *out_bytes)
{
    struct exchange *x = self(in);
    struct wt_str there = proxy_window_str(&x->window);
    *out_bytes = wt_str(NULL, 0);
    if (http_h1_body_done(&x->body))
        return true;
    if (x->request.framing != HTTP_FRAMING_LENGTH || x->body.left > there.len)
        return false;
    *out_bytes = wt_str_sub(there, 0, (size_t)x->body.left);
    return true;
}

/* What is left of the request body, if it lies here already; else the connection cannot go on: the
 * next request would be looked for in the middle of this one (0.CL, CVE-2025-4366). */
static void skip_body(struct exchange *x)
{
    struct wt_str ignored;
    int r;
    do
        r = proxy_body_next(&x->body, &x->window, &x->conn->stream, false, 0, &ignored);
    while (r == PROXY_PIECE_DATA);
    if (r != PROXY_PIECE_END)
        x->close = true;
}

/* ---- the answer ---- */

static bool bodyless(const struct exchange *x, const struct http_head *response)
{
    return x->request.method == HTTP_METHOD_HEAD || response->status < 200 ||
           response->status == 204 || response->status == 304;
}

static void frame(struct exchange *x, struct http_head *response, bool last)
{
    x->chunked_out = false;
    if (bodyless(x, response)) {
        response->framing = HTTP_FRAMING_NONE;
    } else if (last) {
        response->framing = HTTP_FRAMING_LENGTH;
        response->length = 0;
    } else if (response->framing != HTTP_FRAMING_LENGTH) {
        x->chunked_out = x->request.minor >= 1;
        response->framing = x->chunked_out ? HTTP_FRAMING_CHUNKED : HTTP_FRAMING_UNTIL_CLOSE;
        x->close |= !x->chunked_out;
    }
    struct wt_str body;
    if (!x->request.keep_alive || x->conn->worker->draining ||
        proxy_worker_overload(x->conn->worker) >= PROXY_OVERLOAD_SHRINK ||
        (!http_h1_body_done(&x->body) && !whole_body(&x->in, &body)))
        x->close = true;
    response->keep_alive = !x->close;
    /* RFC 9112 §9.3: an HTTP/1.0 client must be told that the connection lives on. */
    response->minor = x->request.minor;
}

static int flush(struct proxy_inbound *in, int64_t deadline_ms)
{
    struct exchange *x = self(in);
    struct proxy_body_out o = {.head = wt_buf_str(&x->head)};
    if (!x->head.len)
        return 0;
    int r = proxy_body_send(&x->conn->stream, &o, deadline_ms, &x->sent);
    x->head.len = 0;
    x->broken |= r < 0;
    return r;
}

/* What the host sent may be of PROXY_HEAD_MAX, and filters add to it. */
static int write_large_head(struct exchange *x, const struct http_head *response)
{
    enum { BYTES = 2 * PROXY_HEAD_MAX };
    x->large_head = wt_malloc(BYTES);
    if (!x->large_head)
        return WT_ENOMEM;
    x->head = (struct wt_buf){.ptr = x->large_head, .cap = BYTES, .max = BYTES};
    return http_h1_write_response(response, &x->head);
}

static int send_head(struct proxy_inbound *in, struct http_head *response, bool last,
                     int64_t deadline_ms)
{
    struct exchange *x = self(in);
    frame(x, response, last);
    if (!x->head_buffer)
        x->head_buffer = proxy_buffer_take(x->conn->worker);
    if (!x->head_buffer)
        return WT_ENOMEM;
    x->head = (struct wt_buf){.ptr = x->head_buffer, .cap = PROXY_BUFFER, .max = PROXY_BUFFER};
    int r = http_h1_write_response(response, &x->head);
    if (r == WT_ELIMIT)
        r = write_large_head(x, response);
    if (r < 0)
        return r;
    return last ? flush(in, deadline_ms) : 0;
}

/* A small answer leaves in one piece: copying it behind its head is cheaper than a gathered write.
 */
static bool join(struct exchange *x, struct wt_str *bytes, bool last)
{
    if (!x->head.len || !last || x->chunked_out || bytes->len > JOIN_BYTES ||
        wt_buf_reserve(&x->head, bytes->len) < 0)
        return false;
    wt_buf_add_str(&x->head, *bytes);
    *bytes = wt_str(NULL, 0);
    return true;
}

static int send_body(struct proxy_inbound *in, struct wt_str bytes, bool last,
                     const struct http_head *trailers, int64_t deadline_ms)
{
    struct exchange *x = self(in);
    if (join(x, &bytes, last))
        return flush(in, deadline_ms);
    struct proxy_body_out o = {
        .head = wt_buf_str(&x->head),
        .bytes = bytes,
        .chunked = x->chunked_out,
        .last = last,
        .trailers = trailers,
    };
    int r = proxy_body_send(&x->conn->stream, &o, deadline_ms, &x->sent);
    x->head.len = 0;
    x->broken |= r < 0;
    return r;
}

static void reset(struct proxy_inbound *in)
{
    struct exchange *x = self(in);
    x->broken = true;
    io_stream_reset(&x->conn->stream);
}

static struct io_stream *watch(struct proxy_inbound *in)
{
    struct exchange *x = self(in);
    promise(x, ANSWER_BYTES);
    return &x->conn->stream;
}

static const struct proxy_inbound_ops ops = {
    .read_body = read_body,
    .whole_body = whole_body,
    .send_head = send_head,
    .send_body = send_body,
    .flush = flush,
    .reset = reset,
    .watch = watch,
};

/* ---- refusals ---- */

static const struct wt_str short_of_memory = WT_STR_INIT("the proxy is short of memory");

/* The head is not a request: one plain answer, then the end. Written without ever trusting what was
 * parsed. */
static void refuse(struct exchange *x, unsigned status, struct wt_str text,
                   const struct proxy_client *client)
{
    char out[512];
    const char *reason = http_status_text(status);
    struct wt_str date = proxy_worker_date(x->conn->worker);
    int n =
        snprintf(out, sizeof out,
                 "HTTP/1.1 %u %s\r\nServer: watari\r\nDate: %.*s\r\nContent-Type: text/plain\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n\r\n%.*s\n",
                 status, reason, WT_ARG(date), text.len + 1, WT_ARG(text));
    if (x->request.method == HTTP_METHOD_HEAD)
        n -= (int)text.len + 1;
    bool sent = io_self() ? write_str(x, wt_str(out, (size_t)n), io_now_ms() + 1000) == 0
                          : write_now(x, wt_str(out, (size_t)n));
    proxy_serve_refused(client, &x->request, status, sent ? text.len + 1 : 0);
    x->close = true;
}

/* ---- reading a head ---- */

static bool grow(struct exchange *x)
{
    char *pooled = x->window.ptr;
    if (!proxy_window_grow(&x->window, x->conn->worker))
        return false;
    proxy_buffer_give(x->conn->worker, pooled);
    x->large = true;
    promise(x, HEAD_BYTES + PROXY_HEAD_MAX + LARGE_BYTES);
    return true;
}

/* Time for a whole head runs from its first byte, however slowly the others come (slowloris). One
 * that would be refused once it is whole is not waited for. */
static int fill(struct exchange *x, int64_t *deadline_ms)
{
    const struct proxy_shared *shared = x->conn->worker->shared;
    bool first = x->window.start == x->window.end;
    if (!first && (!io_self() || proxy_worker_overload(x->conn->worker) >= PROXY_OVERLOAD_REFUSE))
        return WT_ELIMIT;
    if (!proxy_window_room(&x->window) && !grow(x))
        return WT_ELIMIT;
    ssize_t n = proxy_window_fill(&x->window, &x->conn->stream, !first, *deadline_ms);
    if (n > 0 && first)
        *deadline_ms = io_now_ms() + shared->header_timeout_ms;
    return n > 0 ? 0 : (int)n;
}

/* 0; WT_EAGAIN: nothing is there, the connection may rest; or the connection is over. */
static int read_request(struct exchange *x, struct proxy_client *client)
{
    struct http_h1_limits limits = http_h1_default_limits;
    int64_t deadline_ms = IO_NEVER;
    size_t seen = 0, used = 0;
    limits.max_head_bytes = PROXY_HEAD_MAX - 1;
    for (;;) {
        enum http_h1_fault fault;
        struct wt_str in = proxy_window_str(&x->window);
        int r = WT_EAGAIN;
        if (in.len) {
            http_head_init(&x->request, &x->arena);
            r = http_h1_parse_request(in, seen, &limits, &x->request, &used, &fault);
        }
        if (r == 0) {
            x->window.start += used;
            promise(x, SEND_BYTES + (x->large ? LARGE_BYTES : 0));
            return 0;
        }
        if (r != WT_EAGAIN) {
            const struct http_h1_fault_info *info = http_h1_fault_info(fault);
            refuse(x, info->status, wt_str_z(info->text), client);
            return r;
        }
        if (in.len && deadline_ms == IO_NEVER) /* the rest of a pipelined request */
            deadline_ms = io_now_ms() + x->conn->worker->shared->header_timeout_ms;
        seen = in.len;
        r = fill(x, &deadline_ms);
        client->start_ns = seen ? client->start_ns : io_now_ns();
        if (r == WT_ETIMEOUT) {
            http_head_init(&x->request, &x->arena); /* what was read of it may have moved */
            refuse(x, 408, WT_STR("the request's head took too long"), client);
        } else if (r == WT_ELIMIT) {
            http_head_init(&x->request, &x->arena);
            refuse(x, 503, short_of_memory, client);
        }
        if (r < 0)
            return r;
    }
}

/* ---- the connection ---- */

static void destroy(struct h1_in *c)
{
    struct proxy_worker *w = c->worker;
    io_timer_cancel(&c->timer);
    io_stream_close(&c->stream);
    wt_list_remove(&c->node);
    __atomic_store_n(&w->n_conns, w->n_conns - 1, __ATOMIC_RELAXED);
    atomic_fetch_sub_explicit(&w->shared->n_conns, 1, memory_order_relaxed);
    proxy_clients_leave(w->shared->clients, c->client);
    proxy_count_down(&proxy_stats_listener(c->listener->stats, w->id)->cx_active);
    proxy_listener_unref(c->listener);
    wt_free(c);
}

static void linger_over(struct io_timer *t);

/* What still comes is read over: a few pieces a turn, so that a fast sender does not keep all
 * others waiting. */
static void read_over(struct io_stream *s)
{
    struct h1_in *c = WT_CONTAINER(s, struct h1_in, stream);
    char scratch[LINGER_BYTES];
    ssize_t n = 1;
    for (int i = 0; i < LINGER_READS && n > 0; i++)
        n = io_read_now(s, scratch, sizeof scratch);
    if (n < 0 && n != WT_EAGAIN)
        destroy(c);
    else if (n > 0)
        io_timer_set(&c->timer, io_now_ms() + 1);
}

static void linger_over(struct io_timer *t)
{
    struct h1_in *c = WT_CONTAINER(t, struct h1_in, timer);
    int64_t until_ms = c->rests_since_ms + LINGER_MS;
    if (io_now_ms() >= until_ms) {
        destroy(c);
        return;
    }
    io_timer_set(t, until_ms);
    read_over(&c->stream);
}

/* A client that still sends when we close would get a reset that may overtake our last answer (RFC
 * 9112 §9.6): say that nothing more comes, and read over what does for a moment. That takes no
 * fiber and no buffer: where memory is short there are many of them. */
static void close_gently(struct h1_in *c)
{
    struct io_sys *sys = c->worker->shared->sys;
    sys->shutdown(sys, c->stream.fd, SHUT_WR);
    c->rests_since_ms = io_now_ms();
    io_timer_cancel(&c->timer); /* the idle timer is stopped, but may still lie in the wheel */
    io_timer_init(&c->timer, linger_over);
    io_timer_set(&c->timer, c->rests_since_ms + LINGER_MS);
    c->stream.on_ready = read_over;
    read_over(&c->stream);
}

/* A body that goes through the window overwrites the head there, which is needed to the end (the
 * log line). */
static int keep_head(struct exchange *x)
{
    struct http_head *kept = wt_arena_alloc(&x->arena, sizeof *kept);
    int r = kept ? http_head_clone(kept, &x->request, &x->arena) : WT_ENOMEM;
    if (r == 0)
        x->in.request = kept;
    return r;
}

static struct proxy_client client_of(const struct h1_in *c)
{
    return (struct proxy_client){
        .worker = c->worker,
        .listener = c->listener,
        .peer_text = wt_str(c->peer, c->peer_len),
        .peer_host = wt_str(c->peer + c->host_from, c->host_len),
        .connection_id = c->id,
        .start_ns = io_now_ns(),
    };
}

static int one_request(struct exchange *x)
{
    struct h1_in *c = x->conn;
    struct proxy_client client = client_of(c);
    int r = read_request(x, &client);
    if (r < 0)
        return r;
    c->served_any = true;
    http_head_init(&x->trailers, &x->arena);
    http_h1_body_init(&x->body, &x->request, &x->trailers);
    x->continue_due = x->request.expect_continue;
    x->in = (struct proxy_inbound){&ops, &x->request, !http_h1_body_done(&x->body), NULL};
    struct wt_str body;
    if (!whole_body(&x->in, &body)) {
        r = keep_head(x);
        if (r < 0)
            return r;
    }
    if (proxy_serve(&client, &x->in, &x->arena) == PROXY_SERVED_BROKEN)
        x->broken = true;
    if (!x->broken && !x->close)
        skip_body(x);
    return x->broken || x->close ? WT_EOF : 0;
}

static void rest(struct h1_in *c);

/* Once a request, not once a system call: a long body is counted when it has ended, as at the
 * backend. */
static void count_bytes(struct exchange *x)
{
    struct proxy_listener_stats *stats =
        proxy_stats_listener(x->conn->listener->stats, x->conn->worker->id);
    proxy_count_add(&stats->cx_rx_bytes, x->window.received);
    proxy_count_add(&stats->cx_tx_bytes, x->sent);
    x->window.received = x->sent = 0;
}

static void end_exchange(struct exchange *x)
{
    count_bytes(x);
    wt_free(x->large_head);
    x->large_head = NULL;
    wt_arena_done(&x->arena);
    wt_arena_lend(&x->arena, x->arena_bytes, sizeof x->arena_bytes);
}

static void give_buffers(struct exchange *x)
{
    struct proxy_worker *w = x->conn->worker;
    wt_arena_done(&x->arena);
    if (x->head_buffer)
        proxy_buffer_give(w, x->head_buffer);
    if (x->large)
        wt_free(x->window.ptr);
    else
        proxy_buffer_give(w, x->window.ptr);
}

/* 0 or WT_ENOMEM. */
static int begin(struct exchange *x, struct h1_in *c)
{
    memset(x, 0, offsetof(struct exchange, request));
    x->head = wt_buf_make(PROXY_BUFFER);
    x->head_buffer = x->large_head = NULL;
    x->large = x->continue_due = x->close = x->broken = false;
    x->conn = c;
    x->promised_bytes = 0;
    x->sent = 0;
    x->arena = wt_arena_make(256 << 10);
    wt_arena_lend(&x->arena, x->arena_bytes, sizeof x->arena_bytes);
    x->window = (struct proxy_window){.ptr = proxy_buffer_take(c->worker), .cap = PROXY_BUFFER};
    return x->window.ptr ? 0 : WT_ENOMEM;
}

/* The connection rests, or ends, as `r` says. */
static void end(struct exchange *x, int r)
{
    struct h1_in *c = x->conn;
    promise(x, 0);
    if (x->window.ptr)
        give_buffers(x);
    if (c->stream.fd < 0 || x->broken || (r != WT_EAGAIN && !x->close))
        destroy(c);
    else if (r == WT_EAGAIN)
        rest(c);
    else
        close_gently(c);
}

/* Requests as long as they come without a pause. */
static void serve(void *arg)
{
    struct h1_in *c = arg;
    struct exchange x WT_UNSET;
    unsigned served = 0;
    proxy_worker_promise(c->worker, -STACK_BYTES);
    int r = begin(&x, c);
    promise(&x, HEAD_BYTES);
    proxy_worker_take(c->worker, HEAD_BYTES + SEND_BYTES);
    while (r == 0) {
        r = one_request(&x);
        end_exchange(&x);
        /* A pipeline of requests that wait for nobody (404s) must not keep all others waiting. */
        if (r == 0 && ++served % TURN_REQUESTS == 0)
            io_yield();
        if (r == 0 && x.window.start == x.window.end &&
            !(c->stream.ready & (IO_IN | IO_RDHUP | IO_HUP)))
            r = WT_EAGAIN;
    }
    end(&x, r);
}

/* Without memory there is no fiber either: what is there now is read, and refused. */
static void turn_away(struct h1_in *c)
{
    struct exchange x WT_UNSET;
    struct proxy_client client = client_of(c);
    int r = begin(&x, c);
    if (r == 0)
        r = read_request(&x, &client);
    if (r == 0)
        refuse(&x, 503, short_of_memory, &client);
    end_exchange(&x);
    end(&x, r);
}

static void on_ready(struct io_stream *s)
{
    struct h1_in *c = WT_CONTAINER(s, struct h1_in, stream);
    io_timer_stop(&c->timer);
    s->on_ready = NULL;
    if (proxy_worker_take(c->worker, STACK_BYTES) >= PROXY_OVERLOAD_REFUSE) {
        turn_away(c);
        return;
    }
    proxy_worker_promise(c->worker, STACK_BYTES);
    if (io_spawn(IO_STACK_FLOW, serve, c, NULL) == 0)
        return;
    proxy_worker_promise(c->worker, -STACK_BYTES);
    destroy(c);
}

static void idle_timeout(struct io_timer *t)
{
    struct h1_in *c = WT_CONTAINER(t, struct h1_in, timer);
    proxy_count(&proxy_stats_listener(c->listener->stats, c->worker->id)->cx_idle_timeout);
    destroy(c);
}

static void rest(struct h1_in *c)
{
    const struct proxy_shared *shared = c->worker->shared;
    int64_t patience = c->served_any ? shared->idle_timeout_ms : shared->header_timeout_ms;
    c->rests_since_ms = io_now_ms();
    c->stream.on_ready = on_ready;
    io_timer_set(&c->timer, c->rests_since_ms + patience);
    /* What came while nobody looked is no event any more. */
    if (c->stream.ready & (IO_IN | IO_RDHUP | IO_HUP))
        on_ready(&c->stream);
}

void proxy_h1_in_shrink(struct proxy_worker *w)
{
    int64_t before_ms = io_now_ms() - SHRINK_IDLE_MS;
    uint32_t n = w->n_conns < SHRINK_AT_ONCE ? w->n_conns : SHRINK_AT_ONCE;
    for (uint32_t i = 0; i < n; i++) {
        struct h1_in *c = WT_CONTAINER(w->conns.next, struct h1_in, node);
        wt_list_remove(&c->node);
        wt_list_add_tail(&w->conns, &c->node);
        if (c->stream.on_ready && c->rests_since_ms <= before_ms && io_peek_quiet(&c->stream) == 0)
            destroy(c);
    }
}

/* "10.0.0.1" of "10.0.0.1:1234", "::1" of "[::1]:1234" */
static struct wt_str host_of(struct wt_str peer)
{
    while (peer.len && peer.ptr[peer.len - 1] != ':')
        peer.len--;
    peer.len -= peer.len > 0;
    return peer.len && peer.ptr[0] == '[' ? wt_str_sub(peer, 1, peer.len - 1) : peer;
}

static void set_peer(struct h1_in *c, const union io_addr *peer)
{
    char text[IO_ADDR_TEXT];
    c->peer_len = (uint8_t)snprintf(c->peer, sizeof c->peer, "%s", io_addr_format(peer, text));
    struct wt_str host = host_of(wt_str(c->peer, c->peer_len));
    c->host_from = (uint8_t)(host.ptr - c->peer);
    c->host_len = (uint8_t)host.len;
}

void proxy_h1_in_start(struct proxy_worker *w, struct proxy_listener *listener, int fd,
                       const union io_addr *peer)
{
    static _Atomic uint64_t last_id;
    uint64_t client = proxy_client_key(peer);
    struct h1_in *c = wt_calloc(1, sizeof *c);
    if (!c) {
        proxy_clients_leave(w->shared->clients, client);
        w->shared->sys->close(w->shared->sys, fd);
        return;
    }
    struct proxy_listener_stats *stats = proxy_stats_listener(listener->stats, w->id);
    c->worker = w;
    c->client = client;
    c->listener = proxy_listener_ref(listener);
    c->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    set_peer(c, peer);
    io_timer_init(&c->timer, idle_timeout);
    wt_list_init(&c->node);
    wt_list_add_tail(&w->conns, &c->node);
    io_stream_init(&c->stream);
    __atomic_store_n(&w->n_conns, w->n_conns + 1, __ATOMIC_RELAXED); /* drains read it */
    atomic_fetch_add_explicit(&w->shared->n_conns, 1, memory_order_relaxed);
    proxy_count(&stats->cx_total);
    proxy_count(&stats->cx_active);
    if (io_stream_open(&c->stream, fd) < 0) {
        w->shared->sys->close(w->shared->sys, fd);
        destroy(c);
        return;
    }
    rest(c);
}
