#include "cli/migrate.h"

#include "base/clock.h"
#include "cli/stand.h"
#include "model/errors.h"
#include "model/slots.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BAR_CELLS = 40 };

struct tree {
    const json_t *doc;
    const struct cli_tree_style *style;
    int64_t wall_ms;
    struct wt_buf *out;
};

const char *cli_step_text(const json_t *step, char out[CLI_STEP_TEXT])
{
    char percent[32];
    const json_t *pause = json_object_get(step, "pause"), *retire = json_object_get(step, "retire");
    const json_t *mirror = json_object_get(step, "setMirror");
    if (json_object_get(step, "setWeight"))
        snprintf(out, CLI_STEP_TEXT, "setWeight %s",
                 cli_percent(cli_number_at(step, "setWeight"), percent));
    else if (pause && *cli_text_at(pause, "duration"))
        snprintf(out, CLI_STEP_TEXT, "pause %.32s", cli_text_at(pause, "duration"));
    else if (pause)
        snprintf(out, CLI_STEP_TEXT, "pause until promoted");
    else if (retire && *cli_text_at(retire, "after"))
        snprintf(out, CLI_STEP_TEXT, "retire after %.32s", cli_text_at(retire, "after"));
    else if (retire)
        snprintf(out, CLI_STEP_TEXT, "retire");
    else if (json_object_get(step, "finish"))
        snprintf(out, CLI_STEP_TEXT, "finish");
    else if (mirror)
        snprintf(out, CLI_STEP_TEXT, "setMirror %s (not in force in this release)",
                 json_object_get(mirror, "percentage")
                     ? cli_percent(cli_number_at(mirror, "percentage"), percent)
                     : "100 %");
    else
        snprintf(out, CLI_STEP_TEXT, "?");
    return out;
}

const char *cli_migration_summary(const json_t *doc, char out[96])
{
    char percent[32];
    size_t n = json_array_size(cli_at(doc, "spec.steps")),
           at = (size_t)cli_int_at(doc, "status.step") + 1;
    const char *phase = cli_text_at(doc, "status.phase");
    snprintf(out, 96, "%.20s, step %zu/%zu, %s", *phase ? phase : "Pending", at > n ? n : at, n,
             cli_percent(cli_number_at(doc, "status.weight"), percent));
    return out;
}

bool cli_is_utf8(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        const char *value = getenv(variables[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

/* ---- window ---- */

void cli_window_add(struct cli_window *w, const json_t *doc, int64_t now_ms)
{
    double weight = cli_number_at(doc, "status.weight");
    int64_t epoch = cli_int_at(doc, "status.epoch");
    struct cli_sample s = {now_ms, cli_int_at(doc, "status.requests.old"),
                           cli_int_at(doc, "status.requests.new")};
    const struct cli_sample *last = w->n ? &w->samples[w->n - 1] : NULL;
    bool fell = last && (s.old < last->old || s.new < last->new);
    if (w->weight != weight || w->epoch != epoch || fell)
        w->n = 0;
    w->weight = weight;
    w->epoch = epoch;
    if (w->n == CLI_WINDOW_SAMPLES)
        memmove(w->samples, w->samples + 1, --w->n * sizeof(w->samples[0]));
    w->samples[w->n++] = s;
}

bool cli_window_share(const struct cli_window *w, double *out_percent, int64_t *out_requests,
                      int64_t *out_span_ms)
{
    if (w->n < 2)
        return false;
    const struct cli_sample *a = &w->samples[0], *b = &w->samples[w->n - 1];
    int64_t old = b->old - a->old, new = b->new - a->new;
    if (old + new <= 0)
        return false;
    *out_percent = 100 * (double)new / (double)(old + new);
    *out_requests = old + new;
    *out_span_ms = b->at_ms - a->at_ms;
    return true;
}

/* ---- the tree ---- */

static void paint(const struct tree *t, const char *code, const char *text)
{
    if (t->style->colors)
        wt_buf_printf(t->out, "\033[%sm%s\033[0m", code, text);
    else
        wt_buf_add_str(t->out, wt_str_z(text));
}

static const char *color_of_phase(const char *phase)
{
    static const struct {
        const char *phase, *code;
    } rows[] = {{"Progressing", "32"}, {"Completed", "32"}, {"Retiring", "32"},
                {"RolledBack", "31"},  {"Blocked", "31"},   {"Paused", "33"},
                {"Inconclusive", "33"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].phase, phase) == 0)
            return rows[i].code;
    return "0";
}

/* Free text of the network, on one line. */
static void add_text(const struct tree *t, const char *text)
{
    char safe[1024];
    snprintf(safe, sizeof(safe), "%s", text);
    model_disarm(safe);
    wt_buf_add_str(t->out, wt_str_z(safe));
}

static void heading(const struct tree *t)
{
    const char *phase = cli_text_at(t->doc, "status.phase"), *dot = t->style->utf8 ? "→" : "->";
    char age[32], name[340];
    size_t i;
    json_t *ref;
    snprintf(name, sizeof(name), "%s/%s", model_namespace(t->doc), model_name(t->doc));
    wt_buf_add_str(t->out, WT_STR("Migration "));
    paint(t, "1", name);
    wt_buf_add_str(t->out, WT_STR("  "));
    paint(t, color_of_phase(phase), *phase ? phase : "Pending");
    if (cli_int_at(t->doc, "status.epoch"))
        wt_buf_printf(t->out, "  attempt %" PRId64 "  since %s", cli_int_at(t->doc, "status.epoch"),
                      cli_age(cli_text_at(t->doc, "status.startedAt"), t->wall_ms, age));
    wt_buf_printf(t->out, "\n  %s %s %s  state %s  routes", cli_text_at(t->doc, "spec.from.name"),
                  dot, cli_text_at(t->doc, "spec.to.name"), cli_text_at(t->doc, "spec.state"));
    json_array_foreach(cli_at(t->doc, "spec.routeRefs"), i, ref)
    {
        wt_buf_printf(t->out, "%s %s/%s", i ? "," : "", cli_text_at(ref, "kind"),
                      cli_text_at(ref, "name"));
    }
    wt_buf_add_char(t->out, '\n');
    if (cli_at(t->doc, "metadata.deletionTimestamp"))
        wt_buf_add_str(t->out, WT_STR("  marked for deletion\n"));
}

static void share(const struct tree *t)
{
    char asked[32], seen[32], span[32];
    double weight = cli_number_at(t->doc, "status.weight"), percent;
    int64_t requests, span_ms;
    unsigned filled = (unsigned)(weight * BAR_CELLS / 100 + 0.5);
    if (weight > 0 && filled == 0)
        filled = 1;
    wt_buf_add_str(t->out, WT_STR("  share     "));
    for (unsigned i = 0; i < BAR_CELLS; i++)
        wt_buf_add_str(
            t->out, wt_str_z(t->style->utf8 ? (i < filled ? "█" : "░") : (i < filled ? "#" : ".")));
    wt_buf_printf(t->out, " %s asked", cli_percent(weight, asked));
    if (t->style->window && cli_window_share(t->style->window, &percent, &requests, &span_ms))
        wt_buf_printf(t->out, ", %s of %" PRId64 " requests seen in %s", cli_percent(percent, seen),
                      requests, cli_span(span_ms, span));
    wt_buf_add_char(t->out, '\n');
}

static void time_left(const struct tree *t)
{
    char left[32];
    int64_t until;
    if (!wt_time_parse(wt_str_z(cli_text_at(t->doc, "status.pausedUntil")), &until))
        return;
    if (json_is_true(cli_at(t->doc, "status.held")))
        wt_buf_add_str(t->out, WT_STR("  held"));
    else if (until > t->wall_ms)
        wt_buf_printf(t->out, "  %s left", cli_span(until - t->wall_ms, left));
    else
        wt_buf_add_str(t->out, WT_STR("  time is over"));
}

static void one_step(const struct tree *t, size_t i, const json_t *step, size_t at)
{
    static const char *const marks[2][3] = {{"x", ">", " "}, {"✓", "▶", "·"}};
    char text[CLI_STEP_TEXT], line[160], percent[32];
    const struct cli_stand stand = cli_stand_of(t->doc, t->doc);
    int which = i < at ? 0 : i == at ? 1 : 2;
    snprintf(line, sizeof(line), "    %s %2zu  %s", marks[t->style->utf8][which], i + 1,
             cli_step_text(step, text));
    paint(t, which == 1 ? "1" : which == 0 ? "32" : "0", line);
    if (which == 1)
        time_left(t);
    if (cli_stand_belied(t->doc, &stand, i))
        wt_buf_printf(t->out, "  not in force: passed, %s stays",
                      cli_percent(stand.weight, percent));
    wt_buf_add_char(t->out, '\n');
}

static void steps(const struct tree *t)
{
    const json_t *list = cli_at(t->doc, "spec.steps");
    size_t n = json_array_size(list), at = (size_t)cli_int_at(t->doc, "status.step"),
           max = t->style->steps_max;
    size_t from = 0, to = n;
    if (!*cli_text_at(t->doc, "status.phase"))
        at = SIZE_MAX;
    if (max && n > max) {
        from = at == SIZE_MAX || at < max / 3 ? 0 : at - max / 3;
        if (from + max > n)
            from = n - max;
        to = from + max;
    }
    wt_buf_add_str(t->out, WT_STR("  steps\n"));
    if (from > 0)
        wt_buf_printf(t->out, "       … %zu before\n", from);
    for (size_t i = from; i < to; i++)
        one_step(t, i, json_array_get(list, i), at == SIZE_MAX ? n : at);
    if (to < n)
        wt_buf_printf(t->out, "       … %zu more\n", n - to);
}

static void counts(const struct tree *t)
{
    static const struct {
        const char *path, *name;
        bool alarming;
    } rows[] = {{"status.requests.old", "old", false},
                {"status.requests.new", "new", false},
                {"status.requests.lost", "lost", true},
                {"status.requests.bad", "bad", true},
                {"status.requests.rescued", "rescued", false}};
    wt_buf_add_str(t->out, WT_STR("  requests "));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[48];
        int64_t n = cli_int_at(t->doc, rows[i].path);
        snprintf(text, sizeof(text), "%s %" PRId64, rows[i].name, n);
        wt_buf_add_str(t->out, i ? WT_STR("  ") : WT_STR(" "));
        paint(t, rows[i].alarming && n ? "31" : "0", text);
    }
    wt_buf_printf(
        t->out,
        "\n  users     %u of 65536 slots are on the new side; in all %" PRId64
        " went there, %" PRId64 " came back%s\n",
        model_slots_quota(cli_number_at(t->doc, "status.weight")),
        cli_int_at(t->doc, "status.users.moved"), cli_int_at(t->doc, "status.users.movedBack"),
        json_is_false(cli_at(t->doc, "status.stuck")) ? "" : "; users stay on their side");
}

bool cli_migration_runs(const json_t *doc, const json_t *proxy)
{
    static const char *const names[][2] = {{"epoch", "status.epoch"},
                                           {"step", "status.step"},
                                           {"tableVersion", "status.tableVersion"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (cli_int_at(proxy, names[i][0]) != cli_int_at(doc, names[i][1]))
            return false;
    return true;
}

static void lagging(const struct tree *t, const json_t *proxy)
{
    const char *refused = cli_text_at(proxy, "refused");
    char line[600];
    snprintf(line, sizeof(line), "            %s does not: ", cli_text_at(proxy, "name"));
    paint(t, "31", line);
    if (cli_int_at(proxy, "epoch"))
        wt_buf_printf(t->out,
                      "it runs snapshot %" PRId64 ", attempt %" PRId64 ", table %" PRId64
                      " of %" PRId64,
                      cli_int_at(proxy, "version"), cli_int_at(proxy, "epoch"),
                      cli_int_at(proxy, "tableVersion"), cli_int_at(t->doc, "status.tableVersion"));
    else
        wt_buf_add_str(t->out, WT_STR("it does not have it"));
    if (*refused) {
        wt_buf_add_str(t->out, WT_STR("; "));
        add_text(t, refused);
    }
    wt_buf_add_char(t->out, '\n');
}

static void proxies(const struct tree *t)
{
    size_t i, n = 0;
    int64_t older = 0;
    json_t *p, *list = cli_at(t->doc, "status.proxies");
    json_array_foreach(list, i, p)
    {
        n += cli_migration_runs(t->doc, p);
        older += cli_int_at(p, "inFlightOlder");
    }
    if (!json_array_size(list))
        wt_buf_add_str(t->out, WT_STR("  proxies   none reports\n"));
    else
        wt_buf_printf(t->out,
                      "  proxies   %zu of %zu run this step; %" PRId64
                      " requests on older snapshots\n",
                      n, json_array_size(list), older);
    json_array_foreach(list, i, p)
    {
        if (!cli_migration_runs(t->doc, p))
            lagging(t, p);
    }
}

static void judgement(const struct tree *t)
{
    const json_t *v = cli_at(t->doc, "status.verdict"),
                 *last = cli_at(t->doc, "status.lastRequest");
    const char *message = cli_text_at(t->doc, "status.message");
    char age[32];
    if (v) {
        wt_buf_printf(t->out,
                      "  verdict   %s at step %" PRId64 " of attempt %" PRId64 " (%s ago): ",
                      cli_text_at(v, "cause"), cli_int_at(v, "step") + 1, cli_int_at(v, "epoch"),
                      cli_age(cli_text_at(v, "at"), t->wall_ms, age));
        add_text(t, cli_text_at(v, "message"));
        wt_buf_add_char(t->out, '\n');
    }
    if (cli_at(t->doc, "status.request"))
        wt_buf_printf(t->out, "  asked     %s (not yet carried out)\n",
                      cli_text_at(t->doc, "status.request.verb"));
    if (last) {
        wt_buf_printf(t->out, "  last      %s: ", cli_text_at(last, "verb"));
        if (strcmp(cli_text_at(last, "result"), "Refused") == 0)
            wt_buf_add_str(t->out, WT_STR("refused: "));
        add_text(t, cli_text_at(last, "message"));
        wt_buf_add_char(t->out, '\n');
    }
    wt_buf_add_str(t->out, WT_STR("  message   "));
    add_text(t, *message ? message : "the controller has not looked at it yet");
    wt_buf_add_char(t->out, '\n');
}

int cli_migration_tree(const json_t *doc, const struct cli_tree_style *style, int64_t wall_ms,
                       struct wt_buf *out)
{
    const struct tree t = {doc, style, wall_ms, out};
    heading(&t);
    share(&t);
    steps(&t);
    counts(&t);
    proxies(&t);
    judgement(&t);
    return wt_buf_error(out);
}
