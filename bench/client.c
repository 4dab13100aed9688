#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "tool.h"

enum {
    READ_BYTES = 64 * 1024,
    EVENTS_MAX = 256,
    REQUEST_BYTES = 1024,
    NONE = -1,
};

/* After a failed connect: long enough not to spin, short enough for a proxy that is starting. */
static const int64_t retry_ns = 10 * TOOL_NS_PER_MS;

enum client_state { CLIENT_SHUT, CLIENT_OPENING, CLIENT_IDLE, CLIENT_BUSY, CLIENT_STATES };

struct client_conn {
    enum client_state state;
    int fd;
    int32_t prev, next; /* in the idle list */
    int64_t intended_ns, sent_ns, retry_at_ns;
    uint32_t request_len, host_digits, path_digits; /* offsets of "####", 0 for none */
    char cookie[ANSWER_COOKIE_BYTES];
    char request[REQUEST_BYTES];
    struct answer answer;
};

struct client {
    struct client_opts opts;
    struct client_stats stats;
    int epfd;
    uint32_t in_state[CLIENT_STATES];
    uint32_t open_cursor;
    int32_t idle_first, idle_last;
    uint64_t random;
    struct client_conn *conns;
};

static char input[READ_BYTES];

const char *client_error_name(enum client_error error)
{
    static const char *const names[CLIENT_ERRORS] = {"connect", "closed",  "status",
                                                     "length",  "framing", "timeout"};
    return names[error];
}

static void idle_remove(struct client *client, struct client_conn *conn)
{
    int32_t *before = conn->prev == NONE ? &client->idle_first : &client->conns[conn->prev].next;
    int32_t *after = conn->next == NONE ? &client->idle_last : &client->conns[conn->next].prev;
    *before = conn->next;
    *after = conn->prev;
}

static void idle_append(struct client *client, struct client_conn *conn)
{
    int32_t index = (int32_t)(conn - client->conns);
    conn->prev = client->idle_last;
    conn->next = NONE;
    if (client->idle_last == NONE)
        client->idle_first = index;
    else
        client->conns[client->idle_last].next = index;
    client->idle_last = index;
}

static void conn_become(struct client *client, struct client_conn *conn, enum client_state state)
{
    if (conn->state == CLIENT_IDLE)
        idle_remove(client, conn);
    client->in_state[conn->state]--;
    conn->state = state;
    client->in_state[state]++;
    if (state == CLIENT_IDLE)
        idle_append(client, conn);
}

static void conn_close(struct client *client, struct client_conn *conn, int64_t retry_at_ns)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(conn->fd);
    conn->fd = -1;
    conn->retry_at_ns = retry_at_ns;
    conn_become(client, conn, CLIENT_SHUT);
}

static void conn_fail(struct client *client, struct client_conn *conn, enum client_error error)
{
    client->stats.errors[error]++;
    conn_close(client, conn, tool_now_ns() + retry_ns);
}

/* xorshift64*: the same sequence of targets for every peer. */
static uint64_t random_next(struct client *client)
{
    client->random ^= client->random >> 12;
    client->random ^= client->random << 25;
    client->random ^= client->random >> 27;
    return client->random * 0x2545F4914F6CDD1DULL;
}

static uint32_t digits_find(const char *request, const char *from, const char *to)
{
    const char *at = memmem(from, (size_t)(to - from), "####", 4);
    return at ? (uint32_t)(at - request) : 0;
}

static void request_make(struct client *client, struct client_conn *conn)
{
    char cookies[ANSWER_COOKIE_BYTES + 64] = "";
    uint64_t user = (uint64_t)(conn - client->conns) + 1;
    if (client->opts.cookies)
        snprintf(cookies, sizeof(cookies), "Cookie: session_id=%016llx%s%s\r\n",
                 (unsigned long long)(user * 0x9E3779B97F4A7C15ULL), conn->cookie[0] ? "; " : "",
                 conn->cookie);
    int len = snprintf(conn->request, sizeof(conn->request),
                       "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n",
                       client->opts.path, client->opts.host, cookies);
    if (len >= (int)sizeof(conn->request))
        tool_die(2, "a request does not fit %d bytes", REQUEST_BYTES);
    conn->request_len = (uint32_t)len;
    const char *line_end = strchr(conn->request, '\n');
    conn->path_digits = digits_find(conn->request, conn->request, line_end);
    conn->host_digits = digits_find(conn->request, line_end, conn->request + len);
}

static void digits_put(char *at, uint32_t number)
{
    for (int i = 3; i >= 0; i--, number /= 10)
        at[i] = (char)('0' + number % 10);
}

static void target_put(struct client *client, struct client_conn *conn)
{
    uint32_t target = (uint32_t)(random_next(client) % client->opts.targets);
    if (conn->host_digits)
        digits_put(conn->request + conn->host_digits, target / 10);
    if (conn->path_digits)
        digits_put(conn->request + conn->path_digits, target % 10);
}

struct client *client_new(const struct client_opts *opts)
{
    struct client *client = calloc(1, sizeof(*client));
    struct client_conn *conns = calloc(opts->connections, sizeof(*conns));
    if (!client || !conns)
        tool_die(1, "no memory for %u connections", opts->connections);
    *client = (struct client){.opts = *opts,
                              .conns = conns,
                              .idle_first = NONE,
                              .idle_last = NONE,
                              .random = opts->seed | 1,
                              .epfd = epoll_create1(EPOLL_CLOEXEC)};
    if (client->epfd < 0)
        tool_die(1, "epoll_create1: %s", strerror(errno));
    client->in_state[CLIENT_SHUT] = opts->connections;
    for (uint32_t i = 0; i < opts->connections; i++) {
        conns[i].fd = -1;
        request_make(client, &conns[i]);
    }
    return client;
}

void client_free(struct client *client)
{
    for (uint32_t i = 0; i < client->opts.connections; i++)
        if (client->conns[i].state != CLIENT_SHUT)
            conn_close(client, &client->conns[i], 0);
    close(client->epfd);
    free(client->conns);
    free(client);
}

static void conn_open(struct client *client, struct client_conn *conn, int64_t now_ns)
{
    conn->fd = tool_connect(&client->opts.addr, NULL);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = conn};
    if (conn->fd < 0 || epoll_ctl(client->epfd, EPOLL_CTL_ADD, conn->fd, &event) < 0) {
        client->stats.errors[CLIENT_CONNECT]++;
        if (conn->fd >= 0)
            close(conn->fd);
        conn->retry_at_ns = now_ns + retry_ns;
        return;
    }
    answer_init(&conn->answer);
    conn->sent_ns = now_ns;
    conn_become(client, conn, CLIENT_OPENING);
}

void client_open(struct client *client, int64_t now_ns)
{
    uint32_t max = client->opts.under_way_max ? client->opts.under_way_max : UINT32_MAX;
    for (uint32_t i = 0; i < client->opts.connections && client->in_state[CLIENT_SHUT] > 0; i++) {
        if (client->in_state[CLIENT_OPENING] + client->in_state[CLIENT_BUSY] >= max)
            return;
        struct client_conn *conn = &client->conns[client->open_cursor];
        client->open_cursor = (client->open_cursor + 1) % client->opts.connections;
        if (conn->state == CLIENT_SHUT && conn->retry_at_ns <= now_ns)
            conn_open(client, conn, now_ns);
    }
}

bool client_send(struct client *client, uint32_t index, int64_t intended_ns)
{
    struct client_conn *conn = &client->conns[index];
    if (conn->state != CLIENT_IDLE)
        return false;
    if (conn->host_digits || conn->path_digits)
        target_put(client, conn);
    conn->intended_ns = intended_ns;
    conn->sent_ns = tool_now_ns();
    conn_become(client, conn, CLIENT_BUSY);
    ssize_t n = send(conn->fd, conn->request, conn->request_len, MSG_NOSIGNAL);
    if (n != (ssize_t)conn->request_len)
        conn_fail(client, conn, CLIENT_CLOSED);
    return true;
}

bool client_send_any(struct client *client, int64_t intended_ns)
{
    if (client->idle_first == NONE)
        return false;
    return client_send(client, (uint32_t)client->idle_first, intended_ns);
}

static void answer_check(struct client *client, struct client_conn *conn)
{
    int64_t now_ns = tool_now_ns();
    bool right_status = conn->answer.status == client->opts.status;
    bool right_length = conn->answer.length == client->opts.body_bytes;
    if (!right_status || !right_length) {
        conn_fail(client, conn, right_status ? CLIENT_LENGTH : CLIENT_STATUS);
        return;
    }
    if (conn->answer.cookie[0] && client->opts.cookies &&
        strcmp(conn->answer.cookie, conn->cookie) != 0) {
        memcpy(conn->cookie, conn->answer.cookie, sizeof(conn->cookie));
        request_make(client, conn);
    }
    if (conn->answer.closes) {
        client->stats.reopened++;
        conn_close(client, conn, now_ns);
    } else {
        conn_become(client, conn, CLIENT_IDLE);
    }
    client->opts.answered(client->opts.arg, (uint32_t)(conn - client->conns), conn->intended_ns,
                          now_ns);
}

static void conn_ended(struct client *client, struct client_conn *conn)
{
    if (conn->state != CLIENT_IDLE) {
        conn_fail(client, conn, conn->state == CLIENT_BUSY ? CLIENT_CLOSED : CLIENT_CONNECT);
        return;
    }
    client->stats.reopened++;
    conn_close(client, conn, tool_now_ns());
}

static void conn_read(struct client *client, struct client_conn *conn)
{
    ssize_t n;
    do {
        n = recv(conn->fd, input, sizeof(input), 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            conn_ended(client, conn);
            return;
        }
        enum answer_result result = answer_feed(&conn->answer, input, (size_t)n);
        if (result == ANSWER_BAD || conn->state != CLIENT_BUSY) {
            conn_fail(client, conn, CLIENT_FRAMING);
            return;
        }
        if (result == ANSWER_DONE)
            answer_check(client, conn);
    } while (n == (ssize_t)sizeof(input) && conn->fd >= 0);
}

static void conn_event(struct client *client, struct client_conn *conn, uint32_t events)
{
    if (conn->state == CLIENT_SHUT)
        return;
    if (conn->state == CLIENT_OPENING) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            conn_fail(client, conn, CLIENT_CONNECT);
            return;
        }
        conn_become(client, conn, CLIENT_IDLE);
        client->opts.opened(client->opts.arg, (uint32_t)(conn - client->conns), tool_now_ns());
    }
    if (conn->fd >= 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        conn_read(client, conn);
}

void client_wait(struct client *client, int64_t wait_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t wanted_ns = wait_ns < 0 ? 0 : wait_ns;
    struct timespec wait = {.tv_sec = wanted_ns / TOOL_NS_PER_S,
                            .tv_nsec = wanted_ns % TOOL_NS_PER_S};
    int n = epoll_pwait2(client->epfd, events, EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < n; i++)
        conn_event(client, events[i].data.ptr, events[i].events);
}

void client_expire(struct client *client, int64_t now_ns)
{
    for (uint32_t i = 0; i < client->opts.connections; i++) {
        struct client_conn *conn = &client->conns[i];
        bool waits = conn->state == CLIENT_BUSY || conn->state == CLIENT_OPENING;
        if (waits && now_ns - conn->sent_ns > client->opts.timeout_ns)
            conn_fail(client, conn, CLIENT_TIMEOUT);
    }
}

uint32_t client_open_count(const struct client *client)
{
    return client->in_state[CLIENT_IDLE] + client->in_state[CLIENT_BUSY];
}

uint32_t client_busy_count(const struct client *client)
{
    return client->in_state[CLIENT_BUSY];
}

struct client_stats *client_stats(struct client *client)
{
    return &client->stats;
}
