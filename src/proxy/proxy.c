#include "proxy/proxy.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/file.h"
#include "io/signals.h"
#include "proxy/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    CONTROL_MS = 500, /* for its first word; a proxy that was killed must be back within 1 s */
    SETTLE_MS = 300,
    IDLE_TIMEOUT_MS = 300 * 1000,
    HEADER_TIMEOUT_MS = 15 * 1000,
    BODY_TIMEOUT_MS = 60 * 1000,
};

/* ---- how many workers ---- */

/* "max 100000" or "150000 100000" (cgroup v2); -1 without a limit. */
static double quota_v2(void)
{
    long quota, period;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    int n = f ? fscanf(f, "%ld %ld", &quota, &period) : 0;
    if (f)
        fclose(f);
    return n == 2 && period > 0 ? (double)quota / (double)period : -1;
}

static long read_long(const char *path)
{
    long v = -1;
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%ld", &v) != 1)
        v = -1;
    if (f)
        fclose(f);
    return v;
}

static double quota_v1(void)
{
    long quota = read_long("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    long period = read_long("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    return quota > 0 && period > 0 ? (double)quota / (double)period : -1;
}

/* The CPUs this process may use: affinity and cgroup quota, at least 1. */
static unsigned default_workers(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    double quota = quota_v2();
    if (quota <= 0)
        quota = quota_v1();
    if (quota > 0 && quota < n)
        n = quota < 1 ? 1 : (int)(quota + 0.5);
    return n < 1 ? 1 : n > HEALTH_GUARD_WORKERS ? HEALTH_GUARD_WORKERS : (unsigned)n;
}

/* ---- publishing ---- */

static struct proxy_live *live_for(void *ctx, const struct proxy_migration *m)
{
    struct proxy *p = ctx;
    struct proxy_live *l = wt_map_get(&p->lives, m->uid);
    if (l)
        return l;
    l = proxy_live_new(m->uid, &m->params, p->shared.n_workers, io_now_ms());
    if (!l || wt_map_put(&p->lives, m->uid, l, NULL) < 0) {
        proxy_live_unref(l);
        return NULL;
    }
    struct proxy_verdict *v = wt_map_take(&p->pending, m->uid);
    if (v)
        proxy_live_restore(l, v, m->rolls_back);
    wt_free(v);
    return l;
}

/* What runs under the uid of a migration that is gone is forgotten. */
static void forget_lives(struct proxy *p)
{
    for (struct wt_map_entry *e = wt_map_first(&p->lives); e; e = wt_map_next(&p->lives, e)) {
        bool used = false;
        for (uint32_t i = 0; i < p->config->n_migrations && !used; i++)
            used = p->config->migrations[i]->live == e->value;
        if (!used)
            proxy_live_unref(wt_map_take(&p->lives, e->key));
    }
}

/* Those that `before` has not. */
static void print_listeners(const struct proxy *p, const struct proxy_config *before)
{
    for (uint32_t i = 0; i < p->config->n_listeners && !p->options->quiet; i++) {
        bool known = false;
        for (uint32_t k = 0; before && k < before->n_listeners && !known; k++)
            known = before->listeners[k] == p->config->listeners[i];
        if (!known)
            wt_log(WT_LOG_INFO, "listening on http://%s", p->config->listeners[i]->text);
    }
}

static int publish(struct proxy *p, struct wt_err *err)
{
    struct proxy_build build = {
        .sys = p->sys,
        .n_workers = p->shared.n_workers,
        .stats = p->shared.stats,
        .now_ms = io_now_ms(),
        .listen = proxy_listen,
        .found = proxy_discover_found,
        .found_ctx = p->discover,
        .live = live_for,
        .ctx = p,
    };
    struct proxy_config *c, *old = p->config;
    int64_t start_ns = p->sys->mono_ns(p->sys);
    int r = proxy_config_build(p->snapshot, old, &build, &c, err);
    if (r < 0) {
        p->snapshots_rejected++;
        return r;
    }
    p->built_ns = p->sys->mono_ns(p->sys);
    p->build_ns = p->built_ns - start_ns;
    p->config = c;
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        if (p->workers[i].loop)
            proxy_worker_publish(&p->workers[i], c);
    if (p->workers[0].loop) /* at the start nobody accepts yet */
        print_listeners(p, old);
    proxy_config_unref(old);
    forget_lives(p);
    proxy_discover_follow(p->discover);
    proxy_probes_follow(p->probes);
    return 0;
}

static void begin_publish(struct proxy *p)
{
    while (p->publishing)
        io_cond_wait(&p->published, IO_NEVER);
    p->publishing = true;
}

static void end_publish(struct proxy *p)
{
    p->publishing = false;
    io_cond_broadcast(&p->published);
}

int proxy_publish(struct proxy *p, struct wt_err *err)
{
    begin_publish(p);
    int r = publish(p, err);
    end_publish(p);
    return r;
}

int proxy_publish_delta(struct proxy *p, struct wt_str store, const json_t *delta,
                        bool *out_applied, struct wt_err *err)
{
    begin_publish(p);
    int r = model_snapshot_apply(p->snapshot, store, delta, err);
    *out_applied = r == 0;
    if (r == 0)
        r = publish(p, err);
    end_publish(p);
    return r;
}

/* ---- news from workers ---- */

static void note_adopted(struct proxy *p)
{
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        if (proxy_worker_version(&p->workers[i]) != p->config->version)
            return;
    if (p->built_ns)
        p->adopt_ns = p->sys->mono_ns(p->sys) - p->built_ns;
    p->built_ns = 0;
}

struct news_task {
    struct io_task task;
    struct proxy *proxy;
    bool verdict;
};

static void save_verdicts(void *arg)
{
    proxy_verdicts_save(arg);
}

static void on_news(struct io_task *task)
{
    struct news_task *n = WT_CONTAINER(task, struct news_task, task);
    struct proxy *p = n->proxy;
    if (n->verdict && io_spawn(IO_STACK_DEEP, save_verdicts, p, NULL) < 0)
        wt_log(WT_LOG_ERROR, "out of memory: a verdict is in force but not on disk");
    wt_free(n);
    note_adopted(p);
    p->n_news++;
    io_cond_broadcast(&p->news);
}

static void post_news(struct proxy *p, bool verdict)
{
    struct news_task *n = wt_calloc(1, sizeof *n);
    if (!n)
        return; /* the next report, in a second at most, carries it */
    *n = (struct news_task){.task.run = on_news, .proxy = p, .verdict = verdict};
    io_loop_post(p->loop, &n->task);
}

static const char *consequence(const struct proxy_migration *m)
{
    if (proxy_migration_rolled_back(m))
        return "all users go back to the old side";
    return proxy_migration_taken_back(m) ? "the step is taken back" : "left to the controller";
}

static void announce(void *ctx, struct proxy_migration *m)
{
    struct proxy_verdict v;
    if (proxy_live_verdict(m->live, &v))
        wt_log(WT_LOG_WARN, "migration %s: verdict %s, %s: %s", m->id.ptr,
               health_cause_text(v.cause), consequence(m), v.message);
    post_news(ctx, true);
}

static void acknowledge(void *ctx, unsigned worker)
{
    (void)worker;
    post_news(ctx, false);
}

/* ---- starting ---- */

/* The key that signs identity cookies: one a site, made by whoever comes first, readable by its
 * owner only. It is in no snapshot. */
static int load_site_key(struct proxy *p, struct wt_err *err)
{
    char path[512];
    uint8_t key[32];
    snprintf(path, sizeof path, "%s/site.key", p->options->state_dir);
    if (p->sys->random(p->sys, key, sizeof key) < 0)
        return wt_fail(err, WT_EIO, "no random bytes from the system");
    int fd = p->sys->open(p->sys, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd >= 0) {
        ssize_t put = p->sys->write(p->sys, fd, key, sizeof key);
        int synced = put == sizeof key ? p->sys->fsync(p->sys, fd) : -EIO;
        p->sys->close(p->sys, fd);
        if (synced < 0) {
            p->sys->unlink(p->sys, path);
            return wt_fail(err, WT_EIO, "write %s: %s", path, strerror(-synced));
        }
    } else if (fd == -EEXIST) {
        fd = p->sys->open(p->sys, path, O_RDONLY, 0);
        ssize_t got = fd >= 0 ? p->sys->read(p->sys, fd, key, sizeof key) : fd;
        if (fd >= 0)
            p->sys->close(p->sys, fd);
        if (got != sizeof key)
            return wt_fail(err, WT_EIO, "read %s: %s", path,
                           got < 0 ? strerror((int)-got) : "it must hold 32 bytes");
    } else {
        return wt_fail(err, wt_code_from_errno(-fd), "create %s: %s", path, strerror(-fd));
    }
    p->shared.keys = model_identity_keys_from(key);
    memcpy(p->site_key, key, sizeof key);
    memset(key, 0, sizeof key);
    return 0;
}

static int open_log(struct proxy *p, struct wt_err *err)
{
    struct proxy_log_format *format;
    int r = p->options->log_json
                ? proxy_log_format_new_default_json(&format, err)
                : proxy_log_format_new_text(wt_str_z(proxy_log_default_text), &format, err);
    p->shared.log_format = r == 0 ? format : NULL;
    if (r == 0 && p->options->access_log)
        r = proxy_logger_new(p->sys, p->options->access_log, &p->shared.logger, err);
    return r;
}

static int load_snapshot(struct proxy *p, struct wt_err *err)
{
    char path[512];
    struct wt_buf bytes = wt_buf_make(256 << 20);
    if (p->options->fixed) {
        p->snapshot = p->options->fixed;
        return 0;
    }
    snprintf(path, sizeof path, "%s/snapshot", p->options->state_dir);
    int r = io_file_read(p->sys, path, 256 << 20, &bytes, err);
    if (r == 0)
        r = model_snapshot_decode(wt_buf_str(&bytes), &p->snapshot, err);
    wt_buf_done(&bytes);
    if (r < 0 && r != WT_ENOENT)
        wt_log(WT_LOG_WARN, "%s: %s; waiting for control", path, err->msg);
    if (r < 0)
        p->snapshot = model_snapshot_new(WT_STR(""));
    return p->snapshot ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
}

static int start_workers(struct proxy *p, struct wt_err *err)
{
    for (unsigned i = 0; i < p->shared.n_workers; i++) {
        int r = proxy_worker_start(&p->workers[i], i, &p->shared, proxy_config_ref(p->config), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- ending ---- */

void proxy_begin_drain(struct proxy *p)
{
    if (p->draining)
        return;
    p->draining = true;
    wt_log(WT_LOG_INFO, "draining: no new connections, an end in %" PRId64 " s at most",
           p->options->drain_ms / 1000);
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        proxy_worker_drain(&p->workers[i]);
}

static bool all_gone(const struct proxy *p)
{
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        if (proxy_worker_conns(&p->workers[i]))
            return false;
    return true;
}

static void wait_for_end(struct proxy *p, struct io_stream *signals)
{
    while (!p->draining) { /* /quitquitquit may begin the drain meanwhile */
        int signo = io_signals_wait(signals, io_now_ms() + 100);
        if (signo == SIGHUP && p->shared.logger)
            proxy_logger_reopen(p->shared.logger);
        else if (signo == SIGTERM || signo == SIGINT)
            proxy_begin_drain(p);
    }
    int64_t end_ms = io_now_ms() + p->options->drain_ms;
    while (!all_gone(p) && io_now_ms() < end_ms)
        io_sleep_until(io_now_ms() + 20);
}

struct run {
    struct proxy *proxy;
    struct wt_err *err;
    int result;
};

static int start(struct proxy *p, struct wt_err *err)
{
    int r = load_site_key(p, err);
    if (r == 0)
        r = open_log(p, err);
    if (r == 0)
        r = load_snapshot(p, err);
    if (r < 0)
        return r;
    proxy_verdicts_load(p);
    p->discover = proxy_discover_new(p);
    p->probes = proxy_probes_new(p);
    if (!p->discover || !p->probes)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    proxy_watermark_start(p);
    r = proxy_publish(p, err);
    /* What is on disk may be old: shares have moved on, the old side may be gone. */
    if (r == 0 && p->options->control_socket)
        r = proxy_sync_start(p, err);
    if (r == 0 && p->options->control_socket)
        proxy_sync_settle(p, io_now_ms() + CONTROL_MS);
    /* A first answer takes a moment; without it the first requests would find no hosts. */
    proxy_discover_settle(p->discover, io_now_ms() + SETTLE_MS);
    if (r == 0)
        r = start_workers(p, err);
    if (r == 0 && p->options->admin)
        r = proxy_admin_start(p, err);
    if (r == 0)
        r = proxy_listen_link(p);
    if (r == 0)
        r = proxy_listen_again(p);
    if (r == 0)
        print_listeners(p, NULL);
    return r;
}

static void main_flow(void *arg)
{
    struct run *r = arg;
    struct proxy *p = r->proxy;
    struct io_stream signals;
    r->result = io_signals_open(&signals, r->err);
    if (r->result == 0)
        r->result = start(p, r->err);
    if (r->result == 0)
        wait_for_end(p, &signals);
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        if (p->workers[i].loop)
            proxy_worker_stop(&p->workers[i]);
    if (p->shared.logger)
        proxy_logger_free(p->shared.logger);
    p->stopping = true;
    io_loop_stop(p->loop);
}

/* Clients may not take all descriptors: without some for hosts and files nobody would be served
 * (reliability item 41). */
static uint32_t client_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > UINT32_MAX)
        return UINT32_MAX;
    uint32_t all = (uint32_t)files.rlim_cur, kept = all / 16 < 32 ? 32 : all / 16;
    return all > 2 * kept ? all - kept : all / 2;
}

/* Half: a whole company behind one address still fits, and whoever it is leaves as much to all
 * others. */
static uint32_t connections_each(const struct proxy *p)
{
    uint32_t half = p->shared.max_conns / 2;
    return p->options->client_conns ? p->options->client_conns : half ? half : 1;
}

static int64_t or_default(int64_t given, int64_t otherwise)
{
    return given ? given : otherwise;
}

static int init(struct proxy *p, const struct proxy_options *options, struct wt_err *err)
{
    uint8_t boot[16];
    *p = (struct proxy){.options = options, .sys = io_sys_real()};
    p->shared = (struct proxy_shared){
        .sys = p->sys,
        .n_workers = options->workers ? options->workers : default_workers(),
        .idle_timeout_ms = or_default(options->idle_timeout_ms, IDLE_TIMEOUT_MS),
        .header_timeout_ms = or_default(options->header_timeout_ms, HEADER_TIMEOUT_MS),
        .body_timeout_ms = or_default(options->body_timeout_ms, BODY_TIMEOUT_MS),
        .max_request_bytes = options->max_request_bytes,
        .trace_percent = options->trace_percent,
        .max_conns = client_limit(),
        .announce = announce,
        .acknowledge = acknowledge,
        .look = proxy_watermark_look,
        .ctx = p,
    };
    if (p->shared.n_workers > HEALTH_GUARD_WORKERS)
        return wt_fail(err, WT_EINVAL, "--workers %u: at most %d", p->shared.n_workers,
                       HEALTH_GUARD_WORKERS);
    if (p->sys->random(p->sys, boot, sizeof boot) < 0)
        return wt_fail(err, WT_EIO, "no random bytes from the system");
    wt_hex(boot, sizeof boot, p->boot);
    p->start_wall_ms = p->sys->wall_ms(p->sys);
    pthread_mutex_init(&p->watermark.mutex, NULL);
    io_cond_init(&p->news);
    io_cond_init(&p->published);
    p->workers = wt_calloc(p->shared.n_workers, sizeof *p->workers);
    p->shared.stats = proxy_stats_new(p->shared.n_workers);
    p->shared.clients = proxy_clients_new(p->sys, connections_each(p));
    if (!p->workers || !p->shared.stats || !p->shared.clients)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    return io_loop_new(p->sys, &p->loop, err);
}

int proxy_run(const struct proxy_options *options, struct wt_err *err)
{
    static struct proxy p; /* one a process; it ends with it */
    io_signals_block();
    int r = init(&p, options, err);
    if (r < 0)
        return r;
    struct run run = {&p, err, 0};
    r = io_spawn_on(p.loop, IO_STACK_DEEP, main_flow, &run, NULL);
    if (r < 0)
        return wt_fail(err, r, "out of memory");
    io_loop_run(p.loop, false);
    return run.result;
}
