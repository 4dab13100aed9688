/* Conditions of a status (metav1.Condition). */
#ifndef CONTROL_CONDITION_H
#define CONTROL_CONDITION_H

#include "model/kinds.h"

/* Who writes conditions here, as GatewayClasses name us. */
#define CONTROL_CONTROLLER_NAME "watari.dev/gateway"

struct control_condition {
    const char *type;
    enum model_condition_status status;
    const char *reason, *message; /* "" or NULL: left out */
};

/* Adds it to `list`, as of `generation` of the spec. `before` (may be NULL) is the list it was in:
 * as long as the status stays, so does the time. `wall_ms` is when it changed otherwise. */
void control_condition_add(json_t *list, const json_t *before, const struct control_condition *c,
                           int64_t generation, int64_t wall_ms);

/* Likewise, with `about` in place of the one %s that the message has, and the generation of `doc`.
 */
void control_condition_add_about(json_t *list, const json_t *before,
                                 const struct control_condition *c, const char *about,
                                 const json_t *doc, int64_t wall_ms);

/* A status that has entries of several controllers, each with a `controllerName` and conditions
 * about what its member `name` refers to. Those of the others (a new list, `max` at most), and the
 * conditions of ours about `ref` (borrowed; NULL: none). */
json_t *control_condition_others(const json_t *entries, size_t max);
const json_t *control_condition_ours(const json_t *entries, const char *name, const json_t *ref);
void control_condition_add_entry(json_t *entries, const char *name, json_t *ref,
                                 json_t *conditions); /* ours; takes `conditions` */

/* The entry of a list of objects whose member `name` is `value`; NULL: none. */
json_t *control_condition_find(const json_t *list, const char *name, const char *value);

#endif
