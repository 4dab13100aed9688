/* The simulated system's own: descriptors, sockets and files share one table. */
#ifndef IO_SIM_H
#define IO_SIM_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "io/stream.h"
#include "io/sys_sim.h"

enum { SIM_FDS = 1024, SIM_FILE_BYTES = 16 << 20 };

enum sim_kind { SIM_FREE, SIM_SOCKET, SIM_LISTENER, SIM_POLL, SIM_FILE, SIM_DIR };

/* One end of a connection; lives until the simulation ends, as events may point to it. */
struct sim_end {
    struct sim_end *next; /* all of them */
    struct sim_end *peer;
    struct wt_list queued; /* in a listener's backlog */
    struct wt_buf inbox;
    size_t under_way; /* bytes that travel towards this end */
    int64_t quiet_ns; /* nothing sent from here arrives before it: order is kept */
    int fd;           /* -1: closed, or not accepted yet */
    union io_addr self, other;
    int error;
    bool connected, accepted, eof, fin_sent, reset, blocked;
    bool abort; /* closing it resets (SO_LINGER of 0) */
};

struct sim_inode {
    struct sim_inode *next;
    struct wt_buf now, synced;
    uint64_t number;
    int64_t changed_ns; /* of the virtual wall clock */
};

struct sim_fd {
    enum sim_kind kind;
    int poll_fd; /* 0: not watched */
    void *data;
    bool edge, shared;
    struct sim_end *end;
    union io_addr addr; /* bound */
    struct wt_list backlog;
    struct sim_inode *inode;
    size_t at;  /* in bytes; in a directory: names that were read */
    char *path; /* of a directory */
};

struct sim_event {
    struct sim_event *next;
    int64_t at_ns;
    void (*happen)(struct io_sim *sim, struct sim_event *e);
    struct sim_end *end;
    size_t n;
    char bytes[];
};

struct sim_name {
    struct sim_name *next;
    char *path;
    struct sim_inode *now, *synced;
};

struct io_sim {
    struct io_sys sys;
    struct io_sim_options options;
    struct wt_rng rng;
    int64_t now_ns;
    uint64_t trace;
    uint16_t next_port;
    struct sim_event *events; /* by time, then by age */
    struct sim_end *ends;
    struct sim_inode *inodes;
    uint64_t n_inodes; /* ever */
    struct sim_name *names;
    int n_fds; /* none in use at or above it */
    struct sim_fd fds[SIM_FDS];
};

static inline struct io_sim *sim_of(struct io_sys *sys)
{
    return WT_CONTAINER(sys, struct io_sim, sys);
}

static inline struct sim_fd *sim_fd(struct io_sim *sim, int fd, enum sim_kind kind)
{
    return fd > 0 && fd < SIM_FDS && sim->fds[fd].kind == kind ? &sim->fds[fd] : NULL;
}

/* Adds to the trace and gives `result` back. */
long sim_note(struct io_sim *sim, int call, long a, long result);
int sim_fd_new(struct io_sim *sim, enum sim_kind kind); /* or -EMFILE */
void sim_fd_free(struct io_sim *sim, int fd);

void sim_sockets_install(struct io_sim *sim);
int sim_socket_close(struct io_sim *sim, int fd);
unsigned sim_socket_events(const struct sim_fd *f); /* IO_IN … that hold now */
void sim_sockets_free(struct io_sim *sim);

void sim_files_install(struct io_sim *sim);
void sim_files_crash(struct io_sim *sim);
void sim_files_free(struct io_sim *sim);

#endif
