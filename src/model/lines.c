#include "model/lines.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t path_hash(const char *path, size_t len)
{
    return wt_siphash((struct wt_hash_key){0x77617461, 0x6c696e65}, path, len);
}

struct model_lines *model_lines_new(void)
{
    struct model_lines *l = wt_calloc(1, sizeof(*l));
    if (l)
        l->refs = 1;
    return l;
}

struct model_lines *model_lines_ref(struct model_lines *l)
{
    l->refs++;
    return l;
}

void model_lines_unref(struct model_lines *l)
{
    if (!l || --l->refs)
        return;
    model_lines_unref(l->of_list);
    wt_free(l->items);
    wt_free(l);
}

int model_lines_add(struct model_lines *l, const char *path, unsigned line)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct model_line *items = wt_realloc(l->items, cap * sizeof(*items));
        if (!items)
            return WT_ENOMEM;
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = (struct model_line){path_hash(path, strlen(path)), line};
    return 0;
}

static int compare_lines(const void *a, const void *b)
{
    const struct model_line *x = a, *y = b;
    return x->path_hash < y->path_hash ? -1 : x->path_hash > y->path_hash;
}

void model_lines_sort(struct model_lines *l)
{
    if (l->n)
        qsort(l->items, l->n, sizeof(*l->items), compare_lines);
}

static unsigned find_line(const struct model_lines *l, const char *path, size_t len)
{
    struct model_line key = {.path_hash = path_hash(path, len)};
    const struct model_line *found =
        l->n ? bsearch(&key, l->items, l->n, sizeof(key), compare_lines) : NULL;
    return found ? found->line : 0;
}

/* The length of the parent's path: up to the last '.' or '['. */
static size_t parent_len(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] != '.' && path[len - 1] != '[')
        len--;
    return len ? len - 1 : 0;
}

unsigned model_line_of(const struct model_lines *lines, const char *path)
{
    char full[MODEL_LINES_PATH_MAX + 64];
    if (!lines)
        return 0;
    if (lines->of_list) {
        snprintf(full, sizeof(full), "%s%s%s", lines->prefix, *path ? "." : "", path);
        return model_line_of(lines->of_list, full);
    }
    for (size_t len = strlen(path);; len = parent_len(path, len)) {
        unsigned line = find_line(lines, path, len);
        if (line || len == 0)
            return line;
    }
}
