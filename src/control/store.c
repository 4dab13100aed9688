#include "control/store.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/internal.h"
#include "model/check.h"
#include "model/diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct control_store {
    struct control_db db;
    struct io_sys *sys;
    struct wt_map objects; /* key -> json_t */
    uint64_t rv;
    char id[CONTROL_STORE_ID_TEXT];
    uint8_t site_key[CONTROL_SITE_KEY_BYTES];
    bool site_key_given;
    struct control_change changes[CONTROL_CHANGES_KEPT]; /* a ring */
    uint64_t n_changes;                                  /* ever; the newest is at (n - 1) % KEPT */
    uint64_t forgotten_rv;                               /* changes up to this one are not known */
    void (*on_change)(void *ctx, const struct control_change *change);
    void *on_change_ctx;
};

uint64_t control_store_doc_rv(const json_t *doc)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(doc, "metadata"), "resourceVersion"));
    uint64_t rv = 0;
    return text && wt_str_u64(wt_str_z(text), &rv) ? rv : 0;
}

/* Whether it is what was written: everything else takes that for granted, and SQLite keeps no
 * checksums. A status is left out: it follows no rules that proxies would hold it to. */
static int check_loaded(const char *key, const json_t *doc, struct wt_err *err)
{
    struct model_errors errors = {0};
    char own[MODEL_KEY_MAX];
    const struct model_kind *kind = model_kind_of(doc);
    if (!kind || strcmp(model_key(doc, own, sizeof(own)), key) != 0)
        return wt_fail(err, WT_EINVAL, "state store: %s is damaged: it holds another object", key);
    json_t *part = kind == model_kind_event ? NULL : json_copy((json_t *)doc);
    json_object_del(part, "status");
    int r = part ? model_check(part, NULL, NULL, &errors) : 0;
    if (r < 0)
        r = wt_fail(err, WT_EINVAL, "state store: %s is damaged: %s", key, errors.errors[0].detail);
    model_errors_done(&errors);
    json_decref(part);
    return r;
}

static int load_one(void *ctx, const char *key, uint64_t rv, struct wt_str text, struct wt_err *err)
{
    struct control_store *s = ctx;
    json_error_t je;
    json_t *doc = json_loadb(text.ptr, text.len, 0, &je);
    if (!doc)
        return wt_fail(err, WT_EINVAL, "state store: %s is damaged: %s", key, je.text);
    if (rv > s->rv)
        s->rv = rv;
    int r = check_loaded(key, doc, err);
    if (r == 0 && (r = wt_map_put(&s->objects, wt_str_z(key), doc, NULL)) < 0)
        wt_fail(err, r, "state store: out of memory");
    if (r < 0)
        json_decref(doc);
    return r;
}

/* The id and the site key: made once, in one transaction. */
static int make_identity(struct control_store *s, struct wt_err *err)
{
    uint8_t id[16];
    char key_text[2 * CONTROL_SITE_KEY_BYTES + 1];
    if (s->sys->random(s->sys, id, sizeof(id)) < 0 ||
        s->sys->random(s->sys, s->site_key, sizeof(s->site_key)) < 0)
        return wt_fail(err, WT_EIO, "state store: no random bytes");
    wt_hex(id, sizeof(id), s->id);
    wt_hex(s->site_key, sizeof(s->site_key), key_text);
    const struct control_kv kv[] = {{"id", s->id}, {"siteKey", key_text}};
    return control_db_write(&s->db, NULL, 0, 0, kv, 2, err);
}

static int load(struct control_store *s, struct wt_err *err)
{
    wt_autofree char *id = control_db_kv_get(&s->db, "id");
    wt_autofree char *key = control_db_kv_get(&s->db, "siteKey");
    wt_autofree char *rv = control_db_kv_get(&s->db, "rv");
    wt_autofree char *given = control_db_kv_get(&s->db, "siteKeyGiven");
    s->site_key_given = given != NULL;
    if (rv && !wt_str_u64(wt_str_z(rv), &s->rv))
        return wt_fail(err, WT_EINVAL, "state store: resourceVersion \"%s\" is damaged", rv);
    if (!id)
        return make_identity(s, err);
    snprintf(s->id, sizeof(s->id), "%s", id);
    if (!key || !wt_unhex(wt_str_z(key), s->site_key, sizeof(s->site_key)))
        return wt_fail(err, WT_EINVAL, "state store: the site key is damaged");
    return 0;
}

int control_store_open(const char *path, struct io_sys *sys, struct control_store **out,
                       struct wt_err *err)
{
    struct control_store *s = wt_calloc(1, sizeof(*s));
    if (!s)
        return wt_fail(err, WT_ENOMEM, "state store: out of memory");
    s->sys = sys;
    int r = control_db_open(&s->db, path, err);
    if (r == 0)
        r = load(s, err);
    if (r == 0 && (r = control_db_all(&s->db, load_one, s, err)) < 0)
        wt_wrap(err, r, "%s", path);
    if (r < 0) {
        control_store_free(s);
        return r;
    }
    s->forgotten_rv = s->rv;
    *out = s;
    return 0;
}

void control_store_free(struct control_store *s)
{
    if (!s)
        return;
    for (struct wt_map_entry *e = wt_map_first(&s->objects); e; e = wt_map_next(&s->objects, e))
        json_decref(e->value);
    wt_map_done(&s->objects);
    for (size_t i = 0; i < CONTROL_CHANGES_KEPT; i++)
        json_decref(s->changes[i].doc);
    if (s->db.db)
        control_db_close(&s->db);
    wt_free(s);
}

const char *control_store_id(const struct control_store *s)
{
    return s->id;
}

const uint8_t *control_store_site_key(const struct control_store *s)
{
    return s->site_key;
}

int control_store_give_site_key(struct control_store *s, const uint8_t *other, struct wt_err *err)
{
    char text[2 * CONTROL_SITE_KEY_BYTES + 1];
    if (s->site_key_given)
        return 0;
    const uint8_t *key = other ? other : s->site_key;
    wt_hex(key, sizeof(s->site_key), text);
    const struct control_kv kv[] = {{"siteKey", text}, {"siteKeyGiven", "1"}};
    int r = control_db_write(&s->db, NULL, 0, 0, kv, 2, err);
    if (r < 0)
        return r;
    if (other)
        memcpy(s->site_key, other, sizeof(s->site_key));
    s->site_key_given = true;
    return 0;
}

uint64_t control_store_rv(const struct control_store *s)
{
    return s->rv;
}

bool control_store_broken(const struct control_store *s)
{
    return s->db.broken;
}

json_t *control_store_get_key(const struct control_store *s, const char *key)
{
    return wt_map_get(&s->objects, wt_str_z(key));
}

json_t *control_store_get(const struct control_store *s, const struct model_kind *kind,
                          const char *namespace, const char *name)
{
    char key[MODEL_KEY_MAX];
    int n = snprintf(key, sizeof(key), "%s/%s/%s", kind->name,
                     kind->namespaced && namespace ? namespace : "", name);
    return n < (int)sizeof(key) ? control_store_get_key(s, key) : NULL;
}

static int by_key(const void *a, const void *b)
{
    const struct wt_map_entry *const *x = a, *const *y = b;
    return strcmp((*x)->key.ptr, (*y)->key.ptr);
}

static bool is_of(const struct wt_map_entry *e, const struct model_kind *kind,
                  const char *namespace)
{
    size_t n = strlen(kind->name);
    if (e->key.len <= n || memcmp(e->key.ptr, kind->name, n) != 0 || e->key.ptr[n] != '/')
        return false;
    if (!namespace || !kind->namespaced)
        return true;
    size_t m = strlen(namespace);
    return e->key.len > n + 1 + m && memcmp(e->key.ptr + n + 1, namespace, m) == 0 &&
           e->key.ptr[n + 1 + m] == '/';
}

json_t *control_store_list(const struct control_store *s, const struct model_kind *kind,
                           const char *namespace)
{
    wt_autofree const struct wt_map_entry **found =
        wt_calloc(wt_map_len(&s->objects) + 1, sizeof(*found));
    json_t *list = json_array();
    if (!found || !list) {
        json_decref(list);
        return NULL;
    }
    size_t n = 0;
    for (struct wt_map_entry *e = wt_map_first(&s->objects); e; e = wt_map_next(&s->objects, e))
        if (is_of(e, kind, namespace))
            found[n++] = e;
    qsort(found, n, sizeof(*found), by_key);
    for (size_t i = 0; i < n; i++)
        if (json_array_append(list, found[i]->value) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

const json_t *control_store_walk(const struct control_store *s, size_t *at)
{
    while (*at < s->objects.n_entries) {
        const struct wt_map_entry *e = &s->objects.entries[(*at)++];
        if (e->value)
            return e->value;
    }
    return NULL;
}

size_t control_store_count(const struct control_store *s, const struct model_kind *kind)
{
    size_t n = 0;
    for (struct wt_map_entry *e = wt_map_first(&s->objects); e; e = wt_map_next(&s->objects, e))
        n += is_of(e, kind, NULL);
    return n;
}

void control_store_on_change(struct control_store *s,
                             void (*call)(void *ctx, const struct control_change *change),
                             void *ctx)
{
    s->on_change = call;
    s->on_change_ctx = ctx;
}

static void remember(struct control_store *s, const struct control_change *change)
{
    struct control_change *slot = &s->changes[s->n_changes % CONTROL_CHANGES_KEPT];
    if (slot->doc) {
        s->forgotten_rv = slot->rv;
        json_decref(slot->doc);
    }
    *slot = *change;
    json_incref(slot->doc);
    s->n_changes++;
    if (s->on_change)
        s->on_change(s->on_change_ctx, slot);
}

int control_store_next(const struct control_store *s, uint64_t since, struct control_change *out)
{
    if (since < s->forgotten_rv || since > s->rv)
        return WT_ELIMIT;
    uint64_t low = s->n_changes > CONTROL_CHANGES_KEPT ? s->n_changes - CONTROL_CHANGES_KEPT : 0;
    uint64_t high = s->n_changes;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (s->changes[middle % CONTROL_CHANGES_KEPT].rv > since)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == s->n_changes)
        return 0;
    *out = s->changes[low % CONTROL_CHANGES_KEPT];
    return 1;
}

static json_t *metadata(json_t *doc)
{
    json_t *m = json_object_get(doc, "metadata");
    return m ? m : NULL;
}

static void stamp(struct control_store *s, json_t *doc, uint64_t rv)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, rv);
    json_object_set_new(metadata(doc), "resourceVersion", json_string(text));
}

static struct control_db_row row_of(const json_t *doc, const char *key, uint64_t rv,
                                    const char *text)
{
    const json_t *m = json_object_get(doc, "metadata");
    return (struct control_db_row){
        .key = key,
        .kind = model_kind_of(doc)->name,
        .namespace = model_namespace(doc),
        .name = model_name(doc),
        .uid = json_string_value(json_object_get(m, "uid")),
        .rv = rv,
        .generation = json_integer_value(json_object_get(m, "generation")),
        .doc_text = text,
    };
}

/* Writes disk first, then memory; takes `doc` over. What memory needs is had before the commit. */
static int put(struct control_store *s, json_t *doc, enum control_change_type type,
               const struct control_kv *kv, size_t n_kv, struct wt_err *err)
{
    char key[MODEL_KEY_MAX];
    model_key(doc, key, sizeof(key));
    uint64_t rv = s->rv + 1;
    stamp(s, doc, rv);
    const struct model_kind *kind = model_kind_of(doc);
    char *text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(15));
    void *old = NULL;
    int r = text ? wt_map_put(&s->objects, wt_str_z(key), doc, &old) : WT_ENOMEM;
    if (r < 0) {
        free(text);
        json_decref(doc);
        return wt_fail(err, WT_ENOMEM, "state store: out of memory");
    }
    struct control_db_row row = row_of(doc, key, rv, type == CONTROL_DELETED ? NULL : text);
    r = control_db_write(&s->db, &row, 1, rv, kv, n_kv, err);
    free(text);
    if (r < 0) {
        /* Putting back what was there needs no memory: the entry exists. */
        if (old)
            r = wt_map_put(&s->objects, wt_str_z(key), old, NULL) < 0 ? WT_ENOMEM : r;
        else
            wt_map_take(&s->objects, wt_str_z(key));
        json_decref(doc);
        return r;
    }
    s->rv = rv;
    struct control_change change = {rv, type, kind, doc};
    remember(s, &change);
    if (type == CONTROL_DELETED) {
        wt_map_take(&s->objects, wt_str_z(key));
        json_decref(doc);
    }
    json_decref(old);
    return 0;
}

static int make_uid(struct control_store *s, char out[37], struct wt_err *err)
{
    uint8_t b[16];
    if (s->sys->random(s->sys, b, sizeof(b)) < 0)
        return wt_fail(err, WT_EIO, "no random bytes for a uid");
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 9562 §5.4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char hex[33];
    wt_hex(b, sizeof(b), hex);
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return 0;
}

static json_t *time_json(struct control_store *s)
{
    char text[32];
    return json_string(wt_time_format(s->sys->wall_ms(s->sys), false, text));
}

/* Gives the caller a reference of what is stored now. */
static void answer(const struct control_store *s, const char *key, json_t **out)
{
    if (out)
        *out = json_incref(control_store_get_key(s, key));
}

int control_store_create(struct control_store *s, const json_t *doc, unsigned parts, json_t **out,
                         struct wt_err *err)
{
    char key[MODEL_KEY_MAX], uid[37];
    const struct model_kind *kind = model_kind_of(doc);
    if (!kind)
        return wt_fail(err, WT_EINVAL, "this kind is not known");
    model_key(doc, key, sizeof(key));
    if (control_store_get_key(s, key))
        return wt_fail(err, WT_EEXIST, "%s \"%s\" exists already", kind->plural, model_name(doc));
    int r = make_uid(s, uid, err);
    if (r < 0)
        return r;
    json_t *made = json_deep_copy(doc);
    if (!made)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    json_t *m = metadata(made);
    if (kind->namespaced)
        json_object_set_new(m, "namespace", json_string(model_namespace(doc)));
    json_object_set_new(m, "uid", json_string(uid));
    json_object_set_new(m, "creationTimestamp", time_json(s));
    json_object_set_new(m, "generation", json_integer(1));
    json_object_del(m, "deletionTimestamp");
    if (!(parts & CONTROL_STATUS))
        json_object_del(made, "status");
    if (parts & CONTROL_DRY_RUN) {
        json_object_del(m, "resourceVersion");
        if (out)
            *out = made;
        else
            json_decref(made);
        return 0;
    }
    r = put(s, made, CONTROL_ADDED, NULL, 0, err);
    if (r == 0)
        answer(s, key, out);
    return r;
}

/* Members of metadata that only the server writes. */
static const char *const server_fields[] = {"uid", "creationTimestamp", "generation",
                                            "deletionTimestamp", "resourceVersion"};

static void keep(json_t *to, const json_t *from, const char *name)
{
    json_t *value = json_object_get(from, name);
    if (value)
        json_object_set_new(to, name, json_deep_copy(value));
    else
        json_object_del(to, name);
}

/* The document as it will be: `doc` in the parts asked for, `old` in the rest. */
static json_t *merged(const json_t *old, const json_t *doc, unsigned parts)
{
    json_t *made = json_deep_copy(parts & CONTROL_SPEC ? doc : old);
    if (!made)
        return NULL;
    json_t *m = metadata(made);
    const json_t *old_m = json_object_get(old, "metadata");
    if (parts & CONTROL_SPEC) {
        for (size_t i = 0; i < sizeof(server_fields) / sizeof(server_fields[0]); i++)
            keep(m, old_m, server_fields[i]);
        keep(m, old_m, "namespace");
        if (!(parts & CONTROL_STATUS))
            keep(made, old, "status");
    } else {
        if (parts & CONTROL_STATUS)
            keep(made, doc, "status");
        if (parts & CONTROL_FINALIZERS)
            keep(m, json_object_get(doc, "metadata"), "finalizers");
    }
    if (model_spec_differs(old, made)) {
        json_int_t generation = json_integer_value(json_object_get(old_m, "generation"));
        json_object_set_new(m, "generation", json_integer(generation + 1));
    }
    return made;
}

static int check_current(const json_t *old, const json_t *doc, const struct model_kind *kind,
                         struct wt_err *err)
{
    const json_t *m = json_object_get(doc, "metadata");
    const char *uid = json_string_value(json_object_get(m, "uid"));
    const char *old_uid =
        json_string_value(json_object_get(json_object_get(old, "metadata"), "uid"));
    uint64_t rv = control_store_doc_rv(doc);
    const json_t *given = json_object_get(m, "resourceVersion");
    bool stale = given && *json_string_value(given) && rv != control_store_doc_rv(old);
    if (stale || (uid && *uid && old_uid && strcmp(uid, old_uid) != 0))
        return wt_fail(err, WT_ECONFLICT,
                       "%s \"%s\" was changed by someone else meanwhile: get it again, then retry",
                       kind->plural, model_name(doc));
    return 0;
}

static bool is_last_finalizer_gone(const json_t *doc)
{
    const json_t *m = json_object_get(doc, "metadata");
    return json_object_get(m, "deletionTimestamp") &&
           json_array_size(json_object_get(m, "finalizers")) == 0;
}

int control_store_update(struct control_store *s, const json_t *doc, unsigned parts,
                         const struct control_kv *kv, size_t n_kv, json_t **out, struct wt_err *err)
{
    char key[MODEL_KEY_MAX];
    const struct model_kind *kind = model_kind_of(doc);
    if (!kind)
        return wt_fail(err, WT_EINVAL, "this kind is not known");
    model_key(doc, key, sizeof(key));
    json_t *old = control_store_get_key(s, key);
    if (!old)
        return wt_fail(err, WT_ENOENT, "%s \"%s\" not found", kind->plural, model_name(doc));
    int r = check_current(old, doc, kind, err);
    if (r < 0)
        return r;
    json_t *made = merged(old, doc, parts);
    if (!made)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    bool same = json_equal(old, made);
    if ((parts & CONTROL_DRY_RUN) || same) {
        r = same && n_kv && !(parts & CONTROL_DRY_RUN)
                ? control_db_write(&s->db, NULL, 0, 0, kv, n_kv, err)
                : 0;
        if (r == 0 && out)
            *out = same ? json_incref(old) : json_incref(made);
        json_decref(made);
        return r;
    }
    if (is_last_finalizer_gone(made)) {
        json_t *last = json_incref(made);
        r = put(s, made, CONTROL_DELETED, kv, n_kv, err);
        if (r == 0 && out)
            *out = json_incref(last);
        json_decref(last);
        return r;
    }
    r = put(s, made, CONTROL_MODIFIED, kv, n_kv, err);
    if (r == 0)
        answer(s, key, out);
    return r;
}

/* What is written of several objects, before it is. */
struct statuses {
    struct status_write {
        char key[MODEL_KEY_MAX];
        json_t *made;
        char *text;
    } * items;
    struct control_db_row *rows;
    size_t n;
};

/* Takes up one; what is gone, newer or the same is left out. WT_ENOMEM. */
static int add_status(struct control_store *s, struct statuses *w, const json_t *doc)
{
    struct status_write *item = &w->items[w->n];
    const struct model_kind *kind = model_kind_of(doc);
    json_t *old = control_store_get_key(s, model_key(doc, item->key, sizeof(item->key)));
    if (!kind || !old || check_current(old, doc, kind, NULL) < 0)
        return 0;
    item->made = merged(old, doc, CONTROL_STATUS);
    if (!item->made)
        return WT_ENOMEM;
    if (json_equal(old, item->made)) {
        json_decref(item->made);
        return 0;
    }
    uint64_t rv = s->rv + w->n + 1;
    stamp(s, item->made, rv);
    item->text = json_dumps(item->made, JSON_COMPACT | JSON_REAL_PRECISION(15));
    w->rows[w->n++] = row_of(item->made, item->key, rv, item->text);
    return item->text ? 0 : WT_ENOMEM;
}

/* It is on disk. No entry is new, so that no memory is needed. */
static void show_status(struct control_store *s, struct status_write *item)
{
    void *old = NULL;
    if (wt_map_put(&s->objects, wt_str_z(item->key), item->made, &old) < 0)
        return;
    struct control_change change = {++s->rv, CONTROL_MODIFIED, model_kind_of(item->made),
                                    item->made};
    item->made = NULL;
    remember(s, &change);
    json_decref(old);
}

int control_store_update_statuses(struct control_store *s, json_t *const *docs, size_t n,
                                  struct wt_err *err)
{
    struct statuses w = {wt_calloc(n + 1, sizeof(*w.items)), wt_calloc(n + 1, sizeof(*w.rows)), 0};
    int r = w.items && w.rows ? 0 : WT_ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_status(s, &w, docs[i]);
    if (r < 0)
        wt_fail(err, r, "state store: out of memory");
    else if (w.n)
        r = control_db_write(&s->db, w.rows, w.n, s->rv + w.n, NULL, 0, err);
    for (size_t i = 0; i < w.n; i++) {
        if (r == 0)
            show_status(s, &w.items[i]);
        json_decref(w.items[i].made);
        free(w.items[i].text);
    }
    wt_free(w.items);
    wt_free(w.rows);
    return r < 0 ? r : (int)w.n;
}

int control_store_delete(struct control_store *s, const struct model_kind *kind,
                         const char *namespace, const char *name, uint64_t rv, unsigned parts,
                         json_t **out, struct wt_err *err)
{
    json_t *old = control_store_get(s, kind, namespace, name);
    if (!old)
        return wt_fail(err, WT_ENOENT, "%s \"%s\" not found", kind->plural, name);
    if (rv && rv != control_store_doc_rv(old))
        return wt_fail(err, WT_ECONFLICT, "%s \"%s\" was changed by someone else meanwhile",
                       kind->plural, name);
    json_t *made = json_deep_copy(old);
    if (!made)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    json_t *m = metadata(made);
    bool waits = json_array_size(json_object_get(m, "finalizers")) > 0;
    bool marked = json_object_get(m, "deletionTimestamp") != NULL;
    if (waits && !marked)
        json_object_set_new(m, "deletionTimestamp", time_json(s));
    json_t *last = json_incref(made);
    int r = 0;
    if ((waits && marked) || (parts & CONTROL_DRY_RUN))
        json_decref(made);
    else
        r = put(s, made, waits ? CONTROL_MODIFIED : CONTROL_DELETED, NULL, 0, err);
    if (r == 0 && out)
        *out = json_incref(last);
    json_decref(last);
    return r;
}

char *control_store_kv_get(struct control_store *s, const char *key)
{
    return control_db_kv_get(&s->db, key);
}
