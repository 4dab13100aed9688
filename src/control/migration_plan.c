#include "control/migration_plan.h"

#include "base/clock.h"
#include "control/migration_work.h"
#include "model/kind.h"
#include "model/slots.h"
#include "model/steps.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REQUEUE_SOON_MS = 1000 };

static void requeue(struct control_work *w, int64_t ms)
{
    if (ms < 1)
        ms = 1;
    if (w->plan->requeue_ms == 0 || ms < w->plan->requeue_ms)
        w->plan->requeue_ms = ms;
}

static void act(struct control_work *w, enum control_action_kind kind)
{
    if (w->plan->n_actions < CONTROL_ACTIONS_MAX)
        w->plan->actions[w->plan->n_actions++].kind = kind;
}

void control_work_event(struct control_work *w, bool warning, const char *reason, const char *fmt,
                        ...)
{
    if (w->plan->n_actions == CONTROL_ACTIONS_MAX)
        return;
    struct control_action *a = &w->plan->actions[w->plan->n_actions++];
    a->kind = CONTROL_ACT_EVENT;
    a->warning = warning;
    a->reason = reason;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(a->message, sizeof(a->message), fmt, ap);
    va_end(ap);
}

void control_work_say(struct control_work *w, enum model_migration_phase phase, const char *fmt,
                      ...)
{
    w->next->phase = phase;
    /* The rest of the array stays zero, so that equal states are equal bytes. */
    memset(w->next->message, 0, sizeof(w->next->message));
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->next->message, sizeof(w->next->message), fmt, ap);
    va_end(ap);
}

bool control_work_judged(const struct control_work *w)
{
    return w->next->verdict.cause && w->next->verdict.epoch == w->next->epoch;
}

void control_work_enter(struct control_work *w, int64_t step)
{
    w->next->step = step;
    w->next->step_started_ms = w->now_ms;
    w->next->paused_until_ms = 0;
}

void control_work_attempt(struct control_work *w, int64_t step)
{
    w->next->epoch++;
    w->evidence_void = true;
    w->next->started_ms = w->now_ms;
    control_work_enter(w, step);
}

void control_work_set_weight(struct control_work *w, double weight)
{
    struct control_migration_state *n = w->next;
    int64_t from = model_slots_quota(n->weight), to = model_slots_quota(weight);
    if (weight == n->weight)
        return;
    if (to > from)
        n->moved += to - from;
    else
        n->moved_back += from - to;
    n->weight = weight;
    if (weight < 100)
        n->retired = false; /* the old side is in service again */
    n->table_version++;
    w->evidence_void = true;
    n->stuck = weight > 0;
    act(w, CONTROL_ACT_PUBLISH);
}

const char *control_work_no_way_back(const struct control_work *w)
{
    const struct model_migration_spec *spec = w->want->spec;
    if (w->next->weight <= 0)
        return NULL;
    if (!w->seen->old.exists)
        return "the Backend of spec.from does not exist: users stay until it does";
    if (spec->state == MODEL_STATE_SEPARATE && !spec->allow_data_loss)
        return "users have written on the new side and state is Separate: what they wrote would be "
               "lost; set spec.allowDataLoss: true to go back, or resume";
    if (w->seen->old.known && w->seen->old.healthy == 0)
        return "the old side has no healthy endpoint: users stay until it has one";
    return NULL;
}

const char *control_work_not_ready(const struct control_work *w)
{
    const struct control_migration_seen *s = w->seen;
    if (s->rival)
        return "waits: another Migration moves the same users";
    if (!s->routes_name_any)
        return "waits: no route of routeRefs names either side";
    if (s->proxies == 0)
        return "waits for a proxy to report";
    if (s->silent > 0)
        return "waits: a proxy has stopped reporting";
    if (!s->new.known)
        return "waits for a proxy to report the hosts of the new side";
    if (s->new.healthy == 0)
        return "waits: the new side has no healthy endpoint";
    return NULL;
}

const char *control_work_routes_wanting(const struct control_work *w)
{
    if (!w->seen->routes_exist)
        return "a route of routeRefs does not exist";
    if (!w->seen->routes_name_to)
        return "the routes' own backendRefs do not name the new side yet";
    if (w->seen->routes_name_from)
        return "the routes' own backendRefs still name the old side";
    return NULL;
}

int64_t control_work_step_at(const struct control_work *w, double weight, bool below)
{
    const struct model_migration_spec *spec = w->want->spec;
    int64_t found = -1;
    for (size_t i = 0; i < spec->n_steps; i++)
        if (spec->steps[i].has_set_weight &&
            (spec->steps[i].set_weight < weight || (!below && spec->steps[i].set_weight == weight)))
            found = (int64_t)i;
    return found;
}

/* People count steps from 1, as the commands do; past the last one it is the last. */
static int64_t shown(const struct control_work *w, int64_t step)
{
    int64_t n = w->want->spec->n_steps;
    return step < n ? step + 1 : n;
}

/* Restores a status that is lost or older than what proxies run: the higher epoch wins. */
static void restore(struct control_work *w)
{
    const struct control_running_seen *r = &w->seen->running;
    struct control_migration_state *n = w->next;
    if (r->any &&
        (r->epoch > n->epoch || (r->epoch == n->epoch && r->table_version > n->table_version))) {
        n->epoch = r->epoch;
        n->step = r->step;
        n->table_version = r->table_version;
        n->weight = r->weight;
        n->stuck = r->weight > 0;
        n->held = r->held;
        n->step_started_ms = w->now_ms;
        n->paused_until_ms = 0;
        if (!n->started_ms)
            n->started_ms = w->now_ms;
        control_work_say(w, MODEL_PHASE_PROGRESSING, "status restored from proxies");
        control_work_event(w, true, "StatusRestored",
                           "took over attempt %" PRId64 ", step %" PRId64 "/%" PRIu32
                           ", weight %.15g %% from a proxy's report",
                           n->epoch, shown(w, n->step), w->want->spec->n_steps, n->weight);
        act(w, CONTROL_ACT_PUBLISH);
    }
    if (n->epoch == 0 && !w->seen->pending) {
        control_work_attempt(w, 0);
        control_work_say(w, MODEL_PHASE_PROGRESSING, "started");
        control_work_event(w, false, "Started", "attempt %" PRId64 " begins", n->epoch);
        act(w, CONTROL_ACT_PUBLISH);
    }
    int64_t last = (int64_t)w->want->spec->n_steps;
    if (n->step > last)
        n->step = last;
}

/* Whether this attempt is what a Shared verdict on the one before has left. Errors of the one
 * before may still be told: a proxy that has them in force lets nobody to the new side. */
static bool taken_back(const struct control_migration_state *n)
{
    return n->verdict.cause == MODEL_CAUSE_SHARED && n->verdict.epoch + 1 == n->epoch;
}

static void absorb_verdict(struct control_work *w)
{
    const struct control_verdict *v = &w->seen->verdict;
    struct control_migration_state *n = w->next;
    if (!v->cause || v->epoch < n->epoch - taken_back(n) || n->phase == MODEL_PHASE_COMPLETED ||
        !control_verdict_outranks(v->epoch, v->cause, &n->verdict))
        return;
    if (n->epoch < v->epoch)
        n->epoch = v->epoch;
    n->verdict = *v;
    n->verdict.epoch = n->epoch;
    control_work_event(w, true, "Verdict",
                       "%s at step %" PRId64 "/%" PRIu32 " of attempt %" PRId64 ": %s",
                       model_enum_text(&model_enum_verdict_cause, (int)v->cause), shown(w, v->step),
                       w->want->spec->n_steps, v->epoch, v->message);
    act(w, CONTROL_ACT_PUBLISH);
}

/* The weight that a verdict asks for. */
static double weight_after(const struct control_work *w)
{
    const struct control_verdict *v = &w->next->verdict;
    return v->cause == MODEL_CAUSE_SHARED
               ? model_steps_weight_before(w->want->spec, v->step, w->next->weight)
               : 0;
}

/* What is left of the share begins a new attempt that waits for a user: the guard judges it from
 * nothing, and a verdict on it counts. */
static void take_step_back(struct control_work *w, double weight)
{
    struct control_migration_state *n = w->next;
    int64_t step = control_work_step_at(w, weight, false);
    control_work_attempt(w, step >= 0 ? step : 0);
    n->held = true;
    control_work_say(w, MODEL_PHASE_PAUSED, "step taken back to %.15g %%: %s", weight,
                     n->verdict.message);
    control_work_event(w, true, "StepTakenBack",
                       "weight is %.15g %% again, held as attempt %" PRId64 ": %s", weight,
                       n->epoch, n->verdict.message);
}

static void carry_out_verdict(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    if (n->phase == MODEL_PHASE_ROLLED_BACK)
        return;
    const struct model_migration_guard *guard = w->want->spec->guard;
    bool pause =
        n->verdict.cause != MODEL_CAUSE_ABORT && guard && guard->on_trip == MODEL_TRIP_PAUSE;
    if (pause) {
        if (!n->held)
            control_work_event(w, true, "Paused", "held: %s", n->verdict.message);
        n->held = true;
        control_work_say(w, MODEL_PHASE_PAUSED, "held by the guard: %s", n->verdict.message);
        return;
    }
    double weight = weight_after(w);
    const char *why_not = weight < n->weight ? control_work_no_way_back(w) : NULL;
    if (why_not) {
        if (n->phase != MODEL_PHASE_BLOCKED)
            control_work_event(w, true, "Blocked", "not rolled back: %s", why_not);
        control_work_say(w, MODEL_PHASE_BLOCKED, "not rolled back: %s", why_not);
        requeue(w, REQUEUE_SOON_MS);
        return;
    }
    control_work_set_weight(w, weight);
    /* Stickiness would keep users on the side that was judged (argo-rollouts#1838). */
    n->stuck = weight > 0;
    n->paused_until_ms = 0;
    if (weight > 0) {
        take_step_back(w, weight);
        return;
    }
    n->held = false;
    control_work_say(w, MODEL_PHASE_ROLLED_BACK, "rolled back: %s", n->verdict.message);
    control_work_event(w, true, "RolledBack", "all users go to the old side: %s",
                       n->verdict.message);
}

/* Steps. Each returns true when the next step may be looked at in the same plan. */

/* At weight 0 nobody is on the new side, and at 100 nobody is left to compare with. */
static bool evidence_enough(const struct control_work *w)
{
    return w->next->weight <= 0 || w->next->weight >= 100 || (w->seen->passed && !w->evidence_void);
}

static void wait_for_evidence(struct control_work *w)
{
    if (w->next->phase != MODEL_PHASE_INCONCLUSIVE)
        control_work_event(w, false, "Inconclusive",
                           "step %" PRId64 "/%" PRIu32
                           " waits for evidence that the new side is no worse",
                           shown(w, w->next->step), w->want->spec->n_steps);
    control_work_say(w, MODEL_PHASE_INCONCLUSIVE,
                     w->seen->proxies ? "waits for evidence that the new side is no worse"
                                      : "waits for a proxy to report");
    requeue(w, REQUEUE_SOON_MS);
}

static bool step_weight(struct control_work *w, const struct model_migration_step *step)
{
    struct control_migration_state *n = w->next;
    if (n->weight >= step->set_weight) {
        /* In force. The step after a plain setWeight is another raise, or the end: that takes
         * evidence, whereas a pause does its own waiting. */
        const struct model_migration_spec *spec = w->want->spec;
        bool next_raises = n->step + 1 < (int64_t)spec->n_steps &&
                           spec->steps[n->step + 1].has_set_weight &&
                           spec->steps[n->step + 1].set_weight > n->weight;
        if (next_raises && !evidence_enough(w)) {
            wait_for_evidence(w);
            return false;
        }
        control_work_enter(w, n->step + 1);
        return true;
    }
    const char *why_not = control_work_not_ready(w);
    if (why_not) {
        control_work_say(w, n->weight > 0 ? MODEL_PHASE_PROGRESSING : MODEL_PHASE_PENDING, "%s",
                         why_not);
        requeue(w, REQUEUE_SOON_MS);
        return false;
    }
    control_work_set_weight(w, step->set_weight);
    n->step_started_ms = w->now_ms;
    control_work_say(w, MODEL_PHASE_PROGRESSING, "%.15g %% of users are on the new side",
                     n->weight);
    control_work_event(w, false, "WeightSet", "%.15g %% of users are on the new side", n->weight);
    return true;
}

static bool step_pause(struct control_work *w, const struct model_migration_step *step)
{
    struct control_migration_state *n = w->next;
    bool endless = !step->pause->has_duration;
    if (endless) {
        n->paused_until_ms = 0;
        if (n->phase != MODEL_PHASE_PAUSED)
            control_work_event(w, false, "Paused",
                               "step %" PRId64 "/%" PRIu32 " waits to be promoted",
                               shown(w, n->step), w->want->spec->n_steps);
        control_work_say(w, MODEL_PHASE_PAUSED, "waits to be promoted");
        return false;
    }
    /* Always anew: its user may have changed how long it is. */
    n->paused_until_ms = n->step_started_ms + step->pause->duration_ms;
    if (w->now_ms < n->paused_until_ms) {
        control_work_say(w, MODEL_PHASE_PAUSED, "pauses at %.15g %%", n->weight);
        requeue(w, n->paused_until_ms - w->now_ms);
        return false;
    }
    if (!evidence_enough(w)) {
        wait_for_evidence(w);
        return false;
    }
    control_work_enter(w, n->step + 1);
    return true;
}

static bool step_retire(struct control_work *w, const struct model_migration_step *step)
{
    struct control_migration_state *n = w->next;
    const char *wanting = control_work_routes_wanting(w);
    if (n->phase != MODEL_PHASE_RETIRING)
        control_work_event(w, false, "Retiring", "all users moved; the old side is kept warm");
    if (wanting) {
        control_work_say(w, MODEL_PHASE_RETIRING, "%s: `watari migrate finish %s` prints the patch",
                         wanting, w->want->name);
        return false;
    }
    int64_t until = n->step_started_ms + step->retire->after_ms;
    if (w->now_ms < until) {
        control_work_say(w, MODEL_PHASE_RETIRING, "the old side is kept warm");
        requeue(w, until - w->now_ms);
        return false;
    }
    n->retired = true;
    control_work_event(w, false, "Retired", "the old side gets no more probes");
    act(w, CONTROL_ACT_PUBLISH);
    control_work_enter(w, n->step + 1);
    return true;
}

/* The step finish, and the end of the list. */
static bool step_finish(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    if (n->weight < 100) {
        control_work_say(w, MODEL_PHASE_PAUSED,
                         "all steps are done; %.15g %% of users are on the new side", n->weight);
        return false;
    }
    const char *wanting = control_work_routes_wanting(w);
    if (wanting) {
        control_work_say(w, MODEL_PHASE_RETIRING, "%s: `watari migrate finish %s` prints the patch",
                         wanting, w->want->name);
        return false;
    }
    n->step = (int64_t)w->want->spec->n_steps;
    control_work_say(w, MODEL_PHASE_COMPLETED, "done: the routes name the new side themselves");
    control_work_event(w, false, "Completed", "done: the routes name the new side themselves");
    act(w, CONTROL_ACT_PUBLISH);
    return false;
}

static bool one_step(struct control_work *w)
{
    const struct model_migration_spec *spec = w->want->spec;
    if (w->next->step >= (int64_t)spec->n_steps)
        return step_finish(w);
    const struct model_migration_step *step = &spec->steps[w->next->step];
    if (step->has_set_weight)
        return step_weight(w, step);
    if (step->pause)
        return step_pause(w, step);
    if (step->retire)
        return step_retire(w, step);
    if (step->has_finish)
        return step_finish(w);
    control_work_enter(w, w->next->step + 1); /* setMirror is not in force in this release */
    return true;
}

static void advance(struct control_work *w)
{
    for (size_t i = 0; i <= 2 * w->want->spec->n_steps + 1; i++)
        if (!one_step(w))
            return;
}

/* Of a Migration that waits for deletion: only what its user has asked for since, which is what
 * guard_end() advises. */
static void carry_out_promotion(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    const struct model_migration_spec *spec = w->want->spec;
    bool asked = n->last_done &&
                 (n->last_verb == MODEL_VERB_PROMOTE || n->last_verb == MODEL_VERB_PROMOTE_FULL);
    if (!asked || n->step >= (int64_t)spec->n_steps)
        return;
    const struct model_migration_step *step = &spec->steps[n->step];
    if (step->has_set_weight && n->weight < step->set_weight)
        step_weight(w, step);
}

/* What is done is done only as long as the routes say so. Were the object removed then, all users
 * would go to a side that is out of service. It is a new attempt, for which no verdict on the one
 * before counts; the old side stays out of service until users are taken back. */
static void reopen(struct control_work *w)
{
    static const char *const why = "no longer done: the routes' own backendRefs name the old side "
                                   "again; users stay on the new side";
    struct control_migration_state *n = w->next;
    if (n->phase != MODEL_PHASE_COMPLETED || n->weight <= 0 || !w->seen->routes_name_from ||
        w->seen->superseded)
        return;
    control_work_attempt(w, (int64_t)w->want->spec->n_steps);
    n->retired = true;
    control_work_say(w, MODEL_PHASE_RETIRING, "%s", why);
    control_work_event(w, true, "Reopened",
                       "%s; `watari migrate finish %s` prints the patch, abort takes them back",
                       why, w->want->name);
    act(w, CONTROL_ACT_PUBLISH);
}

/* The end of life: while the share in force is not what the routes say, the object must stay. */
static void guard_end(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    bool same = w->seen->routes_exist && w->seen->routes_share == n->weight;
    bool over = n->phase == MODEL_PHASE_COMPLETED;
    bool needed = !same && !over && n->weight > 0;
    bool no_way_back =
        w->want->spec->state == MODEL_STATE_SEPARATE && !w->want->spec->allow_data_loss;
    const char *once = no_way_back ? " once spec.allowDataLoss is true (state is Separate: what "
                                     "they wrote on the new side is lost then)"
                                   : "";
    if (needed && !w->want->has_finalizer)
        act(w, CONTROL_ACT_ADD_FINALIZER);
    if (w->want->has_finalizer && (same || over || (n->weight <= 0 && !w->seen->routes_name_to)))
        act(w, CONTROL_ACT_REMOVE_FINALIZER);
    else if (w->want->deleting && needed)
        control_work_say(
            w, n->phase,
            "deletion waits: %.15g %% of users are on the new side, but the routes say "
            "otherwise; `watari migrate %s %s` %s, abort takes users back%s",
            n->weight, n->weight < 100 ? "promote --full" : "finish", w->want->name,
            n->weight < 100 ? "moves all" : "prints the patch", once);
}

/* What must exist before anything is done. */
static const char *missing(const struct control_work *w)
{
    if (!w->seen->routes_exist)
        return "a route of routeRefs does not exist";
    if (!w->seen->routes_name_any)
        return "no route of routeRefs names spec.from or spec.to: there is nobody to move";
    if (!w->seen->new.exists)
        return "the Backend of spec.to does not exist";
    if (!w->seen->old.exists)
        return "the Backend of spec.from does not exist";
    return NULL;
}

static bool blocked(struct control_work *w)
{
    const struct control_migration_seen *s = w->seen;
    char message[CONTROL_MESSAGE_MAX];
    const char *why_not = missing(w);
    /* After retirement the old Backend may well be gone. */
    if (w->next->retired && s->routes_exist && s->new.exists)
        why_not = NULL;
    if (s->rival) {
        snprintf(message, sizeof(message),
                 "Migration %s moves users of the same routes and goes first: finish or delete it",
                 s->rival);
        why_not = message;
        requeue(w, REQUEUE_SOON_MS);
    }
    if (!why_not)
        return false;
    if (w->next->phase != MODEL_PHASE_BLOCKED)
        control_work_event(w, true, "Blocked", "%s", why_not);
    control_work_say(w, MODEL_PHASE_BLOCKED, "%s", why_not);
    return true;
}

static void go_on(struct control_work *w)
{
    struct control_migration_state *n = w->next;
    if (control_work_judged(w)) {
        carry_out_verdict(w);
        return;
    }
    if (n->phase == MODEL_PHASE_COMPLETED)
        return;
    if (blocked(w))
        return;
    if (n->held) {
        if (taken_back(n))
            control_work_say(w, MODEL_PHASE_PAUSED, "step taken back to %.15g %%: %s", n->weight,
                             n->verdict.message);
        else
            control_work_say(w, MODEL_PHASE_PAUSED, "held at %.15g %% by a user", n->weight);
        return;
    }
    if (w->want->deleting) {
        carry_out_promotion(w);
        return;
    }
    if (n->phase == MODEL_PHASE_BLOCKED)
        control_work_say(w, MODEL_PHASE_PROGRESSING, "goes on");
    advance(w);
}

void control_migration_plan(const struct control_migration_want *want,
                            const struct control_migration_state *state,
                            const struct control_migration_seen *seen, int64_t now_ms,
                            struct control_migration_plan *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(&out->next, state, sizeof(out->next));
    struct control_work w = {want, seen, now_ms, &out->next, out, false};
    if (seen->pending && seen->proxies == 0) {
        requeue(&w, REQUEUE_SOON_MS);
        return;
    }
    out->next.observed_generation = want->generation;
    out->next.requests = seen->requests;
    restore(&w);
    absorb_verdict(&w);
    if (seen->pending) {
        /* A partial reading: what is told may be believed, what is not told means nothing yet. */
        if (control_work_judged(&w))
            carry_out_verdict(&w);
        requeue(&w, REQUEUE_SOON_MS);
        return;
    }
    reopen(&w);
    if (out->next.has_request)
        control_work_request(&w);
    go_on(&w);
    guard_end(&w);
}

static json_t *action_json(const struct control_action *a)
{
    static const char *const names[] = {"Event", "Publish", "AddFinalizer", "RemoveFinalizer"};
    if (a->kind != CONTROL_ACT_EVENT)
        return json_pack("{s:s}", "do", names[a->kind]);
    return json_pack("{s:s, s:s, s:s, s:s}", "do", names[a->kind], "type",
                     a->warning ? "Warning" : "Normal", "reason", a->reason, "message", a->message);
}

json_t *control_migration_plan_json(const struct control_migration_plan *plan, int64_t now_ms)
{
    json_t *actions = json_array();
    for (unsigned i = 0; i < plan->n_actions; i++)
        json_array_append_new(actions, action_json(&plan->actions[i]));
    return json_pack("{s:o, s:o, s:I}", "status",
                     control_migration_state_write(&plan->next, NULL, NULL, now_ms), "actions",
                     actions, "requeueMs", (json_int_t)plan->requeue_ms);
}
