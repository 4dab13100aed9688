#include "cli/cli.h"
#include "cli/columns.h"
#include "cli/follow.h"
#include "cli/object.h"

#include <stdio.h>
#include <string.h>

struct get {
    struct cli_target target;
    struct cli_refs refs;
    struct cli_ref ref; /* the one that is shown */
    const char *output, *labels;
    bool watch;
    /* in flight */
    struct cli_client client;
    struct cli_columns columns;
    struct cli_table table;
    struct wt_buf out;
    bool any;  /* a document was printed: the next YAML one needs a "---" */
    int worst; /* of names that were not found */
};

static const struct cli_usage usage = {
    "get", "get KIND[,KIND…] [NAME…] | KIND/NAME… | all",
    "Shows objects. KIND is a kind, its plural or its short name: migration, migrations, mig.",
    .examples = {"get migrations", "get mig shop -o yaml", "get backends -A -o wide",
                 "get backends -l side=new", "get all"}};

static bool is_table(const struct get *g)
{
    return !g->output || strcmp(g->output, "wide") == 0;
}

static bool is_name(const struct get *g)
{
    return g->output && strcmp(g->output, "name") == 0;
}

/* One object at the end of what is printed next. */
static void add(struct get *g, const json_t *doc)
{
    char label[400];
    if (is_table(g)) {
        cli_columns_row(&g->columns, doc, io_wall_ms(), &g->table);
    } else if (is_name(g)) {
        wt_buf_printf(&g->out, "%s\n",
                      cli_label(g->ref.kind, model_name(doc), label, sizeof(label)));
    } else {
        if (g->any && strcmp(g->output, "yaml") == 0)
            wt_buf_add_str(&g->out, WT_STR("---\n"));
        cli_write_doc(doc, g->output, &g->out);
    }
    g->any = true;
}

static int print(struct get *g, struct wt_err *err)
{
    int r = is_table(g) ? cli_table_write(&g->table, &g->out) : wt_buf_error(&g->out);
    if (r < 0)
        return wt_fail(err, r, "the answer is too large to print");
    cli_flush(&g->out);
    return 0;
}

/* What is not there is said, the others are shown. */
static int read_named(struct get *g, json_t *items, struct wt_err *err)
{
    for (unsigned i = 0; i < g->ref.names.n; i++) {
        json_t *doc = NULL;
        int r = cli_fetch(&g->client, g->ref.kind, g->client.namespace, g->ref.names.items[i], &doc,
                          err);
        if (r == WT_ENOENT)
            g->worst = cli_fail("get", err);
        else if (r < 0)
            return r;
        else
            json_array_append_new(items, doc);
    }
    return 0;
}

static int read_listed(struct get *g, json_t *items, struct wt_err *err)
{
    json_t *list = NULL;
    int r = cli_list(&g->client, g->ref.kind, g->labels, &list, err);
    if (r == 0)
        json_array_extend(items, cli_at(list, "items"));
    json_decref(list);
    return r;
}

static void print_empty(const struct get *g)
{
    const char *what = g->refs.n == 1 ? g->ref.kind->plural : "objects";
    if (g->client.namespace && g->ref.kind->namespaced)
        fprintf(stderr, "No %s in namespace %s.\n", what, g->client.namespace);
    else
        fprintf(stderr, "No %s.\n", what);
}

static void begin_kind(struct get *g)
{
    g->columns =
        (struct cli_columns){.kind = g->ref.kind,
                             .wide = g->output && strcmp(g->output, "wide") == 0,
                             .with_namespace = !g->client.namespace && g->ref.kind->namespaced,
                             .with_kind = g->refs.n > 1};
}

static int show_rows(struct get *g, const json_t *items, struct wt_err *err)
{
    json_t *doc;
    size_t i;
    if (is_table(g) && g->any) {
        puts("");
        cli_table_done(&g->table); /* the widths are each table's own */
        cli_table_init(&g->table);
    }
    if (is_table(g))
        cli_columns_header(&g->columns, &g->table);
    json_array_foreach(items, i, doc)
    {
        add(g, doc);
    }
    return print(g, err);
}

/* As kubectl does, several objects in YAML or JSON are one List. */
static int show_list(struct get *g, json_t *items, struct wt_err *err)
{
    json_t *whole =
        json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", items);
    int r = cli_write_doc(whole, g->output, &g->out);
    json_decref(whole);
    return r < 0 ? wt_fail(err, r, "the list is too large to print") : print(g, err);
}

/* ---- what there is now ---- */

static bool is_one(const struct get *g)
{
    return g->refs.n == 1 && g->refs.items[0].names.n == 1;
}

static int get_now(struct get *g, struct wt_err *err)
{
    json_t *all = json_array();
    int r = 0;
    for (unsigned k = 0; r == 0 && k < g->refs.n; k++) {
        json_t *items = json_array();
        g->ref = g->refs.items[k];
        begin_kind(g);
        r = g->ref.names.n ? read_named(g, items, err) : read_listed(g, items, err);
        if (r == 0 && json_array_size(items) && (is_table(g) || is_name(g)))
            r = show_rows(g, items, err);
        json_array_extend(all, items);
        json_decref(items);
    }
    if (r == 0 && !is_table(g) && !is_name(g)) {
        if (!is_one(g))
            r = show_list(g, all, err);
        else if (json_array_size(all))
            r = show_rows(g, all, err);
    } else if (r == 0 && is_table(g) && !g->any && !g->worst) {
        print_empty(g);
    }
    json_decref(all);
    return r;
}

/* ---- and what comes ---- */

static int on_event(void *ctx, const char *type, json_t *object)
{
    struct get *g = ctx;
    struct wt_err err;
    if (strcmp(type, "DELETED") == 0 && is_table(g))
        return 0;
    add(g, object);
    return print(g, &err);
}

static int watch(struct get *g, const char *since, struct wt_err *err)
{
    const struct cli_follow what = {.kind = g->ref.kind,
                                    .labels = g->labels,
                                    .name = g->ref.names.n ? g->ref.names.items[0] : NULL,
                                    .since = since};
    return cli_follow(&g->client, &what, on_event, g, err);
}

static int get_and_watch(struct get *g, struct wt_err *err)
{
    json_t *list = NULL;
    g->ref = g->refs.items[0];
    begin_kind(g);
    int r = g->ref.names.n ? cli_fetch(&g->client, g->ref.kind, g->client.namespace,
                                       g->ref.names.items[0], &list, err)
                           : cli_list(&g->client, g->ref.kind, g->labels, &list, err);
    if (r < 0)
        return r;
    if (g->ref.names.n)
        list = json_pack("{s:{s:s}, s:[o]}", "metadata", "resourceVersion",
                         cli_text_at(list, "metadata.resourceVersion"), "items", list);
    r = show_rows(g, cli_at(list, "items"), err);
    if (r == 0)
        r = watch(g, cli_text_at(list, "metadata.resourceVersion"), err);
    json_decref(list);
    return r;
}

static int run(void *ctx)
{
    struct get *g = ctx;
    struct wt_err err;
    int r = cli_client_init(&g->client, &g->target, &err);
    if (r == 0)
        r = g->watch ? get_and_watch(g, &err) : get_now(g, &err);
    cli_client_done(&g->client);
    return r < 0 ? cli_fail("get", &err) : g->worst;
}

static int check(struct get *g, struct wt_err *err)
{
    static const char *const outputs[] = {"wide", "yaml", "json", "name"};
    bool known = !g->output;
    for (size_t i = 0; !known && i < sizeof(outputs) / sizeof(outputs[0]); i++)
        known = strcmp(g->output, outputs[i]) == 0;
    if (!known)
        return wt_fail(err, WT_EINVAL, "-o is wide, yaml, json or name, not \"%s\"", g->output);
    unsigned n_names = 0;
    for (unsigned i = 0; i < g->refs.n; i++)
        n_names += g->refs.items[i].names.n;
    if (n_names && g->target.all_namespaces)
        return wt_fail(err, WT_EINVAL,
                       "a name is looked for in one namespace: leave -A out, or use -n");
    if (n_names && g->labels)
        return wt_fail(err, WT_EINVAL, "give names or -l, not both");
    if (g->watch && (g->refs.n > 1 || n_names > 1))
        return wt_fail(err, WT_EINVAL, "-w watches one name or all of a kind");
    return 0;
}

int cli_get(int argc, char **argv)
{
    struct get g = {.out = wt_buf_make(CLI_TABLE_MAX_BYTES)};
    struct cli_texts operands = {0};
    struct wt_err err;
    int code;
    bool help = false;
    const struct cli_option options[] = {
        {'o', "output", CLI_TEXT, &g.output, "FORMAT", "wide, yaml, json or name"},
        {'w', "watch", CLI_FLAG, &g.watch, "", "goes on with every change"},
        {'l', "selector", CLI_TEXT, &g.labels, "KEY=VALUE", "only objects with these labels"},
        CLI_CLIENT_OPTIONS(&g.target),
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, sizeof(options) / sizeof(options[0]),
                        &operands, &code))
        return code;
    int r = cli_refs_parse(&operands, &g.refs, &err);
    if (r == 0)
        r = check(&g, &err);
    if (r < 0)
        return cli_args_wrong(&usage, &err);
    cli_table_init(&g.table);
    code = cli_run(run, &g);
    cli_table_done(&g.table);
    wt_buf_done(&g.out);
    return code;
}
