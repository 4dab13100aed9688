/* What the API tells about itself: APIVersions, APIGroupList, APIGroup, APIResourceList, made from
 * the kinds. */
#ifndef CONTROL_DISCOVERY_H
#define CONTROL_DISCOVERY_H

#include <jansson.h>

json_t *control_discovery_version(void);
json_t *control_discovery_core(void);
json_t *control_discovery_groups(void);
json_t *control_discovery_group(const char *group);                      /* NULL: not known */
json_t *control_discovery_kinds(const char *group, const char *version); /* NULL: not known */

#endif
