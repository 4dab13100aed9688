#include "cli/supervisor.h"

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    RESTART_FIRST_MS = 20,
    RESTART_SOON_MS = 640, /* however often it is killed, it is back within a second … */
    RESTARTS_SOON = 20,    /* … but one that cannot live must not burn a CPU */
    RESTART_LATE_MS = 5000,
    STEADY_MS = 2000, /* having lived so long, it starts afresh */
};

/* ---- the notes ---- */

static void write_notes(struct cli_supervisor *s)
{
    struct wt_buf text = wt_buf_make(4096);
    struct wt_err err;
    for (unsigned i = 0; i < s->n_children; i++)
        if (s->children[i].process.id.pid > 0 && !s->children[i].process.ended)
            wt_buf_printf(&text, "%s %d %" PRIu64 "\n", s->children[i].name,
                          (int)s->children[i].process.id.pid,
                          s->children[i].process.id.start_ticks);
    /* No process that they name outlives a power cut; and a slow disk must not hold up a start. */
    if (io_file_put(io_sys_here(), s->notes, wt_buf_str(&text), 0600, &err) < 0)
        wt_log(WT_LOG_ERROR, "%s; a new supervisor would not find its children", err.msg);
    wt_buf_done(&text);
}

static bool find_note(struct wt_str notes, const char *name, struct io_process_id *out)
{
    while (notes.ptr) {
        struct wt_str line = wt_str_next(&notes, '\n');
        struct wt_str who = wt_str_next(&line, ' ');
        uint64_t pid, ticks;
        if (!wt_str_eq(who, wt_str_z(name)) || !wt_str_u64(wt_str_next(&line, ' '), &pid) ||
            !wt_str_u64(line, &ticks) || pid > INT32_MAX)
            continue;
        *out = (struct io_process_id){(pid_t)pid, ticks};
        return true;
    }
    return false;
}

/* ---- what was not written down: the last supervisor was killed between the start and the note
 * ---- */

enum {
    SAME_WORDS = 4 /* watari NAME --state-dir DIR: that is whose it is */,
    CMDLINE_BYTES = 4096
};

static bool runs_as(pid_t pid, uid_t uid)
{
    char path[64];
    struct wt_buf text = wt_buf_make(CMDLINE_BYTES);
    uint64_t id = UINT64_MAX;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (io_file_read(io_sys_here(), path, CMDLINE_BYTES, &text, NULL) == 0) {
        struct wt_str rest = wt_buf_str(&text);
        while (rest.ptr) {
            struct wt_str line = wt_str_next(&rest, '\n');
            if (wt_str_eq(wt_str_next(&line, '\t'), WT_STR("Uid:")) &&
                !wt_str_u64(wt_str_next(&line, '\t'), &id))
                id = UINT64_MAX;
        }
    }
    wt_buf_done(&text);
    return id == uid;
}

static bool is_child(pid_t pid, const struct cli_child *c)
{
    char path[64];
    struct wt_buf text = wt_buf_make(CMDLINE_BYTES * 2);
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    bool same = io_file_read(io_sys_here(), path, CMDLINE_BYTES * 2, &text, NULL) == 0;
    struct wt_str rest = wt_buf_str(&text);
    for (unsigned i = 0; same && i < SAME_WORDS; i++)
        same = rest.ptr && wt_str_eq(wt_str_next(&rest, '\0'), wt_str_z(c->argv[i]));
    wt_buf_done(&text);
    /* Anybody may call a process so; only ours runs as that user. */
    return same && runs_as(pid, c->user ? c->user->uid : geteuid());
}

static bool find_orphan(const struct cli_child *c, struct io_process_id *out)
{
    bool found = false;
    DIR *proc = opendir("/proc");
    for (const struct dirent *e; proc && !found && (e = readdir(proc));) {
        uint64_t pid;
        if (!wt_str_u64(wt_str_z(e->d_name), &pid) || pid > INT32_MAX || !is_child((pid_t)pid, c))
            continue;
        out->pid = (pid_t)pid;
        found = io_process_start_ticks(out->pid, &out->start_ticks) == 0;
    }
    if (proc)
        closedir(proc);
    return found;
}

/* What has ended and was not waited for by whom it was left to is no more to be had. */
static bool take(struct cli_child *c, struct io_process_id id)
{
    struct io_process_end end;
    if (io_process_adopt(id, &c->process, NULL) < 0)
        return false;
    if (io_process_wait(&c->process, io_now_ms(), &end) < 0)
        return true;
    io_process_done(&c->process);
    c->process = (struct io_process){0};
    return false;
}

static void adopt(struct cli_child *c, struct wt_str notes)
{
    struct io_process_id id;
    bool noted = find_note(notes, c->name, &id) && take(c, id);
    if (!noted && (!find_orphan(c, &id) || !take(c, id)))
        return;
    wt_log(WT_LOG_INFO, "%s (pid %d) runs already: adopted", c->name, (int)id.pid);
}

/* ---- keeping one child ---- */

static int spawn(struct cli_supervisor *s, struct cli_child *c, int null, const int *extra,
                 struct wt_err *err)
{
    struct io_process_fd fds[3 + CLI_CHILD_FDS] = {{null, 0}, {1, 1}, {2, 2}};
    unsigned n = 0;
    for (; n < CLI_CHILD_FDS && c->open_fds[n]; n++)
        fds[3 + n] = (struct io_process_fd){extra[n], CLI_CHILD_FD + (int)n};
    struct io_process_spec spec = {
        .path = s->program,
        .argv = c->argv,
        .env = c->env,
        .fds = fds,
        .n_fds = 3 + n,
        .set_ids = c->user != NULL,
        .new_session = true, /* Ctrl-C reaches the supervisor alone, which ends them in order */
        .same_mask = true,   /* a SIGHUP in its first moment would end it */
    };
    if (c->user) {
        spec.uid = c->user->uid;
        spec.gid = c->user->gid;
        spec.keep_caps = CLI_CHILD_CAPS;
    }
    return io_process_spawn(&spec, &c->process, err);
}

static int start(struct cli_supervisor *s, struct cli_child *c, struct wt_err *err)
{
    int extra[CLI_CHILD_FDS], r = 0;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (unsigned i = 0; r == 0 && i < CLI_CHILD_FDS && c->open_fds[i]; i++) {
        extra[i] = c->open_fds[i](c->ctx, err);
        r = extra[i] < 0 ? extra[i] : 0;
    }
    if (r == 0 && null < 0)
        r = wt_fail(err, wt_code_from_errno(errno), "/dev/null: %s", strerror(errno));
    if (r == 0)
        r = spawn(s, c, null, extra, err);
    if (null >= 0)
        close(null);
    if (r < 0)
        return wt_wrap(err, r, "start %s", c->name);
    c->started_ms = io_now_ms();
    wt_log(WT_LOG_INFO, "%s started (pid %d)", c->name, (int)c->process.id.pid);
    write_notes(s);
    return 0;
}

static void tell_end(const struct cli_child *c)
{
    static const char *const how[] = {
        [IO_PROCESS_EXITED] = "exited with status",
        [IO_PROCESS_KILLED] = "was killed by signal",
        [IO_PROCESS_GONE] = "ended; how is not known",
    };
    char value[16] = "";
    if (c->process.end.how != IO_PROCESS_GONE)
        snprintf(value, sizeof value, " %d", c->process.end.value);
    wt_log(WT_LOG_WARN, "%s (pid %d) %s%s", c->name, (int)c->process.id.pid,
           how[c->process.end.how], value);
}

static int64_t pause_before_restart(struct cli_child *c)
{
    if (io_now_ms() - c->started_ms > STEADY_MS)
        c->restarts = 0;
    int64_t ms = RESTART_FIRST_MS;
    for (unsigned i = 0; i < c->restarts && ms < RESTART_SOON_MS; i++)
        ms *= 2;
    return c->restarts++ < RESTARTS_SOON ? ms : RESTART_LATE_MS;
}

/* Its own first words are that it was called wrongly: it would say so for ever. */
static bool is_hopeless(const struct cli_child *c)
{
    return c->process.end.how == IO_PROCESS_EXITED && c->process.end.value == CLI_USAGE &&
           c->restarts == 0 && io_now_ms() - c->started_ms < STEADY_MS;
}

struct keep {
    struct cli_supervisor *supervisor;
    struct cli_child *child;
};

static void keep_running(struct cli_supervisor *s, struct cli_child *c)
{
    while (!s->stopping) {
        struct io_process_end end;
        struct wt_err err;
        if (io_process_wait(&c->process, IO_NEVER, &end) < 0 || s->stopping)
            return;
        tell_end(c);
        io_process_done(&c->process);
        if (is_hopeless(c)) {
            s->hopeless = true;
            kill(getpid(), SIGTERM);
            return;
        }
        do {
            if (io_sleep_until(io_now_ms() + pause_before_restart(c)) < 0 || s->stopping)
                return;
            int r = start(s, c, &err);
            if (r == 0)
                break;
            wt_log(WT_LOG_ERROR, "%s", err.msg);
        } while (!s->stopping);
    }
}

static void keeper(void *arg)
{
    struct keep k = *(struct keep *)arg;
    wt_free_ptr(&arg);
    keep_running(k.supervisor, k.child);
}

void cli_supervisor_adopt(struct cli_supervisor *s)
{
    struct wt_buf notes = wt_buf_make(4096);
    if (io_file_read(io_sys_here(), s->notes, 4096, &notes, NULL) == 0)
        for (unsigned i = 0; i < s->n_children; i++)
            adopt(&s->children[i], wt_buf_str(&notes));
    wt_buf_done(&notes);
}

int cli_supervisor_start(struct cli_supervisor *s, struct wt_err *err)
{
    for (unsigned i = 0; i < s->n_children; i++) {
        struct cli_child *c = &s->children[i];
        struct keep *k = wt_malloc(sizeof *k);
        int r = k ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
        if (r == 0 && c->process.id.pid <= 0)
            r = start(s, c, err);
        if (r < 0) {
            wt_free(k);
            return r;
        }
        *k = (struct keep){s, c};
        r = io_spawn(IO_STACK_FLOW, keeper, k, &c->fiber);
        if (r < 0)
            return wt_fail(err, r, "out of memory");
    }
    write_notes(s);
    return 0;
}

void cli_supervisor_hangup(struct cli_supervisor *s)
{
    for (unsigned i = 0; i < s->n_children; i++)
        if (s->children[i].process.id.pid > 0)
            io_process_signal(&s->children[i].process, SIGHUP);
}

void cli_supervisor_stop(struct cli_supervisor *s, int64_t patience_ms)
{
    s->stopping = true;
    for (unsigned i = s->n_children; i-- > 0;) {
        struct cli_child *c = &s->children[i];
        struct io_process_end end;
        if (c->fiber) {
            io_cancel(c->fiber);
            io_join(c->fiber);
        }
        if (c->process.id.pid > 0 && !c->process.ended)
            io_process_stop(&c->process, io_now_ms() + patience_ms, &end);
    }
    write_notes(s);
}
