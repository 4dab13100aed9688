/* Where a Migration stands among its steps: those before do nothing any more, whatever becomes of
 * them. Unlike Argo Rollouts, nothing starts again because steps were edited. */
#ifndef CLI_STAND_H
#define CLI_STAND_H

#include "cli/object.h"

struct cli_stand {
    size_t at; /* index of the step that runs, or that going on begins with; at most their number */
    double weight; /* in force, percent; 0 where none is */
};

/* `doc` has the steps; `current` (NULL: there is none) the status. They may be the same. */
struct cli_stand cli_stand_of(const json_t *doc, const json_t *current);

/* One sentence when `doc` says otherwise than `current` of a step that has been passed; false when
 * it does not. */
bool cli_stand_edited(const json_t *doc, const json_t *current, char *out, size_t size);

/* Whether a step that has been passed says another weight than the one that stands since it. */
bool cli_stand_belied(const json_t *doc, const struct cli_stand *s, size_t index);

#endif
