/* What may not go away because users depend on it: asked of the store when something is about to be
 * deleted, so that what decides is the routes as they are then. */
#ifndef CONTROL_IN_USE_H
#define CONTROL_IN_USE_H

#include "control/store.h"

#define CONTROL_IN_USE_FINALIZER "watari.dev/share"

/* Whether users on the new side of this Migration would be sent elsewhere without it: routes name
 * either side, but not with the share in force. */
bool control_in_use_share(const struct control_store *store, const json_t *migration);

/* The first of `migrations` (an array) that needs this Backend: it has users on its new side, and
 * is not completed or its routes do not say so. One that has retired its old side needs that no
 * more. With `resting` also one that has begun and has all users on its old side, as long as its
 * routes name that. NULL: none; borrowed. */
json_t *control_in_use_by(const struct control_store *store, const json_t *migrations,
                          const json_t *backend, bool resting);

/* One sentence: who needs the Backend, and what to do first. */
void control_in_use_why(const json_t *migration, const json_t *backend, char *out, size_t size);

bool control_in_use_has_finalizer(const json_t *doc);
void control_in_use_set_finalizer(json_t *doc, bool wanted);

#endif
