#include "cli/beside.h"
#include "cli/cli.h"
#include "cli/docs.h"
#include "cli/effects.h"
#include "cli/migrate.h"
#include "model/diff.h"
#include "model/errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_MAX = 32 << 20, VALUE_MAX = 160 };

struct plan {
    struct cli_target target;
    struct cli_texts files;
    struct cli_load load;
    bool offline;
    const char *output;
    json_t *items; /* with -o json, what is printed at the end */
    struct cli_docs docs;
    struct cli_client client;
    struct wt_buf out;
    unsigned n_new, n_changed, n_same, n_refused;
    int worst;
};

static const struct cli_usage usage = {
    "plan", "plan -f FILE|DIR",
    "What `apply` would change, and what the change would do. "
    "Changes nothing; the server checks it too.\n"
    "For a Migration: the slots and users that each step moves, the share of all requests that "
    "one\n"
    "host of either side carries then, and the least fault that its guard would find while the "
    "step\n"
    "stays. Told is what happens from where it stands: steps that have been passed do nothing any "
    "more.",
    .examples = {"plan -f site.yaml", "plan -f site.yaml --requests-per-second 200 --users 5000",
                 "plan --offline -f site.yaml    # no server is asked",
                 "plan -f site.yaml -o json"},
    .hidden = {"all-namespaces"}};

static void add_value(struct wt_buf *out, const json_t *value)
{
    char text[VALUE_MAX + 8];
    char *whole = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    snprintf(text, sizeof(text), "%.*s", VALUE_MAX, whole ? whole : "?");
    if (whole && strlen(whole) > VALUE_MAX)
        memcpy(text + VALUE_MAX, "…", sizeof("…"));
    model_disarm(text);
    wt_buf_add_str(out, wt_str_z(text));
    free(whole);
}

static void add_diff(struct wt_buf *out, const struct model_diff *diff)
{
    for (size_t i = 0; i < diff->n; i++) {
        const struct model_change *c = &diff->changes[i];
        wt_buf_printf(out, "  %c %s: ", !c->before ? '+' : !c->after ? '-' : '~', c->path);
        if (c->before)
            add_value(out, c->before);
        if (c->before && c->after)
            wt_buf_add_str(out, WT_STR(" -> "));
        if (c->after)
            add_value(out, c->after);
        wt_buf_add_char(out, '\n');
    }
}

static int current_of(const struct plan *p, const struct model_doc *doc, const char *namespace,
                      json_t **out, struct wt_err *err)
{
    if (p->offline)
        return 0;
    int r = cli_get_object(&p->client, model_kind_of(doc->json), namespace, model_name(doc->json),
                           out, err);
    return r == WT_ENOENT ? 0 : r;
}

/* The heading and the differences; counts. */
static void show(struct plan *p, const json_t *current, const struct model_diff *diff,
                 const char *label)
{
    const char *word = p->offline ? ""
                       : !current ? " is new"
                       : diff->n  ? " changes"
                                  : " is unchanged";
    p->n_new += !current;
    p->n_changed += current && diff->n;
    p->n_same += current && !diff->n;
    if (p->items)
        return;
    wt_buf_printf(&p->out, "%s%s\n", label, word);
    add_diff(&p->out, diff);
}

/* For programs. */
static json_t *diff_json(const struct model_diff *diff)
{
    json_t *list = json_array();
    for (size_t i = 0; i < diff->n; i++) {
        const struct model_change *c = &diff->changes[i];
        json_array_append_new(list, json_pack("{s:s, s:O?, s:O?}", "path", c->path, "before",
                                              c->before, "after", c->after));
    }
    return list;
}

static void note(struct plan *p, const json_t *made, const json_t *current,
                 const struct model_diff *diff)
{
    const char *change = p->offline ? "checked"
                         : !current ? "new"
                         : diff->n  ? "changed"
                                    : "unchanged";
    json_array_append_new(p->items, json_pack("{s:O, s:O, s:s, s:s, s:s, s:o}", "apiVersion",
                                              json_object_get(made, "apiVersion"), "kind",
                                              json_object_get(made, "kind"), "namespace",
                                              model_namespace(made), "name", model_name(made),
                                              "change", change, "changes", diff_json(diff)));
}

/* ---- effects ---- */

struct wanted_backend {
    const char *name, *namespace, *own; /* own: of files that name no namespace */
    const json_t *found;
};

static int match_backend(void *ctx, const struct model_doc *doc)
{
    struct wanted_backend *w = ctx;
    const char *given = cli_text_at(doc->json, "metadata.namespace");
    if (model_kind_of(doc->json) == model_kind_backend &&
        strcmp(model_name(doc->json), w->name) == 0 &&
        strcmp(*given ? given : w->own, w->namespace) == 0)
        w->found = doc->json;
    return 0;
}

/* The files say how it will be; only the server has counted hosts that are no list. */
static struct cli_side side_of(struct plan *p, const json_t *made, const char *name)
{
    struct wanted_backend w = {.name = name,
                               .namespace = model_namespace(made),
                               .own = p->target.namespace ? p->target.namespace : "default"};
    struct wt_err err;
    json_t *there = NULL;
    cli_docs_each(&p->docs, match_backend, &w);
    struct cli_side side = cli_side_of(w.found);
    if (!side.hosts && !p->offline &&
        cli_get_object(&p->client, model_kind_backend, w.namespace, name, &there, &err) == 0) {
        const char *found = side.found;
        side = cli_side_of(there);
        side.found = found ? found : side.found;
    }
    json_decref(there);
    return side;
}

static int effects(struct plan *p, const json_t *made, const json_t *current)
{
    char summary[96];
    struct cli_load load = p->load;
    if (model_kind_of(made) != model_kind_migration)
        return 0;
    if (!(load.requests_per_s > 0)) {
        load.requests_per_s = cli_load_observed(current, io_wall_ms());
        load.observed = load.requests_per_s > 0;
    }
    const struct cli_sides sides = {side_of(p, made, cli_text_at(made, "spec.from.name")),
                                    side_of(p, made, cli_text_at(made, "spec.to.name"))};
    if (p->items) {
        json_t *item = json_array_get(p->items, json_array_size(p->items) - 1);
        return json_object_set_new(item, "effects",
                                   cli_effects_json(made, current, &load, &sides)) < 0
                   ? WT_ENOMEM
                   : 0;
    }
    if (current && cli_at(current, "status.phase"))
        wt_buf_printf(&p->out, "  now: %s\n", cli_migration_summary(current, summary));
    return cli_effects(made, current, &load, &sides, &p->out);
}

static int plan_one(struct plan *p, const struct model_doc *doc, const char *label,
                    struct wt_err *err)
{
    const char *own = cli_text_at(doc->json, "metadata.namespace");
    const char *namespace = *own ? own : p->target.namespace ? p->target.namespace : "default";
    json_t *current = NULL, *made = NULL;
    struct model_diff diff = {0};
    int r = current_of(p, doc, namespace, &current, err);
    if (r == 0 && current)
        r = cli_check_fresh(doc->json, current, err);
    if (r == 0) {
        made = cli_merge(doc->json, current, namespace);
        r = made ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
    }
    if (r == 0 && current)
        r = model_diff(current, made, MODEL_DIFF_NO_STATUS | MODEL_DIFF_NO_BOOKKEEPING, &diff, err);
    if (r == 0) {
        show(p, current, &diff, label);
        if (p->items)
            note(p, made, current, &diff);
        r = effects(p, made, current);
        if (r < 0)
            wt_fail(err, r, "the plan is too large to print");
    }
    if (r == 0 && !p->offline && (!current || diff.n))
        r = cli_put(&p->client, made, current != NULL, NULL, true, NULL, err);
    model_diff_done(&diff);
    json_decref(made);
    json_decref(current);
    return r;
}

static int visit(void *ctx, const struct model_doc *doc)
{
    struct plan *p = ctx;
    struct wt_err err;
    char label[400];
    cli_label(model_kind_of(doc->json), model_name(doc->json), label, sizeof(label));
    int r = plan_one(p, doc, label, &err);
    cli_flush(&p->out);
    if (r == 0)
        return 0;
    fprintf(stderr, "watari plan: %s: %s\n", label, err.msg);
    p->n_refused++;
    p->worst = p->worst ? p->worst : r;
    return r == WT_EREFUSED ? r : 0;
}

static void print_items(struct plan *p)
{
    json_t *all = json_pack("{s:s, s:O, s:i, s:i, s:i, s:i}", "kind", "Plan", "items", p->items,
                            "new", (int)p->n_new, "changed", (int)p->n_changed, "unchanged",
                            (int)p->n_same, "refused", (int)p->n_refused);
    cli_write_doc(all, "json", &p->out);
    cli_flush(&p->out);
    json_decref(all);
}

static int run(void *ctx)
{
    struct plan *p = ctx;
    struct wt_err err;
    int r = p->offline ? 0 : cli_client_init(&p->client, &p->target, &err);
    if (r < 0) {
        cli_client_done(&p->client);
        return cli_fail("plan", &err);
    }
    if (!p->offline)
        cli_complain_beside(&p->client, &p->docs);
    r = cli_docs_each(&p->docs, visit, p);
    if (r == WT_EREFUSED)
        fprintf(stderr,
                "watari plan: --offline plans without a server, as if nothing were there\n");
    else if (p->items)
        print_items(p);
    else if (p->offline)
        printf("Plan: %u checked, without a server.\n", p->n_new);
    else
        printf("Plan: %u new, %u changed, %u unchanged%s.\n", p->n_new, p->n_changed, p->n_same,
               p->n_refused ? "; the server refuses it" : "");
    cli_client_done(&p->client);
    return !p->n_refused ? CLI_OK : p->worst == WT_EINVAL ? CLI_USAGE : CLI_FAILED;
}

int cli_plan(int argc, char **argv)
{
    struct plan p = {.out = wt_buf_make(OUT_MAX)};
    struct cli_texts operands = {0};
    struct wt_err err;
    double base_percent = 0;
    int code, r = 0;
    bool help = false;
    const struct cli_option options[] = {
        {'f', "filename", CLI_TEXTS, &p.files, "FILE|DIR",
         "what to plan; may be given several times"},
        {0, "requests-per-second", CLI_NUMBER, &p.load.requests_per_s, "N",
         "of the routes (default: as counted)"},
        {0, "users", CLI_NUMBER, &p.load.users, "N",
         "distinct users while a step stays (default: many)"},
        {0, "base-errors", CLI_NUMBER, &base_percent, "PERCENT",
         "answers that are bad on both sides anyway (0)"},
        {'o', "output", CLI_TEXT, &p.output, "FORMAT", "json (default: for people)"},
        {0, "offline", CLI_FLAG, &p.offline, "", "without a server, as if nothing were there"},
        CLI_CLIENT_OPTIONS(&p.target),
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(&usage, argc, argv, options, sizeof(options) / sizeof(options[0]),
                        &operands, &code))
        return code;
    if (operands.n)
        r = wt_fail(&err, WT_EINVAL, "\"%s\": files are given with -f", operands.items[0]);
    else if (!p.files.n)
        r = wt_fail(&err, WT_EINVAL, "name a file or a directory with -f (- is standard input)");
    else if (p.target.all_namespaces)
        r = wt_fail(&err, WT_EINVAL, "an object goes to one namespace: leave -A out, or use -n");
    else if (base_percent >= 100)
        r = wt_fail(&err, WT_EINVAL, "--base-errors is a percentage below 100");
    else if (p.output && strcmp(p.output, "json") != 0)
        r = wt_fail(&err, WT_EINVAL, "-o is json");
    if (r < 0)
        return cli_args_wrong(&usage, &err);
    p.items = p.output ? json_array() : NULL;
    p.load.base_errors = base_percent / 100;
    r = cli_docs_read(&p.files, &p.docs, &err);
    if (r < 0 || p.offline)
        cli_docs_complain(&p.docs);
    else
        cli_docs_complain_alone(&p.docs);
    if (r < 0 && !p.docs.errors.n_errors)
        fprintf(stderr, "watari plan: %s\n", err.msg);
    code = r < 0 ? CLI_USAGE : cli_run(run, &p);
    cli_docs_done(&p.docs);
    wt_buf_done(&p.out);
    json_decref(p.items);
    return code;
}
