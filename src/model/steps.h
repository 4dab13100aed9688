/* What the steps of a Migration say of its weights. Pure: control and every proxy read the same. */
#ifndef MODEL_STEPS_H
#define MODEL_STEPS_H

#include "model/kinds.h"

/* The weight that taking a step back leads to: the last setWeight before `step` (an index; the step
 * that was judged) that is below `weight`, the one in force; 0 when there is none. */
double model_steps_weight_before(const struct model_migration_spec *spec, int64_t step,
                                 double weight);

#endif
