#include "control/file_set.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/file.h"
#include "model/kind.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FILE_BYTES = 8 << 20, YOUNG_MS = 2000 };

static const struct wt_hash_key hash_key = {0x66696c6573, 0x72656164};

static void notes_free(struct control_file_note *notes, size_t n)
{
    for (size_t i = 0; notes && i < n; i++)
        wt_free(notes[i].key);
    wt_free(notes);
}

static int hash_doc(const json_t *doc, uint64_t *out)
{
    char *text = json_dumps(doc, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    if (!text)
        return WT_ENOMEM;
    *out = wt_siphash(hash_key, text, strlen(text));
    free(text);
    return 0;
}

static struct control_file_note *notes_new(const struct model_docs *docs)
{
    struct control_file_note *notes = wt_calloc(docs->n + 1, sizeof(*notes));
    char key[MODEL_KEY_MAX];
    for (size_t i = 0; notes && i < docs->n; i++) {
        notes[i].key = wt_str_dup(wt_str_z(model_key(docs->items[i].json, key, sizeof(key))));
        if (!notes[i].key || hash_doc(docs->items[i].json, &notes[i].said) < 0) {
            notes_free(notes, docs->n);
            return NULL;
        }
    }
    return notes;
}

static void file_free(struct control_file *f)
{
    notes_free(f->notes, f->docs.n);
    model_docs_done(&f->docs);
    wt_free(f->path);
    wt_free(f);
}

void control_file_set_forget(struct control_file_set *set)
{
    for (struct wt_map_entry *e = wt_map_first(&set->known); e; e = wt_map_next(&set->known, e))
        file_free(e->value);
    wt_map_done(&set->known);
    wt_free(set->files);
    *set = (struct control_file_set){.sys = set->sys,
                                     .pause = set->pause,
                                     .pause_ctx = set->pause_ctx,
                                     .readings = set->readings,
                                     .n_read = set->n_read};
}

/* The file's content becomes what `text` says; on an error it stays what it was. */
static int parse(struct control_file *f, struct wt_str text, struct wt_err *err)
{
    struct model_docs docs = {0};
    uint64_t hash = 0;
    int r = model_yaml_parse(text, f->path, &docs, err);
    if (r < 0)
        return r;
    struct control_file_note *notes = notes_new(&docs);
    if (!notes) {
        model_docs_done(&docs);
        return wt_fail(err, WT_ENOMEM, "%s: out of memory", f->path);
    }
    for (size_t i = 0; i < docs.n; i++)
        hash = wt_mix64(hash ^ notes[i].said);
    notes_free(f->notes, f->docs.n);
    model_docs_done(&f->docs);
    f->docs = docs;
    f->notes = notes;
    f->docs_hash = hash;
    f->clean = false;
    return 0;
}

static int read_content(struct control_file_set *set, struct control_file *f,
                        const struct io_stat *stat, struct wt_err *err)
{
    wt_autobuf struct wt_buf text = wt_buf_make(FILE_BYTES);
    int64_t young_ns = (set->sys->wall_ms(set->sys) - YOUNG_MS) * WT_MS_NS;
    int r = io_file_read(set->sys, f->path, FILE_BYTES, &text, err);
    if (r < 0)
        return r;
    set->n_read++;
    if (!text.len && stat->size_bytes)
        return wt_fail(err, WT_EINVAL, "%s: changed while it was read", f->path);
    uint64_t hash = wt_hash_str(hash_key, wt_buf_str(&text));
    if (!f->notes || hash != f->bytes_hash)
        r = parse(f, wt_buf_str(&text), err);
    if (r < 0)
        return r;
    f->bytes_hash = hash;
    /* As it was before the reading: what changes meanwhile makes a difference the next time. */
    f->stat = *stat;
    f->young = stat->changed_ns >= young_ns || stat->modified_ns >= young_ns;
    return 0;
}

static bool same_file(const struct io_stat *a, const struct io_stat *b)
{
    return a->dev == b->dev && a->inode == b->inode && a->size_bytes == b->size_bytes &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

/* The file of that path: known, or new and without content. */
static struct control_file *file_of(struct control_file_set *set, const char *path)
{
    struct control_file *f = wt_map_get(&set->known, wt_str_z(path));
    if (f)
        return f;
    f = wt_calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->path = wt_str_dup(wt_str_z(path));
    if (f->path && wt_map_put(&set->known, wt_str_z(path), f, NULL) == 0)
        return f;
    file_free(f);
    return NULL;
}

static int append(struct control_file_set *set, struct control_file *f)
{
    if (set->n_files == set->cap_files) {
        size_t cap = set->cap_files ? 2 * set->cap_files : 16;
        struct control_file **grown = wt_realloc(set->files, cap * sizeof(struct control_file *));
        if (!grown)
            return WT_ENOMEM;
        set->files = grown;
        set->cap_files = cap;
    }
    set->files[set->n_files++] = f;
    return 0;
}

static int add_file(struct control_file_set *set, const char *path, const struct io_stat *stat,
                    struct wt_err *err)
{
    if (!S_ISREG(stat->mode))
        return wt_fail(err, WT_EINVAL, "%s: not a regular file", path);
    struct control_file *f = file_of(set, path);
    if (!f || append(set, f) < 0)
        return wt_fail(err, WT_ENOMEM, "%s: out of memory", path);
    int r = 0;
    if (!f->notes || f->young || !same_file(&f->stat, stat))
        r = read_content(set, f, stat, err);
    if (r == 0 && set->pause)
        r = set->pause(set->pause_ctx);
    if (r < 0)
        return r;
    f->seen = set->readings;
    set->n_docs += f->docs.n;
    set->hash = f->docs.n ? wt_mix64(set->hash ^ f->docs_hash) : set->hash;
    if (set->n_docs > CONTROL_DOCUMENTS_MAX || set->n_files > CONTROL_DOCUMENTS_MAX)
        return wt_fail(err, WT_ELIMIT, "%s: more than %d objects or files", path,
                       CONTROL_DOCUMENTS_MAX);
    return 0;
}

static int look_at(struct control_file_set *set, const char *path, struct io_stat *out,
                   struct wt_err *err)
{
    int r = set->sys->stat(set->sys, path, out);
    if (r == 0) {
        const uint64_t looks[] = {out->dev, out->inode, out->size_bytes, (uint64_t)out->modified_ns,
                                  (uint64_t)out->changed_ns};
        set->looks = wt_mix64(set->looks ^ wt_siphash(hash_key, looks, sizeof(looks)));
    }
    return r < 0 ? wt_fail(err, wt_code_from_errno(-r), "%s: %s", path, strerror(-r)) : 0;
}

/* ---- directories ---- */

struct names {
    char **items;
    size_t n, cap;
};

static int keep_name(void *ctx, const char *text, struct wt_err *err)
{
    static const struct wt_str ends[] = {WT_STR_INIT(".yaml"), WT_STR_INIT(".yml"),
                                         WT_STR_INIT(".json")};
    struct names *names = ctx;
    struct wt_str name = wt_str_z(text);
    bool wanted = false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        wanted |= text[0] != '.' && wt_str_ends(name, ends[i]);
    if (!wanted)
        return 0;
    if (names->n == names->cap) {
        size_t cap = names->cap ? 2 * names->cap : 16;
        char **grown = wt_realloc(names->items, cap * sizeof(char *));
        if (!grown)
            return wt_fail(err, WT_ENOMEM, "%s: out of memory", text);
        names->items = grown;
        names->cap = cap;
    }
    if (!(names->items[names->n] = wt_str_dup(name)))
        return wt_fail(err, WT_ENOMEM, "%s: out of memory", text);
    names->n++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct sought {
    const char *name;
    bool found;
};

static int compare_name(void *ctx, const char *name, struct wt_err *err)
{
    struct sought *s = ctx;
    (void)err;
    s->found |= strcmp(s->name, name) == 0;
    return 0;
}

/* Whether the directory has no such entry any more; a link that leads nowhere is one. */
static bool is_gone(struct control_file_set *set, const char *dir, const char *name)
{
    struct sought s = {name, false};
    return io_dir_each(set->sys, dir, compare_name, &s, NULL) == 0 && !s.found;
}

static int add_dir(struct control_file_set *set, const char *dir, struct wt_err *err)
{
    struct names names = {0};
    int r = io_dir_each(set->sys, dir, keep_name, &names, err);
    if (names.n)
        qsort(names.items, names.n, sizeof(char *), by_name);
    for (size_t i = 0; i < names.n; i++) {
        char path[PATH_MAX];
        struct io_stat stat;
        snprintf(path, sizeof(path), "%s/%s", dir, names.items[i]);
        int seen = r == 0 ? look_at(set, path, &stat, err) : r;
        if (seen == 0)
            r = add_file(set, path, &stat, err);
        else if (seen != WT_ENOENT || !is_gone(set, dir, names.items[i]))
            r = seen; /* else removed since the directory was read: no mistake */
        wt_free(names.items[i]);
    }
    wt_free(names.items);
    return r;
}

/* ---- a reading ---- */

static void drop_unseen(struct control_file_set *set)
{
    for (struct wt_map_entry *e = wt_map_first(&set->known), *next; e; e = next) {
        struct control_file *f = e->value;
        next = wt_map_next(&set->known, e);
        if (f->seen == set->readings)
            continue;
        wt_map_take(&set->known, e->key);
        file_free(f);
    }
}

int control_file_set_read(struct control_file_set *set, const char *const *paths, size_t n_paths,
                          struct wt_err *err)
{
    int r = 0;
    set->readings++;
    set->n_files = set->n_docs = 0;
    set->hash = set->looks = 0;
    for (size_t i = 0; r == 0 && i < n_paths; i++) {
        struct io_stat stat;
        r = look_at(set, paths[i], &stat, err);
        if (r == 0)
            r = S_ISDIR(stat.mode) ? add_dir(set, paths[i], err)
                                   : add_file(set, paths[i], &stat, err);
    }
    if (r < 0)
        set->n_files = set->n_docs = 0;
    else
        drop_unseen(set);
    return r;
}
