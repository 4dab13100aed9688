#include "proxy/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/accept.h"
#include "proxy/outbound.h"

#include <string.h>

enum { HOUSEKEEPING_MS = 200, SHRINK_MS = 1000 };

/* ---- buffers and secrets ---- */

char *proxy_buffer_take(struct proxy_worker *w)
{
    char *b = w->free_buffers;
    if (!b)
        return wt_malloc(PROXY_BUFFER);
    memcpy(&w->free_buffers, b, sizeof b);
    w->n_free_buffers--;
    return b;
}

void proxy_buffer_give(struct proxy_worker *w, char *buffer)
{
    if (w->n_free_buffers == PROXY_BUFFERS_KEPT) {
        wt_free(buffer);
        return;
    }
    memcpy(buffer, &w->free_buffers, sizeof buffer);
    w->free_buffers = buffer;
    w->n_free_buffers++;
}

static void free_buffers(struct proxy_worker *w)
{
    while (w->free_buffers)
        wt_free(proxy_buffer_take(w));
}

void proxy_secrets_refill(struct proxy_worker *w)
{
    struct io_sys *sys = w->shared->sys;
    /* Without randomness users could be steered by who guesses; better to say so loudly than to go
     * on. */
    if (sys->random(sys, w->secrets, sizeof w->secrets) < 0)
        wt_log(WT_LOG_ERROR, "no random bytes from the system: identities are weak");
    w->secrets_left = sizeof w->secrets;
}

/* ---- snapshots ---- */

static struct proxy_pin *pin_new(struct proxy_config *config)
{
    struct proxy_pin *p = wt_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->config = config;
    wt_list_init(&p->node);
    return p;
}

static void count_older(struct proxy_worker *w)
{
    uint32_t n = 0;
    for (struct wt_list *l = w->older.next; l != &w->older; l = l->next)
        n += WT_CONTAINER(l, struct proxy_pin, node)->in_flight;
    proxy_count_set(&w->stats->in_flight_older, n);
}

static void pin_end(struct proxy_worker *w, struct proxy_pin *p)
{
    wt_list_remove(&p->node);
    proxy_config_unref(p->config);
    wt_free(p);
    count_older(w);
    if (w->shared->acknowledge)
        w->shared->acknowledge(w->shared->ctx, w->id);
}

struct proxy_pin *proxy_pin_take(struct proxy_worker *w)
{
    w->pin->in_flight++;
    return w->pin;
}

void proxy_pin_give(struct proxy_worker *w, struct proxy_pin *p)
{
    p->in_flight--;
    if (p == w->pin)
        return;
    if (p->in_flight == 0)
        pin_end(w, p);
    else
        count_older(w);
}

struct publish_task {
    struct io_task task;
    struct proxy_worker *worker;
    struct proxy_pin *pin;
};

/* Hosts that are gone keep no idle connections. */
static void sweep_retired(struct proxy_worker *w, const struct proxy_config *old)
{
    for (uint32_t i = 0; i < old->n_backends; i++)
        for (uint32_t k = 0; k < old->backends[i]->n_hosts; k++)
            if (atomic_load(&old->backends[i]->hosts[k]->retired))
                proxy_h1_out_sweep(w, old->backends[i]->hosts[k]);
}

static void adopt(struct io_task *task)
{
    struct publish_task *t = WT_CONTAINER(task, struct publish_task, task);
    struct proxy_worker *w = t->worker;
    struct proxy_pin *old = w->pin;
    w->pin = t->pin;
    wt_free(t);
    sweep_retired(w, old->config);
    proxy_accept_follow(w);
    wt_list_add_tail(&w->older, &old->node);
    count_older(w);
    /* Who reads the new version must not read a count from before it. */
    atomic_thread_fence(memory_order_release);
    proxy_count_set(&w->stats->snapshot_version, w->pin->config->version);
    if (old->in_flight == 0) {
        pin_end(w, old);
        return;
    }
    if (w->shared->acknowledge)
        w->shared->acknowledge(w->shared->ctx, w->id);
}

void proxy_worker_publish(struct proxy_worker *w, struct proxy_config *config)
{
    struct publish_task *t = wt_calloc(1, sizeof *t);
    struct proxy_pin *p = pin_new(config);
    if (!t || !p) {
        wt_free(t);
        wt_free(p);
        wt_log(WT_LOG_ERROR, "worker %u: out of memory: it stays on the older snapshot", w->id);
        return;
    }
    proxy_config_ref(config);
    *t = (struct publish_task){.task.run = adopt, .worker = w, .pin = p};
    io_loop_post(w->loop, &t->task);
}

/* ---- life ---- */

/* What only the loop knows of itself, for the scrape. */
static void note_loop(struct proxy_worker *w)
{
    struct io_loop_stats stats;
    io_loop_get_stats(w->loop, &stats);
    proxy_count_set(&w->stats->fibers, stats.fibers_live);
    proxy_count_set(&w->stats->stack_high_water_bytes, stats.stack_high_water_bytes);
}

/* Memory is short: what is only kept for a faster next time goes. */
static void shrink(struct proxy_worker *w)
{
    const struct proxy_config *c = w->pin->config;
    if (proxy_worker_overload(w) < PROXY_OVERLOAD_SHRINK || io_now_ms() - w->shrunk_ms < SHRINK_MS)
        return;
    w->shrunk_ms = io_now_ms();
    proxy_h1_in_shrink(w);
    for (uint32_t i = 0; i < c->n_backends; i++)
        for (uint32_t k = 0; k < c->backends[i]->n_hosts; k++)
            proxy_h1_out_sweep(w, c->backends[i]->hosts[k]);
    free_buffers(w);
    io_loop_trim();
}

/* A worker that sends nothing to a host may keep the connections that others wait for. */
static void pay_owed(struct proxy_worker *w)
{
    const struct proxy_config *c = w->pin->config;
    unsigned owing = atomic_load_explicit(&w->shared->owing, memory_order_relaxed);
    if (owing == w->owing_seen)
        return;
    w->owing_seen = owing;
    for (uint32_t i = 0; i < c->n_backends; i++)
        for (uint32_t k = 0; k < c->backends[i]->n_hosts; k++)
            proxy_h1_out_pay(w, c->backends[i]->hosts[k]);
}

/* Several times a second; a timer, so that an idle worker holds no fiber for it. */
static void housekeeping(struct io_timer *t)
{
    struct proxy_worker *w = WT_CONTAINER(t, struct proxy_worker, housekeeping);
    note_loop(w);
    shrink(w);
    pay_owed(w);
    if (w->shared->logger)
        proxy_log_flush(w->shared->logger, &w->log);
    io_timer_set(t, io_now_ms() + HOUSEKEEPING_MS);
}

static void *run(void *arg)
{
    struct proxy_worker *w = arg;
    io_loop_run(w->loop, false);
    if (w->shared->logger)
        proxy_log_flush(w->shared->logger, &w->log);
    return NULL;
}

void proxy_worker_begin(struct proxy_worker *w)
{
    proxy_accept_follow(w);
    io_timer_set(&w->housekeeping, io_now_ms() + HOUSEKEEPING_MS);
    if (w->shared->acknowledge)
        w->shared->acknowledge(w->shared->ctx, w->id);
}

static void begin(struct io_task *task)
{
    struct publish_task *t = WT_CONTAINER(task, struct publish_task, task);
    struct proxy_worker *w = t->worker;
    wt_free(t);
    proxy_worker_begin(w);
}

static int start_thread(struct proxy_worker *w, struct wt_err *err)
{
    struct publish_task *t = wt_calloc(1, sizeof *t);
    if (!t)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    *t = (struct publish_task){.task.run = begin, .worker = w};
    io_loop_post(w->loop, &t->task);
    int e = pthread_create(&w->thread, NULL, run, w);
    if (e)
        return wt_fail(err, wt_code_from_errno(e), "start a thread: %s", strerror(e));
    return 0;
}

struct wt_str proxy_worker_date(struct proxy_worker *w)
{
    int64_t now_s = io_wall_ms() / 1000;
    if (now_s != w->date_s) {
        w->date_s = now_s;
        wt_time_format_http(now_s, w->date);
    }
    return wt_str(w->date, sizeof "Sat, 21 Nov 2026 06:48:41 GMT" - 1);
}

int proxy_worker_init(struct proxy_worker *w, unsigned id, struct proxy_shared *shared,
                      struct proxy_config *config, struct io_loop *loop, struct wt_err *err)
{
    *w = (struct proxy_worker){.id = id, .shared = shared, .loop = loop, .date_s = -1};
    wt_list_init(&w->older);
    wt_list_init(&w->conns);
    wt_list_init(&w->accepting);
    io_timer_init(&w->accept_again, proxy_accept_again);
    io_timer_init(&w->housekeeping, housekeeping);
    w->stats = proxy_stats_worker(shared->stats, id);
    uint64_t seed = id;
    shared->sys->random(shared->sys, &seed, sizeof seed);
    w->rng.state = seed;
    w->pin = pin_new(config);
    if (!w->pin) {
        proxy_config_unref(config);
        return wt_fail(err, WT_ENOMEM, "out of memory");
    }
    proxy_count_set(&w->stats->snapshot_version, config->version);
    return 0;
}

void proxy_worker_done(struct proxy_worker *w)
{
    io_timer_cancel(&w->accept_again);
    io_timer_cancel(&w->housekeeping);
    proxy_config_unref(w->pin->config);
    wt_free(w->pin);
    free_buffers(w);
}

int proxy_worker_start(struct proxy_worker *w, unsigned id, struct proxy_shared *shared,
                       struct proxy_config *config, struct wt_err *err)
{
    struct io_loop *loop;
    int r = io_loop_new(shared->sys, &loop, err);
    if (r < 0) {
        proxy_config_unref(config);
        return wt_wrap(err, r, "worker %u", id);
    }
    r = proxy_worker_init(w, id, shared, config, loop, err);
    if (r == 0)
        r = start_thread(w, err);
    if (r < 0)
        w->loop = NULL; /* nothing to stop later */
    return r < 0 ? wt_wrap(err, r, "worker %u", id) : 0;
}

static void drain(struct io_task *task)
{
    struct publish_task *t = WT_CONTAINER(task, struct publish_task, task);
    struct proxy_worker *w = t->worker;
    wt_free(t);
    w->draining = true;
    proxy_accept_follow(w);
}

void proxy_worker_drain(struct proxy_worker *w)
{
    struct publish_task *t = wt_calloc(1, sizeof *t);
    if (!t)
        return;
    *t = (struct publish_task){.task.run = drain, .worker = w};
    io_loop_post(w->loop, &t->task);
}

void proxy_worker_stop(struct proxy_worker *w)
{
    io_loop_stop(w->loop);
    pthread_join(w->thread, NULL);
    /* Connections that still run end with the process: nothing else could be done for them. */
    free_buffers(w);
}

uint32_t proxy_worker_conns(struct proxy_worker *w)
{
    return __atomic_load_n(&w->n_conns, __ATOMIC_RELAXED);
}

uint32_t proxy_worker_in_flight_older(struct proxy_worker *w)
{
    return (uint32_t)__atomic_load_n(&w->stats->in_flight_older, __ATOMIC_RELAXED);
}

uint64_t proxy_worker_version(struct proxy_worker *w)
{
    return __atomic_load_n(&w->stats->snapshot_version, __ATOMIC_RELAXED);
}
