/* Objects of a snapshot that a config could not take: each costs only itself. A config has the
 * list; its log, its metrics and its reports to control name them. */
#ifndef PROXY_LEFT_OUT_H
#define PROXY_LEFT_OUT_H

#include "model/snapshot.h"

enum { PROXY_LEFT_OUT_TOLD = 64 }; /* to control; the rest is a number */

struct proxy_left_out {
    char *key;        /* "HTTPRoute/default/shop" */
    uint64_t version; /* of the document that is not taken */
    char *why;        /* and what is in force instead */
};

struct proxy_left_outs {
    struct proxy_left_out *all;
    uint32_t n, cap;
};

/* Adds the item, and says so in the log unless `before` (may be NULL) has it with the same words.
 * `instead` is what is in force now. WT_ENOMEM. */
int proxy_left_outs_add(struct proxy_left_outs *l, const struct proxy_left_outs *before,
                        const struct model_item *item, const char *why,
                        const char *instead) WT_NODISCARD;

/* [{key, version, message}], the first PROXY_LEFT_OUT_TOLD; NULL without memory. */
json_t *proxy_left_outs_json(const struct proxy_left_outs *l);

void proxy_left_outs_done(struct proxy_left_outs *l);

#endif
