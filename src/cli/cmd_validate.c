#include "cli/cli.h"
#include "cli/docs.h"

#include <stdio.h>

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
    bool help = false;
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &files, "FILE|DIR",
         "what to check; may be given several times"},
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    int r = cli_args_parse(argc, argv, options, 2, &files, &err);
    if (help) {
        puts("usage: watari validate FILE|DIR…");
        cli_args_help(options, 2);
        return CLI_OK;
    }
    if (r == 0 && files.n == 0)
        r = wt_fail(&err, WT_EINVAL, "name a file or a directory");
    if (r < 0)
        return cli_fail("validate", &err);
    r = cli_docs_read(&files, &docs, &err);
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
