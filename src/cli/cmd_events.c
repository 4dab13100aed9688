#include "cli/cli.h"
#include "cli/columns.h"
#include "cli/events.h"
#include "cli/follow.h"

#include <stdio.h>
#include <string.h>

struct events {
    struct cli_target target;
    const char *about;
    bool watch;
    struct cli_ref ref;
    struct cli_client client;
    struct cli_columns columns;
    struct cli_table table;
    struct wt_buf out;
};

static const struct cli_usage usage = {
    "events", "events [--for KIND/NAME] [-w]", "What happened, oldest first.",
    .examples = {"events", "events --for migration/shop -w", "events -A"}};

static int print(struct events *e, struct wt_err *err)
{
    if (cli_table_write(&e->table, &e->out) < 0)
        return wt_fail(err, WT_ELIMIT, "the events are too many to print");
    cli_flush(&e->out);
    return 0;
}

static const char *name_of(const struct events *e)
{
    return e->ref.kind ? e->ref.names.items[0] : NULL;
}

static int on_event(void *ctx, const char *type, json_t *event)
{
    struct events *e = ctx;
    struct wt_err err;
    if (strcmp(type, "DELETED") == 0 || !cli_event_is_about(event, e->ref.kind, name_of(e)))
        return 0;
    cli_columns_row(&e->columns, event, io_wall_ms(), &e->table);
    return print(e, &err);
}

static int events(struct events *e, struct wt_err *err)
{
    json_t *list = NULL, *event;
    size_t i;
    int r = cli_list(&e->client, model_kind_event, NULL, &list, err);
    if (r < 0)
        return r;
    json_t *chosen = cli_events_select(list, e->ref.kind, name_of(e));
    if (json_array_size(chosen) || e->watch)
        cli_columns_header(&e->columns, &e->table);
    else
        fprintf(stderr, "No events.\n");
    json_array_foreach(chosen, i, event)
    {
        cli_columns_row(&e->columns, event, io_wall_ms(), &e->table);
    }
    r = print(e, err);
    const struct cli_follow what = {.kind = model_kind_event,
                                    .since = cli_text_at(list, "metadata.resourceVersion")};
    if (r == 0 && e->watch)
        r = cli_follow(&e->client, &what, on_event, e, err);
    json_decref(chosen);
    json_decref(list);
    return r;
}

static int run(void *ctx)
{
    struct events *e = ctx;
    struct wt_err err;
    int r = cli_client_init(&e->client, &e->target, &err);
    e->columns = (struct cli_columns){model_kind_event, false, !e->client.namespace};
    cli_table_init(&e->table);
    if (r == 0)
        r = events(e, &err);
    cli_table_done(&e->table);
    cli_client_done(&e->client);
    return r < 0 ? cli_fail("events", &err) : CLI_OK;
}

int cli_events(int argc, char **argv)
{
    struct events e = {.out = wt_buf_make(CLI_TABLE_MAX_BYTES)};
    struct cli_texts operands = {0};
    struct wt_err err;
    int code, r = 0;
    bool help = false;
    const struct cli_option options[] = {
        {0, "for", CLI_TEXT, &e.about, "KIND/NAME", "only what is about this object"},
        {'w', "watch", CLI_FLAG, &e.watch, "", "goes on with what happens"},
        CLI_CLIENT_OPTIONS(&e.target),
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, sizeof(options) / sizeof(options[0]),
                        &operands, &code))
        return code;
    const struct cli_texts about = {{e.about}, 1};
    if (operands.n)
        r = wt_fail(&err, WT_EINVAL, "write --for %s", operands.items[0]);
    else if (e.about)
        r = cli_ref_parse(&about, &e.ref, &err);
    if (r == 0 && e.about && !e.ref.names.n)
        r = wt_fail(&err, WT_EINVAL, "--for takes KIND/NAME, not \"%s\"", e.about);
    if (r < 0)
        return cli_args_wrong(&usage, &err);
    code = cli_run(run, &e);
    wt_buf_done(&e.out);
    return code;
}
