/* The store: objects as JSON documents in SQLite, all of them in memory too, under one rising
 * resourceVersion.
 *
 * Reads come from memory and never fail because of the disk. A write is on disk (WAL,
 * synchronous=FULL) before it is seen; when the disk refuses, nothing has changed. After an I/O
 * error no later write is tried: what fsync has dropped once it reports as safe the next time
 * (Rebello et al., "Can Applications Recover from fsync Failures?", 2020).
 *
 * Not thread-safe: one loop owns it. Documents handed out are references that must not be changed.
 */
#ifndef CONTROL_STORE_H
#define CONTROL_STORE_H

#include "base/err.h"
#include "base/str.h"
#include "io/sys.h"
#include "model/kind.h"

struct control_store;

enum { CONTROL_STORE_ID_TEXT = 33, CONTROL_SITE_KEY_BYTES = 32 };

/* Changes that are known: at most so many, and no more than their documents take of so many bytes
 * (about); the newest always is. */
enum { CONTROL_CHANGES_KEPT = 4096, CONTROL_CHANGES_BYTES = 64 << 20 };

/* Opens or makes the database at `path` (":memory:" for tests). Clock and chance come from `sys`,
 * which must outlive the store. WT_EDENIED when another process holds it. */
int control_store_open(const char *path, struct io_sys *sys, struct control_store **out,
                       struct wt_err *err) WT_NODISCARD;
void control_store_free(struct control_store *s);

const char *
control_store_id(const struct control_store *s); /* 32 hex digits, made with the store */
const uint8_t *control_store_site_key(const struct control_store *s); /* signs identity cookies */
/* The key leaves the house, and stays what it is from now on. Until then a site that has lost its
 * store may give its own back (`other`, or NULL): with a new key every user's cookie would be void.
 */
int control_store_give_site_key(struct control_store *s, const uint8_t *other,
                                struct wt_err *err) WT_NODISCARD;
uint64_t control_store_rv(const struct control_store *s);
bool control_store_broken(const struct control_store *s); /* an I/O error ended writing */

uint64_t control_store_doc_rv(const json_t *doc); /* its resourceVersion; 0: none */

/* NULL if there is none; borrowed. */
json_t *control_store_get(const struct control_store *s, const struct model_kind *kind,
                          const char *namespace, const char *name);
json_t *control_store_get_key(const struct control_store *s, const char *key);

/* New JSON array of references, by namespace and name; `namespace` NULL: all. NULL without memory.
 */
json_t *control_store_list(const struct control_store *s, const struct model_kind *kind,
                           const char *namespace);
/* The next object after *at (0: the first), in no order to rely on; NULL after the last. Nothing
 * may be written between two steps. */
const json_t *control_store_walk(const struct control_store *s, size_t *at);
size_t control_store_count(const struct control_store *s, const struct model_kind *kind);

/* What a write may change; the rest is kept from the stored document. */
enum control_parts {
    CONTROL_SPEC = 1,       /* all but status and what the server sets (a PUT of the object) */
    CONTROL_STATUS = 2,     /* status (a PUT of /status) */
    CONTROL_FINALIZERS = 4, /* metadata.finalizers */
    CONTROL_DRY_RUN = 8,    /* answer as if, write nothing */
};

/* Small values beside the objects, written in the same transaction. */
struct control_kv {
    const char *key, *value; /* value NULL: it goes */
};

/* `doc` was checked and filled; it is not changed. *out (may be NULL) is a new reference to what is
 * stored then. */
int control_store_create(struct control_store *s, const json_t *doc, unsigned parts, json_t **out,
                         struct wt_err *err);

/* A resourceVersion in `doc` must be the stored one (WT_ECONFLICT). A write that changes nothing
 * keeps the resourceVersion. An object that waits for deletion goes away with its last finalizer.
 */
int control_store_update(struct control_store *s, const json_t *doc, unsigned parts,
                         const struct control_kv *kv, size_t n_kv, json_t **out,
                         struct wt_err *err);

/* With finalizers it is only marked (deletionTimestamp). `rv` 0: whatever it is. *out: the last
 * state. */
int control_store_delete(struct control_store *s, const struct model_kind *kind,
                         const char *namespace, const char *name, uint64_t rv, unsigned parts,
                         json_t **out, struct wt_err *err);

/* CONTROL_LEAVE: no object is written, `kv` alone; `doc` may be NULL. */
enum control_verb { CONTROL_CREATE, CONTROL_UPDATE, CONTROL_DELETE, CONTROL_LEAVE };

/* One write of several, as control_store_create() and so on do it alone. */
struct control_write {
    enum control_verb verb;
    const json_t *doc; /* of a deletion: the object as it was seen */
    unsigned parts;
    struct control_kv kv; /* in the same transaction, unless this one is left out; key NULL: none */
    int result;           /* 0, or why this one was left out */
    json_t *out; /* a new reference to what is stored then (deleted: its last state), or NULL */
};

/* All in one transaction, in their order, each with a resourceVersion of its own; changes are told
 * when all are on disk. What cannot be done to one object (it is gone, was changed since, or is in
 * the batch twice) leaves that one out. How many objects were changed; on an error, of disk or
 * memory, none is, and every `result` is that error. */
int control_store_write(struct control_store *s, struct control_write *writes, size_t n,
                        struct wt_err *err) WT_NODISCARD;

/* NULL if there is none; free with wt_free. */
char *control_store_kv_get(struct control_store *s, const char *key);

/* Calls `each` for every value whose key begins so, in the order of the keys; stops at its first
 * error. It must not write. */
int control_store_kv_each(struct control_store *s, const char *prefix,
                          int (*each)(void *ctx, const char *key, const char *value,
                                      struct wt_err *err),
                          void *ctx, struct wt_err *err);

enum control_change_type { CONTROL_ADDED, CONTROL_MODIFIED, CONTROL_DELETED };

struct control_change {
    uint64_t rv;
    enum control_change_type type;
    const struct model_kind *kind;
    json_t *doc; /* after the change; for DELETED the last state with the rv of the deletion */
};

/* The first change after `since`: 1 and *out (borrowed until the next write), 0 when there is none,
 * or WT_ELIMIT when the changes since then are no longer known: list again. */
int control_store_next(const struct control_store *s, uint64_t since, struct control_change *out);

/* Called after each change, on the writer's stack: must not write itself. */
void control_store_on_change(struct control_store *s,
                             void (*call)(void *ctx, const struct control_change *change),
                             void *ctx);

#endif
