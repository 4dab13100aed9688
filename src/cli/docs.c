#include "cli/docs.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct names {
    char **items;
    unsigned n, cap;
};

static int grow(struct names *l, struct wt_err *err)
{
    unsigned cap = l->cap ? 2 * l->cap : 16;
    char **items = wt_realloc(l->items, cap * sizeof *items);
    if (!items)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    l->items = items;
    l->cap = cap;
    return 0;
}

static int add_name(struct names *l, const char *dir, const char *name, struct wt_err *err)
{
    char path[4096];
    int n = dir ? snprintf(path, sizeof path, "%s/%s", dir, name)
                : snprintf(path, sizeof path, "%s", name);
    if (n < 0 || (size_t)n >= sizeof path)
        return wt_fail(err, WT_EINVAL, "%s: the path is too long", name);
    if (l->n == CLI_FILES_MAX)
        return wt_fail(err, WT_EINVAL, "more than %d files", CLI_FILES_MAX);
    if (l->n == l->cap && grow(l, err) < 0)
        return WT_ENOMEM;
    l->items[l->n] = wt_str_dup(wt_str_z(path));
    return l->items[l->n++] ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
}

static bool is_document(const char *name)
{
    struct wt_str s = wt_str_z(name);
    return name[0] != '.' && (wt_str_ends(s, WT_STR(".yaml")) || wt_str_ends(s, WT_STR(".yml")) ||
                              wt_str_ends(s, WT_STR(".json")));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What lies in a directory was not named by anybody: a pipe there would be waited for for ever. */
static int add_entry(struct names *l, const char *dir, const char *name, struct wt_err *err)
{
    struct stat st;
    int r = add_name(l, dir, name, err);
    const char *path = r < 0 ? NULL : l->items[l->n - 1];
    if (path && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        r = wt_fail(err, WT_EINVAL, "%s: not a regular file", path);
    return r;
}

static int add_directory(struct names *l, const char *path, struct wt_err *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return wt_fail(err, WT_EINVAL, "%s: %s", path, strerror(errno));
    unsigned first = l->n;
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(dir));)
        if (is_document(e->d_name))
            r = add_entry(l, path, e->d_name, err);
    closedir(dir);
    if (l->n > first)
        qsort(l->items + first, l->n - first, sizeof l->items[0], by_name);
    if (r == 0 && l->n == first)
        return wt_fail(err, WT_EINVAL, "%s: no *.yaml, *.yml or *.json in it", path);
    return r;
}

static int add_path(struct names *l, const char *path, struct wt_err *err)
{
    struct stat st;
    if (strcmp(path, "-") != 0 && stat(path, &st) < 0)
        return wt_fail(err, WT_EINVAL, "%s: %s", path, strerror(errno));
    if (strcmp(path, "-") != 0 && S_ISDIR(st.st_mode))
        return add_directory(l, path, err);
    return add_name(l, NULL, strcmp(path, "-") == 0 ? "/dev/stdin" : path, err);
}

static int read_all(const struct names *l, struct cli_docs *out, struct wt_err *err)
{
    out->files = wt_calloc(l->n + 1, sizeof *out->files);
    if (!out->files)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    for (unsigned i = 0; i < l->n; i++) {
        int r = model_yaml_read(l->items[i], &out->files[i], err);
        if (r < 0)
            return r;
        out->n_files++;
    }
    return 0;
}

static int check_one(void *ctx, const struct model_doc *doc)
{
    struct cli_docs *d = ctx;
    model_check(doc->json, doc->lines, doc->file, &d->errors);
    return 0;
}

struct list {
    const struct model_doc **items;
    size_t n;
};

static int collect(void *ctx, const struct model_doc *doc)
{
    struct list *l = ctx;
    l->items[l->n++] = doc;
    return 0;
}

static int check_all(struct cli_docs *d, struct wt_err *err)
{
    size_t n = 0;
    cli_docs_each(d, check_one, d);
    d->n_alone = d->errors.n_warnings;
    if (d->errors.n_errors)
        return wt_fail(err, WT_EINVAL, "%s", d->errors.errors[0].text);
    for (unsigned i = 0; i < d->n_files; i++)
        n += d->files[i].n;
    if (n == 0)
        return wt_fail(err, WT_EINVAL, "%s: no objects in it", d->n_files ? d->files[0].file : "-");
    struct list l = {wt_calloc(n + 1, sizeof(struct model_doc *)), 0};
    if (!l.items)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    cli_docs_each(d, collect, &l);
    int r = model_check_set(l.items, l.n, &d->errors);
    wt_free(l.items);
    return r < 0 && d->errors.n_errors ? wt_fail(err, WT_EINVAL, "%s", d->errors.errors[0].text)
                                       : r;
}

int cli_docs_read(const struct cli_texts *paths, struct cli_docs *out, struct wt_err *err)
{
    struct names names = {0};
    int r = 0;
    *out = (struct cli_docs){0};
    for (unsigned i = 0; r == 0 && i < paths->n; i++)
        r = add_path(&names, paths->items[i], err);
    if (r == 0)
        r = read_all(&names, out, err);
    if (r == 0)
        r = check_all(out, err);
    for (unsigned i = 0; i < names.n; i++)
        wt_free(names.items[i]);
    wt_free(names.items);
    return r;
}

void cli_docs_done(struct cli_docs *d)
{
    for (unsigned i = 0; i < d->n_files; i++)
        model_docs_done(&d->files[i]);
    wt_free(d->files);
    model_errors_done(&d->errors);
    *d = (struct cli_docs){0};
}

/* ---- warnings: one line for all fields of a file that are warned of in the same words ---- */

static struct wt_str words_of(const struct model_error *w)
{
    struct wt_str detail = wt_str_z(w->detail), path = wt_str_z(w->path);
    size_t skip = path.len && wt_str_starts(detail, path) ? path.len + 2 : 0;
    return wt_str_sub(detail, skip < detail.len ? skip : 0, detail.len);
}

/* "FILE: line 12: " is cut into "FILE" and "line 12". */
static void place_of(const struct model_error *w, struct wt_str *out_file, struct wt_str *out_line)
{
    struct wt_str where = wt_str(w->text, strlen(w->text) - strlen(w->detail));
    size_t at = wt_str_ends(where, WT_STR(": ")) ? where.len - 2 : 0;
    *out_file = wt_str_sub(where, 0, at);
    *out_line = wt_str("", 0);
    for (size_t i = at; i-- > 0;)
        if (wt_str_starts(wt_str_sub(where, i, at), WT_STR(": line "))) {
            *out_file = wt_str_sub(where, 0, i);
            *out_line = wt_str_sub(where, i + 2, at);
            return;
        }
}

static bool is_alike(const struct model_error *a, const struct model_error *b)
{
    struct wt_str file_a, file_b, line;
    place_of(a, &file_a, &line);
    place_of(b, &file_b, &line);
    return *a->path && *b->path && wt_str_eq(file_a, file_b) && wt_str_eq(words_of(a), words_of(b));
}

static void print_warning(const struct model_errors *e, unsigned from, unsigned at, unsigned to)
{
    const struct model_error *w = &e->warnings[at];
    struct wt_str file, line;
    unsigned n = 0;
    for (unsigned i = from; i < to; i++) {
        if (!is_alike(w, &e->warnings[i]))
            continue;
        if (i < at)
            return; /* it is in that one's line */
        n++;
    }
    if (n < 2) {
        fprintf(stderr, "warning: %s\n", w->text);
        return;
    }
    place_of(w, &file, &line);
    fprintf(stderr, "warning: %.*s: %.*s:", WT_ARG(file), WT_ARG(words_of(w)));
    const char *before = " ";
    for (unsigned i = at; i < to; i++) {
        if (!is_alike(w, &e->warnings[i]))
            continue;
        place_of(&e->warnings[i], &file, &line);
        fprintf(stderr, "%s%s", before, e->warnings[i].path);
        if (line.len)
            fprintf(stderr, " (%.*s)", WT_ARG(line));
        before = ", ";
    }
    fputc('\n', stderr);
}

void cli_docs_print_warnings(const struct model_errors *e, unsigned from, unsigned to)
{
    struct wt_str file, line;
    for (unsigned i = from; i < to; i++) {
        place_of(&e->warnings[i], &file, &line);
        if (file.len)
            print_warning(e, from, i, to);
    }
}

static void print_errors(const struct cli_docs *d)
{
    for (unsigned i = 0; i < d->errors.n_errors; i++)
        fprintf(stderr, "%s\n", d->errors.errors[i].text);
    if (d->errors.n_more)
        fprintf(stderr, "and %u more\n", d->errors.n_more);
}

void cli_docs_complain(const struct cli_docs *d)
{
    print_errors(d);
    cli_docs_print_warnings(&d->errors, 0, d->errors.n_warnings);
}

void cli_docs_complain_alone(const struct cli_docs *d)
{
    print_errors(d);
    cli_docs_print_warnings(&d->errors, 0, d->n_alone);
}

int cli_docs_each(const struct cli_docs *d, int (*visit)(void *ctx, const struct model_doc *doc),
                  void *ctx)
{
    int r = 0;
    for (unsigned i = 0; r >= 0 && i < d->n_files; i++)
        for (size_t k = 0; r >= 0 && k < d->files[i].n; k++)
            r = visit(ctx, &d->files[i].items[k]);
    return r;
}
