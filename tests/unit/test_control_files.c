/* Watched files: what is read again, what is refused, and that no failing call of the system costs
 * more than a sentence. */
#include "control/files.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/sys_fault.h"
#include "io/sys_sim.h"
#include "model/check.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "control_files_help.h"

static void bad_and_empty_files_change_nothing(void **unused)
{
    static const struct {
        const char *text; /* NULL: not written */
        int64_t now_ms;
        int result; /* 1, 0 or an error */
        size_t backends;
    } rows[] = {
        {BACKEND("a") BACKEND("b"), 0, 1, 2},
        {BACKEND("a") BACKEND("b"), 100, 0, 2},
        {BACKEND("a") "---\nkind: Bakend\n", 200, WT_EINVAL, 2},
        {"", 300, WT_EINVAL, 2},
        {BACKEND("a"), 400, 0, 2}, /* b is missing, once */
        {NULL, 900, 0, 2},         /* not for long enough */
        {BACKEND("a"), 1300, 0, 2},
        {NULL, 1500, 0, 2}, /* the same, but it was written meanwhile */
        {NULL, 2300, 1, 1}, /* at rest: it goes */
        {BACKEND("c"), 2400, 1, 2},
        {BACKEND("a") BACKEND("c"), 9000, 0, 2}, /* it was a moment only */
    };
    struct site s;
    setup(&s, dir, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wt_err err;
        if (rows[i].text)
            write_file(&s, "/site/site.yaml", rows[i].text);
        s.now_ms = rows[i].now_ms;
        int r = apply(&s, &err);
        if (r != rows[i].result)
            fail_msg("row %zu: %d: %s", i, r, err.msg);
        assert_int_equal(control_store_count(s.store, model_kind_backend), rows[i].backends);
    }
    teardown(&s);
}

enum { MANY = 50 };

static void setup_many(struct site *s)
{
    char path[64], text[256];
    setup(s, dir, 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "/site/%02d.yaml", i);
        snprintf(text, sizeof(text), BACKEND("b%d"), i);
        write_file(s, path, text);
    }
    pass(s, LATER_MS);
}

/* Rows are steps of one story. `read` counts the files whose bytes were read for it. */
static void only_what_changed_is_read(void **unused)
{
    static const struct {
        const char *path, *text; /* NULL: nothing is written; text NULL: removed */
        int64_t wait_ms;         /* before it is applied */
        int result;
        unsigned read;
        const char *name;
        int64_t port; /* 0: it is not there */
    } rows[] = {
        {NULL, NULL, 0, 1, MANY, "b7", 80},
        {NULL, NULL, LATER_MS, 0, 0, "b7", 80},
        {"/site/07.yaml", BACKEND_PORT("b7", "81"), LATER_MS, 1, 1, "b7", 81},
        {NULL, NULL, LATER_MS, 0, 0, "b7", 81},
        /* Young: the same size within the same tick may be another content. */
        {"/site/07.yaml", BACKEND_PORT("b7", "82"), 0, 1, 1, "b7", 82},
        {"/site/07.yaml", BACKEND_PORT("b7", "83"), 0, 1, 1, "b7", 83},
        {NULL, NULL, LATER_MS, 0, 1, "b7", 83},
        {NULL, NULL, 0, 0, 0, "b7", 83},
        /* Two of the same name, far apart: found though the other was not read again. */
        {"/site/07.yaml", BACKEND_PORT("b33", "84"), LATER_MS, WT_EINVAL, 1, "b33", 80},
        {"/site/07.yaml", "broken: [", LATER_MS, WT_EINVAL, 1, "b7", 83},
        {"/site/08.yaml", BACKEND_PORT("b8", "85"), LATER_MS, WT_EINVAL, 1, "b8", 80},
        {"/site/07.yaml", BACKEND_PORT("b7", "86"), LATER_MS, 1, 2, "b8", 85},
        {NULL, NULL, 0, 0, 0, "b7", 86},
        /* Gone: removed when a second reading says so. */
        {"/site/07.yaml", NULL, LATER_MS, 0, 0, "b7", 86},
        {NULL, NULL, LATER_MS, 1, 0, "b7", 0},
        {"/site/07.yaml", BACKEND_PORT("b7", "87"), LATER_MS, 1, 1, "b7", 87},
    };
    struct site s;
    setup_many(&s);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct io_sys *sys = io_sim_sys(s.sim);
        struct wt_err err;
        if (rows[i].path && rows[i].text)
            write_file(&s, rows[i].path, rows[i].text);
        else if (rows[i].path)
            assert_int_equal(sys->unlink(sys, rows[i].path), 0);
        if (rows[i].wait_ms)
            pass(&s, rows[i].wait_ms);
        uint64_t before = control_files_stats(s.files).read;
        int r = apply(&s, &err);
        if (r != rows[i].result)
            fail_msg("row %zu: %d: %s", i, r, err.msg);
        if (control_files_stats(s.files).read - before != rows[i].read)
            fail_msg("row %zu: %u files read", i,
                     (unsigned)(control_files_stats(s.files).read - before));
        if (port_of(&s, rows[i].name) != rows[i].port)
            fail_msg("row %zu: port %d", i, (int)port_of(&s, rows[i].name));
    }
    teardown(&s);
}

static void set_finalizers(struct site *s, json_t *list)
{
    json_t *b = json_deep_copy(control_store_get(s->store, model_kind_backend, "default", "a"));
    json_object_set_new(json_object_get(b, "metadata"), "finalizers", list);
    assert_int_equal(control_store_update(s->store, b, CONTROL_FINALIZERS, NULL, 0, NULL, NULL), 0);
    json_decref(b);
}

/* Said anew while it is being deleted: made when it is gone. Else it stays deleted. */
static void what_is_said_anew_of_one_being_deleted_is_made(void **unused)
{
    struct site s;
    setup(&s, dir, 1);
    for (int anew = 0; anew < 2; anew++) {
        write_file(&s, "/site/site.yaml", BACKEND("a") BACKEND("b"));
        apply_later(&s);
        assert_int_equal(port_of(&s, "a"), 80);
        set_finalizers(&s, json_pack("[s]", "watari.dev/share"));
        assert_int_equal(
            control_store_delete(s.store, model_kind_backend, "default", "a", 0, 0, NULL, NULL), 0);
        assert_int_equal(apply_later(&s), 0);
        if (anew) {
            write_file(&s, "/site/site.yaml", BACKEND_PORT("a", "81") BACKEND("b"));
            assert_int_equal(apply_later(&s), 1);
        }
        restart(&s);
        assert_int_equal(apply_later(&s), 0);
        assert_int_equal(apply_later(&s), 0);
        assert_int_equal(events(&s, "Files", "BeingDeleted"), 2 * anew); /* after a restart again */
        set_finalizers(&s, json_array());
        assert_int_equal(port_of(&s, "a"), 0);
        assert_int_equal(apply_later(&s), anew);
        assert_int_equal(port_of(&s, "a"), anew ? 81 : 0);
        assert_int_equal(apply_later(&s), 0);
        write_file(&s, "/site/site.yaml", BACKEND_PORT("a", "79") BACKEND("b"));
        apply_later(&s);
    }
    teardown(&s);
}

/* ---- beside the API ---- */

enum act { LOOK, A_FILE, B_FILE, NO_A, API_PUT, API_DELETE, RESTART, SIGHUP_COMES, NO_RECORD };

static void api_port(struct site *s, int port)
{
    json_t *a = control_store_get(s->store, model_kind_backend, "default", "a");
    json_t *doc = a ? json_deep_copy(a)
                    : json_pack("{s:s, s:s, s:{s:s}, s:{s:[{s:s}]}}", "apiVersion",
                                "watari.dev/v1alpha1", "kind", "Backend", "metadata", "name", "a",
                                "spec", "endpoints", "address", "10.0.0.1");
    json_t *list = json_object_get(json_object_get(doc, "spec"), "endpoints");
    json_object_set_new(json_array_get(list, 0), "port", json_integer(port));
    assert_int_equal(model_fill(doc), 0);
    assert_int_equal(a ? control_store_update(s->store, doc, CONTROL_SPEC, NULL, 0, NULL, NULL)
                       : control_store_create(s->store, doc, 0, NULL, NULL),
                     0);
    json_decref(doc);
}

/* As a store was before there were records. */
static void lose_record(struct site *s)
{
    struct control_write w = {.verb = CONTROL_LEAVE, .kv = {"file/Backend/default/a", NULL}};
    wt_autofree char *was = control_store_kv_get(s->store, w.kv.key);
    assert_non_null(was);
    assert_int_equal(control_store_write(s->store, &w, 1, NULL), 0);
    restart(s);
}

static int do_act(struct site *s, enum act act, const char *text, int port)
{
    struct io_sys *sys = io_sim_sys(s->sim);
    struct wt_err err = {0};
    int64_t again_ms;
    if (act == A_FILE || act == B_FILE)
        write_file(s, act == A_FILE ? "/site/a.yaml" : "/site/b.yaml", text);
    else if (act == NO_A)
        assert_int_equal(sys->unlink(sys, "/site/a.yaml"), 0);
    else if (act == API_PUT)
        api_port(s, port);
    else if (act == API_DELETE)
        assert_int_equal(
            control_store_delete(s->store, model_kind_backend, "default", "a", 0, 0, NULL, NULL),
            0);
    else if (act == RESTART)
        restart(s);
    else if (act == NO_RECORD)
        lose_record(s);
    pass(s, LATER_MS);
    int r = control_files_apply(s->files, act == SIGHUP_COMES, s->now_ms, 1000, &again_ms, &err);
    if (r < 0)
        fail_msg("%s", err.msg);
    return r;
}

/* Steps of one story: what `a` is after each, and how often it was told that the API's was undone.
 */
static const struct {
    enum act act;
    const char *text;
    int api_port, changed;
    int64_t port; /* 0: it is not there */
    unsigned told;
} story[] = {
    {B_FILE, BACKEND("b"), 0, 1, 0, 0},
    {A_FILE, BACKEND("a"), 0, 1, 80, 0},
    {API_PUT, NULL, 7777, 0, 7777, 0},
    {RESTART, NULL, 0, 0, 7777, 0},
    {SIGHUP_COMES, NULL, 0, 0, 7777, 0},
    {B_FILE, BACKEND_PORT("b", "81"), 0, 1, 7777, 0},
    {A_FILE, "# a word\n" BACKEND("a"), 0, 0, 7777, 0},
    {A_FILE, BACKEND_PORT("a", "82"), 0, 1, 82, 1},
    {RESTART, NULL, 0, 0, 82, 1},
    {API_PUT, NULL, 83, 0, 83, 1},
    {A_FILE, BACKEND_PORT("a", "83"), 0, 0, 83, 1}, /* put where it belongs: nothing is lost */
    {A_FILE, BACKEND_PORT("a", "84"), 0, 1, 84, 1},
    {API_DELETE, NULL, 0, 0, 0, 1},
    {RESTART, NULL, 0, 0, 0, 1},
    {SIGHUP_COMES, NULL, 0, 0, 0, 1},
    {B_FILE, BACKEND_PORT("b", "82"), 0, 1, 0, 1},
    {A_FILE, BACKEND_PORT("a", "85"), 0, 1, 85, 2},
    {API_DELETE, NULL, 0, 0, 0, 2},
    {API_PUT, NULL, 7777, 0, 7777, 2}, /* another one of that name */
    {RESTART, NULL, 0, 0, 7777, 2},
    {A_FILE, BACKEND_PORT("a", "86"), 0, 1, 86, 3},
    /* Gone from the files for good, what they said of it is forgotten. */
    {API_DELETE, NULL, 0, 0, 0, 3},
    {NO_A, NULL, 0, 0, 0, 3},
    {A_FILE, BACKEND_PORT("a", "86"), 0, 0, 0, 3}, /* it was a moment only */
    {NO_A, NULL, 0, 0, 0, 3},
    {RESTART, NULL, 0, 0, 0, 3},
    {LOOK, NULL, 0, 0, 0, 3},
    {A_FILE, BACKEND_PORT("a", "86"), 0, 1, 86, 3},
    {NO_A, NULL, 0, 0, 86, 3},
    {RESTART, NULL, 0, 0, 86, 3},
    {A_FILE, BACKEND_PORT("a", "86"), 0, 0, 86, 3},
    /* A store without records: applied as ever, and nobody knows whose the change was. */
    {NO_RECORD, NULL, 0, 0, 86, 3},
    {API_PUT, NULL, 7777, 0, 7777, 3},
    {NO_RECORD, NULL, 0, 1, 86, 3},
    {API_PUT, NULL, 7777, 0, 7777, 3},
    {RESTART, NULL, 0, 0, 7777, 3},
};

static void an_object_follows_its_own_text_alone(void **unused)
{
    struct site s;
    setup(&s, dir, 1);
    for (size_t i = 0; i < sizeof(story) / sizeof(story[0]); i++) {
        int changed = do_act(&s, story[i].act, story[i].text, story[i].api_port);
        if (changed != story[i].changed)
            fail_msg("row %zu: %d", i, changed);
        if (port_of(&s, "a") != story[i].port)
            fail_msg("row %zu: port %d", i, (int)port_of(&s, "a"));
        if (events(&s, "Backend", "Overwritten") != story[i].told)
            fail_msg("row %zu: told %u times", i, events(&s, "Backend", "Overwritten"));
    }
    teardown(&s);
}

/* What is immutable is checked where something is put, and there alone. */
static void what_is_not_put_is_not_refused(void **unused)
{
    struct site s;
    struct wt_err err;
    setup(&s, dir, 1);
    write_file(&s, "/site/class.yaml",
               "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n"
               "metadata: {name: watari}\nspec: {controllerName: watari.dev/gateway}\n");
    assert_int_equal(apply_later(&s), 1);
    assert_int_equal(
        control_store_delete(s.store, model_kind_gateway_class, NULL, "watari", 0, 0, NULL, NULL),
        0);
    json_t *other = json_pack("{s:s, s:s, s:{s:s}, s:{s:s}}", "apiVersion",
                              "gateway.networking.k8s.io/v1", "kind", "GatewayClass", "metadata",
                              "name", "watari", "spec", "controllerName", "example.com/another");
    assert_int_equal(control_store_create(s.store, other, 0, NULL, NULL), 0);
    json_decref(other);
    write_file(&s, "/site/b.yaml", BACKEND("b"));
    pass(&s, LATER_MS);
    int r = apply(&s, &err);
    if (r != 1)
        fail_msg("%d: %s", r, err.msg);
    teardown(&s);
}

/* ---- many at once: several transactions, and others in between ---- */

enum { CROWD = 350 };

/* What a pause does, and what was told. */
struct crowd {
    struct site site;
    unsigned pauses, applying, end_at; /* end_at: the pause that ends the reading; 0: none */
    void (*once)(struct crowd *c);     /* in the first pause within the changes */
    uint64_t told_rv;
};

static void write_crowd(struct crowd *c, int n, const char *port)
{
    wt_autobuf struct wt_buf text = wt_buf_make(1 << 20);
    for (int i = 0; i < n; i++) {
        wt_buf_printf(&text, "---\napiVersion: watari.dev/v1alpha1\nkind: Backend\n");
        wt_buf_printf(&text, "metadata: {name: b%03d}\n", i);
        wt_buf_printf(&text, "spec: {endpoints: [{address: 10.0.0.1, port: %s}]}\n", port);
    }
    assert_false(wt_buf_error(&text));
    assert_int_equal(
        io_file_write(io_sim_sys(c->site.sim), "/site/crowd.yaml", wt_buf_str(&text), 0600, NULL),
        0);
}

static int pause_crowd(void *ctx)
{
    struct crowd *c = ctx;
    c->pauses++;
    if (control_files_applying(c->site.files)) {
        c->applying++;
        if (c->once)
            c->once(c);
        c->once = NULL;
    }
    return c->pauses == c->end_at ? WT_ECANCELED : 0;
}

static void told(void *ctx, const struct control_change *change)
{
    struct crowd *c = ctx;
    assert_int_equal(change->rv, c->told_rv + 1); /* each once, none left out */
    assert_int_equal(control_store_doc_rv(change->doc), change->rv);
    c->told_rv = change->rv;
}

static void setup_crowd(struct crowd *c)
{
    *c = (struct crowd){0};
    setup(&c->site, dir, 1);
    control_files_on_pause(c->site.files, pause_crowd, c);
    control_store_on_change(c->site.store, told, c);
    write_crowd(c, CROWD, "80");
    pass(&c->site, LATER_MS);
}

static size_t backends(const struct crowd *c)
{
    return control_store_count(c->site.store, model_kind_backend);
}

static void api_puts(struct crowd *c, const char *name, enum control_verb verb, int port)
{
    json_t *doc =
        json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:[{s:s, s:i}]}}", "apiVersion",
                  "watari.dev/v1alpha1", "kind", "Backend", "metadata", "name", name, "namespace",
                  "default", "spec", "endpoints", "address", "10.0.0.1", "port", port);
    struct control_write w = {.verb = verb, .doc = doc, .parts = CONTROL_SPEC};
    assert_int_equal(control_store_write(c->site.store, &w, 1, NULL), 1);
    assert_int_equal(w.result, 0);
    json_decref(w.out);
    json_decref(doc);
}

/* The API in the middle of it: one is there before the files get to it, two were put already. */
static void meddle(struct crowd *c)
{
    size_t n = backends(c);
    assert_true(n > 1 && n < CROWD);
    api_puts(c, "b349", CONTROL_CREATE, 7777);
    api_puts(c, "b001", CONTROL_UPDATE, 7777);
    api_puts(c, "b002", CONTROL_DELETE, 80);
}

static void many_changes_let_others_in(void **unused)
{
    struct crowd c;
    struct wt_err err;
    setup_crowd(&c);
    c.once = meddle;
    assert_int_equal(apply(&c.site, &err), 1);
    assert_true(c.applying >= 3);
    assert_false(control_files_applying(c.site.files));
    assert_int_equal(backends(&c), CROWD - 1);
    assert_int_equal(port_of(&c.site, "b349"), 80);
    assert_int_equal(port_of(&c.site, "b001"), 7777);
    assert_int_equal(c.told_rv, CROWD + 4);
    assert_int_equal(events(&c.site, "Backend", "Overwritten"), 1);
    /* The next change of them all takes back what the API has changed since. */
    write_crowd(&c, CROWD, "81");
    assert_int_equal(apply(&c.site, &err), 1);
    assert_int_equal(backends(&c), CROWD);
    assert_int_equal(port_of(&c.site, "b001"), 81);
    assert_int_equal(c.told_rv, 2 * CROWD + 6);
    assert_int_equal(events(&c.site, "Backend", "Overwritten"), 3);
    /* Nothing to do: nobody has to wait. */
    unsigned applying = c.applying;
    pass(&c.site, LATER_MS);
    assert_int_equal(apply(&c.site, &err), 0);
    assert_int_equal(c.applying, applying);
    teardown(&c.site);
}

static void create_another_class(struct crowd *c)
{
    json_t *doc = json_pack("{s:s, s:s, s:{s:s}, s:{s:s}}", "apiVersion",
                            "gateway.networking.k8s.io/v1", "kind", "GatewayClass", "metadata",
                            "name", "watari", "spec", "controllerName", "example.com/another");
    assert_int_equal(control_store_create(c->site.store, doc, 0, NULL, NULL), 0);
    json_decref(doc);
}

/* It was right when all was checked; what came in between may not be changed. */
static void one_that_has_become_wrong_stops_no_other(void **unused)
{
    struct crowd c;
    struct wt_err err;
    setup_crowd(&c);
    write_file(
        &c.site, "/site/later.yaml",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n"
        "metadata: {name: watari}\nspec: {controllerName: watari.dev/gateway}\n" BACKEND("last"));
    c.once = create_another_class;
    assert_int_equal(apply(&c.site, &err), WT_EINVAL);
    assert_non_null(strstr(err.msg, "controllerName"));
    assert_int_equal(backends(&c), CROWD + 1);
    assert_int_equal(port_of(&c.site, "last"), 80);
    assert_int_equal(control_store_delete(c.site.store, model_kind_gateway_class, NULL, "watari", 0,
                                          0, NULL, NULL),
                     0);
    assert_int_equal(apply(&c.site, &err), 1);
    assert_int_equal(control_store_count(c.site.store, model_kind_gateway_class), 1);
    teardown(&c.site);
}

/* In the middle of the removals someone changes what the files still name. */
static void change_one_that_stays(struct crowd *c)
{
    api_puts(c, "b000", CONTROL_UPDATE, 7777);
}

static void many_removals_let_others_in(void **unused)
{
    struct crowd c;
    struct wt_err err;
    setup_crowd(&c);
    assert_int_equal(apply(&c.site, &err), 1);
    write_crowd(&c, 1, "80");
    assert_int_equal(apply_later(&c.site), 0);
    assert_int_equal(backends(&c), CROWD);
    unsigned applying = c.applying;
    c.once = change_one_that_stays;
    assert_int_equal(apply_later(&c.site), 1);
    assert_true(c.applying - applying >= 3);
    assert_int_equal(backends(&c), 1);
    assert_int_equal(port_of(&c.site, "b000"), 7777);
    assert_int_equal(events(&c.site, "Files", "Removed"), 1);
    teardown(&c.site);
}

/* Wherever control is told to end: what was put is whole, and the rest is made up for. */
static void a_reading_may_end_in_any_pause(void **unused)
{
    struct crowd c;
    struct wt_err err;
    setup_crowd(&c);
    assert_int_equal(apply(&c.site, &err), 1);
    unsigned pauses = c.pauses;
    teardown(&c.site);
    for (unsigned at = 1; at <= pauses; at += 1 + (pauses - at) / 5) {
        setup_crowd(&c);
        c.end_at = at;
        assert_int_equal(apply(&c.site, &err), WT_ECANCELED);
        assert_false(control_files_applying(c.site.files));
        assert_int_equal(backends(&c), c.told_rv);
        assert_int_equal(events(&c.site, "Files", "Rejected"), 0);
        c.end_at = 0;
        apply(&c.site, &err);
        assert_int_equal(backends(&c), CROWD);
        assert_int_equal(c.told_rv, CROWD);
        teardown(&c.site);
    }
}

/* The disk is full after so many bytes: the batches before are in force, of the one nothing is. */
static void a_full_disk_ends_between_batches(void **unused)
{
    char path[] = "/tmp/watari-files-XXXXXX", db[64], wal[80];
    struct crowd c;
    struct wt_err err;
    struct rlimit was, tight;
    assert_non_null(mkdtemp(path));
    snprintf(db, sizeof(db), "%s/control.db", path);
    snprintf(wal, sizeof(wal), "%s-wal", db);
    setup_crowd(&c);
    control_files_free(c.site.files);
    control_store_free(c.site.store);
    assert_int_equal(control_store_open(db, io_sys_real(), &c.site.store, NULL), 0);
    control_store_on_change(c.site.store, told, &c);
    c.site.files = control_files_new(c.site.store, &c.site.fault.sys, dir, 1, REST_MS);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, SIG_IGN);
    tight = was;
    tight.rlim_cur = 240 << 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int r = apply(&c.site, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(r, WT_EIO);
    assert_non_null(strstr(err.msg, "state store:"));
    size_t n = backends(&c);
    assert_true(n > 0 && n < CROWD && n % 50 == 0);
    assert_int_equal(c.told_rv, n);
    control_files_free(c.site.files);
    control_store_free(c.site.store);
    assert_int_equal(control_store_open(db, io_sys_real(), &c.site.store, NULL), 0);
    assert_int_equal(backends(&c), n);
    c.site.files = control_files_new(c.site.store, &c.site.fault.sys, dir, 1, REST_MS);
    assert_int_equal(apply(&c.site, &err), 1);
    assert_int_equal(backends(&c), CROWD);
    assert_int_equal(control_store_rv(c.site.store), CROWD);
    teardown(&c.site);
    unlink(db);
    unlink(wal);
    rmdir(path);
}

/* One change; a directory and three files are looked at; the nth call of `kind` fails, once. */
static int play(struct site *s, enum io_call kind, uint64_t nth, size_t short_bytes,
                struct wt_err *err)
{
    static const char *const paths[] = {"/site", "/other.yaml"};
    setup(s, paths, 2);
    write_file(s, "/site/a.yaml", BACKEND("a"));
    write_file(s, "/site/b.yaml", BACKEND("b"));
    write_file(s, "/other.yaml", BACKEND("c"));
    assert_int_equal(apply(s, err), 1);
    write_file(s, "/site/b.yaml", BACKEND_PORT("b", "81") BACKEND("d"));
    io_sys_fault_set(&s->fault, kind, nth, false);
    s->fault.short_bytes = short_bytes;
    return apply(s, err);
}

static void check_end(struct site *s)
{
    struct wt_err err;
    int r = apply(s, &err);
    if (r < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(port_of(s, "b"), 81);
    assert_int_equal(control_store_count(s->store, model_kind_backend), 4);
}

static void each_call_fails_once(void **unused)
{
    struct site s;
    struct wt_err err;
    unsigned n_failed = 0;
    assert_int_equal(play(&s, IO_CALL_ANY, 0, 5, &err), 1);
    uint64_t calls[IO_CALL_COUNT];
    memcpy(calls, s.fault.n_calls, sizeof(calls));
    check_end(&s);
    teardown(&s);
    assert_true(calls[IO_CALL_stat] == 4 && calls[IO_CALL_open] && calls[IO_CALL_read_dir]);
    for (int kind = 0; kind < IO_CALL_COUNT; kind++)
        for (uint64_t nth = 1; nth <= calls[kind]; nth++) {
            int r = play(&s, (enum io_call)kind, nth, 5, &err);
            assert_int_equal(s.fault.n_failed, 1);
            n_failed += r < 0;
            if (kind == IO_CALL_close ? r != 1 : r >= 0)
                fail_msg("%s %d: %d", io_call_name((enum io_call)kind), (int)nth, r);
            if (r < 0) { /* the old state, and one sentence that names the place */
                assert_int_equal(port_of(&s, "b"), 80);
                assert_int_equal(control_store_count(s.store, model_kind_backend), 3);
                assert_non_null(strchr(err.msg, '/'));
                assert_null(strchr(err.msg, '\n'));
            }
            check_end(&s);
            teardown(&s);
        }
    assert_true(n_failed > 20);
}

/* A document of YAML may be any value: that it is no object is for its check to say. */
static void text_that_is_no_object_is_refused(void **unused)
{
    static const char *const rows[] = {"hello world\n", "7\n", "true\n", "- a\n"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site s;
        struct wt_err err;
        setup(&s, dir, 1);
        write_file(&s, "/site/site.yaml", rows[i]);
        assert_int_equal(apply(&s, &err), WT_EINVAL);
        assert_string_equal(err.msg, "/site/site.yaml: line 1: expected an object with apiVersion, "
                                     "kind and metadata");
        teardown(&s);
    }
}

static void a_path_that_is_no_file_is_refused(void **unused)
{
    static const char *const paths[] = {"/dev/null"};
    struct control_store *store;
    struct wt_err err;
    int64_t again_ms;
    assert_int_equal(control_store_open(":memory:", io_sys_real(), &store, NULL), 0);
    struct control_files *f = control_files_new(store, io_sys_real(), paths, 1, REST_MS);
    assert_int_equal(control_files_apply(f, false, 0, 0, &again_ms, &err), WT_EINVAL);
    assert_string_equal(err.msg, "/dev/null: not a regular file");
    control_files_free(f);
    control_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_and_empty_files_change_nothing),
        cmocka_unit_test(only_what_changed_is_read),
        cmocka_unit_test(what_is_said_anew_of_one_being_deleted_is_made),
        cmocka_unit_test(an_object_follows_its_own_text_alone),
        cmocka_unit_test(what_is_not_put_is_not_refused),
        cmocka_unit_test(many_changes_let_others_in),
        cmocka_unit_test(one_that_has_become_wrong_stops_no_other),
        cmocka_unit_test(many_removals_let_others_in),
        cmocka_unit_test(a_reading_may_end_in_any_pause),
        cmocka_unit_test(a_full_disk_ends_between_batches),
        cmocka_unit_test(each_call_fails_once),
        cmocka_unit_test(text_that_is_no_object_is_refused),
        cmocka_unit_test(a_path_that_is_no_file_is_refused),
    };
    wt_log_set_level(WT_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
