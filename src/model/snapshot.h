/* The snapshot: what control publishes and a proxy serves. A set of documents, each with the
 * version at which it changed last, plus the id of the store that counts these versions. A mutable
 * set; owners share it by their own means.
 *
 * Keys are "KIND/namespace/name" (model_key()). Documents in a set are never changed: a new one
 * takes the place of the old, so a reader may hold a reference (json_incref is atomic in
 * jansson 2.11 and later).
 */
#ifndef MODEL_SNAPSHOT_H
#define MODEL_SNAPSHOT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "model/kind.h"

struct model_snapshot;

struct model_item {
    struct wt_str key; /* terminated; lives as long as the item */
    uint64_t version;  /* at which it changed last */
    json_t *doc;       /* owned by the set */
    char *wrong;       /* what model_check has against it; NULL: nothing */
};

struct model_snapshot *model_snapshot_new(struct wt_str store); /* NULL without memory */
void model_snapshot_free(struct model_snapshot *s);             /* NULL is fine */

struct wt_str model_snapshot_store(const struct model_snapshot *s);
uint64_t model_snapshot_version(const struct model_snapshot *s); /* of the whole set */
size_t model_snapshot_len(const struct model_snapshot *s);

/* NULL if it is not there. Valid until the set changes. */
const struct model_item *model_snapshot_get(const struct model_snapshot *s, struct wt_str key);

/* Sets one item (takes its own reference of `doc`) or removes it (true: it was there). The set's
 * version becomes `version` if that is higher. While a set is loaded items may come in any order;
 * afterwards versions must rise, or a delta misses the change. A removal is remembered for deltas
 * (the newest 4,096). */
int model_snapshot_set(struct model_snapshot *s, struct wt_str key, uint64_t version, json_t *doc);
bool model_snapshot_remove(struct model_snapshot *s, struct wt_str key, uint64_t version);

/* Removals before now are not known (a set loaded from a store): older readers get a full delta. */
void model_snapshot_forget(struct model_snapshot *s);

/* for (i = model_snapshot_next(s, kind, NULL); i; i = model_snapshot_next(s, kind, i)), in the
 * order of insertion; kind NULL: all. */
const struct model_item *model_snapshot_next(const struct model_snapshot *s,
                                             const struct model_kind *kind,
                                             const struct model_item *after);

/* The delta from version `since` of store `store` to now as JSON:
 * {"from","to","set":[{key,version,object}],"remove":[]}; "from" is 0 (full) where the store is
 * another one, `since` is newer than the set, or removals since then are forgotten. *out is JSON
 * null when there is nothing new. */
int model_snapshot_delta(const struct model_snapshot *s, struct wt_str store, uint64_t since,
                         json_t **out);

/* Applies a delta that belongs to `store`. All or nothing: a delta that is wrong, or does not start
 * at this set's version (and is not full) leaves the set as it was (WT_EINVAL, WT_ECONFLICT). A
 * full delta replaces the set and takes the store's id over; documents that are the same keep their
 * json_t and version. Documents go through model_check; one that another release took for right is
 * put in with what is wrong, so that it costs itself alone. */
int model_snapshot_apply(struct model_snapshot *s, struct wt_str store, const json_t *delta,
                         struct wt_err *err);

/* Bytes for the disk: header (magic, format, length, SipHash-2-4 checksum: against torn writes, not
 * against attackers), then JSON. */
int model_snapshot_encode(const struct model_snapshot *s, struct wt_buf *out);
int model_snapshot_decode(struct wt_str bytes, struct model_snapshot **out,
                          struct wt_err *err) WT_NODISCARD;

#endif
