/* Rules across fields: one function per kind that needs one. They run only on documents whose
 * fields are right one by one, so they may take types for granted; defaults are not filled in yet.
 */
#ifndef MODEL_RULE_H
#define MODEL_RULE_H

#include "model/check.h"

struct model_rule {
    const struct model_lines *lines;
    const char *file;
    struct model_errors *out;
};

void model_rule_error(struct model_rule *r, const char *path, const char *fmt, ...) WT_PRINTF(3, 4);
void model_rule_warning(struct model_rule *r, const char *path, const char *fmt, ...)
    WT_PRINTF(3, 4);

void model_rule_http_route(struct model_rule *r, const json_t *doc);
void model_rule_gateway(struct model_rule *r, const json_t *doc);
void model_rule_backend_traffic_policy(struct model_rule *r, const json_t *doc);
void model_rule_migration(struct model_rule *r, const json_t *doc);

#endif
