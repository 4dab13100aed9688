#include "cli/cli.h"
#include "cli/columns.h"
#include "cli/events.h"
#include "cli/migrate.h"

#include "model/errors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OUT_MAX = 16 << 20, EVENTS_SHOWN = 20 };

struct describe {
    struct cli_target target;
    struct cli_ref ref;
    struct cli_client client;
    struct wt_buf out;
};

static const struct cli_usage usage = {
    "describe", "describe KIND [NAME…] | KIND/NAME",
    "An object for people: fields, state, and the last events about it.",
    .examples = {"describe migration shop", "describe backend/new -n shops"},
    .hidden = {"all-namespaces"}};

static void line(struct wt_buf *out, const char *name, const char *value)
{
    char safe[1024];
    snprintf(safe, sizeof(safe), "%s", *value ? value : "<none>");
    model_disarm(safe);
    wt_buf_printf(out, "%-14s%s\n", name, safe);
}

static void map(struct wt_buf *out, const char *name, json_t *pairs)
{
    const char *key;
    json_t *value;
    const char *title = name;
    if (!json_object_size(pairs))
        line(out, name, "");
    json_object_foreach(pairs, key, value)
    {
        char text[1024];
        snprintf(text, sizeof(text), "%s=%s", key,
                 json_is_string(value) ? json_string_value(value) : "?");
        line(out, title, text);
        title = "";
    }
}

/* A part of the document as YAML, below its name. */
static void section(struct wt_buf *out, const char *title, const json_t *value)
{
    wt_autobuf struct wt_buf yaml = wt_buf_make(OUT_MAX);
    if (!value || cli_write_doc(value, "yaml", &yaml) < 0)
        return;
    wt_buf_printf(out, "%s:\n", title);
    struct wt_str rest = wt_buf_str(&yaml);
    while (rest.len) {
        struct wt_str text = wt_str_next(&rest, '\n');
        wt_buf_printf(out, "  %.*s\n", WT_ARG(text));
    }
}

static void head(const json_t *doc, struct wt_buf *out)
{
    char text[96], age[32];
    const char *created = cli_text_at(doc, "metadata.creationTimestamp");
    line(out, "Name:", model_name(doc));
    if (model_kind_of(doc)->namespaced)
        line(out, "Namespace:", model_namespace(doc));
    map(out, "Labels:", cli_at(doc, "metadata.labels"));
    map(out, "Annotations:", cli_at(doc, "metadata.annotations"));
    line(out, "API Version:", cli_text_at(doc, "apiVersion"));
    line(out, "Kind:", cli_text_at(doc, "kind"));
    snprintf(text, sizeof(text), "%.40s (%s ago)", created, cli_age(created, io_wall_ms(), age));
    line(out, "Created:", text);
    if (cli_at(doc, "metadata.deletionTimestamp")) {
        line(out, "Deletion:", cli_text_at(doc, "metadata.deletionTimestamp"));
        line(out, "Waits for:",
             json_string_value(json_array_get(cli_at(doc, "metadata.finalizers"), 0)));
    }
    snprintf(text, sizeof(text), "%" PRId64, cli_int_at(doc, "metadata.generation"));
    line(out, "Generation:", text);
}

static void events(const json_t *list, const json_t *doc, struct wt_buf *out)
{
    struct cli_table table;
    const struct cli_columns columns = {.kind = model_kind_event};
    json_t *chosen = cli_events_select(list, model_kind_of(doc), model_name(doc)), *event;
    size_t i, n = json_array_size(chosen);
    cli_table_init(&table);
    wt_buf_printf(out, "Events:%s\n", n ? "" : "       <none>");
    if (n > EVENTS_SHOWN)
        wt_buf_printf(out, "(the last %d of %zu; `watari events --for %s/%s` shows all)\n",
                      EVENTS_SHOWN, n, model_kind_of(doc)->name, model_name(doc));
    if (n)
        cli_columns_header(&columns, &table);
    json_array_foreach(chosen, i, event)
    {
        if (i + EVENTS_SHOWN >= n)
            cli_columns_row(&columns, event, io_wall_ms(), &table);
    }
    cli_table_write(&table, out);
    cli_table_done(&table);
    json_decref(chosen);
}

static int one(struct describe *d, const char *name, struct wt_err *err)
{
    json_t *doc = NULL, *list = NULL;
    int r = cli_fetch(&d->client, d->ref.kind, d->client.namespace, name, &doc, err);
    if (r == 0)
        r = cli_list(&d->client, model_kind_event, NULL, &list, err);
    if (r == 0) {
        const struct cli_tree_style style = {.colors = cli_is_terminal(), .utf8 = cli_is_utf8()};
        json_t *spec = json_object_get(doc, "spec");
        head(doc, &d->out);
        section(&d->out, "Spec", spec);
        section(&d->out, "Status", json_object_get(doc, "status"));
        if (d->ref.kind == model_kind_migration) {
            wt_buf_add_char(&d->out, '\n');
            cli_migration_tree(doc, &style, io_wall_ms(), &d->out);
            wt_buf_add_char(&d->out, '\n');
        }
        events(list, doc, &d->out);
        r = wt_buf_error(&d->out);
        if (r < 0)
            wt_fail(err, r, "the object is too large to print");
        else
            cli_flush(&d->out);
    }
    json_decref(doc);
    json_decref(list);
    return r;
}

static int all(struct describe *d, struct wt_err *err)
{
    json_t *list = NULL, *doc;
    size_t i;
    int r = cli_list(&d->client, d->ref.kind, NULL, &list, err);
    if (r == 0 && json_array_size(cli_at(list, "items")) == 0)
        fprintf(stderr, "No %s in namespace %s.\n", d->ref.kind->plural, d->client.namespace);
    json_array_foreach(cli_at(list, "items"), i, doc)
    {
        if (i)
            puts("\n");
        r = one(d, model_name(doc), err);
        if (r < 0)
            break;
    }
    json_decref(list);
    return r;
}

static int run(void *ctx)
{
    struct describe *d = ctx;
    struct wt_err err;
    int r = cli_client_init(&d->client, &d->target, &err);
    if (r == 0 && !d->ref.names.n)
        r = all(d, &err);
    for (unsigned i = 0; r == 0 && i < d->ref.names.n; i++) {
        if (i)
            puts("\n");
        r = one(d, d->ref.names.items[i], &err);
    }
    cli_client_done(&d->client);
    return r < 0 ? cli_fail("describe", &err) : CLI_OK;
}

int cli_describe(int argc, char **argv)
{
    struct describe d = {.out = wt_buf_make(OUT_MAX)};
    struct cli_texts operands = {0};
    struct wt_err err;
    int code;
    bool help = false;
    const struct cli_option options[] = {
        CLI_CLIENT_OPTIONS(&d.target),
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, sizeof(options) / sizeof(options[0]),
                        &operands, &code))
        return code;
    int r = cli_ref_parse(&operands, &d.ref, &err);
    if (r == 0 && d.target.all_namespaces)
        r = wt_fail(&err, WT_EINVAL,
                    "a name is looked for in one namespace: leave -A out, or use -n");
    if (r < 0)
        return cli_args_wrong(&usage, &err);
    code = cli_run(run, &d);
    wt_buf_done(&d.out);
    return code;
}
