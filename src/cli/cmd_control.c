#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "control/control.h"
#include "control/files.h"
#include "io/sandbox.h"

#include <stdio.h>
#include <sys/stat.h>

static const struct cli_usage usage = {"control", "control [-f FILE|DIR] [--listen ADDR:PORT]",
                                       "The control plane alone: API, state, controllers. `watari "
                                       "up` starts it together with a proxy.\n"
                                       "SIGTERM ends it, SIGHUP reads the files again.",
                                       .examples = {"control -f site.yaml --state-dir /srv/watari",
                                                    "control --listen 127.0.0.1:7070"}};

/* Its directories must be there before; control makes no others then. */
static int confine(const struct control_options *o, struct wt_err *err)
{
    const char *const dirs[] = {o->state_dir, o->socket_fd < 0 ? o->run_dir : NULL, NULL};
    for (unsigned i = 0; dirs[i]; i++)
        mkdir(dirs[i], 0750);
    return io_sandbox_enter(&(struct io_sandbox){.dirs = dirs}, err);
}

int cli_control(int argc, char **argv)
{
    struct cli_texts files = {0}, operands = {0};
    struct wt_err err;
    char state[256], run[256];
    const char *state_dir = NULL, *run_dir = NULL, *listen = NULL;
    int code;
    unsigned socket_fd = 0, listen_fd = 0, rest_s = CONTROL_FILES_REST_S;
    bool help = false, sandbox = false;
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &files, "FILE|DIR", "objects; followed when they change"},
        {0, "remove-after", CLI_COUNT, &rest_s, "N",
         "seconds the files rest before what is in none any more goes (10)"},
        {0, "state-dir", CLI_TEXT, &state_dir, "DIR", "where its state is kept"},
        {0, "run-dir", CLI_TEXT, &run_dir, "DIR",
         "where its socket lies (default: the state dir, if given)"},
        {0, "listen", CLI_TEXT, &listen, "ADDR:PORT",
         "the API on TCP too; port 0 picks a free one"},
        {0, "socket-fd", CLI_COUNT, &socket_fd, "N",
         "the API's socket, open already; set by `watari up`"},
        {0, "listen-fd", CLI_COUNT, &listen_fd, "N",
         "the API's TCP socket, open already; set by `watari up`"},
        {0, "sandbox", CLI_FLAG, &sandbox, "", "gives up what it does not need: Landlock, seccomp"},
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, sizeof(options) / sizeof(options[0]),
                        &operands, &code))
        return code;
    if (operands.n) {
        wt_fail(&err, WT_EINVAL, "\"%s\" is no option; files are given with -f", operands.items[0]);
        return cli_args_wrong(&usage, &err);
    }
    cli_state_dir(state_dir, state, sizeof(state));
    if (run_dir)
        snprintf(run, sizeof(run), "%s", run_dir);
    else
        cli_run_dir(state_dir, run, sizeof(run));
    const struct control_options o = {
        .files = files.items,
        .n_files = files.n,
        .files_rest_s = rest_s,
        .state_dir = state,
        .run_dir = run,
        .listen = listen,
        .socket_fd = socket_fd ? (int)socket_fd : -1,
        .listen_fd = listen_fd ? (int)listen_fd : -1,
    };
    if (sandbox && confine(&o, &err) < 0)
        return cli_fail("control", &err);
    return control_run(&o, &err) < 0 ? cli_fail("control", &err) : CLI_OK;
}
