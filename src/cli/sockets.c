#include "cli/sockets.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "cli/holder.h"
#include "io/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOCKETS_MAX = 1024, BACKLOG = 4096, HOLDER_MS = 60 * 1000 };

struct cli_sockets {
    struct io_stream listener;
    struct wt_map fds; /* "127.0.0.1:8080" -> (void *)(fd + 1) */
    /* Who has the address refused last: looking for him takes all of /proc. */
    union io_addr refused;
    int64_t refused_ms;
    char holder[CLI_HOLDER_BYTES];
};

struct visit {
    struct cli_sockets *sockets;
    int fd;
};

static int fd_of(const void *value)
{
    return (int)((intptr_t)value - 1);
}

/* Takes `fd`. */
static int hold(struct cli_sockets *s, struct wt_str addr, int fd)
{
    void *old = NULL;
    int r = wt_map_len(&s->fds) < SOCKETS_MAX ? 0 : WT_ELIMIT;
    if (r == 0)
        r = wt_map_put(&s->fds, addr, (void *)((intptr_t)fd + 1), &old);
    if (r < 0)
        close(fd);
    else if (old)
        close(fd_of(old));
    return r;
}

/* "10.0.0.1:80", "[::1]:80" */
static int parse(struct wt_str text, union io_addr *out, struct wt_err *err)
{
    size_t colon = text.len;
    uint64_t port;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || !wt_str_u64(wt_str_sub(text, colon, text.len), &port) || port > 65535)
        return wt_fail(err, WT_EINVAL, "\"%.*s\" is not ADDRESS:PORT", WT_ARG(text));
    return io_addr_parse(wt_str_sub(text, 0, colon - 1), (uint16_t)port, out, err);
}

static const char *holder_of(struct cli_sockets *s, const union io_addr *addr)
{
    bool known = s->refused_ms && io_now_ms() < s->refused_ms + HOLDER_MS &&
                 memcmp(&s->refused, addr, io_addr_len(addr)) == 0;
    if (!known) {
        s->refused = *addr;
        s->refused_ms = io_now_ms();
        cli_holder(addr, s->holder);
    }
    return s->holder;
}

static int on_listen(struct cli_sockets *s, struct io_stream *peer, struct wt_str addr)
{
    struct wt_err err;
    union io_addr a;
    char note[600];
    const char *holder = "";
    void *held = wt_map_get(&s->fds, addr);
    int fd = held ? fd_of(held) : parse(addr, &a, &err);
    if (!held && fd == 0) {
        fd = io_listen(io_sys_here(), &a, BACKLOG, &err);
        if (fd < 0)
            holder = holder_of(s, &a);
    }
    if (fd >= 0 && !held) {
        int r = hold(s, addr, fd);
        if (r < 0)
            fd = wt_fail(&err, r, "no room for another listening socket");
    }
    if (fd < 0) {
        snprintf(note, sizeof note, "error %s%s", err.msg, holder);
        return io_send_fd(peer, -1, wt_str_z(note), io_now_ms() + 1000);
    }
    return io_send_fd(peer, fd, WT_STR("ok"), io_now_ms() + 1000);
}

static bool in_list(struct wt_str list, struct wt_str member)
{
    while (list.ptr)
        if (wt_str_eq(wt_str_next(&list, ' '), member))
            return true;
    return false;
}

static void on_keep(struct cli_sockets *s, struct wt_str list)
{
    for (struct wt_map_entry *e = wt_map_first(&s->fds); e; e = wt_map_next(&s->fds, e)) {
        if (in_list(list, e->key))
            continue;
        wt_log(WT_LOG_INFO, "closing %s: nothing listens there any more", e->key.ptr);
        close(fd_of(wt_map_take(&s->fds, e->key)));
    }
}

/* What the one before us opened. */
static void take_back(struct cli_sockets *s, struct wt_str addr, int fd)
{
    bool known = wt_map_get(&s->fds, addr) != NULL;
    if (hold(s, addr, fd) == 0 && !known)
        wt_log(WT_LOG_INFO, "%.*s is held again", WT_ARG(addr));
}

static int one_note(struct cli_sockets *s, struct io_stream *peer)
{
    char text[IO_NOTE_BYTES];
    int fd;
    ssize_t n = io_recv_fd(peer, &fd, text, sizeof text, IO_NEVER);
    if (n < 0)
        return (int)n;
    struct wt_str note = wt_str(text, (size_t)n);
    if (wt_str_starts(note, WT_STR("have ")) && fd >= 0) {
        take_back(s, wt_str_sub(note, 5, note.len), fd);
        return 0;
    }
    if (fd >= 0)
        close(fd);
    if (wt_str_starts(note, WT_STR("listen ")))
        return on_listen(s, peer, wt_str_sub(note, 7, note.len));
    if (wt_str_starts(note, WT_STR("keep")))
        on_keep(s, wt_str_sub(note, 5, note.len));
    return 0;
}

static void serve(void *arg)
{
    struct visit *v = arg;
    struct io_stream peer;
    io_stream_init(&peer);
    if (io_stream_open(&peer, v->fd) == 0)
        while (one_note(v->sockets, &peer) == 0)
            ;
    else
        close(v->fd);
    io_stream_close(&peer);
    wt_free(v);
}

static void accept_flow(void *arg)
{
    struct cli_sockets *s = arg;
    union io_addr peer;
    for (;;) {
        int fd = io_accept(&s->listener, &peer, IO_NEVER);
        if (fd == WT_ECANCELED)
            return;
        struct visit *v = fd >= 0 ? wt_calloc(1, sizeof *v) : NULL;
        if (v)
            *v = (struct visit){s, fd};
        if (v && io_spawn(IO_STACK_FLOW, serve, v, NULL) == 0)
            continue;
        wt_free(v);
        if (fd >= 0)
            close(fd);
        io_sleep_until(io_now_ms() + 100);
    }
}

/* Whoever can write to it gets sockets of ours, on low ports too. */
static int own(const char *path, const struct cli_user *user, struct wt_err *err)
{
    if (chmod(path, 0600) == 0 && (!user || lchown(path, user->uid, user->gid) == 0))
        return 0;
    return wt_fail(err, wt_code_from_errno(errno), "%s: %s", path, strerror(errno));
}

int cli_sockets_new(const char *path, const struct cli_user *user, struct cli_sockets **out,
                    struct wt_err *err)
{
    union io_addr addr;
    struct cli_sockets *s = wt_calloc(1, sizeof *s);
    int r =
        s ? io_addr_parse(wt_str_z(path), 0, &addr, err) : wt_fail(err, WT_ENOMEM, "out of memory");
    int fd = r == 0 ? io_listen(io_sys_here(), &addr, 64, err) : r;
    if (fd < 0) {
        wt_free(s);
        return fd;
    }
    io_stream_init(&s->listener);
    r = own(path, user, err);
    if (r < 0) {
        close(fd);
        wt_free(s);
        return r;
    }
    r = io_stream_open(&s->listener, fd);
    if (r == 0)
        r = io_spawn(IO_STACK_FLOW, accept_flow, s, NULL);
    if (r < 0)
        return wt_fail(err, r, "%s: %s", path, wt_code_text(r));
    *out = s;
    return 0;
}
