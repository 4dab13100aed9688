#include "control/files.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/event.h"
#include "control/file_set.h"
#include "model/check.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum { RESCAN_MS = 10000 };
#define SOURCE "watari.dev/source"

struct control_files {
    struct control_store *store;
    const char *const *paths;
    size_t n_paths;
    struct control_file_set set;
    bool read_once;
    uint64_t hash;      /* of the last reading */
    uint64_t told;      /* the mistake of the last reading, as a hash; 0: none */
    int64_t removal_ms; /* when its removals may be carried out; 0: there are none */
    struct control_files_stats stats;
};

struct control_files *control_files_new(struct control_store *store, struct io_sys *sys,
                                        const char *const *paths, size_t n_paths)
{
    struct control_files *f = wt_calloc(1, sizeof(*f));
    if (f)
        *f = (struct control_files){
            .store = store, .paths = paths, .n_paths = n_paths, .set = {.sys = sys}};
    return f;
}

void control_files_free(struct control_files *f)
{
    if (f)
        control_file_set_forget(&f->set);
    wt_free(f);
}

struct control_files_stats control_files_stats(const struct control_files *f)
{
    struct control_files_stats stats = f->stats;
    stats.read = f->set.n_read;
    return stats;
}

static void check_alone(struct control_file *file, struct model_errors *errors)
{
    unsigned errors_before = errors->n_errors + errors->n_more,
             warnings_before = errors->n_warnings;
    if (file->clean)
        return;
    for (size_t i = 0; i < file->docs.n; i++)
        model_check(file->docs.items[i].json, file->docs.items[i].lines, file->docs.items[i].file,
                    errors);
    file->clean = errors->n_errors + errors->n_more == errors_before &&
                  errors->n_warnings == warnings_before && warnings_before < MODEL_ERRORS_MAX;
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

static void check_updates(const struct control_files *f, const struct control_file *file,
                          struct model_errors *errors)
{
    for (size_t i = 0; i < file->docs.n; i++) {
        struct control_file_note *note = &file->notes[i];
        const json_t *old = control_store_get_key(f->store, note->key);
        note->in_force = old && old == note->applied;
        if (old && !note->in_force)
            model_check_update(old, file->docs.items[i].json, errors);
    }
}

static int sentence(const struct model_errors *errors, struct wt_err *err)
{
    char text[sizeof(err->msg)];
    model_errors_text(errors, text, sizeof(text));
    size_t n = strlen(text);
    while (n && text[n - 1] == '\n')
        text[--n] = 0;
    return wt_fail(err, WT_EINVAL, "%s", text);
}

static int check_all(struct control_files *f, struct wt_err *err)
{
    struct model_errors errors = {0};
    int code = 0;
    for (size_t i = 0; i < f->set.n_files; i++)
        check_alone(f->set.files[i], &errors);
    if (errors.n_errors == 0 && check_together(&f->set, &errors) < 0)
        code = wt_fail(err, WT_ENOMEM, "out of memory");
    for (size_t i = 0; errors.n_errors == 0 && i < f->set.n_files; i++)
        check_updates(f, f->set.files[i], &errors);
    for (unsigned i = 0; errors.n_errors == 0 && i < errors.n_warnings; i++)
        wt_log(WT_LOG_WARN, "%s", errors.warnings[i].text);
    if (errors.n_errors)
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

static int put(struct control_files *f, const json_t *doc, struct control_file_note *note,
               struct wt_err *err)
{
    const json_t *old = control_store_get_key(f->store, note->key);
    uint64_t rv = control_store_rv(f->store);
    json_t *made = prepare(doc, old), *now = NULL;
    if (!made)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    int r = old ? control_store_update(f->store, made, CONTROL_SPEC, NULL, 0, &now, err)
                : control_store_create(f->store, made, 0, &now, err);
    json_decref(made);
    if (r < 0)
        return wt_wrap(err, r, "%s", note->key);
    json_decref(note->applied);
    note->applied = now;
    return control_store_rv(f->store) != rv;
}

/* ---- removal ---- */

/* What the documents of all files are in the store, by address. */
struct present {
    const json_t **items;
    size_t n;
};

static int by_address(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    return x < y ? -1 : x > y;
}

static int list_present(const struct control_file_set *set, struct present *out)
{
    struct present p = {wt_calloc(set->n_docs + 1, sizeof(json_t *)), 0};
    if (!p.items)
        return WT_ENOMEM;
    for (size_t i = 0; i < set->n_files; i++)
        for (size_t k = 0; k < set->files[i]->docs.n; k++)
            p.items[p.n++] = set->files[i]->notes[k].applied;
    qsort(p.items, p.n, sizeof(json_t *), by_address);
    *out = p;
    return 0;
}

static bool is_absent(const struct present *p, const json_t *doc)
{
    return !bsearch(&doc, p->items, p->n, sizeof(json_t *), by_address) && is_from_file(doc) &&
           !json_object_get(json_object_get(doc, "metadata"), "deletionTimestamp");
}

static int remove_of(struct control_files *f, const struct present *p,
                     const struct model_kind *kind, struct wt_err *err)
{
    json_t *list = control_store_list(f->store, kind, NULL), *doc;
    size_t i;
    int r = list ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
    json_array_foreach(list, i, doc)
    {
        if (r == 0 && is_absent(p, doc))
            r = control_store_delete(f->store, kind, model_namespace(doc), model_name(doc), 0, 0,
                                     NULL, err);
    }
    json_decref(list);
    return r;
}

/* Objects from files that are in none any more: counted, and removed when asked to. */
static int remove_absent(struct control_files *f, bool remove, struct wt_err *err)
{
    struct present p;
    int n = 0, r = 0;
    if (list_present(&f->set, &p) < 0)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    const json_t *doc;
    for (size_t at = 0; (doc = control_store_walk(f->store, &at));)
        n += is_absent(&p, doc);
    for (unsigned k = 0; n && remove && r == 0 && k < model_kinds_len; k++)
        r = remove_of(f, &p, &model_kinds[k], err);
    wt_free(p.items);
    return r < 0 ? r : n;
}

static int apply(struct control_files *f, bool remove, int *out_absent, struct wt_err *err)
{
    int changed = 0, code = 0;
    for (size_t i = 0; i < f->set.n_files; i++) {
        const struct control_file *file = f->set.files[i];
        for (size_t k = 0; code >= 0 && k < file->docs.n; k++) {
            if (!file->notes[k].in_force)
                code = put(f, file->docs.items[k].json, &file->notes[k], err);
            changed |= code > 0;
        }
    }
    if (code >= 0)
        code = remove_absent(f, remove, err);
    if (code < 0)
        return code;
    *out_absent = remove ? 0 : code;
    return changed || (remove && code > 0);
}

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
    json_t *about = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "Files",
                              "metadata", "name", "files", "namespace", "default");
    if (about)
        control_event_emit(f->store, about, true, "Rejected", err->msg, wall_ms);
    json_decref(about);
}

int control_files_apply(struct control_files *f, bool force, int64_t now_ms, int64_t wall_ms,
                        int64_t *out_again_ms, struct wt_err *err)
{
    struct wt_err own = {0};
    int absent = 0;
    err = err ? err : &own;
    *out_again_ms = RESCAN_MS;
    if (force)
        control_file_set_forget(&f->set);
    int code = read_all(f, err);
    bool same = code == 0 && f->read_once && !force && f->set.hash == f->hash;
    bool remove = same && f->removal_ms && now_ms >= f->removal_ms;
    if (code == 0 && (!same || remove)) {
        code = check_all(f, err);
        if (code == 0)
            code = apply(f, remove, &absent, err);
        f->read_once = code >= 0;
        f->hash = f->set.hash;
        f->removal_ms = code >= 0 && absent ? now_ms + CONTROL_FILES_CONFIRM_MS : 0;
        f->stats.applied += code >= 0;
    }
    if (code < 0) {
        f->stats.rejected++;
        f->read_once = false;
        f->removal_ms = 0;
        tell(f, err, wall_ms);
    } else {
        f->told = 0;
    }
    if (f->removal_ms)
        *out_again_ms = f->removal_ms > now_ms ? f->removal_ms - now_ms : 1;
    return code;
}

int control_files_watch(const struct control_files *f)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return -1;
    for (size_t i = 0; i < f->n_paths; i++) {
        char copy[PATH_MAX];
        struct stat st;
        snprintf(copy, sizeof(copy), "%s", f->paths[i]);
        /* A file that is replaced by a rename is another inode: its directory tells. */
        bool is_dir = stat(copy, &st) == 0 && S_ISDIR(st.st_mode);
        if (inotify_add_watch(fd, is_dir ? copy : dirname(copy),
                              IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                  IN_CREATE) < 0)
            wt_log(WT_LOG_WARN, "%s: cannot be watched: %s; it is read every %d s", f->paths[i],
                   strerror(errno), RESCAN_MS / 1000);
    }
    return fd;
}
