/* Event objects (v1): what happened, for people. Bounded to the newest; the same event again raises
 * its count. */
#ifndef CONTROL_EVENT_H
#define CONTROL_EVENT_H

#include "control/store.h"

enum { CONTROL_EVENTS_MAX = 1000 };

/* About `doc` (at least apiVersion, kind, metadata.name). A failure is logged, not returned: an
 * event never stops what it tells about. */
void control_event_emit(struct control_store *store, const json_t *doc, bool warning,
                        const char *reason, const char *message, int64_t now_ms);

#endif
