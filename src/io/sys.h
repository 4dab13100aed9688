/* The table through which Watari meets the operating system where a fault matters: clock, chance,
 * sockets, readiness, and every file that control and proxy read or write while they serve.
 *
 * Production uses io_sys_real(). Tests use a table that fails the nth call (io/sys_fault.h) or a
 * simulated world with virtual time and a seeded network (io/sys_sim.h). Allocation has its own
 * hook: base/mem.h.
 *
 * What goes past it, and why:
 * - SQLite (control/db.c) has its own layer; its errors reach control/store.c as results.
 * - getaddrinfo (proxy/resolve.c) opens sockets and files of its own.
 * - Wake-ups: eventfd, signalfd, inotify, pidfd, and the read that drains them. A lost one costs
 *   time, never truth: files are looked at every 10 s anyway.
 * - Processes and what is passed to them: fork, exec, signals, capabilities, sandbox, SCM_RIGHTS
 *   (io/process.c, io/sandbox.c, io/pass.c); the properties of descriptors that came that way
 *   (proxy/listen.c).
 * - What is done once before serving: directories, owners and modes (cli/places.c, mkdir and chmod
 *   in control/run.c), the number of CPUs (proxy/proxy.c), the supervisor's search of /proc.
 * - The CLI's commands that end by themselves: their files and their socket to the API.
 * - base, which knows no io: messages to standard error (base/log.c), the seed of hash tables
 *   (base/map.c).
 *
 * Every call returns a count or descriptor >= 0, or a negative errno (-EAGAIN, …). Nothing sets
 * errno.
 */
#ifndef IO_SYS_H
#define IO_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* What a poll reports about one descriptor. */
enum { IO_IN = 1, IO_OUT = 2, IO_HUP = 4 /* broken, or closed in both directions */, IO_RDHUP = 8 };

struct io_ready {
    void *data;
    unsigned events;
};

/* What a file is, and whether it is still the one that was read. */
struct io_stat {
    uint32_t mode; /* S_ISREG(), S_ISDIR(), … */
    uint64_t dev, inode, size_bytes;
    int64_t modified_ns, changed_ns; /* of the content; of anything, set by the kernel alone */
};

struct io_sys {
    /* clock and chance */
    int64_t (*mono_ns)(struct io_sys *sys);
    int64_t (*wall_ms)(struct io_sys *sys);
    int (*random)(struct io_sys *sys, void *out, size_t n);

    /* sockets: made non-blocking and close-on-exec */
    int (*socket)(struct io_sys *sys, int domain, int type);
    int (*bind)(struct io_sys *sys, int fd, const struct sockaddr *addr, socklen_t len);
    int (*listen)(struct io_sys *sys, int fd, int backlog);
    int (*accept)(struct io_sys *sys, int fd, struct sockaddr_storage *out_peer);
    int (*connect)(struct io_sys *sys, int fd, const struct sockaddr *addr, socklen_t len);
    int (*setsockopt)(struct io_sys *sys, int fd, int level, int name,
                      int value);                    /* SO_LINGER: seconds */
    int (*socket_error)(struct io_sys *sys, int fd); /* 0 or the pending -errno, cleared */
    int (*sockname)(struct io_sys *sys, int fd, struct sockaddr_storage *out);
    int (*shutdown)(struct io_sys *sys, int fd, int how);
    ssize_t (*recv)(struct io_sys *sys, int fd, void *out, size_t n, int flags);
    ssize_t (*send)(struct io_sys *sys, int fd, const void *ptr, size_t n);
    ssize_t (*sendv)(struct io_sys *sys, int fd, const struct iovec *iov, int n);
    int (*close)(struct io_sys *sys, int fd);

    /* readiness, edge-triggered: each descriptor is added once, for every event, with `data` */
    int (*poll_open)(struct io_sys *sys);
    int (*poll_add)(struct io_sys *sys, int poll_fd, int fd, void *data);
    int (*poll_add_shared)(struct io_sys *sys, int poll_fd, int fd, void *data); /* a listener that
        several loops watch: level-triggered, and only one of them is woken (EPOLLEXCLUSIVE) */
    int (*poll_remove)(struct io_sys *sys, int poll_fd, int fd);
    int (*poll_wait)(struct io_sys *sys, int poll_fd, struct io_ready *out, int n, int64_t wait_ms);

    /* files and pipes */
    int (*open)(struct io_sys *sys, const char *path, int flags, mode_t mode);
    ssize_t (*read)(struct io_sys *sys, int fd, void *out, size_t n);
    ssize_t (*write)(struct io_sys *sys, int fd, const void *ptr, size_t n);
    int (*fsync)(struct io_sys *sys, int fd);
    int (*rename)(struct io_sys *sys, const char *from, const char *to);
    int (*unlink)(struct io_sys *sys, const char *path);
    int (*stat)(struct io_sys *sys, const char *path, struct io_stat *out); /* follows links */
    ssize_t (*read_dir)(struct io_sys *sys, int fd, void *out, size_t n);   /* getdents64(2) */

    _Bool single_threaded; /* io_offload runs its work in place */
};

struct io_sys *io_sys_real(void);

#endif
