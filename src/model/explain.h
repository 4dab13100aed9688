/* The schema as text for people. */
#ifndef MODEL_EXPLAIN_H
#define MODEL_EXPLAIN_H

#include "base/buf.h"
#include "model/kind.h"

/* "migration.spec.steps" or "hr": kind, description and fields, as `kubectl explain` shows them.
 * `recursive` shows the tree below. An unknown path is WT_ENOENT with "did you mean". */
int model_explain(struct wt_str path, bool recursive, struct wt_buf *out, struct wt_err *err);

/* The reference page of a kind, in Markdown. */
int model_reference(const struct model_kind *kind, struct wt_buf *out);

#endif
