#include "cli/cli.h"
#include "cli/client.h"
#include "cli/docs.h"
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

int cli_proxy(int argc, char **argv)
{
    struct cli_texts files = {0}, operands = {0};
    struct wt_err err;
    char state[256];
    const char *state_dir = NULL, *admin = "127.0.0.1:7071", *log = "-", *format = "text";
    const char *control = NULL, *name = "proxy", *supervisor = NULL;
    unsigned workers = 0, drain_s = 30;
    bool help = false, sandbox = false;
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &files, "FILE|DIR", "serve these, without control"},
        {0, "control", CLI_TEXT, &control, "SOCKET", "control's unix socket"},
        {0, "name", CLI_TEXT, &name, "NAME", "what control knows this proxy by"},
        {0, "state-dir", CLI_TEXT, &state_dir, "DIR",
         "its last good snapshot, verdicts, the site's key"},
        {0, "admin", CLI_TEXT, &admin, "ADDR:PORT",
         "metrics and admin; port 0 picks one (127.0.0.1:7071)"},
        {0, "workers", CLI_COUNT, &workers, "N", "threads (default: the CPUs it may use)"},
        {0, "access-log", CLI_TEXT, &log, "FILE", "where to; - is standard output, off none"},
        {0, "access-log-format", CLI_TEXT, &format, "text|json", "Envoy's default text, or JSON"},
        {0, "drain-seconds", CLI_COUNT, &drain_s, "N",
         "most time between SIGTERM and the end (30)"},
        {0, "supervisor", CLI_TEXT, &supervisor, "SOCKET",
         "who holds the listening sockets; set by `watari up`"},
        {0, "sandbox", CLI_FLAG, &sandbox, "", "gives up what it does not need: Landlock, seccomp"},
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    enum { N = sizeof options / sizeof options[0] };
    int r = cli_args_parse(argc, argv, options, N, &operands, &err);
    if (help) {
        puts("usage: watari proxy [-f FILE|DIR]");
        cli_args_help(options, N);
        return CLI_OK;
    }
    if (r == 0 && operands.n)
        r = wt_fail(&err, WT_EINVAL, "\"%s\" is no option", operands.items[0]);
    if (r == 0 && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        r = wt_fail(&err, WT_EINVAL, "--access-log-format is text or json, not \"%s\"", format);
    if (r == 0 && !files.n && !control)
        r = wt_fail(&err, WT_EINVAL,
                    "give it --control SOCKET, or -f FILE to serve without control");
    cli_state_dir(state_dir, state, sizeof state);
    mkdir(state, 0750);
    struct proxy_options o = {
        .name = name,
        .state_dir = state,
        .control_socket = control,
        .admin = admin,
        .access_log = strcmp(log, "off") == 0 ? NULL : log,
        .log_json = strcmp(format, "json") == 0,
        .workers = workers,
        .drain_ms = (int64_t)drain_s * 1000,
        .supervisor = supervisor,
    };
    if (r == 0 && files.n)
        r = fixed_snapshot(&files, &o.fixed, &err);
    const struct io_sandbox confined = {.dirs = (const char *const[]){state, NULL},
                                        .log = strcmp(log, "-") == 0 ? NULL : o.access_log};
    if (r == 0 && sandbox)
        r = io_sandbox_enter(&confined, &err);
    if (r == 0)
        r = proxy_run(&o, &err);
    int code = r < 0 ? cli_fail("proxy", &err) : CLI_OK;
    /* Drained or not, flows of the main thread (sync, probes, admin) still wait on their stacks:
     * they end with the process. */
    fflush(NULL);
    _exit(code);
}
