/* What the admin pages are made of. Main thread. */
#ifndef PROXY_ADMIN_H
#define PROXY_ADMIN_H

#include "proxy/internal.h"

/* Values that are set rather than counted, as of now: before a scrape. */
void proxy_admin_set_gauges(struct proxy *p);

/* {"name": value, …} under Envoy's names; NULL without memory. The caller's. */
json_t *proxy_admin_stats(struct proxy *p);

/* What is served: listeners, backends with the health of their hosts, migrations. */
json_t *proxy_admin_config(struct proxy *p);

#endif
