/* Which line a field stands on. Only hashes of paths are kept, so that a file of deep, long keys
 * costs no more memory than its nodes do. */
#ifndef MODEL_LINES_H
#define MODEL_LINES_H

#include "model/yaml.h"

#define MODEL_LINES_PATH_MAX 512 /* longer paths have the line of their parent */

struct model_line {
    uint64_t path_hash;
    uint32_t line;
};

struct model_lines {
    struct model_line *items; /* sorted by hash after model_lines_sort() */
    size_t n, cap;
    struct model_lines *of_list; /* the lines of the List that this document stands in, or NULL */
    char prefix[40];             /* "items[3]" */
    unsigned refs;
};

struct model_lines *model_lines_new(void);
struct model_lines *model_lines_ref(struct model_lines *l);
void model_lines_unref(struct model_lines *l); /* NULL is fine */
int model_lines_add(struct model_lines *l, const char *path, unsigned line);
void model_lines_sort(struct model_lines *l);

#endif
