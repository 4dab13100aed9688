/* Listening sockets. Under a supervisor they are its own (cli/sockets.h says what is exchanged): it
 * keeps them open while one proxy process follows another, so that no connection meets a closed
 * port. */
#include "base/log.h"
#include "base/mem.h"
#include "io/process.h"
#include "proxy/internal.h"

#include <fcntl.h>
#include <stdio.h>

enum {
    BACKLOG = 4096,
    ASK_MS = 2000,
    LOOK_MS = 250,
    AGAIN_MS = 50,
    RETRY_MS = 2000,
    REMIND_MS = 60 * 1000,
};

static int connect_supervisor(struct proxy *p, struct io_stream *s)
{
    union io_addr addr;
    io_stream_init(s);
    int r = io_addr_parse(wt_str_z(p->options->supervisor), 0, &addr, NULL);
    return r < 0 ? r : io_connect(s, &addr, io_now_ms() + ASK_MS);
}

/* One that was killed is back in a moment, and may be the only one that can open a low port. */
static int await_supervisor(struct proxy *p, struct io_stream *s, int64_t deadline_ms)
{
    int r = connect_supervisor(p, s);
    while (r < 0 && r != WT_ECANCELED && io_now_ms() < deadline_ms) {
        r = io_sleep_until(io_now_ms() + AGAIN_MS);
        if (r == 0)
            r = connect_supervisor(p, s);
    }
    return r;
}

/* The descriptor; WT_EAGAIN when there is no supervisor to ask; or what it said. */
static int ask(struct proxy *p, const char *address, struct wt_err *err)
{
    struct io_stream s;
    char note[IO_NOTE_BYTES];
    int fd = -1, n = snprintf(note, sizeof note, "listen %s", address);
    int64_t deadline_ms = io_now_ms() + ASK_MS;
    ssize_t r = await_supervisor(p, &s, deadline_ms);
    if (r == 0)
        r = io_send_fd(&s, -1, wt_str(note, (size_t)n), deadline_ms);
    if (r == 0)
        r = io_recv_fd(&s, &fd, note, sizeof note, deadline_ms);
    io_stream_close(&s);
    if (r < 0) {
        wt_log(WT_LOG_WARN, "the supervisor does not answer (%s): opening %s here",
               wt_code_text((int)r), address);
        return WT_EAGAIN;
    }
    struct wt_str answer = wt_str(note, (size_t)r);
    if (fd >= 0 && wt_str_eq(answer, WT_STR("ok"))) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return fd;
    }
    if (fd >= 0)
        p->sys->close(p->sys, fd);
    if (wt_str_starts(answer, WT_STR("error ")))
        answer = wt_str_sub(answer, 6, answer.len);
    return wt_fail(err, WT_EIO, "%.*s", WT_ARG(answer));
}

/* The socket that try_unopened() has opened for it, or -1. */
static int take_reopened(struct proxy *p, const union io_addr *addr)
{
    for (uint32_t i = 0; i < p->n_ready; i++) {
        int fd = p->ready[i].fd;
        if (fd < 0 || memcmp(&p->ready[i].addr, addr, io_addr_len(addr)) != 0)
            continue;
        p->ready[i].fd = -1;
        return fd;
    }
    return -1;
}

int proxy_listen(void *proxy, const union io_addr *addr, struct wt_err *err)
{
    struct proxy *p = proxy;
    char text[IO_ADDR_TEXT];
    int fd = take_reopened(p, addr);
    if (fd >= 0)
        return fd;
    fd = p->options->supervisor ? ask(p, io_addr_format(addr, text), err) : WT_EAGAIN;
    return fd == WT_EAGAIN ? io_listen(p->sys, addr, BACKLOG, err) : fd;
}

/* ---- the link: gives a new supervisor the sockets that the old one left with us ---- */

static int offer(const struct proxy_config *c, struct io_stream *s)
{
    char note[IO_NOTE_BYTES];
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < c->n_listeners; i++) {
        int n = snprintf(note, sizeof note, "have %s", c->listeners[i]->text);
        r = io_send_fd(s, c->listeners[i]->fd, wt_str(note, (size_t)n), io_now_ms() + ASK_MS);
    }
    return r;
}

/* Whether what is listened on is known for good: there is a snapshot (a proxy that has none yet
 * knows of no listener, and says nothing), no config is being made (sockets may be ours already
 * that no list knows yet), and all workers run it. */
static bool settled(const struct proxy *p)
{
    if (p->publishing || (!p->options->fixed && !model_snapshot_store(p->snapshot).len))
        return false;
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        if (proxy_worker_version(&p->workers[i]) != p->config->version)
            return false;
    return true;
}

/* What is in no config any more may be closed there, once no worker accepts from it. */
static int keep(const struct proxy_config *c, struct io_stream *s)
{
    struct wt_buf note = wt_buf_make(IO_NOTE_BYTES);
    wt_buf_add_str(&note, WT_STR("keep"));
    for (uint32_t i = 0; i < c->n_listeners; i++)
        wt_buf_printf(&note, " %s", c->listeners[i]->text);
    for (uint32_t i = 0; i < c->n_unopened; i++) { /* may be had there by now: try_unopened() */
        char text[IO_ADDR_TEXT];
        wt_buf_printf(&note, " %s", io_addr_format(&c->unopened[i].addr, text));
    }
    /* A list that is too long for a note is not sent: then nothing is closed there. */
    int r = wt_buf_error(&note) ? 0 : io_send_fd(s, -1, wt_buf_str(&note), io_now_ms() + ASK_MS);
    wt_buf_done(&note);
    return r;
}

struct told {
    uint64_t version, reopened; /* the second goes on when one version gets more sockets */
};

/* The config is held meanwhile: sending may wait, and another be published. Offered before kept:
 * what was opened while the last list was on its way has been closed there. */
static int tell(struct proxy *p, struct io_stream *s, bool all, struct told *out)
{
    struct proxy_config *c = proxy_config_ref(p->config);
    const struct told now = {c->version, p->reopened};
    int r = offer(c, s);
    if (r == 0 && all)
        r = keep(c, s);
    *out = now;
    proxy_config_unref(c);
    return r;
}

static int follow(struct proxy *p, struct io_stream *s)
{
    struct told told;
    int r = tell(p, s, false, &told);
    told.version = UINT64_MAX; /* only offered so far */
    while (r == 0) {
        if ((told.version != p->config->version || told.reopened != p->reopened) && settled(p))
            r = tell(p, s, true, &told);
        if (r < 0)
            break;
        r = io_wait(s, IO_IN, io_now_ms() + LOOK_MS);
        if (r != WT_ETIMEOUT)
            return r < 0 ? r : WT_EOF; /* it says nothing on this connection: this is its end */
        r = 0;
    }
    return r;
}

static void link_flow(void *arg)
{
    struct proxy *p = arg;
    while (!io_canceled()) {
        struct io_stream s;
        if (connect_supervisor(p, &s) == 0)
            follow(p, &s);
        io_stream_close(&s);
        if (io_sleep_until(io_now_ms() + AGAIN_MS) < 0)
            return;
    }
}

int proxy_listen_link(struct proxy *p)
{
    return p->options->supervisor ? io_spawn(IO_STACK_FLOW, link_flow, p, NULL) : 0;
}

/* ---- addresses that somebody else has, or that a supervisor was too busy to hand over ---- */

/* What stands in the way may go without anything changing here. What is opened waits for the next
 * config: closed and opened anew, it would reset whoever connects in between. */
static void try_unopened(struct proxy *p, bool remind)
{
    struct proxy_config *c = proxy_config_ref(p->config);
    p->ready = wt_calloc(c->n_unopened, sizeof *p->ready);
    for (uint32_t i = 0; p->ready && i < c->n_unopened; i++) {
        struct wt_err err;
        const struct proxy_unopened *u = &c->unopened[i];
        int fd = proxy_listen(p, &u->addr, &err);
        if (fd >= 0) {
            p->ready[p->n_ready++] = (struct proxy_ready){u->addr, fd};
            wt_log(WT_LOG_INFO, "%s can be served now", u->what);
        } else if (remind) {
            wt_log(WT_LOG_ERROR, "%s is still not served: %s", u->what, err.msg);
        }
    }
    proxy_config_unref(c);
}

/* Without a config that wants them. */
static void drop_ready(struct proxy *p)
{
    for (uint32_t i = 0; i < p->n_ready; i++)
        if (p->ready[i].fd >= 0)
            p->sys->close(p->sys, p->ready[i].fd);
    wt_free(p->ready);
    p->ready = NULL;
    p->n_ready = 0;
}

static void again_flow(void *arg)
{
    struct proxy *p = arg;
    int64_t remind_ms = io_now_ms() + REMIND_MS;
    while (io_sleep_until(io_now_ms() + RETRY_MS) == 0) {
        struct wt_err err;
        bool remind = io_now_ms() >= remind_ms;
        if (!p->config->n_unopened || remind)
            remind_ms = io_now_ms() + REMIND_MS;
        if (p->draining || !p->config->n_unopened)
            continue;
        try_unopened(p, remind);
        p->reopened += p->n_ready > 0;
        if (p->n_ready && proxy_publish(p, &err) < 0)
            wt_log(WT_LOG_ERROR, "%s", err.msg);
        drop_ready(p);
    }
}

int proxy_listen_again(struct proxy *p)
{
    return io_spawn(IO_STACK_DEEP, again_flow, p, NULL);
}
