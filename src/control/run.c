#include "control/control.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/api.h"
#include "control/files.h"
#include "control/publish.h"
#include "control/reconcile.h"
#include "control/status.h"
#include "control/sync.h"
#include "io/signals.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    GRACE_MS = 2000, /* proxies report within it after a start of ours */
    QUIET_MS = 20,   /* after the last event on watched files; a copy of many is one change */
    UNFINISHED_MS = 100,
    SETTLE_MAX_MS = 500,
    BODY_MAX = 3 << 20,
    CONNECTIONS_MAX = 256,
    TURN_MS = 10, /* of work on files before others have their turn */
    TRY_AGAIN_MS = 5000,
};

struct control {
    const struct control_options *options;
    struct io_loop *loop;
    struct control_store *store;
    struct control_reports *reports;
    struct control_publisher *publisher;
    struct control_reconciler *reconciler;
    struct control_status *status;
    struct control_files *files;
    struct control_api api;
    struct control_sync sync;
    struct io_cond changed, published, work;
    struct io_stream signals, watched;
    struct rpc_server *servers[2];
    struct io_fiber *fibers[3];
    int64_t started_ms, started_wall_ms;
    bool read_files_again;
    bool held; /* a reading of files is not all in force yet: nothing is made of it */
    char files_wrong[sizeof(((struct wt_err *)0)->msg)]; /* said already; "": they are right */
    int result;
    struct wt_err *err;
};

/* The time that pauses end by: the wall clock of our start plus what has passed since, so that a
 * jump of the wall clock neither ends a pause nor prolongs one. */
static int64_t steady_wall_ms(const struct control *c)
{
    return c->started_wall_ms + io_now_ms() - c->started_ms;
}

static void on_change(void *ctx, const struct control_change *change)
{
    struct control *c = ctx;
    char key[MODEL_KEY_MAX];
    bool published = control_publisher_change(c->publisher, change);
    if (published)
        io_cond_broadcast(&c->published);
    control_status_change(c->status, change, io_now_ms());
    if (change->kind == model_kind_migration && change->type != CONTROL_DELETED)
        control_reconciler_add(c->reconciler, model_key(change->doc, key, sizeof(key)),
                               io_now_ms());
    else if (published &&
             (change->kind == model_kind_http_route || change->kind == model_kind_backend))
        control_reconciler_add_all(c->reconciler, io_now_ms());
    io_cond_broadcast(&c->changed);
    io_cond_broadcast(&c->work);
}

/* Before proxies get anything: one that knows more than we do (our store was lost) must not be told
 * less first. */
static void plan_all(struct control *c)
{
    control_reconciler_add_all(c->reconciler, io_now_ms());
    bool pending = io_now_ms() - c->started_ms < GRACE_MS;
    control_reconciler_run(c->reconciler, pending, io_now_ms(), steady_wall_ms(c));
    io_cond_broadcast(&c->work);
}

static void on_report(void *ctx, const json_t *report)
{
    struct control *c = ctx;
    (void)report;
    if (!c->held)
        plan_all(c);
}

static void handle(void *ctx, const struct rpc_request *request, struct rpc_reply *reply)
{
    struct control *c = ctx;
    if (wt_str_eq(request->path, WT_STR(CONTROL_SYNC_PATH)) &&
        request->peer->sa.sa_family == AF_UNIX)
        control_sync_handle(&c->sync, request, reply);
    else
        control_api_handle(&c->api, request, reply);
}

static bool is_ready(void *ctx)
{
    const struct control *c = ctx;
    return !c->files || control_files_stats(c->files).applied > 0;
}

static void add_metrics(void *ctx, struct wt_buf *out)
{
    const struct control *c = ctx;
    struct control_reconcile_stats r = control_reconciler_stats(c->reconciler);
    struct control_files_stats f = {0};
    if (c->files)
        f = control_files_stats(c->files);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"rejected_total", "counter",
         "Wrong input: requests to the API, and readings of files, that were refused.",
         c->api.rejected + f.rejected},
        {"reconciles_total", "counter", "Reconciles of Migrations.", r.runs},
        {"reconcile_writes_total", "counter", "Statuses of Migrations written.", r.writes},
        {"reconcile_failures_total", "counter", "Reconciles that failed.", r.failures},
        {"status_writes_total", "counter", "Statuses of Backends, routes and Gateways written.",
         control_status_writes(c->status)},
        {"files_applied_total", "counter", "Readings of files that were applied.", f.applied},
        {"files_rejected_total", "counter", "Readings of files that were refused.", f.rejected},
        {"files_read_total", "counter", "Files read because they were not as before.", f.read},
        {"syncs_total", "counter", "Reports of proxies.", c->sync.requests},
        {"snapshot_version", "gauge", "Version of the published snapshot.",
         model_snapshot_version(control_publisher_snapshot(c->publisher))},
        {"proxies", "gauge", "Proxies that report.",
         control_reports_fresh(c->reports, io_now_ms())},
        {"proxies_silent", "gauge", "Proxies that have stopped reporting.",
         control_reports_silent(c->reports, io_now_ms())},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        wt_buf_printf(
            out,
            "# HELP watari_control_%s %s\n# TYPE watari_control_%s %s\nwatari_control_%s %" PRIu64
            "\n",
            rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name, rows[i].value);
}

static void run_reconciler(void *arg)
{
    struct control *c = arg;
    int r = 0;
    while (r != WT_ECANCELED) {
        int64_t now = io_now_ms();
        bool pending = now - c->started_ms < GRACE_MS;
        int64_t next = c->held
                           ? INT64_MAX
                           : control_reconciler_run(c->reconciler, pending, now, steady_wall_ms(c));
        /* What a run itself put into the queue is due at once: let others in between. */
        if (next <= now)
            r = io_sleep_until(now + 1);
        else
            r = io_cond_wait(&c->work, next == INT64_MAX ? IO_NEVER : next);
    }
}

static void run_status(void *arg)
{
    struct control *c = arg;
    int r = 0;
    while (r != WT_ECANCELED) {
        int64_t now = io_now_ms();
        bool pending = now - c->started_ms < GRACE_MS;
        int64_t next =
            c->held ? INT64_MAX : control_status_run(c->status, pending, now, steady_wall_ms(c));
        int64_t end = c->started_ms + GRACE_MS;
        r = io_cond_wait(&c->work, pending && end < next ? end
                                   : next == INT64_MAX   ? IO_NEVER
                                                         : next);
    }
}

/* In the middle of a reading. The API answers; proxies, Migrations and statuses wait until all of
 * it is in force: a route must not be seen before its Backend. */
static int let_others_run(void *ctx)
{
    struct control *c = ctx;
    struct io_sys *sys = io_sys_here();
    if (sys->mono_ns(sys) - io_now_ns() < TURN_MS * WT_MS_NS)
        return 0;
    c->held |= control_files_applying(c->files);
    io_yield();
    return io_canceled() ? WT_ECANCELED : 0;
}

static void release(struct control *c)
{
    if (!c->held)
        return;
    c->held = false;
    plan_all(c);
    io_cond_broadcast(&c->published);
}

static void apply_files(struct control *c, bool force, int64_t *again_ms)
{
    struct wt_err err = {0};
    if (c->watched.fd >= 0)
        control_files_watch(c->files, c->watched.fd);
    int r = control_files_apply(c->files, force, io_now_ms(), io_wall_ms(), again_ms, &err);
    release(c);
    if (r == WT_ECANCELED)
        return;
    if (r < 0 && strcmp(c->files_wrong, err.msg) != 0)
        wt_log(WT_LOG_ERROR, "the files are refused: what was in force before stays");
    else if (r >= 0 && *c->files_wrong)
        wt_log(WT_LOG_INFO, "the files are right again, and in force");
    snprintf(c->files_wrong, sizeof(c->files_wrong), "%s", r < 0 ? err.msg : "");
    if (r == WT_EIO || r == WT_ENOMEM)
        *again_ms = TRY_AGAIN_MS;
}

/* Empties the inotify queue: what happened matters less than that it did. True when the last news
 * is of a file just made: it is being written, and the end of that will be news again. */
static bool drain(struct io_stream *s)
{
    _Alignas(struct inotify_event) char events[4096];
    uint32_t last = 0;
    for (ssize_t n; (n = read(s->fd, events, sizeof(events))) > 0;)
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(events + at);
            last = e->mask;
            at += (ssize_t)(sizeof(*e) + e->len);
        }
    s->ready &= (uint8_t)~IO_IN;
    return last & IN_CREATE;
}

/* After a first event: until there was none for a moment. */
static int settle(struct control *c)
{
    int64_t end_ms = io_now_ms() + SETTLE_MAX_MS;
    for (int r = 1; r > 0 && io_now_ms() < end_ms;) {
        int64_t quiet_ms = drain(&c->watched) ? UNFINISHED_MS : QUIET_MS;
        r = io_wait(&c->watched, IO_IN, io_now_ms() + quiet_ms);
        if (r == WT_ECANCELED)
            return r;
    }
    return 0;
}

static void run_files(void *arg)
{
    struct control *c = arg;
    int64_t again_ms = 0;
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 && io_stream_open(&c->watched, fd) < 0)
        close(fd);
    apply_files(c, true, &again_ms);
    while (!io_canceled()) {
        int64_t until = io_now_ms() + again_ms;
        int r = c->watched.fd >= 0 ? io_wait(&c->watched, IO_IN, until) : io_sleep_until(until);
        if (r == WT_ECANCELED)
            return;
        if (c->watched.fd >= 0 && r > 0 && settle(c) < 0)
            return;
        bool force = c->read_files_again;
        c->read_files_again = false;
        apply_files(c, force, &again_ms);
    }
}

static int make_dir(const char *path, struct wt_err *err)
{
    char copy[4096];
    snprintf(copy, sizeof(copy), "%s", path);
    for (char *at = copy + 1;; at++) {
        if (*at && *at != '/')
            continue;
        char was = *at;
        *at = 0;
        if (mkdir(copy, 0750) < 0 && errno != EEXIST)
            return wt_fail(err, wt_code_from_errno(errno), "%s: %s", copy, strerror(errno));
        *at = was;
        if (!was)
            return 0;
    }
}

static bool is_loopback(const union io_addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

int control_listen(const char *text, struct wt_err *err)
{
    union io_addr addr;
    uint64_t port;
    const char *colon = strrchr(text, ':');
    if (!colon || !wt_str_u64(wt_str_z(colon + 1), &port) || port > 65535)
        return wt_fail(err, WT_EINVAL, "--listen %s: expected ADDRESS:PORT", text);
    struct wt_str host = wt_str(text, (size_t)(colon - text));
    if (host.len > 2 && host.ptr[0] == '[')
        host = wt_str_sub(host, 1, host.len - 1);
    int r = io_addr_parse(host, (uint16_t)port, &addr, err);
    if (r < 0)
        return wt_wrap(err, r, "--listen %s", text);
    if (!is_loopback(&addr))
        return wt_fail(
            err, WT_EINVAL,
            "--listen %s: the API listens on loopback addresses only in this release; use a "
            "tunnel, or its unix socket",
            text);
    return io_listen(io_sys_here(), &addr, 128, err);
}

static int listen_unix(const char *run_dir, struct wt_err *err)
{
    union io_addr addr;
    char path[sizeof(addr.un.sun_path)];
    if (snprintf(path, sizeof(path), "%s/api.sock", run_dir) >= (int)sizeof(path))
        return wt_fail(err, WT_EINVAL, "%s: too long for the path of a socket (at most %zu bytes)",
                       run_dir, sizeof(path) - 10);
    int fd = io_addr_parse(wt_str_z(path), 0, &addr, err);
    if (fd >= 0)
        fd = io_listen(io_sys_here(), &addr, 128, err);
    if (fd >= 0 && chmod(path, 0660) < 0) {
        close(fd);
        return wt_fail(err, WT_EIO, "%s: %s", path, strerror(errno));
    }
    return fd;
}

static int serve(struct control *c, size_t which, int fd, struct wt_err *err)
{
    const struct rpc_handler handler = {handle, c, BODY_MAX, CONNECTIONS_MAX};
    if (fd < 0)
        return fd;
    int r = rpc_server_new(&handler, fd, &c->servers[which]);
    return r < 0 ? wt_fail(err, r, "API: %s", wt_code_text(r)) : 0;
}

static int open_all(struct control *c, struct wt_err *err)
{
    const struct control_options *o = c->options;
    char path[4096];
    int r = make_dir(o->state_dir, err);
    if (r == 0)
        r = make_dir(o->run_dir, err);
    snprintf(path, sizeof(path), "%s/control.db", o->state_dir);
    if (r == 0)
        r = control_store_open(path, io_sys_here(), &c->store, err);
    if (r == 0)
        r = control_publisher_new(c->store, &c->publisher, err);
    if (r < 0)
        return r;
    c->reports = control_reports_new();
    c->reconciler = c->reports ? control_reconciler_new(c->store, c->reports) : NULL;
    c->status = c->reports ? control_status_new(c->store, c->reports, c->publisher) : NULL;
    c->files = o->n_files ? control_files_new(c->store, io_sys_here(), o->files, o->n_files,
                                              (int64_t)o->files_rest_s * 1000)
                          : NULL;
    if (!c->reconciler || !c->status || (o->n_files && !c->files))
        return wt_fail(err, WT_ENOMEM, "out of memory");
    if (c->files)
        control_files_on_pause(c->files, let_others_run, c);
    c->held = c->files != NULL; /* who was here before us may have been killed half-way */
    control_store_on_change(c->store, on_change, c);
    c->api = (struct control_api){.store = c->store,
                                  .changed = &c->changed,
                                  .ready = is_ready,
                                  .metrics = add_metrics,
                                  .ctx = c};
    c->sync = (struct control_sync){.store = c->store,
                                    .publisher = c->publisher,
                                    .reports = c->reports,
                                    .published = &c->published,
                                    .held = &c->held,
                                    .reported = on_report,
                                    .ctx = c};
    return 0;
}

static int open_servers(struct control *c, struct wt_err *err)
{
    const struct control_options *o = c->options;
    int r = serve(c, 0, o->socket_fd >= 0 ? o->socket_fd : listen_unix(o->run_dir, err), err);
    if (r < 0 || (!o->listen && o->listen_fd < 0))
        return r;
    int fd = o->listen_fd >= 0 ? o->listen_fd : control_listen(o->listen, err);
    if (fd < 0)
        return fd;
    union io_addr addr = {0};
    char text[IO_ADDR_TEXT];
    struct io_sys *sys = io_sys_here();
    sys->sockname(sys, fd, &addr.storage);
    r = serve(c, 1, fd, err);
    if (r == 0)
        wt_log(WT_LOG_INFO, "API on http://%s", io_addr_format(&addr, text));
    return r;
}

/* Until a signal says to end. */
static int wait_for_signal(struct control *c, struct wt_err *err)
{
    int r = io_signals_open(&c->signals, err);
    while (r >= 0 && (r = io_signals_wait(&c->signals, IO_NEVER)) == SIGHUP)
        c->read_files_again = true;
    return r >= 0 || r == WT_ECANCELED ? 0 : r;
}

static void close_all(struct control *c)
{
    for (size_t i = 0; i < 2; i++)
        if (c->servers[i])
            rpc_server_free(c->servers[i]);
    for (size_t i = 0; i < sizeof(c->fibers) / sizeof(c->fibers[0]); i++)
        if (c->fibers[i]) {
            io_cancel(c->fibers[i]);
            io_join(c->fibers[i]);
        }
    io_stream_close(&c->watched);
    io_stream_close(&c->signals);
    if (c->store)
        control_store_on_change(c->store, NULL, NULL);
    control_files_free(c->files);
    control_status_free(c->status);
    control_reconciler_free(c->reconciler);
    control_publisher_free(c->publisher);
    control_reports_free(c->reports);
    control_store_free(c->store);
}

static void run_main(void *arg)
{
    struct control *c = arg;
    c->started_ms = io_now_ms();
    c->started_wall_ms = io_wall_ms();
    int r = open_all(c, c->err);
    if (r == 0) {
        control_reconciler_add_all(c->reconciler, io_now_ms());
        r = io_spawn(IO_STACK_DEEP, run_reconciler, c, &c->fibers[0]);
    }
    if (r == 0)
        r = io_spawn(IO_STACK_DEEP, run_status, c, &c->fibers[2]);
    if (r == 0 && c->files)
        r = io_spawn(IO_STACK_DEEP, run_files, c, &c->fibers[1]);
    if (r == 0)
        r = open_servers(c, c->err);
    if (r == 0) {
        wt_log(WT_LOG_INFO, "API on unix:%s/api.sock", c->options->run_dir);
        r = wait_for_signal(c, c->err);
    }
    close_all(c);
    c->result = r;
}

int control_run(const struct control_options *options, struct wt_err *err)
{
    struct wt_err own = {0};
    io_signals_block();
    struct control *c = wt_calloc(1, sizeof(*c));
    if (!c)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    c->options = options;
    c->err = err ? err : &own;
    io_cond_init(&c->changed);
    io_cond_init(&c->published);
    io_cond_init(&c->work);
    io_stream_init(&c->signals);
    io_stream_init(&c->watched);
    int r = io_loop_new(io_sys_real(), &c->loop, c->err);
    if (r == 0) {
        r = io_spawn_on(c->loop, IO_STACK_DEEP, run_main, c, NULL);
        if (r == 0) {
            io_loop_run(c->loop, true);
            r = c->result;
        }
        io_loop_free(c->loop);
    }
    wt_free(c);
    return r;
}
