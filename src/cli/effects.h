/* What the steps of a Migration would do: slots and users that move, and the least fault the guard
 * could find. */
#ifndef CLI_EFFECTS_H
#define CLI_EFFECTS_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct cli_load {
    double requests_per_s; /* 0: not known */
    double users;          /* 0: not known */
    double base_errors;    /* share of bad answers that is there anyway, 0 … 1 */
    bool observed;         /* the requests were counted, not given */
};

/* Requests per second from the counters of a Migration's status; 0: none. */
double cli_load_observed(const json_t *migration, int64_t wall_ms);

/* `doc` is a checked Migration with defaults. */
int cli_effects(const json_t *doc, const struct cli_load *load, struct wt_buf *out);

#endif
