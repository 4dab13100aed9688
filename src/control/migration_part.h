/* What a Migration under way needs to stay. Pure. */
#ifndef CONTROL_MIGRATION_PART_H
#define CONTROL_MIGRATION_PART_H

#include <jansson.h>

/* The first of `migrations` that has users on both sides and is `doc`, or has it as a route or a
 * Backend; borrowed. NULL: none. */
json_t *control_migration_of(const json_t *migrations, const json_t *doc);

#endif
