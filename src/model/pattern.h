/* Named forms of strings. */
#ifndef MODEL_PATTERN_H
#define MODEL_PATTERN_H

#include "model/kind.h"

bool model_pattern_match(enum model_pattern pattern, struct wt_str s);

/* "a host name" …, to be read after "is not". */
const char *model_pattern_text(enum model_pattern pattern);

#endif
