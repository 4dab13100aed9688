/* What each host of a Migration's two sides carries at a share. Pure. */
#ifndef CLI_CAPACITY_H
#define CLI_CAPACITY_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

struct cli_side {
    unsigned hosts;  /* 0: not known */
    double heaviest; /* the part of its side's requests that the host with most weight gets, 0…1 */
    bool even;       /* all hosts get the same */
    const char *found; /* where hosts come from when they are no list: "dns", "file"; or NULL */
};

struct cli_sides {
    struct cli_side old, new;
};

/* `backend` may be NULL. A list of hosts is in it; others are counted as its status says. */
struct cli_side cli_side_of(const json_t *backend);

/* Share of all requests, in percent, that a host of a side with this share of the users carries;
 * the one with most weight. 0: its hosts are not known. */
double cli_side_load(const struct cli_side *s, double percent);

/* At this share: how many times what an old host carries while no user has moved; 0: not known. */
double cli_sides_times(const struct cli_sides *s, double percent);

/* "2 old hosts, 3 new ones …": a line for people. */
void cli_sides_tell(const struct cli_sides *s, struct wt_buf *out);

#endif
