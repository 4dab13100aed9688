/* Which routes a Gateway's listener takes, and who goes first of two that want the same (Gateway
 * API): one answer for proxies, which serve by it, and for the status, which tells it. */
#ifndef MODEL_ATTACH_H
#define MODEL_ATTACH_H

#include "model/kinds.h"

/* A hostname as it is compared: "*.example" becomes ".example", which stands for all below; "" for
 * all. */
struct wt_str model_attach_host(struct wt_str hostname);

/* The narrower of two such names where they overlap; false where they do not. *out is set anyhow.
 */
bool model_attach_overlap(struct wt_str a, struct wt_str b, struct wt_str *out);

/* Whether the listener's allowedRoutes.kinds, if any, name HTTPRoute; *out_others (may be NULL):
 * whether they name kinds that are not served here. */
bool model_attach_takes_http(const struct model_gateway_listener *l, bool *out_others);

/* The namespaces whose HTTPRoutes may attach: none where the listener takes no HTTPRoutes. */
enum model_from_namespaces model_attach_from(const struct model_gateway_listener *l);

/* Where only one can be had — a listener's address, port and hostname, the policy of a Backend —
 * the older object has it (metadata.creationTimestamp), then the first by namespace and name. Below
 * 0: `a` goes first. */
int model_attach_order(const struct model_metadata *a, const struct model_metadata *b);

#endif
