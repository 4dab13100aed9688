#include "cli/beside.h"
#include "cli/cli.h"
#include "cli/docs.h"
#include "cli/object.h"
#include "cli/stand.h"
#include "model/diff.h"

#include <stdio.h>
#include <string.h>

enum { TRIES = 5 };

struct apply {
    struct cli_target target;
    struct cli_texts files;
    const char *dry_run; /* NULL, "", "server", "client", "none" */
    struct cli_docs docs;
    /* in flight */
    struct cli_client client;
    bool trial; /* the server is asked, nothing is written */
    bool quiet;
    unsigned n_failed;
    int worst; /* error code of the first that failed */
};

static const struct cli_usage usage = {
    "apply", "apply -f FILE|DIR",
    "Creates or updates the objects of the files. All are checked before the first is written:\n"
    "one that is wrong changes nothing. A metadata.resourceVersion in the file, as `get -o yaml` "
    "prints it,\n"
    "refuses what others have changed since.",
    .examples = {"apply -f site.yaml", "apply -f sites/ -f more.yaml",
                 "apply -f site.yaml --dry-run    # asks the server, changes nothing",
                 "get migration shop -o yaml | watari apply -f -"},
    .hidden = {"all-namespaces"}};

/* What would be taken for done, though it is not. */
static void warn(const struct apply *a, const json_t *made, const json_t *current)
{
    char label[400], text[512];
    const struct model_kind *kind = model_kind_of(made);
    if (cli_is_from_file(current))
        fprintf(stderr,
                "warning: %s/%s comes from a file that watari follows: change it there too, or the "
                "next change of it there takes this one back\n",
                kind->name, model_name(made));
    if (kind == model_kind_migration && cli_stand_edited(made, current, text, sizeof(text)))
        fprintf(stderr, "warning: %s %s\n", cli_label(kind, model_name(made), label, sizeof(label)),
                text);
}

/* "created", "configured", "unchanged" */
static int write_one(const struct apply *a, const json_t *wanted, const char *namespace,
                     const char **out_word, struct wt_err *err)
{
    json_t *current = NULL;
    struct model_diff diff = {0};
    const struct model_kind *kind = model_kind_of(wanted);
    int r = cli_get_object(&a->client, kind, namespace, model_name(wanted), &current, err);
    if (r < 0 && r != WT_ENOENT)
        return r;
    r = current ? cli_check_fresh(wanted, current, err) : 0;
    if (r < 0) {
        json_decref(current);
        return r;
    }
    json_t *made = cli_merge(wanted, current, namespace);
    r = made ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
    if (r == 0 && current)
        r = model_diff(current, made, MODEL_DIFF_NO_STATUS | MODEL_DIFF_NO_BOOKKEEPING, &diff, err);
    *out_word = !current ? "created" : diff.n ? "configured" : "unchanged";
    if (r == 0 && (!current || diff.n))
        r = cli_put(&a->client, made, current != NULL, NULL, a->trial, NULL, err);
    if (r == 0 && diff.n && !a->quiet)
        warn(a, made, current);
    model_diff_done(&diff);
    json_decref(made);
    json_decref(current);
    return r;
}

static int namespace_of(const struct apply *a, const struct model_doc *doc, const char **out,
                        struct wt_err *err)
{
    const char *own = cli_text_at(doc->json, "metadata.namespace");
    if (*own && a->target.namespace && strcmp(own, a->target.namespace) != 0 &&
        model_kind_of(doc->json)->namespaced)
        return wt_fail(err, WT_EINVAL, "%s: line %u: the object is of namespace %s, but -n says %s",
                       doc->file, doc->line, own, a->target.namespace);
    *out = *own ? own : a->client.namespace;
    return 0;
}

static int visit(void *ctx, const struct model_doc *doc)
{
    struct apply *a = ctx;
    struct wt_err err;
    const char *namespace, *word = "";
    char label[400];
    cli_label(model_kind_of(doc->json), model_name(doc->json), label, sizeof(label));
    int r = namespace_of(a, doc, &namespace, &err);
    /* Somebody else may write between reading and writing. */
    for (int i = 0; r == 0 && i < TRIES; i++) {
        r = write_one(a, doc->json, namespace, &word, &err);
        if (r != WT_ECONFLICT)
            break;
        r = i + 1 < TRIES ? 0 : r;
    }
    if (r < 0) {
        fprintf(stderr, "watari apply: %s: %s\n", label, err.msg);
        a->n_failed++;
        a->worst = a->worst ? a->worst : r;
        /* No use in asking a server for every object that is not there at all. */
        return r == WT_EREFUSED ? r : 0;
    }
    if (!a->quiet)
        printf("%s %s%s\n", label, word, a->trial ? " (server dry run)" : "");
    return 0;
}

static int run(void *ctx)
{
    struct apply *a = ctx;
    struct wt_err err;
    bool only_trial = a->dry_run && strcmp(a->dry_run, "none") != 0;
    if (cli_client_init(&a->client, &a->target, &err) < 0) {
        cli_client_done(&a->client);
        return cli_fail("apply", &err);
    }
    cli_complain_beside(&a->client, &a->docs);
    a->trial = true;
    a->quiet = !only_trial;
    cli_docs_each(&a->docs, visit, a);
    if (a->n_failed && !only_trial)
        fprintf(stderr, "watari apply: nothing was changed\n");
    a->trial = a->quiet = false;
    if (!a->n_failed && !only_trial)
        cli_docs_each(&a->docs, visit, a);
    cli_client_done(&a->client);
    return !a->n_failed ? CLI_OK : a->worst == WT_EINVAL ? CLI_USAGE : CLI_FAILED;
}

static int say_checked(void *ctx, const struct model_doc *doc)
{
    char label[400];
    (void)ctx;
    printf("%s checked (client dry run)\n",
           cli_label(model_kind_of(doc->json), model_name(doc->json), label, sizeof(label)));
    return 0;
}

static int read_and_run(struct apply *a)
{
    struct wt_err err;
    int code;
    int r = cli_docs_read(&a->files, &a->docs, &err);
    bool offline = r < 0 || (a->dry_run && strcmp(a->dry_run, "client") == 0);
    if (offline)
        cli_docs_complain(&a->docs);
    else
        cli_docs_complain_alone(&a->docs);
    if (r < 0 && !a->docs.errors.n_errors)
        fprintf(stderr, "watari apply: %s\n", err.msg);
    if (r < 0)
        code = CLI_USAGE;
    else if (a->dry_run && strcmp(a->dry_run, "client") == 0)
        code = cli_docs_each(&a->docs, say_checked, NULL) < 0 ? CLI_FAILED : CLI_OK;
    else
        code = cli_run(run, a);
    cli_docs_done(&a->docs);
    return code;
}

static int check(const struct apply *a, struct wt_err *err)
{
    static const char *const words[] = {"", "server", "client", "none"};
    bool known = !a->dry_run;
    for (size_t i = 0; !known && i < sizeof(words) / sizeof(words[0]); i++)
        known = strcmp(a->dry_run, words[i]) == 0;
    if (!known)
        return wt_fail(err, WT_EINVAL, "--dry-run is server, client or none, not \"%s\"",
                       a->dry_run);
    if (a->target.all_namespaces)
        return wt_fail(err, WT_EINVAL, "an object goes to one namespace: leave -A out, or use -n");
    if (!a->files.n)
        return wt_fail(err, WT_EINVAL, "name a file or a directory with -f (- is standard input)");
    return 0;
}

int cli_apply(int argc, char **argv)
{
    struct apply a = {0};
    struct cli_texts operands = {0};
    struct wt_err err;
    int code;
    bool help = false;
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &a.files, "FILE|DIR",
         "what to apply; may be given several times"},
        {0, "dry-run", CLI_WORD, &a.dry_run, "[=server|client]",
         "says what would be done, changes nothing"},
        CLI_CLIENT_OPTIONS(&a.target),
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, sizeof(options) / sizeof(options[0]),
                        &operands, &code))
        return code;
    int r = operands.n
                ? wt_fail(&err, WT_EINVAL, "\"%s\": files are given with -f", operands.items[0])
                : check(&a, &err);
    return r < 0 ? cli_args_wrong(&usage, &err) : read_and_run(&a);
}
