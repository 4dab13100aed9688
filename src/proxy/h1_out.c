/* HTTP/1.1 towards hosts: connections kept in the worker's pool, exchanges on them one at a time.
 */
#include "http/h1_write.h"
#include "proxy/body.h"
#include "proxy/outbound.h"

#include "base/log.h"
#include "base/mem.h"

enum {
    IDLE_MAX = 256,       /* kept connections per host and worker */
    IDLE_MS = 60 * 1000,  /* then we close them */
    INTERIM_MAX = 8,      /* 1xx answers before the final one */
    PEEK_MARGIN_MS = 200, /* a kept connection this near to the host's own limit is not trusted */
    SURPLUS_MS = 1000,    /* what comes later on an idle connection is a host's last word (408) */
    QUEUED_MS = 500,  /* a new connection is thought to wait in the host's queue when it has no */
    QUEUED_TIMES = 4, /* answer after this time, and this many times the usual one */
    OWED_MAX = 64,    /* a host that hung is not to lose all it keeps when it is back */
    QUEUED_MOST = 8,  /* room is made for it so many times */
};

/* What an exchange needs, in the front of a pooled buffer; the rest of the buffer is the window. */
struct active {
    struct http_head response, trailers;
    struct http_h1_body body;
    struct wt_arena arena;
    struct proxy_window window;
    char *large; /* the window, where a head did not fit into the buffer */
    enum http_method method;
    bool chunked_out;  /* the request body goes out chunked */
    bool request_done; /* all of it is sent */
    bool head_done;    /* the final head is here */
    bool kept_alive;   /* the host was asked to keep the connection */
    unsigned asked;    /* how often room was made for it, since it had no answer */
    int64_t began_ms;  /* when the request was whole */
    char arena_bytes[1024];
};

struct proxy_h1_out {
    struct proxy_outbound out;
    struct io_stream stream;
    struct wt_list node; /* in the host's idle list */
    struct io_timer timer;
    struct proxy_worker *worker;
    struct proxy_host *host; /* a reference */
    struct proxy_stats_entry *stats;
    int64_t idle_since_ms;
    struct active *active;
};

static struct proxy_h1_out *self(struct proxy_outbound *out)
{
    return WT_CONTAINER(out, struct proxy_h1_out, out);
}

static struct proxy_host_lane *lane_of(struct proxy_h1_out *c)
{
    return &c->host->lanes[c->worker->id];
}

static struct proxy_backend_stats *stats_of(struct proxy_h1_out *c)
{
    return proxy_stats_backend(c->stats, c->worker->id);
}

/* ---- the pool ---- */

static bool has_news(const struct proxy_h1_out *c)
{
    return c->stream.ready & (IO_IN | IO_RDHUP | IO_HUP);
}

static void destroy(struct proxy_h1_out *c)
{
    io_timer_cancel(&c->timer);
    if (!wt_list_empty(&c->node)) {
        wt_list_remove(&c->node);
        lane_of(c)->n_idle--;
    }
    io_stream_close(&c->stream);
    proxy_count_down(&stats_of(c)->cx_active);
    proxy_stats_entry_unref(c->stats);
    proxy_host_unref(c->host);
    wt_free(c);
}

static void idle_timeout(struct io_timer *t)
{
    destroy(WT_CONTAINER(t, struct proxy_h1_out, timer));
}

static void note_surplus(struct proxy_h1_out *c)
{
    int64_t now_ms = io_now_ms();
    bool known = proxy_host_has_surplus(c->host, now_ms);
    proxy_count(&stats_of(c)->cx_surplus);
    atomic_store_explicit(&c->host->surplus_ms, now_ms, memory_order_relaxed);
    if (!known)
        wt_log(WT_LOG_WARN,
               "host %.*s sends more than its answers (a body after HEAD or 204, or beyond its "
               "Content-Length): each request gets a connection of its own for %d min",
               WT_ARG(c->host->text), PROXY_SURPLUS_FOR_MS / 60000);
}

/* A kept connection is given up: because of bytes? */
static void look_for_surplus(struct proxy_h1_out *c)
{
    if (io_now_ms() - c->idle_since_ms < SURPLUS_MS && io_peek_quiet(&c->stream) == WT_EPROTO)
        note_surplus(c);
}

/* An idle connection has news: its end, or bytes nobody asked for. Both finish it; an end teaches
 * how long this host keeps connections. */
static void idle_event(struct io_stream *s)
{
    struct proxy_h1_out *c = WT_CONTAINER(s, struct proxy_h1_out, stream);
    struct proxy_host_lane *lane = lane_of(c);
    int64_t age = io_now_ms() - c->idle_since_ms;
    if (s->ready & (IO_RDHUP | IO_HUP) && age > PEEK_MARGIN_MS && age < lane->idle_limit_ms)
        lane->idle_limit_ms = age;
    look_for_surplus(c);
    destroy(c);
}

static void keep(struct proxy_h1_out *c)
{
    struct proxy_host_lane *lane = lane_of(c);
    c->idle_since_ms = io_now_ms();
    c->stream.on_ready = idle_event;
    wt_list_add_head(&lane->idle, &c->node);
    lane->n_idle++;
    io_timer_set(&c->timer, c->idle_since_ms + IDLE_MS);
}

void proxy_h1_out_sweep(struct proxy_worker *w, struct proxy_host *host)
{
    struct wt_list *idle = &host->lanes[w->id].idle;
    while (!wt_list_empty(idle))
        destroy(WT_CONTAINER(idle->next, struct proxy_h1_out, node));
}

void proxy_h1_out_pay(struct proxy_worker *w, struct proxy_host *host)
{
    struct wt_list *idle = &host->lanes[w->id].idle;
    while (!wt_list_empty(idle) && proxy_host_take_owed(host))
        destroy(WT_CONTAINER(idle->prev, struct proxy_h1_out, node));
}

/* Whether a kept connection may carry a request that must not be sent twice (RFC 9110 §9.2.2): it
 * was silent for less than the host's own patience, and nothing waits in the socket. */
static bool trusted(struct proxy_h1_out *c)
{
    int64_t limit = lane_of(c)->idle_limit_ms;
    if (limit != IO_NEVER && io_now_ms() - c->idle_since_ms + PEEK_MARGIN_MS >= limit)
        return false;
    return io_peek_quiet(&c->stream) == 0;
}

static struct proxy_h1_out *take_kept(const struct proxy_out_wish *wish)
{
    struct proxy_host_lane *lane = &wish->host->lanes[wish->worker->id];
    if (proxy_host_has_surplus(wish->host, io_now_ms()))
        proxy_h1_out_sweep(wish->worker, wish->host);
    while (!wt_list_empty(&lane->idle)) {
        struct proxy_h1_out *c = WT_CONTAINER(lane->idle.next, struct proxy_h1_out, node);
        if (has_news(c) || (wish->once && !trusted(c))) {
            look_for_surplus(c);
            destroy(c);
            continue;
        }
        wt_list_remove(&c->node);
        lane->n_idle--;
        io_timer_stop(&c->timer);
        c->stream.on_ready = NULL;
        c->out.reused = true;
        return c;
    }
    return NULL;
}

/* ---- opening ---- */

static const struct proxy_outbound_ops ops;

static int connect_new(const struct proxy_out_wish *wish, struct proxy_h1_out **out)
{
    struct proxy_h1_out *c = wt_calloc(1, sizeof *c);
    if (!c)
        return WT_ENOMEM;
    c->out.ops = &ops;
    c->worker = wish->worker;
    c->host = proxy_host_ref(wish->host);
    c->stats = proxy_stats_entry_ref(wish->backend->stats);
    io_stream_init(&c->stream);
    io_timer_init(&c->timer, idle_timeout);
    wt_list_init(&c->node);
    int64_t limit = io_now_ms() + wish->backend->policy.connect_timeout_ms;
    struct proxy_backend_stats *stats = stats_of(c);
    proxy_count(&stats->cx_total);
    proxy_count(&stats->cx_active);
    int r = io_connect(&c->stream, &wish->host->addr,
                       limit < wish->deadline_ms ? limit : wish->deadline_ms);
    if (r < 0) {
        proxy_count(&stats->cx_connect_fail);
        if (r == WT_ETIMEOUT)
            proxy_count(&stats->cx_connect_timeout);
        destroy(c);
        return r;
    }
    *out = c;
    return 0;
}

static int begin(struct proxy_h1_out *c)
{
    char *buffer = proxy_buffer_take(c->worker);
    if (!buffer)
        return WT_ENOMEM;
    struct active *a = (struct active *)(void *)buffer;
    a->method = HTTP_METHOD_OTHER;
    a->chunked_out = a->request_done = a->head_done = false;
    a->asked = 0;
    a->large = NULL;
    a->arena = wt_arena_make(256 << 10);
    wt_arena_lend(&a->arena, a->arena_bytes, sizeof a->arena_bytes);
    a->window = (struct proxy_window){.ptr = buffer + sizeof *a, .cap = PROXY_BUFFER - sizeof *a};
    c->active = a;
    c->out.sent = c->out.received = 0;
    return 0;
}

int proxy_h1_out_open(const struct proxy_out_wish *wish, struct proxy_outbound **out)
{
    struct proxy_host_lane *lane = &wish->host->lanes[wish->worker->id];
    struct proxy_h1_out *c = wish->fresh ? NULL : take_kept(wish);
    lane->active++; /* from here on: a host that leaves connects waiting must not look idle */
    int r = c ? 0 : connect_new(wish, &c);
    if (r == 0) {
        r = begin(c);
        if (r < 0)
            destroy(c);
    }
    if (r < 0) {
        lane->active--;
        return r;
    }
    *out = &c->out;
    return 0;
}

/* ---- a host that does not get round to us ---- */

/* When it is thought to wait in the queue; again after twice the time, since the room that was made
 * may have gone to one that came before. */
static int64_t queued_from_ms(struct proxy_h1_out *c)
{
    const struct active *a = c->active;
    if (c->out.reused || c->out.received || !a->request_done || a->asked == QUEUED_MOST)
        return IO_NEVER;
    int64_t usual = (int64_t)lane_of(c)->answer_ms8 * QUEUED_TIMES / 8;
    return a->began_ms + ((usual > QUEUED_MS ? usual : QUEUED_MS) << a->asked);
}

/* One connection the host holds for us ends: an idle one now, or the next that would be kept. */
static void make_room(struct proxy_h1_out *c)
{
    struct wt_list *idle = &lane_of(c)->idle;
    c->active->asked++;
    if (!wt_list_empty(idle)) {
        destroy(WT_CONTAINER(idle->prev, struct proxy_h1_out, node));
        return;
    }
    if (atomic_load_explicit(&c->host->owed, memory_order_relaxed) < OWED_MAX)
        atomic_fetch_add_explicit(&c->host->owed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->worker->shared->owing, 1, memory_order_relaxed);
}

static int wait_readable(struct proxy_h1_out *c, struct io_stream *watched, int64_t deadline_ms)
{
    return watched ? io_wait_watching(&c->stream, IO_IN, watched, deadline_ms)
                   : io_wait(&c->stream, IO_IN, deadline_ms);
}

static int wait_answer(struct proxy_h1_out *c, struct io_stream *watched, int64_t deadline_ms)
{
    for (;;) {
        int64_t queued_ms = queued_from_ms(c);
        bool last = deadline_ms <= queued_ms;
        int r = wait_readable(c, watched, last ? deadline_ms : queued_ms);
        if (r != WT_ETIMEOUT || last)
            return r;
        make_room(c);
    }
}

/* Capped, or those that waited would teach us to wait for ever. */
static void note_answer(struct proxy_h1_out *c)
{
    struct proxy_host_lane *lane = lane_of(c);
    int64_t took_ms = io_now_ms() - c->active->began_ms;
    lane->answer_ms8 +=
        (uint32_t)(took_ms < QUEUED_MS ? took_ms : QUEUED_MS) - lane->answer_ms8 / 8;
}

/* ---- the end of an exchange ---- */

/* Bytes behind the answer mean that the two ends disagree about where it ended (RFC 9112 §9.2). */
static bool is_surplus(struct proxy_h1_out *c)
{
    const struct proxy_window *w = &c->active->window;
    return w->start != w->end || io_peek_quiet(&c->stream) == WT_EPROTO;
}

static void finish(struct proxy_outbound *out, bool clean)
{
    struct proxy_h1_out *c = self(out);
    struct active *a = c->active;
    struct proxy_backend_stats *stats = stats_of(c);
    proxy_count_add(&stats->cx_tx_bytes, out->sent);
    proxy_count_add(&stats->cx_rx_bytes, out->received);
    lane_of(c)->active--;
    bool whole = clean && a->request_done && a->head_done && http_h1_body_done(&a->body);
    bool quiet = a->window.start == a->window.end && !has_news(c);
    if (whole && !quiet && is_surplus(c))
        note_surplus(c);
    bool reusable = whole && quiet && a->response.keep_alive && a->kept_alive &&
                    c->stream.fd >= 0 &&
                    !atomic_load_explicit(&c->host->retired, memory_order_relaxed) &&
                    lane_of(c)->n_idle < IDLE_MAX && !c->worker->draining;
    wt_arena_done(&a->arena);
    wt_free(a->large);
    c->active = NULL;
    proxy_buffer_give(c->worker, (char *)a);
    /* However it ends, it makes room. */
    if (!proxy_host_take_owed(c->host) && reusable)
        keep(c);
    else
        destroy(c);
}

/* ---- the exchange ---- */

/* The host's time begins: how long an upload takes is up to the client. */
static void request_done(struct active *a)
{
    a->request_done = true;
    a->began_ms = io_now_ms();
}

static int send_head(struct proxy_outbound *out, struct http_head *request, struct wt_str body,
                     bool last, int64_t deadline_ms)
{
    struct proxy_h1_out *c = self(out);
    struct active *a = c->active;
    a->method = request->method;
    a->chunked_out = request->framing == HTTP_FRAMING_CHUNKED;
    /* Said, so that the host closes first: what is left in TIME_WAIT is its port then, not ours. */
    a->kept_alive = request->keep_alive = !proxy_host_has_surplus(c->host, io_now_ms());
    /* The window is empty until the answer comes: the head is written there, and on the heap if it
     * is larger. */
    struct wt_buf head = {.ptr = a->window.ptr, .cap = a->window.cap, .max = a->window.cap};
    struct wt_buf large = wt_buf_make(PROXY_HEAD_MAX * 2);
    int r = http_h1_write_request(request, &head);
    if (r == WT_ELIMIT)
        r = http_h1_write_request(request, &large);
    struct proxy_body_out o = {
        .head = large.len ? wt_buf_str(&large) : wt_buf_str(&head),
        .bytes = body,
        .chunked = a->chunked_out,
        .last = last,
    };
    if (r == 0)
        r = proxy_body_send(&c->stream, &o, deadline_ms, &out->sent);
    wt_buf_done(&large);
    if (r == 0 && last)
        request_done(a);
    return r;
}

static int send_body(struct proxy_outbound *out, struct wt_str bytes, bool last,
                     const struct http_head *trailers, int64_t deadline_ms)
{
    struct proxy_h1_out *c = self(out);
    struct proxy_body_out o = {
        .bytes = bytes, .chunked = c->active->chunked_out, .last = last, .trailers = trailers};
    int r = proxy_body_send(&c->stream, &o, deadline_ms, &out->sent);
    if (r == 0 && last)
        request_done(c->active);
    return r;
}

/* One head, final or interim. */
static int parse_head(struct proxy_h1_out *c, struct io_stream *watched, int64_t deadline_ms)
{
    struct active *a = c->active;
    struct http_h1_limits limits = http_h1_default_limits;
    size_t seen = 0, used = 0;
    limits.max_head_bytes = PROXY_HEAD_MAX - 1;
    for (;;) {
        enum http_h1_fault fault;
        struct wt_str in = proxy_window_str(&a->window);
        int r = WT_EAGAIN;
        if (in.len) {
            http_head_init(&a->response, &a->arena);
            r = http_h1_parse_response(in, seen, a->method, &limits, &a->response, &used, &fault);
        }
        if (r == 0) {
            a->window.start += used;
            return 0;
        }
        if (r != WT_EAGAIN)
            return WT_EPROTO;
        seen = in.len;
        r = wait_answer(c, watched, deadline_ms);
        if (r < 0)
            return r;
        if (!proxy_window_room(&a->window) && proxy_window_grow(&a->window, c->worker))
            a->large = a->window.ptr;
        ssize_t n = proxy_window_fill(&a->window, &c->stream, true, deadline_ms);
        if (n < 0)
            return n == WT_ELIMIT ? WT_EPROTO : (int)n;
        c->out.received += (uint64_t)n;
    }
}

static int read_head(struct proxy_outbound *out, struct io_stream *watched, int64_t deadline_ms,
                     struct http_head **out_response, bool *out_client_gone)
{
    struct proxy_h1_out *c = self(out);
    struct active *a = c->active;
    *out_client_gone = false;
    for (unsigned interim = 0; interim <= INTERIM_MAX; interim++) {
        int r = parse_head(c, watched, deadline_ms);
        if (r < 0) {
            *out_client_gone = watched && watched->ready & IO_HUP && !(c->stream.ready & IO_HUP);
            return r;
        }
        if (a->response.status >= 200)
            break;
        /* 101 answers an Upgrade that was never forwarded. */
        if (a->response.status == 101 || interim == INTERIM_MAX)
            return WT_EPROTO;
    }
    note_answer(c);
    http_head_init(&a->trailers, &a->arena);
    http_h1_body_init(&a->body, &a->response, &a->trailers);
    a->head_done = true;
    *out_response = &a->response;
    return 0;
}

static int read_body(struct proxy_outbound *out, bool wait, int64_t deadline_ms,
                     struct wt_str *out_bytes, const struct http_head **out_trailers)
{
    struct proxy_h1_out *c = self(out);
    struct active *a = c->active;
    int r = proxy_body_next(&a->body, &a->window, &c->stream, wait, deadline_ms, out_bytes);
    out->received += out_bytes->len;
    *out_trailers = r == PROXY_PIECE_END && a->trailers.n_fields ? &a->trailers : NULL;
    return r;
}

static const struct proxy_outbound_ops ops = {
    .send_head = send_head,
    .send_body = send_body,
    .read_head = read_head,
    .read_body = read_body,
    .finish = finish,
};
