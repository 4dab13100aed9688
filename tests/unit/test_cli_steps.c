/* What the commands say of a Migration's steps, from where it stands. */
#include "base/clock.h"
#include "cli/effects.h"
#include "cli/migrate.h"
#include "cli/stand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { TEXT_MAX = 1 << 16 };

/* Steps and a status as JSON with single quotes; status NULL: none. */
static json_t *migration(const char *steps, const char *status)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "{'kind': 'Migration', 'metadata': {'name': 'shop', 'namespace': 'default'}, 'spec': "
             "{'from': {'name': 'old'}, 'to': {'name': 'new'}, 'state': 'Shared', 'routeRefs': [], "
             "'guard': {'alpha': 0.001, 'floor': 0.005, 'tolerance': 0.25, 'excluding': 0.05, "
             "'onTrip': 'Rollback'}, 'steps': [%s]}%s%s}",
             steps, status ? ", 'status': " : "", status ? status : "");
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *doc = json_loads(text, 0, NULL);
    assert_non_null(doc);
    return doc;
}

#define W(n) "{'setWeight': " #n "}"
#define PAUSE "{'pause': {}}"
#define STATUS(at, weight, more)                                                                   \
    "{'phase': 'Paused', 'epoch': 1, 'step': " #at ", 'weight': " #weight more "}"
#define VERDICT(phase, at, weight)                                                                 \
    "{'phase': '" phase "', 'epoch': 1, 'step': " #at ", 'weight': " #weight                       \
    ", 'verdict': {'epoch': 1, 'cause': 'Errors'}}"
#define SIX W(20) "," PAUSE "," W(50) "," PAUSE "," W(100) ",{'retire': {}}"

static const struct {
    const char *before, *status, *after;
    size_t at;
    double weight;
    const char *does[4];  /* after each step's number and name */
    const char *sentence; /* how it begins; NULL: there is none */
} rows[] = {
    {SIX, NULL, SIX, 0, 0, {"13107 slots", "", "19661 slots", ""}, NULL},
    {SIX, STATUS(1, 20, ""), SIX, 1, 20, {"passed", "", "19661 slots", ""}, NULL},
    /* The step that led here says more now. */
    {SIX,
     STATUS(1, 20, ""),
     W(30) "," PAUSE "," W(50),
     1,
     20,
     {"passed", "", "19661 slots"},
     "stays at 20 %: step 2 has begun, "},
    /* Two steps put before. */
    {SIX,
     STATUS(1, 20, ""),
     W(1) "," PAUSE "," W(20) "," PAUSE,
     1,
     20,
     {"passed", "", "stays at 20 %", ""},
     "stays at 20 %: step 2 has begun, "},
    /* One step left, below the weight in force. */
    {SIX,
     STATUS(3, 60, ""),
     W(5),
     1,
     60,
     {"passed"},
     "stays at 60 %: all steps have been passed, "},
    /* A step to come below it; the one that runs, changed. */
    {SIX,
     STATUS(1, 20, ""),
     W(20) "," W(20) "," W(100),
     1,
     20,
     {"passed", "stays at 20 %", "52429 slots"},
     NULL},
    {SIX, STATUS(0, 20, ""), W(30) "," PAUSE, 0, 20, {"6554 slots", ""}, NULL},
    /* After a verdict a new attempt goes on with what is in force, or from the start. */
    {SIX,
     VERDICT("Paused", 3, 50),
     W(30) "," W(50) "," W(60),
     1,
     50,
     {"passed", "stays at 50 %", "6554 slots"},
     "stays at 50 %: step 2 has begun, "},
    {SIX,
     VERDICT("RolledBack", 3, 0),
     W(30) "," W(100),
     0,
     0,
     {"19661 slots", "45875 slots"},
     NULL},
    {SIX,
     "{'phase': 'Completed', 'epoch': 1, 'step': 6, 'weight': 100}",
     SIX "," PAUSE,
     7,
     100,
     {"passed", "passed", "passed", "passed"},
     "stays at 100 %: all steps have been passed, "},
};

static const char *line_of(const char *text, size_t step)
{
    char start[16];
    snprintf(start, sizeof(start), "\n  %zu ", step + 1);
    const char *found = strstr(text, start);
    return found ? found + 1 : "";
}

static void effects_begin_where_it_stands(void **unused)
{
    const struct cli_load load = {.requests_per_s = 100};
    const struct cli_sides sides = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *current = rows[i].status ? migration(rows[i].before, rows[i].status) : NULL;
        json_t *made = migration(rows[i].after, NULL);
        struct wt_buf out = wt_buf_make(TEXT_MAX);
        assert_int_equal(cli_effects(made, current, &load, &sides, &out), 0);
        const struct cli_stand s = cli_stand_of(made, current);
        assert_int_equal(s.at, rows[i].at);
        assert_true(s.weight == rows[i].weight);
        const char *text = wt_buf_z(&out);
        for (size_t k = 0; k < COUNT(rows[i].does) && rows[i].does[k]; k++) {
            char line[256];
            const char *whole = line_of(text, k);
            snprintf(line, sizeof(line), "%.*s", (int)strcspn(whole, "\n"), whole);
            if (!strstr(line, rows[i].does[k]) ||
                (!*rows[i].does[k] && (strstr(line, "slots") || strstr(line, "passed"))))
                fail_msg("row %zu: \"%s\" is not in \"%s\"", i, rows[i].does[k], line);
        }
        const char *told = strstr(text, "  stays at ");
        told = told && strstr(told, "set-weight N shop` moves it now") ? told : NULL;
        const char *begin = rows[i].sentence ? strstr(text, rows[i].sentence) : NULL;
        if (rows[i].sentence ? !begin || !told : strstr(text, "moves it now") != NULL)
            fail_msg("row %zu: %s", i, text);
        json_t *json = cli_effects_json(made, current, &load, &sides), *step;
        size_t k;
        json_array_foreach(json_object_get(json, "steps"), k, step)
            assert_int_equal(json_is_true(json_object_get(step, "passed")), k < rows[i].at);
        const char *sentence = json_string_value(json_object_get(json, "notInForce"));
        assert_int_equal(*sentence != 0, rows[i].sentence != NULL);
        json_decref(json);
        json_decref(made);
        json_decref(current);
        wt_buf_done(&out);
    }
    (void)unused;
}

static void one_slot_is_no_slots(void **unused)
{
    const struct cli_load load = {.requests_per_s = 100};
    const struct cli_sides sides = {0};
    json_t *made = migration(W(0.002) "," W(100), NULL);
    struct wt_buf out = wt_buf_make(TEXT_MAX);
    assert_int_equal(cli_effects(made, NULL, &load, &sides, &out), 0);
    assert_non_null(strstr(wt_buf_z(&out), " 1 slot "));
    wt_buf_done(&out);
    json_decref(made);
    (void)unused;
}

#define TIMED "{'pause': {'duration': '6s'}}"
#define UNTIL ", 'pausedUntil': '2026-01-01T00:00:06.000Z'"

static void the_tree_tells_what_is_in_force(void **unused)
{
    static const struct {
        const char *steps, *status, *has, *has_not;
    } cases[] = {
        {SIX, STATUS(1, 20, ""), "1  setWeight 20 %\n", "not in force"},
        {W(30) "," PAUSE, STATUS(1, 20, ""),
         "1  setWeight 30 %  not in force: passed, 20 % stays\n", NULL},
        {W(1) "," PAUSE "," W(20) "," PAUSE, STATUS(1, 20, ""),
         "1  setWeight 1 %  not in force: passed, 20 % stays\n", NULL},
        {W(1) "," W(5) "," W(20) "," PAUSE, STATUS(3, 20, ""), "1  setWeight 1 %\n",
         "not in force"},
        {W(5), STATUS(1, 60, ""), "1  setWeight 5 %  not in force: passed, 60 % stays\n", NULL},
        {SIX, VERDICT("RolledBack", 3, 0), "1  setWeight 20 %\n", "not in force"},
        {SIX, NULL, "1  setWeight 20 %\n", "not in force"},
        {W(20) "," TIMED, STATUS(1, 20, UNTIL), "2  pause 6s  4s left\n", NULL},
        {W(20) "," TIMED, STATUS(1, 20, UNTIL ", 'held': true"), "2  pause 6s  held\n", " left"},
        {SIX, STATUS(1, 20, ", 'users': {'moved': 102104, 'movedBack': 102103}"),
         "users     13107 of 65536 slots are on the new side; in all 102104 went there, 102103 "
         "came "
         "back",
         NULL},
    };
    const struct cli_tree_style style = {0};
    int64_t wall_ms;
    assert_true(wt_time_parse(WT_STR("2026-01-01T00:00:02Z"), &wall_ms));
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *doc = migration(cases[i].steps, cases[i].status);
        struct wt_buf out = wt_buf_make(TEXT_MAX);
        assert_int_equal(cli_migration_tree(doc, &style, wall_ms, &out), 0);
        const char *text = wt_buf_z(&out);
        if (!strstr(text, cases[i].has) || (cases[i].has_not && strstr(text, cases[i].has_not)))
            fail_msg("row %zu: %s", i, text);
        wt_buf_done(&out);
        json_decref(doc);
    }
    /* What is held does not run out either. */
    json_t *doc = migration(W(20) "," TIMED, STATUS(1, 20, UNTIL ", 'held': true"));
    struct wt_buf out = wt_buf_make(TEXT_MAX);
    assert_int_equal(cli_migration_tree(doc, &style, wall_ms + 60000, &out), 0);
    assert_null(strstr(wt_buf_z(&out), "time is over"));
    wt_buf_done(&out);
    json_decref(doc);
    (void)unused;
}

#define READ(rv, generation, more)                                                                 \
    "{'metadata': {'resourceVersion': '" rv "', 'uid': 'u', 'generation': " #generation more "}}"
#define LABEL(text) ", 'labels': {'a': '" text "'}"

static json_t *quoted(const char *text)
{
    char copy[256];
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return json_loads(copy, 0, NULL);
}

static void what_others_changed_is_a_conflict(void **unused)
{
    static const struct {
        const char *wanted, *current;
        int result;
    } cases[] = {
        {"{'metadata': {}}", READ("9", 3, ""), 0},
        {READ("9", 3, ""), READ("9", 3, ""), 0},
        {READ("7", 2, ""), READ("9", 3, ""), WT_ECONFLICT},
        {"{'metadata': {'resourceVersion': '7'}}", READ("9", 3, ""), WT_ECONFLICT},
        {READ("7", 3, ""), READ("9", 3, ""), 0}, /* only its status was written */
        {READ("7", 3, LABEL("b")), READ("9", 3, LABEL("b")), 0},
        {READ("7", 3, LABEL("b")), READ("9", 3, LABEL("c")), WT_ECONFLICT},
        {READ("7", 3, ""), READ("9", 3, LABEL("c")), WT_ECONFLICT},
        {"{'metadata': {'resourceVersion': '7', 'uid': 'v', 'generation': 3}}", READ("9", 3, ""),
         WT_ECONFLICT},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wt_err err = {0};
        json_t *wanted = quoted(cases[i].wanted), *current = quoted(cases[i].current);
        if (cli_check_fresh(wanted, current, &err) != cases[i].result)
            fail_msg("row %zu: %s", i, err.msg);
        json_decref(wanted);
        json_decref(current);
    }
    (void)unused;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(effects_begin_where_it_stands),
        cmocka_unit_test(one_slot_is_no_slots),
        cmocka_unit_test(the_tree_tells_what_is_in_force),
        cmocka_unit_test(what_others_changed_is_a_conflict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
