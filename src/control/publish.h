/* The published snapshot, kept in step with the store: a document gets a new version only when what
 * a proxy needs of it has changed (not for counters in a status). */
#ifndef CONTROL_PUBLISH_H
#define CONTROL_PUBLISH_H

#include "control/store.h"
#include "model/snapshot.h"

struct control_publisher;

/* Publishes all that the store holds. */
int control_publisher_new(struct control_store *store, struct control_publisher **out,
                          struct wt_err *err) WT_NODISCARD;
void control_publisher_free(struct control_publisher *p);

/* After a change in the store; true when the snapshot changed. */
bool control_publisher_change(struct control_publisher *p, const struct control_change *change);

const struct model_snapshot *control_publisher_snapshot(const struct control_publisher *p);

#endif
