/* What a field allows, in words; used by explain and the reference. */
#ifndef MODEL_LIMITS_H
#define MODEL_LIMITS_H

#include "base/buf.h"
#include "model/kind.h"

/* "0.002 to 100", "at most 16 items", "Exact, PathPrefix", or nothing. */
void model_explain_limits(struct wt_buf *out, const struct model_field *field);

#endif
