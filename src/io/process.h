/* Other processes: started, adopted, signalled and awaited by pidfd, so a recycled pid is never
 * hit.
 *
 * These calls meet the kernel directly, not through io_sys: a simulated system has no processes.
 */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include "io/stream.h"

struct io_process_fd {
    int fd; /* ours; stays open here */
    int as; /* its number in the program; not below 3 unless it replaces stdin, stdout, stderr */
};

struct io_process_spec {
    const char *path;        /* the program; no search in PATH */
    const char *const *argv; /* NULL-terminated, argv[0] included */
    const char *const
        *env;        /* "NAME=value", NULL-terminated, put over our own environment; may be NULL */
    const char *dir; /* working directory, or NULL */
    const struct io_process_fd *fds; /* all others are closed */
    int n_fds;                       /* at most IO_PROCESS_FDS */
    _Bool set_ids;                   /* become uid, gid (groups dropped); needs privilege */
    uid_t uid;
    gid_t gid;
    uint32_t keep_caps; /* with set_ids: these capabilities (bit 1 << CAP_…), and no others, stay */
    _Bool new_session; /* setsid: a terminal's signals go to us alone */
    _Bool same_mask;   /* signals that we block wait until the program asks for them; else none */
};

enum { IO_PROCESS_FDS = 256 };

/* What identifies a process for good: pids come again, start times do not. */
struct io_process_id {
    pid_t pid;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat, since boot */
};

struct io_process_end {
    enum {
        IO_PROCESS_EXITED,
        IO_PROCESS_KILLED,
        IO_PROCESS_GONE /* not our child: how is unknown */
    } how;
    int value; /* exit status or signal number */
};

struct io_process {
    struct io_process_id id;
    struct io_stream pidfd; /* readable when it has ended; watched by the loop that runs here */
    _Bool ended;
    struct io_process_end end;
};

/* Starts a program; in a loop. A program that cannot be executed is reported here, with the errno
 * of exec. */
int io_process_spawn(const struct io_process_spec *spec, struct io_process *out,
                     struct wt_err *err) WT_NODISCARD;

/* Takes a running process over, whoever started it: WT_ENOENT when it is gone or the pid is
 * another's now. */
int io_process_adopt(struct io_process_id id, struct io_process *out,
                     struct wt_err *err) WT_NODISCARD;

/* Only the pid's start time; WT_ENOENT without such a process. */
int io_process_start_ticks(pid_t pid, uint64_t *out);

/* WT_ENOENT when it has ended. */
int io_process_signal(struct io_process *p, int signo);

/* Waits for the end (also sets p->ended and p->end): 0, WT_ETIMEOUT, WT_ECANCELED. In a fiber. */
int io_process_wait(struct io_process *p, int64_t deadline_ms, struct io_process_end *out);

/* SIGTERM, then SIGKILL at the deadline, and waits. In a fiber. */
void io_process_stop(struct io_process *p, int64_t kill_at_ms, struct io_process_end *out);

/* Forgets it; the process goes on. */
void io_process_done(struct io_process *p);

/* Passes a copy of a descriptor (or none: -1) over a unix stream socket (SCM_RIGHTS), with up to
 * IO_NOTE_BYTES that say what it is. Both arrive together, however the socket splits and merges
 * bytes; a socket used with these calls carries nothing else. */
enum { IO_NOTE_BYTES = 4096 };

int io_send_fd(struct io_stream *s, int fd, struct wt_str note, int64_t deadline_ms) WT_NODISCARD;

/* The length of the note; the descriptor (close-on-exec) or -1 is in *out_fd. Or WT_EOF, WT_EPROTO,
 * WT_ELIMIT (the note is longer than `cap`), WT_ERESET, WT_ETIMEOUT, WT_ECANCELED: then the socket
 * is of no more use. */
ssize_t io_recv_fd(struct io_stream *s, int *out_fd, char *note, size_t cap,
                   int64_t deadline_ms) WT_NODISCARD;

#endif
