/* The status of a BackendTrafficPolicy (Gateway API policy attachment, GEP-713, PolicyStatus): one
 * entry a target, that tells whether the policy is in force there. */
#ifndef CONTROL_POLICY_STATUS_H
#define CONTROL_POLICY_STATUS_H

#include "base/arena.h"
#include "base/map.h"
#include "control/store.h"

/* Which policy is in force at each Backend that one is for. */
struct control_policies {
    struct wt_map owners; /* "namespace/backend" -> const struct model_metadata of the policy */
    json_t *docs;         /* what they point into */
    struct wt_arena arena;
};

/* As proxies choose it: model_attach_order(). */
int control_policies_see(const struct control_store *store, struct control_policies *out,
                         struct wt_err *err);
void control_policies_done(struct control_policies *p);

/* A new status document for the policy `doc`, which was there when they were seen; `refused` is why
 * proxies do not take it, or NULL. Entries of other controllers are kept; NULL without memory. */
json_t *control_policy_status(const struct control_policies *p, const struct control_store *store,
                              const json_t *doc, const char *refused, int64_t wall_ms);

#endif
