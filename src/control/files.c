#include "control/files.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/event.h"
#include "control/file_record.h"
#include "control/file_set.h"
#include "control/in_use.h"
#include "control/migration_part.h"
#include "control/names.h"
#include "model/check.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum {
    RESCAN_MS = 10000,
    SOON_MS = 1000,
    BATCH_MAX = 100, /* objects a transaction: the API is silent for some 20 ms of it */
    TOLD_MAX = 50,   /* objects a reading: an event is a transaction */
};
#define SOURCE "watari.dev/source"

/* What of the API's a file undoes, as its event says it. */
enum undone { NOTHING, CHANGE, CREATION, DELETION };
static const char *const undone_text[] = {
    [CHANGE] = "its file has changed: what was changed through the API since is taken back",
    [CREATION] = "a file names it now: what was said of it through the API is taken back",
    [DELETION] = "its file has changed: made again though it was deleted through the API",
};

/* What is known of an object once its write is done; `record` is not there when it is `gone`. */
struct after {
    char key[MODEL_KEY_MAX];
    struct control_file_record record;
    bool gone;
    enum undone undone;
    struct control_file_kv kv;
};

/* On its way to the store in one transaction. */
struct batch {
    struct control_write writes[BATCH_MAX]; /* of documents that are ours */
    struct after after[BATCH_MAX];
    size_t n;
};

struct control_files {
    struct control_store *store;
    const char *const *paths;
    size_t n_paths;
    struct control_file_set set;
    struct control_file_records records;
    bool read_once;
    uint64_t hash;  /* of the last reading */
    uint64_t told;  /* the mistake of the last reading, as a hash; 0: none */
    uint64_t looks; /* of the files then */
    struct batch batch;
    size_t n_changed;            /* objects, by this reading so far */
    size_t n_undone;             /* of these: events of TOLD_MAX */
    struct control_names undone; /* the rest */
    bool applying;
    int64_t rest_ms;
    int64_t removal_ms;             /* when its removals may be carried out; 0: there are none */
    uint64_t kept, deleting;        /* what was said to be so, as a hash; 0: nothing is */
    uint64_t warned;                /* of what */
    int watches[CONTROL_FILES_MAX]; /* 0: none */
    bool unwatchable[CONTROL_FILES_MAX]; /* said already */
    struct control_files_stats stats;
};

struct control_files *control_files_new(struct control_store *store, struct io_sys *sys,
                                        const char *const *paths, size_t n_paths, int64_t rest_ms)
{
    struct control_files *f = wt_calloc(1, sizeof(*f));
    if (f)
        *f = (struct control_files){.store = store,
                                    .paths = paths,
                                    .n_paths = n_paths,
                                    .set = {.sys = sys},
                                    .rest_ms = rest_ms};
    return f;
}

void control_files_free(struct control_files *f)
{
    if (f) {
        control_file_set_forget(&f->set);
        control_file_records_free(&f->records);
    }
    wt_free(f);
}

void control_files_on_pause(struct control_files *f, int (*pause)(void *ctx), void *ctx)
{
    f->set.pause = pause;
    f->set.pause_ctx = ctx;
}

bool control_files_applying(const struct control_files *f)
{
    return f->applying;
}

static int pause_now(struct control_files *f)
{
    return f->set.pause ? f->set.pause(f->set.pause_ctx) : 0;
}

struct control_files_stats control_files_stats(const struct control_files *f)
{
    struct control_files_stats stats = f->stats;
    stats.read = f->set.n_read;
    return stats;
}

static int check_alone(struct control_files *f, struct control_file *file,
                       struct model_errors *errors)
{
    int code = 0;
    unsigned errors_before = errors->n_errors + errors->n_more,
             warnings_before = errors->n_warnings;
    if (file->clean)
        return 0;
    for (size_t i = 0; code == 0 && i < file->docs.n; i++) {
        model_check(file->docs.items[i].json, file->docs.items[i].lines, file->docs.items[i].file,
                    errors);
        code = pause_now(f);
    }
    file->clean = code == 0 && errors->n_errors + errors->n_more == errors_before &&
                  errors->n_warnings == warnings_before && warnings_before < MODEL_ERRORS_MAX;
    return code;
}

static int check_together(const struct control_file_set *set, struct model_errors *errors)
{
    const struct model_doc **docs = wt_calloc(set->n_docs + 1, sizeof(*docs));
    size_t n = 0;
    if (!docs)
        return WT_ENOMEM;
    for (size_t i = 0; i < set->n_files; i++)
        for (size_t k = 0; k < set->files[i]->docs.n; k++)
            docs[n++] = &set->files[i]->docs.items[k];
    int r = model_check_set(docs, n, errors);
    wt_free(docs);
    return r == WT_ENOMEM ? r : 0;
}

static bool is_deleting(const json_t *doc)
{
    return json_object_get(json_object_get(doc, "metadata"), "deletionTimestamp");
}

/* Whether the files say something of it that they have not said before. Else it stays what others
 * have made of it. */
static bool is_due(const struct control_files *f, const struct control_file_note *note)
{
    const struct control_file_record *r = control_file_records_get(&f->records, note->key);
    return !r || r->said != note->said || (r->again && !control_store_get_key(f->store, note->key));
}

static void check_updates(const struct control_files *f, const struct control_file *file,
                          struct model_errors *errors)
{
    for (size_t i = 0; i < file->docs.n; i++) {
        const struct control_file_note *note = &file->notes[i];
        const json_t *old = control_store_get_key(f->store, note->key);
        if (old && is_due(f, note))
            model_check_update(old, file->docs.items[i].json, errors);
    }
}

static int sentence(const struct model_errors *errors, struct wt_err *err)
{
    char text[sizeof(err->msg)];
    return wt_fail(err, WT_EINVAL, "%s", model_errors_sentence(errors, text, sizeof(text)));
}

/* Removals look at all files again, as long as one of them cannot be carried out. */
static void warn(struct control_files *f, const struct model_errors *errors)
{
    static const struct wt_hash_key key = {0x66696c6573, 0x7761726e};
    uint64_t now = 0;
    for (unsigned i = 0; i < errors->n_warnings; i++)
        now += wt_hash_str(key, wt_str_z(errors->warnings[i].text)) | 1;
    for (unsigned i = 0; now != f->warned && i < errors->n_warnings; i++)
        wt_log(WT_LOG_WARN, "%s", errors->warnings[i].text);
    f->warned = now;
}

static int check_all(struct control_files *f, struct wt_err *err)
{
    struct model_errors errors = {0};
    int code = 0;
    for (size_t i = 0; code == 0 && i < f->set.n_files; i++)
        code = check_alone(f, f->set.files[i], &errors);
    if (code == 0 && errors.n_errors == 0 && check_together(&f->set, &errors) < 0)
        code = wt_fail(err, WT_ENOMEM, "out of memory");
    for (size_t i = 0; code == 0 && errors.n_errors == 0 && i < f->set.n_files; i++)
        check_updates(f, f->set.files[i], &errors);
    if (code == 0 && errors.n_errors == 0)
        warn(f, &errors);
    if (code == 0 && errors.n_errors)
        code = sentence(&errors, err);
    model_errors_done(&errors);
    return code;
}

static bool is_from_file(const json_t *doc)
{
    const json_t *notes = json_object_get(json_object_get(doc, "metadata"), "annotations");
    const char *source = json_string_value(json_object_get(notes, SOURCE));
    return source && strcmp(source, "file") == 0;
}

/* The document as the store gets it: defaults, the mark of its source, and what is not a file's to
 * say. */
static json_t *prepare(const json_t *doc, const json_t *old)
{
    static const char *const servers[] = {"uid", "resourceVersion", "generation",
                                          "creationTimestamp", "deletionTimestamp"};
    json_t *made = json_deep_copy(doc);
    if (!made || model_fill(made) < 0) {
        json_decref(made);
        return NULL;
    }
    json_t *meta = json_object_get(made, "metadata");
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
        json_object_del(meta, servers[i]);
    json_object_del(made, "status");
    json_t *notes = json_object_get(meta, "annotations");
    if (!notes) {
        notes = json_object();
        json_object_set_new(meta, "annotations", notes);
    }
    json_object_set_new(notes, SOURCE, json_string("file"));
    json_t *finalizers = json_object_get(json_object_get(old, "metadata"), "finalizers");
    if (finalizers)
        json_object_set(meta, "finalizers", finalizers);
    return made;
}

/* ---- what is told ---- */

static void emit(const struct control_files *f, bool warning, const char *reason,
                 const char *message, int64_t wall_ms)
{
    json_t *about = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "Files",
                              "metadata", "name", "files", "namespace", "default");
    if (about)
        control_event_emit(f->store, about, warning, reason, message, wall_ms);
    json_decref(about);
}

/* ---- batches ---- */

/* `record`: what is kept of it then, or NULL. */
static struct after *add_write(struct batch *b, enum control_verb verb, json_t *doc,
                               const char *key, const struct control_file_record *record)
{
    struct after *a = &b->after[b->n];
    *a = (struct after){.gone = !record};
    snprintf(a->key, sizeof(a->key), "%s", key);
    if (record)
        a->record = *record;
    b->writes[b->n++] =
        (struct control_write){.verb = verb,
                               .doc = doc,
                               .parts = verb == CONTROL_UPDATE ? (unsigned)CONTROL_SPEC : 0,
                               .kv = control_file_record_kv(key, record, &a->kv)};
    return a;
}

static int write_batch(struct control_files *f, struct wt_err *err)
{
    struct batch *b = &f->batch;
    int r = control_store_write(f->store, b->writes, b->n, err);
    if (r < 0)
        return r;
    f->n_changed += (size_t)r;
    for (size_t i = 0; i < b->n; i++)
        if (b->writes[i].result == 0)
            control_file_records_set(&f->records, b->after[i].key,
                                     b->after[i].gone ? NULL : &b->after[i].record);
    return 0;
}

/* Forgets what is in it; then others have their turn. */
static int end_batch(struct control_files *f, int code)
{
    struct batch *b = &f->batch;
    for (size_t i = 0; i < b->n; i++) {
        json_decref((json_t *)b->writes[i].doc);
        json_decref(b->writes[i].out);
    }
    b->n = 0;
    f->applying = f->n_changed > 0;
    return code == 0 ? pause_now(f) : code;
}

static void tell_undone(struct control_files *f, const struct after *after, const json_t *doc,
                        int64_t wall_ms)
{
    if (f->n_undone++ < TOLD_MAX)
        control_event_emit(f->store, doc, true, "Overwritten", undone_text[after->undone], wall_ms);
    else
        control_names_add(&f->undone, after->key);
}

/* What all objects of a reading share. */
struct putting {
    struct control_files *f;
    int64_t wall_ms;
    struct wt_err wrong; /* the first; what is wrong with one object stops no other */
};

static int put_batch(struct putting *p, struct wt_err *err)
{
    struct batch *b = &p->f->batch;
    int code = write_batch(p->f, err);
    for (size_t i = 0; code == 0 && i < b->n; i++) {
        struct control_write *w = &b->writes[i];
        if (w->result < 0 && !p->wrong.code)
            wt_fail(&p->wrong, w->result, "%s: %s", b->after[i].key, wt_code_text(w->result));
        if (w->result == 0 && b->after[i].undone)
            tell_undone(p->f, &b->after[i], w->out, p->wall_ms);
    }
    return end_batch(p->f, code);
}

/* Others may have changed the object since all was checked. */
static bool may_update(const json_t *old, const json_t *doc, struct wt_err *wrong)
{
    struct model_errors errors = {0};
    bool may = model_check_update(old, doc, &errors) == 0;
    if (!may && !wrong->code)
        sentence(&errors, wrong);
    model_errors_done(&errors);
    return may;
}

/* Whether somebody else had made of `old` what is not what `now` is put for. Of an object that
 * bears the mark but has no record (a store from before there were any) nobody knows. */
static int find_undone(const struct control_file_record *was, const json_t *old,
                       const struct control_file_record *now, enum undone *out)
{
    uint64_t had;
    *out = NOTHING;
    if (!old) {
        *out = was && !was->again ? DELETION : NOTHING;
        return 0;
    }
    int r = control_file_content(old, &had);
    if (r == 0 && had != now->put)
        *out = was ? had != was->put ? CHANGE : NOTHING : is_from_file(old) ? NOTHING : CREATION;
    return r;
}

static int put_new(struct putting *p, json_t *made, const struct control_file_note *note,
                   const json_t *old, struct wt_err *err)
{
    const struct control_file_record *was = control_file_records_get(&p->f->records, note->key);
    struct control_file_record now = {
        .said = note->said, .again = is_deleting(old), .seen = p->f->set.readings};
    enum undone undone;
    if (!made || control_file_content(made, &now.put) < 0 ||
        find_undone(was, old, &now, &undone) < 0) {
        json_decref(made);
        return wt_fail(err, WT_ENOMEM, "%s: out of memory", note->key);
    }
    add_write(&p->f->batch, old ? CONTROL_UPDATE : CONTROL_CREATE, made, note->key, &now)->undone =
        undone;
    return 0;
}

static int put(struct putting *p, const json_t *doc, const struct control_file_note *note,
               struct wt_err *err)
{
    struct control_files *f = p->f;
    const json_t *old = control_store_get_key(f->store, note->key);
    struct control_file_record *r = control_file_records_get(&f->records, note->key);
    int code = 0;
    if (r)
        r->seen = f->set.readings;
    if (is_due(f, note)) {
        if (old && !may_update(old, doc, &p->wrong))
            return 0;
        code = put_new(p, prepare(doc, old), note, old, err);
    } else if (r->again && !is_deleting(old)) { /* another one of that name came through the API */
        struct control_file_record now = *r;
        now.again = false;
        add_write(&f->batch, CONTROL_LEAVE, NULL, note->key, &now);
    }
    return code == 0 && f->batch.n == BATCH_MAX ? put_batch(p, err) : code;
}

static void tell_more_undone(const struct control_files *f, int64_t wall_ms)
{
    char names[CONTROL_NAMES_TEXT + 32], text[sizeof(names) + 128];
    if (!f->undone.n)
        return;
    control_names_text(&f->undone, names, sizeof(names));
    snprintf(text, sizeof(text), "what was changed through the API is taken back of %zu more: %s",
             f->undone.n, names);
    emit(f, true, "Overwritten", text, wall_ms);
}

static int put_all(struct control_files *f, int64_t wall_ms, struct wt_err *err)
{
    struct putting p = {.f = f, .wall_ms = wall_ms};
    int code = 0;
    f->n_undone = 0;
    f->undone = (struct control_names){0};
    for (size_t i = 0; code == 0 && i < f->set.n_files; i++) {
        const struct control_file *file = f->set.files[i];
        for (size_t k = 0; code == 0 && k < file->docs.n; k++)
            code = put(&p, file->docs.items[k].json, &file->notes[k], err);
    }
    if (code < 0)
        code = end_batch(f, code);
    else if (f->batch.n)
        code = put_batch(&p, err);
    tell_more_undone(f, wall_ms);
    if (code == 0 && p.wrong.code)
        code = wt_fail(err, p.wrong.code, "%s", p.wrong.msg);
    return code;
}

/* ---- removal ---- */

/* What the store holds of the documents of all files, by address. */
struct present {
    const json_t **items;
    size_t n;
};

static int by_address(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    return x < y ? -1 : x > y;
}

static int list_present(const struct control_files *f, struct present *out, struct wt_err *err)
{
    const struct control_file_set *set = &f->set;
    struct present p = {wt_calloc(set->n_docs + 1, sizeof(json_t *)), 0};
    if (!p.items)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    for (size_t i = 0; i < set->n_files; i++)
        for (size_t k = 0; k < set->files[i]->docs.n; k++)
            p.items[p.n++] = control_store_get_key(f->store, set->files[i]->notes[k].key);
    qsort(p.items, p.n, sizeof(json_t *), by_address);
    *out = p;
    return 0;
}

static bool is_absent(const struct present *p, const json_t *doc)
{
    return !bsearch(&doc, p->items, p->n, sizeof(json_t *), by_address) && is_from_file(doc) &&
           !is_deleting(doc);
}

/* A reading's removals. */
struct removal {
    struct control_files *f;
    struct present present;
    json_t *migrations, *kept_by; /* lists: those that stay; those that keep something, each once */
    struct control_names removed, kept;
};

/* One that goes in this removal needs nothing any more. */
static int list_staying(struct removal *r, struct wt_err *err)
{
    json_t *all = control_store_list(r->f->store, model_kind_migration, NULL), *m;
    size_t i;
    r->migrations = json_array();
    json_array_foreach(all, i, m)
    {
        if (!is_absent(&r->present, m) || control_in_use_has_finalizer(m) ||
            control_migration_part(r->f->store, m, m))
            json_array_append(r->migrations, m);
    }
    json_decref(all);
    return all && r->migrations ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
}

static void keep(struct removal *r, json_t *migration, const char *key)
{
    json_t *m;
    size_t i;
    control_names_add(&r->kept, key);
    json_array_foreach(r->kept_by, i, m)
    {
        if (m == migration)
            return;
    }
    json_array_append(r->kept_by, migration);
}

/* Takes up what is of that kind, as far as the batch has room. */
static int take_of(struct removal *r, const struct model_kind *kind, struct wt_err *err)
{
    json_t *list = control_store_list(r->f->store, kind, NULL), *doc;
    size_t i;
    json_array_foreach(list, i, doc)
    {
        char key[MODEL_KEY_MAX];
        if (r->f->batch.n == BATCH_MAX || !is_absent(&r->present, doc))
            continue;
        json_t *migration = control_migration_of(r->f->store, r->migrations, doc);
        if (migration)
            keep(r, migration, model_key(doc, key, sizeof(key)));
        else
            add_write(&r->f->batch, CONTROL_DELETE, json_incref(doc),
                      model_key(doc, key, sizeof(key)), NULL);
    }
    json_decref(list);
    return list ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
}

static void forget_seen(struct removal *r)
{
    wt_free(r->present.items);
    json_decref(r->migrations);
    json_decref(r->kept_by);
    r->present = (struct present){0};
    r->migrations = r->kept_by = NULL;
    r->kept = (struct control_names){0};
}

/* Looks anew at everything, as others may have run since the last one. */
static int remove_batch(struct removal *r, bool *out_more, struct wt_err *err)
{
    struct batch *b = &r->f->batch;
    forget_seen(r);
    r->kept_by = json_array();
    int code = r->kept_by ? list_present(r->f, &r->present, err)
                          : wt_fail(err, WT_ENOMEM, "out of memory");
    if (code == 0)
        code = list_staying(r, err);
    for (unsigned k = 0; code == 0 && k < model_kinds_len; k++)
        code = take_of(r, &model_kinds[k], err);
    *out_more = b->n == BATCH_MAX;
    if (code == 0)
        code = write_batch(r->f, err);
    for (size_t i = 0; code == 0 && i < b->n; i++)
        if (b->writes[i].result == 0)
            control_names_add(&r->removed, b->after[i].key);
    return end_batch(r->f, code);
}

/* A record of what is in no file any more, and nothing that is to be removed. */
static bool is_stale(const struct control_files *f, const struct wt_map_entry *e)
{
    const struct control_file_record *r = e->value;
    const json_t *doc = control_store_get_key(f->store, e->key.ptr);
    return r->seen != f->set.readings && !(doc && is_from_file(doc) && !is_deleting(doc));
}

/* When a file names it again it says something new. */
static int forget_batch(struct control_files *f, bool *out_more, struct wt_err *err)
{
    const struct wt_map *map = &f->records.map;
    for (struct wt_map_entry *e = wt_map_first(map); e && f->batch.n < BATCH_MAX;
         e = wt_map_next(map, e))
        if (is_stale(f, e))
            add_write(&f->batch, CONTROL_LEAVE, NULL, e->key.ptr, NULL);
    *out_more = f->batch.n == BATCH_MAX;
    return end_batch(f, f->batch.n ? write_batch(f, err) : 0);
}

static void tell_removed(const struct removal *r, int64_t wall_ms)
{
    char names[CONTROL_NAMES_TEXT + 32], text[sizeof(names) + 128];
    if (!r->removed.n)
        return;
    control_names_text(&r->removed, names, sizeof(names));
    snprintf(text, sizeof(text), "%zu object%s in no file any more: removed: %s", r->removed.n,
             r->removed.n == 1 ? " is" : "s are", names);
    wt_log(WT_LOG_INFO, "%s", text);
    emit(r->f, false, "Removed", text, wall_ms);
}

static void tell_kept(const struct removal *r, int64_t wall_ms)
{
    char names[CONTROL_NAMES_TEXT + 32], text[sizeof(names) + 128];
    json_t *m;
    size_t i;
    bool told = r->kept.hash == r->f->kept;
    r->f->kept = r->kept.hash;
    if (told || !r->kept.n)
        return;
    control_names_text(&r->kept, names, sizeof(names));
    snprintf(text, sizeof(text), "in no file any more, but kept while a Migration needs %s: %s",
             r->kept.n == 1 ? "it" : "them", names);
    wt_log(WT_LOG_WARN, "%s", text);
    json_array_foreach(r->kept_by, i, m)
        control_event_emit(r->f->store, m, true, "Kept", text, wall_ms);
}

static int count_absent(const struct control_files *f, struct wt_err *err)
{
    struct present present;
    const json_t *doc;
    int n = 0, code = list_present(f, &present, err);
    if (code < 0)
        return code;
    for (size_t at = 0; (doc = control_store_walk(f->store, &at));)
        n += is_absent(&present, doc);
    wt_free(present.items);
    for (struct wt_map_entry *e = wt_map_first(&f->records.map); e;
         e = wt_map_next(&f->records.map, e))
        n += is_stale(f, e);
    return n;
}

/* Objects from files that are in none any more: removed when asked to, with what is known of them.
 * How many there are still. */
static int remove_absent(struct control_files *f, bool remove, int64_t wall_ms, struct wt_err *err)
{
    struct removal r = {.f = f};
    int n = count_absent(f, err), code = n < 0 ? n : 0;
    bool more = n > 0 && remove;
    while (code == 0 && more)
        code = remove_batch(&r, &more, err);
    more = n > 0 && remove;
    while (code == 0 && more)
        code = forget_batch(f, &more, err);
    if (n > 0 && remove) {
        tell_removed(&r, wall_ms);
        n = (int)r.kept.n;
    }
    if (n == 0 || remove)
        tell_kept(&r, wall_ms);
    forget_seen(&r);
    return code < 0 ? code : n;
}

static int apply(struct control_files *f, bool remove, int64_t wall_ms, int *out_absent,
                 struct wt_err *err)
{
    int code = put_all(f, wall_ms, err);
    if (code == 0)
        code = remove_absent(f, remove, wall_ms, err);
    if (code < 0)
        return code;
    *out_absent = code;
    return f->n_changed > 0;
}

/* ---- what is being deleted though a file says something new of it ---- */

/* Of a document that was put while its object was being deleted: whether that is so still, or it is
 * gone and to be made anew. */
static bool is_put_while(const struct control_files *f, const struct control_file_note *note,
                         bool deleting)
{
    const struct control_file_record *r = control_file_records_get(&f->records, note->key);
    const json_t *doc = r && r->again ? control_store_get_key(f->store, note->key) : NULL;
    return r && r->again && (deleting ? is_deleting(doc) : !doc);
}

static bool is_one_gone(const struct control_files *f)
{
    for (size_t i = 0; f->deleting && i < f->set.n_files; i++) {
        const struct control_file *file = f->set.files[i];
        for (size_t k = 0; k < file->docs.n; k++)
            if (is_put_while(f, &file->notes[k], false))
                return true;
    }
    return false;
}

static void tell_deleting(struct control_files *f, int64_t wall_ms)
{
    struct control_names now = {0};
    char names[CONTROL_NAMES_TEXT + 32], text[sizeof(names) + 128];
    for (size_t i = 0; i < f->set.n_files; i++) {
        const struct control_file *file = f->set.files[i];
        for (size_t k = 0; k < file->docs.n; k++)
            if (is_put_while(f, &file->notes[k], true))
                control_names_add(&now, file->notes[k].key);
    }
    bool told = now.hash == f->deleting;
    f->deleting = now.hash;
    if (told || !now.n)
        return;
    control_names_text(&now, names, sizeof(names));
    snprintf(text, sizeof(text),
             "%s: %s being deleted, but said anew by a file since: made anew when gone", names,
             now.n == 1 ? "is" : "are");
    wt_log(WT_LOG_WARN, "%s", text);
    emit(f, true, "BeingDeleted", text, wall_ms);
}

/* ---- a reading ---- */

static int read_all(struct control_files *f, struct wt_err *err)
{
    int code = control_file_set_read(&f->set, f->paths, f->n_paths, err);
    if (code == 0 && f->set.n_docs == 0)
        code =
            wt_fail(err, WT_EINVAL, "%s: no objects: nothing is changed or removed", f->paths[0]);
    return code;
}

/* Once per mistake, however often the files are read before it is mended. */
static void tell(struct control_files *f, const struct wt_err *err, int64_t wall_ms)
{
    static const struct wt_hash_key key = {0x66696c6573, 0x6d697374616b65};
    uint64_t mistake = wt_hash_str(key, wt_str_z(err->msg)) | 1;
    if (mistake == f->told)
        return;
    f->told = mistake;
    emit(f, true, "Rejected", err->msg, wall_ms);
}

int control_files_apply(struct control_files *f, bool force, int64_t now_ms, int64_t wall_ms,
                        int64_t *out_again_ms, struct wt_err *err)
{
    struct wt_err own = {0};
    int absent = 0;
    err = err ? err : &own;
    *out_again_ms = RESCAN_MS;
    f->n_changed = 0;
    if (force)
        control_file_set_forget(&f->set);
    int code = control_file_records_load(&f->records, f->store, err);
    if (code == 0)
        code = read_all(f, err);
    bool same = code == 0 && f->read_once && !force && f->set.hash == f->hash && !is_one_gone(f);
    bool rested = same && f->set.looks == f->looks;
    bool remove = rested && f->removal_ms && now_ms >= f->removal_ms;
    f->looks = f->set.looks;
    if (same && !rested && f->removal_ms)
        f->removal_ms = now_ms + f->rest_ms;
    if (code == 0 && (!same || remove)) {
        code = check_all(f, err);
        if (code == 0)
            code = apply(f, remove, wall_ms, &absent, err);
        f->read_once = code >= 0;
        f->hash = f->set.hash;
        f->removal_ms = code >= 0 && absent ? now_ms + f->rest_ms : 0;
        f->stats.applied += code >= 0;
    }
    f->applying = false;
    if (code == WT_ECANCELED)
        return code;
    if (code < 0) {
        f->stats.rejected++;
        f->read_once = false;
        f->removal_ms = 0;
        tell(f, err, wall_ms);
    } else {
        f->told = 0;
        tell_deleting(f, wall_ms);
    }
    if (f->removal_ms && f->removal_ms < now_ms + *out_again_ms)
        *out_again_ms = f->removal_ms > now_ms ? f->removal_ms - now_ms : 1;
    if (f->deleting && *out_again_ms > SOON_MS)
        *out_again_ms = SOON_MS;
    return code;
}

static bool is_watched_for_another(const struct control_files *f, size_t path, int watch)
{
    for (size_t i = 0; i < f->n_paths; i++)
        if (i != path && f->watches[i] == watch)
            return true;
    return false;
}

void control_files_watch(struct control_files *f, int fd)
{
    const uint32_t news = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
                          IN_DELETE_SELF | IN_MOVE_SELF;
    for (size_t i = 0; i < f->n_paths && i < CONTROL_FILES_MAX; i++) {
        char copy[PATH_MAX];
        struct stat st;
        snprintf(copy, sizeof(copy), "%s", f->paths[i]);
        /* A file that is replaced by a rename is another inode, and a directory that is missing
         * has none: the one above tells. */
        bool is_dir = stat(copy, &st) == 0 && S_ISDIR(st.st_mode);
        int watch = inotify_add_watch(fd, is_dir ? copy : dirname(copy), news);
        int was = f->watches[i];
        if (watch < 0 && !f->unwatchable[i])
            wt_log(WT_LOG_WARN, "%s: cannot be watched: %s; it is read every %d s", f->paths[i],
                   strerror(errno), RESCAN_MS / 1000);
        f->unwatchable[i] = watch < 0;
        f->watches[i] = watch > 0 ? watch : 0;
        if (was && was != watch && !is_watched_for_another(f, i, was))
            inotify_rm_watch(fd, was);
    }
}
