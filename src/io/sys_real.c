#include "io/sys.h"

#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static inline long result(long r)
{
    return r < 0 ? -errno : r;
}

static int64_t ns_of(struct timespec ts)
{
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t real_mono_ns(struct io_sys *sys)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ns_of(ts);
}

static int64_t real_wall_ms(struct io_sys *sys)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int real_random(struct io_sys *sys, void *out, size_t n)
{
    ssize_t r = getrandom(out, n, 0);
    return r == (ssize_t)n ? 0 : r < 0 ? -errno : -EIO;
}

static int real_socket(struct io_sys *sys, int domain, int type)
{
    return (int)result(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int real_bind(struct io_sys *sys, int fd, const struct sockaddr *addr, socklen_t len)
{
    return (int)result(bind(fd, addr, len));
}

static int real_listen(struct io_sys *sys, int fd, int backlog)
{
    return (int)result(listen(fd, backlog));
}

static int real_accept(struct io_sys *sys, int fd, struct sockaddr_storage *out_peer)
{
    socklen_t len = sizeof *out_peer;
    return (int)result(
        accept4(fd, (struct sockaddr *)out_peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

static int real_connect(struct io_sys *sys, int fd, const struct sockaddr *addr, socklen_t len)
{
    return (int)result(connect(fd, addr, len));
}

static int real_setsockopt(struct io_sys *sys, int fd, int level, int name, int value)
{
    struct linger linger = {1, value};
    if (level == SOL_SOCKET && name == SO_LINGER)
        return (int)result(setsockopt(fd, level, name, &linger, sizeof linger));
    return (int)result(setsockopt(fd, level, name, &value, sizeof value));
}

static int real_socket_error(struct io_sys *sys, int fd)
{
    int e = 0;
    socklen_t len = sizeof e;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
        return -errno;
    return -e;
}

static int real_sockname(struct io_sys *sys, int fd, struct sockaddr_storage *out)
{
    socklen_t len = sizeof *out;
    return (int)result(getsockname(fd, (struct sockaddr *)out, &len));
}

static int real_shutdown(struct io_sys *sys, int fd, int how)
{
    return (int)result(shutdown(fd, how));
}

static ssize_t real_recv(struct io_sys *sys, int fd, void *out, size_t n, int flags)
{
    return result(recv(fd, out, n, flags));
}

static ssize_t real_send(struct io_sys *sys, int fd, const void *ptr, size_t n)
{
    return result(send(fd, ptr, n, MSG_NOSIGNAL));
}

static ssize_t real_sendv(struct io_sys *sys, int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    return result(sendmsg(fd, &msg, MSG_NOSIGNAL));
}

static int real_close(struct io_sys *sys, int fd)
{
    return (int)result(close(fd));
}

static int real_poll_open(struct io_sys *sys)
{
    return (int)result(epoll_create1(EPOLL_CLOEXEC));
}

static int real_poll_add(struct io_sys *sys, int poll_fd, int fd, void *data)
{
    struct epoll_event e = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = data}};
    return (int)result(epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e));
}

static int real_poll_add_shared(struct io_sys *sys, int poll_fd, int fd, void *data)
{
    struct epoll_event e = {EPOLLIN | EPOLLEXCLUSIVE, {.ptr = data}};
    return (int)result(epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e));
}

static int real_poll_remove(struct io_sys *sys, int poll_fd, int fd)
{
    return (int)result(epoll_ctl(poll_fd, EPOLL_CTL_DEL, fd, NULL));
}

static int real_poll_wait(struct io_sys *sys, int poll_fd, struct io_ready *out, int n,
                          int64_t wait_ms)
{
    struct epoll_event events[256] WT_UNSET;
    int timeout = wait_ms < 0 ? -1 : wait_ms > 3600000 ? 3600000 : (int)wait_ms;
    int got = epoll_wait(poll_fd, events, n < 256 ? n : 256, timeout);
    if (got < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < got; i++) {
        unsigned e = events[i].events;
        out[i].data = events[i].data.ptr;
        out[i].events = (e & EPOLLIN ? IO_IN : 0u) | (e & EPOLLOUT ? IO_OUT : 0u) |
                        (e & (EPOLLHUP | EPOLLERR) ? IO_HUP : 0u) |
                        (e & EPOLLRDHUP ? IO_RDHUP : 0u);
    }
    return got;
}

static int real_open(struct io_sys *sys, const char *path, int flags, mode_t mode)
{
    return (int)result(open(path, flags | O_CLOEXEC, mode));
}

static ssize_t real_read(struct io_sys *sys, int fd, void *out, size_t n)
{
    return result(read(fd, out, n));
}

static ssize_t real_write(struct io_sys *sys, int fd, const void *ptr, size_t n)
{
    return result(write(fd, ptr, n));
}

static int real_fsync(struct io_sys *sys, int fd)
{
    return (int)result(fsync(fd));
}

static int real_rename(struct io_sys *sys, const char *from, const char *to)
{
    return (int)result(rename(from, to));
}

static int real_unlink(struct io_sys *sys, const char *path)
{
    return (int)result(unlink(path));
}

static int real_stat(struct io_sys *sys, const char *path, struct io_stat *out)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    *out = (struct io_stat){st.st_mode,           st.st_dev,         st.st_ino,
                            (uint64_t)st.st_size, ns_of(st.st_mtim), ns_of(st.st_ctim)};
    return 0;
}

static ssize_t real_read_dir(struct io_sys *sys, int fd, void *out, size_t n)
{
    return result(getdents64(fd, out, n));
}

static struct io_sys real = {
    .mono_ns = real_mono_ns,
    .wall_ms = real_wall_ms,
    .random = real_random,
    .socket = real_socket,
    .bind = real_bind,
    .listen = real_listen,
    .accept = real_accept,
    .connect = real_connect,
    .setsockopt = real_setsockopt,
    .socket_error = real_socket_error,
    .sockname = real_sockname,
    .shutdown = real_shutdown,
    .recv = real_recv,
    .send = real_send,
    .sendv = real_sendv,
    .close = real_close,
    .poll_open = real_poll_open,
    .poll_add = real_poll_add,
    .poll_add_shared = real_poll_add_shared,
    .poll_remove = real_poll_remove,
    .poll_wait = real_poll_wait,
    .open = real_open,
    .read = real_read,
    .write = real_write,
    .fsync = real_fsync,
    .rename = real_rename,
    .unlink = real_unlink,
    .stat = real_stat,
    .read_dir = real_read_dir,
};

struct io_sys *io_sys_real(void)
{
    return &real;
}
