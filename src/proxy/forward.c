/* Attempts: pick a side and a host, send, wait for the head, decide whether to try again. */
#include "proxy/trip.h"

/* ---- one attempt ---- */

static struct proxy_backend *backend_for(const struct proxy_trip *t, enum proxy_side side)
{
    return t->shared ? t->target->sides[side] : t->target->backend;
}

static void set_host(struct proxy_trip *t, struct proxy_host *host)
{
    proxy_host_unref(t->host);
    t->host = proxy_host_ref(host);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void observe(struct proxy_trip *t, bool bad)
{
    if (!t->shared || t->observed)
        return;
    t->observed = true;
    if (!proxy_target_whole(t->target)) /* nothing to compare with, nor to go back to */
        return;
    if (proxy_share_observe(t->target->migration, t->worker->id, &t->share, bad, io_now_ms(),
                            io_wall_ms()) &&
        t->worker->shared->announce)
        t->worker->shared->announce(t->worker->shared->ctx, t->target->migration);
}

static enum proxy_failure failure_of(int code, const struct proxy_outbound *out)
{
    if (code == WT_ETIMEOUT)
        return PROXY_FAIL_TIMEOUT;
    if (code == WT_EPROTO)
        return PROXY_FAIL_PROTOCOL;
    return out->sent == 0 ? PROXY_FAIL_RESET_UNSENT : PROXY_FAIL_RESET;
}

/* Sends the head and what lies here of the body; the rest goes in a fiber of its own. */
static int send_request(struct proxy_trip *t, struct proxy_try *try)
{
    struct proxy_inbound *in = t->in;
    struct wt_str body = {NULL, 0};
    bool whole = !in->body_expected || in->ops->whole_body(in, &body);
    t->outgoing.framing = in->request->framing;
    int r = try->out->ops->send_head(
        try->out, &t->outgoing, whole ? body : wt_str(NULL, 0), whole,
        sooner(t->deadline_ms, io_now_ms() + t->worker->shared->body_timeout_ms));
    if (r == 0 && whole)
        t->bytes_received = body.len;
    if (r == 0 && !whole) {
        t->slow_from_ns = 0;
        r = proxy_upload_start(t, try->out, &try->upload);
    }
    return r;
}

/* How long to wait now: until the try's end, but not past the moment at which the guard calls it
 * slow, and in slices while the request itself is still coming (its own silence is bounded
 * elsewhere). */
static int64_t head_deadline(const struct proxy_trip *t, const struct proxy_try *try,
                             int64_t try_end_ms, int64_t slow_ms)
{
    int64_t end = proxy_upload_running(try->upload) ? io_now_ms() + 500 : try_end_ms;
    return t->observed ? end : sooner(end, slow_ms);
}

/* Clients could make either side look slow by sending slowly, so an upload does not count. */
static int64_t slow_at_ms(const struct proxy_trip *t)
{
    const struct proxy_migration *m = t->shared ? t->target->migration : NULL;
    bool never = !m || !m->slower_than_ms || !t->slow_from_ns;
    return never ? IO_NEVER : t->slow_from_ns / 1000000 + m->slower_than_ms + 1;
}

static int await_head(struct proxy_trip *t, struct proxy_try *try)
{
    int64_t try_end_ms = t->deadline_ms;
    bool was_running = try->upload != NULL;
    if (t->try_timeout_ms)
        try_end_ms = sooner(try_end_ms, io_now_ms() + t->try_timeout_ms);
    for (;;) {
        bool gone = false;
        int64_t slow_ms = slow_at_ms(t);
        int64_t deadline = head_deadline(t, try, try_end_ms, slow_ms);
        int r = try->out->ops->read_head(try->out, t->in->ops->watch(t->in), deadline,
                                         &try->response, &gone);
        t->gone |= gone;
        if (r != WT_ETIMEOUT)
            return r;
        if (io_now_ms() >= slow_ms)
            observe(t, true); /* the guard need not wait for the end of it */
        bool running = proxy_upload_running(try->upload);
        if (was_running && !running) {
            /* The request is whole only now: its time begins (as Envoy's route timeout does). */
            was_running = false;
            if (t->request_timeout_ms)
                try_end_ms = t->deadline_ms = io_now_ms() + t->request_timeout_ms;
        } else if (!running && io_now_ms() >= try_end_ms) {
            return r;
        }
    }
}

static void drop(struct proxy_try *try)
{
    proxy_upload_end(try->upload);
    if (try->out)
        try->out->ops->finish(try->out, false);
    try->out = NULL;
    try->upload = NULL;
    try->response = NULL;
}

static int open_host(struct proxy_trip *t, struct proxy_try *try, struct proxy_tried *tried,
                     bool fresh)
{
    struct wt_str ignored;
    struct proxy_host *host =
        proxy_backend_pick(try->backend, t->worker->id, tried, &t->worker->rng);
    if (!host) {
        t->flags |= PROXY_LOG_UH;
        return WT_ENOENT;
    }
    if (tried->n < PROXY_TRIED_MAX)
        tried->hosts[tried->n++] = host;
    set_host(t, host);
    /* A body that goes by is not kept: what its connection does to it cannot be made good. */
    bool streams = t->in->body_expected && !t->in->ops->whole_body(t->in, &ignored);
    struct proxy_out_wish wish = {
        .worker = t->worker,
        .backend = try->backend,
        .host = host,
        .once = streams || (!http_method_idempotent(t->in->request->method) &&
                            !try->backend->policy.retry_non_idempotent),
        .fresh = fresh,
        .deadline_ms = t->deadline_ms,
    };
    int r = proxy_h1_out_open(&wish, &try->out);
    if (r < 0)
        proxy_host_silent(host);
    return r;
}

/* A request whose time is over while a connection is made has met a timeout. */
static void note_unopened(struct proxy_trip *t, struct proxy_try *try, int code)
{
    bool over = code == WT_ETIMEOUT && io_now_ms() >= t->deadline_ms;
    try->failure = over ? PROXY_FAIL_TIMEOUT : PROXY_FAIL_CONNECT;
    if (over)
        proxy_count(&proxy_stats_backend(try->backend->stats, t->worker->id)->rq_timeout);
    if (code != WT_ENOENT) /* no host: open_host() has said so */
        t->flags |= over ? PROXY_LOG_UT : PROXY_LOG_UF;
}

static void note_failure(struct proxy_trip *t, struct proxy_try *try, int code)
{
    static const uint32_t flags[] = {
        [PROXY_FAIL_RESET_UNSENT] = PROXY_LOG_UC,
        [PROXY_FAIL_RESET] = PROXY_LOG_UC,
        [PROXY_FAIL_PROTOCOL] = PROXY_LOG_UPE,
        [PROXY_FAIL_TIMEOUT] = PROXY_LOG_UT,
    };
    struct proxy_backend_stats *stats = proxy_stats_backend(try->backend->stats, t->worker->id);
    try->failure = failure_of(code, try->out);
    t->flags |= flags[try->failure];
    if (try->failure == PROXY_FAIL_TIMEOUT)
        proxy_count(t->try_timeout_ms && io_now_ms() < t->deadline_ms ? &stats->rq_per_try_timeout
                                                                      : &stats->rq_timeout);
    /* Who ended it: we, having waited long enough, or the host. */
    proxy_count(try->failure == PROXY_FAIL_TIMEOUT ? &stats->rq_tx_reset : &stats->rq_rx_reset);
}

/* One connection's worth. True when a kept connection turned out to be closed by the host before a
 * byte of answer, which is no fault of the host: the same try may go again on a fresh one. */
static bool attempt_on(struct proxy_trip *t, struct proxy_try *try, struct proxy_tried *tried,
                       bool fresh)
{
    t->try_start_ns = t->slow_from_ns = io_now_ns();
    try->failure = PROXY_FAIL_NONE;
    int r = open_host(t, try, tried, fresh);
    if (r < 0) {
        note_unopened(t, try, r);
        return false;
    }
    r = send_request(t, try);
    if (r == 0)
        r = await_head(t, try);
    if (proxy_upload_client_failed(try->upload))
        t->gone = true;
    if (r == 0) {
        t->first_byte_ns = io_now_ns();
        proxy_host_answered(t->host, io_now_ms());
        return false;
    }
    if (t->gone)
        return false;
    note_failure(t, try, r);
    bool stale = try->out->reused && try->out->received == 0 &&
                 (try->failure == PROXY_FAIL_RESET || try->failure == PROXY_FAIL_RESET_UNSENT);
    if (stale)
        proxy_count(&proxy_stats_backend(try->backend->stats, t->worker->id)->cx_reused_stale);
    bool again = stale && !try->upload && !fresh &&
                 proxy_retry_safe(&try->backend->policy, try->failure,
                                  http_method_idempotent(t->in->request->method));
    if (again) {
        t->flags &= ~(uint32_t)PROXY_LOG_UC;
        drop(try);
    }
    return again;
}

static void attempt(struct proxy_trip *t, struct proxy_try *try, struct proxy_tried *tried)
{
    *try = (struct proxy_try){.backend = backend_for(t, t->side)};
    t->backend = try->backend;
    t->attempts++;
    struct proxy_backend_stats *stats = proxy_stats_backend(try->backend->stats, t->worker->id);
    proxy_count(&stats->rq_total);
    unsigned n = tried->n;
    if (attempt_on(t, try, tried, false)) {
        tried->n = n; /* the same host again, it did nothing wrong */
        attempt_on(t, try, tried, true);
    }
}

/* ---- whether to go again ---- */

static bool too_slow(const struct proxy_trip *t)
{
    const struct proxy_migration *m = t->shared ? t->target->migration : NULL;
    return m && m->slower_than_ms && t->first_byte_ns && t->slow_from_ns &&
           t->first_byte_ns - t->slow_from_ns > m->slower_than_ms * 1000000;
}

static bool is_bad(const struct proxy_trip *t, const struct proxy_try *try)
{
    return !try->response || try->response->status >= 500 || too_slow(t);
}

static bool connect_failed(const struct proxy_try *try)
{
    return !try->response && try->failure == PROXY_FAIL_CONNECT;
}

static bool untried_host(const struct proxy_try *try, const struct proxy_tried *tried)
{
    return tried->n < PROXY_TRIED_MAX && tried->n < try->backend->n_hosts;
}

/* Users may be helped by the other side only where both use the same data. The new side's are
 * helped by the old one; the old side's by the new one only when nothing of the old side can be
 * reached: then nothing was sent, and its slots go elsewhere. */
static enum proxy_side next_side(const struct proxy_trip *t, const struct proxy_try *try,
                                 const struct proxy_tried *tried)
{
    const struct proxy_migration *m = t->target->migration;
    if (!t->shared || !m->may_go_back || !proxy_target_whole(t->target))
        return t->side;
    if (t->side == PROXY_SIDE_NEW)
        return m->old_retired ? PROXY_SIDE_NEW : PROXY_SIDE_OLD;
    bool dead = connect_failed(try) && !untried_host(try, tried);
    bool there = m->weight > 0 && !proxy_migration_rolled_back(m) &&
                 proxy_backend_alive(t->target->sides[PROXY_SIDE_NEW], io_now_ms());
    return dead && there ? PROXY_SIDE_NEW : PROXY_SIDE_OLD;
}

/* A versioned asset that only the other side has: nothing in the request tells which page it
 * belongs to. */
static bool asset_elsewhere(struct proxy_trip *t, const struct proxy_try *try)
{
    const struct proxy_migration *m = t->target->migration;
    if (!t->shared || !proxy_target_whole(t->target) || !t->share.anonymous || t->attempts > 1 ||
        !try->response || try->response->status != 404 ||
        !http_method_safe(t->in->request->method) || try->upload)
        return false;
    enum proxy_side other = t->side == PROXY_SIDE_OLD ? PROXY_SIDE_NEW : PROXY_SIDE_OLD;
    if ((other == PROXY_SIDE_NEW && (m->weight <= 0 || proxy_migration_rolled_back(m))) ||
        (other == PROXY_SIDE_OLD && m->old_retired) ||
        !proxy_backend_alive(backend_for(t, other), io_now_ms()))
        return false;
    t->side = other;
    return true;
}

/* numRetries bounds what the backend is asked twice. Where nothing could be sent, a host or side
 * that was not tried yet is asked in any case, if the policy retries at all: that costs the backend
 * nothing, and failing costs a request. */
static bool may_go_on(const struct proxy_trip *t, const struct proxy_try *try,
                      const struct proxy_tried *tried)
{
    const struct proxy_policy *p = &try->backend->policy;
    if (t->attempts <= p->num_retries)
        return true;
    return p->num_retries > 0 && connect_failed(try) && t->attempts < PROXY_TRIED_MAX &&
           (untried_host(try, tried) || next_side(t, try, tried) != t->side);
}

static bool wants_retry(struct proxy_trip *t, struct proxy_try *try,
                        const struct proxy_tried *tried)
{
    const struct proxy_policy *p = &try->backend->policy;
    struct proxy_backend_stats *stats = proxy_stats_backend(try->backend->stats, t->worker->id);
    enum proxy_failure failure = try->response ? PROXY_FAIL_STATUS : try->failure;
    unsigned status = try->response ? try->response->status : 0;
    if (t->gone || !proxy_policy_wants_retry(p, failure, status))
        return false;
    if (io_now_ms() >= t->deadline_ms) /* it would end before it began, and hide why */
        return false;
    if (!proxy_retry_safe(p, failure, http_method_idempotent(t->in->request->method)))
        return false;
    if (!may_go_on(t, try, tried)) {
        t->flags |= PROXY_LOG_URX; /* also where the last answer is delivered, as Envoy does */
        return false;
    }
    if (try->upload) { /* the body went by and is not kept */
        proxy_count(&stats->rq_retry_abandoned);
        return false;
    }
    if (!proxy_backend_take_retry(try->backend, t->worker->id)) {
        proxy_count(&stats->rq_retry_overflow);
        return false;
    }
    proxy_count(&stats->rq_retry);
    return true;
}

/* Another side or host needs no pause: it did nothing to be spared. */
static int back_off(struct proxy_trip *t, const struct proxy_try *try,
                    const struct proxy_tried *tried)
{
    if (next_side(t, try, tried) != t->side || untried_host(try, tried))
        return 0;
    return io_sleep_until(io_now_ms() + proxy_policy_back_off_ms(&try->backend->policy, t->attempts,
                                                                 wt_rng_next(&t->worker->rng)));
}

/* ---- ends ---- */

static void reply_failure(struct proxy_trip *t, const struct proxy_try *try)
{
    static const struct {
        unsigned status;
        const char *text;
    } rows[] = {
        [PROXY_FAIL_NONE] = {502, "no answer from the backend"},
        [PROXY_FAIL_CONNECT] = {503, "no connection to the backend"},
        [PROXY_FAIL_RESET_UNSENT] = {503, "the backend closed the connection"},
        [PROXY_FAIL_RESET] = {502, "the backend closed the connection before it answered"},
        [PROXY_FAIL_PROTOCOL] = {502, "the backend's answer is not HTTP"},
        [PROXY_FAIL_TIMEOUT] = {504, "the backend did not answer in time"},
    };
    proxy_reply(t, rows[try->failure].status, 0, rows[try->failure].text);
}

static void end_gone(struct proxy_trip *t, struct proxy_try *try)
{
    int code = proxy_upload_code(try->upload);
    bool failed = proxy_upload_client_failed(try->upload);
    bool wrong = failed && (code == WT_EPROTO || code == WT_ELIMIT /* of its trailers */);
    bool silent = failed && code == WT_ETIMEOUT;
    if (try->out)
        proxy_count(&proxy_stats_backend(try->backend->stats, t->worker->id)->rq_tx_reset);
    drop(try);
    if (failed)
        io_uncancel(); /* by the upload: there is an answer to be given yet */
    if (failed && proxy_body_too_large(t))
        proxy_reply(t, 413, 0, "the request's body is too large");
    else if (wrong)
        proxy_reply(t, 400, PROXY_LOG_DPE, "the request's body is framed wrongly");
    else if (silent)
        proxy_reply(t, 408, PROXY_LOG_SI, "the request's body took too long");
    else
        t->flags |= PROXY_LOG_DC;
}

/* What the log says of an attempt; only the last one's is said (Envoy likewise: a flag goes with
 * the answer given). */
static const uint32_t attempt_flags =
    PROXY_LOG_UH | PROXY_LOG_UF | PROXY_LOG_UT | PROXY_LOG_UC | PROXY_LOG_UPE;

/* Tries until `try` holds what is to be delivered. A retry is held against the budget while it
 * runs: a budget that is given back at once bounds nothing when all hosts fail slowly. */
static void try_all(struct proxy_trip *t, struct proxy_try *try)
{
    struct proxy_tried tried = {0};
    struct proxy_backend *budget = NULL;
    for (;;) {
        attempt(t, try, &tried);
        if (budget)
            proxy_backend_give_retry(budget, t->worker->id);
        budget = NULL;
        if (t->gone)
            return;
        bool bad = is_bad(t, try);
        observe(t, bad);
        t->failed_first |= bad && t->attempts == 1;
        if (asset_elsewhere(t, try)) {
            drop(try);
            t->first_byte_ns = 0;
            continue;
        }
        if (!wants_retry(t, try, &tried))
            return;
        budget = try->backend;
        int r = back_off(t, try, &tried);
        enum proxy_side next = next_side(t, try, &tried);
        drop(try);
        if (next != t->side)
            tried.n = 0;
        t->side = next;
        t->flags &= ~attempt_flags;
        t->first_byte_ns = 0;
        if (r < 0) {
            proxy_backend_give_retry(budget, t->worker->id);
            t->gone = true;
            return;
        }
    }
}

void proxy_forward(struct proxy_trip *t)
{
    struct proxy_try try;
    struct proxy_backend *first = backend_for(t, t->side);
    struct proxy_backend_lane *lane = proxy_backend_lane(first, t->worker->id);
    struct proxy_backend_stats *stats = proxy_stats_backend(first->stats, t->worker->id);
    lane->active++;
    proxy_count(&stats->rq_active);
    try_all(t, &try);
    t->slow = too_slow(t);
    if (t->gone)
        end_gone(t, &try);
    else if (try.response) {
        proxy_relay(t, &try);
        if (t->broken && t->attempts == 1) {
            /* Its head was good and its body was not: the guard has to learn that too. */
            t->observed = false;
            observe(t, true);
        }
    } else {
        drop(&try);
        reply_failure(t, &try);
    }
    proxy_count_down(&stats->rq_active);
    lane->active--;
}
