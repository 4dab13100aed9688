/* `watari up`: everything on one machine. Holds the sockets, keeps the processes. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/docs.h"
#include "cli/holder.h"
#include "cli/places.h"
#include "cli/sockets.h"
#include "cli/supervisor.h"
#include "control/control.h"
#include "control/files.h"
#include "io/signals.h"
#include "proxy/resolve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DRAIN_S = 30, MARGIN_MS = 15 * 1000, BACKLOG = 128, DYING_MS = 2000 };

struct up {
    struct cli_texts files;
    const char *state_dir, *listen, *admin, *access_log, *log_format, *workers;
    const char *header_timeout, *body_timeout, *idle_timeout; /* the proxy's; NULL: its defaults */
    const char *request_bytes, *client_conns, *memory, *trace_percent;
    unsigned drain_s, rest_s;
    bool no_sandbox, no_users;
    char program[1024], drain[16], rest[16];
    struct cli_places places;
    struct cli_users users;
    struct cli_child children[2];
    struct cli_supervisor supervisor;
    struct cli_sockets *sockets;
    int api_fd, listen_fd; /* -1 while an adopted control has them for itself */
    struct wt_err err;
};

static int find_program(struct up *u, struct wt_err *err)
{
    ssize_t n = readlink("/proc/self/exe", u->program, sizeof u->program - 1);
    if (n < 0)
        return wt_fail(err, WT_EIO, "/proc/self/exe: %s", strerror(errno));
    u->program[n] = '\0';
    return 0;
}

/* ---- the API's sockets: held here, so that callers wait while control is restarted ---- */

static int own_api_socket(struct up *u, const char *path, struct wt_err *err)
{
    if (chmod(path, 0660) == 0 &&
        (!u->users.on || lchown(path, u->users.control.uid, u->users.proxy.gid) == 0))
        return 0;
    return wt_fail(err, wt_code_from_errno(errno), "%s: %s", path, strerror(errno));
}

static int open_api_socket(void *ctx, struct wt_err *err)
{
    struct up *u = ctx;
    union io_addr addr;
    if (u->api_fd >= 0)
        return u->api_fd;
    int r = io_addr_parse(wt_str_z(u->places.api_socket), 0, &addr, err);
    int fd = r == 0 ? io_listen(io_sys_here(), &addr, BACKLOG, err) : r;
    r = fd < 0 ? fd : own_api_socket(u, u->places.api_socket, err);
    if (r < 0 && fd >= 0)
        close(fd);
    if (r == 0)
        u->api_fd = fd;
    return r < 0 ? r : fd;
}

/* Puts what the address is for before the sentence; who has it, and what to do, behind. */
static int no_address(const char *what, const char *option, const char *text, struct wt_err *err)
{
    union io_addr addr;
    char holder[CLI_HOLDER_BYTES] = "";
    struct wt_err why = *err;
    if (why.code == WT_EINVAL) /* the text, not the address */
        return why.code;
    if (proxy_resolve_literal(wt_str_z(text), &addr, NULL) == 0)
        cli_holder(&addr, holder);
    return wt_fail(err, why.code, "%s: %s%s; %s ADDR:PORT chooses another, port 0 a free one", what,
                   why.msg, holder, option);
}

static int open_listen(void *ctx, struct wt_err *err)
{
    struct up *u = ctx;
    if (u->listen_fd >= 0)
        return u->listen_fd;
    int fd = control_listen(u->listen, err);
    if (fd < 0)
        return no_address("the API", "--listen", u->listen, err);
    u->listen_fd = fd;
    return fd;
}

/* The proxy opens it itself, and goes on without as long as it cannot: its users come first. Only
 * who starts it all is told at once. */
static int try_admin(const struct up *u, struct wt_err *err)
{
    union io_addr addr;
    int r = proxy_resolve_literal(wt_str_z(u->admin), &addr, err);
    if (r < 0)
        return wt_wrap(err, r, "--admin");
    int fd = io_listen(io_sys_here(), &addr, BACKLOG, err);
    if (fd < 0)
        return no_address("metrics and admin of the proxy", "--admin", u->admin, err);
    close(fd);
    return 0;
}

/* ---- the children's command lines ---- */

struct words {
    struct cli_child *child;
    unsigned n;
};

static void say(struct words *w, const char *option, const char *value)
{
    if ((option && !value) || w->n + 3 > CLI_CHILD_ARGS)
        return;
    if (option)
        w->child->argv[w->n++] = option;
    w->child->argv[w->n++] = value;
    w->child->argv[w->n] = NULL;
}

static void plan_control(struct up *u, struct cli_child *c)
{
    struct words control = {c, 0};
    *c = (struct cli_child){.name = "control",
                            .env = {u->places.temp},
                            .user = u->users.on ? &u->users.control : NULL,
                            .open_fds = {open_api_socket, open_listen},
                            .ctx = u};
    say(&control, NULL, "watari");
    say(&control, NULL, "control");
    say(&control, "--state-dir", u->places.control_state);
    say(&control, "--run-dir", u->places.run);
    say(&control, "--socket-fd", "3");
    say(&control, "--listen-fd", "4");
    snprintf(u->rest, sizeof u->rest, "%u", u->rest_s);
    say(&control, "--remove-after", u->rest);
    if (!u->no_sandbox)
        say(&control, NULL, "--sandbox");
    for (unsigned i = 0; i < u->files.n; i++)
        say(&control, "-f", u->files.items[i]);
}

static void plan_proxy(struct up *u, struct cli_child *c)
{
    struct words proxy = {c, 0};
    *c = (struct cli_child){.name = "proxy", .user = u->users.on ? &u->users.proxy : NULL};
    snprintf(u->drain, sizeof u->drain, "%u", u->drain_s);
    say(&proxy, NULL, "watari");
    say(&proxy, NULL, "proxy");
    say(&proxy, "--state-dir", u->places.proxy_state);
    say(&proxy, "--control", u->places.api_socket);
    say(&proxy, "--supervisor", u->places.supervisor_socket);
    say(&proxy, "--admin", u->admin);
    say(&proxy, "--workers", u->workers);
    say(&proxy, "--access-log", u->access_log);
    say(&proxy, "--access-log-format", u->log_format);
    say(&proxy, "--drain-seconds", u->drain);
    say(&proxy, "--header-timeout", u->header_timeout);
    say(&proxy, "--body-timeout", u->body_timeout);
    say(&proxy, "--idle-timeout", u->idle_timeout);
    say(&proxy, "--max-request-bytes", u->request_bytes);
    say(&proxy, "--max-connections-per-client", u->client_conns);
    say(&proxy, "--memory-limit", u->memory);
    say(&proxy, "--trace-percent", u->trace_percent);
    if (!u->no_sandbox)
        say(&proxy, NULL, "--sandbox");
}

/* ---- before anything is started ---- */

/* The proxy's own options go to it as they were written: it would end with a sentence each time it
 * is started. */
static int check_proxy_options(const struct up *u, struct wt_err *err)
{
    union {
        unsigned count;
        int64_t ms;
        uint64_t bytes;
    } unused;
    const struct {
        const char *name, *text;
        enum cli_option_kind kind;
    } rows[] = {
        {"workers", u->workers, CLI_COUNT},
        {"header-timeout", u->header_timeout, CLI_DURATION},
        {"body-timeout", u->body_timeout, CLI_DURATION},
        {"idle-timeout", u->idle_timeout, CLI_DURATION},
        {"max-request-bytes", u->request_bytes, CLI_BYTES},
        {"max-connections-per-client", u->client_conns, CLI_COUNT},
        {"memory-limit", u->memory, CLI_BYTES},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof rows / sizeof rows[0]; i++) {
        const struct cli_option option = {
            .name = rows[i].name, .kind = rows[i].kind, .out = &unused};
        r = rows[i].text ? cli_args_store(&option, rows[i].text, err) : 0;
    }
    if (r == 0 && u->log_format && strcmp(u->log_format, "text") != 0 &&
        strcmp(u->log_format, "json") != 0)
        r = wt_fail(err, WT_EINVAL, "--access-log-format is text or json, not \"%s\"",
                    u->log_format);
    return r;
}

static bool is_first_start(const struct up *u)
{
    char path[CLI_PLACE_BYTES + 16];
    snprintf(path, sizeof path, "%s/control.db", u->places.control_state);
    return access(path, F_OK) < 0 && errno == ENOENT;
}

/* Later what was served before is served on, whatever the files say now, and control tells. The
 * first time there is nothing to serve, and whoever starts it is still looking. */
static int check_files(struct up *u)
{
    struct cli_docs docs;
    for (unsigned i = 0; i < u->files.n; i++)
        if (strcmp(u->files.items[i], "-") == 0)
            return wt_fail(&u->err, WT_EINVAL,
                           "-f -: files are followed when they change, standard input cannot be");
    if (!is_first_start(u))
        return 0;
    if (!u->files.n) {
        wt_log(WT_LOG_WARN,
               "nothing to serve yet: %s is empty, and there is no -f. Start it as `watari up -f "
               "FILE`, or give it objects now: `watari apply -f FILE%s%s`",
               u->places.state, u->state_dir ? " --state-dir " : "",
               u->state_dir ? u->state_dir : "");
        return 0;
    }
    for (unsigned i = 0; i < u->files.n; i++) {
        struct stat st;
        const char *path = u->files.items[i];
        if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            return wt_fail(&u->err, WT_EINVAL, "%s: neither a file nor a directory", path);
    }
    int r = cli_docs_read(&u->files, &docs, &u->err);
    if (r < 0 && docs.errors.n_errors) {
        cli_docs_complain(&docs);
        wt_fail(&u->err, r, "the files are wrong: nothing was started");
    } else if (r < 0) {
        r = wt_wrap(&u->err, r == WT_ENOMEM ? r : WT_EINVAL, "nothing was started");
    }
    cli_docs_done(&docs);
    return r;
}

/* ---- running ---- */

/* SIGHUP: a log that was rotated gets its owner before the proxy opens it. */
static void hangup(struct up *u)
{
    cli_places_give_log(u->access_log, &u->users);
    cli_supervisor_hangup(&u->supervisor);
}

static int wait_for_signal(struct up *u)
{
    struct io_stream s;
    int r = io_signals_open(&s, NULL);
    while (r >= 0 && (r = io_signals_wait(&s, IO_NEVER)) == SIGHUP)
        hangup(u);
    io_stream_close(&s);
    return r;
}

static int prepare(struct up *u, struct wt_err *err)
{
    int r = find_program(u, err);
    if (r == 0)
        r = cli_places_lock(&u->places, err);
    if (r < 0)
        return r;
    if (!u->no_users)
        cli_users_find(u->program, &u->users);
    r = cli_places_give(&u->places, &u->users, err);
    if (r < 0)
        return r;
    cli_places_give_log(u->access_log, &u->users);
    return cli_sockets_new(u->places.supervisor_socket, u->users.on ? &u->users.proxy : NULL,
                           &u->sockets, err);
}

static int try_ports(struct up *u, struct wt_err *err)
{
    int r = 0;
    if (u->children[0].process.id.pid <= 0) {
        int fd = open_listen(u, err);
        r = fd < 0 ? fd : 0;
    }
    if (r == 0 && u->children[1].process.id.pid <= 0)
        r = try_admin(u, err);
    return r;
}

/* A port that somebody else has would be tried for ever. Before anything is started or ended: what
 * was adopted goes on, as it did without us. A process that was killed has its sockets for a moment
 * longer, and is no more to be seen. */
static int check_ports(struct up *u, struct wt_err *err)
{
    int64_t until_ms = io_now_ms() + DYING_MS;
    int r = try_ports(u, err);
    while (r == WT_EIO && !strstr(err->msg, "(pid ") && io_now_ms() < until_ms) {
        if (io_sleep_until(io_now_ms() + DYING_MS / 20) < 0)
            return WT_ECANCELED;
        r = try_ports(u, err);
    }
    return r;
}

static int up_fiber(void *ctx)
{
    struct up *u = ctx;
    int r = prepare(u, &u->err);
    if (r < 0)
        return cli_fail("up", &u->err);
    plan_control(u, &u->children[0]);
    plan_proxy(u, &u->children[1]);
    u->supervisor = (struct cli_supervisor){
        .program = u->program, .notes = u->places.notes, .children = u->children, .n_children = 2};
    cli_supervisor_adopt(&u->supervisor);
    if (check_ports(u, &u->err) < 0) {
        unlink(u->places.supervisor_socket);
        exit(cli_fail("up", &u->err));
    }
    r = cli_supervisor_start(&u->supervisor, &u->err);
    if (r < 0)
        cli_fail("up", &u->err);
    else
        wait_for_signal(u);
    wt_log(WT_LOG_INFO, "ending");
    cli_supervisor_stop(&u->supervisor, (int64_t)u->drain_s * 1000 + MARGIN_MS);
    unlink(u->places.api_socket);
    unlink(u->places.supervisor_socket);
    exit(r < 0 ? CLI_FAILED : u->supervisor.hopeless ? CLI_USAGE : CLI_OK);
}

static const struct cli_usage usage = {
    "up", "up -f FILE|DIR",
    "Runs control and a proxy on this machine, restarts what ends, and holds the listening sockets "
    "meanwhile.\n"
    "Started as root it runs each as a user of its own: watari-control and watari-proxy, or the "
    "numbers 61070\n"
    "and 61071 where the system has no such users. SIGTERM ends all, SIGHUP opens the access log "
    "anew and reads\n"
    "the files again. When it is killed the others go on; start it again and it takes them over.",
    .examples = {"up -f site.yaml", "up -f sites/ --state-dir /srv/watari",
                 "up -f site.yaml --listen 127.0.0.1:0 --admin 127.0.0.1:0"}};

int cli_up(int argc, char **argv)
{
    static struct up u;
    struct cli_texts operands = {0};
    bool help = false;
    int code;
    u = (struct up){.listen = "127.0.0.1:7070",
                    .admin = "127.0.0.1:7071",
                    .access_log = "-",
                    .drain_s = DRAIN_S,
                    .rest_s = CONTROL_FILES_REST_S,
                    .api_fd = -1,
                    .listen_fd = -1};
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &u.files, "FILE|DIR", "documents; watched for changes"},
        {0, "remove-after", CLI_COUNT, &u.rest_s, "N", "seconds till what no file names goes (10)"},
        {0, "state-dir", CLI_TEXT, &u.state_dir, "DIR",
         "state and sockets (/var/lib/watari, /run/watari)"},
        {0, "listen", CLI_TEXT, &u.listen, "ADDR:PORT", "the API (127.0.0.1:7070)"},
        {0, "admin", CLI_TEXT, &u.admin, "ADDR:PORT",
         "the proxy's metrics and admin (127.0.0.1:7071)"},
        {0, "workers", CLI_TEXT, &u.workers, "N",
         "threads of the proxy (default: the CPUs it may use)"},
        {0, "access-log", CLI_TEXT, &u.access_log, "FILE", "where to; - is stdout, off is none"},
        {0, "access-log-format", CLI_TEXT, &u.log_format, "text|json",
         "Envoy's default text, or JSON"},
        {0, "drain-seconds", CLI_COUNT, &u.drain_s, "N", "most time the proxy takes to end (30)"},
        {0, "header-timeout", CLI_TEXT, &u.header_timeout, "TIME", "for a request's head (15s)"},
        {0, "body-timeout", CLI_TEXT, &u.body_timeout, "TIME",
         "most silence within a body, either way (60s)"},
        {0, "idle-timeout", CLI_TEXT, &u.idle_timeout, "TIME",
         "most time between two requests of a client (5m)"},
        {0, "max-request-bytes", CLI_TEXT, &u.request_bytes, "BYTES",
         "of a request's body, else 413 (default: no limit)"},
        {0, "max-connections-per-client", CLI_TEXT, &u.client_conns, "N",
         "by address, IPv6 by /64 (default: half of all)"},
        {0, "memory-limit", CLI_TEXT, &u.memory, "BYTES",
         "the proxy shrinks at 95 %, refuses at 98 % (default: the cgroup's limit)"},
        {0, "trace-percent", CLI_TEXT, &u.trace_percent, "N",
         "of requests without a traceparent that begin a sampled trace (0)"},
        {0, "no-sandbox", CLI_FLAG, &u.no_sandbox, "", "children without Landlock and seccomp"},
        {0, "no-users", CLI_FLAG, &u.no_users, "", "all as root, if started as root"},
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, sizeof options / sizeof options[0], &operands,
                        &code))
        return code;
    int r = operands.n ? wt_fail(&u.err, WT_EINVAL, "\"%s\" is no option; did you mean -f %s?",
                                 operands.items[0], operands.items[0])
                       : check_proxy_options(&u, &u.err);
    if (r < 0)
        return cli_args_wrong(&usage, &u.err);
    if (strcmp(u.access_log, "/dev/stdout") == 0) /* another user cannot open it again */
        u.access_log = "-";
    cli_places_init(&u.places, u.state_dir);
    if (check_files(&u) < 0)
        return cli_fail("up", &u.err);
    io_signals_block();
    return cli_run(up_fiber, &u);
}
