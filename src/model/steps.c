#include "model/steps.h"

double model_steps_weight_before(const struct model_migration_spec *spec, int64_t step,
                                 double weight)
{
    double before = 0;
    for (int64_t i = 0; i < step && i < (int64_t)spec->n_steps; i++)
        if (spec->steps[i].has_set_weight && spec->steps[i].set_weight < weight)
            before = spec->steps[i].set_weight;
    return before;
}
