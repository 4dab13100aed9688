#include "control/migration_state.h"

#include "base/clock.h"
#include "control/condition.h"
#include "model/kind.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void copy(char *out, size_t size, struct wt_str s)
{
    snprintf(out, size, "%.*s", WT_ARG(s));
}

bool control_verdict_outranks(int64_t epoch, enum model_verdict_cause cause,
                              const struct control_verdict *v)
{
    if (!v->cause || epoch != v->epoch)
        return !v->cause || epoch > v->epoch;
    return cause == MODEL_CAUSE_ERRORS && v->cause == MODEL_CAUSE_SHARED;
}

static void read_verdict(const struct model_migration_verdict *v, struct control_verdict *out)
{
    if (!v || !v->cause)
        return;
    out->epoch = v->epoch;
    out->step = v->step;
    out->cause = v->cause;
    out->at_ms = v->at_ms;
    copy(out->message, sizeof(out->message), v->message);
    copy(out->by, sizeof(out->by), v->by);
}

static void read_requests(const struct model_migration_status *in,
                          struct control_migration_state *out)
{
    const struct model_migration_request *q = in->request;
    if (q) {
        out->has_request = true;
        out->request_verb = q->verb;
        out->request_weight = q->weight;
        out->has_request_step = q->has_step;
        out->request_step = q->step;
        copy(out->request_id, sizeof(out->request_id), q->id);
    }
    const struct model_migration_last_request *l = in->last_request;
    if (l) {
        copy(out->last_id, sizeof(out->last_id), l->id);
        out->last_verb = l->verb;
        out->last_done = wt_str_eq(l->result, WT_STR("Done"));
        copy(out->last_message, sizeof(out->last_message), l->message);
    }
}

void control_migration_state_read(const struct model_migration_status *in,
                                  struct control_migration_state *out)
{
    memset(out, 0, sizeof(*out));
    if (!in)
        return;
    out->phase = in->phase;
    out->epoch = in->epoch;
    out->step = in->step;
    out->weight = in->weight;
    out->table_version = in->table_version;
    out->started_ms = in->started_at_ms;
    out->step_started_ms = in->step_started_at_ms;
    out->paused_until_ms = in->paused_until_ms;
    out->observed_generation = in->observed_generation;
    out->held = in->held;
    out->stuck = in->stuck;
    copy(out->message, sizeof(out->message), in->message);
    read_verdict(in->verdict, &out->verdict);
    read_requests(in, out);
    for (size_t i = 0; i < in->n_conditions; i++)
        if (wt_str_eq(in->conditions[i].type, WT_STR("Retired")))
            out->retired = in->conditions[i].status == MODEL_CONDITION_TRUE;
    if (in->users) {
        out->moved = in->users->moved;
        out->moved_back = in->users->moved_back;
    }
    if (in->requests)
        out->requests =
            (struct control_counts){in->requests->old, in->requests->new, in->requests->lost,
                                    in->requests->bad, in->requests->rescued};
}

static void put_time(json_t *to, const char *name, int64_t ms)
{
    char text[32];
    if (ms)
        json_object_set_new(to, name, json_string(wt_time_format(ms, true, text)));
}

static void put_text(json_t *to, const char *name, const char *text)
{
    if (*text)
        json_object_set_new(to, name, json_string(text));
}

static void put_int(json_t *to, const char *name, int64_t value)
{
    json_object_set_new(to, name, json_integer(value));
}

static json_t *number(double value)
{
    return value == floor(value) ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *write_verdict(const struct control_verdict *v)
{
    json_t *out = json_object();
    put_int(out, "epoch", v->epoch);
    put_int(out, "step", v->step);
    put_text(out, "cause", model_enum_text(&model_enum_verdict_cause, (int)v->cause));
    put_text(out, "message", v->message);
    put_time(out, "at", v->at_ms);
    put_text(out, "by", v->by);
    return out;
}

static void write_requests(const struct control_migration_state *s, json_t *out)
{
    if (s->has_request) {
        json_t *q = json_object();
        put_text(q, "id", s->request_id);
        put_text(q, "verb", model_enum_text(&model_enum_migration_verb, (int)s->request_verb));
        if (s->request_verb == MODEL_VERB_SET_WEIGHT)
            json_object_set_new(q, "weight", number(s->request_weight));
        if (s->has_request_step)
            put_int(q, "step", s->request_step);
        json_object_set_new(out, "request", q);
    }
    if (*s->last_id) {
        json_t *l = json_object();
        put_text(l, "id", s->last_id);
        put_text(l, "verb", model_enum_text(&model_enum_migration_verb, (int)s->last_verb));
        put_text(l, "result", s->last_done ? "Done" : "Refused");
        put_text(l, "message", s->last_message);
        json_object_set_new(out, "lastRequest", l);
    }
}

static void add_condition(json_t *list, const json_t *before, const char *type, bool holds,
                          const struct control_migration_state *s, int64_t now_ms)
{
    const struct control_condition c = {
        .type = type,
        .status = holds ? MODEL_CONDITION_TRUE : MODEL_CONDITION_FALSE,
        .reason = model_enum_text(&model_enum_migration_phase, (int)s->phase),
    };
    control_condition_add(list, json_object_get(before, "conditions"), &c, s->observed_generation,
                          now_ms);
}

static json_t *write_conditions(const struct control_migration_state *s, const json_t *before,
                                int64_t now_ms)
{
    bool going = s->phase == MODEL_PHASE_PROGRESSING || s->phase == MODEL_PHASE_PAUSED ||
                 s->phase == MODEL_PHASE_INCONCLUSIVE || s->phase == MODEL_PHASE_RETIRING;
    json_t *list = json_array();
    add_condition(list, before, "Progressing", going, s, now_ms);
    add_condition(list, before, "Completed", s->phase == MODEL_PHASE_COMPLETED, s, now_ms);
    add_condition(list, before, "Retired", s->retired, s, now_ms);
    return list;
}

json_t *control_migration_state_write(const struct control_migration_state *s, const json_t *before,
                                      json_t *proxies, int64_t now_ms)
{
    json_t *out = json_object();
    put_text(out, "phase", model_enum_text(&model_enum_migration_phase, (int)s->phase));
    put_int(out, "epoch", s->epoch);
    put_int(out, "step", s->step);
    json_object_set_new(out, "weight", number(s->weight));
    put_int(out, "tableVersion", s->table_version);
    put_time(out, "startedAt", s->started_ms);
    put_time(out, "stepStartedAt", s->step_started_ms);
    put_time(out, "pausedUntil", s->paused_until_ms);
    put_text(out, "message", s->message);
    put_int(out, "observedGeneration", s->observed_generation);
    json_object_set_new(out, "held", json_boolean(s->held));
    json_object_set_new(out, "stuck", json_boolean(s->stuck));
    if (s->verdict.cause)
        json_object_set_new(out, "verdict", write_verdict(&s->verdict));
    write_requests(s, out);
    json_object_set_new(out, "users",
                        json_pack("{s:I, s:I}", "moved", (json_int_t)s->moved, "movedBack",
                                  (json_int_t)s->moved_back));
    const struct control_counts *n = &s->requests;
    json_object_set_new(out, "requests",
                        json_pack("{s:I, s:I, s:I, s:I, s:I}", "old", (json_int_t)n->old, "new",
                                  (json_int_t)n->new, "lost", (json_int_t)n->lost, "bad",
                                  (json_int_t)n->bad, "rescued", (json_int_t)n->rescued));
    json_t *kept = proxies ? proxies : json_object_get(before, "proxies");
    if (kept)
        json_object_set(out, "proxies", kept);
    json_object_set_new(out, "conditions", write_conditions(s, before, now_ms));
    return out;
}
