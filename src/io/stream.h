/* A stream: a registered descriptor with fibers that wait for it. Embedded in its owner; it must
 * not move while it is open.
 *
 * A reader and a writer fiber may wait at the same time. When no fiber waits and the descriptor
 * becomes ready, `on_ready` (if set) is called on the loop: that is how an idle keep-alive
 * connection holds no fiber.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "base/str.h"
#include "io/fiber.h"

#include <netinet/in.h>
#include <sys/un.h>

struct io_stream {
    int fd;         /* -1 when closed */
    uint8_t ready;  /* IO_IN | IO_OUT | IO_HUP | IO_RDHUP, as far as known */
    uint8_t shared; /* a listener that several loops watch */
    uint8_t broken; /* a write has said so: an end that is read afterwards is no orderly one */
    struct io_fiber *reader, *writer;
    void (*on_ready)(struct io_stream *s);
    struct wt_list pending; /* in the loop's list of streams to look at */
};

void io_stream_init(struct io_stream *s); /* closed */

/* Takes the descriptor over and watches it on the loop that runs here. */
int io_stream_open(struct io_stream *s, int fd) WT_NODISCARD;
int io_stream_open_shared(struct io_stream *s,
                          int fd) WT_NODISCARD; /* a listener of several loops */

/* Waiting fibers get WT_ECANCELED; safe on a closed one. A descriptor that another process holds
 * too must be open as shared, or be given back with io_stream_release() and closed: the poll set
 * would outlive the stream. */
void io_stream_close(struct io_stream *s);
void io_stream_reset(
    struct io_stream *s); /* closes so that the peer sees a failure (RST), not an end */
int io_stream_release(
    struct io_stream *s); /* stops watching, gives the descriptor back, still open */

/* At least one byte, or WT_EOF, WT_ERESET, WT_ETIMEOUT, WT_ECANCELED, WT_EIO. */
ssize_t io_read(struct io_stream *s, void *out, size_t n, int64_t deadline_ms);

/* Reads what is there now: WT_EAGAIN when nothing is. Never waits. */
ssize_t io_read_now(struct io_stream *s, void *out, size_t n);

/* Looks whether the peer has closed or sent something: 0 when the connection is quiet, WT_EOF,
 * WT_ERESET or WT_EPROTO (bytes wait that nobody asked for). Never waits. */
int io_peek_quiet(struct io_stream *s);

/* All of it, or an error; `iov` is changed on the way. */
int io_write_all(struct io_stream *s, struct iovec *iov, int n_iov, int64_t deadline_ms);
/* The same; adds what the system took to *sent, also on failure. */
int io_write_counted(struct io_stream *s, struct iovec *iov, int n_iov, int64_t deadline_ms,
                     uint64_t *sent);
int io_write_str(struct io_stream *s, struct wt_str bytes, int64_t deadline_ms);

/* Writes what fits now: a count, or WT_EAGAIN. Never waits. */
ssize_t io_write_now(struct io_stream *s, const struct iovec *iov, int n_iov);

/* Waits until one of `events` holds; returns those that do, or an error. */
int io_wait(struct io_stream *s, unsigned events, int64_t deadline_ms);

/* As io_wait(s), but also ends, with WT_ERESET, when `watched` is broken by its peer (IO_HUP). */
int io_wait_watching(struct io_stream *s, unsigned events, struct io_stream *watched,
                     int64_t deadline_ms);

/* Addresses. */
union io_addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
};

enum { IO_ADDR_TEXT = 128 };

socklen_t io_addr_len(const union io_addr *a);
/* A literal IPv4 or IPv6 address, or a path that starts with '/' (a unix socket). */
int io_addr_parse(struct wt_str host, uint16_t port, union io_addr *out, struct wt_err *err);
char *io_addr_format_host(const union io_addr *a, char out[IO_ADDR_TEXT]); /* without the port */
char *io_addr_format(const union io_addr *a,
                     char out[IO_ADDR_TEXT]); /* "10.0.0.1:80", "[::1]:80" */
uint16_t io_addr_port(const union io_addr *a);

/* Connects; the stream is open on success and closed on failure. */
int io_connect(struct io_stream *s, const union io_addr *addr, int64_t deadline_ms) WT_NODISCARD;

/* A listening descriptor, not yet watched; >= 0 or an error. A unix path is unlinked first. */
int io_listen(struct io_sys *sys, const union io_addr *addr, int backlog, struct wt_err *err);

/* One connection from a listening stream: a descriptor >= 0, or WT_ETIMEOUT, WT_ECANCELED,
 * WT_ELIMIT (no descriptors left), WT_EIO. */
int io_accept(struct io_stream *listener, union io_addr *out_peer, int64_t deadline_ms);

#endif
