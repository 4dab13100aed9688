#include "proxy/serve.h"

#include "proxy/trip.h"

/* ---- the request as it goes on ---- */

static bool plausible_id(struct wt_str id)
{
    return id.len > 0 && id.len <= 128 && http_field_value_valid(id);
}

/* The client's, or a new one. */
static struct wt_str choose_request_id(struct proxy_trip *t, const struct http_head *h)
{
    uint8_t random[16];
    struct wt_str id;
    if (http_head_get(h, HTTP_FIELD_X_REQUEST_ID, &id) && plausible_id(id))
        return id;
    proxy_secret_bytes(t->worker, random, sizeof random);
    http_uuid_format(random, t->request_id);
    return wt_str(t->request_id, HTTP_UUID_LEN);
}

static int set_request_id(struct proxy_trip *t, struct http_head *h)
{
    struct wt_str id = choose_request_id(t, h);
    return id.ptr == t->request_id ? http_head_set_id(h, HTTP_FIELD_X_REQUEST_ID, id) : 0;
}

/* A trace that somebody began goes on as it is: nobody exports a span of ours, and a parent that no
 * tracer knows would tear the trace. Whether a new one is sampled decides for everybody behind us
 * (W3C Trace Context §3.2.2.5): it is begun only where that is asked for. */
static int set_traceparent(struct proxy_trip *t, struct http_head *h)
{
    uint8_t random[26];
    struct wt_str received = {0};
    struct http_traceparent trace;
    bool any = http_head_get(h, HTTP_FIELD_TRACEPARENT, &received);
    unsigned percent = t->worker->shared->trace_percent;
    if (any && http_traceparent_parse(received, &trace))
        return 0;
    if (any) {
        http_head_remove(h, HTTP_FIELD_TRACEPARENT);
        http_head_remove(h, HTTP_FIELD_TRACESTATE); /* it belongs to the trace that was not one */
    }
    if (!percent)
        return 0;
    proxy_secret_bytes(t->worker, random, sizeof random);
    if ((random[24] << 8 | random[25]) * 100u >> 16 >= percent)
        return 0;
    trace = http_traceparent_mint(random);
    http_traceparent_format(&trace, t->traceparent);
    return http_head_set_id(h, HTTP_FIELD_TRACEPARENT,
                            wt_str(t->traceparent, HTTP_TRACEPARENT_LEN));
}

static int prepare(struct proxy_trip *t)
{
    struct http_head *h = &t->outgoing;
    int r = http_head_copy(h, t->in->request, t->arena);
    if (r < 0)
        return r;
    http_strip_hop_by_hop(h);
    h->upgrade = false;
    h->keep_alive = true;
    http_head_remove(h, HTTP_FIELD_EXPECT); /* we say 100 ourselves, when we read */
    http_head_remove(h, HTTP_FIELD_UPGRADE);
    http_strip_forwarding(h);
    r = http_forwarded_add(h, t->client->peer_host, WT_STR("http"));
    if (r == 0)
        r = set_request_id(t, h);
    if (r == 0)
        r = set_traceparent(t, h);
    if (r == 0)
        r = proxy_filter_request(t->match.rule->filters, h, t->match.prefix_len, t->arena);
    return r;
}

/* ---- where it goes ---- */

static void set_timeouts(struct proxy_trip *t, const struct proxy_policy *p)
{
    const struct proxy_rule *rule = t->match.rule;
    t->request_timeout_ms = rule->request_timeout_ms == PROXY_TIMEOUT_UNSET
                                ? p->request_timeout_ms
                                : rule->request_timeout_ms;
    t->try_timeout_ms = rule->backend_timeout_ms == PROXY_TIMEOUT_UNSET ? p->try_timeout_ms
                                                                        : rule->backend_timeout_ms;
    t->deadline_ms = t->request_timeout_ms ? io_now_ms() + t->request_timeout_ms : IO_NEVER;
}

/* Without users on its new side a Migration is nothing that a missing Backend could take from
 * anybody: then the route's own ref decides. */
static bool has_share(const struct proxy_target *target)
{
    return target->migration && (proxy_target_whole(target) || target->migration->weight > 0);
}

/* A side without a Backend is as dead as one without hosts: its users go to the other one if they
 * may, else they are answered as Gateway API asks (500). A retired one has none. */
static void decide_side(struct proxy_trip *t)
{
    const struct proxy_target *target = t->target;
    uint8_t random[MODEL_IDENTITY_BYTES];
    bool alive[PROXY_SIDES];
    for (int s = 0; s < PROXY_SIDES; s++)
        alive[s] = target->sides[s] && proxy_backend_alive(target->sides[s], io_now_ms());
    proxy_secret_bytes(t->worker, random, sizeof random);
    proxy_share_decide(target->migration, &t->worker->shared->keys, t->in->request,
                       t->client->peer_host, random, alive, &t->share);
    if (!target->sides[t->share.side] && target->migration->old_retired)
        t->share.side = PROXY_SIDE_NEW;
    t->shared = true;
    t->side = t->share.side;
}

static bool find_target(struct proxy_trip *t)
{
    const struct proxy_rule *rule = t->match.rule;
    int ref = proxy_rule_pick(rule, (uint32_t)(wt_rng_next(&t->worker->rng) >> 32));
    uint32_t target = ref < 0 ? PROXY_TARGET_NONE : t->match.targets[ref];
    if (target == PROXY_TARGET_NONE)
        return false;
    t->target = &t->pin->config->targets[target];
    if (has_share(t->target))
        decide_side(t);
    return t->shared ? t->target->sides[t->side] : t->target->backend;
}

static void redirect(struct proxy_trip *t)
{
    struct proxy_redirect_from from = {WT_STR("http"), t->match.port, t->match.prefix_len};
    t->location = proxy_filter_redirect(t->match.rule->filters, t->in->request, &from, t->arena);
    if (t->location.ptr)
        proxy_reply(t, t->match.rule->filters->status, 0, "");
    else
        proxy_reply(t, 500, 0, "out of memory");
}

/* What our own limits refuse, before a side is chosen: it counts against neither. */
static bool refused(struct proxy_trip *t)
{
    const struct http_head *q = t->in->request;
    uint64_t most = t->worker->shared->max_request_bytes;
    if (proxy_worker_overload(t->worker) >= PROXY_OVERLOAD_REFUSE) {
        proxy_count(&t->listener_stats->rq_overload);
        proxy_reply(t, 503, PROXY_LOG_OM, "the proxy is short of memory");
        return true;
    }
    if (most && q->framing == HTTP_FRAMING_LENGTH && q->length > most) {
        proxy_reply(t, 413, 0, "the request's body is too large");
        return true;
    }
    return false;
}

static void route(struct proxy_trip *t)
{
    const struct proxy_config *c = t->pin->config;
    uint32_t socket = 0;
    if (refused(t))
        return;
    /* A host that took it would make a kept connection a tunnel for whoever comes next. */
    if (t->in->request->method == HTTP_METHOD_CONNECT) {
        proxy_reply(t, 405, 0, "CONNECT is not served");
        return;
    }
    if (proxy_aliases_in(&c->aliases, t->in->request)) {
        proxy_reply(t, 400, PROXY_LOG_DPE,
                    "a field's name is, but for '-' and '_', one that a route decides by or sets");
        return;
    }
    while (socket < c->n_listeners && c->listeners[socket] != t->client->listener)
        socket++;
    if (socket == c->n_listeners ||
        !proxy_route_match(c->routes, socket, t->in->request, &t->match)) {
        proxy_count(&t->listener_stats->rq_no_route);
        t->match.rule = NULL;
        proxy_reply(t, 404, PROXY_LOG_NR, "no route for this host and path");
        return;
    }
    const struct proxy_filters *f = t->match.rule->filters;
    if (f && f->redirect) {
        redirect(t);
        return;
    }
    if (!find_target(t)) {
        proxy_reply(t, 500, PROXY_LOG_NC, "the route has no backend");
        return;
    }
    set_timeouts(t, &(t->shared ? t->target->sides[t->side] : t->target->backend)->policy);
    if (prepare(t) < 0)
        proxy_reply(t, 500, PROXY_LOG_LR, "the request could not be prepared");
    else
        proxy_forward(t);
}

static void init(struct proxy_trip *t, const struct proxy_client *client, struct proxy_inbound *in,
                 struct wt_arena *arena)
{
    struct proxy_worker *w = client->worker;
    /* Clearing the outgoing head too would cost more than parsing did. */
    memset(t, 0, offsetof(struct proxy_trip, request_id));
    t->client = client;
    t->worker = w;
    t->in = in;
    t->arena = arena;
    t->pin = proxy_pin_take(w);
    t->listener_stats = proxy_stats_listener(client->listener->stats, w->id);
}

enum proxy_served proxy_serve(const struct proxy_client *client, struct proxy_inbound *in,
                              struct wt_arena *arena)
{
    struct proxy_trip t WT_UNSET;
    init(&t, client, in, arena);
    proxy_count(&t.listener_stats->rq_total);
    proxy_count(&t.listener_stats->rq_active);
    route(&t);
    if (!t.attempts) {
        t.id = choose_request_id(&t, in->request);
        t.forwarded_for = client->peer_host;
    }
    proxy_finish(&t);
    proxy_count_down(&t.listener_stats->rq_active);
    proxy_host_unref(t.host);
    proxy_pin_give(t.worker, t.pin);
    return t.gone || t.broken ? PROXY_SERVED_BROKEN : PROXY_SERVED;
}

void proxy_serve_refused(const struct proxy_client *client, const struct http_head *head,
                         unsigned status, uint64_t bytes_sent)
{
    struct proxy_trip t WT_UNSET;
    struct proxy_inbound in = {.request = head};
    init(&t, client, &in, NULL);
    bool ours = status == 503; /* it is we who were short of memory */
    proxy_count(&t.listener_stats->rq_total);
    proxy_count(ours ? &t.listener_stats->rq_overload : &t.listener_stats->cx_protocol_error);
    t.status = status;
    t.flags = ours ? PROXY_LOG_OM : PROXY_LOG_DPE;
    t.local = true;
    t.bytes_sent = bytes_sent;
    proxy_finish(&t);
    proxy_pin_give(t.worker, t.pin);
}
