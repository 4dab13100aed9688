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

struct kept_change {
    struct control_change change;
    size_t bytes;
};

struct control_store {
    struct control_db db;
    struct io_sys *sys;
    struct wt_map objects; /* key -> json_t */
    uint64_t rv;
    char id[CONTROL_STORE_ID_TEXT];
    uint8_t site_key[CONTROL_SITE_KEY_BYTES];
    bool site_key_given;
    struct kept_change changes[CONTROL_CHANGES_KEPT]; /* a ring */
    uint64_t n_changes;                               /* ever; the newest is at (n - 1) % KEPT */
    uint64_t n_forgotten;                             /* of these: the oldest kept is at n % KEPT */
    size_t kept_bytes;
    uint64_t forgotten_rv; /* changes up to this one are not known */
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

/* Whether it has the form of what was written: everything else takes that for granted, and SQLite
 * keeps no checksums. That it may break a rule of today is left to proxies, which leave it out
 * alone: after an upgrade control must start. */
static int check_loaded(const char *key, const json_t *doc, struct wt_err *err)
{
    struct model_errors errors = {0};
    char own[MODEL_KEY_MAX];
    const struct model_kind *kind = model_kind_of(doc);
    if (!kind || strcmp(model_key(doc, own, sizeof(own)), key) != 0)
        return wt_fail(err, WT_EINVAL, "state store: %s is damaged: it holds another object", key);
    json_t *part = kind == model_kind_event ? NULL : json_copy((json_t *)doc);
    json_object_del(part, "status");
    int r = part ? model_check_shape(part, &errors) : 0;
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

static void forget_oldest(struct control_store *s)
{
    struct kept_change *oldest = &s->changes[s->n_forgotten++ % CONTROL_CHANGES_KEPT];
    s->forgotten_rv = oldest->change.rv;
    s->kept_bytes -= oldest->bytes;
    json_decref(oldest->change.doc);
}

void control_store_free(struct control_store *s)
{
    if (!s)
        return;
    for (struct wt_map_entry *e = wt_map_first(&s->objects); e; e = wt_map_next(&s->objects, e))
        json_decref(e->value);
    wt_map_done(&s->objects);
    while (s->n_forgotten < s->n_changes)
        forget_oldest(s);
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

/* What a document takes in memory, about: a text of many small values takes far more than its own
 * length. */
static size_t bytes_of(const json_t *value)
{
    enum { VALUE_BYTES = 64, MEMBER_BYTES = 96 };
    size_t sum = VALUE_BYTES + json_string_length(value), i;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)value, key, v)
    {
        sum += MEMBER_BYTES + strlen(key) + bytes_of(v);
    }
    json_array_foreach(value, i, v)
    {
        sum += bytes_of(v);
    }
    return sum;
}

static void remember(struct control_store *s, const struct control_change *change)
{
    size_t bytes = bytes_of(change->doc);
    while (s->n_forgotten < s->n_changes &&
           (s->n_changes - s->n_forgotten == CONTROL_CHANGES_KEPT ||
            s->kept_bytes + bytes > CONTROL_CHANGES_BYTES))
        forget_oldest(s);
    struct kept_change *slot = &s->changes[s->n_changes++ % CONTROL_CHANGES_KEPT];
    *slot = (struct kept_change){*change, bytes};
    json_incref(change->doc);
    s->kept_bytes += bytes;
    if (s->on_change)
        s->on_change(s->on_change_ctx, change);
}

int control_store_next(const struct control_store *s, uint64_t since, struct control_change *out)
{
    if (since < s->forgotten_rv || since > s->rv)
        return WT_ELIMIT;
    uint64_t low = s->n_forgotten, high = s->n_changes;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (s->changes[middle % CONTROL_CHANGES_KEPT].change.rv > since)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == s->n_changes)
        return 0;
    *out = s->changes[low % CONTROL_CHANGES_KEPT].change;
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

/* ---- a batch: on disk in one transaction, then in memory, then told ---- */

struct staged {
    char key[MODEL_KEY_MAX];
    json_t *doc, *old; /* old: what was there, or NULL */
    enum control_change_type type;
    char *text;
};

struct batch {
    struct staged *items;
    struct control_db_row *rows;
    size_t n;
};

/* Memory has it from here on, so that the commit needs none; nobody else runs before finish(). A
 * deletion stays until then too: to put it back would need memory. */
static int stage(struct control_store *s, struct batch *b, json_t *doc,
                 enum control_change_type type, struct wt_err *err)
{
    struct staged *item = &b->items[b->n];
    uint64_t rv = s->rv + b->n + 1;
    void *old = NULL;
    *item = (struct staged){.type = type};
    model_key(doc, item->key, sizeof(item->key));
    stamp(s, doc, rv);
    item->text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (!item->text || wt_map_put(&s->objects, wt_str_z(item->key), doc, &old) < 0) {
        free(item->text);
        return wt_fail(err, WT_ENOMEM, "state store: out of memory");
    }
    json_incref(doc); /* the map's */
    item->doc = json_incref(doc);
    item->old = old;
    b->rows[b->n++] = row_of(doc, item->key, rv, type == CONTROL_DELETED ? NULL : item->text);
    return 0;
}

/* Backwards, as one may follow another of the same key. Needs no memory: the entries exist. */
static void undo(struct control_store *s, struct batch *b)
{
    for (size_t i = b->n; i-- > 0;) {
        struct staged *item = &b->items[i];
        if (item->old && wt_map_put(&s->objects, wt_str_z(item->key), item->old, NULL) == 0)
            item->old = NULL;
        else
            wt_map_take(&s->objects, wt_str_z(item->key));
        json_decref(item->doc);
    }
}

static void show(struct control_store *s, struct batch *b)
{
    uint64_t rv = s->rv;
    s->rv += b->n;
    for (size_t i = 0; i < b->n; i++) {
        struct staged *item = &b->items[i];
        struct control_change change = {++rv, item->type, model_kind_of(item->doc), item->doc};
        remember(s, &change);
        if (item->type == CONTROL_DELETED)
            json_decref(wt_map_take(&s->objects, wt_str_z(item->key)));
    }
}

/* Carries out what is staged, or, if `r` or the disk says no, nothing of it. Empties the batch. */
static int finish(struct control_store *s, struct batch *b, int r, const struct control_kv *kv,
                  size_t n_kv, struct wt_err *err)
{
    if (r == 0 && (b->n || n_kv))
        r = control_db_write(&s->db, b->rows, b->n, b->n ? s->rv + b->n : 0, kv, n_kv, err);
    if (r == 0)
        show(s, b);
    else
        undo(s, b);
    for (size_t i = 0; i < b->n; i++) {
        json_decref(b->items[i].doc);
        json_decref(b->items[i].old);
        free(b->items[i].text);
    }
    b->n = 0;
    return r;
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

/* ---- what a write comes to ---- */

struct outcome {
    json_t *doc; /* what is there then, of a deletion the last state; a reference */
    enum control_change_type type;
    bool writes; /* false: nothing differs, or it is a dry run */
};

static int plan_create(struct control_store *s, const struct control_write *w, json_t *old,
                       struct outcome *out, struct wt_err *err)
{
    char uid[37];
    const struct model_kind *kind = model_kind_of(w->doc);
    if (old)
        return wt_fail(err, WT_EEXIST, "%s \"%s\" exists already", kind->plural,
                       model_name(w->doc));
    int r = make_uid(s, uid, err);
    if (r < 0)
        return r;
    json_t *made = json_deep_copy(w->doc);
    if (!made)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    json_t *m = metadata(made);
    if (kind->namespaced)
        json_object_set_new(m, "namespace", json_string(model_namespace(w->doc)));
    json_object_set_new(m, "uid", json_string(uid));
    json_object_set_new(m, "creationTimestamp", time_json(s));
    json_object_set_new(m, "generation", json_integer(1));
    json_object_del(m, "deletionTimestamp");
    json_object_del(m, "resourceVersion");
    if (!(w->parts & CONTROL_STATUS))
        json_object_del(made, "status");
    *out = (struct outcome){made, CONTROL_ADDED, !(w->parts & CONTROL_DRY_RUN)};
    return 0;
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

static int check_current(const json_t *old, const json_t *doc, struct wt_err *err)
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
                       model_kind_of(doc)->plural, model_name(doc));
    return 0;
}

static bool is_last_finalizer_gone(const json_t *doc)
{
    const json_t *m = json_object_get(doc, "metadata");
    return json_object_get(m, "deletionTimestamp") &&
           json_array_size(json_object_get(m, "finalizers")) == 0;
}

static int plan_update(struct control_store *s, const struct control_write *w, json_t *old,
                       struct outcome *out, struct wt_err *err)
{
    (void)s;
    int r = check_current(old, w->doc, err);
    if (r < 0)
        return r;
    json_t *made = merged(old, w->doc, w->parts);
    if (!made)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    if (json_equal(old, made)) {
        json_decref(made);
        *out = (struct outcome){json_incref(old), CONTROL_MODIFIED, false};
        return 0;
    }
    *out = (struct outcome){made, is_last_finalizer_gone(made) ? CONTROL_DELETED : CONTROL_MODIFIED,
                            !(w->parts & CONTROL_DRY_RUN)};
    return 0;
}

static int plan_delete(struct control_store *s, const struct control_write *w, json_t *old,
                       struct outcome *out, struct wt_err *err)
{
    int r = check_current(old, w->doc, err);
    if (r < 0)
        return r;
    json_t *made = json_deep_copy(old);
    if (!made)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    json_t *m = metadata(made);
    bool waits = json_array_size(json_object_get(m, "finalizers")) > 0;
    bool marked = json_object_get(m, "deletionTimestamp") != NULL;
    if (waits && !marked)
        json_object_set_new(m, "deletionTimestamp", time_json(s));
    *out = (struct outcome){made, waits ? CONTROL_MODIFIED : CONTROL_DELETED,
                            !(waits && marked) && !(w->parts & CONTROL_DRY_RUN)};
    return 0;
}

static int plan(struct control_store *s, const struct control_write *w, struct outcome *out,
                struct wt_err *err)
{
    static int (*const plans[])(struct control_store * s, const struct control_write *w,
                                json_t *old, struct outcome *out, struct wt_err *err) = {
        [CONTROL_CREATE] = plan_create,
        [CONTROL_UPDATE] = plan_update,
        [CONTROL_DELETE] = plan_delete,
    };
    char key[MODEL_KEY_MAX];
    const struct model_kind *kind = model_kind_of(w->doc);
    if (!kind)
        return wt_fail(err, WT_EINVAL, "this kind is not known");
    json_t *old = control_store_get_key(s, model_key(w->doc, key, sizeof(key)));
    if (!old && w->verb != CONTROL_CREATE)
        return wt_fail(err, WT_ENOENT, "%s \"%s\" not found", kind->plural, model_name(w->doc));
    if (old && control_store_doc_rv(old) > s->rv)
        return wt_fail(err, WT_EINVAL, "%s \"%s\" is in one batch twice", kind->plural,
                       model_name(w->doc));
    return plans[w->verb](s, w, old, out, err);
}

/* ---- writes ---- */

static int write_one(struct control_store *s, const struct control_write *w,
                     const struct control_kv *kv, size_t n_kv, json_t **out, struct wt_err *err)
{
    struct staged item;
    struct control_db_row row;
    struct batch b = {&item, &row, 0};
    struct outcome o;
    int r = plan(s, w, &o, err);
    if (r < 0)
        return r;
    if (o.writes)
        r = stage(s, &b, o.doc, o.type, err);
    r = finish(s, &b, r, kv, w->parts & CONTROL_DRY_RUN ? 0 : n_kv, err);
    if (r == 0 && out)
        *out = json_incref(o.doc);
    json_decref(o.doc);
    return r;
}

int control_store_create(struct control_store *s, const json_t *doc, unsigned parts, json_t **out,
                         struct wt_err *err)
{
    const struct control_write w = {.verb = CONTROL_CREATE, .doc = doc, .parts = parts};
    return write_one(s, &w, NULL, 0, out, err);
}

int control_store_update(struct control_store *s, const json_t *doc, unsigned parts,
                         const struct control_kv *kv, size_t n_kv, json_t **out, struct wt_err *err)
{
    const struct control_write w = {.verb = CONTROL_UPDATE, .doc = doc, .parts = parts};
    return write_one(s, &w, kv, n_kv, out, err);
}

int control_store_delete(struct control_store *s, const struct model_kind *kind,
                         const char *namespace, const char *name, uint64_t rv, unsigned parts,
                         json_t **out, struct wt_err *err)
{
    const json_t *old = control_store_get(s, kind, namespace, name);
    const struct control_write w = {.verb = CONTROL_DELETE, .doc = old, .parts = parts};
    if (!old)
        return wt_fail(err, WT_ENOENT, "%s \"%s\" not found", kind->plural, name);
    if (rv && rv != control_store_doc_rv(old))
        return wt_fail(err, WT_ECONFLICT, "%s \"%s\" was changed by someone else meanwhile",
                       kind->plural, name);
    return write_one(s, &w, NULL, 0, out, err);
}

/* One of several. What is wrong with it alone leaves it out; 0 unless it stops all. */
static int add(struct control_store *s, struct batch *b, struct control_write *w,
               struct wt_err *err)
{
    struct outcome o = {0};
    w->result = 0;
    if (w->verb == CONTROL_LEAVE)
        return 0;
    w->result = plan(s, w, &o, err);
    if (w->result == WT_ENOMEM || w->result == WT_EIO)
        return w->result;
    if (w->result < 0)
        return 0;
    w->out = o.doc;
    return o.writes ? stage(s, b, o.doc, o.type, err) : 0;
}

int control_store_write(struct control_store *s, struct control_write *writes, size_t n,
                        struct wt_err *err)
{
    struct batch b = {wt_calloc(n + 1, sizeof(*b.items)), wt_calloc(n + 1, sizeof(*b.rows)), 0};
    wt_autofree struct control_kv *kv = wt_calloc(n + 1, sizeof(*kv));
    size_t n_kv = 0;
    int r = b.items && b.rows && kv ? 0 : wt_fail(err, WT_ENOMEM, "state store: out of memory");
    for (size_t i = 0; i < n; i++)
        writes[i].out = NULL;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add(s, &b, &writes[i], err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (writes[i].kv.key && writes[i].result == 0 && !(writes[i].parts & CONTROL_DRY_RUN))
            kv[n_kv++] = writes[i].kv;
    size_t changed = b.n;
    r = finish(s, &b, r, kv, n_kv, err);
    for (size_t i = 0; r < 0 && i < n; i++) {
        json_decref(writes[i].out);
        writes[i].out = NULL;
        writes[i].result = r;
    }
    wt_free(b.items);
    wt_free(b.rows);
    return r < 0 ? r : (int)changed;
}

char *control_store_kv_get(struct control_store *s, const char *key)
{
    return control_db_kv_get(&s->db, key);
}

int control_store_kv_each(struct control_store *s, const char *prefix,
                          int (*each)(void *ctx, const char *key, const char *value,
                                      struct wt_err *err),
                          void *ctx, struct wt_err *err)
{
    return control_db_kv_each(&s->db, prefix, each, ctx, err);
}
