#include "cli/effects.h"

#include "base/clock.h"
#include "cli/migrate.h"
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

static void add_least(struct cli_table *t, const json_t *doc, double weight, struct stay stay,
                      const struct cli_load *load)
{
    char percent[32], span[32], text[96];
    const struct health_params params = params_of(doc, weight);
    double seconds = stay.endless && stay.seconds < SECONDS_ASSUMED ? SECONDS_ASSUMED
                     : stay.seconds > 0                             ? stay.seconds
                                                                    : SECONDS_BETWEEN;
    double least = health_evidence_least(&params, load->requests_per_s, load->users,
                                         load->base_errors, seconds);
    cli_span((int64_t)(seconds * 1000), span);
    if (least > 1)
        snprintf(text, sizeof(text), "none in %s: too few requests", span);
    else
        snprintf(text, sizeof(text), "%s of answers bad, in %s",
                 cli_percent(ceil(least * 1000) / 10, percent), span);
    cli_table_cell(t, text);
}

static void add_slots(struct cli_table *t, unsigned before, unsigned after,
                      const struct cli_load *load)
{
    char text[96];
    unsigned moved = after > before ? after - before : before - after;
    int n = snprintf(text, sizeof(text), "%u slots", moved);
    if (load->users > 0)
        snprintf(text + n, sizeof(text) - (size_t)n, ", about %.0f users",
                 load->users * moved / MODEL_SLOTS);
    cli_table_cell(t, text);
}

static void add_step(struct cli_table *t, const json_t *doc, size_t i, unsigned *slots,
                     const struct cli_load *load)
{
    const json_t *steps = cli_at(doc, "spec.steps"), *step = json_array_get(steps, i);
    char text[CLI_STEP_TEXT], number[24];
    snprintf(number, sizeof(number), "  %zu", i + 1);
    cli_table_cell(t, number);
    cli_table_cell(t, cli_step_text(step, text));
    if (json_object_get(step, "setWeight")) {
        double weight = cli_number_at(step, "setWeight");
        unsigned after = model_slots_quota(weight);
        struct stay stay = stay_of(steps, i);
        add_slots(t, *slots, after, load);
        if (weight < 100) {
            add_stay(t, stay);
            add_least(t, doc, weight, stay, load);
        }
        *slots = after;
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

int cli_effects(const json_t *doc, const struct cli_load *load, struct wt_buf *out)
{
    static const char *const titles[] = {"  STEP", "DOES", "MOVES", "STAYS", "LEAST FAULT FOUND"};
    struct cli_load used = *load;
    struct cli_table table;
    unsigned slots = 0;
    cli_table_init(&table);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        cli_table_cell(&table, titles[i]);
    cli_table_end_row(&table);
    if (!(used.requests_per_s > 0))
        used.requests_per_s = REQUESTS_ASSUMED;
    for (size_t i = 0; i < json_array_size(cli_at(doc, "spec.steps")); i++)
        add_step(&table, doc, i, &slots, &used);
    cli_table_write(&table, out);
    cli_table_done(&table);
    if (!(load->requests_per_s > 0))
        wt_buf_printf(out,
                      "  assumed: %.4g requests a second (--requests-per-second says otherwise), ",
                      REQUESTS_ASSUMED);
    notes(doc, load, out);
    return wt_buf_error(out);
}
