/* Conditions of a status (metav1.Condition). */
#ifndef CONTROL_CONDITION_H
#define CONTROL_CONDITION_H

#include "model/kinds.h"

struct control_condition {
    const char *type;
    enum model_condition_status status;
    const char *reason, *message; /* "" or NULL: left out */
};

/* Adds it to `list`, as of `generation` of the spec. `before` (may be NULL) is the list it was in:
 * as long as the status stays, so does the time. `wall_ms` is when it changed otherwise. */
void control_condition_add(json_t *list, const json_t *before, const struct control_condition *c,
                           int64_t generation, int64_t wall_ms);

/* The entry of a list of objects whose member `name` is `value`; NULL: none. */
json_t *control_condition_find(const json_t *list, const char *name, const char *value);

#endif
