/* `watari up`: everything on one machine. Opens the directories, holds the sockets, keeps the processes. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/sockets.h"
#include "cli/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

struct up {
    struct cli_texts files;
    const char *state_dir, *listen, *admin, *access_log, *log_format, *workers, *drain;
    char state[200], run[200], proxy_state[240], control_socket[240], supervisor_socket[240],
        notes[240], program[1024];
    struct cli_child children[2];
    struct cli_supervisor supervisor;
    struct cli_sockets *sockets;
    struct wt_err err;
};

static int make_dir(const char *path, struct wt_err *err)
{
    char piece[256];
    for (size_t i = 1; path[i - 1]; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        snprintf(piece, sizeof piece, "%.*s", (int)i, path);
        if (mkdir(piece, 0750) < 0 && errno != EEXIST)
            return wt_fail(err, wt_code_from_errno(errno), "make directory %s: %s", piece, strerror(errno));
        if (!path[i])
            break;
    }
    return 0;
}

static int make_places(struct up *u, struct wt_err *err)
{
    cli_state_dir(u->state_dir, u->state, sizeof u->state);
    cli_run_dir(u->state_dir, u->run, sizeof u->run);
    snprintf(u->proxy_state, sizeof u->proxy_state, "%s/proxy", u->state);
    snprintf(u->control_socket, sizeof u->control_socket, "%s/api.sock", u->run);
    snprintf(u->supervisor_socket, sizeof u->supervisor_socket, "%s/supervisor.sock", u->run);
    snprintf(u->notes, sizeof u->notes, "%s/children", u->run);
    ssize_t n = readlink("/proc/self/exe", u->program, sizeof u->program - 1);
    if (n < 0)
        return wt_fail(err, WT_EIO, "/proc/self/exe: %s", strerror(errno));
    u->program[n] = '\0';
    int r = make_dir(u->state, err);
    if (r == 0)
        r = make_dir(u->run, err);
    return r == 0 ? make_dir(u->proxy_state, err) : r;
}

/* One supervisor a run directory; the lock goes with the process, however it ends. */
static int lock(struct up *u, struct wt_err *err)
{
    char path[260];
    snprintf(path, sizeof path, "%s/up.lock", u->run);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return wt_fail(err, wt_code_from_errno(errno), "%s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return wt_fail(err, WT_EEXIST, "another `watari up` runs with %s", u->run);
    return 0;
}

struct words {
    struct cli_child *child;
    unsigned n;
};

static void say(struct words *w, const char *option, const char *value)
{
    if (!value || w->n + 3 > CLI_CHILD_ARGS)
        return;
    if (option)
        w->child->argv[w->n++] = option;
    w->child->argv[w->n++] = value;
    w->child->argv[w->n] = NULL;
}

static void plan_children(struct up *u)
{
    struct words control = {&u->children[0], 0}, proxy = {&u->children[1], 0};
    u->children[0].name = "control";
    say(&control, NULL, "watari");
    say(&control, NULL, "control");
    say(&control, "--state-dir", u->state);
    say(&control, "--run-dir", u->run);
    say(&control, "--listen", u->listen);
    for (unsigned i = 0; i < u->files.n; i++)
        say(&control, "-f", u->files.items[i]);
    u->children[1].name = "proxy";
    say(&proxy, NULL, "watari");
    say(&proxy, NULL, "proxy");
    say(&proxy, "--state-dir", u->proxy_state);
    say(&proxy, "--control", u->control_socket);
    say(&proxy, "--supervisor", u->supervisor_socket);
    say(&proxy, "--admin", u->admin);
    say(&proxy, "--workers", u->workers);
    say(&proxy, "--access-log", u->access_log);
    say(&proxy, "--access-log-format", u->log_format);
    say(&proxy, "--drain-seconds", u->drain);
}

static int wait_for_signal(void)
{
    struct signalfd_siginfo info;
    struct io_stream s;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    io_stream_init(&s);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    int r = fd < 0 ? WT_EIO : io_stream_open(&s, fd);
    while (r >= 0 && read(fd, &info, sizeof info) != sizeof info) {
        s.ready = 0;
        r = io_wait(&s, IO_IN, IO_NEVER);
    }
    io_stream_close(&s);
    return r < 0 ? r : (int)info.ssi_signo;
}

static int up_fiber(void *ctx)
{
    struct up *u = ctx;
    int r = make_places(u, &u->err);
    if (r == 0)
        r = lock(u, &u->err);
    if (r == 0)
        r = cli_sockets_new(u->supervisor_socket, &u->sockets, &u->err);
    if (r < 0)
        return cli_fail("up", &u->err);
    plan_children(u);
    u->supervisor = (struct cli_supervisor){
        .program = u->program, .notes = u->notes, .children = u->children, .n_children = 2};
    r = cli_supervisor_start(&u->supervisor, &u->err);
    if (r < 0)
        cli_fail("up", &u->err);
    else
        wait_for_signal();
    wt_log(WT_LOG_INFO, "ending");
    cli_supervisor_stop(&u->supervisor, 60 * 1000);
    exit(r < 0 ? CLI_FAILED : CLI_OK);
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

int cli_up(int argc, char **argv)
{
    static struct up u;
    struct cli_texts operands = {0};
    bool help = false;
    u = (struct up){.listen = "127.0.0.1:7070", .admin = "127.0.0.1:7071", .access_log = "-"};
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &u.files, "FILE|DIR", "documents; watched for changes"},
        {0, "state-dir", CLI_TEXT, &u.state_dir, "DIR", "state and sockets (/var/lib/watari, /run/watari)"},
        {0, "listen", CLI_TEXT, &u.listen, "ADDR:PORT", "the API (127.0.0.1:7070)"},
        {0, "admin", CLI_TEXT, &u.admin, "ADDR:PORT", "the proxy's metrics and admin (127.0.0.1:7071)"},
        {0, "workers", CLI_TEXT, &u.workers, "N", "threads of the proxy (default: the CPUs it may use)"},
        {0, "access-log", CLI_TEXT, &u.access_log, "FILE", "where to; - is standard output, off none"},
        {0, "access-log-format", CLI_TEXT, &u.log_format, "text|json", "Envoy's default text, or JSON"},
        {0, "drain-seconds", CLI_TEXT, &u.drain, "N", "most time the proxy takes to end (30)"},
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    enum { N = sizeof options / sizeof options[0] };
    int r = cli_args_parse(argc, argv, options, N, &operands, &u.err);
    if (help) {
        puts("usage: watari up -f FILE|DIR");
        cli_args_help(options, N);
        return CLI_OK;
    }
    if (r == 0 && operands.n)
        r = wt_fail(&u.err, WT_EINVAL, "\"%s\" is no option; did you mean -f %s?", operands.items[0],
                    operands.items[0]);
    if (r < 0)
        return cli_fail("up", &u.err);
    block_signals();
    return cli_run(up_fiber, &u);
}
