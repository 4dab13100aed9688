/* What differs between two documents. */
#ifndef MODEL_DIFF_H
#define MODEL_DIFF_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum model_diff_scope {
    MODEL_DIFF_ALL = 0,
    MODEL_DIFF_NO_STATUS = 1, /* status is left out */
    MODEL_DIFF_NO_BOOKKEEPING =
        2, /* uid, resourceVersion, generation, timestamps, managedFields are left out */
};

struct model_change {
    char *path;             /* "spec.steps[2].setWeight" */
    json_t *before, *after; /* owned references; NULL where absent */
};

struct model_diff {
    struct model_change *changes; /* in the order of the documents */
    size_t n;
};

/* Bounded to 1,000 changes; what differs beyond is one last change with the path "…". */
int model_diff(const json_t *before, const json_t *after, unsigned scope, struct model_diff *out,
               struct wt_err *err);
void model_diff_done(struct model_diff *d);

/* Whether spec (for kinds without a spec: anything but metadata and status) differs: the generation
 * rises. */
bool model_spec_differs(const json_t *before, const json_t *after);

#endif
