/* Runs the cases of tests/plan/NAME.yaml: want + seen + now → the plan. Each document is a case;
 * what it leaves out is a healthy world: one proxy, both sides up, routes that name the old side.
 * `plan.status` names the fields that must be so, `plan.actions` is the whole list, in order; an
 * event may have its message ("Event REASON: MESSAGE"). */
#include "base/clock.h"
#include "control/migration_plan.h"
#include "model/check.h"
#include "model/view.h"
#include "model/yaml.h"

#include <stdio.h>
#include <stdlib.h>

static const char defaults[] =
    "{\"pending\": false, \"proxies\": 1, \"silent\": 0, \"passed\": false, \"wanting\": 0,"
    " \"old\": {\"exists\": true, \"known\": true, \"healthy\": 1, \"total\": 1},"
    " \"new\": {\"exists\": true, \"known\": true, \"healthy\": 1, \"total\": 1},"
    " \"routes\": {\"exist\": true, \"nameAny\": true, \"nameFrom\": true, \"nameTo\": false, "
    "\"share\": 0}}";

static int64_t integer(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static bool truth(const json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static struct control_side_seen side(const json_t *o)
{
    return (struct control_side_seen){truth(o, "exists"), truth(o, "known"),
                                      (unsigned)integer(o, "healthy"),
                                      (unsigned)integer(o, "total")};
}

static void read_seen(json_t *given, struct control_migration_seen *seen)
{
    json_t *o = json_loads(defaults, 0, NULL);
    json_object_update_recursive(o, given);
    memset(seen, 0, sizeof(*seen));
    seen->pending = truth(o, "pending");
    seen->proxies = (unsigned)integer(o, "proxies");
    seen->silent = (unsigned)integer(o, "silent");
    seen->passed = truth(o, "passed");
    seen->wanting = integer(o, "wanting");
    seen->superseded = truth(o, "superseded");
    seen->old = side(json_object_get(o, "old"));
    seen->new = side(json_object_get(o, "new"));
    const json_t *routes = json_object_get(o, "routes"), *r = json_object_get(o, "running");
    seen->routes_exist = truth(routes, "exist");
    seen->routes_name_any = truth(routes, "nameAny");
    seen->routes_name_from = truth(routes, "nameFrom");
    seen->routes_name_to = truth(routes, "nameTo");
    seen->routes_share = json_number_value(json_object_get(routes, "share"));
    if (r)
        seen->running = (struct control_running_seen){
            true, integer(r, "epoch"), integer(r, "step"), integer(r, "tableVersion"),
            json_number_value(json_object_get(r, "weight"))};
    const json_t *v = json_object_get(o, "verdict");
    if (v) {
        seen->verdict.epoch = integer(v, "epoch");
        seen->verdict.step = integer(v, "step");
        seen->verdict.cause = (enum model_verdict_cause)model_enum_value(
            &model_enum_verdict_cause, wt_str_z(text(v, "cause")));
        snprintf(seen->verdict.message, sizeof(seen->verdict.message), "%s", text(v, "message"));
        snprintf(seen->verdict.by, sizeof(seen->verdict.by), "p1");
    }
    json_decref(o);
}

/* Every member of `want` is in `have`, down to the leaves; null stands for "absent". */
static bool contains(const json_t *have, const json_t *want)
{
    const char *key;
    json_t *value;
    if (!want)
        return true;
    if (!json_is_object(want))
        return json_is_number(want) && json_is_number(have)
                   ? json_number_value(want) == json_number_value(have)
                   : json_equal(have, want);
    json_object_foreach((json_t *)want, key, value)
    {
        json_t *at = json_object_get(have, key);
        if (json_is_null(value) ? at != NULL : !at || !contains(at, value))
            return false;
    }
    return true;
}

/* {do: Event, reason: R, message: M} is "Event R", or "Event R: M" where the message counts. */
static bool same_action(const json_t *action, const char *want)
{
    char line[600];
    const char *reason = text(action, "reason");
    snprintf(line, sizeof(line), "%s%s%s%s%s", text(action, "do"), *reason ? " " : "", reason,
             strchr(want, ':') ? ": " : "", strchr(want, ':') ? text(action, "message") : "");
    return strcmp(line, want) == 0;
}

static bool same_actions(const json_t *got, const json_t *want)
{
    bool same = json_array_size(got) == json_array_size(want);
    for (size_t i = 0; same && i < json_array_size(want); i++)
        same = same_action(json_array_get(got, i), json_string_value(json_array_get(want, i)));
    return same;
}

static bool compare(const struct model_doc *c, const json_t *got)
{
    const json_t *want = json_object_get(c->json, "plan");
    const json_t *want_actions = json_object_get(want, "actions");
    const json_t *requeue = json_object_get(want, "requeueMs");
    bool good = contains(json_object_get(got, "status"), json_object_get(want, "status")) &&
                (!want_actions || same_actions(json_object_get(got, "actions"), want_actions)) &&
                (!requeue || json_equal(requeue, json_object_get(got, "requeueMs")));
    if (!good) {
        char *a = json_dumps(got, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
        printf("FAILED %s: line %u: %s\n%s\n", c->file, c->line, text(c->json, "name"), a);
        free(a);
    }
    return good;
}

static bool run_case(const struct model_doc *c)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(4 << 20);
    struct model_errors errors = {0};
    const struct model_migration *m = NULL;
    struct wt_err err = {0};
    int64_t now_ms;
    json_t *doc = json_pack("{s:s, s:s, s:{s:s}, s:O}", "apiVersion", "watari.dev/v1alpha1", "kind",
                            "Migration", "metadata", "name", "shop", "spec",
                            json_object_get(c->json, "spec"));
    if (doc && json_object_get(c->json, "status"))
        json_object_set(doc, "status", json_object_get(c->json, "status"));
    char sentence[2048] = "the case has no spec or no now";
    bool good = doc && wt_time_parse(wt_str_z(text(c->json, "now")), &now_ms);
    if (good && (model_check(doc, NULL, NULL, &errors) < 0 || model_fill(doc) < 0)) {
        model_errors_text(&errors, sentence, sizeof(sentence));
        good = false;
    }
    if (good && model_migration_view(doc, &arena, &m, &err) < 0) {
        snprintf(sentence, sizeof(sentence), "%s", err.msg);
        good = false;
    }
    model_errors_done(&errors);
    if (!good) {
        printf("FAILED %s: line %u: %s: %s\n", c->file, c->line, text(c->json, "name"), sentence);
        json_decref(doc);
        return false;
    }
    struct control_migration_want want = {m->spec, 1, truth(c->json, "deleting"),
                                          truth(c->json, "finalizer"), "shop"};
    static struct control_migration_state state;
    static struct control_migration_seen seen;
    static struct control_migration_plan plan, again;
    control_migration_state_read(m->status, &state);
    read_seen(json_object_get(c->json, "seen"), &seen);
    seen.requests = state.requests;
    const char *rival = text(json_object_get(c->json, "seen"), "rival");
    seen.rival = *rival ? rival : NULL;
    control_migration_plan(&want, &state, &seen, now_ms, &plan);
    control_migration_plan(&want, &state, &seen, now_ms, &again);
    json_t *got = control_migration_plan_json(&plan, now_ms);
    good = compare(c, got) && memcmp(&plan, &again, sizeof(plan)) == 0;
    json_decref(got);
    json_decref(doc);
    return good;
}

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        struct model_docs docs = {0};
        struct wt_err err = {0};
        if (model_yaml_read(argv[i], &docs, &err) < 0) {
            printf("FAILED %s\n", err.msg);
            return 1;
        }
        for (size_t k = 0; k < docs.n; k++) {
            bool good = run_case(&docs.items[k]);
            passed += good;
            failed += !good;
        }
        model_docs_done(&docs);
    }
    printf("%u cases passed, %u failed\n", passed, failed);
    return failed || !passed;
}
