#include "cli/effects.h"

#include "base/clock.h"
#include "cli/migrate.h"
#include "cli/stand.h"
#include "cli/table.h"
#include "health/evidence.h"
#include "model/slots.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SECONDS_ASSUMED = 600, SECONDS_BETWEEN = 60 };
static const double REQUESTS_ASSUMED = 10;

double cli_load_observed(const json_t *migration, int64_t wall_ms)
{
    int64_t started;
    int64_t n =
        cli_int_at(migration, "status.requests.old") + cli_int_at(migration, "status.requests.new");
    if (n <= 0 ||
        !wt_time_parse(wt_str_z(cli_text_at(migration, "metadata.creationTimestamp")), &started) ||
        wall_ms - started < 1000)
        return 0;
    return (double)n * 1000 / (double)(wall_ms - started);
}

static struct health_params params_of(const json_t *doc, double weight)
{
    return (struct health_params){
        .alpha = cli_number_at(doc, "spec.guard.alpha"),
        .floor = cli_number_at(doc, "spec.guard.floor"),
        .tolerance = cli_number_at(doc, "spec.guard.tolerance"),
        .excluding = cli_number_at(doc, "spec.guard.excluding"),
        .share = weight / 100,
        .shared = strcmp(cli_text_at(doc, "spec.state"), "Shared") == 0,
    };
}

/* How long a weight stands: the pauses between it and the next one. */
struct stay {
    double seconds;
    bool endless, none;
};

static struct stay stay_of(const json_t *steps, size_t from)
{
    struct stay stay = {0, false, true};
    for (size_t i = from + 1; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i), *pause = json_object_get(step, "pause");
        int64_t ms;
        if (json_object_get(step, "setWeight"))
            break;
        stay.none = stay.none && !pause;
        if (pause && wt_duration_parse(wt_str_z(cli_text_at(pause, "duration")), &ms))
            stay.seconds += (double)ms / 1000;
        else if (pause)
            stay.endless = true;
    }
    return stay;
}

static void add_stay(struct cli_table *t, struct stay stay)
{
    char span[32], text[64];
    wt_duration_format((int64_t)(stay.seconds * 1000), span);
    if (stay.none)
        snprintf(text, sizeof(text), "until evidence");
    else
        snprintf(text, sizeof(text), "%s%s%s", stay.seconds > 0 ? span : "",
                 stay.seconds > 0 && stay.endless ? " and " : "",
                 stay.endless ? "until promoted" : "");
    cli_table_cell(t, *text ? text : "0s");
}

/* What a step does. */
struct effect {
    const json_t *step;
    size_t index;
    bool passed;   /* it does nothing any more */
    bool weighted; /* all below is of such a step that is not passed */
    double asked;
    double weight;  /* in force then: never less than before */
    unsigned moved; /* slots */
    struct stay stay;
    double seconds; /* for which `least` is told */
    double least;   /* over 1: too few requests; not at 100 %: nothing is left to compare with */
};

static bool compares(const struct effect *e)
{
    return e->weight < 100;
}

static struct effect effect_of(const json_t *doc, size_t i, const struct cli_stand *stand,
                               unsigned *slots, const struct cli_load *load)
{
    const json_t *steps = cli_at(doc, "spec.steps"), *step = json_array_get(steps, i);
    struct effect e = {.step = step, .index = i, .passed = i < stand->at};
    e.weighted = !e.passed && json_object_get(step, "setWeight");
    if (!e.weighted)
        return e;
    e.asked = cli_number_at(step, "setWeight");
    e.weight = e.asked > stand->weight ? e.asked : stand->weight;
    e.stay = stay_of(steps, i);
    unsigned after = model_slots_quota(e.weight);
    e.moved = after > *slots ? after - *slots : 0;
    *slots = after;
    e.seconds = e.stay.endless && e.stay.seconds < SECONDS_ASSUMED ? SECONDS_ASSUMED
                : e.stay.seconds > 0                               ? e.stay.seconds
                                                                   : SECONDS_BETWEEN;
    if (compares(&e)) {
        const struct health_params params = params_of(doc, e.weight);
        e.least = health_evidence_least(&params, load->requests_per_s, load->users,
                                        load->base_errors, e.seconds);
    }
    return e;
}

/* ---- for people ---- */

static void add_least(struct cli_table *t, const struct effect *e)
{
    char percent[32], span[32], text[96];
    cli_span((int64_t)(e->seconds * 1000), span);
    if (!compares(e))
        snprintf(text, sizeof(text), "nothing is left to compare with");
    else if (e->least > 1)
        snprintf(text, sizeof(text), "none in %s: too few requests", span);
    else
        snprintf(text, sizeof(text), "%s of answers bad, in %s",
                 cli_percent(ceil(e->least * 1000) / 10, percent), span);
    cli_table_cell(t, text);
}

static void add_slots(struct cli_table *t, const struct effect *e, const struct cli_load *load)
{
    char text[96], percent[32];
    unsigned moved = e->moved;
    int n;
    if (moved)
        n = snprintf(text, sizeof(text), "%u slot%s", moved, moved == 1 ? "" : "s");
    else
        n = snprintf(text, sizeof(text), "stays at %s", cli_percent(e->weight, percent));
    if (moved && load->users > 0)
        snprintf(text + n, sizeof(text) - (size_t)n, ", about %.0f users",
                 load->users * moved / MODEL_SLOTS);
    cli_table_cell(t, text);
}

static void add_load(struct cli_table *t, double weight, const struct cli_sides *sides)
{
    char text[96], old[32] = "?", new[32] = "?";
    double times = cli_sides_times(sides, weight);
    if (sides->old.hosts)
        snprintf(old, sizeof(old), "%.3g %%", cli_side_load(&sides->old, 100 - weight));
    if (sides->new.hosts)
        snprintf(new, sizeof(new), "%.3g %%", cli_side_load(&sides->new, weight));
    int n = snprintf(text, sizeof(text), "old %s, new %s", old, new);
    if (times > 0)
        snprintf(text + n, sizeof(text) - (size_t)n, " (%.2g x)", times);
    cli_table_cell(t, text);
}

static void add_step(struct cli_table *t, const struct effect *e, const struct cli_load *load,
                     const struct cli_sides *sides)
{
    char text[CLI_STEP_TEXT], number[24];
    snprintf(number, sizeof(number), "  %zu", e->index + 1);
    cli_table_cell(t, number);
    cli_table_cell(t, cli_step_text(e->step, text));
    if (e->passed)
        cli_table_cell(t, "passed");
    if (e->weighted) {
        add_slots(t, e, load);
        add_load(t, e->weight, sides);
        if (compares(e) || !e->stay.none)
            add_stay(t, e->stay);
        else
            cli_table_cell(t, "-");
        add_least(t, e);
    }
    cli_table_end_row(t);
}

static void notes(const json_t *doc, const struct cli_load *load, struct wt_buf *out)
{
    char alpha[32], floor_[32], tolerance[32];
    bool separate = strcmp(cli_text_at(doc, "spec.state"), "Separate") == 0;
    if (load->requests_per_s > 0)
        wt_buf_printf(out, "  %s: %.4g requests a second, ", load->observed ? "counted" : "given",
                      load->requests_per_s);
    if (load->users > 0)
        wt_buf_printf(out, "%.0f users, ", load->users);
    else
        wt_buf_add_str(out, WT_STR("as many users as requests (--users says otherwise), "));
    wt_buf_printf(out, "%.4g %% of answers bad on both sides anyway (--base-errors)\n",
                  load->base_errors * 100);
    wt_buf_printf(out,
                  "  guard: false alarms %s, bad answers up to %s accepted, %s worse than the old "
                  "side accepted; then %s\n",
                  cli_percent(cli_number_at(doc, "spec.guard.alpha") * 100, alpha),
                  cli_percent(cli_number_at(doc, "spec.guard.floor") * 100, floor_),
                  cli_percent(cli_number_at(doc, "spec.guard.tolerance") * 100, tolerance),
                  cli_text_at(doc, "spec.guard.onTrip"));
    if (!separate)
        wt_buf_add_str(out, WT_STR("  way back: at any moment (state Shared)\n"));
    else if (json_is_true(cli_at(doc, "spec.allowDataLoss")))
        wt_buf_add_str(
            out, WT_STR("  way back: at any moment, but what users wrote on the new side is lost "
                        "(state Separate, allowDataLoss)\n"));
    else
        wt_buf_add_str(
            out, WT_STR("  way back: NONE once users are on the new side (state Separate without "
                        "allowDataLoss): the guard can only hold\n"));
}

static struct cli_load assume(const struct cli_load *load)
{
    struct cli_load used = *load;
    if (!(used.requests_per_s > 0))
        used.requests_per_s = REQUESTS_ASSUMED;
    return used;
}

int cli_effects(const json_t *doc, const json_t *current, const struct cli_load *load,
                const struct cli_sides *sides, struct wt_buf *out)
{
    static const char *const titles[] = {"  STEP",           "DOES",  "MOVES",
                                         "ONE HOST CARRIES", "STAYS", "LEAST FAULT FOUND"};
    const struct cli_load used = assume(load);
    const struct cli_stand stand = cli_stand_of(doc, current);
    struct cli_table table;
    char edited[512];
    unsigned slots = model_slots_quota(stand.weight);
    cli_table_init(&table);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        cli_table_cell(&table, titles[i]);
    cli_table_end_row(&table);
    for (size_t i = 0; i < json_array_size(cli_at(doc, "spec.steps")); i++) {
        const struct effect e = effect_of(doc, i, &stand, &slots, &used);
        add_step(&table, &e, &used, sides);
    }
    cli_table_write(&table, out);
    cli_table_done(&table);
    if (cli_stand_edited(doc, current, edited, sizeof(edited)))
        wt_buf_printf(out, "  %s\n", edited);
    cli_sides_tell(sides, out);
    if (!(load->requests_per_s > 0))
        wt_buf_printf(out,
                      "  assumed: %.4g requests a second (--requests-per-second says otherwise), ",
                      REQUESTS_ASSUMED);
    notes(doc, load, out);
    return wt_buf_error(out);
}

/* ---- for programs ---- */

static json_t *number_or_null(bool known, double value)
{
    return known ? json_real(value) : json_null();
}

static json_t *step_json(const struct effect *e, const struct cli_load *load,
                         const struct cli_sides *sides)
{
    char text[CLI_STEP_TEXT];
    json_t *o = json_pack("{s:I, s:s, s:b}", "step", (json_int_t)e->index + 1, "does",
                          cli_step_text(e->step, text), "passed", (int)e->passed);
    if (!e->weighted)
        return o;
    double times = cli_sides_times(sides, e->weight);
    const struct {
        const char *name;
        bool known;
        double value;
    } rows[] = {
        {"setWeight", true, e->asked},
        {"weight", true, e->weight},
        {"usersMoved", load->users > 0, load->users * e->moved / MODEL_SLOTS},
        {"oldHostPercent", sides->old.hosts, cli_side_load(&sides->old, 100 - e->weight)},
        {"newHostPercent", sides->new.hosts, cli_side_load(&sides->new, e->weight)},
        {"newHostTimesOld", times > 0, times},
        {"leastFaultPercent", compares(e) && e->least <= 1, e->least * 100},
        {"leastFaultSeconds", compares(e), e->seconds},
    };
    json_object_set_new(o, "slotsMoved", json_integer(e->moved));
    json_object_set_new(o, "compares", json_boolean(compares(e)));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        json_object_set_new(o, rows[i].name, number_or_null(rows[i].known, rows[i].value));
    return o;
}

static json_t *side_json(const struct cli_side *s)
{
    return json_pack("{s:o, s:s}", "hosts", s->hosts ? json_integer(s->hosts) : json_null(), "from",
                     s->found   ? s->found
                     : s->hosts ? "endpoints"
                                : "");
}

json_t *cli_effects_json(const json_t *doc, const json_t *current, const struct cli_load *load,
                         const struct cli_sides *sides)
{
    const struct cli_load used = assume(load);
    const struct cli_stand stand = cli_stand_of(doc, current);
    json_t *steps = json_array();
    char edited[512] = "";
    unsigned slots = model_slots_quota(stand.weight);
    cli_stand_edited(doc, current, edited, sizeof(edited));
    for (size_t i = 0; i < json_array_size(cli_at(doc, "spec.steps")); i++) {
        const struct effect e = effect_of(doc, i, &stand, &slots, &used);
        json_array_append_new(steps, step_json(&e, &used, sides));
    }
    return json_pack("{s:o, s:o, s:o, s:f, s:o, s:s}", "old", side_json(&sides->old), "new",
                     side_json(&sides->new), "oldHostPercent",
                     number_or_null(sides->old.hosts, cli_side_load(&sides->old, 100)),
                     "requestsPerSecond", used.requests_per_s, "steps", steps, "notInForce",
                     edited);
}
