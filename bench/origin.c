/* The backend of the benchmarks: one thread that gives every request the same keep-alive answer.
 *
 * It must never be the bottleneck, so it looks only for the end of a request's head, and the answer
 * is one block made at the start. Requests carry no body here; one that is not a GET has its
 * connection closed, because a body's bytes would be taken for a request.
 */
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, EVENTS_MAX = 256, LISTENERS_MAX = 8, HEAD_BYTES_MAX = 64 * 1024 };

/* The first member of whatever an epoll event points to. */
enum origin_what { ORIGIN_LISTENER, ORIGIN_CONN };

struct origin_listener {
    enum origin_what what;
    int fd;
    uint64_t requests;
    int64_t last_wall_ms; /* of the last request's arrival */
};

struct origin_conn {
    enum origin_what what;
    int fd;
    struct origin_listener *listener;
    size_t head_len;    /* bytes of the head that is not complete yet */
    uint32_t matched;   /* its last bytes that begin "\r\n\r\n" */
    uint32_t owed;      /* answers to be sent */
    size_t sent;        /* bytes of the first of them that are out */
    bool dead, waiting; /* waiting: in the delay queue */
    int64_t due_ns;
    struct origin_conn *next;
};

struct origin {
    int epfd;
    struct origin_listener listeners[LISTENERS_MAX];
    size_t listener_count;
    char *answer;
    size_t answer_len;
    int64_t delay_ns;
    struct origin_conn *delayed_first, *delayed_last; /* one delay for all: the queue is in order */
    struct origin_conn *dead;
};

static char input[READ_BYTES];

static void conn_close(struct origin *origin, struct origin_conn *conn)
{
    if (conn->dead)
        return;
    conn->dead = true;
    close(conn->fd);
    if (conn->waiting)
        return; /* the delay queue still points here and frees it */
    conn->next = origin->dead;
    origin->dead = conn;
}

static void dead_free(struct origin *origin)
{
    while (origin->dead) {
        struct origin_conn *conn = origin->dead;
        origin->dead = conn->next;
        free(conn);
    }
}

static void conn_send(struct origin *origin, struct origin_conn *conn)
{
    while (conn->owed > 0) {
        ssize_t n = send(conn->fd, origin->answer + conn->sent, origin->answer_len - conn->sent,
                         MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN)
                conn_close(origin, conn);
            return;
        }
        conn->sent += (size_t)n;
        if (conn->sent == origin->answer_len) {
            conn->sent = 0;
            conn->owed--;
        }
    }
}

static void conn_delay(struct origin *origin, struct origin_conn *conn)
{
    conn->waiting = true;
    conn->due_ns = tool_now_ns() + origin->delay_ns;
    conn->next = NULL;
    if (origin->delayed_last)
        origin->delayed_last->next = conn;
    else
        origin->delayed_first = conn;
    origin->delayed_last = conn;
}

/* Sends what is due; returns how long to sleep, or -1 with nothing delayed. */
static int64_t delayed_run(struct origin *origin)
{
    while (origin->delayed_first) {
        struct origin_conn *conn = origin->delayed_first;
        int64_t left_ns = conn->due_ns - tool_now_ns();
        if (left_ns > 0 && !conn->dead)
            return left_ns;
        origin->delayed_first = conn->next;
        if (!conn->next)
            origin->delayed_last = NULL;
        conn->waiting = false;
        if (conn->dead)
            free(conn);
        else
            conn_send(origin, conn);
    }
    return -1;
}

static uint32_t heads_count_slowly(struct origin_conn *conn, const char *data, size_t len)
{
    static const char end[] = "\r\n\r\n";
    uint32_t heads = 0;
    for (size_t i = 0; i < len; i++) {
        conn->head_len++;
        if (data[i] == end[conn->matched])
            conn->matched++;
        else
            conn->matched = data[i] == '\r';
        if (conn->matched == 4) {
            heads++;
            conn->matched = 0;
            conn->head_len = 0;
        }
    }
    return heads;
}

/* How many heads end in `data`. Nearly always exactly one, which starts and ends here. */
static uint32_t heads_count(struct origin_conn *conn, const char *data, size_t len)
{
    if (conn->head_len == 0 && len >= 4 && memmem(data, len, "\r\n\r\n", 4) == data + len - 4)
        return 1;
    return heads_count_slowly(conn, data, len);
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / TOOL_NS_PER_MS;
}

static void conn_read(struct origin *origin, struct origin_conn *conn)
{
    uint32_t owed_before = conn->owed;
    ssize_t n;
    do {
        n = recv(conn->fd, input, sizeof(input), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            conn_close(origin, conn);
            return;
        }
        if (n < 0)
            break;
        bool is_get = conn->head_len > 0 || input[0] == 'G';
        conn->owed += heads_count(conn, input, (size_t)n);
        if (!is_get || conn->head_len > HEAD_BYTES_MAX) {
            conn_close(origin, conn);
            return;
        }
    } while (n == (ssize_t)sizeof(input));
    if (conn->owed == owed_before)
        return;
    conn->listener->requests += conn->owed - owed_before;
    conn->listener->last_wall_ms = wall_ms();
    if (origin->delay_ns == 0)
        conn_send(origin, conn);
    else if (!conn->waiting)
        conn_delay(origin, conn);
}

static void conn_accept(struct origin *origin, struct origin_listener *listener)
{
    int on = 1;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct origin_conn *conn = fd < 0 ? NULL : calloc(1, sizeof(*conn));
    if (!conn) {
        if (fd >= 0)
            close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *conn = (struct origin_conn){.what = ORIGIN_CONN, .fd = fd, .listener = listener};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = conn};
    if (epoll_ctl(origin->epfd, EPOLL_CTL_ADD, fd, &event) < 0)
        conn_close(origin, conn);
}

static void answer_make(struct origin *origin, int status, size_t body_bytes)
{
    char head[256], date[64];
    time_t now = time(NULL);
    struct tm tm;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    int head_len = snprintf(head, sizeof(head),
                            "HTTP/1.1 %d %s\r\nServer: origin\r\nDate: %s\r\n"
                            "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                            status, status == 200 ? "OK" : "Other", date, body_bytes);
    origin->answer_len = (size_t)head_len + body_bytes;
    origin->answer = malloc(origin->answer_len);
    if (!origin->answer)
        tool_die(1, "no memory for a body of %zu bytes", body_bytes);
    memcpy(origin->answer, head, (size_t)head_len);
    for (size_t i = 0; i < body_bytes; i++)
        origin->answer[(size_t)head_len + i] = "hello, watari\n"[i % 14];
}

static void listener_add(struct origin *origin, const char *text)
{
    if (origin->listener_count == LISTENERS_MAX)
        tool_die(2, "--listen: at most %d", LISTENERS_MAX);
    struct sockaddr_in addr = tool_addr_parse(text);
    struct origin_listener *listener = &origin->listeners[origin->listener_count++];
    *listener = (struct origin_listener){.what = ORIGIN_LISTENER, .fd = tool_listen(&addr)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
    if (epoll_ctl(origin->epfd, EPOLL_CTL_ADD, listener->fd, &event) < 0)
        tool_die(1, "epoll_ctl: %s", strerror(errno));
}

static void options_read(struct origin *origin, int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"size", required_argument, NULL, 's'},
        {"delay-ms", required_argument, NULL, 'd'},
        {"status", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    double body_bytes = 14, status = 200;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l')
            listener_add(origin, optarg);
        else if (option == 's')
            body_bytes = tool_number_parse("--size", optarg, 0, 1 << 30);
        else if (option == 'd')
            origin->delay_ns =
                (int64_t)(tool_number_parse("--delay-ms", optarg, 0, 60000) * TOOL_NS_PER_MS);
        else if (option == 'c')
            status = tool_number_parse("--status", optarg, 200, 599);
        else
            exit(2);
    }
    if (origin->listener_count == 0 || optind != argc)
        tool_die(2,
                 "usage: %s --listen ADDRESS:PORT [--listen …] [--size BYTES] [--delay-ms MS] "
                 "[--status CODE]",
                 argv[0]);
    answer_make(origin, (int)status, (size_t)body_bytes);
}

static void event_handle(struct origin *origin, const struct epoll_event *event)
{
    if (*(enum origin_what *)event->data.ptr == ORIGIN_LISTENER) {
        conn_accept(origin, event->data.ptr);
        return;
    }
    struct origin_conn *conn = event->data.ptr;
    if (!conn->dead && (event->events & EPOLLOUT) && conn->sent > 0)
        conn_send(origin, conn);
    if (!conn->dead && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        conn_read(origin, conn);
}

static void requests_print(const struct origin *origin)
{
    printf("{\"requests\": [");
    for (size_t i = 0; i < origin->listener_count; i++)
        printf("%s%llu", i ? ", " : "", (unsigned long long)origin->listeners[i].requests);
    printf("], \"last_ms\": [");
    for (size_t i = 0; i < origin->listener_count; i++)
        printf("%s%lld", i ? ", " : "", (long long)origin->listeners[i].last_wall_ms);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct origin origin = {.epfd = epoll_create1(EPOLL_CLOEXEC)};
    if (origin.epfd < 0)
        tool_die(1, "epoll_create1: %s", strerror(errno));
    tool_signals_init();
    tool_files_lift();
    options_read(&origin, argc, argv);
    while (!tool_stopped()) {
        struct epoll_event events[EVENTS_MAX];
        int64_t sleep_ns = delayed_run(&origin);
        struct timespec wait = {.tv_sec = sleep_ns / TOOL_NS_PER_S,
                                .tv_nsec = sleep_ns % TOOL_NS_PER_S};
        int n = epoll_pwait2(origin.epfd, events, EVENTS_MAX, sleep_ns < 0 ? NULL : &wait, NULL);
        for (int i = 0; i < n; i++)
            event_handle(&origin, &events[i]);
        dead_free(&origin);
    }
    requests_print(&origin);
    free(origin.answer);
    return 0;
}
