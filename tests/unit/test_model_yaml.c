#include "model_help.h"

#include <stdlib.h>

/* YAML text and its JSON, or the error. */
static const struct {
    const char *text, *json, *error;
} cases[] = {
    {"a: [1, -2, 0x1f, 0o17, 1.5, 1e3, .5]", "{\"a\":[1,-2,31,15,1.5,1000.0,0.5]}", NULL},
    {"a: [true, False, TRUE, null, ~, '', Null]", "{\"a\":[true,false,true,null,null,\"\",null]}",
     NULL},
    {"a: - b", NULL, "x.yaml: line 1: block sequence entries are not allowed in this context"},
    {"a: [on, yes, No, y, '5', \"true\", 1.2.3, 10.0.0.1, 1_000, 5s, +, .]",
     "{\"a\":[\"on\",\"yes\",\"No\",\"y\",\"5\",\"true\",\"1.2.3\",\"10.0.0.1\",\"1_000\",\"5s\","
     "\"+\",\".\"]}",
     NULL},
    {"a: 0777", "{\"a\":777}", NULL},
    {"a: !!str 5", "{\"a\":\"5\"}", NULL},
    {"a: 9223372036854775808", "{\"a\":9223372036854775808.0}", NULL},
    {"a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}", NULL},
    {"{\"a\": {\"b\": [1, {\"c\": \"\\u00e9\"}]}}", "{\"a\":{\"b\":[1,{\"c\":\"é\"}]}}", NULL},
    {"a: &x {b: 1}\nc: *x\nd: [*x, *x]",
     "{\"a\":{\"b\":1},\"c\":{\"b\":1},\"d\":[{\"b\":1},{\"b\":1}]}", NULL},
    {"# nothing\n---\n---\na: 1\n...\n", "{\"a\":1}", NULL},
    {"a:\n", "{\"a\":null}", NULL},
    {"a: 1\nb: 2\na: 3\n", NULL, "x.yaml: line 3: the key \"a\" is there twice"},
    {"a: {x: 1, x: 1}", NULL, "x.yaml: line 1: the key \"x\" is there twice"},
    {"a: .inf", NULL, "x.yaml: line 1: .inf is no number that JSON can hold"},
    {"\na: 1e999", NULL, "x.yaml: line 2: the number 1e999 is too large"},
    {"a: !!python/object:os.system x", NULL,
     "x.yaml: line 1: the tag tag:yaml.org,2002:python/object:os.system is not supported"},
    {"a: !x {}", NULL, "x.yaml: line 1: the tag !x is not supported"},
    {"a: *x", NULL, "x.yaml: line 1: the alias *x stands for nothing above it"},
    {"a: &x [*x]", NULL, "x.yaml: line 1: the alias *x stands for nothing above it"},
    {"a: &x {}\nb: {<<: *x}", NULL, "x.yaml: line 2: merge keys (<<) are not supported"},
    {"? {a: 1}\n: 1", NULL, "x.yaml: line 1: a key must be plain text"},
    {"a: \"x\\0y\"", NULL, "x.yaml: line 1: a string holds NUL"},
    {"\"a\\0b\": 1", NULL, "x.yaml: line 1: a key holds NUL"},
    {"a: [1", NULL,
     "x.yaml: line 2: did not find expected ',' or ']' while parsing a flow sequence"},
    {"a: 1\n\tb: 2", NULL,
     "x.yaml: line 2: found a tab character that violates indentation while "
     "scanning a plain scalar"},
    {"a: \xff", NULL, "x.yaml: line 1: invalid leading UTF-8 octet"},
};

static void test_cases(void **state)
{
    int wrong = 0;
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct model_docs docs = {0};
        struct wt_err err = {0};
        int r = model_yaml_parse(wt_str_z(cases[i].text), "x.yaml", &docs, &err);
        json_t *wanted = cases[i].json ? json_loads(cases[i].json, 0, NULL) : NULL;
        bool right = cases[i].error
                         ? r < 0 && strcmp(err.msg, cases[i].error) == 0
                         : r == 0 && docs.n == 1 && json_equal(wanted, docs.items[0].json);
        if (!right) {
            char *got = docs.n ? json_dumps(docs.items[0].json, JSON_ENCODE_ANY) : NULL;
            print_error("case %zu: %s %s\n", i, err.msg, got ? got : "");
            free(got);
            wrong++;
        }
        json_decref(wanted);
        model_docs_done(&docs);
    }
    assert_int_equal(wrong, 0);
}

static void test_lines(void **state)
{
    static const struct {
        const char *path;
        unsigned line;
    } wanted[] = {{"", 1},         {"a", 1},       {"b", 2},
                  {"b.c", 3},      {"b.c[0]", 3},  {"b.c[1]", 4},
                  {"b.c[1].d", 5}, {"b.x", 2},     {"b.c[1].d.e.f", 5},
                  {"b.c[7]", 3},   {"nothing", 1}, {"b.c[1].other", 4}};
    struct model_docs docs = parse("a: 1\nb:\n  c: [1,\n    {\n d: 5}]\n");
    for (size_t i = 0; i < N_OF(wanted); i++)
        assert_int_equal(model_line_of(docs.items[0].lines, wanted[i].path), wanted[i].line);
    assert_int_equal(model_line_of(NULL, "a"), 0);
    model_docs_done(&docs);
}

static void test_list_and_documents(void **state)
{
    struct model_docs docs =
        parse("apiVersion: v1\nkind: List\nitems:\n- kind: A\n  x: 1\n-\n  kind: B\n"
              "---\nkind: C\n");
    assert_int_equal(docs.n, 3);
    assert_int_equal(docs.items[0].line, 4);
    assert_int_equal(model_line_of(docs.items[0].lines, "x"), 5);
    assert_int_equal(model_line_of(docs.items[1].lines, "kind"), 7);
    assert_int_equal(docs.items[2].line, 9);
    assert_int_equal(model_line_of(docs.items[2].lines, "kind"), 9);
    assert_string_equal(docs.items[2].file, "x.yaml");
    model_docs_done(&docs);
}

/* CVE-2019-11253: nine levels of nine aliases each are 3.9e8 values. */
static void test_bounds(void **state)
{
    struct model_docs docs;
    struct wt_err err = {0};
    struct wt_buf b = wt_buf_make(64 << 20);
    wt_buf_printf(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++) {
        wt_buf_printf(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 9; k++)
            wt_buf_printf(&b, "%s*a%d", k ? "," : "", i - 1);
        wt_buf_printf(&b, "]\n");
    }
    assert_int_equal(model_yaml_parse(wt_buf_str(&b), NULL, &docs, &err), WT_EINVAL);
    assert_string_equal(err.msg, "line 7: more than 1000000 values, aliases included");
    wt_buf_consume(&b, b.len);
    for (int i = 0; i < 33; i++)
        wt_buf_printf(&b, "[");
    assert_int_equal(model_yaml_parse(wt_buf_str(&b), NULL, &docs, &err), WT_EINVAL);
    assert_string_equal(err.msg, "line 1: nested deeper than 32");
    wt_buf_consume(&b, b.len);
    while (b.len <= 8 << 20)
        wt_buf_printf(&b,
                      "# a long line of nothing ..............................................\n");
    assert_int_equal(model_yaml_parse(wt_buf_str(&b), NULL, &docs, &err), WT_ELIMIT);
    wt_buf_done(&b);
    assert_int_equal(model_yaml_read("/nowhere/at.all", &docs, &err), WT_ENOENT);
}

/* Each alias is its own value: a change of one must not reach the other. */
static void test_aliases_are_copies(void **state)
{
    struct model_docs docs = parse("a: &x {b: 1}\nc: *x\n");
    json_t *doc = docs.items[0].json;
    json_object_set_new(json_object_get(doc, "a"), "b", json_integer(2));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(doc, "c"), "b")), 1);
    model_docs_done(&docs);
}

/* What is written reads back equal, whatever the strings look like. */
static void test_write(void **state)
{
    static const char *const texts[] = {
        "{\"a\":\"on\",\"b\":\"5\",\"c\":\"\",\"d\":\"a: b\",\"e\":\"# x\",\"f\":\" x "
        "\",\"g\":\"x\\ny\\n\",\"h\":[],"
        "\"i\":{},\"j\":[[1],[{\"k\":null}]],\"yes\":true,\"l\":\"1e3\",\"m\":0.1,\"n\":-5,\"o\":"
        "\"é\","
        "\"p\":\"0x1f\",\"q\":\"null\",\"r\":\"- "
        "a\",\"s\":\"*x\",\"t\":\"2026-11-21\",\"u\":\"@\",\"v\":\"10.0.0.1\"}",
        "[1,\"a\"]",
    };
    for (size_t i = 0; i < N_OF(texts); i++) {
        json_t *v = json_loads(texts[i], 0, NULL);
        struct wt_buf b = wt_buf_make(1 << 20);
        assert_int_equal(model_yaml_write(v, &b), 0);
        wt_buf_add_char(&b, 0);
        struct model_docs docs = parse(b.ptr);
        if (!json_equal(v, docs.items[0].json))
            fail_msg("%s", b.ptr);
        model_docs_done(&docs);
        wt_buf_done(&b);
        json_decref(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),  cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_list_and_documents),
        cmocka_unit_test(test_write),  cmocka_unit_test(test_aliases_are_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
