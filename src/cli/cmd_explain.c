#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "model/explain.h"

#include <stdio.h>

static const struct cli_usage usage = {
    "explain", "explain KIND[.FIELD…]",
    "What a kind or one of its fields means: type, default, limits.",
    .examples = {"explain migration", "explain migration.spec.steps",
                 "explain backendtrafficpolicy --recursive"},
    .hidden = {"server", "state-dir", "token-file", "namespace", "all-namespaces"}};

int cli_explain(int argc, char **argv)
{
    struct cli_texts paths = {0};
    struct wt_buf out = wt_buf_make(1 << 20);
    struct wt_err err;
    int code;
    bool help = false, recursive = false;
    struct cli_target target = {0}; /* taken, as by the other commands, and not needed */
    const struct cli_option options[] = {
        {'r', "recursive", CLI_FLAG, &recursive, "", "all fields below, names and types only"},
        CLI_CLIENT_OPTIONS(&target),
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, sizeof(options) / sizeof(options[0]), &paths,
                        &code))
        return code;
    if (paths.n != 1) {
        wt_fail(&err, WT_EINVAL, "name one kind or field, for example migration.spec.steps");
        return cli_args_wrong(&usage, &err);
    }
    int r = model_explain(wt_str_z(paths.items[0]), recursive, &out, &err);
    if (r == 0)
        fwrite(out.ptr, 1, out.len, stdout);
    wt_buf_done(&out);
    if (r == WT_ENOENT) /* what is asked for is the input here */
        err.code = WT_EINVAL;
    return r == 0 ? CLI_OK : cli_fail("explain", &err);
}
