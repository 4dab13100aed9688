/* The end of a request: the three counters (lost, bad, rescued: never mixed), Envoy's statistics,
 * the log line. */
#include "proxy/trip.h"

static int64_t now_ns(const struct proxy_trip *t)
{
    return t->worker->shared->sys->mono_ns(t->worker->shared->sys);
}

/* No complete answer, or an error that we made. What the client broke itself, or asked for in vain,
 * is not lost. */
static bool is_lost(const struct proxy_trip *t)
{
    if (t->broken)
        return true;
    return t->local && !t->gone && t->status >= 500;
}

static void count_migration(const struct proxy_trip *t, bool lost, int64_t us)
{
    struct proxy_migration_stats *s =
        proxy_stats_migration(t->target->migration->stats, t->worker->id);
    enum proxy_side first = t->share.side;
    bool bad = !t->local && !t->gone && !lost && (t->status >= 500 || t->slow);
    proxy_count(&s->requests[t->side]);
    if (lost)
        proxy_count(&s->lost[t->side]);
    if (bad)
        proxy_count(&s->bad[t->side]);
    if (t->failed_first && !lost && !bad && !t->gone)
        proxy_count(&s->rescued[first]);
    proxy_histogram_observe(&s->rq_time[t->side], us);
}

static void count_backend(const struct proxy_trip *t, int64_t now)
{
    struct proxy_backend_stats *s = proxy_stats_backend(t->backend->stats, t->worker->id);
    if (t->local)
        return;
    proxy_count_status(s->rq_class, t->status);
    proxy_histogram_observe(&s->rq_time, (now - t->try_start_ns) / 1000);
    if (t->failed_first && t->status < 500)
        proxy_count(&s->rq_retry_success);
}

static struct wt_str value(const struct http_head *h, enum http_field_id id)
{
    struct wt_str v = {NULL, 0};
    http_head_get(h, id, &v);
    return v;
}

static void fill_request(const struct proxy_trip *t, struct proxy_log_entry *e)
{
    const struct http_head *q = t->in->request;
    const struct http_head *sent = t->attempts ? &t->outgoing : q;
    e->http_major = q->method_text.len ? 1 : 0;
    e->http_minor = q->minor;
    e->method = q->method_text;
    e->path = sent->path.len && t->attempts ? sent->path : q->target;
    e->original_path = q->target;
    e->scheme = WT_STR("http");
    e->authority = q->authority;
    e->user_agent = value(q, HTTP_FIELD_USER_AGENT);
    e->referer = value(q, HTTP_FIELD_REFERER);
    e->forwarded_for = t->attempts ? value(sent, HTTP_FIELD_X_FORWARDED_FOR) : t->forwarded_for;
    e->request_id = t->attempts ? value(sent, HTTP_FIELD_X_REQUEST_ID) : t->id;
    e->traceparent = value(sent, HTTP_FIELD_TRACEPARENT);
}

static void fill_way(const struct proxy_trip *t, struct proxy_log_entry *e)
{
    if (t->match.rule)
        e->route = t->match.rule->log_name;
    if (t->host)
        e->upstream_host = t->host->text;
    if (t->backend)
        e->backend = t->backend->name;
    e->slot = e->step = e->epoch = PROXY_LOG_NONE;
    if (!t->shared)
        return;
    const struct proxy_migration *m = t->target->migration;
    e->migration = m->id;
    e->slot = t->share.slot;
    e->step = (int32_t)m->step;
    e->epoch = (int32_t)m->epoch;
    e->side = t->side == PROXY_SIDE_NEW ? WT_STR("new") : WT_STR("old");
}

static void write_line(struct proxy_trip *t, int64_t now)
{
    struct proxy_worker *w = t->worker;
    struct proxy_log_entry e = {
        .start_wall_ms = io_wall_ms() - (now - t->client->start_ns) / 1000000,
        .duration_us = (now - t->client->start_ns) / 1000,
        .request_duration_us = PROXY_LOG_NONE,
        .response_duration_us = PROXY_LOG_NONE,
        .upstream_time_us = PROXY_LOG_NONE,
        .bytes_received = t->bytes_received,
        .bytes_sent = t->bytes_sent,
        .connection_id = t->client->connection_id,
        .snapshot = t->pin->config->version,
        .flags = t->flags,
        .status = (uint16_t)(t->gone && !t->first_byte_ns && !t->local ? 0 : t->status),
        .attempts = t->attempts,
        .location = t->location,
        .local_address = wt_str_z(t->client->listener->text),
    };
    if (t->first_byte_ns) {
        e.response_duration_us = (t->first_byte_ns - t->client->start_ns) / 1000;
        e.upstream_time_us = (t->first_byte_ns - t->try_start_ns) / 1000;
    }
    e.remote_address = t->client->peer_text;
    fill_request(t, &e);
    fill_way(t, &e);
    char *room = proxy_log_room(w->shared->logger, &w->log, PROXY_LOG_LINE_BYTES);
    if (!room) {
        proxy_count(&w->stats->log_lines_dropped);
        return;
    }
    proxy_count(&w->stats->log_lines);
    proxy_log_added(&w->log, proxy_log_write(w->shared->log_format, &e, &w->log_clock, room,
                                             PROXY_LOG_LINE_BYTES));
}

/* What clients were refused for, by the status that they got. */
static void count_refusal(const struct proxy_trip *t)
{
    if (t->status == 408)
        proxy_count(&t->listener_stats->rq_timeout);
    else if (t->status == 413 || t->status == 414 || t->status == 431)
        proxy_count(&t->listener_stats->rq_too_large);
}

void proxy_finish(struct proxy_trip *t)
{
    int64_t now = now_ns(t);
    int64_t us = (now - t->client->start_ns) / 1000;
    bool lost = is_lost(t);
    proxy_count_status(t->listener_stats->rq_class, t->status);
    proxy_histogram_observe(&t->listener_stats->rq_time, us);
    if (t->gone)
        proxy_count(&t->listener_stats->rq_rx_reset);
    if (t->local)
        count_refusal(t);
    if (lost) {
        proxy_count(&t->listener_stats->rq_lost);
        proxy_count(&t->worker->stats->requests_lost);
    }
    if (t->backend)
        count_backend(t, now);
    if (t->shared)
        count_migration(t, lost, us);
    if (t->worker->shared->logger)
        write_line(t, now);
}
