#include "proxy/accept.h"

#include "base/log.h"
#include "base/mem.h"

#include <netinet/tcp.h>

/* One listener on one worker: a fiber that accepts. */
struct proxy_acceptor {
    struct wt_list node; /* in worker->accepting */
    struct proxy_worker *worker;
    struct proxy_listener *listener; /* a reference */
    struct io_stream stream;
    struct io_fiber *fiber;
    bool stopping;
};

enum {
    PAUSE_MS = 100, /* without descriptors, or at the connection limit */
    TELL_MS = 60 * 1000,
    CONNECTION_BYTES = 4 << 10, /* one at rest, at most */
};

/* Watches the listening socket, which several workers share. The socket itself belongs to the
 * listener. */
static int watch(struct proxy_acceptor *a)
{
    io_stream_init(&a->stream);
    return io_stream_open_shared(&a->stream, a->listener->fd);
}

/* Level-triggered readiness that nobody takes would spin: stop looking for a while (EMFILE,
 * reliability item 42). */
static int rest(struct proxy_acceptor *a)
{
    if (a->stream.fd >= 0)
        io_stream_release(&a->stream);
    return io_sleep_until(io_now_ms() + PAUSE_MS);
}

/* Who it is, so that somebody can look into it; now and then only, it may be a flood. */
static void tell_crowd(struct proxy_worker *w, const union io_addr *peer)
{
    char text[IO_ADDR_TEXT];
    if (io_now_ms() < w->tell_crowd_ms)
        return;
    w->tell_crowd_ms = io_now_ms() + TELL_MS;
    wt_log(WT_LOG_WARN,
           "client %s has all the connections that one may have; more are closed "
           "(--max-connections-per-client)",
           io_addr_format_host(peer, text));
}

/* Whether the connection may stay; if so, it has a place among those of its client. */
static bool welcome(struct proxy_worker *w, const union io_addr *peer)
{
    if (proxy_worker_take(w, CONNECTION_BYTES) >= PROXY_OVERLOAD_REFUSE)
        return false;
    int r = proxy_clients_enter(w->shared->clients, proxy_client_key(peer));
    if (r == WT_ELIMIT)
        tell_crowd(w, peer);
    return r == 0;
}

static int accept_one(struct proxy_acceptor *a)
{
    struct proxy_worker *w = a->worker;
    union io_addr peer = {0};
    struct proxy_listener_stats *stats = proxy_stats_listener(a->listener->stats, w->id);
    int r = a->stream.fd >= 0 ? 0 : watch(a);
    if (r < 0) {
        wt_log(WT_LOG_ERROR, "worker %u: watch %s: %s", w->id, a->listener->text, wt_code_text(r));
        return rest(a);
    }
    if (atomic_load_explicit(&w->shared->n_conns, memory_order_relaxed) >= w->shared->max_conns) {
        proxy_count(&stats->cx_refused);
        return rest(a);
    }
    int fd = io_accept(&a->stream, &peer, IO_NEVER);
    if (fd == WT_ECANCELED)
        return fd;
    if (fd < 0) {
        proxy_count(&w->stats->accept_failures);
        return rest(a);
    }
    if (!welcome(w, &peer)) {
        proxy_count(&stats->cx_refused);
        w->shared->sys->close(w->shared->sys, fd);
        return 0;
    }
    w->shared->sys->setsockopt(w->shared->sys, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    proxy_h1_in_start(w, a->listener, fd, &peer);
    return 0;
}

static void accept_flow(void *arg)
{
    struct proxy_acceptor *a = arg;
    a->fiber = io_self();
    int r = 0;
    while (r == 0 && !a->stopping)
        r = accept_one(a);
    if (a->stream.fd >= 0)
        io_stream_release(&a->stream);
    wt_list_remove(&a->node);
    proxy_listener_unref(a->listener);
    wt_free(a);
}

static void start(struct proxy_worker *w, struct proxy_listener *l)
{
    struct proxy_acceptor *a = wt_calloc(1, sizeof *a);
    if (!a)
        goto no_memory;
    a->worker = w;
    a->listener = proxy_listener_ref(l);
    io_stream_init(&a->stream);
    wt_list_init(&a->node);
    if (io_spawn(IO_STACK_FLOW, accept_flow, a, NULL) < 0) {
        proxy_listener_unref(l);
        goto no_memory;
    }
    wt_list_add_tail(&w->accepting, &a->node);
    return;
no_memory:
    wt_free(a);
    /* The kernel goes on taking connections for a listener that nobody accepts from. */
    io_timer_set(&w->accept_again, io_now_ms() + PAUSE_MS);
    wt_log(WT_LOG_ERROR, "worker %u: out of memory: it does not accept on %s", w->id, l->text);
}

static bool wanted(const struct proxy_worker *w, const struct proxy_listener *l)
{
    const struct proxy_config *c = w->pin->config;
    for (uint32_t i = 0; i < c->n_listeners && !w->draining; i++)
        if (c->listeners[i] == l)
            return true;
    return false;
}

static bool running(const struct proxy_worker *w, const struct proxy_listener *l)
{
    for (struct wt_list *n = w->accepting.next; n != &w->accepting; n = n->next) {
        struct proxy_acceptor *a = WT_CONTAINER(n, struct proxy_acceptor, node);
        if (a->listener == l && !a->stopping)
            return true;
    }
    return false;
}

void proxy_accept_follow(struct proxy_worker *w)
{
    const struct proxy_config *c = w->pin->config;
    for (struct wt_list *n = w->accepting.next; n != &w->accepting; n = n->next) {
        struct proxy_acceptor *a = WT_CONTAINER(n, struct proxy_acceptor, node);
        if (a->stopping || wanted(w, a->listener))
            continue;
        a->stopping = true;
        if (a->fiber)
            io_cancel(a->fiber);
    }
    for (uint32_t i = 0; i < c->n_listeners && !w->draining; i++)
        if (!running(w, c->listeners[i]))
            start(w, c->listeners[i]);
}

void proxy_accept_again(struct io_timer *t)
{
    proxy_accept_follow(WT_CONTAINER(t, struct proxy_worker, accept_again));
}
