#include "model_help.h"

#include "base/mem.h"
#include "model/diff.h"
#include "model/explain.h"
#include "model/snapshot.h"
#include "model/view.h"

static int allocations_left;

static _Bool refuse(void *ctx, size_t size)
{
    return allocations_left-- <= 0;
}

/* The way of a file from text to a view; any step may fail for lack of memory, none may crash or
 * leak. */
static int go(struct wt_str text)
{
    struct model_docs docs = {0};
    struct model_errors errors = {0};
    struct model_diff diff = {0};
    struct wt_err err;
    wt_autoarena struct wt_arena arena = wt_arena_make(1 << 20);
    wt_autobuf struct wt_buf out = wt_buf_make(1 << 20);
    const void *view;
    int r = model_yaml_parse(text, "x", &docs, &err);
    for (size_t i = 0; r == 0 && i < docs.n; i++) {
        json_t *doc = docs.items[i].json, *before = json_deep_copy(doc);
        r = model_check(doc, docs.items[i].lines, "x", &errors);
        r = r == 0 ? model_fill(doc) : r;
        r = r == 0 && before ? model_diff(before, doc, 0, &diff, &err) : r;
        r = r == 0 ? model_view(doc, model_kind_of(doc), &arena, &view, &err) : r;
        r = r == 0 ? model_explain(WT_STR("migration.spec"), true, &out, &err) : r;
        r = r == 0 && !before ? WT_ENOMEM : r;
        model_diff_done(&diff);
        json_decref(before);
    }
    model_errors_done(&errors);
    model_docs_done(&docs);
    return r;
}

static void test_every_allocation_fails(void **state)
{
    static const char text[] =
        MIGRATION "  steps: [{setWeight: 1}, {pause: &p {duration: 1m}}, {pause: *p}]\n---\n" ROUTE
                  "  hostnames: [a.b]\n  rules: [{matches: [{headers: [{name: a, value: b}, {name: "
                  "c, value: d}]}]}]\n";
    int n = 0, r;
    do {
        allocations_left = n++;
        wt_mem_set_fault(refuse, NULL);
        r = go(wt_str_z(text));
        wt_mem_set_fault(NULL, NULL);
        assert_true(n < 20000);
    } while (r < 0);
    assert_true(n > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation_fails)};
    json_set_alloc_funcs(wt_malloc, wt_free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
