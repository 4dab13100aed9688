/* What the files said last, by object, and what the store held when that was put there. Kept in the
 * store, written with the object, so that a reading after any restart knows which objects have
 * changed in their files since, and leaves the others as the API may have made them.
 */
#ifndef CONTROL_FILE_RECORD_H
#define CONTROL_FILE_RECORD_H

#include "base/map.h"
#include "control/store.h"

struct control_file_record {
    uint64_t said; /* hash of the document in the file */
    uint64_t put;  /* control_file_content() of what was put for it */
    bool again;    /* it was put while the object was being deleted: to be made anew when gone */
    uint64_t seen; /* the reading that named it last; not kept in the store */
};

struct control_file_records {
    struct wt_map map; /* key of the object -> struct control_file_record */
    bool loaded;
};

/* A record as a value of the store. */
struct control_file_kv {
    char key[MODEL_KEY_MAX + 8], value[48];
};

/* From the store, unless that was done before. */
int control_file_records_load(struct control_file_records *r, struct control_store *store,
                              struct wt_err *err) WT_NODISCARD;
void control_file_records_free(struct control_file_records *r);

/* NULL: the files never said anything of it. Valid until the next change. */
struct control_file_record *control_file_records_get(const struct control_file_records *r,
                                                     const char *key);

/* As the store has it now; NULL: there is none any more. Without memory all are loaded again the
 * next time. */
void control_file_records_set(struct control_file_records *r, const char *key,
                              const struct control_file_record *record);

/* What is to be written; `record` NULL: that it goes. It points into `buffer`. */
struct control_kv control_file_record_kv(const char *key, const struct control_file_record *record,
                                         struct control_file_kv *buffer);

/* Hash of what a writer says in a document: no status, nothing that the server or files add. */
int control_file_content(const json_t *doc, uint64_t *out) WT_NODISCARD;

#endif
