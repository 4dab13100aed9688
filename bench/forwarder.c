/* The floor: a proxy that does not know HTTP. One thread, epoll, one upstream connection per
 * client, bytes pumped both ways. What a real proxy costs above this is what it adds to the
 * kernel's work.
 *
 * Edge-triggered, so that a request costs recv + send each way and no epoll_ctl; that is also the
 * cheapest shape a real proxy can have.
 */
#include "tool.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK_BYTES = 16 * 1024, EVENTS_MAX = 256 };

/* One direction's source: what was read from `fd` and `other` would not yet take is in `held`. */
struct forwarder_end {
    int fd;
    bool ended;
    struct forwarder_end *other;
    struct forwarder_pair *pair;
    char *held;
    size_t held_off, held_len;
};

struct forwarder_pair {
    struct forwarder_end client, server;
    struct forwarder_pair *next_dead;
    bool dead;
};

static char chunk[CHUNK_BYTES];
static struct forwarder_pair *dead_pairs;

static void end_watch(int epfd, struct forwarder_end *end)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = end};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, end->fd, &event) < 0)
        tool_die(1, "epoll_ctl: %s", strerror(errno));
}

/* Freed only after the batch: a later event of the same epoll_wait may still point here. */
static void pair_close(struct forwarder_pair *pair)
{
    if (pair->dead)
        return;
    pair->dead = true;
    close(pair->client.fd);
    close(pair->server.fd);
    pair->next_dead = dead_pairs;
    dead_pairs = pair;
}

static void dead_free(void)
{
    while (dead_pairs) {
        struct forwarder_pair *pair = dead_pairs;
        dead_pairs = pair->next_dead;
        free(pair->client.held);
        free(pair->server.held);
        free(pair);
    }
}

static bool hold(struct forwarder_end *from, const char *data, size_t len)
{
    if (!from->held)
        from->held = malloc(CHUNK_BYTES);
    if (!from->held)
        return false;
    memcpy(from->held, data, len);
    from->held_off = 0;
    from->held_len = len;
    return true;
}

/* Sends what is held; true when nothing is left. */
static bool held_flush(struct forwarder_end *from)
{
    while (from->held_len > 0) {
        ssize_t n =
            send(from->other->fd, from->held + from->held_off, from->held_len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            pair_close(from->pair);
        if (n < 0)
            return false;
        from->held_off += (size_t)n;
        from->held_len -= (size_t)n;
    }
    return true;
}

static void end_finish(struct forwarder_end *from)
{
    from->ended = true;
    shutdown(from->other->fd, SHUT_WR);
    if (from->other->ended)
        pair_close(from->pair);
}

/* Moves bytes from one end to the other until the source is empty or the sink is full. */
static void pump(struct forwarder_end *from)
{
    while (!from->pair->dead && !from->ended && held_flush(from)) {
        ssize_t n = recv(from->fd, chunk, sizeof(chunk), 0);
        if (n == 0) {
            end_finish(from);
            return;
        }
        if (n < 0) {
            if (errno != EAGAIN)
                pair_close(from->pair);
            return;
        }
        ssize_t sent = send(from->other->fd, chunk, (size_t)n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            sent = 0;
        if (sent < 0 || (sent < n && !hold(from, chunk + sent, (size_t)(n - sent)))) {
            pair_close(from->pair);
            return;
        }
        /* A short read empties the socket (epoll(7)): the next edge will tell. */
        if (sent == n && (size_t)n < sizeof(chunk))
            return;
    }
}

static void client_accept(int epfd, int listener, const struct sockaddr_in *upstream)
{
    int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    int server_fd = tool_connect(upstream, NULL);
    struct forwarder_pair *pair = server_fd < 0 ? NULL : calloc(1, sizeof(*pair));
    if (!pair) {
        close(fd);
        if (server_fd >= 0)
            close(server_fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    pair->client = (struct forwarder_end){.fd = fd, .other = &pair->server, .pair = pair};
    pair->server = (struct forwarder_end){.fd = server_fd, .other = &pair->client, .pair = pair};
    end_watch(epfd, &pair->client);
    end_watch(epfd, &pair->server);
}

static void end_event(struct forwarder_end *end, uint32_t events)
{
    if (events & EPOLLERR)
        pair_close(end->pair);
    if (events & (EPOLLIN | EPOLLHUP))
        pump(end);
    if ((events & EPOLLOUT) && (end->other->held_len > 0 || events == EPOLLOUT))
        pump(end->other);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        tool_die(2, "usage: %s LISTEN_ADDRESS:PORT UPSTREAM_ADDRESS:PORT", argv[0]);
    struct sockaddr_in listen_addr = tool_addr_parse(argv[1]);
    struct sockaddr_in upstream = tool_addr_parse(argv[2]);
    tool_signals_init();
    tool_files_lift();
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int listener = tool_listen(&listen_addr);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event) < 0)
        tool_die(1, "epoll: %s", strerror(errno));
    while (!tool_stopped()) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epfd, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                end_event(events[i].data.ptr, events[i].events);
            else
                client_accept(epfd, listener, &upstream);
        }
        dead_free();
    }
    return 0;
}
