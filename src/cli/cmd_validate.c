#include "cli/args.h"
#include "cli/cli.h"
#include "cli/docs.h"

#include <stdio.h>

static const struct cli_usage usage = {
    "validate", "validate FILE|DIR…",
    "Checks files, each object alone and all against each other, without a server; changes "
    "nothing.",
    .examples = {"validate site.yaml", "validate sites/", "validate - < site.yaml"}};

static int count(void *ctx, const struct model_doc *doc)
{
    (void)doc;
    ++*(unsigned *)ctx;
    return 0;
}

int cli_validate(int argc, char **argv)
{
    struct cli_texts files = {0};
    struct cli_docs docs = {0};
    struct wt_err err;
    int code;
    bool help = false;
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &files, "FILE|DIR",
         "what to check; may be given several times"},
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, 2, &files, &code))
        return code;
    if (files.n == 0) {
        wt_fail(&err, WT_EINVAL, "name a file or a directory (- is standard input)");
        return cli_args_wrong(&usage, &err);
    }
    int r = cli_docs_read(&files, &docs, &err);
    unsigned n = 0;
    cli_docs_complain(&docs);
    if (r < 0 && !docs.errors.n_errors)
        fprintf(stderr, "%s\n", err.msg);
    if (r == 0) {
        cli_docs_each(&docs, count, &n);
        printf("%u object%s in %u file%s: valid\n", n, n == 1 ? "" : "s", docs.n_files,
               docs.n_files == 1 ? "" : "s");
    }
    cli_docs_done(&docs);
    return r == 0 ? CLI_OK : CLI_USAGE;
}
