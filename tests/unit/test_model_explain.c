#include "model_help.h"

#include "model/explain.h"

#include <stdlib.h>

static const struct {
    const char *path, *text, *error;
} cases[] = {
    {"hr.spec.rules.matches.path.type",
     "GROUP:      gateway.networking.k8s.io\nKIND:       HTTPRoute\nVERSION:    v1\n\n"
     "FIELD: type\t<enum>\n\n"
     "DESCRIPTION:\n    How the path is compared.\n    Allowed: Exact, PathPrefix.\n    Default: "
     "PathPrefix\n"
     "    - Exact: The whole path.\n"
     "    - PathPrefix: The path or what lies below it, element by element.\n"
     "    - RegularExpression: A regular expression. (not supported yet)\n",
     NULL},
    {"migration.spec.steps.pause",
     "GROUP:      watari.dev\nKIND:       Migration\nVERSION:    v1alpha1\n\n"
     "FIELD: pause\t<Object>\n\n"
     "DESCRIPTION:\n    Wait; the guard must be content before the next step.\n\n"
     "FIELDS:\n  duration\t<duration>\n    How long; absent: until promoted.\n\n",
     NULL},
    {"migraton", NULL, "no kind \"migraton\"; did you mean \"Migration\"?"},
    {"migration.spec.stps", NULL, "spec has no field \"stps\"; did you mean \"steps\"?"},
    {"migration.spec.state.x", NULL, "state has no fields"},
    {"", NULL, "no kind \"\""},
};

static void test_cases(void **state)
{
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct wt_buf out = wt_buf_make(1 << 20);
        struct wt_err err = {0};
        int r = model_explain(wt_str_z(cases[i].path), false, &out, &err);
        if (cases[i].error) {
            assert_int_equal(r, WT_ENOENT);
            assert_string_equal(err.msg, cases[i].error);
        } else {
            assert_int_equal(r, 0);
            assert_string_equal(wt_buf_z(&out), cases[i].text);
        }
        wt_buf_done(&out);
    }
}

static void test_recursive(void **state)
{
    struct wt_buf out = wt_buf_make(1 << 20);
    assert_int_equal(model_explain(WT_STR("migration"), true, &out, NULL), 0);
    assert_non_null(
        strstr(wt_buf_z(&out), "\n    steps\t<[]Object> -required-\n      setWeight\t<number>\n"));
    wt_buf_done(&out);
}

/* docs/reference is made by gen-reference; this fails where somebody forgot to run it. */
static void test_reference(void **state)
{
    for (unsigned i = 0; i < model_kinds_len; i++) {
        char path[600];
        static char page[1 << 18];
        struct wt_buf out = wt_buf_make(1 << 20);
        assert_int_equal(model_reference(&model_kinds[i], &out), 0);
        snprintf(path, sizeof(path), "%s/%s.md", TEST_REFERENCE, model_kinds[i].name);
        FILE *f = fopen(path, "re");
        size_t n = f ? fread(page, 1, sizeof(page), f) : 0;
        if (f)
            fclose(f);
        if (!wt_str_eq(wt_str(page, n), wt_buf_str(&out)))
            fail_msg(
                "%s is not what the kinds say; run: build/src/model/gen-reference docs/reference",
                path);
        wt_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_recursive),
        cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
