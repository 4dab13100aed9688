/* What the steps of a Migration would do: slots and users that move, what a host of either side
 * carries then, and the least fault the guard could find. */
#ifndef CLI_EFFECTS_H
#define CLI_EFFECTS_H

#include "cli/capacity.h"

#include <stdint.h>

struct cli_load {
    double requests_per_s; /* 0: not known */
    double users;          /* 0: not known */
    double base_errors;    /* share of bad answers that is there anyway, 0 … 1 */
    bool observed;         /* the requests were counted, not given */
};

/* Requests per second from the counters of a Migration's status; 0: none. */
double cli_load_observed(const json_t *migration, int64_t wall_ms);

/* `doc` is a checked Migration with defaults; told is what its steps do from where `current` (NULL:
 * there is none) stands. For people, and for programs (a new reference). */
int cli_effects(const json_t *doc, const json_t *current, const struct cli_load *load,
                const struct cli_sides *sides, struct wt_buf *out);
json_t *cli_effects_json(const json_t *doc, const json_t *current, const struct cli_load *load,
                         const struct cli_sides *sides);

#endif
