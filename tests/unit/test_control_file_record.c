/* What control remembers of files: it survives the store, and tells what a writer says from what
 * the server adds. */
#include "control/file_record.h"

#include "base/log.h"
#include "io/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct control_store *new_store(void)
{
    struct control_store *store;
    assert_int_equal(control_store_open(":memory:", io_sys_real(), &store, NULL), 0);
    return store;
}

static void write_kv(struct control_store *store, struct control_kv kv)
{
    struct control_write w = {.verb = CONTROL_LEAVE, .kv = kv};
    assert_int_equal(control_store_write(store, &w, 1, NULL), 0);
}

static void records_come_back_from_the_store(void **unused)
{
    static const struct control_file_record rows[] = {
        {.said = 1, .put = 2}, {.said = UINT64_MAX, .put = 0, .again = true}, {.said = 0x10}};
    struct control_store *store = new_store();
    struct control_file_records r = {0};
    char key[32];
    for (size_t i = 0; i < 3; i++) {
        struct control_file_kv buffer;
        snprintf(key, sizeof(key), "Backend/default/%zu", i);
        write_kv(store, control_file_record_kv(key, &rows[i], &buffer));
    }
    assert_int_equal(control_file_records_load(&r, store, NULL), 0);
    assert_int_equal(wt_map_len(&r.map), 3);
    for (size_t i = 0; i < 3; i++) {
        snprintf(key, sizeof(key), "Backend/default/%zu", i);
        const struct control_file_record *got = control_file_records_get(&r, key);
        assert_non_null(got);
        assert_true(got->said == rows[i].said && got->put == rows[i].put);
        assert_int_equal(got->again, rows[i].again);
    }
    control_file_records_set(&r, key, NULL);
    assert_null(control_file_records_get(&r, key));
    control_file_records_free(&r);
    control_store_free(store);
}

/* As if there were none: control starts, and the file is applied. */
static void damaged_records_are_none(void **unused)
{
    static const char *const rows[] = {"", "1", "x y", "1 2x", "1 2 agai", "1 2 again "};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct control_store *store = new_store();
        struct control_file_records r = {0};
        write_kv(store, (struct control_kv){"file/Backend/default/a", rows[i]});
        write_kv(store, (struct control_kv){"file/Backend/default/b", "1 2"});
        assert_int_equal(control_file_records_load(&r, store, NULL), 0);
        if (control_file_records_get(&r, "Backend/default/a"))
            fail_msg("\"%s\" is taken", rows[i]);
        assert_non_null(control_file_records_get(&r, "Backend/default/b"));
        control_file_records_free(&r);
        control_store_free(store);
    }
}

static uint64_t content(const char *text)
{
    uint64_t out;
    json_t *doc = json_loads(text, 0, NULL);
    assert_non_null(doc);
    assert_int_equal(control_file_content(doc, &out), 0);
    json_decref(doc);
    return out;
}

static void content_is_what_a_writer_says(void **unused)
{
    static const char said[] = "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"p\":1}}";
    static const struct {
        const char *text;
        bool same;
    } rows[] = {
        {"{\"spec\":{\"p\":1},\"metadata\":{\"name\":\"a\"},\"kind\":\"X\"}", true},
        {"{\"kind\":\"X\",\"metadata\":{\"name\":\"a\",\"namespace\":\"default\",\"uid\":\"1\","
         "\"resourceVersion\":\"7\",\"generation\":2,\"creationTimestamp\":\"t\","
         "\"deletionTimestamp\":\"t\",\"finalizers\":[\"f\"],"
         "\"annotations\":{\"watari.dev/source\":\"file\"}},\"spec\":{\"p\":1},\"status\":{}}",
         true},
        {"{\"kind\":\"X\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"p\":2}}", false},
        {"{\"kind\":\"X\",\"metadata\":{\"name\":\"a\",\"labels\":{\"l\":\"1\"}},\"spec\":{\"p\":1}"
         "}",
         false},
        {"{\"kind\":\"X\",\"metadata\":{\"name\":\"a\",\"annotations\":{\"n\":\"1\"}},\"spec\":"
         "{\"p\":1}}",
         false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if ((content(said) == content(rows[i].text)) != rows[i].same)
            fail_msg("row %zu", i);
}

/* A number with more digits than the store writes is the same when it is read back. */
static void content_survives_the_store(void **unused)
{
    static const double rows[] = {0.1, 1.0 / 3, 100.0 / 3, 2e-7, 50, 0.1 + 0.2};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t before;
        json_t *doc =
            json_pack("{s:{s:s}, s:{s:f}}", "metadata", "name", "a", "spec", "w", rows[i]);
        char *text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(15));
        assert_int_equal(control_file_content(doc, &before), 0);
        assert_true(content(text) == before);
        free(text);
        json_decref(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back_from_the_store),
        cmocka_unit_test(damaged_records_are_none),
        cmocka_unit_test(content_is_what_a_writer_says),
        cmocka_unit_test(content_survives_the_store),
    };
    wt_log_set_level(WT_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
