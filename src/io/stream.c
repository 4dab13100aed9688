#include "io/stream.h"

#include "io/internal.h"

#include <errno.h>
#include <netinet/tcp.h>

void io_stream_init(struct io_stream *s)
{
    *s = (struct io_stream){.fd = -1};
    wt_list_init(&s->pending);
}

static int open_with(struct io_stream *s, int fd, bool shared)
{
    struct io_loop *loop = io_loop_current;
    s->fd = fd;
    s->ready = s->broken = 0;
    s->shared = shared;
    s->reader = s->writer = NULL;
    int r = (shared ? loop->sys->poll_add_shared : loop->sys->poll_add)(loop->sys, loop->poll_fd,
                                                                        fd, s);
    if (r < 0)
        s->fd = -1;
    return r < 0 ? wt_code_from_errno(-r) : 0;
}

int io_stream_open(struct io_stream *s, int fd)
{
    return open_with(s, fd, false);
}

int io_stream_open_shared(struct io_stream *s, int fd)
{
    return open_with(s, fd, true);
}

static void forget(struct io_stream *s)
{
    wt_list_remove(&s->pending);
    s->fd = -1;
    if (s->reader)
        io_unpark(s->reader);
    if (s->writer && s->writer != s->reader)
        io_unpark(s->writer);
    s->reader = s->writer = NULL;
}

void io_stream_close(struct io_stream *s)
{
    if (s->fd < 0)
        return;
    struct io_loop *loop = io_loop_current;
    struct io_sys *sys = loop->sys;
    /* A closed descriptor leaves the poll set only with its last reference: a listener that the
     * supervisor holds too would go on reporting to this dead stream. */
    if (s->shared)
        sys->poll_remove(sys, loop->poll_fd, s->fd);
    sys->close(sys, s->fd);
    forget(s);
}

void io_stream_reset(struct io_stream *s)
{
    struct io_sys *sys = io_loop_current->sys;
    if (s->fd >= 0)
        sys->setsockopt(sys, s->fd, SOL_SOCKET, SO_LINGER, 0);
    io_stream_close(s);
}

int io_stream_release(struct io_stream *s)
{
    int fd = s->fd;
    struct io_loop *loop = io_loop_current;
    loop->sys->poll_remove(loop->sys, loop->poll_fd, fd);
    forget(s);
    return fd;
}

/* ---- events ---- */

void io_stream_dispatch(struct io_loop *loop)
{
    while (!wt_list_empty(&loop->pending)) {
        struct io_stream *s = WT_CONTAINER(loop->pending.next, struct io_stream, pending);
        wt_list_remove(&s->pending);
        bool in = s->ready & (IO_IN | IO_HUP | IO_RDHUP);
        bool out = s->ready & (IO_OUT | IO_HUP);
        if (s->reader && in)
            io_unpark(s->reader);
        if (s->writer && s->writer != s->reader && out)
            io_unpark(s->writer);
        if (!s->reader && !s->writer && s->on_ready && in)
            s->on_ready(s);
    }
}

static inline unsigned events_of(const struct io_stream *s)
{
    unsigned e = s->ready;
    if (e & (IO_HUP | IO_RDHUP))
        e |= IO_IN;
    if (e & IO_HUP)
        e |= IO_OUT;
    return e;
}

int io_wait(struct io_stream *s, unsigned events, int64_t deadline_ms)
{
    struct io_fiber *self = io_self();
    while (s->fd >= 0) {
        unsigned now = events_of(s) & events;
        if (now)
            return (int)now;
        if (events & IO_IN)
            s->reader = self;
        if (events & IO_OUT)
            s->writer = self;
        int r = io_park(deadline_ms);
        if (s->reader == self)
            s->reader = NULL;
        if (s->writer == self)
            s->writer = NULL;
        if (r < 0)
            return r;
    }
    return WT_ECANCELED;
}

int io_wait_watching(struct io_stream *s, unsigned events, struct io_stream *watched,
                     int64_t deadline_ms)
{
    struct io_fiber *self = io_self();
    int r = 0;
    while (s->fd >= 0 && watched->fd >= 0) {
        unsigned now = events_of(s) & events;
        if (now)
            return (int)now;
        if (watched->ready & IO_HUP)
            return WT_ERESET;
        if (events & IO_IN)
            s->reader = self;
        if (events & IO_OUT)
            s->writer = self;
        /* Asked anew each time round: whoever began to read meanwhile must not lose its place to
         * one who only watches. */
        if (!watched->reader)
            watched->reader = self;
        r = io_park(deadline_ms);
        if (s->reader == self)
            s->reader = NULL;
        if (s->writer == self)
            s->writer = NULL;
        if (watched->reader == self)
            watched->reader = NULL;
        if (r < 0)
            return r;
    }
    return WT_ECANCELED;
}

/* ---- bytes ---- */

ssize_t io_read_now(struct io_stream *s, void *out, size_t n)
{
    struct io_sys *sys = io_loop_current->sys;
    if (s->fd < 0)
        return WT_ECANCELED;
    ssize_t got = sys->recv(sys, s->fd, out, n, 0);
    if (got > 0) {
        /* Edge-triggered: a short read has emptied the socket, unless an end is known to follow. */
        if ((size_t)got < n && !(s->ready & (IO_HUP | IO_RDHUP)))
            s->ready &= (uint8_t)~IO_IN;
        return got;
    }
    if (got == 0 && n > 0)
        return s->broken ? WT_ERESET : WT_EOF;
    if (got == 0)
        return 0;
    if (got == -EAGAIN) {
        s->ready &= (uint8_t)~IO_IN;
        return WT_EAGAIN;
    }
    return got == -EINTR ? io_read_now(s, out, n) : wt_code_from_errno((int)-got);
}

ssize_t io_read(struct io_stream *s, void *out, size_t n, int64_t deadline_ms)
{
    for (;;) {
        int r = io_wait(s, IO_IN, deadline_ms);
        if (r < 0)
            return r;
        ssize_t got = io_read_now(s, out, n);
        if (got != WT_EAGAIN)
            return got;
        if (s->ready & (IO_HUP | IO_RDHUP))
            return WT_ERESET; /* an end that recv does not show yet must not spin */
    }
}

int io_peek_quiet(struct io_stream *s)
{
    struct io_sys *sys = io_loop_current->sys;
    char byte;
    ssize_t got = s->fd < 0 ? 0 : sys->recv(sys, s->fd, &byte, 1, MSG_PEEK);
    if (got == -EAGAIN)
        return 0;
    if (got == 0)
        return WT_EOF;
    return got > 0 ? WT_EPROTO : wt_code_from_errno((int)-got);
}

ssize_t io_write_now(struct io_stream *s, const struct iovec *iov, int n_iov)
{
    struct io_sys *sys = io_loop_current->sys;
    if (s->fd < 0)
        return WT_ECANCELED;
    ssize_t put = n_iov == 1 ? sys->send(sys, s->fd, iov->iov_base, iov->iov_len)
                             : sys->sendv(sys, s->fd, iov, n_iov);
    if (put >= 0)
        return put;
    if (put == -EAGAIN) {
        s->ready &= (uint8_t)~IO_OUT;
        return WT_EAGAIN;
    }
    if (put == -EINTR)
        return io_write_now(s, iov, n_iov);
    /* The socket's error is told once: after this, recv() would call the reset an end (tcp(7)). */
    s->broken = 1;
    return wt_code_from_errno((int)-put);
}

int io_write_counted(struct io_stream *s, struct iovec *iov, int n_iov, int64_t deadline_ms,
                     uint64_t *sent)
{
    while (n_iov > 0) {
        ssize_t put = io_write_now(s, iov, n_iov);
        if (put == WT_EAGAIN) {
            int r = io_wait(s, IO_OUT, deadline_ms);
            if (r < 0)
                return r;
            continue;
        }
        if (put < 0)
            return (int)put;
        *sent += (uint64_t)put;
        size_t left = (size_t)put;
        while (n_iov > 0 && left >= iov->iov_len) {
            left -= iov->iov_len;
            iov++;
            n_iov--;
        }
        if (n_iov > 0) {
            iov->iov_base = (char *)iov->iov_base + left;
            iov->iov_len -= left;
        }
    }
    return 0;
}

int io_write_all(struct io_stream *s, struct iovec *iov, int n_iov, int64_t deadline_ms)
{
    uint64_t sent = 0;
    return io_write_counted(s, iov, n_iov, deadline_ms, &sent);
}

int io_write_str(struct io_stream *s, struct wt_str bytes, int64_t deadline_ms)
{
    struct iovec iov = {(void *)bytes.ptr, bytes.len};
    return io_write_all(s, &iov, 1, deadline_ms);
}

/* ---- connections ---- */

int io_connect(struct io_stream *s, const union io_addr *addr, int64_t deadline_ms)
{
    struct io_sys *sys = io_loop_current->sys;
    int fd = sys->socket(sys, addr->sa.sa_family, SOCK_STREAM);
    if (fd < 0)
        return wt_code_from_errno(-fd);
    if (addr->sa.sa_family != AF_UNIX)
        sys->setsockopt(sys, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    int r = sys->connect(sys, fd, &addr->sa, io_addr_len(addr));
    if (r < 0 && r != -EINPROGRESS) {
        sys->close(sys, fd);
        return wt_code_from_errno(-r);
    }
    int opened = io_stream_open(s, fd);
    if (opened < 0) {
        sys->close(sys, fd);
        return opened;
    }
    if (r == -EINPROGRESS) {
        r = io_wait(s, IO_OUT, deadline_ms);
        if (r > 0) {
            r = sys->socket_error(sys, fd);
            r = r < 0 ? wt_code_from_errno(-r) : 0;
        }
    }
    if (r < 0)
        io_stream_close(s);
    return r;
}

static int listen_on(struct io_sys *sys, int fd, const union io_addr *addr, int backlog)
{
    if (addr->sa.sa_family == AF_UNIX)
        sys->unlink(sys, addr->un.sun_path);
    else
        sys->setsockopt(sys, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    int r = sys->bind(sys, fd, &addr->sa, io_addr_len(addr));
    return r < 0 ? r : sys->listen(sys, fd, backlog);
}

int io_listen(struct io_sys *sys, const union io_addr *addr, int backlog, struct wt_err *err)
{
    char text[IO_ADDR_TEXT];
    int fd = sys->socket(sys, addr->sa.sa_family, SOCK_STREAM);
    int r = fd < 0 ? fd : listen_on(sys, fd, addr, backlog);
    if (r >= 0)
        return fd;
    if (fd >= 0)
        sys->close(sys, fd);
    return wt_fail(err, wt_code_from_errno(-r), "listen on %s: %s", io_addr_format(addr, text),
                   strerror(-r));
}

int io_accept(struct io_stream *listener, union io_addr *out_peer, int64_t deadline_ms)
{
    struct io_sys *sys = io_loop_current->sys;
    for (;;) {
        int r = io_wait(listener, IO_IN, deadline_ms);
        if (r < 0)
            return r;
        int fd = sys->accept(sys, listener->fd, &out_peer->storage);
        if (fd >= 0) {
            /* One at a time, so that the other loops get theirs; level-triggered, it will be told
             * again. */
            if (listener->shared)
                listener->ready = 0;
            return fd;
        }
        if (fd == -EAGAIN)
            listener->ready = 0;
        else if (fd != -ECONNABORTED && fd != -EINTR)
            return wt_code_from_errno(-fd);
    }
}
