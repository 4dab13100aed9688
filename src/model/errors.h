/* The list of errors and warnings that checks fill (struct model_errors). */
#ifndef MODEL_ERRORS_H
#define MODEL_ERRORS_H

#include "model/check.h"

#include <stdarg.h>

/* Names from the input reach terminals, logs and JSON, sometimes cut in the middle of a character:
 * control characters and broken UTF-8 become '?'. */
void model_disarm(char *text);

/* Adds "FILE: line N: PATH: <formatted>". `path` may be empty: the document as a whole. */
void model_errors_add(struct model_errors *e, bool warning, const struct model_lines *lines,
                      const char *file, const char *path, const char *fmt, va_list ap)
    WT_PRINTF(6, 0);

#endif
