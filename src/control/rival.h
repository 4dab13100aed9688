/* Two Migrations that move the same users: the same HTTPRoute, with a Backend in common. A proxy
 * can have one share in force there, so the other one waits. */
#ifndef CONTROL_RIVAL_H
#define CONTROL_RIVAL_H

#include <jansson.h>
#include <stdbool.h>

/* Whether `doc` has to wait for `other`: of two that are not completed the one with users on its
 * new side goes first, then the older one (metadata.creationTimestamp, then the name). Stored
 * documents of the kind Migration; of any two at most one waits. */
bool control_rival_before(const json_t *doc, const json_t *other);

/* Whether `other` decides for the users of the old side of `doc`, which is completed: one that has
 * begun and is not over, or began later. So it is in proxies. */
bool control_rival_supersedes(const json_t *other, const json_t *doc);

#endif
