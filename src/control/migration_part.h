/* What stays though no file names it, because of a Migration. */
#ifndef CONTROL_MIGRATION_PART_H
#define CONTROL_MIGRATION_PART_H

#include "control/store.h"

/* Whether users are on their way between its sides, and `doc` is it or a route of it; or it is what
 * holds users who have arrived. */
bool control_migration_part(const struct control_store *store, const json_t *migration,
                            const json_t *doc);

/* The first of `migrations` (an array) that needs `doc`: as above, or a Backend that is in use
 * (in_use.h); borrowed. NULL: none. */
json_t *control_migration_of(const struct control_store *store, const json_t *migrations,
                             const json_t *doc);

#endif
