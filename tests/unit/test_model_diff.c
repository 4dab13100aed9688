#include "model_help.h"

#include "model/diff.h"

#include <stdlib.h>

/* Two documents and their changes, "path before after" a line. */
static const struct {
    const char *before, *after;
    unsigned scope;
    const char *changes;
} cases[] = {
    {"{\"a\":1}", "{\"a\":1}", 0, ""},
    {"{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":4}", 0, "a 1 -\nb 2 3\nc - 4\n"},
    {"{\"a\":[1,2,3]}", "{\"a\":[1,5]}", 0, "a[1] 2 5\na[2] 3 -\n"},
    {"{\"a\":[{\"b\":1}]}", "{\"a\":[{\"b\":2},{}]}", 0, "a[0].b 1 2\na[1] - {}\n"},
    {"{\"a\":{}}", "{\"a\":[]}", 0, "a {} []\n"},
    {"{\"a\":null}", "{}", 0, "a null -\n"},
    {"{\"status\":{\"x\":1},\"spec\":1}", "{\"status\":{\"x\":2},\"spec\":1}", MODEL_DIFF_NO_STATUS,
     ""},
    {"{\"spec\":{\"status\":1}}", "{\"spec\":{\"status\":2}}", MODEL_DIFF_NO_STATUS,
     "spec.status 1 2\n"},
    {"{\"metadata\":{\"uid\":\"a\",\"name\":\"x\"}}",
     "{\"metadata\":{\"uid\":\"b\",\"name\":\"y\"}}", MODEL_DIFF_NO_BOOKKEEPING,
     "metadata.name \"x\" \"y\"\n"},
    {"{\"metadata\":{\"uid\":\"a\"}}", "{\"metadata\":{}}", 0, "metadata.uid \"a\" -\n"},
};

static char *dump(const json_t *v)
{
    return v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : strdup("-");
}

static void test_cases(void **state)
{
    for (size_t i = 0; i < N_OF(cases); i++) {
        json_t *a = json_loads(cases[i].before, 0, NULL), *b = json_loads(cases[i].after, 0, NULL);
        struct model_diff d;
        char got[1000] = "";
        assert_int_equal(model_diff(a, b, cases[i].scope, &d, NULL), 0);
        for (size_t k = 0; k < d.n; k++) {
            char *x = dump(d.changes[k].before), *y = dump(d.changes[k].after);
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s %s %s\n", d.changes[k].path,
                     x, y);
            free(x);
            free(y);
        }
        assert_string_equal(got, cases[i].changes);
        model_diff_done(&d);
        json_decref(a);
        json_decref(b);
    }
}

static void test_bound(void **state)
{
    json_t *a = json_array(), *b = json_array();
    struct model_diff d;
    for (int i = 0; i < 5000; i++)
        json_array_append_new(a, json_integer(i));
    assert_int_equal(model_diff(a, b, 0, &d, NULL), 0);
    assert_int_equal(d.n, 1001);
    assert_string_equal(d.changes[1000].path, "…");
    model_diff_done(&d);
    json_decref(a);
    json_decref(b);
}

static void test_spec_differs(void **state)
{
    static const struct {
        const char *before, *after;
        bool differs;
    } rows[] = {
        {"{\"spec\":{\"a\":1},\"metadata\":{\"x\":1}}", "{\"spec\":{\"a\":1},\"metadata\":{}}",
         false},
        {"{\"spec\":{\"a\":1}}", "{\"spec\":{\"a\":2}}", true},
        {"{\"spec\":1}", "{\"spec\":1,\"status\":{}}", false},
        {"{\"reason\":\"a\"}", "{}", true},
        {"{}", "{\"reason\":\"a\"}", true},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        json_t *a = json_loads(rows[i].before, 0, NULL), *b = json_loads(rows[i].after, 0, NULL);
        assert_int_equal(model_spec_differs(a, b), rows[i].differs);
        json_decref(a);
        json_decref(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_spec_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
