/* Is a document right? Errors are sentences with the place and what was expected. */
#ifndef MODEL_CHECK_H
#define MODEL_CHECK_H

#include "model/kind.h"
#include "model/yaml.h"

#define MODEL_ERRORS_MAX 20

struct model_error {
    char *path;   /* "spec.steps[2].setWeight" */
    char *text;   /* the whole sentence: "site.yaml: line 12: spec.steps[2].setWeight: 300 is over
                     100" */
    char *detail; /* without file and line: "spec.steps[2].setWeight: 300 is over 100" */
};

struct model_errors {
    struct model_error errors[MODEL_ERRORS_MAX];
    struct model_error warnings[MODEL_ERRORS_MAX];
    unsigned n_errors, n_warnings; /* kept */
    unsigned n_more;               /* errors beyond those kept */
};

/* Starts zeroed ({0}); several checks may add to one list. */
void model_errors_done(struct model_errors *e);

/* All errors, one a line, terminated; `out` is cut if it is too small. Returns out. */
char *model_errors_text(const struct model_errors *e, char *out, size_t size);
/* The same on one line, for a log or an Event. */
char *model_errors_sentence(const struct model_errors *e, char *out, size_t size);

/* Checks one document. `lines` and `file` may be NULL (input from the API). 0, or WT_EINVAL when
 * errors were added. */
int model_check(const json_t *doc, const struct model_lines *lines, const char *file,
                struct model_errors *out);

/* Whether it has the form that views and readers rely on, and no more: of what another version of
 * this program has stored, fields may be unknown here, and rules across fields may have become
 * stricter. */
int model_check_shape(const json_t *doc, struct model_errors *out);

/* Checks what an update may not change (IMMUTABLE fields). Both were checked alone. */
int model_check_update(const json_t *before, const json_t *after, struct model_errors *out);

/* References between documents of one set, for `validate` and `plan`: two objects of the same kind
 * and name (error); a route, policy or migration that names what is not there (warning). The
 * documents may come from several files; each was checked alone. */
int model_check_set(const struct model_doc *const docs[], size_t n, struct model_errors *out);

/* Fills defaults in, drops nulls; idempotent. The document was checked. WT_ENOMEM only. */
int model_fill(json_t *doc);

/* Replaces values of SECRET fields by "(hidden)". */
void model_redact(json_t *doc);
void model_redact_object(const struct model_object *object, json_t *value);

#endif
