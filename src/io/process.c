#include "io/process.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- identity ---- */

int io_process_start_ticks(pid_t pid, uint64_t *out)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return wt_code_from_errno(errno);
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    if (n <= 0)
        return WT_ENOENT;
    /* The name in parentheses may hold anything, parentheses too: count fields from the last one
     * on. */
    const char *name_end = memrchr(text, ')', (size_t)n);
    if (!name_end || name_end + 2 >= text + n)
        return WT_EIO;
    struct wt_str rest = wt_str(name_end + 2, (size_t)(text + n - name_end - 2));
    for (int field = 3; field < 22; field++)
        wt_str_next(&rest, ' ');
    return wt_str_u64(wt_str_next(&rest, ' '), out) ? 0 : WT_EIO;
}

static int watch(struct io_process_id id, struct io_process *out, struct wt_err *err)
{
    struct io_process p = {.id = id};
    io_stream_init(&p.pidfd);
    int fd = (int)syscall(SYS_pidfd_open, id.pid, 0);
    if (fd < 0 && errno == ESRCH)
        return wt_fail(err, WT_ENOENT, "process %d is gone", (int)id.pid);
    if (fd < 0)
        return wt_fail(err, wt_code_from_errno(errno), "watch process %d: %s", (int)id.pid,
                       strerror(errno));
    uint64_t ticks;
    int r = io_process_start_ticks(id.pid, &ticks);
    if (r < 0 || ticks != id.start_ticks) {
        close(fd);
        return wt_fail(err, WT_ENOENT, "process %d is gone", (int)id.pid);
    }
    *out = p;
    io_stream_init(&out->pidfd); /* a list node must not be copied */
    r = io_stream_open(&out->pidfd, fd);
    if (r < 0) {
        close(fd);
        return wt_fail(err, r, "watch process %d: %s", (int)id.pid, wt_code_text(r));
    }
    return 0;
}

int io_process_adopt(struct io_process_id id, struct io_process *out, struct wt_err *err)
{
    return watch(id, out, err);
}

/* ---- start ---- */

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(b, "=");
    return strncmp(a, b, n) == 0 && a[n] == '=';
}

/* Our environment with `put` over it: pointers only, the strings stay where they are. */
static char **merge_env(const char *const *put)
{
    size_t n = 0, n_put = 0;
    while (environ[n])
        n++;
    while (put && put[n_put])
        n_put++;
    char **list = wt_calloc(n + n_put + 1, sizeof *list);
    if (!list)
        return NULL;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        bool replaced = false;
        for (size_t k = 0; k < n_put && !replaced; k++)
            replaced = same_name(environ[i], put[k]);
        if (!replaced)
            list[at++] = environ[i];
    }
    for (size_t k = 0; k < n_put; k++)
        list[at++] = (char *)put[k];
    return list;
}

static int highest_target(const struct io_process_spec *spec, int report)
{
    int high = report > 2 ? report : 2;
    for (int i = 0; i < spec->n_fds; i++)
        high = spec->fds[i].as > high ? spec->fds[i].as : high;
    return high;
}

/* In the child: a target may be another's source, so all move above the highest target first. */
static int place_fds(const struct io_process_spec *spec, int *report)
{
    int above = highest_target(spec, *report) + 1;
    int moved[IO_PROCESS_FDS];
    for (int i = 0; i < spec->n_fds; i++)
        if ((moved[i] = fcntl(spec->fds[i].fd, F_DUPFD_CLOEXEC, above)) < 0)
            return -errno;
    if ((*report = fcntl(*report, F_DUPFD_CLOEXEC, above)) < 0)
        return -errno;
    if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) < 0)
        return -errno;
    for (int i = 0; i < spec->n_fds; i++)
        if (dup2(moved[i], spec->fds[i].as) < 0)
            return -errno;
    return 0;
}

/* A change of user takes all capabilities; those that shall outlive it and exec must be permitted,
 * inheritable and ambient (capabilities(7)). */
static int set_caps(uint32_t caps)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{caps, caps, caps}};
    if (syscall(SYS_capset, &head, data) < 0)
        return -errno;
    for (unsigned i = 0; i < 32; i++)
        if (caps >> i & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            return -errno;
    return 0;
}

static int become(const struct io_process_spec *spec)
{
    if (spec->new_session && setsid() < 0)
        return -errno;
    if (spec->dir && chdir(spec->dir) < 0)
        return -errno;
    if (!spec->set_ids)
        return 0;
    if (spec->keep_caps && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    if (setgroups(0, NULL) < 0 || setresgid(spec->gid, spec->gid, spec->gid) < 0 ||
        setresuid(spec->uid, spec->uid, spec->uid) < 0)
        return -errno;
    return spec->keep_caps ? set_caps(spec->keep_caps) : 0;
}

/* Between fork and exec in a process that may have threads: system calls only, no allocation, no
 * locks. */
static _Noreturn void child(const struct io_process_spec *spec, char **env, int report)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    if (!spec->same_mask)
        sigprocmask(SIG_SETMASK, &none, NULL);
    int r = place_fds(spec, &report);
    if (r == 0)
        r = become(spec);
    if (r == 0) {
        execve(spec->path, (char *const *)spec->argv, env);
        r = -errno;
    }
    ssize_t ignored = write(report, &r, sizeof r);
    (void)ignored;
    _exit(127);
}

/* 0 when the program runs (the pipe closed with exec), or why it does not. */
static int exec_result(int fd)
{
    int r = 0;
    ssize_t n;
    do
        n = read(fd, &r, sizeof r);
    while (n < 0 && errno == EINTR);
    return n == sizeof r ? r : 0;
}

static int start(const struct io_process_spec *spec, char **env, pid_t *out_pid)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        child(spec, env, report[1]);
    int r = pid < 0 ? -errno : 0;
    close(report[1]);
    if (r == 0)
        r = exec_result(report[0]);
    close(report[0]);
    if (r < 0 && pid > 0)
        waitpid(pid, NULL, 0);
    *out_pid = pid;
    return r;
}

int io_process_spawn(const struct io_process_spec *spec, struct io_process *out, struct wt_err *err)
{
    if (spec->n_fds > IO_PROCESS_FDS)
        return wt_fail(err, WT_EINVAL, "start %s: %d descriptors, at most %d are passed on",
                       spec->path, spec->n_fds, IO_PROCESS_FDS);
    char **env = merge_env(spec->env);
    if (!env)
        return wt_fail(err, WT_ENOMEM, "start %s: out of memory", spec->path);
    struct io_process_id id;
    int r = start(spec, env, &id.pid);
    wt_free(env);
    if (r < 0)
        return wt_fail(err, wt_code_from_errno(-r), "start %s: %s", spec->path, strerror(-r));
    /* Until it is waited for its pid stays its own, so this reading is of the right process. */
    r = io_process_start_ticks(id.pid, &id.start_ticks);
    if (r == 0)
        r = watch(id, out, NULL);
    if (r == 0)
        return 0;
    kill(id.pid, SIGKILL);
    waitpid(id.pid, NULL, 0);
    return wt_fail(err, r, "start %s: cannot watch it: %s", spec->path, wt_code_text(r));
}

/* ---- signals and the end ---- */

int io_process_signal(struct io_process *p, int signo)
{
    if (p->ended || p->pidfd.fd < 0)
        return WT_ENOENT;
    if (syscall(SYS_pidfd_send_signal, p->pidfd.fd, signo, NULL, 0) == 0)
        return 0;
    return errno == ESRCH ? WT_ENOENT : wt_code_from_errno(errno);
}

/* WT_EAGAIN while it runs. */
static int reap(struct io_process *p)
{
    siginfo_t info = {0};
    if (waitid((idtype_t)P_PIDFD, (id_t)p->pidfd.fd, &info, WEXITED | WNOHANG) < 0) {
        if (errno != ECHILD)
            return wt_code_from_errno(errno);
        p->end = (struct io_process_end){.how = IO_PROCESS_GONE};
    } else if (info.si_pid == 0) {
        return WT_EAGAIN;
    } else {
        p->end.how = info.si_code == CLD_EXITED ? IO_PROCESS_EXITED : IO_PROCESS_KILLED;
        p->end.value = info.si_status;
    }
    p->ended = true;
    return 0;
}

int io_process_wait(struct io_process *p, int64_t deadline_ms, struct io_process_end *out)
{
    while (!p->ended) {
        int r = io_wait(&p->pidfd, IO_IN, deadline_ms);
        if (r < 0)
            return r;
        r = reap(p);
        if (r == WT_EAGAIN)
            p->pidfd.ready = 0;
        else if (r < 0)
            return r;
    }
    *out = p->end;
    return 0;
}

void io_process_stop(struct io_process *p, int64_t kill_at_ms, struct io_process_end *out)
{
    io_process_signal(p, SIGTERM);
    if (io_process_wait(p, kill_at_ms, out) == 0)
        return;
    io_process_signal(p, SIGKILL);
    if (io_process_wait(p, IO_NEVER, out) < 0) /* cancelled: it dies without us */
        *out = (struct io_process_end){.how = IO_PROCESS_GONE};
}

void io_process_done(struct io_process *p)
{
    io_stream_close(&p->pidfd);
}
