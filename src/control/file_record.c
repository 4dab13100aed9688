#include "control/file_record.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "file/"

static bool parse(const char *text, struct control_file_record *out)
{
    int end = 0;
    *out = (struct control_file_record){0};
    if (sscanf(text, "%16" SCNx64 " %16" SCNx64 "%n", &out->said, &out->put, &end) != 2)
        return false;
    out->again = strcmp(text + end, " again") == 0;
    return out->again || !text[end];
}

static int put(struct control_file_records *r, const char *key,
               const struct control_file_record *record)
{
    struct control_file_record *own = wt_map_get(&r->map, wt_str_z(key));
    if (!own) {
        own = wt_calloc(1, sizeof(*own));
        if (!own || wt_map_put(&r->map, wt_str_z(key), own, NULL) < 0) {
            wt_free(own);
            return WT_ENOMEM;
        }
    }
    *own = *record;
    return 0;
}

/* A damaged one costs what was changed through the API since, no more: its file is applied. */
static int load_one(void *ctx, const char *key, const char *value, struct wt_err *err)
{
    struct control_file_record record;
    if (!parse(value, &record)) {
        wt_log(WT_LOG_WARN, "state store: %s is damaged: its file is applied", key);
        return 0;
    }
    int r = put(ctx, key + sizeof(PREFIX) - 1, &record);
    return r < 0 ? wt_fail(err, r, "state store: out of memory") : 0;
}

int control_file_records_load(struct control_file_records *r, struct control_store *store,
                              struct wt_err *err)
{
    if (r->loaded)
        return 0;
    int code = control_store_kv_each(store, PREFIX, load_one, r, err);
    if (code < 0)
        control_file_records_free(r);
    r->loaded = code == 0;
    return code;
}

void control_file_records_free(struct control_file_records *r)
{
    for (struct wt_map_entry *e = wt_map_first(&r->map); e; e = wt_map_next(&r->map, e))
        wt_free(e->value);
    wt_map_done(&r->map);
    r->loaded = false;
}

struct control_file_record *control_file_records_get(const struct control_file_records *r,
                                                     const char *key)
{
    return wt_map_get(&r->map, wt_str_z(key));
}

void control_file_records_set(struct control_file_records *r, const char *key,
                              const struct control_file_record *record)
{
    if (!record)
        wt_free(wt_map_take(&r->map, wt_str_z(key)));
    else if (put(r, key, record) < 0)
        r->loaded = false;
}

struct control_kv control_file_record_kv(const char *key, const struct control_file_record *record,
                                         struct control_file_kv *buffer)
{
    snprintf(buffer->key, sizeof(buffer->key), PREFIX "%s", key);
    if (record)
        snprintf(buffer->value, sizeof(buffer->value), "%016" PRIx64 " %016" PRIx64 "%s",
                 record->said, record->put, record->again ? " again" : "");
    return (struct control_kv){buffer->key, record ? buffer->value : NULL};
}

int control_file_content(const json_t *doc, uint64_t *out)
{
    static const struct wt_hash_key hash_key = {0x66696c6573, 0x636f6e74656e74};
    static const char *const not_said[] = {"name",
                                           "namespace",
                                           "uid",
                                           "resourceVersion",
                                           "generation",
                                           "creationTimestamp",
                                           "deletionTimestamp",
                                           "finalizers"};
    json_t *part = json_copy((json_t *)doc);
    json_t *meta = json_copy(json_object_get(doc, "metadata"));
    json_t *notes = json_copy(json_object_get(meta, "annotations"));
    json_object_del(part, "status");
    for (size_t i = 0; i < sizeof(not_said) / sizeof(not_said[0]); i++)
        json_object_del(meta, not_said[i]);
    json_object_del(notes, "watari.dev/source");
    if (json_object_size(notes))
        json_object_set(meta, "annotations", notes);
    else
        json_object_del(meta, "annotations");
    json_object_set(part, "metadata", meta);
    /* The precision is the store's: read back from it, it is the same. */
    char *text = part && meta
                     ? json_dumps(part, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(15))
                     : NULL;
    int r = text ? 0 : WT_ENOMEM;
    if (text)
        *out = wt_siphash(hash_key, text, strlen(text));
    free(text);
    json_decref(notes);
    json_decref(meta);
    json_decref(part);
    return r;
}
