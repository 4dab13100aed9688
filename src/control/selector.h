/* Label selectors as kubectl's -l writes them: KEY, !KEY, KEY=VALUE, KEY==VALUE, KEY!=VALUE, KEY in
 * (A,B), KEY notin (A,B), separated by commas; all of them must hold. Pure. */
#ifndef CONTROL_SELECTOR_H
#define CONTROL_SELECTOR_H

#include "base/str.h"

#include <jansson.h>

extern const char control_selector_forms[]; /* what is understood, for messages */

bool control_selector_valid(struct wt_str selector);

/* `labels` may be NULL. A selector that is not valid matches nothing; an empty one everything. */
bool control_selector_matches(struct wt_str selector, const json_t *labels);

#endif
