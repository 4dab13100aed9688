#include "cli/args.h"
#include "cli/cli.h"
#include "model/explain.h"

#include <stdio.h>

int cli_explain(int argc, char **argv)
{
    struct cli_texts paths = {0};
    struct wt_buf out = wt_buf_make(1 << 20);
    struct wt_err err;
    bool help = false, recursive = false;
    const struct cli_option options[] = {
        {'r', "recursive", CLI_FLAG, &recursive, "", "all fields below, names and types only"},
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    int r = cli_args_parse(argc, argv, options, 2, &paths, &err);
    if (help) {
        puts("usage: watari explain KIND[.FIELD…]");
        cli_args_help(options, 2);
        return CLI_OK;
    }
    if (r == 0 && paths.n != 1)
        r = wt_fail(&err, WT_EINVAL, "name one kind or field, for example migration.spec.steps");
    if (r == 0)
        r = model_explain(wt_str_z(paths.items[0]), recursive, &out, &err);
    if (r == 0)
        fwrite(out.ptr, 1, out.len, stdout);
    wt_buf_done(&out);
    return r == 0 ? CLI_OK : cli_fail("explain", &err);
}
