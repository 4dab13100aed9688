/* control/store.h: the changes that are kept for watches. */
#include "control/store.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "control_store_help.h" /* after cmocka: it fails tests */

static void changes_are_known_or_gone(void **unused)
{
    (void)unused;
    struct control_store *s = open_store(":memory:");
    struct control_change change;
    assert_int_equal(control_store_next(s, 0, &change), 0);
    for (int i = 0; i < CONTROL_CHANGES_KEPT + 10; i++) {
        json_t *doc = backend("a", 1 + i % 2);
        int r = i ? control_store_update(s, doc, CONTROL_SPEC, NULL, 0, NULL, NULL)
                  : control_store_create(s, doc, 0, NULL, NULL);
        assert_int_equal(r, 0);
        json_decref(doc);
    }
    assert_int_equal(control_store_next(s, 9, &change), WT_ELIMIT);
    assert_int_equal(control_store_next(s, 10, &change), 1);
    assert_int_equal(change.rv, 11);
    assert_int_equal(control_store_next(s, control_store_rv(s), &change), 0);
    /* A version from the future belongs to another store. */
    assert_int_equal(control_store_next(s, control_store_rv(s) + 1, &change), WT_ELIMIT);
    control_store_free(s);
}

/* A Backend whose annotations are `n` of `len` bytes. */
static json_t *large(int port, int n, size_t len)
{
    json_t *doc = backend("a", port), *notes = json_object();
    char *text = wt_malloc(len);
    assert_non_null(text);
    memset(text, 'x', len);
    for (int i = 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof(key), "k%d", i);
        json_object_set_new(notes, key, json_stringn(text, len));
    }
    wt_free(text);
    json_object_set_new(json_object_get(doc, "metadata"), "annotations", notes);
    return doc;
}

/* By their bytes fewer changes are kept than by their number. */
static void changes_are_bounded_in_bytes(void **unused)
{
    (void)unused;
    static const struct {
        int n;
        size_t len;
        int changes, kept_min, kept_max;
    } rows[] = {
        {1, 8 << 20, 12, 7, 7}, /* one long text */
        {20000, 1, 24, 10, 22}, /* many short ones: 300 KB of JSON, some 3 MB of memory */
        {1, 65 << 20, 2, 1, 1}, /* larger than the bound alone: the newest stays */
        {1, 10, 100, 100, 100}, /* small ones are kept all */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct control_store *s = open_store(":memory:");
        struct control_change change;
        int kept = 0;
        for (int k = 0; k < rows[i].changes; k++) {
            json_t *doc = large(1 + k % 2, rows[i].n, rows[i].len);
            int r = k ? control_store_update(s, doc, CONTROL_SPEC, NULL, 0, NULL, NULL)
                      : control_store_create(s, doc, 0, NULL, NULL);
            assert_int_equal(r, 0);
            json_decref(doc);
        }
        uint64_t oldest = control_store_rv(s);
        while (oldest && control_store_next(s, oldest - 1, &change) == 1) {
            assert_int_equal(change.rv, oldest--);
            kept++;
        }
        if (kept < rows[i].kept_min || kept > rows[i].kept_max)
            fail_msg("row %zu: %d kept", i, kept);
        if (oldest)
            assert_int_equal(control_store_next(s, oldest - 1, &change), WT_ELIMIT);
        control_store_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_known_or_gone),
        cmocka_unit_test(changes_are_bounded_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
