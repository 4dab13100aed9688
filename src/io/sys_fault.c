#include "io/sys_fault.h"

#include "base/list.h"

#include <errno.h>
#include <string.h>

static const char *const names[] = {
#define X(name) [IO_CALL_##name] = #name,
    IO_CALLS(X)
#undef X
        [IO_CALL_ANY] = "any",
};

/* What hurts most among what the manual pages list: none of these goes away by trying again at
 * once. */
static const int errors[] = {
    [IO_CALL_random] = ENOSYS,
    [IO_CALL_socket] = EMFILE,
    [IO_CALL_bind] = EADDRINUSE,
    [IO_CALL_listen] = EADDRINUSE,
    [IO_CALL_accept] = EMFILE,
    [IO_CALL_connect] = ECONNREFUSED,
    [IO_CALL_setsockopt] = EINVAL,
    [IO_CALL_socket_error] = ETIMEDOUT,
    [IO_CALL_sockname] = ENOBUFS,
    [IO_CALL_shutdown] = ENOTCONN,
    [IO_CALL_recv] = ECONNRESET,
    [IO_CALL_send] = EPIPE,
    [IO_CALL_sendv] = ECONNRESET,
    [IO_CALL_close] = EIO,
    [IO_CALL_poll_open] = EMFILE,
    [IO_CALL_poll_add] = ENOSPC,
    [IO_CALL_poll_add_shared] = ENOSPC,
    [IO_CALL_poll_remove] = ENOENT,
    [IO_CALL_poll_wait] = EINTR,
    [IO_CALL_open] = EACCES,
    [IO_CALL_read] = EIO,
    [IO_CALL_write] = ENOSPC,
    [IO_CALL_fsync] = EIO,
    [IO_CALL_rename] = ENOSPC,
    [IO_CALL_unlink] = EROFS,
    [IO_CALL_stat] = EACCES,
    [IO_CALL_read_dir] = EIO,
};

static struct io_sys_fault *of(struct io_sys *sys)
{
    return WT_CONTAINER(sys, struct io_sys_fault, sys);
}

/* 0, or the negative errno this call must answer. */
static int strike(struct io_sys *sys, enum io_call kind)
{
    struct io_sys_fault *f = of(sys);
    uint64_t nth = ++f->n_calls[kind];
    uint64_t nth_of_all = ++f->n_calls[IO_CALL_ANY];
    if (f->from == 0 || (f->kind != kind && f->kind != IO_CALL_ANY))
        return 0;
    if (f->kind == IO_CALL_ANY)
        nth = nth_of_all;
    if (nth < f->from || (nth > f->from && !f->persistent))
        return 0;
    f->n_failed++;
    return f->error ? -f->error : -errors[kind];
}

static size_t cut(struct io_sys *sys, size_t n)
{
    size_t most = of(sys)->short_bytes;
    return most && n > most ? most : n;
}

#define UNDER(sys) (of(sys)->under)

static int64_t fault_mono_ns(struct io_sys *sys)
{
    return UNDER(sys)->mono_ns(UNDER(sys));
}

static int64_t fault_wall_ms(struct io_sys *sys)
{
    return UNDER(sys)->wall_ms(UNDER(sys));
}

/* One wrapper a call: count, fail or pass on. */
#define WRAP(type, name, params, args)                                                             \
    static type fault_##name params                                                                \
    {                                                                                              \
        int bad = strike(sys, IO_CALL_##name);                                                     \
        struct io_sys *under = UNDER(sys);                                                         \
        return bad < 0 ? bad : under->name args;                                                   \
    }

WRAP(int, random, (struct io_sys * sys, void *out, size_t n), (under, out, n))
WRAP(int, socket, (struct io_sys * sys, int domain, int type), (under, domain, type))
WRAP(int, bind, (struct io_sys * sys, int fd, const struct sockaddr *a, socklen_t n),
     (under, fd, a, n))
WRAP(int, listen, (struct io_sys * sys, int fd, int backlog), (under, fd, backlog))
WRAP(int, accept, (struct io_sys * sys, int fd, struct sockaddr_storage *out), (under, fd, out))
WRAP(int, connect, (struct io_sys * sys, int fd, const struct sockaddr *a, socklen_t n),
     (under, fd, a, n))
WRAP(int, setsockopt, (struct io_sys * sys, int fd, int level, int name, int value),
     (under, fd, level, name, value))
WRAP(int, socket_error, (struct io_sys * sys, int fd), (under, fd))
WRAP(int, sockname, (struct io_sys * sys, int fd, struct sockaddr_storage *out), (under, fd, out))
WRAP(int, shutdown, (struct io_sys * sys, int fd, int how), (under, fd, how))
WRAP(ssize_t, recv, (struct io_sys * sys, int fd, void *out, size_t n, int flags),
     (under, fd, out, n, flags))
WRAP(ssize_t, send, (struct io_sys * sys, int fd, const void *ptr, size_t n),
     (under, fd, ptr, cut(sys, n)))
WRAP(int, poll_open, (struct io_sys * sys), (under))
WRAP(int, poll_add, (struct io_sys * sys, int p, int fd, void *data), (under, p, fd, data))
WRAP(int, poll_add_shared, (struct io_sys * sys, int p, int fd, void *data), (under, p, fd, data))
WRAP(int, poll_remove, (struct io_sys * sys, int p, int fd), (under, p, fd))
WRAP(int, poll_wait, (struct io_sys * sys, int p, struct io_ready *out, int n, int64_t ms),
     (under, p, out, n, ms))
WRAP(int, open, (struct io_sys * sys, const char *path, int flags, mode_t mode),
     (under, path, flags, mode))
WRAP(ssize_t, read, (struct io_sys * sys, int fd, void *out, size_t n),
     (under, fd, out, cut(sys, n)))
WRAP(ssize_t, write, (struct io_sys * sys, int fd, const void *ptr, size_t n),
     (under, fd, ptr, cut(sys, n)))
WRAP(int, fsync, (struct io_sys * sys, int fd), (under, fd))
WRAP(int, rename, (struct io_sys * sys, const char *from, const char *to), (under, from, to))
WRAP(int, unlink, (struct io_sys * sys, const char *path), (under, path))
WRAP(int, stat, (struct io_sys * sys, const char *path, struct io_stat *out), (under, path, out))
WRAP(ssize_t, read_dir, (struct io_sys * sys, int fd, void *out, size_t n), (under, fd, out, n))

/* The descriptor is gone whatever close() says (Linux), or the test would see a leak that is none.
 */
static int fault_close(struct io_sys *sys, int fd)
{
    int bad = strike(sys, IO_CALL_close);
    int r = UNDER(sys)->close(UNDER(sys), fd);
    return bad < 0 ? bad : r;
}

static ssize_t fault_sendv(struct io_sys *sys, int fd, const struct iovec *iov, int n)
{
    int bad = strike(sys, IO_CALL_sendv);
    if (bad < 0)
        return bad;
    struct io_sys *under = UNDER(sys);
    if (!of(sys)->short_bytes)
        return under->sendv(under, fd, iov, n);
    while (n > 1 && iov->iov_len == 0) {
        iov++;
        n--;
    }
    return under->send(under, fd, iov->iov_base, cut(sys, iov->iov_len));
}

void io_sys_fault_init(struct io_sys_fault *f, struct io_sys *under)
{
    *f = (struct io_sys_fault){.under = under};
    f->sys.mono_ns = fault_mono_ns;
    f->sys.wall_ms = fault_wall_ms;
#define X(name) f->sys.name = fault_##name;
    IO_CALLS(X)
#undef X
    f->sys.single_threaded = under->single_threaded;
}

void io_sys_fault_set(struct io_sys_fault *f, enum io_call kind, uint64_t from, _Bool persistent)
{
    memset(f->n_calls, 0, sizeof f->n_calls);
    f->n_failed = 0;
    f->kind = kind;
    f->from = from;
    f->persistent = persistent;
}

const char *io_call_name(enum io_call kind)
{
    return names[kind];
}
