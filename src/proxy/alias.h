/* Names of fields that a route or a Migration decides by, or sets itself, beside those that
 * http/field.def knows. Origins that fold '-' and '_' into one (CGI, WSGI, PHP) would take the
 * other spelling of one, which passes by all filters and matches, for the field itself. */
#ifndef PROXY_ALIAS_H
#define PROXY_ALIAS_H

#include "base/map.h"
#include "http/head.h"

struct proxy_aliases {
    struct wt_map folded; /* lower case, with - for _: how they are spelt */
    struct wt_map exact;  /* those spelt with '_', in lower case */
    bool any_underscored; /* some are spelt with '_' only: '-' is an alias too */
};

/* Names of more than 256 bytes are none that an origin knows. WT_ENOMEM. */
int proxy_aliases_add(struct proxy_aliases *a, struct wt_str name) WT_NODISCARD;

/* Whether the request has a field whose name is another spelling of one of these. Costs something
 * only where the head has a name with '_', or one of these is spelt so. */
bool proxy_aliases_in(const struct proxy_aliases *a, const struct http_head *request);

void proxy_aliases_done(struct proxy_aliases *a);

#endif
