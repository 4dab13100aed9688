#include "model_help.h"

#include "base/mem.h"
#include "model/snapshot.h"

#include <stdlib.h>

static json_t *backend(const char *name, int port)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:[{s:s, s:i}]}}", "apiVersion",
                     "watari.dev/v1alpha1", "kind", "Backend", "metadata", "name", name,
                     "namespace", "default", "spec", "endpoints", "address", "10.0.0.1", "port",
                     port);
}

static void put(struct model_snapshot *s, const char *name, uint64_t version, int port)
{
    char key[MODEL_KEY_MAX];
    json_t *doc = backend(name, port);
    assert_int_equal(
        model_snapshot_set(s, wt_str_z(model_key(doc, key, sizeof(key))), version, doc), 0);
    json_decref(doc);
}

/* "a@1 b@3 @3" */
static const char *text_of(const struct model_snapshot *s, char out[400])
{
    const struct model_item *i;
    out[0] = 0;
    for (i = model_snapshot_next(s, NULL, NULL); i; i = model_snapshot_next(s, NULL, i))
        sprintf(out + strlen(out), "%s@%llu ", model_name(i->doc), (unsigned long long)i->version);
    sprintf(out + strlen(out), "@%llu", (unsigned long long)model_snapshot_version(s));
    return out;
}

/* Sends what `to` lacks, through text, as over a wire; returns "from" of the delta, -1 for none. */
static int sync_sets(const struct model_snapshot *from, struct model_snapshot *to)
{
    json_t *delta;
    struct wt_err err = {0};
    assert_int_equal(
        model_snapshot_delta(from, model_snapshot_store(to), model_snapshot_version(to), &delta),
        0);
    char *text = json_dumps(delta, JSON_ENCODE_ANY);
    json_t *read = json_loads(text, JSON_DECODE_ANY, NULL);
    if (model_snapshot_apply(to, model_snapshot_store(from), read, &err) < 0)
        fail_msg("%s", err.msg);
    int start = json_is_null(delta) ? -1 : (int)json_integer_value(json_object_get(delta, "from"));
    free(text);
    json_decref(read);
    json_decref(delta);
    return start;
}

static void test_deltas(void **state)
{
    struct model_snapshot *a = model_snapshot_new(WT_STR("one"));
    struct model_snapshot *b = model_snapshot_new(WT_STR(""));
    char x[400];
    put(a, "a", 1, 1);
    put(a, "b", 2, 1);
    assert_int_equal(sync_sets(a, b), 0);
    assert_string_equal(text_of(b, x), "a@1 b@2 @2");
    assert_true(wt_str_eq(model_snapshot_store(b), WT_STR("one")));
    assert_int_equal(sync_sets(a, b), -1);
    const json_t *kept = model_snapshot_get(b, WT_STR("Backend/default/b"))->doc;
    put(a, "a", 3, 2);
    put(a, "c", 4, 1);
    assert_int_equal(sync_sets(a, b), 2);
    assert_string_equal(text_of(b, x), "a@3 b@2 c@4 @4");
    assert_ptr_equal(model_snapshot_get(b, WT_STR("Backend/default/b"))->doc, kept);
    assert_true(model_snapshot_remove(a, WT_STR("Backend/default/a"), 5));
    assert_false(model_snapshot_remove(a, WT_STR("Backend/default/a"), 6));
    put(a, "d", 6, 1);
    assert_int_equal(sync_sets(a, b), 4);
    assert_string_equal(text_of(b, x), "b@2 c@4 d@6 @6");
    /* removed and made again between two syncs */
    model_snapshot_remove(a, WT_STR("Backend/default/b"), 7);
    put(a, "b", 8, 9);
    assert_int_equal(sync_sets(a, b), 6);
    assert_string_equal(text_of(b, x), "b@8 c@4 d@6 @8");
    /* after forgetting, an old reader gets everything, and keeps what it has */
    const json_t *c = model_snapshot_get(b, WT_STR("Backend/default/c"))->doc;
    put(a, "e", 9, 1);
    model_snapshot_remove(a, WT_STR("Backend/default/d"), 10);
    model_snapshot_forget(a);
    assert_int_equal(sync_sets(a, b), 0);
    assert_string_equal(text_of(b, x), "b@8 c@4 e@9 @10");
    assert_ptr_equal(model_snapshot_get(b, WT_STR("Backend/default/c"))->doc, c);
    model_snapshot_free(a);
    model_snapshot_free(b);
}

/* What is sent again unchanged, with a higher version, is the same item as before: nothing that
 * stands on it is made anew. */
static void test_the_same_again(void **state)
{
    struct model_snapshot *a = model_snapshot_new(WT_STR("one"));
    struct model_snapshot *b = model_snapshot_new(WT_STR(""));
    char x[400];
    put(a, "a", 1, 1);
    put(a, "b", 2, 1);
    sync_sets(a, b);
    const json_t *doc = model_snapshot_get(b, WT_STR("Backend/default/a"))->doc;
    put(a, "a", 7, 1);
    put(a, "b", 8, 2);
    assert_int_equal(sync_sets(a, b), 2);
    assert_string_equal(text_of(b, x), "a@1 b@8 @8");
    assert_ptr_equal(model_snapshot_get(b, WT_STR("Backend/default/a"))->doc, doc);
    /* Versions of another store say nothing, so there it is a new item. */
    struct model_snapshot *c = model_snapshot_new(WT_STR("two"));
    put(c, "a", 3, 1);
    assert_int_equal(sync_sets(c, b), 0);
    assert_string_equal(text_of(b, x), "a@3 @3");
    model_snapshot_free(a);
    model_snapshot_free(b);
    model_snapshot_free(c);
}

static void test_other_store(void **state)
{
    struct model_snapshot *a = model_snapshot_new(WT_STR("one"));
    struct model_snapshot *b = model_snapshot_new(WT_STR("two"));
    char x[400];
    put(a, "a", 1, 1);
    put(b, "z", 100, 1);
    assert_int_equal(sync_sets(a, b), 0);
    assert_string_equal(text_of(b, x), "a@1 @1");
    model_snapshot_free(a);
    model_snapshot_free(b);
}

/* More removals than are remembered: the reader is told all. */
static void test_removals_are_bounded(void **state)
{
    struct model_snapshot *a = model_snapshot_new(WT_STR("one"));
    struct model_snapshot *b = model_snapshot_new(WT_STR(""));
    uint64_t version = 1;
    char key[64];
    put(a, "keep", version++, 1);
    sync_sets(a, b);
    json_t *doc = backend("gone", 1);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "Backend/default/gone%d", i);
        assert_int_equal(model_snapshot_set(a, wt_str_z(key), version++, doc), 0);
        assert_true(model_snapshot_remove(a, wt_str_z(key), version++));
    }
    json_decref(doc);
    assert_int_equal(sync_sets(a, b), 0);
    assert_int_equal(model_snapshot_len(b), 1);
    model_snapshot_free(a);
    model_snapshot_free(b);
}

#define OBJECT(name)                                                                               \
    "{\"apiVersion\":\"watari.dev/v1alpha1\",\"kind\":\"Backend\",\"metadata\":{\"name\":\"" name  \
    "\"},\"spec\":{\"endpoints\":[{\"address\":\"::1\",\"port\":1}]}}"

/* Wrong deltas, and what is said; the set at a@1 @1 stays as it is. */
static const struct {
    const char *delta, *error;
} wrong[] = {
    {"{}", "snapshot: a delta needs from, to and set"},
    {"{\"from\":1,\"to\":0,\"set\":[]}", "snapshot: a delta needs from, to and set"},
    {"{\"from\":5,\"to\":6,\"set\":[]}", "snapshot: the delta starts at version 5, not at 1"},
    {"{\"from\":1,\"to\":2,\"set\":[{}]}", "snapshot: an item needs key, version and object"},
    {"{\"from\":1,\"to\":2,\"set\":[{\"key\":\"Backend/default/"
     "b\",\"version\":3,\"object\":" OBJECT("b") "}]}",
     "snapshot: Backend/default/b is newer than the snapshot"},
    {"{\"from\":1,\"to\":2,\"set\":[{\"key\":\"Backend/default/"
     "c\",\"version\":2,\"object\":" OBJECT("b") "}]}",
     "snapshot: Backend/default/c is the key of Backend/default/b"},
    {"{\"from\":1,\"to\":2,\"set\":[],\"remove\":[1]}", "snapshot: remove holds what is no key"},
};

static void test_wrong_deltas(void **state)
{
    struct model_snapshot *s = model_snapshot_new(WT_STR("one"));
    char x[400];
    put(s, "a", 1, 1);
    for (size_t i = 0; i < N_OF(wrong); i++) {
        struct wt_err err = {0};
        json_t *delta = json_loads(wrong[i].delta, 0, NULL);
        assert_non_null(delta);
        assert_true(model_snapshot_apply(s, WT_STR("one"), delta, &err) < 0);
        assert_string_equal(err.msg, wrong[i].error);
        assert_string_equal(text_of(s, x), "a@1 @1");
        json_decref(delta);
    }
    model_snapshot_free(s);
}

/* A document that is wrong is there with what is wrong, until another takes its place; it costs
 * neither the others nor, on disk, the set. */
static void test_wrong_documents(void **state)
{
    struct model_snapshot *s = model_snapshot_new(WT_STR("one")), *read = NULL;
    wt_autobuf struct wt_buf bytes = wt_buf_make(1 << 20);
    put(s, "a", 1, 1);
    json_t *delta = json_loads(
        "{\"from\":1,\"to\":2,\"set\":[{\"key\":\"Pod/default/p\",\"version\":2,\"object\":"
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}},"
        "{\"key\":\"Backend/default/a\",\"version\":2,\"object\":{\"apiVersion\":\"watari.dev/"
        "v1alpha1\",\"kind\":\"Backend\",\"metadata\":{\"name\":\"a\"},\"spec\":{}}},"
        "{\"key\":\"Backend/default/b\",\"version\":2,\"object\":" OBJECT("b") "}]}",
        0, NULL);
    assert_int_equal(model_snapshot_apply(s, WT_STR("one"), delta, NULL), 0);
    json_decref(delta);
    assert_int_equal(model_snapshot_encode(s, &bytes), 0);
    assert_int_equal(model_snapshot_decode(wt_buf_str(&bytes), &read, NULL), 0);
    struct model_snapshot *sets[] = {s, read};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(model_snapshot_version(sets[i]), 2);
        assert_int_equal(model_snapshot_len(sets[i]), 3);
        assert_null(model_snapshot_get(sets[i], WT_STR("Backend/default/b"))->wrong);
        assert_string_equal(model_snapshot_get(sets[i], WT_STR("Pod/default/p"))->wrong,
                            "kind: \"Pod\" is unknown");
        assert_string_equal(model_snapshot_get(sets[i], WT_STR("Backend/default/a"))->wrong,
                            "spec: needs exactly one of endpoints,dns,file");
        put(sets[i], "a", 3, 1);
        assert_null(model_snapshot_get(sets[i], WT_STR("Backend/default/a"))->wrong);
    }
    model_snapshot_free(s);
    model_snapshot_free(read);
}

static void test_bytes(void **state)
{
    struct model_snapshot *s = model_snapshot_new(WT_STR("one")), *read = NULL;
    struct wt_buf b = wt_buf_make(1 << 20);
    struct wt_err err = {0};
    char x[400];
    put(s, "a", 1, 1);
    put(s, "b", 5, 1);
    assert_int_equal(model_snapshot_encode(s, &b), 0);
    assert_int_equal(model_snapshot_decode(wt_buf_str(&b), &read, &err), 0);
    assert_string_equal(text_of(read, x), "a@1 b@5 @5");
    assert_int_equal(sync_sets(s, read), -1);
    model_snapshot_free(read);
    read = NULL;
    for (size_t n = 0; n < b.len; n++) {
        assert_int_equal(model_snapshot_decode(wt_str(b.ptr, n), &read, &err), WT_EINVAL);
        b.ptr[n] ^= 1;
        assert_int_equal(model_snapshot_decode(wt_buf_str(&b), &read, &err), WT_EINVAL);
        b.ptr[n] ^= 1;
    }
    assert_null(read);
    wt_buf_done(&b);
    model_snapshot_free(s);
}

static void test_kinds_in_turn(void **state)
{
    struct model_snapshot *s = model_snapshot_new(WT_STR("one"));
    json_t *route = parse_one(ROUTE "  {}\n");
    put(s, "a", 1, 1);
    assert_int_equal(model_snapshot_set(s, WT_STR("HTTPRoute/default/r"), 2, route), 0);
    put(s, "b", 3, 1);
    const struct model_item *i = model_snapshot_next(s, model_kind_backend, NULL);
    assert_string_equal(i->key.ptr, "Backend/default/a");
    i = model_snapshot_next(s, model_kind_backend, i);
    assert_string_equal(i->key.ptr, "Backend/default/b");
    assert_null(model_snapshot_next(s, model_kind_backend, i));
    assert_null(model_snapshot_next(s, model_kind_gateway, NULL));
    assert_int_equal(model_snapshot_len(s), 3);
    json_decref(route);
    model_snapshot_free(s);
}

static int allocations_left;

static _Bool refuse(void *ctx, size_t size)
{
    return allocations_left-- <= 0;
}

/* Whichever allocation fails, a delta is applied wholly or not at all. */
static void test_no_memory(void **state)
{
    struct model_snapshot *a = model_snapshot_new(WT_STR("one"));
    json_t *delta;
    char x[400];
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        put(a, name, (uint64_t)i + 2, 1);
    }
    assert_int_equal(model_snapshot_delta(a, WT_STR(""), 0, &delta), 0);
    for (int n = 0;; n++) {
        struct model_snapshot *b = model_snapshot_new(WT_STR("two"));
        put(b, "old", 1, 1);
        allocations_left = n;
        wt_mem_set_fault(refuse, NULL);
        int r = model_snapshot_apply(b, WT_STR("one"), delta, NULL);
        wt_mem_set_fault(NULL, NULL);
        if (r < 0)
            assert_string_equal(text_of(b, x), "old@1 @1");
        else
            assert_int_equal(model_snapshot_len(b), 40);
        model_snapshot_free(b);
        if (r == 0)
            break;
    }
    json_decref(delta);
    model_snapshot_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deltas),          cmocka_unit_test(test_the_same_again),
        cmocka_unit_test(test_other_store),     cmocka_unit_test(test_wrong_deltas),
        cmocka_unit_test(test_wrong_documents), cmocka_unit_test(test_removals_are_bounded),
        cmocka_unit_test(test_bytes),           cmocka_unit_test(test_kinds_in_turn),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
