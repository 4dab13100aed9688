/* Writes the statuses of GatewayClasses, Backends, BackendTrafficPolicies, HTTPRoutes and Gateways:
 * observe → plan → write what differs.
 *
 * Works in slices, so that many objects hold up neither the API nor proxies, and looks at nothing
 * while nothing changes: after a change of a Backend or a route at that one and at the Gateways
 * that count it; at all policies after a change of one; at all after a start, a change of a
 * Gateway, and where a Backend comes or goes. An object is written at most twice a second. A status
 * is no part of what proxies get, so that writing one publishes nothing. */
#ifndef CONTROL_STATUS_H
#define CONTROL_STATUS_H

#include "control/publish.h"
#include "control/report.h"

struct control_status;

/* All three must outlive it. NULL without memory. */
struct control_status *control_status_new(struct control_store *store,
                                          const struct control_reports *reports,
                                          const struct control_publisher *publisher);
void control_status_free(struct control_status *s);

/* After a change in the store (control_store_on_change); `now_ms` is monotonic. */
void control_status_change(struct control_status *s, const struct control_change *change,
                           int64_t now_ms);

/* Does a slice of what is due; returns when to call again (monotonic). `pending`: proxies may not
 * have reported yet, so what is known of them stays. */
int64_t control_status_run(struct control_status *s, bool pending, int64_t now_ms, int64_t wall_ms);

uint64_t control_status_writes(const struct control_status *s);

#endif
