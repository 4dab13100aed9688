/* A set of keep-alive HTTP/1.1 client connections on one epoll, each of them one user with one
 * request under way at most. It decides nothing about when to send: its owner does, in the two
 * callbacks or between two waits.
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum client_error {
    CLIENT_CONNECT, /* no connection */
    CLIENT_CLOSED,  /* closed or broken before the answer was complete */
    CLIENT_STATUS,  /* complete, with another status than wanted */
    CLIENT_LENGTH,  /* complete, with another body length than wanted */
    CLIENT_FRAMING, /* not an answer that HTTP/1.1 can frame */
    CLIENT_TIMEOUT, /* not complete in time */
    CLIENT_ERRORS
};

struct client_opts {
    struct sockaddr_in addr;
    uint32_t connections;
    const char *host, *path; /* "####" in them stands for the target: host target / 10, path % 10 */
    uint32_t targets;        /* picked at random for each request; at least 1 */
    bool cookies;            /* a session_id for each connection, and watari_id given back */
    int status;
    uint64_t body_bytes;
    int64_t timeout_ns;
    uint64_t seed;
    uint32_t under_way_max; /* opens no more while so many connect or wait; 0: no bound */
    /* Both may send. A connection that was told to close is answered, but not idle. */
    void (*opened)(void *arg, uint32_t index, int64_t now_ns);
    void (*answered)(void *arg, uint32_t index, int64_t intended_ns, int64_t now_ns);
    void *arg;
};

struct client_stats {
    uint64_t errors[CLIENT_ERRORS];
    uint64_t reopened; /* connections that were closed while idle, or told to close */
};

struct client;

/* Connects nothing yet. Dies without memory. `opts` is copied, its strings are not. */
struct client *client_new(const struct client_opts *opts);
/* Closes with a reset, so that no port stays in TIME_WAIT. */
void client_free(struct client *client);

/* Starts connects for what is closed. */
void client_open(struct client *client, int64_t now_ns);
/* Waits for events, `wait_ns` at most, and handles them. */
void client_wait(struct client *client, int64_t wait_ns);
/* Gives up requests that are older than the timeout. */
void client_expire(struct client *client, int64_t now_ns);

/* `intended_ns` comes back in answered(). False when the connection is not idle. */
bool client_send(struct client *client, uint32_t index, int64_t intended_ns);
/* On the connection that has been idle longest; false when none is idle. */
bool client_send_any(struct client *client, int64_t intended_ns);

uint32_t client_open_count(const struct client *client);
uint32_t client_busy_count(const struct client *client);
struct client_stats *client_stats(struct client *client);
const char *client_error_name(enum client_error error);

#endif
