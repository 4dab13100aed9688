#include "cli/args.h"
#include "cli/migrate.h"
#include "cli/table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct outputs {
    bool flag, other;
    const char *text, *word;
    struct cli_texts texts;
    unsigned count;
    double number;
    int64_t duration_ms;
    uint64_t bytes;
};

static int parse(const char *line, struct outputs *o, struct cli_texts *operands,
                 struct wt_err *err)
{
    static char copy[512];
    static char *argv[32];
    int argc = 0;
    *o = (struct outputs){0};
    *operands = (struct cli_texts){0};
    const struct cli_option options[] = {
        {'a', "all", CLI_FLAG, &o->flag, "", ""},
        {'w', "watch", CLI_FLAG, &o->other, "", ""},
        {'o', "output", CLI_TEXT, &o->text, "FORMAT", ""},
        {'f', "filename", CLI_TEXTS, &o->texts, "FILE", ""},
        {0, "dry-run", CLI_WORD, &o->word, "", ""},
        {0, "workers", CLI_COUNT, &o->count, "N", ""},
        {0, "users", CLI_NUMBER, &o->number, "N", ""},
        {0, "wait", CLI_DURATION, &o->duration_ms, "TIME", ""},
        {0, "limit", CLI_BYTES, &o->bytes, "BYTES", ""},
    };
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    return cli_args_parse(argc, argv, options, COUNT(options), operands, err);
}

static void test_args_good(void **state)
{
    struct outputs o;
    struct cli_texts operands;
    struct wt_err err;
    (void)state;
    assert_int_equal(parse("get -a -o yaml x --filename=a -fb -f c -- -d", &o, &operands, &err), 0);
    assert_true(o.flag);
    assert_string_equal(o.text, "yaml");
    assert_int_equal(o.texts.n, 3);
    assert_string_equal(o.texts.items[0], "a");
    assert_string_equal(o.texts.items[1], "b");
    assert_string_equal(o.texts.items[2], "c");
    assert_int_equal(operands.n, 3);
    assert_string_equal(operands.items[2], "-d");
    assert_int_equal(
        parse("--all=false --output= - --workers 4 --users 2.5 --wait 1m30s", &o, &operands, &err),
        0);
    assert_false(o.flag);
    assert_string_equal(o.text, "");
    assert_string_equal(operands.items[0], "-");
    assert_int_equal(o.count, 4);
    assert_true(o.number == 2.5);
    assert_int_equal(o.duration_ms, 90000);
    assert_int_equal(parse("-o=wide -f=a", &o, &operands, &err), 0);
    assert_string_equal(o.text, "wide");
    assert_string_equal(o.texts.items[0], "a");
    assert_int_equal(parse("-o=", &o, &operands, &err), 0);
    assert_string_equal(o.text, "=");
    assert_int_equal(parse("--wait=7", &o, &operands, &err), 0);
    assert_int_equal(o.duration_ms, 7000);
    assert_int_equal(parse("--limit=512Mi", &o, &operands, &err), 0);
    assert_int_equal(o.bytes, 512 << 20);
    assert_int_equal(parse("--limit 3k", &o, &operands, &err), 0);
    assert_int_equal(o.bytes, 3000);
}

/* An optional value must not eat the operand behind it. */
static void test_args_word(void **state)
{
    struct outputs o;
    struct cli_texts operands;
    struct wt_err err;
    (void)state;
    assert_int_equal(parse("x", &o, &operands, &err), 0);
    assert_null(o.word);
    assert_int_equal(parse("--dry-run x", &o, &operands, &err), 0);
    assert_string_equal(o.word, "");
    assert_int_equal(operands.n, 1);
    assert_int_equal(parse("--dry-run=server", &o, &operands, &err), 0);
    assert_string_equal(o.word, "server");
}

static void test_args_bad(void **state)
{
    static const struct {
        const char *line, *sentence;
    } rows[] = {
        {"--outptu yaml", "did you mean --output"},
        {"--zzzzzz", "unknown option --zzzzzz"},
        {"-z", "unknown option -z"},
        {"-o", "--output needs a value: FORMAT"},
        {"--all=maybe", "--all takes true or false"},
        {"-aw", "write \"-a -w\""},
        {"-ax", "-a takes no value"},
        {"--workers -1", "--workers takes a whole number"},
        {"--workers 1e3", "--workers takes a whole number"},
        {"--workers 1000001", "--workers takes a whole number"},
        {"--users nan", "--users takes a number"},
        {"--users inf", "--users takes a number"},
        {"--users -1", "--users takes a number"},
        {"--users 3x", "--users takes a number"},
        {"--limit 1.5Gi", "--limit takes bytes"},
        {"--limit Mi", "--limit takes bytes"},
        {"--limit 5KB", "--limit takes bytes"},
        {"--limit -1", "--limit takes bytes"},
        {"--limit 18446744073709551616", "--limit takes bytes"},
        {"--limit 18014398509481984Ki", "--limit takes bytes"},
        {"--wait soon", "--wait takes a duration"},
        {"--wait -1s", "--wait takes a duration"},
        {"--wait 10 --wait= ", "--wait takes a duration"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct outputs o;
        struct cli_texts operands;
        struct wt_err err = {0};
        if (parse(rows[i].line, &o, &operands, &err) != WT_EINVAL ||
            !strstr(err.msg, rows[i].sentence))
            fail_msg("%s: \"%s\"", rows[i].line, err.msg);
    }
}

static void row(struct cli_table *t, const char *a, const char *b, const char *c)
{
    cli_table_cell(t, a);
    cli_table_cell(t, b);
    cli_table_cell(t, c);
    cli_table_end_row(t);
}

static void test_table(void **state)
{
    struct cli_table t;
    wt_autobuf struct wt_buf out = wt_buf_make(4096);
    (void)state;
    cli_table_init(&t);
    row(&t, "NAME", "N", "LAST");
    row(&t, "größer", "1", "x");
    row(&t, "", "22", "");
    assert_int_equal(cli_table_write(&t, &out), 0);
    assert_string_equal(wt_buf_z(&out), "NAME     N    LAST\n"
                                        "größer   1    x\n"
                                        "         22\n");
    /* Later rows keep to the widths, and widen them. */
    out.len = 0;
    row(&t, "a", "333", "a\033[31mb\n\xff");
    assert_int_equal(cli_table_write(&t, &out), 0);
    assert_string_equal(wt_buf_z(&out), "a        333   a?[31mb??\n");
    out.len = 0;
    assert_int_equal(cli_table_write(&t, &out), 0);
    assert_int_equal(out.len, 0);
    cli_table_done(&t);
}

static void test_table_many_columns(void **state)
{
    struct cli_table t;
    wt_autobuf struct wt_buf out = wt_buf_make(4096);
    (void)state;
    cli_table_init(&t);
    for (int i = 0; i < CLI_COLUMNS_MAX + 3; i++)
        cli_table_cell(&t, "x");
    cli_table_end_row(&t);
    assert_int_equal(cli_table_write(&t, &out), 0);
    assert_int_equal(out.len, 4 * (CLI_COLUMNS_MAX - 1) + 2);
    cli_table_done(&t);
}

static void test_texts(void **state)
{
    static const struct {
        double percent;
        const char *text;
    } percents[] = {{0, "0 %"},       {100, "100 %"},      {25, "25 %"}, {0.002, "0.002 %"},
                    {12.5, "12.5 %"}, {33.333, "33.33 %"}, {10, "10 %"}, {0.1, "0.1 %"}};
    static const struct {
        int64_t ms;
        const char *text;
    } spans[] = {{-5, "0s"},        {999, "0s"},       {119999, "119s"},      {120000, "2m"},
                 {7199999, "119m"}, {7200000, "2h0m"}, {172799999, "47h59m"}, {172800000, "2d"}};
    static const struct {
        const char *json, *text;
    } steps[] = {
        {"{\"setWeight\": 0.5}", "setWeight 0.5 %"},
        {"{\"pause\": {}}", "pause until promoted"},
        {"{\"pause\": {\"duration\": \"1h30m\"}}", "pause 1h30m"},
        {"{\"retire\": {\"after\": \"24h\"}}", "retire after 24h"},
        {"{\"retire\": {}}", "retire"},
        {"{\"finish\": {}}", "finish"},
        {"{}", "?"},
    };
    char out[CLI_STEP_TEXT], text[32];
    (void)state;
    for (size_t i = 0; i < COUNT(percents); i++)
        assert_string_equal(cli_percent(percents[i].percent, text), percents[i].text);
    for (size_t i = 0; i < COUNT(spans); i++)
        assert_string_equal(cli_span(spans[i].ms, text), spans[i].text);
    for (size_t i = 0; i < COUNT(steps); i++) {
        json_t *step = json_loads(steps[i].json, 0, NULL);
        assert_string_equal(cli_step_text(step, out), steps[i].text);
        json_decref(step);
    }
}

#define ROUTE(refs)                                                                                \
    "{\"kind\":\"HTTPRoute\",\"metadata\":{\"name\":\"r\"},\"spec\":{\"rules\":[{\"backendRefs\":" \
    "[" refs "]}]}}"
#define REF(name, more) "{\"kind\":\"Backend\",\"name\":\"" name "\"" more "}"

static void test_finish_route(void **state)
{
    static const struct {
        const char *before, *after;
        unsigned changed;
    } rows[] = {
        {ROUTE(REF("old", "")), ROUTE(REF("new", "")), 1},
        {ROUTE(REF("new", "")), ROUTE(REF("new", "")), 0},
        {ROUTE(REF("old", ",\"weight\":3")), ROUTE(REF("new", ",\"weight\":3")), 1},
        {ROUTE(REF("old", ",\"weight\":90") "," REF("new", ",\"weight\":10")),
         ROUTE(REF("new", ",\"weight\":100")), 1},
        {ROUTE(REF("old", ",\"weight\":0") "," REF("new", ",\"weight\":0")),
         ROUTE(REF("new", ",\"weight\":1")), 1},
        {ROUTE(REF("old", ",\"weight\":1000000") "," REF("new", "")),
         ROUTE(REF("new", ",\"weight\":1000000")), 1},
        {ROUTE(REF("third", "") "," REF("old", "")), ROUTE(REF("third", "") "," REF("new", "")), 1},
        {ROUTE(REF("old", ",\"namespace\":\"other\"")),
         ROUTE(REF("old", ",\"namespace\":\"other\"")), 0},
        {ROUTE("{\"kind\":\"Service\",\"name\":\"old\"}"),
         ROUTE("{\"kind\":\"Service\",\"name\":\"old\"}"), 0},
        {ROUTE(REF("old", "") "," REF("old", "")), ROUTE(REF("new", ",\"weight\":2")), 2},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *route = json_loads(rows[i].before, 0, NULL),
               *after = json_loads(rows[i].after, 0, NULL);
        assert_non_null(route);
        assert_non_null(after);
        assert_int_equal(cli_finish_route(route, "old", "new"), rows[i].changed);
        if (!json_equal(route, after))
            fail_msg("row %zu: %s", i, json_dumps(route, JSON_COMPACT));
        json_decref(route);
        json_decref(after);
    }
}

static void add_sample(struct cli_window *w, double weight, int old, int new, int64_t at_ms)
{
    json_t *doc = json_pack("{s:{s:f, s:i, s:{s:i, s:i}}}", "status", "weight", weight, "epoch", 1,
                            "requests", "old", old, "new", new);
    cli_window_add(w, doc, at_ms);
    json_decref(doc);
}

static void test_window(void **state)
{
    struct cli_window w = {0};
    double percent;
    int64_t requests, span_ms;
    (void)state;
    add_sample(&w, 25, 1000, 0, 0);
    assert_false(cli_window_share(&w, &percent, &requests, &span_ms));
    add_sample(&w, 25, 1000, 0, 1000);
    assert_false(cli_window_share(&w, &percent, &requests, &span_ms));
    add_sample(&w, 25, 1075, 25, 2000);
    assert_true(cli_window_share(&w, &percent, &requests, &span_ms));
    assert_true(fabs(percent - 25) < 1e-9);
    assert_int_equal(requests, 100);
    assert_int_equal(span_ms, 2000);
    /* Another weight, or counters that fell (a new store), begin anew. */
    add_sample(&w, 50, 1100, 50, 3000);
    assert_false(cli_window_share(&w, &percent, &requests, &span_ms));
    add_sample(&w, 50, 1, 50, 4000);
    assert_int_equal(w.n, 1);
    for (int i = 0; i < 3 * CLI_WINDOW_SAMPLES; i++)
        add_sample(&w, 50, 1 + i, 50 + i, 5000 + 1000 * (int64_t)i);
    assert_int_equal(w.n, CLI_WINDOW_SAMPLES);
    assert_true(cli_window_share(&w, &percent, &requests, &span_ms));
    assert_int_equal(span_ms, 1000 * (CLI_WINDOW_SAMPLES - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_args_good),          cmocka_unit_test(test_args_word),
        cmocka_unit_test(test_args_bad),           cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_many_columns), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_finish_route),       cmocka_unit_test(test_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
