/* What proxies do not take of what is published, from their reports: objects one by one, or a
 * snapshot as a whole. */
#ifndef CONTROL_REFUSAL_H
#define CONTROL_REFUSAL_H

#include "base/map.h"
#include "control/report.h"
#include "control/store.h"

struct control_refusals {
    struct wt_map by_key; /* "KIND/namespace/name" -> the words; "" is a whole snapshot */
};

/* Of the store of that id; of several proxies the first one is told. Where memory is short some are
 * missing. */
void control_refusals_see(const struct control_reports *reports, const char *store, int64_t now_ms,
                          struct control_refusals *out);
void control_refusals_done(struct control_refusals *r);

/* "proxy NAME does not take it: …"; NULL: all do. */
const char *control_refusals_of(const struct control_refusals *r, const json_t *doc);

/* An Event about each that `before` has not: on the object, or on all Gateways. */
void control_refusals_tell(const struct control_refusals *r, const struct control_refusals *before,
                           struct control_store *store, int64_t wall_ms);

/* What one report says against the newest of one object, or against all; NULL: nothing. */
const char *control_refusal_in(const json_t *report, const char *key);

#endif
