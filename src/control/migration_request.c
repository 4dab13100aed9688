#include "control/migration_work.h"
#include "model/kind.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Each carries out one verb: NULL when done, else why it is refused. */
struct verb {
    const char *(*run)(struct control_work *w);
    bool decides; /* what a proxy may still tell of the attempt before counts no more */
};

/* After a verdict, an undo or a lowering, going on is a new attempt: evidence starts from nothing.
 */
static void new_attempt(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    int64_t step = control_work_step_at(w, n->weight, false);
    control_work_attempt(w, n->weight > 0 && step >= 0 ? step : 0);
    n->held = false;
    n->stuck = n->weight > 0;
    control_work_say(w, MODEL_PHASE_PROGRESSING, "attempt %" PRId64, n->epoch);
    control_work_event(w, false, "Started", "attempt %" PRId64 " begins at %.15g %%", n->epoch,
                       n->weight);
}

/* Only a new attempt leads on from a verdict: who promotes may not have seen it. */
static const char *judged(const struct control_work *w)
{
    if (!control_work_judged(w))
        return NULL;
    return w->next->weight > 0 ? "it was stopped by a verdict; `migrate resume` goes on with a new "
                                 "attempt, `migrate undo` takes users back"
                               : "its users were taken back; `migrate resume` begins a new attempt";
}

static const char *verb_pause(struct control_work *w)
{
    if (control_work_judged(w) && w->next->weight <= 0)
        return "its users were taken back: there is nothing to hold";
    w->next->held = true;
    return NULL;
}

static const char *verb_resume(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    if (control_work_judged(w)) {
        new_attempt(w);
        return NULL;
    }
    if (!n->held)
        return "it is not held; use promote to leave a pause";
    n->held = false;
    control_work_say(w, MODEL_PHASE_PROGRESSING, "resumed");
    return NULL;
}

static bool raises(const struct control_work *w, int64_t step)
{
    const struct model_migration_spec *spec = w->want->spec;
    return step < (int64_t)spec->n_steps && spec->steps[step].has_set_weight &&
           spec->steps[step].set_weight > w->next->weight;
}

static const char *verb_promote(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    if (n->has_request_step && n->request_step != n->step)
        return "it has moved to another step meanwhile: look again";
    const char *why_not = judged(w);
    if (why_not)
        return why_not;
    const struct model_migration_spec *spec = w->want->spec;
    if (n->step >= (int64_t)spec->n_steps)
        return "there is no further step";
    const struct model_migration_step *step = &spec->steps[n->step];
    if (step->retire || step->has_finish)
        return "retire and finish wait for the routes, not for people";
    /* A weight that is not yet in force is not skipped. */
    bool passed = !step->has_set_weight || n->weight >= step->set_weight;
    int64_t next = n->step + passed;
    why_not = raises(w, next) ? control_work_not_ready(w) : NULL;
    if (why_not)
        return why_not;
    n->held = false;
    control_work_say(w, MODEL_PHASE_PROGRESSING, "promoted");
    if (passed)
        control_work_enter(w, next);
    return NULL;
}

static const char *verb_promote_full(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    int64_t last = control_work_step_at(w, 100, false);
    if (last < 0 || n->weight >= w->want->spec->steps[last].set_weight)
        return "there is no further weight";
    const char *why_not = judged(w);
    if (!why_not)
        why_not = control_work_not_ready(w);
    if (why_not)
        return why_not;
    n->held = false;
    control_work_enter(w, last);
    control_work_say(w, MODEL_PHASE_PROGRESSING, "promoted to the last weight");
    return NULL;
}

static const char *verb_set_weight(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    double weight = n->request_weight;
    const char *why_not = weight > n->weight   ? control_work_not_ready(w)
                          : weight < n->weight ? control_work_no_way_back(w)
                                               : NULL;
    if (why_not)
        return why_not;
    int64_t step = control_work_step_at(w, weight, false);
    control_work_attempt(w, step >= 0 ? step : 0);
    control_work_set_weight(w, weight);
    n->held = true;
    control_work_say(w, MODEL_PHASE_PAUSED, "held at %.15g %% by a user", weight);
    control_work_event(w, false, "WeightSet",
                       "%.15g %% of users are on the new side, set by a user", weight);
    return NULL;
}

static const char *verb_abort(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    const char *why_not = control_work_no_way_back(w);
    if (why_not)
        return why_not;
    memset(&n->verdict, 0, sizeof(n->verdict));
    n->verdict.epoch = n->epoch;
    n->verdict.step = n->step;
    n->verdict.cause = MODEL_CAUSE_ABORT;
    n->verdict.at_ms = w->now_ms;
    snprintf(n->verdict.message, sizeof(n->verdict.message), "aborted by a user");
    snprintf(n->verdict.by, sizeof(n->verdict.by), "user");
    if (n->phase == MODEL_PHASE_ROLLED_BACK || n->phase == MODEL_PHASE_PAUSED)
        control_work_say(w, MODEL_PHASE_PROGRESSING, "aborting");
    return NULL;
}

static const char *verb_undo(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    if (n->weight <= 0)
        return "no user is on the new side";
    const char *why_not = control_work_no_way_back(w);
    if (why_not)
        return why_not;
    int64_t step = control_work_step_at(w, n->weight, true);
    control_work_attempt(w, step >= 0 ? step : 0);
    control_work_set_weight(w, step >= 0 ? w->want->spec->steps[step].set_weight : 0);
    n->held = true;
    control_work_say(w, MODEL_PHASE_PAUSED, "taken back to %.15g %% by a user", n->weight);
    control_work_event(w, false, "Undone", "%.15g %% of users are on the new side again",
                       n->weight);
    return NULL;
}

static const char *verb_finish(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    if (n->weight < 100)
        return "not all users are on the new side";
    const char *wanting = control_work_routes_wanting(w);
    if (wanting)
        return wanting;
    n->held = false;
    control_work_enter(w, (int64_t)w->want->spec->n_steps);
    return NULL;
}

static const struct verb verbs[] = {
    [MODEL_VERB_PAUSE] = {verb_pause, false},
    [MODEL_VERB_RESUME] = {verb_resume, true},
    [MODEL_VERB_PROMOTE] = {verb_promote, true},
    [MODEL_VERB_PROMOTE_FULL] = {verb_promote_full, true},
    [MODEL_VERB_SET_WEIGHT] = {verb_set_weight, true},
    [MODEL_VERB_ABORT] = {verb_abort, false},
    [MODEL_VERB_UNDO] = {verb_undo, true},
    [MODEL_VERB_FINISH] = {verb_finish, false},
};

void control_work_request(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    size_t verb = (size_t)n->request_verb;
    const char *refused = "the verb is not known";
    if (n->phase == MODEL_PHASE_COMPLETED)
        refused = "the migration is completed";
    else if (verb < sizeof(verbs) / sizeof(verbs[0]) && verbs[verb].run)
        refused = verbs[verb].run(w);
    if (!refused && verbs[verb].decides)
        memset(&n->verdict, 0, sizeof(n->verdict));
    const char *name = model_enum_text(&model_enum_migration_verb, (int)verb);
    control_work_event(w, refused != NULL, refused ? "RequestRefused" : "RequestDone", "%s%s%s",
                       name, refused ? ": " : "", refused ? refused : "");
    memset(n->last_id, 0, sizeof(n->last_id));
    memcpy(n->last_id, n->request_id, sizeof(n->last_id));
    n->last_verb = n->request_verb;
    n->last_done = !refused;
    memset(n->last_message, 0, sizeof(n->last_message));
    snprintf(n->last_message, sizeof(n->last_message), "%s", refused ? refused : "done");
    n->has_request = n->has_request_step = false;
    n->request_verb = MODEL_VERB_UNSET;
    n->request_weight = 0;
    n->request_step = 0;
    memset(n->request_id, 0, sizeof(n->request_id));
}
