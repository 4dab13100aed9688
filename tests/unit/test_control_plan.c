/* Laws of the migration plan over random worlds. The state goes through its document between plans,
 * as in the store. */
#include "control/migration_plan.h"
#include "control/rival.h"

#include "base/arena.h"
#include "base/hash.h"
#include "model/check.h"
#include "model/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORLDS = 40, TURNS = 120 }; /* WORLDS=N in the environment runs more */

static const char *const specs[] = {
    "{\"state\": \"Shared\", \"steps\": [{\"setWeight\": 0.002}, {\"pause\": {\"duration\": "
    "\"10s\"}},"
    " {\"setWeight\": 5}, {\"setWeight\": 50}, {\"pause\": {}}, {\"setWeight\": 100}, {\"retire\": "
    "{}}]}",
    "{\"state\": \"Separate\", \"steps\": [{\"setWeight\": 10}, {\"pause\": {\"duration\": "
    "\"1s\"}},"
    " {\"setWeight\": 100}, {\"finish\": {}}]}",
    "{\"state\": \"Separate\", \"allowDataLoss\": true, \"steps\": [{\"pause\": {}}, "
    "{\"setWeight\": 30}]}",
    "{\"state\": \"Shared\", \"guard\": {\"onTrip\": \"Pause\"}, \"steps\": [{\"setWeight\": 1},"
    " {\"pause\": {\"duration\": \"5s\"}}, {\"setWeight\": 100}]}",
};
enum { SPECS = sizeof(specs) / sizeof(specs[0]) };

static json_t *make_migration(const char *spec)
{
    json_t *doc =
        json_pack("{s:s, s:s, s:{s:s}, s:o}", "apiVersion", "watari.dev/v1alpha1", "kind",
                  "Migration", "metadata", "name", "shop", "spec", json_loads(spec, 0, NULL));
    json_t *s = json_object_get(doc, "spec");
    json_object_set_new(s, "routeRefs",
                        json_loads("[{\"kind\": \"HTTPRoute\", \"name\": \"r\"}]", 0, NULL));
    json_object_set_new(s, "from", json_pack("{s:s}", "name", "old"));
    json_object_set_new(s, "to", json_pack("{s:s}", "name", "new"));
    struct model_errors errors = {0};
    assert_int_equal(model_check(doc, NULL, NULL, &errors), 0);
    assert_int_equal(model_fill(doc), 0);
    model_errors_done(&errors);
    return doc;
}

static struct control_migration_seen random_seen(struct wt_rng *rng,
                                                 const struct control_migration_state *state)
{
    struct control_migration_seen s;
    memset(&s, 0, sizeof(s));
    s.proxies = wt_rng_below(rng, 3);
    s.pending = wt_rng_below(rng, 10) == 0;
    s.silent = wt_rng_below(rng, 4) == 0;
    s.passed = wt_rng_below(rng, 2);
    s.old = (struct control_side_seen){true, wt_rng_below(rng, 8) != 0, wt_rng_below(rng, 3), 2};
    s.new = (struct control_side_seen){true, wt_rng_below(rng, 8) != 0, wt_rng_below(rng, 3), 2};
    s.routes_exist = wt_rng_below(rng, 20) != 0;
    s.routes_name_any = wt_rng_below(rng, 20) != 0;
    s.rival = wt_rng_below(rng, 20) == 0 ? "other" : NULL;
    s.routes_name_to = wt_rng_below(rng, 4) == 0;
    s.routes_name_from = !s.routes_name_to;
    s.routes_share = s.routes_name_to ? 100 : 0;
    s.requests = state->requests;
    if (wt_rng_below(rng, 10) == 0 && state->epoch > 0) {
        s.verdict.epoch = state->epoch - (int64_t)wt_rng_below(rng, 2);
        s.verdict.step = state->step;
        s.verdict.cause = 1 + (enum model_verdict_cause)wt_rng_below(rng, 2);
        snprintf(s.verdict.message, sizeof(s.verdict.message), "found");
    }
    return s;
}

static void random_request(struct wt_rng *rng, struct control_migration_state *state)
{
    if (wt_rng_below(rng, 6) != 0)
        return;
    state->has_request = true;
    state->request_verb = 1 + (enum model_migration_verb)wt_rng_below(rng, 8);
    state->request_weight =
        state->request_verb == MODEL_VERB_SET_WEIGHT ? wt_rng_below(rng, 101) : 0;
    memset(state->request_id, 0, sizeof(state->request_id));
    snprintf(state->request_id, sizeof(state->request_id), "r%u", wt_rng_below(rng, 1000));
}

static bool judged(const struct control_migration_state *s)
{
    return s->verdict.cause && s->verdict.epoch == s->epoch;
}

/* The one verdict that opens an epoch by itself: what is left of the share waits for a user. */
static bool taken_back(const struct control_migration_state *before,
                       const struct control_migration_state *after)
{
    return after->epoch == before->epoch + 1 && after->verdict.epoch == before->epoch &&
           after->verdict.cause == MODEL_CAUSE_SHARED && after->held &&
           after->weight < before->weight;
}

static void check_laws(const struct model_migration_spec *spec,
                       const struct control_migration_state *before,
                       const struct control_migration_seen *seen,
                       const struct control_migration_plan *plan)
{
    const struct control_migration_state *after = &plan->next;
    bool asked = before->has_request && !seen->pending;
    assert_true(after->epoch >= before->epoch);
    assert_true(after->table_version >= before->table_version);
    assert_true(after->weight >= 0 && after->weight <= 100);
    if (seen->pending)
        assert_true(after->weight <= before->weight && after->has_request == before->has_request);
    else
        assert_false(after->has_request);
    /* A verdict is undone by a user only, and then the epoch is another. */
    if (judged(before) && !asked && !taken_back(before, after)) {
        assert_int_equal(after->epoch, before->epoch);
        assert_true(judged(after));
        assert_true(after->weight <= before->weight);
    }
    if (judged(after))
        assert_true(after->weight <= before->weight);
    /* What is held is let go by a user only. */
    if (before->held && !asked) {
        assert_true(after->weight <= before->weight);
        assert_true(after->held || judged(after));
    }
    /* Nobody moves to a side that is not known to be healthy. */
    if (after->weight > before->weight) {
        assert_true(seen->proxies > 0 && seen->silent == 0);
        assert_true(seen->new.known && seen->new.healthy > 0);
        /* A step that was entered before (with evidence, or promoted) may have waited for hosts. */
        bool entered = before->step < (int64_t)spec->n_steps &&
                       spec->steps[before->step].set_weight > before->weight;
        if (!asked && before->weight > 0 && !entered)
            assert_true(seen->passed);
    }
    /* Nobody moves back to a side that is known to be dead, or to where what they wrote is missing.
     */
    if (after->weight < before->weight) {
        assert_true(asked || judged(after) || taken_back(before, after));
        assert_false(seen->old.known && seen->old.healthy == 0);
        assert_true(spec->state == MODEL_STATE_SHARED || spec->allow_data_loss);
    }
    /* Done is done while the routes say so; else it is a new attempt, without a move. */
    if (before->phase == MODEL_PHASE_COMPLETED) {
        bool reopens = !seen->pending && before->weight > 0 && seen->routes_name_from;
        assert_int_equal(after->phase == MODEL_PHASE_COMPLETED, !reopens);
        assert_int_equal(after->epoch > before->epoch, reopens);
        assert_true(after->weight == before->weight || (reopens && asked));
    }
    if (after->weight != before->weight)
        assert_int_equal(after->table_version > before->table_version, 1);
}

/* Through the document and back: nothing a plan needs may be lost on the way. */
static void through_document(json_t *doc, const struct control_migration_state *state,
                             int64_t now_ms, struct control_migration_state *out)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(4 << 20);
    const struct model_migration *m;
    json_t *before = json_object_get(doc, "status");
    json_object_set_new(doc, "status", control_migration_state_write(state, before, NULL, now_ms));
    struct model_errors errors = {0};
    if (model_check(doc, NULL, NULL, &errors) < 0) {
        char text[2048];
        fail_msg("%s", model_errors_text(&errors, text, sizeof(text)));
    }
    model_errors_done(&errors);
    assert_int_equal(model_migration_view(doc, &arena, &m, NULL), 0);
    control_migration_state_read(m->status, out);
    assert_memory_equal(out, state, sizeof(*out));
}

static void one_world(uint64_t seed)
{
    struct wt_rng rng = {seed};
    wt_autoarena struct wt_arena arena = wt_arena_make(4 << 20);
    static struct control_migration_plan plan, again;
    static struct control_migration_state state;
    json_t *doc = make_migration(specs[seed % SPECS]);
    json_t *copy = json_deep_copy(doc);
    const struct model_migration *m;
    assert_int_equal(model_migration_view(copy, &arena, &m, NULL), 0);
    const struct control_migration_want want = {m->spec, 1, false, true, "shop"};
    int64_t now_ms = 1767225600000;
    memset(&state, 0, sizeof(state));
    for (int turn = 0; turn < TURNS; turn++) {
        random_request(&rng, &state);
        struct control_migration_seen seen = random_seen(&rng, &state);
        control_migration_plan(&want, &state, &seen, now_ms, &plan);
        control_migration_plan(&want, &state, &seen, now_ms, &again);
        assert_memory_equal(&plan, &again, sizeof(plan));
        check_laws(m->spec, &state, &seen, &plan);
        through_document(doc, &plan.next, now_ms, &state);
        now_ms += wt_rng_below(&rng, 8000);
    }
    json_decref(copy);
    json_decref(doc);
}

static void laws_hold_in_random_worlds(void **unused)
{
    (void)unused;
    const char *more = getenv("WORLDS");
    uint64_t worlds = more ? strtoull(more, NULL, 10) : WORLDS;
    for (uint64_t seed = 1; seed <= worlds; seed++)
        one_world(seed);
}

/* In a world that stays good, with people who promote, every migration comes to its end. */
static void converges(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < SPECS; i++) {
        static struct control_migration_plan plan;
        static struct control_migration_state state;
        wt_autoarena struct wt_arena arena = wt_arena_make(4 << 20);
        json_t *doc = make_migration(specs[i]);
        const struct model_migration *m;
        assert_int_equal(model_migration_view(doc, &arena, &m, NULL), 0);
        const struct control_migration_want want = {m->spec, 1, false, true, "shop"};
        memset(&state, 0, sizeof(state));
        for (int turn = 0; turn < 60; turn++) {
            struct control_migration_seen seen;
            memset(&seen, 0, sizeof(seen));
            seen.proxies = 1;
            seen.passed = seen.routes_exist = seen.routes_name_any = seen.routes_name_to = true;
            seen.routes_share = 100;
            seen.old = seen.new = (struct control_side_seen){true, true, 1, 1};
            if (state.phase == MODEL_PHASE_PAUSED && !state.paused_until_ms) {
                state.has_request = true;
                state.request_verb = MODEL_VERB_PROMOTE;
                snprintf(state.request_id, sizeof(state.request_id), "p");
            }
            control_migration_plan(&want, &state, &seen, 1767225600000 + turn * 5000, &plan);
            memcpy(&state, &plan.next, sizeof(state));
        }
        double last = 0;
        for (size_t k = 0; k < m->spec->n_steps; k++)
            last = m->spec->steps[k].has_set_weight ? m->spec->steps[k].set_weight : last;
        assert_true(state.weight == last);
        if (last >= 100)
            assert_int_equal(state.phase, MODEL_PHASE_COMPLETED);
        json_decref(doc);
    }
}

static json_t *moving(const char *name, const char *from, const char *to, const char *route,
                      const char *created, const char *phase, double weight)
{
    return json_pack("{s:{s:s, s:s, s:s}, s:{s:{s:s}, s:{s:s}, s:[{s:s}]}, s:{s:s, s:f}}",
                     "metadata", "namespace", "default", "name", name, "creationTimestamp", created,
                     "spec", "from", "name", from, "to", "name", to, "routeRefs", "name", route,
                     "status", "phase", phase, "weight", weight);
}

/* Who waits for whom; of two at most one does. */
static void of_two_that_move_the_same_users_one_waits(void **unused)
{
    static const char early[] = "2026-01-01T00:00:00Z", late[] = "2026-01-01T00:00:01Z";
    const struct {
        const char *from, *to, *route, *created, *phase;
        double weight;
        bool waits, goes_first; /* beside v1 -> v2 of shop, created early, nobody moved yet */
    } rows[] = {
        {"v1", "v2", "shop", late, "Pending", 0, true, false},
        {"v1", "v3", "shop", late, "Pending", 0, true, false},
        {"v2", "v3", "shop", late, "Pending", 0, true, false},
        {"v1", "v2", "shop", early, "Pending", 0, true, false}, /* by name */
        {"v1", "v2", "shop", late, "Paused", 1, false, true},
        {"v1", "v2", "shop", late, "Completed", 100, false, false},
        {"v3", "v4", "shop", late, "Pending", 0, false, false},
        {"v1", "v2", "cart", late, "Pending", 0, false, false},
    };
    json_t *first = moving("a", "v1", "v2", "shop", early, "Pending", 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *doc = moving("b", rows[i].from, rows[i].to, rows[i].route, rows[i].created,
                             rows[i].phase, rows[i].weight);
        assert_int_equal(control_rival_before(doc, first), rows[i].waits);
        assert_int_equal(control_rival_before(first, doc), rows[i].goes_first);
        assert_false(control_rival_before(doc, doc));
        json_decref(doc);
    }
    json_decref(first);
}

/* Which Migrations decide for the users of the old side of v1 -> v2 of shop, completed. */
static void one_that_began_later_decides(void **unused)
{
    const struct {
        const char *from, *to, *route, *phase;
        double weight;
        const char *started; /* NULL: it has not */
        bool decides;
    } rows[] = {
        {"v2", "v1", "shop", "Progressing", 50, "2026-01-02T00:00:00Z", true},
        {"v2", "v1", "shop", "Completed", 100, "2026-01-02T00:00:00Z", true},
        {"v2", "v1", "shop", "Completed", 100, "2025-01-02T00:00:00Z", false},
        {"v2", "v1", "shop", "Completed", 0, "2026-01-02T00:00:00Z", false},
        {"v2", "v1", "shop", "Pending", 0, NULL, false},
        {"v1", "v3", "shop", "Pending", 0, "2026-01-02T00:00:00Z", true},
        {"v2", "v3", "shop", "Progressing", 50, "2026-01-02T00:00:00Z", false},
        {"v2", "v1", "cart", "Progressing", 50, "2026-01-02T00:00:00Z", false},
    };
    static const char early[] = "2026-01-01T00:00:00Z";
    json_t *doc = moving("a", "v1", "v2", "shop", early, "Completed", 100);
    json_object_set_new(json_object_get(doc, "status"), "epoch", json_integer(1));
    json_object_set_new(json_object_get(doc, "status"), "startedAt", json_string(early));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *other = moving("b", rows[i].from, rows[i].to, rows[i].route, early, rows[i].phase,
                               rows[i].weight);
        json_t *status = json_object_get(other, "status");
        if (rows[i].started) {
            json_object_set_new(status, "epoch", json_integer(1));
            json_object_set_new(status, "startedAt", json_string(rows[i].started));
        }
        if (control_rival_supersedes(other, doc) != rows[i].decides)
            fail_msg("row %zu", i);
        json_decref(other);
    }
    assert_false(control_rival_supersedes(doc, doc));
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_that_move_the_same_users_one_waits),
        cmocka_unit_test(one_that_began_later_decides),
        cmocka_unit_test(laws_hold_in_random_worlds),
        cmocka_unit_test(converges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
