#include "health/params.h"

int health_params_from(const struct model_migration_spec *spec, double weight,
                       struct health_params *out, struct wt_err *err)
{
    const struct model_migration_guard *g = spec->guard;
    if (!g)
        return wt_fail(err, WT_EINVAL, "spec.guard: missing; the defaults were not filled in");
    *out = (struct health_params){
        .alpha = g->alpha,
        .floor = g->floor,
        .tolerance = g->tolerance,
        .excluding = g->excluding,
        .share = weight / 100,
        .shared = spec->state == MODEL_STATE_SHARED,
    };
    return 0;
}
