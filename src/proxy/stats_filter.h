/* The filter of /stats: a part of Envoy's regular expressions that cannot be made slow. A name
 * passes where one of the alternatives (`|`) is found in it; `.*` stands for anything, `^` and `$`
 * for its ends, `\.` and `.` for a dot. Pure. */
#ifndef PROXY_STATS_FILTER_H
#define PROXY_STATS_FILTER_H

#include "base/str.h"

extern const char proxy_stats_filter_forms[]; /* what is understood, for messages */

bool proxy_stats_filter_valid(struct wt_str filter);

/* `filter` is valid. */
bool proxy_stats_filter_matches(struct wt_str filter, struct wt_str name);

#endif
