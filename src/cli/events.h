/* Events, as `watari events` and `watari describe` show them. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include "cli/object.h"

/* Whether an event is about that object; a NULL kind takes all. */
bool cli_event_is_about(const json_t *event, const struct model_kind *kind, const char *name);

/* New array of references to those events of a list ({items: […]}), oldest first. NULL without
 * memory. */
json_t *cli_events_select(const json_t *list, const struct model_kind *kind, const char *name);

#endif
