/* The guard's parameters, as a Migration says them. */
#ifndef HEALTH_PARAMS_H
#define HEALTH_PARAMS_H

#include "base/err.h"
#include "health/evidence.h"
#include "model/kinds.h"

/* `spec` has its defaults filled in (model_fill()), so they stand in one place, migration.def;
 * without a guard it is WT_EINVAL. `weight` is the share of the new side in per cent. */
int health_params_from(const struct model_migration_spec *spec, double weight,
                       struct health_params *out, struct wt_err *err);

#endif
