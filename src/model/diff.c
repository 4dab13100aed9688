#include "model/diff.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>

#define CHANGES_MAX 1000
#define PATH_BYTES 512
#define DEPTH_MAX 64

struct walk {
    struct model_diff diff;
    unsigned scope;
    size_t len, cap;
    unsigned depth;
    char path[PATH_BYTES];
};

static int push(struct walk *w, const char *path, const json_t *before, const json_t *after)
{
    if (w->diff.n > CHANGES_MAX)
        return 0;
    if (w->diff.n == CHANGES_MAX) {
        path = "…";
        before = after = NULL;
    }
    if (w->diff.n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 16;
        struct model_change *c = wt_realloc(w->diff.changes, cap * sizeof(*c));
        if (!c)
            return WT_ENOMEM;
        w->diff.changes = c;
        w->cap = cap;
    }
    char *copy = wt_str_dup(wt_str_z(path));
    if (!copy)
        return WT_ENOMEM;
    w->diff.changes[w->diff.n++] = (struct model_change){.path = copy,
                                                         .before = json_incref((json_t *)before),
                                                         .after = json_incref((json_t *)after)};
    return 0;
}

static bool is_skipped(const struct walk *w, const char *path)
{
    static const char *const bookkeeping[] = {"metadata.uid",
                                              "metadata.resourceVersion",
                                              "metadata.generation",
                                              "metadata.creationTimestamp",
                                              "metadata.managedFields",
                                              "metadata.selfLink",
                                              "metadata.deletionTimestamp"};
    if ((w->scope & MODEL_DIFF_NO_STATUS) && strcmp(path, "status") == 0)
        return true;
    if (!(w->scope & MODEL_DIFF_NO_BOOKKEEPING))
        return false;
    for (size_t i = 0; i < sizeof(bookkeeping) / sizeof(bookkeeping[0]); i++) {
        if (strcmp(path, bookkeeping[i]) == 0)
            return true;
    }
    return false;
}

static int compare(struct walk *w, const json_t *a, const json_t *b);

/* One member or item: `name` NULL for an item of a list. */
static int compare_part(struct walk *w, const char *name, size_t index, const json_t *a,
                        const json_t *b)
{
    size_t back = w->len, room = sizeof(w->path) - w->len;
    int n = name ? snprintf(w->path + back, room, "%s%.200s", back ? "." : "", name)
                 : snprintf(w->path + back, room, "[%zu]", index);
    w->len = (size_t)n >= room ? sizeof(w->path) - 1 : back + (size_t)n;
    int r = is_skipped(w, w->path) ? 0 : compare(w, a, b);
    w->len = back;
    w->path[back] = 0;
    return r;
}

static int compare_objects(struct walk *w, const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    int r = 0;
    json_object_foreach((json_t *)a, key, v)
    {
        r = compare_part(w, key, 0, v, json_object_get(b, key));
        if (r < 0)
            return r;
    }
    json_object_foreach((json_t *)b, key, v)
    {
        if (json_object_get(a, key))
            continue;
        r = compare_part(w, key, 0, NULL, v);
        if (r < 0)
            return r;
    }
    return r;
}

static int compare_arrays(struct walk *w, const json_t *a, const json_t *b)
{
    size_t na = json_array_size(a), nb = json_array_size(b);
    int r = 0;
    for (size_t i = 0; r == 0 && i < (na > nb ? na : nb); i++)
        r = compare_part(w, NULL, i, json_array_get(a, i), json_array_get(b, i));
    return r;
}

static int compare(struct walk *w, const json_t *a, const json_t *b)
{
    bool deep = w->depth < DEPTH_MAX && a && b && json_typeof(a) == json_typeof(b);
    int r;
    if (a == b || (a && b && !json_is_object(a) && !json_is_array(a) && json_equal(a, b)))
        return 0;
    if (!deep || !(json_is_object(a) || json_is_array(a)))
        return a && b && json_equal(a, b) ? 0 : push(w, w->path, a, b);
    w->depth++;
    r = json_is_object(a) ? compare_objects(w, a, b) : compare_arrays(w, a, b);
    w->depth--;
    return r;
}

int model_diff(const json_t *before, const json_t *after, unsigned scope, struct model_diff *out,
               struct wt_err *err)
{
    struct walk w = {.scope = scope};
    if (compare(&w, before, after) < 0) {
        model_diff_done(&w.diff);
        return wt_fail(err, WT_ENOMEM, "no memory for a diff");
    }
    *out = w.diff;
    return 0;
}

void model_diff_done(struct model_diff *d)
{
    for (size_t i = 0; i < d->n; i++) {
        wt_free(d->changes[i].path);
        json_decref(d->changes[i].before);
        json_decref(d->changes[i].after);
    }
    wt_free(d->changes);
    *d = (struct model_diff){0};
}

static bool is_content(const char *key)
{
    return strcmp(key, "metadata") != 0 && strcmp(key, "status") != 0;
}

static bool content_differs(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)a, key, v)
    {
        json_t *other = json_object_get(b, key);
        if (is_content(key) && (!other || !json_equal(v, other)))
            return true;
    }
    return false;
}

bool model_spec_differs(const json_t *before, const json_t *after)
{
    return content_differs(before, after) || content_differs(after, before);
}
