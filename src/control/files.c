#include "control/files.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "control/event.h"
#include "model/check.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum { RESCAN_MS = 10000, DOCUMENTS_MAX = 50000 };
#define SOURCE "watari.dev/source"

struct control_files {
    struct control_store *store;
    const char *const *paths;
    size_t n_paths;
    bool read_once;
    uint64_t hash;      /* of the last reading */
    uint64_t told;      /* the mistake of the last reading, as a hash; 0: none */
    int64_t removal_ms; /* when its removals may be carried out; 0: there are none */
    struct control_files_stats stats;
};

/* One reading of everything. */
struct reading {
    struct model_docs *files; /* one per file */
    size_t n_files, cap_files;
    const struct model_doc **docs;
    size_t n_docs;
    uint64_t hash;
};

struct control_files *control_files_new(struct control_store *store, const char *const *paths,
                                        size_t n_paths)
{
    struct control_files *f = wt_calloc(1, sizeof(*f));
    if (f)
        *f = (struct control_files){.store = store, .paths = paths, .n_paths = n_paths};
    return f;
}

void control_files_free(struct control_files *f)
{
    wt_free(f);
}

struct control_files_stats control_files_stats(const struct control_files *f)
{
    return f->stats;
}

static void reading_done(struct reading *r)
{
    for (size_t i = 0; i < r->n_files; i++)
        model_docs_done(&r->files[i]);
    wt_free(r->files);
    wt_free(r->docs);
}

static int read_file(struct reading *r, const char *path, struct wt_err *err)
{
    if (r->n_files == r->cap_files) {
        size_t cap = r->cap_files ? 2 * r->cap_files : 16;
        struct model_docs *grown = wt_realloc(r->files, cap * sizeof(*grown));
        if (!grown)
            return wt_fail(err, WT_ENOMEM, "%s: out of memory", path);
        r->files = grown;
        r->cap_files = cap;
    }
    struct model_docs docs = {0};
    int code = model_yaml_read(path, &docs, err);
    if (code < 0)
        return code;
    r->files[r->n_files++] = docs;
    r->n_docs += docs.n;
    return r->n_docs > DOCUMENTS_MAX
               ? wt_fail(err, WT_ELIMIT, "%s: more than %d objects", path, DOCUMENTS_MAX)
               : 0;
}

static int is_config(const struct dirent *d)
{
    static const struct wt_str ends[] = {WT_STR_INIT(".yaml"), WT_STR_INIT(".yml"),
                                         WT_STR_INIT(".json")};
    struct wt_str name = wt_str_z(d->d_name);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (name.ptr[0] != '.' && wt_str_ends(name, ends[i]))
            return 1;
    return 0;
}

static int read_path(struct reading *r, const char *path, struct wt_err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return wt_fail(err, wt_code_from_errno(errno), "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return read_file(r, path, err);
    struct dirent **entries;
    int n = scandir(path, &entries, is_config, alphasort), code = 0;
    if (n < 0)
        return wt_fail(err, wt_code_from_errno(errno), "%s: %s", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        char name[PATH_MAX];
        snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (code == 0)
            code = read_file(r, name, err);
        free(entries[i]);
    }
    free(entries);
    return code;
}

/* What the reading says, as one number; the order of documents counts. */
static int index_docs(struct reading *r, struct wt_err *err)
{
    static const struct wt_hash_key key = {0x66696c6573, 0x72656164};
    r->docs = wt_calloc(r->n_docs + 1, sizeof(*r->docs));
    if (!r->docs)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < r->n_files; i++)
        for (size_t k = 0; k < r->files[i].n; k++) {
            r->docs[n] = &r->files[i].items[k];
            char *text = json_dumps(r->docs[n++]->json, JSON_COMPACT);
            if (!text)
                return wt_fail(err, WT_ENOMEM, "out of memory");
            r->hash = wt_mix64(r->hash ^ wt_siphash(key, text, strlen(text)));
            free(text);
        }
    return 0;
}

static int check_all(struct control_files *f, const struct reading *r, struct wt_err *err)
{
    struct model_errors errors = {0};
    for (size_t i = 0; i < r->n_docs; i++)
        model_check(r->docs[i]->json, r->docs[i]->lines, r->docs[i]->file, &errors);
    if (errors.n_errors == 0)
        model_check_set(r->docs, r->n_docs, &errors);
    for (size_t i = 0; errors.n_errors == 0 && i < r->n_docs; i++) {
        char key[MODEL_KEY_MAX];
        json_t *old =
            control_store_get_key(f->store, model_key(r->docs[i]->json, key, sizeof(key)));
        if (old)
            model_check_update(old, r->docs[i]->json, &errors);
    }
    for (unsigned i = 0; errors.n_errors == 0 && i < errors.n_warnings; i++)
        wt_log(WT_LOG_WARN, "%s", errors.warnings[i].text);
    int code = 0;
    if (errors.n_errors) {
        char text[sizeof(err->msg)];
        model_errors_text(&errors, text, sizeof(text));
        size_t n = strlen(text);
        while (n && text[n - 1] == '\n')
            text[--n] = 0;
        code = wt_fail(err, WT_EINVAL, "%s", text);
    }
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

static int put(struct control_files *f, const json_t *doc, struct wt_err *err)
{
    char key[MODEL_KEY_MAX];
    json_t *old = control_store_get_key(f->store, model_key(doc, key, sizeof(key)));
    uint64_t rv = control_store_rv(f->store);
    json_t *made = prepare(doc, old);
    if (!made)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    int r = old ? control_store_update(f->store, made, CONTROL_SPEC, NULL, 0, NULL, err)
                : control_store_create(f->store, made, 0, NULL, err);
    json_decref(made);
    return r < 0 ? wt_wrap(err, r, "%s", key) : control_store_rv(f->store) != rv;
}

/* Objects from files that are in none any more: counted, and removed when asked to. */
static int remove_absent(struct control_files *f, const struct wt_map *present, bool remove,
                         struct wt_err *err)
{
    int n = 0, r = 0;
    for (unsigned k = 0; k < model_kinds_len; k++) {
        json_t *list = control_store_list(f->store, &model_kinds[k], NULL), *doc;
        size_t i;
        json_array_foreach(list, i, doc)
        {
            char key[MODEL_KEY_MAX];
            model_key(doc, key, sizeof(key));
            bool leaving = json_object_get(json_object_get(doc, "metadata"), "deletionTimestamp");
            if (r < 0 || leaving || !is_from_file(doc) || wt_map_get(present, wt_str_z(key)))
                continue;
            n++;
            if (remove)
                r = control_store_delete(f->store, &model_kinds[k], model_namespace(doc),
                                         model_name(doc), 0, 0, NULL, err);
        }
        json_decref(list);
    }
    return r < 0 ? r : n;
}

static int apply(struct control_files *f, const struct reading *r, bool remove, int *out_absent,
                 struct wt_err *err)
{
    struct wt_map present = {0};
    int changed = 0, code = 0;
    for (size_t i = 0; code >= 0 && i < r->n_docs; i++) {
        char key[MODEL_KEY_MAX];
        const json_t *doc = r->docs[i]->json;
        code = wt_map_put(&present, wt_str_z(model_key(doc, key, sizeof(key))), f, NULL);
        if (code == 0)
            code = put(f, doc, err);
        changed |= code > 0;
    }
    if (code >= 0)
        code = remove_absent(f, &present, remove, err);
    wt_map_done(&present);
    if (code < 0)
        return code;
    *out_absent = remove ? 0 : code;
    return changed || (remove && code > 0);
}

static int read_all(struct control_files *f, struct reading *r, struct wt_err *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < f->n_paths; i++)
        code = read_path(r, f->paths[i], err);
    if (code == 0)
        code = index_docs(r, err);
    if (code == 0 && r->n_docs == 0)
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
    struct reading r = {0};
    struct wt_err own = {0};
    err = err ? err : &own;
    *out_again_ms = RESCAN_MS;
    int code = read_all(f, &r, err), absent = 0;
    bool same = code == 0 && f->read_once && !force && r.hash == f->hash;
    bool remove = same && f->removal_ms && now_ms >= f->removal_ms;
    if (code == 0 && (!same || remove)) {
        code = check_all(f, &r, err);
        if (code == 0)
            code = apply(f, &r, remove, &absent, err);
        f->read_once = code >= 0;
        f->hash = r.hash;
        f->removal_ms = code >= 0 && absent ? now_ms + CONTROL_FILES_CONFIRM_MS : 0;
        f->stats.applied += code >= 0;
    } else if (code == 0) {
        code = 0;
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
    reading_done(&r);
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
