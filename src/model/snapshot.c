#include "model/snapshot.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/check.h"

#define REMOVALS_MAX 4096

struct entry {
    struct model_item item;
    const struct model_kind *kind;
    struct wt_list link;
    uint64_t seen; /* the apply that named it last */
};

struct removal {
    char *key;
    uint64_t version;
};

struct model_snapshot {
    char *store;
    uint64_t version;
    uint64_t forgotten; /* deltas from below this version are full */
    uint64_t applies;
    struct wt_map map; /* struct entry */
    struct wt_list order;
    struct removal *removals; /* a ring of REMOVALS_MAX, made at the first removal */
    size_t first, n_removals;
};

struct model_snapshot *model_snapshot_new(struct wt_str store)
{
    struct model_snapshot *s = wt_calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->store = wt_str_dup(store);
    wt_list_init(&s->order);
    if (!s->store) {
        wt_free(s);
        return NULL;
    }
    return s;
}

static void entry_free(struct entry *e)
{
    wt_list_remove(&e->link);
    json_decref(e->item.doc);
    wt_free(e->item.wrong);
    wt_free((char *)e->item.key.ptr);
    wt_free(e);
}

/* A document that is wrong may not say; its key does. */
static const struct model_kind *kind_of(struct wt_str key, const json_t *doc)
{
    const struct model_kind *kind = model_kind_of(doc);
    return kind ? kind : model_kind_find(wt_str_sub(key, 0, wt_str_find(key, '/')));
}

static struct entry *entry_new(struct wt_str key, uint64_t version, json_t *doc)
{
    struct entry *e = wt_calloc(1, sizeof(*e));
    char *copy = wt_str_dup(key);
    if (!e || !copy) {
        wt_free(e);
        wt_free(copy);
        return NULL;
    }
    e->item = (struct model_item){{copy, key.len}, version, json_incref(doc), NULL};
    e->kind = kind_of(key, doc);
    wt_list_init(&e->link);
    return e;
}

static void drop_removal(struct model_snapshot *s)
{
    struct removal *r = &s->removals[s->first];
    s->forgotten = r->version > s->forgotten ? r->version : s->forgotten;
    wt_free(r->key);
    s->first = (s->first + 1) % REMOVALS_MAX;
    s->n_removals--;
}

void model_snapshot_forget(struct model_snapshot *s)
{
    while (s->n_removals)
        drop_removal(s);
    s->forgotten = s->version;
}

void model_snapshot_free(struct model_snapshot *s)
{
    if (!s)
        return;
    while (!wt_list_empty(&s->order))
        entry_free(WT_CONTAINER(s->order.next, struct entry, link));
    while (s->n_removals)
        drop_removal(s);
    wt_map_done(&s->map);
    wt_free(s->removals);
    wt_free(s->store);
    wt_free(s);
}

struct wt_str model_snapshot_store(const struct model_snapshot *s)
{
    return wt_str_z(s->store);
}

uint64_t model_snapshot_version(const struct model_snapshot *s)
{
    return s->version;
}

size_t model_snapshot_len(const struct model_snapshot *s)
{
    return wt_map_len(&s->map);
}

const struct model_item *model_snapshot_get(const struct model_snapshot *s, struct wt_str key)
{
    const struct entry *e = wt_map_get(&s->map, key);
    return e ? &e->item : NULL;
}

static int add_entry(struct model_snapshot *s, struct wt_str key, uint64_t version, json_t *doc)
{
    struct entry *e = entry_new(key, version, doc);
    if (!e)
        return WT_ENOMEM;
    int r = wt_map_put(&s->map, key, e, NULL);
    if (r < 0) {
        entry_free(e);
        return r;
    }
    wt_list_add_tail(&s->order, &e->link);
    return 0;
}

static void replace_doc(struct entry *e, uint64_t version, json_t *doc)
{
    json_t *old = e->item.doc;
    e->item.doc = json_incref(doc);
    e->item.version = version;
    e->kind = kind_of(e->item.key, doc);
    wt_free(e->item.wrong);
    e->item.wrong = NULL;
    json_decref(old);
}

int model_snapshot_set(struct model_snapshot *s, struct wt_str key, uint64_t version, json_t *doc)
{
    struct entry *e = wt_map_get(&s->map, key);
    int r = 0;
    if (e)
        replace_doc(e, version, doc);
    else
        r = add_entry(s, key, version, doc);
    if (r == 0 && version > s->version)
        s->version = version;
    return r;
}

/* Without memory to remember it, older readers get a full delta instead. */
static void remember_removal(struct model_snapshot *s, struct wt_str key, uint64_t version)
{
    if (!s->removals)
        s->removals = wt_calloc(REMOVALS_MAX, sizeof(*s->removals));
    char *copy = s->removals ? wt_str_dup(key) : NULL;
    if (!copy) {
        s->forgotten = version;
        return;
    }
    if (s->n_removals == REMOVALS_MAX)
        drop_removal(s);
    size_t at = (s->first + s->n_removals++) % REMOVALS_MAX;
    s->removals[at] = (struct removal){copy, version};
}

bool model_snapshot_remove(struct model_snapshot *s, struct wt_str key, uint64_t version)
{
    struct entry *e = wt_map_take(&s->map, key);
    if (!e)
        return false;
    remember_removal(s, key, version);
    entry_free(e);
    if (version > s->version)
        s->version = version;
    return true;
}

const struct model_item *model_snapshot_next(const struct model_snapshot *s,
                                             const struct model_kind *kind,
                                             const struct model_item *after)
{
    const struct wt_list *l =
        after ? WT_CONTAINER(after, struct entry, item)->link.next : s->order.next;
    for (; l != &s->order; l = l->next) {
        const struct entry *e = WT_CONTAINER(l, struct entry, link);
        if (!kind || e->kind == kind)
            return &e->item;
    }
    return NULL;
}

/* Deltas out. */

static int delta_set(const struct model_snapshot *s, uint64_t since, json_t *set)
{
    const struct model_item *i;
    for (i = model_snapshot_next(s, NULL, NULL); i; i = model_snapshot_next(s, NULL, i)) {
        if (i->version <= since && since)
            continue;
        json_t *item = json_pack("{s:s#, s:I, s:O}", "key", i->key.ptr, (int)i->key.len, "version",
                                 (json_int_t)i->version, "object", i->doc);
        if (!item || json_array_append_new(set, item) < 0)
            return WT_ENOMEM;
    }
    return 0;
}

static int delta_remove(const struct model_snapshot *s, uint64_t since, json_t *remove)
{
    for (size_t i = 0; since && i < s->n_removals; i++) {
        const struct removal *r = &s->removals[(s->first + i) % REMOVALS_MAX];
        if (r->version <= since || wt_map_get(&s->map, wt_str_z(r->key)))
            continue;
        if (json_array_append_new(remove, json_string(r->key)) < 0)
            return WT_ENOMEM;
    }
    return 0;
}

int model_snapshot_delta(const struct model_snapshot *s, struct wt_str store, uint64_t since,
                         json_t **out)
{
    bool same = wt_str_eq(store, model_snapshot_store(s));
    bool known = same && since >= s->forgotten && since <= s->version;
    if (known && since == s->version) {
        *out = json_null();
        return 0;
    }
    uint64_t from = known ? since : 0;
    json_t *set = json_array(), *remove = json_array();
    int r = set && remove ? delta_set(s, from, set) : WT_ENOMEM;
    if (r == 0)
        r = delta_remove(s, from, remove);
    json_t *delta = json_pack("{s:I, s:I, s:o, s:o}", "from", (json_int_t)from, "to",
                              (json_int_t)s->version, "set", set, "remove", remove);
    if (!delta)
        return WT_ENOMEM; /* json_pack took both lists */
    if (r < 0)
        json_decref(delta);
    else
        *out = delta;
    return r;
}

/* Deltas in. */

struct delta {
    const json_t *set, *remove;
    uint64_t from, to;
    bool same_store;
    struct wt_map wrong; /* key -> the sentence about a document that is new and wrong */
};

static void delta_done(struct delta *d)
{
    for (struct wt_map_entry *e = wt_map_first(&d->wrong); e; e = wt_map_next(&d->wrong, e))
        wt_free(e->value);
    wt_map_done(&d->wrong);
}

static int note_wrong(struct delta *d, struct wt_str key, const char *sentence, struct wt_err *err)
{
    void *old = NULL;
    char *copy = wt_str_dup(wt_str_z(sentence));
    if (!copy || wt_map_put(&d->wrong, key, copy, &old) < 0) {
        wt_free(copy);
        return wt_fail(err, WT_ENOMEM, "no memory");
    }
    wt_free(old);
    return 0;
}

struct delta_item {
    struct wt_str key;
    uint64_t version;
    json_t *doc;
};

static bool read_item(const json_t *v, struct delta_item *out)
{
    const json_t *key = json_object_get(v, "key");
    const json_t *version = json_object_get(v, "version");
    *out = (struct delta_item){wt_str(json_string_value(key), json_string_length(key)),
                               (uint64_t)json_integer_value(version), json_object_get(v, "object")};
    return json_is_string(key) && json_is_integer(version) && json_integer_value(version) >= 0 &&
           json_is_object(out->doc);
}

/* After a restart of control the version of an item may have risen with its status, which is no
 * part of it: what is the same document stays the same version, or all that stands on it would be
 * made anew. Versions of another store say nothing. */
static bool is_unchanged(const struct model_snapshot *s, const struct delta *d,
                         const struct delta_item *i)
{
    const struct entry *e = wt_map_get(&s->map, i->key);
    return e && d->same_store && (e->item.version == i->version || json_equal(e->item.doc, i->doc));
}

static int check_item(const struct model_snapshot *s, struct delta *d, const json_t *v,
                      struct wt_err *err)
{
    struct delta_item i;
    char key[MODEL_KEY_MAX];
    if (!read_item(v, &i))
        return wt_fail(err, WT_EINVAL, "an item needs key, version and object");
    if (i.version > d->to)
        return wt_fail(err, WT_EINVAL, "%.100s is newer than the snapshot", i.key.ptr);
    if (is_unchanged(s, d, &i))
        return 0;
    struct model_errors errors = {0};
    int r = model_check(i.doc, NULL, NULL, &errors);
    if (r < 0)
        r = errors.n_errors ? note_wrong(d, i.key, errors.errors[0].text, err)
                            : wt_fail(err, r, "%.100s: no memory", i.key.ptr);
    else if (!wt_str_eq(i.key, wt_str_z(model_key(i.doc, key, sizeof(key)))))
        r = wt_fail(err, WT_EINVAL, "%.100s is the key of %s", i.key.ptr, key);
    model_errors_done(&errors);
    return r;
}

static int check_delta(const struct model_snapshot *s, struct delta *d, struct wt_err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(d->set, i, v)
    {
        int r = check_item(s, d, v, err);
        if (r < 0)
            return wt_wrap(err, r, "snapshot");
    }
    json_array_foreach(d->remove, i, v)
    {
        if (!json_is_string(v))
            return wt_fail(err, WT_EINVAL, "snapshot: remove holds what is no key");
    }
    return 0;
}

static int read_delta(const struct model_snapshot *s, struct wt_str store, const json_t *v,
                      struct delta *out, struct wt_err *err)
{
    const json_t *from = json_object_get(v, "from"), *to = json_object_get(v, "to");
    struct delta d = {.set = json_object_get(v, "set"), .remove = json_object_get(v, "remove")};
    d.same_store = wt_str_eq(store, model_snapshot_store(s));
    if (!json_is_integer(from) || !json_is_integer(to) || !json_is_array(d.set) ||
        json_integer_value(from) < 0 || json_integer_value(to) < json_integer_value(from))
        return wt_fail(err, WT_EINVAL, "snapshot: a delta needs from, to and set");
    d.from = (uint64_t)json_integer_value(from);
    d.to = (uint64_t)json_integer_value(to);
    if (d.from && (!d.same_store || d.from != s->version))
        return wt_fail(err, WT_ECONFLICT, "snapshot: the delta starts at version %llu, not at %llu",
                       (unsigned long long)d.from, (unsigned long long)s->version);
    int r = check_delta(s, &d, err);
    if (r < 0)
        delta_done(&d);
    else
        *out = d;
    return r;
}

/* Puts in the items that are new; takes them all out again when one fails. */
static int add_new(struct model_snapshot *s, const json_t *set)
{
    struct wt_list *last = s->order.prev;
    struct delta_item item;
    size_t i;
    json_t *v;
    int r = 0;
    json_array_foreach(set, i, v)
    {
        if (read_item(v, &item) && !wt_map_get(&s->map, item.key))
            r = add_entry(s, item.key, item.version, item.doc);
        if (r < 0)
            break;
    }
    while (r < 0 && s->order.prev != last) {
        struct entry *e = WT_CONTAINER(s->order.prev, struct entry, link);
        wt_map_take(&s->map, e->item.key);
        entry_free(e);
    }
    return r;
}

static void remove_key(struct model_snapshot *s, struct wt_str key)
{
    struct entry *e = wt_map_take(&s->map, key);
    if (e)
        entry_free(e);
}

/* Nothing here can fail. */
static void commit(struct model_snapshot *s, struct delta *d)
{
    struct delta_item item;
    size_t i;
    json_t *v;
    s->applies++;
    json_array_foreach(d->set, i, v)
    {
        if (!read_item(v, &item))
            continue;
        struct entry *e = wt_map_get(&s->map, item.key);
        if (!is_unchanged(s, d, &item))
            replace_doc(e, item.version, item.doc);
        char *wrong = wt_map_take(&d->wrong, item.key);
        if (wrong) {
            wt_free(e->item.wrong);
            e->item.wrong = wrong;
        }
        e->seen = s->applies;
    }
    json_array_foreach(d->remove, i, v)
    {
        struct entry *e = wt_map_get(&s->map, wt_str(json_string_value(v), json_string_length(v)));
        if (e && e->seen != s->applies)
            remove_key(s, e->item.key);
    }
    struct wt_list *next;
    for (struct wt_list *l = s->order.next; !d->from && l != &s->order; l = next) {
        struct entry *e = WT_CONTAINER(l, struct entry, link);
        next = l->next;
        if (e->seen != s->applies)
            remove_key(s, e->item.key);
    }
    s->version = d->to;
    model_snapshot_forget(s);
}

int model_snapshot_apply(struct model_snapshot *s, struct wt_str store, const json_t *delta,
                         struct wt_err *err)
{
    struct delta d;
    if (json_is_null(delta))
        return 0;
    int r = read_delta(s, store, delta, &d, err);
    if (r < 0)
        return r;
    char *name = d.same_store ? NULL : wt_str_dup(store);
    r = d.same_store || name ? add_new(s, d.set) : WT_ENOMEM;
    if (r < 0) {
        wt_free(name);
        delta_done(&d);
        return wt_fail(err, r, "snapshot: no memory");
    }
    if (name) {
        wt_free(s->store);
        s->store = name;
    }
    commit(s, &d);
    delta_done(&d);
    return 0;
}
