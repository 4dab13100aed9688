/* Bodies on their way, both directions, each through one window: a slow reader slows the writer
 * down. */
#include "http/cache.h"
#include "proxy/trip.h"

#include "base/mem.h"

/* A piece costs system calls however small it is: chunks of one byte must not buy a longer turn. */
enum { YIELD_BYTES = 256 << 10, PIECE_BYTES = 4 << 10 };

/* ---- requests ---- */

struct proxy_upload {
    struct proxy_trip *trip;
    struct proxy_outbound *out;
    struct io_fiber *fiber, *parent;
    int code;
    bool running, client_failed;
};

static int64_t body_deadline(const struct proxy_trip *t)
{
    return io_now_ms() + t->worker->shared->body_timeout_ms;
}

static int upload_piece(struct proxy_upload *u, int *out_piece)
{
    struct proxy_trip *t = u->trip;
    struct wt_str bytes;
    int r = t->in->ops->read_body(t->in, true, body_deadline(t), &bytes);
    if (r < 0) {
        u->client_failed = true;
        return r;
    }
    *out_piece = r;
    t->bytes_received += bytes.len;
    if (proxy_body_too_large(t)) {
        u->client_failed = true;
        return WT_ELIMIT;
    }
    bool last = r == PROXY_PIECE_END;
    return u->out->ops->send_body(u->out, bytes, last, last ? t->in->trailers : NULL,
                                  body_deadline(t));
}

static void upload(void *arg)
{
    struct proxy_upload *u = arg;
    int piece = PROXY_PIECE_DATA, r = 0;
    uint64_t since = 0;
    while (r == 0 && piece != PROXY_PIECE_END) {
        uint64_t before = u->trip->bytes_received;
        r = upload_piece(u, &piece);
        since += u->trip->bytes_received - before + PIECE_BYTES;
        if (since >= YIELD_BYTES) {
            since = 0;
            io_yield();
        }
    }
    u->code = r;
    u->running = false;
    u->trip->slow_from_ns = io_now_ns();
    /* Without the client there is nobody to answer: the parent need not wait for the host. */
    if (u->client_failed && r != WT_ECANCELED)
        io_cancel(u->parent);
}

int proxy_upload_start(struct proxy_trip *t, struct proxy_outbound *out,
                       struct proxy_upload **upload_out)
{
    struct proxy_upload *u = wt_arena_zalloc(t->arena, sizeof *u);
    if (!u)
        return WT_ENOMEM;
    u->trip = t;
    u->out = out;
    u->parent = io_self();
    u->running = true;
    int r = io_spawn(IO_STACK_FLOW, upload, u, &u->fiber);
    if (r == 0)
        *upload_out = u;
    return r;
}

bool proxy_upload_running(const struct proxy_upload *u)
{
    return u && u->running;
}

bool proxy_upload_client_failed(const struct proxy_upload *u)
{
    return u && !u->running && u->client_failed && u->code != WT_ECANCELED;
}

int proxy_upload_code(const struct proxy_upload *u)
{
    return u ? u->code : 0;
}

void proxy_upload_end(struct proxy_upload *u)
{
    if (!u)
        return;
    if (u->running)
        io_cancel(u->fiber);
    io_join(u->fiber);
}

/* ---- answers ---- */

/* The identity cookie, unless a shared cache may keep this answer and give it to others. Where only
 * heuristics would let it, the answer is made private, as HAProxy's `cookie insert nocache` does.
 */
static int add_cookie(struct proxy_trip *t, struct http_head *response)
{
    enum http_store store = http_may_store_shared(t->in->request, response);
    if (store == HTTP_STORE_EXPLICIT)
        return 0;
    char value[MODEL_IDENTITY_TEXT + 1];
    model_identity_format(&t->worker->shared->keys, &t->share.identity, value);
    static const char name[] = MODEL_IDENTITY_COOKIE "=";
    static const char traits[] = "; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"; /* 30 days */
    char *at = mempcpy(t->cookie, name, sizeof name - 1);
    at = mempcpy(at, value, MODEL_IDENTITY_TEXT);
    at = mempcpy(at, traits, sizeof traits - 1);
    int r = http_head_add_id(response, HTTP_FIELD_SET_COOKIE,
                             wt_str(t->cookie, (size_t)(at - t->cookie)));
    struct wt_str cache;
    if (r == 0 && store == HTTP_STORE_HEURISTIC &&
        !http_head_get(response, HTTP_FIELD_CACHE_CONTROL, &cache))
        r = http_head_add_id(response, HTTP_FIELD_CACHE_CONTROL, WT_STR("private"));
    return r;
}

/* RFC 9110 §6.6.1: a recipient with a clock must date what it forwards undated. Before filters: a
 * user may want it gone. */
static int add_date(struct proxy_trip *t, struct http_head *response)
{
    struct wt_str date;
    if (response->status < 200 || http_head_get(response, HTTP_FIELD_DATE, &date))
        return 0;
    return http_head_add_id(response, HTTP_FIELD_DATE, proxy_worker_date(t->worker));
}

static int prepare(struct proxy_trip *t, struct http_head *response)
{
    http_strip_hop_by_hop(response);
    response->upgrade = false;
    int r = add_date(t, response);
    if (r == 0)
        r = proxy_filter_response(t->match.rule->filters, response);
    if (r == 0 && t->shared && t->share.mint)
        r = add_cookie(t, response);
    return r;
}

/* One piece; *out_piece says whether it was the last. What is held back goes out before we wait for
 * the host. */
static int relay_piece(struct proxy_trip *t, struct proxy_outbound *out, int *out_piece,
                       bool *out_client_failed)
{
    struct proxy_inbound *in = t->in;
    const struct http_head *trailers;
    struct wt_str bytes;
    int64_t deadline = body_deadline(t);
    int piece = out->ops->read_body(out, false, deadline, &bytes, &trailers);
    if (piece == WT_EAGAIN) {
        int r = in->ops->flush(in, deadline);
        if (r < 0) {
            *out_client_failed = true;
            return r;
        }
        piece = out->ops->read_body(out, true, deadline, &bytes, &trailers);
    }
    if (piece < 0)
        return piece;
    int r = in->ops->send_body(in, bytes, piece == PROXY_PIECE_END, trailers, deadline);
    if (r < 0) {
        *out_client_failed = true;
        return r;
    }
    t->bytes_sent += bytes.len;
    *out_piece = piece;
    return 0;
}

static int relay_body(struct proxy_trip *t, struct proxy_outbound *out, bool *out_client_failed)
{
    int piece = PROXY_PIECE_DATA;
    uint64_t since = 0;
    while (piece != PROXY_PIECE_END) {
        uint64_t before = t->bytes_sent;
        int r = relay_piece(t, out, &piece, out_client_failed);
        if (r < 0)
            return r;
        since += t->bytes_sent - before + PIECE_BYTES;
        if (since >= YIELD_BYTES) {
            since = 0;
            io_yield(); /* two fast ends must not keep all others waiting */
        }
    }
    return 0;
}

static bool bodyless(const struct proxy_trip *t, const struct http_head *response)
{
    return response->framing == HTTP_FRAMING_NONE || t->in->request->method == HTTP_METHOD_HEAD;
}

static int deliver(struct proxy_trip *t, struct proxy_try *try, bool *out_client_failed)
{
    struct http_head *response = try->response;
    bool last = bodyless(t, response);
    /* prepare() and send_head() change what the connection to the host is judged by. */
    bool keep_alive = response->keep_alive;
    int r = prepare(t, response);
    if (r == 0) {
        r = t->in->ops->send_head(t->in, response, last, body_deadline(t));
        *out_client_failed = r < 0 && last;
    }
    response->keep_alive = keep_alive;
    if (r == 0 && !last)
        r = relay_body(t, try->out, out_client_failed);
    return r;
}

void proxy_relay(struct proxy_trip *t, struct proxy_try *try)
{
    bool client_failed = false;
    t->status = try->response->status;
    int r = deliver(t, try, &client_failed);
    if (r < 0 && (client_failed || proxy_upload_client_failed(try->upload))) {
        t->gone = true;
        t->flags |= PROXY_LOG_DC;
    } else if (r < 0) {
        /* The host's answer ended early: the client must see that (RFC 9112 §8), never a clean end.
         */
        t->broken = true;
        t->flags |= r == WT_ETIMEOUT ? PROXY_LOG_SI : r == WT_EPROTO ? PROXY_LOG_UPE : PROXY_LOG_UC;
    }
    if (r < 0)
        t->in->ops->reset(t->in);
    if (t->gone || r == WT_ETIMEOUT)
        proxy_count(&proxy_stats_backend(try->backend->stats, t->worker->id)->rq_tx_reset);
    bool whole = !proxy_upload_running(try->upload) && proxy_upload_code(try->upload) == 0;
    proxy_upload_end(try->upload);
    try->out->ops->finish(try->out, r == 0 && whole);
    try->out = NULL;
}
