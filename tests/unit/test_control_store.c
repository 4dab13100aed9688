#include "control/store.h"

#include "base/log.h"
#include "base/mem.h"
#include "control/event.h"
#include "control/internal.h"
#include "control/publish.h"
#include "control/report.h"
#include "io/sys_fault.h"
#include "model/slots.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control_store_help.h" /* after cmocka: it fails tests */

static json_t *migration(void)
{
    return json_loads("{\"apiVersion\": \"watari.dev/v1alpha1\", \"kind\": \"Migration\","
                      " \"metadata\": {\"name\": \"shop\", \"namespace\": \"default\"},"
                      " \"spec\": {\"from\": {\"name\": \"old\"}, \"to\": {\"name\": \"new\"}}}",
                      0, NULL);
}

static int64_t generation(const json_t *doc)
{
    return json_integer_value(json_object_get(json_object_get(doc, "metadata"), "generation"));
}

static void versions_and_conflicts(void **unused)
{
    (void)unused;
    struct control_store *s = open_store(":memory:");
    json_t *doc = backend("a", 80), *one = NULL, *two = NULL;
    struct wt_err err = {0};
    assert_int_equal(control_store_create(s, doc, CONTROL_DRY_RUN, NULL, NULL), 0);
    assert_null(control_store_get(s, model_kind_backend, "default", "a"));
    assert_int_equal(control_store_create(s, doc, 0, &one, NULL), 0);
    assert_int_equal(control_store_create(s, doc, 0, NULL, &err), WT_EEXIST);
    assert_string_equal(err.msg, "backends \"a\" exists already");
    assert_int_equal(control_store_doc_rv(one), 1);
    assert_int_equal(generation(one), 1);
    /* The same again is no write. */
    assert_int_equal(control_store_update(s, one, CONTROL_SPEC, NULL, 0, NULL, NULL), 0);
    assert_int_equal(control_store_rv(s), 1);
    /* A status does not raise the generation, a spec does. */
    json_t *status = json_deep_copy(one);
    json_object_set_new(status, "status", json_object());
    assert_int_equal(control_store_update(s, status, CONTROL_STATUS, NULL, 0, &two, NULL), 0);
    assert_int_equal(generation(two), 1);
    assert_int_equal(control_store_update(s, one, CONTROL_SPEC, NULL, 0, NULL, &err), WT_ECONFLICT);
    json_t *other = backend("a", 81), *three = NULL;
    assert_int_equal(control_store_update(s, other, CONTROL_SPEC, NULL, 0, &three, NULL), 0);
    assert_int_equal(generation(three), 2);
    assert_non_null(json_object_get(three, "status"));
    assert_int_equal(control_store_doc_rv(three), 3);
    json_decref(doc);
    json_decref(one);
    json_decref(status);
    json_decref(two);
    json_decref(other);
    json_decref(three);
    control_store_free(s);
}

static void finalizers_hold_a_deletion(void **unused)
{
    (void)unused;
    struct control_store *s = open_store(":memory:");
    json_t *doc = backend("a", 80), *got = NULL;
    json_object_set_new(json_object_get(doc, "metadata"), "finalizers",
                        json_pack("[s]", "watari.dev/share"));
    assert_int_equal(control_store_create(s, doc, 0, NULL, NULL), 0);
    assert_int_equal(control_store_delete(s, model_kind_backend, "default", "a", 0, 0, NULL, NULL),
                     0);
    json_t *stored = control_store_get(s, model_kind_backend, "default", "a");
    assert_non_null(json_object_get(json_object_get(stored, "metadata"), "deletionTimestamp"));
    json_t *next = json_deep_copy(stored);
    json_object_del(json_object_get(next, "metadata"), "finalizers");
    assert_int_equal(control_store_update(s, next, CONTROL_FINALIZERS, NULL, 0, &got, NULL), 0);
    assert_null(control_store_get(s, model_kind_backend, "default", "a"));
    struct control_change change;
    assert_int_equal(control_store_next(s, 2, &change), 1);
    assert_int_equal(change.type, CONTROL_DELETED);
    assert_int_equal(change.rv, 3);
    json_decref(doc);
    json_decref(next);
    json_decref(got);
    control_store_free(s);
}

static void survives_a_restart_and_refuses_a_second(void **unused)
{
    (void)unused;
    char dir[] = "/tmp/watari-store-XXXXXX", path[64], wal[80];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/control.db", dir);
    struct control_store *s = open_store(path);
    json_t *doc = backend("a", 80);
    char id[CONTROL_STORE_ID_TEXT];
    uint8_t key[CONTROL_SITE_KEY_BYTES];
    snprintf(id, sizeof(id), "%s", control_store_id(s));
    memcpy(key, control_store_site_key(s), sizeof(key));
    assert_int_equal(control_store_create(s, doc, 0, NULL, NULL), 0);
    assert_int_equal(control_store_delete(s, model_kind_backend, "default", "a", 0, 0, NULL, NULL),
                     0);
    assert_int_equal(control_store_create(s, doc, 0, NULL, NULL), 0);
    assert_int_equal(control_store_delete(s, model_kind_backend, "default", "a", 0, 0, NULL, NULL),
                     0);
    assert_int_equal(control_store_create(s, doc, 0, NULL, NULL), 0);
    const struct control_kv kv = {"k", "v"};
    json_t *next = backend("a", 81);
    assert_int_equal(control_store_update(s, next, CONTROL_SPEC, &kv, 1, NULL, NULL), 0);
    json_decref(next);
    control_store_free(s);
    s = open_store(path);
    assert_string_equal(control_store_id(s), id);
    assert_memory_equal(control_store_site_key(s), key, sizeof(key));
    /* Deletions count too: a version is never given twice. */
    assert_int_equal(control_store_rv(s), 6);
    wt_autofree char *value = control_store_kv_get(s, "k");
    assert_string_equal(value, "v");
    control_store_free(s);
    json_decref(doc);
    unlink(path);
    snprintf(wal, sizeof(wal), "%s-wal", path);
    unlink(wal);
    rmdir(dir);
}

static json_t *with_status(const json_t *doc, int healthy)
{
    json_t *out = json_deep_copy(doc);
    json_object_set_new(out, "status", json_pack("{s:i}", "healthy", healthy));
    json_object_set_new(json_object_get(out, "spec"), "endpoints", json_array());
    return out;
}

/* Takes the document over. */
static struct control_write write_of(enum control_verb verb, json_t *doc)
{
    return (struct control_write){
        .verb = verb,
        .doc = doc,
        .parts = verb == CONTROL_UPDATE ? CONTROL_SPEC : 0,
        .result = 1,
    };
}

static void free_writes(struct control_write *writes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_decref((json_t *)writes[i].doc);
        json_decref(writes[i].out);
    }
}

/* What was told, as text, and that memory says the same at that moment. */
struct told {
    struct control_store *store;
    char text[512];
};

static void tell(void *ctx, const struct control_change *change)
{
    static const char *const types[] = {"+", "*", "-"};
    struct told *t = ctx;
    size_t len = strlen(t->text);
    snprintf(t->text + len, sizeof(t->text) - len, "%s%s@%d ", types[change->type],
             model_name(change->doc), (int)change->rv);
    assert_int_equal(control_store_doc_rv(change->doc), change->rv);
    assert_true(control_store_rv(t->store) >= change->rv);
}

static int note_value(void *ctx, const char *key, const char *value, struct wt_err *err)
{
    struct told *t = ctx;
    size_t len = strlen(t->text);
    snprintf(t->text + len, sizeof(t->text) - len, "%s=%s ", key, value);
    return strcmp(value, "stop") == 0 ? wt_fail(err, WT_EINVAL, "%s", key) : 0;
}

/* A value goes with its write, or alone; an absent one removes. */
static void values_are_written_with_a_batch(void **unused)
{
    (void)unused;
    static const struct {
        enum control_verb verb;
        const char *name;
        struct control_kv kv;
        unsigned parts;
    } rows[] = {
        {CONTROL_CREATE, "a", {"k/a", "1"}, 0},
        {CONTROL_UPDATE, "missing", {"k/missing", "1"}, 0}, /* left out, and its value too */
        {CONTROL_CREATE, "trial", {"k/trial", "1"}, CONTROL_DRY_RUN},
        {CONTROL_CREATE, "b", {"k/b", "1"}, 0},
        {CONTROL_LEAVE, NULL, {"k/c", "2"}, 0},
        {CONTROL_LEAVE, NULL, {"k/b", NULL}, 0},
        {CONTROL_LEAVE, NULL, {"k/none", NULL}, 0},
        {CONTROL_LEAVE, NULL, {"l", "stop"}, 0},
    };
    enum { N = sizeof(rows) / sizeof(rows[0]) };
    struct control_store *s = open_store(":memory:");
    struct control_write writes[N];
    struct told told = {s, ""};
    struct wt_err err = {0};
    for (size_t i = 0; i < N; i++) {
        writes[i] = write_of(rows[i].verb, rows[i].name ? backend(rows[i].name, 80) : NULL);
        writes[i].kv = rows[i].kv;
        writes[i].parts |= rows[i].parts;
    }
    assert_int_equal(control_store_write(s, writes, N, &err), 2);
    assert_int_equal(control_store_rv(s), 2);
    assert_int_equal(control_store_kv_each(s, "k/", note_value, &told, &err), 0);
    assert_string_equal(told.text, "k/a=1 k/c=2 ");
    assert_int_equal(control_store_kv_each(s, "l", note_value, &told, &err), WT_EINVAL);
    *told.text = 0;
    assert_int_equal(control_store_kv_each(s, "m", note_value, &told, &err), 0);
    assert_string_equal(told.text, "");
    free_writes(writes, N);
    control_store_free(s);
}

/* Each row is one write of a batch; what is wrong with one leaves that one out. */
static void a_batch_leaves_out_what_is_wrong(void **unused)
{
    (void)unused;
    static const char *const there[] = {"changed", "same", "kept", "doomed"};
    static const struct {
        enum control_verb verb;
        const char *name;
        int port, rv, result;
    } rows[] = {
        {CONTROL_CREATE, "new", 80, 0, 0},
        {CONTROL_UPDATE, "changed", 81, 0, 0},
        {CONTROL_UPDATE, "same", 80, 0, 0},
        {CONTROL_UPDATE, "kept", 81, 99, WT_ECONFLICT}, /* someone else's version */
        {CONTROL_CREATE, "kept", 81, 0, WT_EEXIST},
        {CONTROL_UPDATE, "missing", 81, 0, WT_ENOENT},
        {CONTROL_DELETE, "doomed", 80, 4, 0},
        {CONTROL_UPDATE, "doomed", 81, 0, WT_EINVAL}, /* twice in one batch */
        {CONTROL_UPDATE, "changed", 82, 0, WT_EINVAL},
        {CONTROL_DELETE, "missing", 80, 0, WT_ENOENT},
        {CONTROL_CREATE, "newer", 80, 0, 0},
    };
    enum { N = sizeof(rows) / sizeof(rows[0]) };
    struct control_store *s = open_store(":memory:");
    struct told told = {s, ""};
    struct control_write writes[N];
    for (size_t i = 0; i < 4; i++) {
        json_t *doc = backend(there[i], 80);
        assert_int_equal(control_store_create(s, doc, 0, NULL, NULL), 0);
        json_decref(doc);
    }
    for (size_t i = 0; i < N; i++) {
        char rv[8];
        json_t *doc = backend(rows[i].name, rows[i].port);
        snprintf(rv, sizeof(rv), "%d", rows[i].rv);
        if (rows[i].rv)
            json_object_set_new(json_object_get(doc, "metadata"), "resourceVersion",
                                json_string(rv));
        writes[i] = write_of(rows[i].verb, doc);
    }
    control_store_on_change(s, tell, &told);
    struct wt_err err = {0};
    assert_int_equal(control_store_write(s, writes, N, &err), 4);
    assert_string_equal(told.text, "+new@5 *changed@6 -doomed@7 +newer@8 ");
    for (size_t i = 0; i < N; i++) {
        if (writes[i].result != rows[i].result)
            fail_msg("row %zu: %d", i, writes[i].result);
        assert_int_equal(writes[i].out != NULL, rows[i].result == 0);
    }
    assert_ptr_equal(writes[0].out, control_store_get(s, model_kind_backend, "default", "new"));
    assert_ptr_equal(writes[2].out, control_store_get(s, model_kind_backend, "default", "same"));
    assert_int_equal(control_store_doc_rv(writes[2].out), 2);
    assert_int_equal(generation(writes[1].out), 2);
    assert_null(control_store_get(s, model_kind_backend, "default", "doomed"));
    struct control_change change;
    assert_int_equal(control_store_next(s, 6, &change), 1);
    assert_int_equal(change.rv, 7);
    assert_int_equal(change.type, CONTROL_DELETED);
    free_writes(writes, N);
    control_store_free(s);
}

/* A directory with a store of two objects, and a batch that does something of each kind. */
enum { BATCH = 40 };

struct disk {
    char dir[32], path[64], wal[80];
};

static void open_disk(struct disk *d)
{
    *d = (struct disk){.dir = "/tmp/watari-store-XXXXXX"};
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->path, sizeof(d->path), "%s/control.db", d->dir);
    snprintf(d->wal, sizeof(d->wal), "%s-wal", d->path);
}

static void close_disk(struct disk *d)
{
    unlink(d->path);
    unlink(d->wal);
    rmdir(d->dir);
}

static void fill_batch(struct control_store *s, struct control_write writes[BATCH])
{
    writes[0] = write_of(CONTROL_UPDATE, backend("a", 81));
    writes[1] = write_of(CONTROL_DELETE,
                         json_incref(control_store_get(s, model_kind_backend, "default", "b")));
    for (int i = 2; i < BATCH; i++) {
        char name[32];
        snprintf(name, sizeof(name), "new-%d", i);
        writes[i] = write_of(CONTROL_CREATE, backend(name, 80));
    }
}

static void check_untouched(const struct control_store *s, const struct told *told)
{
    const json_t *a = control_store_get(s, model_kind_backend, "default", "a");
    struct control_change change;
    assert_int_equal(control_store_rv(s), 2);
    assert_int_equal(control_store_doc_rv(a), 1);
    assert_non_null(control_store_get(s, model_kind_backend, "default", "b"));
    assert_int_equal(control_store_count(s, model_kind_backend), 2);
    assert_int_equal(control_store_next(s, 2, &change), 0);
    assert_string_equal(told->text, "");
}

static void two_objects(struct control_store *s)
{
    json_t *a = backend("a", 80), *b = backend("b", 80);
    assert_int_equal(control_store_create(s, a, 0, NULL, NULL), 0);
    assert_int_equal(control_store_create(s, b, 0, NULL, NULL), 0);
    json_decref(a);
    json_decref(b);
}

/* The file may not grow beyond `bytes`. */
static int write_limited(struct control_store *s, struct control_write *writes, size_t n,
                         rlim_t bytes)
{
    struct rlimit was, tight;
    struct wt_err err = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, SIG_IGN);
    tight = was;
    tight.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int r = control_store_write(s, writes, n, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    if (r < 0)
        assert_non_null(strstr(err.msg, "state store:"));
    return r;
}

/* Wherever the disk ends within the batch: nothing of it is there, in memory, to watchers or on
 * the disk; and where it does not, all is. */
static void a_batch_is_whole_or_not_there(void **unused)
{
    (void)unused;
    unsigned refused = 0;
    for (rlim_t bytes = 1024;; bytes += 4096) {
        struct disk d;
        struct control_write writes[BATCH];
        open_disk(&d);
        struct control_store *s = open_store(d.path);
        struct told told = {s, ""};
        two_objects(s);
        fill_batch(s, writes);
        control_store_on_change(s, tell, &told);
        int r = write_limited(s, writes, BATCH, bytes);
        if (r < 0) {
            refused++;
            assert_int_equal(r, WT_EIO);
            check_untouched(s, &told);
            for (size_t i = 0; i < BATCH; i++)
                assert_true(writes[i].result == r && !writes[i].out);
        }
        control_store_free(s);
        s = open_store(d.path);
        assert_int_equal(control_store_rv(s), r < 0 ? 2 : 2 + BATCH);
        assert_int_equal(control_store_count(s, model_kind_backend), r < 0 ? 2 : BATCH - 1);
        free_writes(writes, BATCH);
        control_store_free(s);
        close_disk(&d);
        if (r >= 0)
            break;
    }
    assert_true(refused > 3);
}

/* So it is when the system refuses what one object of it needs; the same batch goes in later. */
static void a_batch_survives_each_failing_call(void **unused)
{
    (void)unused;
    for (uint64_t nth = 1; nth <= BATCH - 2; nth += 6) {
        struct io_sys_fault fault;
        struct control_store *s = NULL;
        struct control_write writes[BATCH];
        struct wt_err err = {0};
        io_sys_fault_init(&fault, io_sys_real());
        assert_int_equal(control_store_open(":memory:", &fault.sys, &s, NULL), 0);
        struct told told = {s, ""};
        two_objects(s);
        control_store_on_change(s, tell, &told);
        fill_batch(s, writes);
        io_sys_fault_set(&fault, IO_CALL_random, nth, false);
        assert_int_equal(control_store_write(s, writes, BATCH, &err), WT_EIO);
        assert_int_equal(fault.n_failed, 1);
        assert_string_equal(err.msg, "no random bytes for a uid");
        check_untouched(s, &told);
        assert_int_equal(control_store_write(s, writes, BATCH, &err), BATCH);
        assert_int_equal(control_store_rv(s), 2 + BATCH);
        free_writes(writes, BATCH);
        control_store_free(s);
    }
}

/* Statuses alone: what was changed since, is gone or says the same is left out. */
static void statuses_in_one_write(void **unused)
{
    (void)unused;
    static const char *const names[] = {"changed", "gone", "new", "same", "other"};
    static const int results[] = {WT_ECONFLICT, WT_ENOENT, 0, 0, 0};
    struct control_store *s = open_store(":memory:");
    struct control_write writes[5];
    json_t *stored;
    for (size_t i = 0; i < 5; i++) {
        json_t *doc = backend(names[i], 80);
        assert_int_equal(control_store_create(s, doc, 0, &stored, NULL), 0);
        writes[i] = write_of(CONTROL_UPDATE, with_status(stored, i == 3 ? 0 : 7));
        writes[i].parts = CONTROL_STATUS;
        json_decref(stored);
        json_decref(doc);
    }
    json_t *spec = backend("changed", 81);
    assert_int_equal(control_store_update(s, spec, CONTROL_SPEC, NULL, 0, NULL, NULL), 0);
    assert_int_equal(
        control_store_delete(s, model_kind_backend, "default", "gone", 0, 0, NULL, NULL), 0);
    assert_int_equal(control_store_update(s, writes[3].doc, CONTROL_STATUS, NULL, 0, &stored, NULL),
                     0);
    json_decref((json_t *)writes[3].doc);
    writes[3].doc = stored;
    struct wt_err err = {0};
    assert_int_equal(control_store_write(s, writes, 5, &err), 2);
    assert_int_equal(control_store_rv(s), 10);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(writes[i].result, results[i]);
    const json_t *new = control_store_get(s, model_kind_backend, "default", "new");
    assert_int_equal(control_store_doc_rv(new), 9);
    assert_int_equal(generation(new), 1);
    /* Of the document given it is the status alone. */
    assert_int_equal(json_array_size(json_object_get(json_object_get(new, "spec"), "endpoints")),
                     1);
    assert_null(
        json_object_get(control_store_get(s, model_kind_backend, "default", "changed"), "status"));
    free_writes(writes, 5);
    json_decref(spec);
    control_store_free(s);
}

#define HEAD(kind) "{\"apiVersion\":\"watari.dev/v1alpha1\",\"kind\":\"" kind "\","
#define SPEC ",\"spec\":{\"endpoints\":[{\"address\":\"10.0.0.1\",\"port\":80}]}"
#define NAMED(name) "\"metadata\":{\"name\":\"" name "\",\"namespace\":\"default\"}"

/* SQLite keeps no checksums: what a flipped bit leaves is still a row. */
static void what_is_damaged_is_not_taken_up(void **unused)
{
    (void)unused;
    static const struct {
        const char *doc, *why; /* NULL: nothing is wrong */
    } rows[] = {
        {HEAD("Backend") NAMED("a") SPEC ",\"status\":{\"spfc\":1}}", NULL},
        {"{\"a\":", "unexpected token"},
        {"{}", "it holds another object"},
        {"[]", "it holds another object"},
        {HEAD("Backend") "\"metadata\":\"a\"}", "it holds another object"},
        {HEAD("Backend") NAMED("b") "}", "it holds another object"},
        {HEAD("Backene") NAMED("a") "}", "it holds another object"},
        {HEAD("Migration") NAMED("a") "}", "it holds another object"},
        {HEAD("Backend") NAMED("a") SPEC ",\"spfc\":{}}", NULL}, /* of a later version? */
        {HEAD("Backend") NAMED("a") ",\"spfc\":{}}", "spec: is missing"},
        {HEAD("Backend") NAMED("a") ",\"spec\":[]}", "spec: expected an object"},
    };
    char dir[] = "/tmp/watari-store-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/control.db", dir);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct control_db_row row = {"Backend/default/a", "Backend", "default", "a", "u", 1, 1,
                                     rows[i].doc};
        struct control_store *s = open_store(path);
        struct control_db db;
        struct wt_err err = {0};
        control_store_free(s);
        assert_int_equal(control_db_open(&db, path, &err), 0);
        assert_int_equal(control_db_write(&db, &row, 1, 1, NULL, 0, &err), 0);
        control_db_close(&db);
        s = NULL;
        int r = control_store_open(path, io_sys_real(), &s, &err);
        if (r != (rows[i].why ? WT_EINVAL : 0) || (r < 0 && !strstr(err.msg, rows[i].why)))
            fail_msg("row %zu: %d %s", i, r, err.msg);
        assert_true(r == 0 || (strstr(err.msg, path) && strstr(err.msg, "Backend/default/a")));
        control_store_free(s);
        unlink(path);
    }
    rmdir(dir);
}

/* The file may not grow: what SQLite sees is a full disk (EFBIG, with SIGXFSZ ignored). */
static void a_disk_that_refuses_changes_nothing(void **unused)
{
    (void)unused;
    char dir[] = "/tmp/watari-store-XXXXXX", path[64], other[80];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/control.db", dir);
    struct control_store *s = open_store(path);
    json_t *doc = backend("a", 80), *second = backend("b", 80);
    assert_int_equal(control_store_create(s, doc, 0, NULL, NULL), 0);
    struct rlimit was, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, SIG_IGN);
    tight = was;
    tight.rlim_cur = 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    struct wt_err err = {0};
    int r = control_store_create(s, second, 0, NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(r, WT_EIO);
    assert_non_null(strstr(err.msg, "state store:"));
    assert_int_equal(control_store_rv(s), 1);
    assert_null(control_store_get(s, model_kind_backend, "default", "b"));
    assert_non_null(control_store_get(s, model_kind_backend, "default", "a"));
    control_store_free(s);
    s = open_store(path);
    assert_int_equal(control_store_count(s, model_kind_backend), 1);
    control_store_free(s);
    json_decref(doc);
    json_decref(second);
    unlink(path);
    snprintf(other, sizeof(other), "%s-wal", path);
    unlink(other);
    rmdir(dir);
}

static void events_count_and_are_bounded(void **unused)
{
    (void)unused;
    struct control_store *s = open_store(":memory:");
    json_t *doc = backend("a", 80);
    wt_log_set_level(WT_LOG_ERROR);
    control_event_emit(s, doc, false, "Same", "again", 1000);
    control_event_emit(s, doc, false, "Same", "again", 2000);
    json_t *list = control_store_list(s, model_kind_event, NULL);
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "count")), 2);
    json_decref(list);
    for (int i = 0; i < CONTROL_EVENTS_MAX + 5; i++) {
        char message[32];
        snprintf(message, sizeof(message), "event %d", i);
        control_event_emit(s, doc, true, "Each", message, 3000);
    }
    assert_int_equal(control_store_count(s, model_kind_event), CONTROL_EVENTS_MAX);
    json_decref(doc);
    control_store_free(s);
}

static void a_status_without_effect_is_not_published(void **unused)
{
    (void)unused;
    struct control_store *s = open_store(":memory:");
    struct control_publisher *p = NULL;
    json_t *doc = migration();
    assert_int_equal(control_store_create(s, doc, 0, NULL, NULL), 0);
    assert_int_equal(control_publisher_new(s, &p, NULL), 0);
    static const struct {
        const char *status;
        bool published;
    } rows[] = {
        {"{\"epoch\": 1, \"step\": 0, \"weight\": 10, \"tableVersion\": 1}", true},
        {"{\"epoch\": 1, \"step\": 0, \"weight\": 10, \"tableVersion\": 1, \"requests\": {\"old\": "
         "5}}",
         false},
        {"{\"epoch\": 1, \"step\": 0, \"weight\": 10, \"tableVersion\": 1, \"message\": \"m\"}",
         false},
        {"{\"epoch\": 1, \"step\": 1, \"weight\": 10, \"tableVersion\": 1}", true},
        {"{\"epoch\": 1, \"step\": 1, \"weight\": 20, \"tableVersion\": 2}", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct control_change change;
        json_object_set_new(doc, "status", json_loads(rows[i].status, 0, NULL));
        uint64_t rv = control_store_rv(s);
        assert_int_equal(control_store_update(s, doc, CONTROL_STATUS, NULL, 0, NULL, NULL), 0);
        assert_int_equal(control_store_next(s, rv, &change), 1);
        assert_int_equal(control_publisher_change(p, &change), rows[i].published);
    }
    const struct model_item *item =
        model_snapshot_get(control_publisher_snapshot(p), WT_STR("Migration/default/shop"));
    const json_t *table = json_object_get(json_object_get(item->doc, "status"), "table");
    const char *bits = json_string_value(json_object_get(table, "bits"));
    struct model_slots *slots = wt_malloc(sizeof(*slots));
    unsigned n;
    assert_non_null(bits);
    assert_int_equal(model_slots_decode(slots, wt_str_z(bits), &n, NULL), 0);
    assert_int_equal(model_slots_count(slots, 1), model_slots_quota(20));
    wt_free(slots);
    json_decref(doc);
    control_publisher_free(p);
    control_store_free(s);
}

static json_t *report(const char *proxy, const char *boot, int64_t new_requests)
{
    return json_pack("{s:s, s:s, s:[{s:s, s:i, s:i, s:i, s:i, s:{s:i, s:I}, s:{s:I, s:i}}]}",
                     "proxy", proxy, "boot", boot, "migrations", "uid", "u", "epoch", 1, "step", 0,
                     "weight", 10, "tableVersion", 1, "requests", "old", 1, "new",
                     (json_int_t)new_requests, "guard", "requestsNew", (json_int_t)new_requests,
                     "badRequestsNew", 0);
}

static void silence_is_not_zero(void **unused)
{
    (void)unused;
    struct control_reports *r = control_reports_new();
    const struct health_params params = {0.001, 0.005, 0.25, 0.05, 0.1, true};
    struct control_migration_state state = {.epoch = 1, .table_version = 1, .weight = 10};
    const struct control_report_key key = {.uid = "u"};
    json_t *one = report("p1", "a", 5000), *two = report("p2", "b", 5000);
    assert_int_equal(control_reports_absorb(r, one, 1000, 1000, NULL), 0);
    assert_int_equal(control_reports_absorb(r, two, 4000, 4000, NULL), 0);
    static const struct {
        int64_t now_ms;
        unsigned proxies, silent;
        bool passed;
    } rows[] = {
        {5000, 2, 0, true}, {7000, 1, 1, false}, {32000, 0, 1, false}, {40000, 0, 0, false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct control_migration_seen seen = {0};
        control_reports_migration(r, &key, &state, &params, rows[i].now_ms, 0, &seen);
        assert_int_equal(seen.proxies, rows[i].proxies);
        assert_int_equal(seen.silent, rows[i].silent);
        assert_int_equal(seen.passed, rows[i].passed);
    }
    /* The object has another uid in a store that is not the proxy's: its name finds it. */
    json_t *migration_report = json_array_get(json_object_get(one, "migrations"), 0);
    json_object_set_new(one, "store", json_string("lost"));
    json_object_set_new(migration_report, "name", json_string("m"));
    json_object_set_new(migration_report, "namespace", json_string("n"));
    static const struct {
        struct control_report_key key;
        bool found;
    } keys[] = {{{"new", "n", "m", "ours"}, true},
                {{"new", "n", "m", "lost"}, false},
                {{"new", "n", "other", "ours"}, false}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct control_migration_seen seen = {0};
        control_reports_migration(r, &keys[i].key, &state, &params, 5000, 0, &seen);
        assert_int_equal(seen.running.any, keys[i].found);
    }
    json_decref(one);
    json_decref(two);
    control_reports_free(r);
}

/* What runs is what all workers run, not what the proxy was given; and why it stays there. */
static void proxies_tell_what_they_run(void **unused)
{
    (void)unused;
    static const struct {
        const char *more;
        int table;
        const char *refused;
    } rows[] = {
        {"{}", 1, NULL},
        {"{\"runs\": {\"epoch\": 1, \"step\": 0, \"tableVersion\": 7}}", 7, NULL},
        {"{\"rejected\": {\"version\": 9, \"message\": \"all\"}}", 1, "all"},
        {"{\"notTaken\": [{\"key\": \"Migration/n/m\", \"message\": \"this\"}]}", 1, "this"},
        {"{\"notTaken\": [{\"key\": \"Migration/n/x\", \"message\": \"that\"}]}", 1, NULL},
    };
    const struct control_report_key key = {.uid = "u", .namespace = "n", .name = "m"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct control_reports *r = control_reports_new();
        json_t *one = report("p1", "a", 5), *more = json_loads(rows[i].more, 0, NULL);
        json_t *runs = json_object_get(more, "runs");
        json_object_update(runs ? json_array_get(json_object_get(one, "migrations"), 0) : one,
                           more);
        assert_int_equal(control_reports_absorb(r, one, 1000, 1000, NULL), 0);
        json_t *list = control_reports_proxies(r, &key, NULL, 1000);
        const json_t *entry = json_array_get(list, 0);
        const char *refused = json_string_value(json_object_get(entry, "refused"));
        assert_int_equal(json_integer_value(json_object_get(entry, "tableVersion")), rows[i].table);
        assert_string_equal(refused ? refused : "", rows[i].refused ? rows[i].refused : "");
        json_decref(list);
        json_decref(more);
        json_decref(one);
        control_reports_free(r);
    }
}

static void counts_go_on_over_boots(void **unused)
{
    (void)unused;
    static const struct {
        const char *boot;
        int64_t new, total;
    } rows[] = {{"a", 10, 10}, {"a", 15, 15}, {"b", 3, 18}, {"b", 3, 18}, {"b", 2, 20}};
    struct control_reports *r = control_reports_new();
    struct control_counts total = {0};
    json_t *base = NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *doc = report("p1", rows[i].boot, rows[i].new);
        assert_int_equal(control_reports_absorb(r, doc, 1000, 1000, NULL), 0);
        json_t *next = control_reports_count(r, "u", base, &total);
        assert_int_equal(total.new, rows[i].total);
        json_decref(base);
        base = next;
        json_decref(doc);
    }
    json_decref(base);
    control_reports_free(r);
}

/* A site that has lost its store gives its key back, once, and before another has left the house.
 */
static void a_lost_site_key_is_taken_back(void **state)
{
    static const uint8_t lost[CONTROL_SITE_KEY_BYTES] = "the key that signed the cookies",
                         other[CONTROL_SITE_KEY_BYTES] = "another";
    struct control_store *s = open_store(":memory:");
    struct wt_err err = {0};
    assert_int_equal(control_store_give_site_key(s, lost, &err), 0);
    assert_memory_equal(control_store_site_key(s), lost, sizeof(lost));
    assert_int_equal(control_store_give_site_key(s, other, &err), 0);
    assert_memory_equal(control_store_site_key(s), lost, sizeof(lost));
    control_store_free(s);

    uint8_t own[CONTROL_SITE_KEY_BYTES];
    s = open_store(":memory:");
    memcpy(own, control_store_site_key(s), sizeof(own));
    assert_int_equal(control_store_give_site_key(s, NULL, &err), 0);
    assert_int_equal(control_store_give_site_key(s, lost, &err), 0);
    assert_memory_equal(control_store_site_key(s), own, sizeof(own));
    control_store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_and_conflicts),
        cmocka_unit_test(finalizers_hold_a_deletion),
        cmocka_unit_test(survives_a_restart_and_refuses_a_second),
        cmocka_unit_test(values_are_written_with_a_batch),
        cmocka_unit_test(a_batch_leaves_out_what_is_wrong),
        cmocka_unit_test(a_batch_is_whole_or_not_there),
        cmocka_unit_test(a_batch_survives_each_failing_call),
        cmocka_unit_test(statuses_in_one_write),
        cmocka_unit_test(what_is_damaged_is_not_taken_up),
        cmocka_unit_test(a_disk_that_refuses_changes_nothing),
        cmocka_unit_test(events_count_and_are_bounded),
        cmocka_unit_test(a_status_without_effect_is_not_published),
        cmocka_unit_test(silence_is_not_zero),
        cmocka_unit_test(proxies_tell_what_they_run),
        cmocka_unit_test(counts_go_on_over_boots),
        cmocka_unit_test(a_lost_site_key_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
