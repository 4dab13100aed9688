#include "cli/cli.h"
#include "cli/migrate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 10000 };
static const double WEIGHT_LEAST = 0.002; /* about a slot; as in spec.steps */

struct migrate {
    struct cli_target target;
    struct cli_client client;
    const struct verb *verb;
    struct cli_ask ask;
    char name[254];
    bool watch, full, apply;
};

struct verb {
    const char *word;    /* on the command line */
    const char *request; /* status.request.verb; NULL: has a life of its own */
    int (*run)(struct migrate *m);
    struct cli_usage usage;
};

static int run_status(struct migrate *m)
{
    return m->target.all_namespaces ? cli_migrate_status_all(&m->client)
                                    : cli_migrate_status(&m->client, m->name, m->watch);
}

static int run_finish(struct migrate *m)
{
    return cli_migrate_finish(&m->client, m->name, m->apply, m->ask.wait_ms);
}

#define HIDDEN(...) .hidden = {__VA_ARGS__}

static const struct verb verbs[] = {
    {"status",
     NULL,
     run_status,
     {"migrate status", "migrate status NAME [-w] | -A",
      "Where it stands: the steps, the share asked and seen, what the guard has counted, who waits "
      "for what.\n"
      "With -w it redraws in place until the migration is completed. With -A all that there are.",
      .examples = {"migrate status shop", "migrate status shop -w", "migrate status -A"},
      HIDDEN("full", "apply", "wait")}},
    {"pause",
     "pause",
     NULL,
     {"migrate pause", "migrate pause NAME",
      "Holds it where it is: the share stays, no step begins. `resume` goes on.",
      .examples = {"migrate pause shop"}, HIDDEN("watch", "full", "apply", "all-namespaces")}},
    {"resume",
     "resume",
     NULL,
     {"migrate resume", "migrate resume NAME",
      "Goes on after `pause`, `set-weight` or `undo`; after a rollback it begins a new attempt.",
      .examples = {"migrate resume shop"}, HIDDEN("watch", "full", "apply", "all-namespaces")}},
    {"promote",
     "promote",
     NULL,
     {"migrate promote", "migrate promote NAME [--full]",
      "On to the next step, without waiting for the pause's end or the guard's leave.\n"
      "With --full on to the last weight. After a rollback it is refused: `resume` begins a new "
      "attempt.",
      .examples = {"migrate promote shop", "migrate promote shop --full"},
      HIDDEN("watch", "apply", "all-namespaces")}},
    {"set-weight",
     "setWeight",
     NULL,
     {"migrate set-weight", "migrate set-weight N NAME",
      "Puts N percent of the users on the new side (0 to 100, parts too), and holds there.",
      .examples = {"migrate set-weight 25 shop", "migrate set-weight 0.5 shop"},
      HIDDEN("watch", "full", "apply", "all-namespaces")}},
    {"abort",
     "abort",
     NULL,
     {"migrate abort", "migrate abort NAME",
      "All users back to the old side, at once. `resume` begins a new attempt.",
      .examples = {"migrate abort shop"}, HIDDEN("watch", "full", "apply", "all-namespaces")}},
    {"undo",
     "undo",
     NULL,
     {"migrate undo", "migrate undo NAME",
      "Back to the weight of the step before, and holds there.", .examples = {"migrate undo shop"},
      HIDDEN("watch", "full", "apply", "all-namespaces")}},
    {"finish",
     NULL,
     run_finish,
     {"migrate finish", "migrate finish NAME [--apply]",
      "Once all users are on the new side: prints the routes as they should be from now on, so "
      "that the\n"
      "migration can end. With --apply it writes them.",
      .examples = {"migrate finish shop > routes.yaml", "migrate finish shop --apply"},
      HIDDEN("watch", "full", "all-namespaces")}},
};
enum { N_VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static const struct cli_usage usage = {
    "migrate", "migrate VERB NAME",
    "Verbs:\n"
    "  status NAME        where it stands; -w redraws it every second; -A instead: of all\n"
    "  pause NAME         hold where it is\n"
    "  resume NAME        go on; after a rollback: a new attempt\n"
    "  promote NAME       on to the next step without the guard's leave; --full: to the last "
    "weight\n"
    "  set-weight N NAME  N percent of users to the new side, and hold\n"
    "  abort NAME         all users back to the old side\n"
    "  undo NAME          back to the weight before, and hold\n"
    "  finish NAME        print the routes as they should be now; --apply writes them\n\n"
    "`watari help migrate VERB` tells more of one.",
    .examples = {"migrate status shop -w", "migrate promote shop", "migrate set-weight 25 shop",
                 "migrate abort shop"}};

static int find_verb(const char *word, const struct verb **out, struct wt_err *err)
{
    const struct verb *near = NULL;
    for (unsigned i = 0; i < N_VERBS; i++) {
        if (strcmp(verbs[i].word, word) == 0) {
            *out = &verbs[i];
            return 0;
        }
        if (!near && wt_str_distance(wt_str_z(verbs[i].word), wt_str_z(word), 3) < 3)
            near = &verbs[i];
    }
    if (near)
        return wt_fail(err, WT_EINVAL, "there is no verb \"%s\"; did you mean %s?", word,
                       near->word);
    return wt_fail(err, WT_EINVAL,
                   "there is no verb \"%s\"; there are status, pause, resume, promote, set-weight, "
                   "abort, undo "
                   "and finish",
                   word);
}

/* "25", "12.5" or "25%". */
static bool parse_weight(const char *text, double *out)
{
    char *end;
    if (!(*text >= '0' && *text <= '9'))
        return false;
    double value = strtod(text, &end);
    if (*end == '%')
        end++;
    if (*end || !isfinite(value) || value > 100 || (value > 0 && value < WEIGHT_LEAST))
        return false;
    *out = value;
    return true;
}

/* Both orders are clear where one of the two is no number. */
static int take_weight(struct migrate *m, const char *a, const char *b, const char **out_name,
                       struct wt_err *err)
{
    m->ask.has_weight = true;
    if (parse_weight(a, &m->ask.weight))
        *out_name = b;
    else if (parse_weight(b, &m->ask.weight))
        *out_name = a;
    else
        return wt_fail(
            err, WT_EINVAL,
            "a weight is 0, or a number from 0.002 to 100 (percent of users), not \"%s\"", a);
    return 0;
}

static int take_operands(struct migrate *m, const struct cli_texts *operands, struct wt_err *err)
{
    if (operands->n == 0)
        return wt_fail(err, WT_EINVAL, "name a verb and a Migration");
    int r = find_verb(operands->items[0], &m->verb, err);
    if (r < 0)
        return r;
    m->ask.verb = m->verb->request;
    m->ask.word = m->verb->word;
    bool weighted = m->ask.verb && strcmp(m->ask.verb, "setWeight") == 0;
    bool all = m->target.all_namespaces && m->verb->run == run_status;
    unsigned wanted = weighted ? 3 : all ? 1 : 2;
    if (all && operands->n != wanted)
        return wt_fail(err, WT_EINVAL, "with -A no Migration is named: leave the name out, or -A");
    if (operands->n != wanted)
        return wt_fail(err, WT_EINVAL, "write `watari migrate %s%s NAME`", m->verb->word,
                       weighted ? " N" : "");
    if (all)
        return 0;
    const char *name = operands->items[1];
    if (weighted)
        r = take_weight(m, operands->items[1], operands->items[2], &name, err);
    if (r < 0)
        return r;
    const char *slash = strchr(name, '/');
    if (slash && model_kind_find(wt_str(name, (size_t)(slash - name))) == model_kind_migration)
        name = slash + 1;
    snprintf(m->name, sizeof(m->name), "%s", name);
    m->ask.name = m->name;
    return 0;
}

static int check(struct migrate *m, struct wt_err *err)
{
    const char *word = m->verb->word;
    if (m->full && strcmp(word, "promote") != 0)
        return wt_fail(err, WT_EINVAL, "--full belongs to promote");
    if (m->apply && strcmp(word, "finish") != 0)
        return wt_fail(err, WT_EINVAL, "--apply belongs to finish");
    if (m->watch && strcmp(word, "status") != 0)
        return wt_fail(err, WT_EINVAL, "-w belongs to status");
    if (m->target.all_namespaces && strcmp(word, "status") != 0)
        return wt_fail(err, WT_EINVAL, "a Migration is named in one namespace: use -n");
    if (m->target.all_namespaces && m->watch)
        return wt_fail(err, WT_EINVAL, "-w redraws one Migration: name it, without -A");
    if (m->full)
        m->ask.verb = "promoteFull";
    return 0;
}

static int run(void *ctx)
{
    struct migrate *m = ctx;
    struct wt_err err;
    int code;
    if (cli_client_init(&m->client, &m->target, &err) < 0)
        code = cli_fail("migrate", &err);
    else
        code = m->verb->run ? m->verb->run(m) : cli_migrate_ask(&m->client, &m->ask);
    cli_client_done(&m->client);
    return code;
}

/* Of the verb, if there is one: the first word that is no option. */
static const struct cli_usage *usage_of(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] == '-')
            continue;
        for (unsigned k = 0; k < N_VERBS; k++)
            if (strcmp(verbs[k].word, argv[i]) == 0)
                return &verbs[k].usage;
        break;
    }
    return &usage;
}

int cli_migrate(int argc, char **argv)
{
    const struct cli_usage *own = usage_of(argc, argv);
    struct migrate m = {.ask = {.wait_ms = WAIT_MS}};
    struct cli_texts operands = {0};
    struct wt_err err;
    int code;
    bool help = false;
    const struct cli_option options[] = {
        {'w', "watch", CLI_FLAG, &m.watch, "", "status: until it is completed"},
        {0, "full", CLI_FLAG, &m.full, "", "promote: to the last weight"},
        {0, "apply", CLI_FLAG, &m.apply, "", "finish: write the routes"},
        {0, "wait", CLI_DURATION, &m.ask.wait_ms, "TIME",
         "for the controller's answer (10s; 0 does not)"},
        CLI_CLIENT_OPTIONS(&m.target),
        {'h', "help", CLI_FLAG, &help, "", "this text"},
    };
    if (!cli_args_begin(own, argc, argv, options, sizeof(options) / sizeof(options[0]), &operands,
                        &code))
        return code;
    int r = take_operands(&m, &operands, &err);
    if (r == 0)
        r = check(&m, &err);
    return r < 0 ? cli_args_wrong(own, &err) : cli_run(run, &m);
}
