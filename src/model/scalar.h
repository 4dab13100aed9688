/* Plain YAML scalars as JSON: the core schema of YAML 1.2 (§10.3.2). `on`, `yes` and `12:30` are
 * strings. */
#ifndef MODEL_SCALAR_H
#define MODEL_SCALAR_H

#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

/* WT_EINVAL for what JSON cannot hold (.inf, .nan, 1e999) and for bytes that are not UTF-8. */
int model_scalar_plain(struct wt_str s, json_t **out, struct wt_err *err);

/* Would the text, written plain, be read as this string, by YAML 1.1 readers too? */
bool model_scalar_is_safe(struct wt_str s);

#endif
