#include "cli/cli.h"
#include "cli/docs.h"
#include "cli/object.h"

#include <stdio.h>
#include <string.h>

struct delete
{
    struct cli_target target;
    struct cli_texts files;
    struct cli_ref ref;
    bool ignore_not_found;
    const char *dry_run;
    struct cli_docs docs;
    struct cli_client client;
    int code;
};

static const struct cli_usage usage = {
    "delete", "delete KIND NAME… | KIND/NAME | -f FILE|DIR",
    "Deletes objects. A Migration whose share differs from what "
    "its routes say waits until they agree.",
    .examples = {"delete migration shop", "delete backends old older", "delete -f site.yaml",
                 "delete backend/old --ignore-not-found"},
    .hidden = {"all-namespaces"}};

static void report(const struct delete *d, const struct model_kind *kind, const char *name,
                   const json_t *last)
{
    char label[400];
    cli_label(kind, NULL, label, sizeof(label));
    const json_t *finalizers = cli_at(last, "metadata.finalizers");
    if (!d->dry_run && cli_at(last, "metadata.deletionTimestamp") && json_array_size(finalizers)) {
        printf("%s \"%s\" marked for deletion\n", label, name);
        fprintf(stderr,
                "watari delete: it goes once %s agrees; `watari describe %s %s` says what it waits "
                "for\n",
                json_string_value(json_array_get(finalizers, 0)), kind->plural, name);
    } else {
        printf("%s \"%s\" deleted%s\n", label, name, d->dry_run ? " (server dry run)" : "");
    }
}

static void fail(struct delete *d, const struct wt_err *err)
{
    int code = cli_fail("delete", err);
    d->code = d->code ? d->code : code;
}

static void delete_one(struct delete *d, const struct model_kind *kind, const char *namespace,
                       const char *name)
{
    struct wt_err err;
    json_t *current = NULL, *last = NULL;
    wt_autobuf struct wt_buf path = wt_buf_make(4096);
    int r = cli_fetch(&d->client, kind, namespace, name, &current, &err);
    if (r == WT_ENOENT && d->ignore_not_found)
        return;
    if (r == 0) {
        cli_path(&path, kind, namespace, name, NULL);
        if (d->dry_run)
            cli_query_add(&path, "dryRun", "All");
        const char *z = wt_buf_z(&path);
        r = z ? cli_call(&d->client, "DELETE", z, NULL, &last, &err)
              : wt_fail(&err, WT_ENOMEM, "out of memory");
    }
    if (r < 0) {
        fail(d, &err);
    } else {
        report(d, kind, name, last);
        if (!d->dry_run && cli_is_from_file(current))
            fprintf(
                stderr,
                "warning: %s/%s came from a file that watari follows: take it out there too, or "
                "the next change of it there makes it again\n",
                kind->name, name);
    }
    json_decref(current);
    json_decref(last);
}

static int visit(void *ctx, const struct model_doc *doc)
{
    struct delete *d = ctx;
    const char *own = cli_text_at(doc->json, "metadata.namespace");
    delete_one(d, model_kind_of(doc->json), *own ? own : d->client.namespace,
               model_name(doc->json));
    return 0;
}

static int run(void *ctx)
{
    struct delete *d = ctx;
    struct wt_err err;
    if (cli_client_init(&d->client, &d->target, &err) < 0)
        fail(d, &err);
    else if (d->files.n)
        cli_docs_each(&d->docs, visit, d);
    for (unsigned i = 0; !d->code && i < d->ref.names.n; i++)
        delete_one(d, d->ref.kind, d->client.namespace, d->ref.names.items[i]);
    cli_client_done(&d->client);
    return d->code;
}

static int check(struct delete *d, const struct cli_texts *operands, struct wt_err *err)
{
    if (d->target.all_namespaces)
        return wt_fail(err, WT_EINVAL, "-A deletes nothing: name the objects and use -n");
    if (d->files.n)
        return operands->n ? wt_fail(err, WT_EINVAL, "give -f or KIND NAME, not both") : 0;
    int r = cli_ref_parse(operands, &d->ref, err);
    if (r == 0 && !d->ref.names.n)
        return wt_fail(err, WT_EINVAL, "name what to delete: %s NAME", d->ref.kind->plural);
    return r;
}

int cli_delete(int argc, char **argv)
{
    struct delete d = {0};
    struct cli_texts operands = {0};
    struct wt_err err;
    int code;
    bool help = false;
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &d.files, "FILE|DIR", "deletes the objects of these files"},
        {0, "ignore-not-found", CLI_FLAG, &d.ignore_not_found, "", "what is not there is no error"},
        {0, "dry-run", CLI_WORD, &d.dry_run, "", "changes nothing"},
        CLI_CLIENT_OPTIONS(&d.target),
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, sizeof(options) / sizeof(options[0]),
                        &operands, &code))
        return code;
    if (check(&d, &operands, &err) < 0)
        return cli_args_wrong(&usage, &err);
    if (d.dry_run && strcmp(d.dry_run, "none") == 0)
        d.dry_run = NULL;
    int r = d.files.n ? cli_docs_read(&d.files, &d.docs, &err) : 0;
    if (r < 0) /* warnings are about what is going */
        cli_docs_complain(&d.docs);
    if (r < 0 && !d.docs.errors.n_errors)
        fprintf(stderr, "watari delete: %s\n", err.msg);
    code = r < 0 ? CLI_USAGE : cli_run(run, &d);
    cli_docs_done(&d.docs);
    return code;
}
