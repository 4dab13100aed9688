/* A system that fails on purpose: it wraps another one, counts calls by kind, and makes some of
 * them fail the way the kernel would. Tests run a flow once to count, then once for each call. */
#ifndef IO_SYS_FAULT_H
#define IO_SYS_FAULT_H

#include "io/sys.h"

/* Calls that can fail. The clock cannot, and close() always closes. */
#define IO_CALLS(X)                                                                                \
    X(random)                                                                                      \
    X(socket)                                                                                      \
    X(bind)                                                                                        \
    X(listen) X(accept) X(connect) X(setsockopt) X(socket_error) X(sockname) X(shutdown) X(recv)   \
        X(send) X(sendv) X(close) X(poll_open) X(poll_add) X(poll_add_shared) X(poll_remove)       \
            X(poll_wait) X(open) X(read) X(write) X(fsync) X(rename) X(unlink) X(stat) X(read_dir)

enum io_call {
#define X(name) IO_CALL_##name,
    IO_CALLS(X)
#undef X
        IO_CALL_COUNT,
    IO_CALL_ANY = IO_CALL_COUNT,
};

struct io_sys_fault {
    struct io_sys sys; /* what the program is given */
    struct io_sys *under;
    uint64_t n_calls[IO_CALL_COUNT + 1]; /* the last one: all of them */
    /* which calls fail: */
    enum io_call kind; /* of this kind, or IO_CALL_ANY */
    uint64_t from;     /* from the from-th on, counted from 1 within the kind; 0: none fails */
    _Bool persistent;  /* that one only, or all after it too */
    int error;         /* a positive errno; 0: the most telling one of the kind */
    uint64_t n_failed;
    /* short transfers: at most this many bytes a send, read, write; 0: no bound. Not of recv: a
     * short one says that the socket is empty (epoll(7)), and streams rely on that; io/sys_sim.h
     * lets bytes arrive in pieces. */
    size_t short_bytes;
};

/* Nothing fails until kind, from, … are set. `f` must not move. */
void io_sys_fault_init(struct io_sys_fault *f, struct io_sys *under);

/* Counts from zero again, with this failure. */
void io_sys_fault_set(struct io_sys_fault *f, enum io_call kind, uint64_t from, _Bool persistent);

const char *io_call_name(enum io_call kind);

#endif
