/* Sockets of the simulated system. */
#include "base/clock.h"
#include "base/mem.h"
#include "io/sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

enum {
    CALL_SOCKET = 1,
    CALL_BIND,
    CALL_LISTEN,
    CALL_ACCEPT,
    CALL_CONNECT,
    CALL_SHUTDOWN,
    CALL_RECV,
    CALL_SEND,
    CALL_HAPPEN,
    BACKLOG = 128,
};

/* ---- events ---- */

static int64_t some_latency_ns(struct io_sim *sim)
{
    int64_t spread = sim->options.latency_max_us - sim->options.latency_min_us;
    int64_t us = sim->options.latency_min_us;
    if (spread > 0)
        us += wt_rng_below(&sim->rng, (uint32_t)spread);
    return us * 1000;
}

static bool chance(struct io_sim *sim, unsigned of, unsigned hundred_or_thousand)
{
    return of > 0 && wt_rng_below(&sim->rng, hundred_or_thousand) < of;
}

static int add_event(struct io_sim *sim, int64_t at_ns, struct sim_end *end, const char *bytes,
                     size_t n, void (*happen)(struct io_sim *sim, struct sim_event *e))
{
    struct sim_event *e = wt_malloc(sizeof *e + n);
    if (!e)
        return -ENOBUFS;
    *e = (struct sim_event){.at_ns = at_ns, .happen = happen, .end = end, .n = n};
    if (n)
        memcpy(e->bytes, bytes, n);
    struct sim_event **at = &sim->events;
    while (*at && (*at)->at_ns <= at_ns)
        at = &(*at)->next;
    e->next = *at;
    *at = e;
    return 0;
}

/* When the next thing sent from `end` arrives: never before what was sent earlier. */
static int64_t arrival_ns(struct io_sim *sim, struct sim_end *end)
{
    int64_t at = sim->now_ns + some_latency_ns(sim);
    if (at <= end->quiet_ns)
        at = end->quiet_ns + 1;
    return end->quiet_ns = at;
}

static void edge(struct io_sim *sim, struct sim_end *end)
{
    if (end->fd >= 0)
        sim->fds[end->fd].edge = true;
}

static void reset_now(struct io_sim *sim, struct sim_end *end)
{
    if (end->reset)
        return;
    end->reset = true;
    end->error = ECONNRESET;
    sim_note(sim, CALL_HAPPEN, end->fd, -ECONNRESET);
    edge(sim, end);
}

static void reset_arrives(struct io_sim *sim, struct sim_event *e)
{
    reset_now(sim, e->end);
}

static void send_reset(struct io_sim *sim, struct sim_end *from)
{
    if (!from->peer || from->peer->reset)
        return;
    /* Without memory it comes early: the network does not forget. */
    if (add_event(sim, arrival_ns(sim, from), from->peer, NULL, 0, reset_arrives) < 0)
        reset_now(sim, from->peer);
}

static bool gone(const struct sim_end *end)
{
    return end->fd < 0 && end->accepted;
}

static void bytes_arrive(struct io_sim *sim, struct sim_event *e)
{
    struct sim_end *end = e->end;
    end->under_way -= e->n;
    if (end->reset)
        return;
    if (gone(end)) {
        send_reset(sim, end);
        return;
    }
    if (wt_buf_add(&end->inbox, e->bytes, e->n) < 0) {
        send_reset(sim, end);
        reset_now(sim, end);
    }
    sim_note(sim, CALL_HAPPEN, end->fd, (long)e->n);
    edge(sim, end);
}

static void end_arrives(struct io_sim *sim, struct sim_event *e)
{
    e->end->eof = true;
    sim_note(sim, CALL_HAPPEN, e->end->fd, 0);
    edge(sim, e->end);
}

static void room_arrives(struct io_sim *sim, struct sim_event *e)
{
    e->end->blocked = false;
    edge(sim, e->end);
}

/* ---- connections ---- */

static struct sim_end *end_new(struct io_sim *sim, int fd)
{
    struct sim_end *end = wt_calloc(1, sizeof *end);
    if (!end)
        return NULL;
    end->fd = fd;
    end->inbox = wt_buf_make(sim->options.buffer_bytes);
    wt_list_init(&end->queued);
    end->next = sim->ends;
    sim->ends = end;
    return end;
}

static int sim_socket(struct io_sys *sys, int domain, int type)
{
    struct io_sim *sim = sim_of(sys);
    if (type != SOCK_STREAM)
        return (int)sim_note(sim, CALL_SOCKET, domain, -EPROTONOSUPPORT);
    int fd = sim_fd_new(sim, SIM_SOCKET);
    if (fd >= 0 && !(sim->fds[fd].end = end_new(sim, fd))) {
        sim_fd_free(sim, fd);
        fd = -ENOBUFS;
    }
    if (fd >= 0)
        sim->fds[fd].end->accepted = true;
    return (int)sim_note(sim, CALL_SOCKET, domain, fd);
}

static bool same_addr(const union io_addr *a, const union io_addr *b)
{
    char x[IO_ADDR_TEXT], y[IO_ADDR_TEXT];
    return strcmp(io_addr_format(a, x), io_addr_format(b, y)) == 0;
}

static struct sim_fd *find_listener(struct io_sim *sim, const union io_addr *addr)
{
    for (int fd = 3; fd < sim->n_fds; fd++)
        if (sim->fds[fd].kind == SIM_LISTENER && same_addr(&sim->fds[fd].addr, addr))
            return &sim->fds[fd];
    return NULL;
}

static void set_port(struct io_sim *sim, union io_addr *a)
{
    if (a->sa.sa_family == AF_INET && a->in.sin_port == 0)
        a->in.sin_port = htons(sim->next_port++);
    else if (a->sa.sa_family == AF_INET6 && a->in6.sin6_port == 0)
        a->in6.sin6_port = htons(sim->next_port++);
}

static int sim_bind(struct io_sys *sys, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_SOCKET);
    if (!f || len > sizeof f->addr)
        return (int)sim_note(sim, CALL_BIND, fd, -EINVAL);
    union io_addr a = {0};
    memcpy(&a, addr, len);
    set_port(sim, &a);
    if (find_listener(sim, &a))
        return (int)sim_note(sim, CALL_BIND, fd, -EADDRINUSE);
    f->addr = a;
    return (int)sim_note(sim, CALL_BIND, fd, 0);
}

static int sim_listen(struct io_sys *sys, int fd, int backlog)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_SOCKET);
    if (!f)
        return (int)sim_note(sim, CALL_LISTEN, fd, -EINVAL);
    f->kind = SIM_LISTENER;
    return (int)sim_note(sim, CALL_LISTEN, fd, 0);
}

static void refused(struct io_sim *sim, struct sim_event *e)
{
    e->end->reset = true;
    e->end->error = ECONNREFUSED;
    edge(sim, e->end);
}

static void accepted_by_peer(struct io_sim *sim, struct sim_event *e)
{
    if (e->end->reset)
        return;
    e->end->connected = true;
    edge(sim, e->end);
}

/* A SYN: a listener answers, or nobody does. */
static void connect_arrives(struct io_sim *sim, struct sim_event *e)
{
    struct sim_end *client = e->end;
    struct sim_fd *f = find_listener(sim, &client->other);
    unsigned queued = 0;
    for (struct wt_list *n = f ? f->backlog.next : NULL; f && n != &f->backlog; n = n->next)
        queued++;
    struct sim_end *server = f && queued < BACKLOG && client->fd >= 0 ? end_new(sim, -1) : NULL;
    if (!server) {
        add_event(sim, sim->now_ns + some_latency_ns(sim), client, NULL, 0, refused);
        return;
    }
    server->peer = client;
    client->peer = server;
    server->self = client->other;
    server->other = client->self;
    server->connected = true;
    wt_list_add_tail(&f->backlog, &server->queued);
    f->edge = true;
    add_event(sim, arrival_ns(sim, server), client, NULL, 0, accepted_by_peer);
}

static int sim_connect(struct io_sys *sys, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_SOCKET);
    if (!f || len > sizeof f->addr || f->end->connected || f->end->reset)
        return (int)sim_note(sim, CALL_CONNECT, fd, -EINVAL);
    memcpy(&f->end->other, addr, len);
    f->end->self = f->end->other;
    if (addr->sa_family == AF_INET)
        f->end->self.in.sin_port = 0;
    else if (addr->sa_family == AF_INET6)
        f->end->self.in6.sin6_port = 0;
    set_port(sim, &f->end->self);
    bool no = chance(sim, sim->options.refuse_permille, 1000);
    int r =
        add_event(sim, arrival_ns(sim, f->end), f->end, NULL, 0, no ? refused : connect_arrives);
    return (int)sim_note(sim, CALL_CONNECT, fd, r < 0 ? r : -EINPROGRESS);
}

static int sim_accept(struct io_sys *sys, int fd, struct sockaddr_storage *out_peer)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_LISTENER);
    if (!f || wt_list_empty(&f->backlog))
        return (int)sim_note(sim, CALL_ACCEPT, fd, f ? -EAGAIN : -EBADF);
    int got = sim_fd_new(sim, SIM_SOCKET);
    if (got < 0)
        return (int)sim_note(sim, CALL_ACCEPT, fd, got);
    struct sim_end *end = WT_CONTAINER(f->backlog.next, struct sim_end, queued);
    wt_list_remove(&end->queued);
    end->fd = got;
    end->accepted = true;
    sim->fds[got].end = end;
    memcpy(out_peer, &end->other, sizeof end->other);
    return (int)sim_note(sim, CALL_ACCEPT, fd, got);
}

static int sim_setsockopt(struct io_sys *sys, int fd, int level, int name, int value)
{
    struct sim_fd *f = sim_fd(sim_of(sys), fd, SIM_SOCKET);
    if (f && level == SOL_SOCKET && name == SO_LINGER)
        f->end->abort = value == 0;
    return 0;
}

static int sim_socket_error(struct io_sys *sys, int fd)
{
    struct sim_fd *f = sim_fd(sim_of(sys), fd, SIM_SOCKET);
    if (!f)
        return -EBADF;
    int e = f->end->error;
    f->end->error = 0;
    return -e;
}

static int sim_sockname(struct io_sys *sys, int fd, struct sockaddr_storage *out)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_SOCKET);
    struct sim_fd *l = sim_fd(sim, fd, SIM_LISTENER);
    if (!f && !l)
        return -EBADF;
    memcpy(out, l ? &l->addr : &f->end->self, sizeof *out);
    return 0;
}

/* ---- bytes ---- */

static void send_fin(struct io_sim *sim, struct sim_end *end)
{
    if (end->fin_sent || !end->peer)
        return;
    end->fin_sent = true;
    if (add_event(sim, arrival_ns(sim, end), end->peer, NULL, 0, end_arrives) < 0)
        reset_now(sim, end->peer);
}

static int sim_shutdown(struct io_sys *sys, int fd, int how)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_SOCKET);
    if (!f || !f->end->connected || f->end->reset)
        return (int)sim_note(sim, CALL_SHUTDOWN, fd, -ENOTCONN);
    if (how != SHUT_RD) {
        send_fin(sim, f->end);
        f->edge = true;
    }
    return (int)sim_note(sim, CALL_SHUTDOWN, fd, 0);
}

static ssize_t recv_result(struct io_sim *sim, struct sim_end *end, void *out, size_t n, int flags)
{
    size_t got = n < end->inbox.len ? n : end->inbox.len;
    if (got == 0) {
        if (end->reset && end->error) {
            int e = end->error;
            end->error = 0;
            return -e;
        }
        return end->eof || end->reset || n == 0 ? 0 : end->connected ? -EAGAIN : -ENOTCONN;
    }
    memcpy(out, end->inbox.ptr, got);
    if (flags & MSG_PEEK)
        return (ssize_t)got;
    wt_buf_consume(&end->inbox, got);
    if (end->peer && end->peer->blocked &&
        add_event(sim, arrival_ns(sim, end), end->peer, NULL, 0, room_arrives) < 0) {
        end->peer->blocked = false;
        edge(sim, end->peer);
    }
    return (ssize_t)got;
}

static ssize_t sim_recv(struct io_sys *sys, int fd, void *out, size_t n, int flags)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_SOCKET);
    return sim_note(sim, CALL_RECV, fd, f ? recv_result(sim, f->end, out, n, flags) : -EBADF);
}

static size_t room_of(const struct io_sim *sim, const struct sim_end *peer)
{
    size_t full = peer->inbox.len + peer->under_way;
    return full < sim->options.buffer_bytes ? sim->options.buffer_bytes - full : 0;
}

/* In one piece or in several that arrive one after the other. */
static int transmit(struct io_sim *sim, struct sim_end *end, const char *ptr, size_t n)
{
    bool split = chance(sim, sim->options.split_percent, 100);
    while (n > 0) {
        size_t piece = split && n > 1 ? 1 + wt_rng_below(&sim->rng, (uint32_t)n) : n;
        int r = add_event(sim, arrival_ns(sim, end), end->peer, ptr, piece, bytes_arrive);
        if (r < 0)
            return r;
        end->peer->under_way += piece;
        ptr += piece;
        n -= piece;
    }
    return 0;
}

static ssize_t send_result(struct io_sim *sim, struct sim_end *end, const char *ptr, size_t n)
{
    if (end->reset) {
        int e = end->error ? end->error : EPIPE;
        end->error = 0;
        return -e;
    }
    if (end->fin_sent)
        return -EPIPE;
    if (!end->connected)
        return -EAGAIN;
    if (chance(sim, sim->options.reset_permille, 1000)) {
        send_reset(sim, end);
        reset_now(sim, end);
        end->error = 0;
        return -ECONNRESET;
    }
    size_t room = room_of(sim, end->peer);
    if (room == 0) {
        end->blocked = true;
        return -EAGAIN;
    }
    n = n < room ? n : room;
    int r = transmit(sim, end, ptr, n);
    return r < 0 ? r : (ssize_t)n;
}

static ssize_t sim_send(struct io_sys *sys, int fd, const void *ptr, size_t n)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_SOCKET);
    ssize_t r = f ? send_result(sim, f->end, ptr, n) : -EBADF;
    if (r > 0) {
        struct wt_hash_key key = {sim->trace, 0};
        sim->trace = wt_siphash(key, ptr, (size_t)r);
    }
    return sim_note(sim, CALL_SEND, fd, r);
}

static ssize_t sim_sendv(struct io_sys *sys, int fd, const struct iovec *iov, int n)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        ssize_t put = iov[i].iov_len ? sim_send(sys, fd, iov[i].iov_base, iov[i].iov_len) : 0;
        if (put < 0)
            return total ? (ssize_t)total : put;
        total += (size_t)put;
        if ((size_t)put < iov[i].iov_len)
            break;
    }
    return (ssize_t)total;
}

/* ---- state ---- */

unsigned sim_socket_events(const struct sim_fd *f)
{
    if (f->kind == SIM_LISTENER)
        return wt_list_empty(&f->backlog) ? 0 : IO_IN;
    const struct sim_end *end = f->end;
    if (end->reset)
        return IO_IN | IO_OUT | IO_HUP | IO_RDHUP;
    unsigned e = end->inbox.len || end->eof ? IO_IN : 0;
    if (end->connected && !end->blocked)
        e |= IO_OUT;
    if (end->eof)
        e |= IO_RDHUP;
    if (end->eof && end->fin_sent)
        e |= IO_HUP;
    return e;
}

static void end_close(struct io_sim *sim, struct sim_end *end)
{
    /* Unread bytes turn a close into a reset, as TCP does. */
    if ((end->inbox.len > 0 || end->abort) && !end->reset)
        send_reset(sim, end);
    else if (!end->reset)
        send_fin(sim, end);
    end->fd = -1;
    end->accepted = true;
}

int sim_socket_close(struct io_sim *sim, int fd)
{
    struct sim_fd *f = &sim->fds[fd];
    while (!wt_list_empty(&f->backlog)) {
        struct sim_end *end = WT_CONTAINER(f->backlog.next, struct sim_end, queued);
        wt_list_remove(&end->queued);
        end->accepted = true;
        send_reset(sim, end);
    }
    if (f->end)
        end_close(sim, f->end);
    return 0;
}

void sim_sockets_free(struct io_sim *sim)
{
    while (sim->ends) {
        struct sim_end *end = sim->ends;
        sim->ends = end->next;
        wt_buf_done(&end->inbox);
        wt_free(end);
    }
}

void sim_sockets_install(struct io_sim *sim)
{
    struct io_sys *sys = &sim->sys;
    sys->socket = sim_socket;
    sys->bind = sim_bind;
    sys->listen = sim_listen;
    sys->accept = sim_accept;
    sys->connect = sim_connect;
    sys->setsockopt = sim_setsockopt;
    sys->socket_error = sim_socket_error;
    sys->sockname = sim_sockname;
    sys->shutdown = sim_shutdown;
    sys->recv = sim_recv;
    sys->send = sim_send;
    sys->sendv = sim_sendv;
}
