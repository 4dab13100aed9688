/* What watched files do not remove, and what is told of them once. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "control_files_help.h"

static void parts_of_a_running_migration_are_kept(void **unused)
{
    struct site s;
    setup(&s, dir, 1);
    write_file(&s, "/site/site.yaml",
               BACKEND("old") BACKEND("new") BACKEND("other") BACKEND("stays") MIGRATION);
    apply_later(&s);
    set_weight(&s, 50);
    write_file(&s, "/site/site.yaml", BACKEND("stays"));
    for (int i = 0; i < 4; i++)
        apply_later(&s);
    assert_int_equal(control_store_count(s.store, model_kind_migration), 1);
    assert_int_equal(control_store_count(s.store, model_kind_backend), 3);
    assert_int_equal(port_of(&s, "other"), 0);
    assert_int_equal(events(&s, "Migration", "Kept"), 1);
    assert_int_equal(events(&s, "Files", "Removed"), 1);
    set_weight(&s, 100);
    for (int i = 0; i < 2; i++)
        apply_later(&s);
    assert_int_equal(control_store_count(s.store, model_kind_migration), 0);
    assert_int_equal(control_store_count(s.store, model_kind_backend), 1);
    assert_int_equal(events(&s, "Files", "Removed"), 2);
    teardown(&s);
}

/* Lines of standard error, where the log goes, of `n` later readings. */
static unsigned warnings_of(struct site *s, int n, const char *part)
{
    char text[4096];
    int real = dup(STDERR_FILENO), log = memfd_create("log", MFD_CLOEXEC);
    unsigned lines = 0;
    assert_true(real >= 0 && log >= 0);
    dup2(log, STDERR_FILENO);
    wt_log_set_level(WT_LOG_WARN);
    for (int i = 0; i < n; i++)
        apply_later(s);
    wt_log_set_level(WT_LOG_ERROR);
    dup2(real, STDERR_FILENO);
    ssize_t len = pread(log, text, sizeof(text) - 1, 0);
    assert_true(len >= 0);
    text[len] = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        lines++;
    close(log);
    close(real);
    return lines;
}

#define ROUTE_TO(names)                                                                            \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\n"        \
    "spec: {parentRefs: [{name: web}], rules: [{backendRefs: [" names "]}]}\n"
#define TO(name) "{group: watari.dev, kind: Backend, name: " name "}"

static void a_warning_is_told_once(void **unused)
{
    static const struct {
        const char *text;
        unsigned told; /* in four readings */
    } rows[] = {
        {BACKEND("old") BACKEND("new") MIGRATION, 0},
        {ROUTE_TO(TO("lost")), 1},
        {ROUTE_TO(TO("lost")) BACKEND("b"), 0},
        {ROUTE_TO(TO("lost") ", " TO("gone")) BACKEND("b"), 1},
        {BACKEND("b"), 0},
        {ROUTE_TO(TO("lost")) BACKEND("b"), 1},
    };
    struct site s;
    setup(&s, dir, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_file(&s, "/site/site.yaml", rows[i].text);
        unsigned told = warnings_of(&s, 4, "default/lost");
        if (told != rows[i].told)
            fail_msg("row %zu: told %u times", i, told);
        if (i == 0)
            set_weight(&s, 50); /* from here on three are kept */
    }
    assert_int_equal(control_store_count(s.store, model_kind_migration), 1);
    teardown(&s);
}

static void several_errors_are_one_sentence(void **unused)
{
    struct site s;
    struct wt_err err;
    setup(&s, dir, 1);
    write_file(&s, "/site/site.yaml", BACKEND_PORT("a", "0") BACKEND_PORT("b", "99999"));
    assert_int_equal(apply(&s, &err), WT_EINVAL);
    assert_null(strchr(err.msg, '\n'));
    assert_non_null(strstr(err.msg, "; /site/site.yaml: line "));
    json_t *list = control_store_list(s.store, model_kind_event, NULL);
    const json_t *event = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(event, "message")), err.msg);
    json_decref(list);
    teardown(&s);
}

#define ROUTE(backend)                                                                             \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: shop}\n"     \
    "spec: {rules: [{backendRefs: [{group: watari.dev, kind: Backend, name: " backend "}]}]}\n"

static void set_status(struct site *s, const char *phase, double weight, const char *retired)
{
    json_t *m =
        json_deep_copy(control_store_get(s->store, model_kind_migration, "default", "shop"));
    json_object_set_new(m, "status",
                        json_pack("{s:s, s:i, s:f, s:[{s:s, s:s}]}", "phase", phase, "epoch", 1,
                                  "weight", weight, "conditions", "type", "Retired", "status",
                                  retired));
    assert_int_equal(control_store_update(s->store, m, CONTROL_STATUS, NULL, 0, NULL, NULL), 0);
    json_decref(m);
}

/* What decides is the routes as they are, at the end too. */
static void what_users_depend_on_is_kept(void **unused)
{
    static const struct {
        const char *phase;
        double weight;
        const char *retired, *left; /* left: what the files still say, beside "stays" */
        bool migration, old, new;   /* is there in the end */
    } rows[] = {
        {"RolledBack", 0, "False", ROUTE("old"), false, false, false},
        {"RolledBack", 0, "False", ROUTE("old") MIGRATION, true, true, false},
        {"Paused", 50, "False", ROUTE("old"), true, true, true},
        {"Paused", 50, "False", ROUTE("old") MIGRATION, true, true, true},
        {"Blocked", 50, "False", ROUTE("old") MIGRATION, true, true, true},
        {"Retiring", 100, "False", ROUTE("old"), true, true, true},
        {"Retiring", 100, "False", ROUTE("old") MIGRATION, true, true, true},
        {"Retiring", 100, "False", ROUTE("new"), false, false, false},
        {"Retiring", 100, "False", ROUTE("new") MIGRATION, true, true, true},
        {"Retiring", 100, "True", ROUTE("new") MIGRATION, true, false, true},
        {"Retiring", 100, "True", ROUTE("old") MIGRATION, true, true, true},
        {"Completed", 100, "True", ROUTE("new"), false, false, false},
        {"Completed", 100, "True", ROUTE("new") MIGRATION, true, false, false},
        {"Completed", 100, "True", ROUTE("old"), true, true, true},
        {"Completed", 100, "True", ROUTE("old") MIGRATION, true, true, true},
        {"Completed", 100, "True", "", false, false, false}, /* once the route has gone */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site s;
        char text[2000];
        setup(&s, dir, 1);
        write_file(&s, "/site/site.yaml",
                   BACKEND("old") BACKEND("new") BACKEND("stays") ROUTE("old") MIGRATION);
        apply_later(&s);
        set_status(&s, rows[i].phase, rows[i].weight, rows[i].retired);
        snprintf(text, sizeof(text), "%s%s", BACKEND("stays"), rows[i].left);
        write_file(&s, "/site/site.yaml", text);
        for (int k = 0; k < 4; k++)
            apply_later(&s);
        if ((control_store_count(s.store, model_kind_migration) == 1) != rows[i].migration ||
            (port_of(&s, "old") == 80) != rows[i].old || (port_of(&s, "new") == 80) != rows[i].new)
            fail_msg("row %zu: %zu Migrations, port of old %d, of new %d", i,
                     control_store_count(s.store, model_kind_migration), (int)port_of(&s, "old"),
                     (int)port_of(&s, "new"));
        if (*rows[i].left && events(&s, "Migration", "Kept") != (rows[i].old || rows[i].new))
            fail_msg("row %zu: told %u times", i, events(&s, "Migration", "Kept"));
        teardown(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_running_migration_are_kept),
        cmocka_unit_test(a_warning_is_told_once),
        cmocka_unit_test(several_errors_are_one_sentence),
        cmocka_unit_test(what_users_depend_on_is_kept),
    };
    wt_log_set_level(WT_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
