#include "cli/stand.h"

#include "cli/migrate.h"

#include <stdio.h>
#include <string.h>

static const json_t *step_at(const json_t *doc, size_t i)
{
    return json_array_get(cli_at(doc, "spec.steps"), i);
}

/* The last step that leads to no more than that weight: where a new attempt begins. */
static size_t step_of_weight(const json_t *doc, double weight)
{
    size_t found = 0;
    for (size_t i = 0; i < json_array_size(cli_at(doc, "spec.steps")); i++) {
        const json_t *step = step_at(doc, i);
        if (json_object_get(step, "setWeight") && cli_number_at(step, "setWeight") <= weight)
            found = i;
    }
    return found;
}

static bool is_judged(const json_t *current)
{
    return cli_at(current, "status.verdict") &&
           cli_int_at(current, "status.verdict.epoch") == cli_int_at(current, "status.epoch");
}

struct cli_stand cli_stand_of(const json_t *doc, const json_t *current)
{
    size_t n = json_array_size(cli_at(doc, "spec.steps"));
    if (!*cli_text_at(current, "status.phase"))
        return (struct cli_stand){0, 0};
    struct cli_stand s = {(size_t)cli_int_at(current, "status.step"),
                          cli_number_at(current, "status.weight")};
    if (strcmp(cli_text_at(current, "status.phase"), "Completed") == 0)
        s.at = n;
    else if (is_judged(current))
        s.at = s.weight > 0 ? step_of_weight(doc, s.weight) : 0;
    if (s.at > n)
        s.at = n;
    return s;
}

bool cli_stand_edited(const json_t *doc, const json_t *current, char *out, size_t size)
{
    const struct cli_stand s = cli_stand_of(doc, current);
    char before[CLI_STEP_TEXT], after[CLI_STEP_TEXT], percent[32], begun[96];
    bool edited = false;
    for (size_t i = 0; i < s.at && !edited; i++)
        edited = strcmp(cli_step_text(step_at(current, i), before),
                        cli_step_text(step_at(doc, i), after)) != 0;
    if (!edited)
        return false;
    if (s.at < json_array_size(cli_at(doc, "spec.steps")))
        snprintf(begun, sizeof(begun), "step %zu has begun, those before it do nothing any more",
                 s.at + 1);
    else
        snprintf(begun, sizeof(begun), "all steps have been passed, none does anything any more");
    snprintf(out, size, "stays at %s: %s; `watari migrate set-weight N %s` moves it now",
             cli_percent(s.weight, percent), begun, model_name(doc));
    return true;
}

/* A verdict and its user lead to weights of their own; what a verdict took back is no edit. */
bool cli_stand_belied(const json_t *doc, const struct cli_stand *s, size_t index)
{
    const json_t *step = step_at(doc, index);
    double weight = cli_number_at(step, "setWeight");
    if (index >= s->at || !json_object_get(step, "setWeight") || is_judged(doc))
        return false;
    for (size_t i = index + 1; i < s->at && weight < s->weight; i++)
        if (json_object_get(step_at(doc, i), "setWeight"))
            return false;
    return weight != s->weight;
}
