/* The status of a Backend: how many of its hosts may be used, as proxies see them. */
#ifndef CONTROL_BACKEND_STATUS_H
#define CONTROL_BACKEND_STATUS_H

#include "control/migration_plan.h"

/* A new status document, as of `generation` of the spec; a pure function. `before` (the status so
 * far, may be NULL) lends the time of an unchanged condition. NULL where no proxy has ever reported
 * its hosts: there is nothing to tell; also without memory. */
json_t *control_backend_status(const struct control_side_seen *seen, int64_t generation,
                               const json_t *before, int64_t wall_ms);

#endif
