#include "cli/cli.h"
#include "cli/client.h"
#include "cli/docs.h"
#include "cli/reach.h"
#include "io/sandbox.h"
#include "proxy/proxy.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The snapshot of files on a command line: for a proxy that needs no control. */
static int add_doc(void *ctx, const struct model_doc *doc)
{
    struct model_snapshot *s = ctx;
    char key[MODEL_KEY_MAX];
    int r = model_fill(doc->json);
    if (r == 0)
        r = model_snapshot_set(s, wt_str_z(model_key(doc->json, key, sizeof key)), 1, doc->json);
    return r;
}

static int fixed_snapshot(const struct cli_texts *files, struct model_snapshot **out,
                          struct wt_err *err)
{
    struct cli_docs docs;
    int r = cli_docs_read(files, &docs, err);
    cli_docs_complain(&docs);
    struct model_snapshot *s = r == 0 ? model_snapshot_new(WT_STR("files")) : NULL;
    if (r == 0)
        r = s ? cli_docs_each(&docs, add_doc, s) : WT_ENOMEM;
    if (r == WT_ENOMEM)
        wt_fail(err, r, "out of memory");
    cli_docs_done(&docs);
    if (r < 0)
        model_snapshot_free(s);
    else
        *out = s;
    return r < 0 ? r : 0;
}

static const struct cli_usage usage = {
    "proxy", "proxy [-f FILE|DIR]",
    "The data plane alone: serves what control publishes, or files, without control. `watari up` "
    "starts it.\n"
    "SIGTERM drains and ends it, SIGHUP opens the access log anew.",
    .examples = {"proxy -f site.yaml", "proxy --control /run/watari/api.sock"}};

struct asked {
    struct cli_texts files;
    const char *state_dir, *admin, *log, *format, *control, *name, *supervisor;
    unsigned workers, drain_s, client_conns, trace_percent;
    int64_t header_ms, body_ms, idle_ms;
    uint64_t memory_bytes, request_bytes;
    bool help, sandbox;
};

static int parse(int argc, char **argv, struct asked *a, struct wt_err *err)
{
    struct cli_texts operands = {0};
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &a->files, "FILE|DIR", "serve these, without control"},
        {0, "control", CLI_TEXT, &a->control, "SOCKET", "control's unix socket"},
        {0, "name", CLI_TEXT, &a->name, "NAME", "what control knows this proxy by"},
        {0, "state-dir", CLI_TEXT, &a->state_dir, "DIR",
         "its last good snapshot, verdicts, the site's key"},
        {0, "admin", CLI_TEXT, &a->admin, "ADDR:PORT",
         "metrics and admin; port 0 picks one (127.0.0.1:7071)"},
        {0, "workers", CLI_COUNT, &a->workers, "N", "threads (default: the CPUs it may use)"},
        {0, "access-log", CLI_TEXT, &a->log, "FILE", "where to; - is standard output, off none"},
        {0, "access-log-format", CLI_TEXT, &a->format, "text|json",
         "Envoy's default text, or JSON"},
        {0, "drain-seconds", CLI_COUNT, &a->drain_s, "N",
         "most time between SIGTERM and the end (30)"},
        {0, "header-timeout", CLI_DURATION, &a->header_ms, "TIME",
         "most time for a request's head (15s)"},
        {0, "body-timeout", CLI_DURATION, &a->body_ms, "TIME",
         "most silence within a body, either way (60s)"},
        {0, "idle-timeout", CLI_DURATION, &a->idle_ms, "TIME",
         "most time between two requests of a client (5m)"},
        {0, "max-request-bytes", CLI_BYTES, &a->request_bytes, "BYTES",
         "of a request's body, else 413 (default: no limit)"},
        {0, "max-connections-per-client", CLI_COUNT, &a->client_conns, "N",
         "by address, IPv6 by /64 (default: half of all)"},
        {0, "trace-percent", CLI_COUNT, &a->trace_percent, "N",
         "of requests without a traceparent that begin a sampled trace (0)"},
        {0, "memory-limit", CLI_BYTES, &a->memory_bytes, "BYTES",
         "shrinks at 95 %, refuses at 98 % (default: the cgroup's limit)"},
        {0, "supervisor", CLI_TEXT, &a->supervisor, "SOCKET",
         "who holds the listening sockets; set by `watari up`"},
        {0, "sandbox", CLI_FLAG, &a->sandbox, "",
         "gives up what it does not need: Landlock, seccomp"},
        {'h', "help", CLI_FLAG, &a->help, "", "this text"},
    };
    enum { N = sizeof options / sizeof options[0] };
    int r = cli_args_parse(argc, argv, options, N, &operands, err);
    if (a->help) {
        cli_args_help(&usage, options, N);
        return 0;
    }
    if (r < 0)
        return r;
    if (operands.n)
        return wt_fail(err, WT_EINVAL, "\"%s\" is no option", operands.items[0]);
    if (strcmp(a->format, "text") != 0 && strcmp(a->format, "json") != 0)
        return wt_fail(err, WT_EINVAL, "--access-log-format is text or json, not \"%s\"",
                       a->format);
    if (a->trace_percent > 100)
        return wt_fail(err, WT_EINVAL, "--trace-percent %u is over 100", a->trace_percent);
    if (!a->files.n && !a->control)
        return wt_fail(err, WT_EINVAL,
                       "give it --control SOCKET, or -f FILE to serve without control");
    return 0;
}

/* As a child of `watari up` it could read whatever root can, to get at its own places and to be
 * started at all. Who takes it over shall not be able to: it meets everybody's bytes. */
static int give_up_root(struct proxy_options *o, struct wt_err *err)
{
    enum { PLACES = 4 };
    static struct cli_reach places[PLACES]; /* the options point into it to the end */
    places[0] = (struct cli_reach){.path = &o->state_dir, .is_dir = true};
    places[1] = (struct cli_reach){.path = &o->control_socket};
    places[2] = (struct cli_reach){.path = &o->supervisor};
    places[3] = (struct cli_reach){.path = &o->access_log};
    return geteuid() == 0 ? 0 : cli_reach_give_up(places, PLACES, err);
}

static int run(const struct asked *a, struct wt_err *err)
{
    char state[256];
    cli_state_dir(a->state_dir, state, sizeof state);
    mkdir(state, 0750);
    struct proxy_options o = {
        .name = a->name,
        .state_dir = state,
        .control_socket = a->control,
        .admin = a->admin,
        .access_log = strcmp(a->log, "off") == 0 ? NULL : a->log,
        .log_json = strcmp(a->format, "json") == 0,
        .workers = a->workers,
        .drain_ms = (int64_t)a->drain_s * 1000,
        .header_timeout_ms = a->header_ms,
        .body_timeout_ms = a->body_ms,
        .idle_timeout_ms = a->idle_ms,
        .client_conns = a->client_conns,
        .trace_percent = a->trace_percent,
        .memory_limit_bytes = a->memory_bytes,
        .max_request_bytes = a->request_bytes,
        .supervisor = a->supervisor,
    };
    int r = a->files.n ? fixed_snapshot(&a->files, &o.fixed, err) : 0;
    if (r == 0 && a->supervisor)
        r = give_up_root(&o, err);
    const struct io_sandbox confined = {.dirs = (const char *const[]){o.state_dir, NULL},
                                        .log = strcmp(a->log, "-") == 0 ? NULL : o.access_log};
    if (r == 0 && a->sandbox)
        r = io_sandbox_enter(&confined, err);
    return r < 0 ? r : proxy_run(&o, err);
}

int cli_proxy(int argc, char **argv)
{
    struct asked a = {
        .admin = "127.0.0.1:7071", .log = "-", .format = "text", .name = "proxy", .drain_s = 30};
    struct wt_err err;
    int r = parse(argc, argv, &a, &err);
    if (a.help)
        return CLI_OK;
    if (r == 0)
        r = run(&a, &err);
    int code = r < 0 ? cli_fail("proxy", &err) : CLI_OK;
    /* Drained or not, flows of the main thread (sync, probes, admin) still wait on their stacks:
     * they end with the process. */
    fflush(NULL);
    _exit(code);
}
