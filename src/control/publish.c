#include "control/publish.h"

#include "base/log.h"
#include "base/mem.h"
#include "model/slots.h"

#include <stdio.h>
#include <string.h>

struct control_publisher {
    struct control_store *store;
    struct model_snapshot *snapshot;
};

static const struct model_kind *const *published_kinds(size_t *n)
{
    static const struct model_kind *kinds[5];
    kinds[0] = model_kind_gateway;
    kinds[1] = model_kind_http_route;
    kinds[2] = model_kind_backend;
    kinds[3] = model_kind_backend_traffic_policy;
    kinds[4] = model_kind_migration;
    *n = 5;
    return kinds;
}

static bool is_published(const struct model_kind *kind)
{
    size_t n;
    const struct model_kind *const *kinds = published_kinds(&n);
    for (size_t i = 0; i < n; i++)
        if (kinds[i] == kind)
            return true;
    return false;
}

static void pick(json_t *to, const json_t *from, const char *const *names)
{
    for (; *names; names++) {
        json_t *value = json_object_get(from, *names);
        if (value)
            json_object_set(to, *names, value);
    }
}

static const char *text_at(const json_t *doc, const char *a, const char *b, const char *c)
{
    json_t *v = json_object_get(json_object_get(doc, a), b);
    if (c)
        v = json_object_get(v, c);
    return json_string_value(v);
}

/* spec.salt, or "<namespace>/<from>". */
static void salt_of(const json_t *doc, char *out, size_t size)
{
    const char *salt = text_at(doc, "spec", "salt", NULL);
    const char *from = text_at(doc, "spec", "from", "name");
    if (salt)
        snprintf(out, size, "%s", salt);
    else
        snprintf(out, size, "%s/%s", model_namespace(doc), from ? from : "");
}

static bool same_table(const json_t *doc, const json_t *before)
{
    char a[400], b[400];
    salt_of(doc, a, sizeof(a));
    salt_of(before, b, sizeof(b));
    return strcmp(a, b) == 0 &&
           json_equal(json_object_get(json_object_get(doc, "status"), "weight"),
                      json_object_get(json_object_get(before, "status"), "weight"));
}

static json_t *table_bits(const json_t *doc)
{
    char salt[400];
    salt_of(doc, salt, sizeof(salt));
    double weight = json_number_value(json_object_get(json_object_get(doc, "status"), "weight"));
    wt_autofree struct model_slots *slots = wt_malloc(sizeof(*slots));
    wt_autobuf struct wt_buf text = wt_buf_make(64 << 10);
    if (!slots)
        return NULL;
    model_slots_fill(slots, 0);
    if (model_slots_set_share(slots, weight, model_slots_key(wt_str_z(salt)), NULL) < 0 ||
        model_slots_encode(slots, 2, &text) < 0)
        return NULL;
    return json_stringn(text.ptr, text.len);
}

static json_t *make_table(const json_t *doc, const json_t *before)
{
    json_t *old =
        json_object_get(json_object_get(json_object_get(before, "status"), "table"), "bits");
    json_t *bits = old && same_table(doc, before) ? json_incref(old) : table_bits(doc);
    json_t *version = json_object_get(json_object_get(doc, "status"), "tableVersion");
    if (!bits)
        return NULL;
    return json_pack("{s:I, s:o}", "version", (json_int_t)json_integer_value(version), "bits",
                     bits);
}

/* Only what changes what a proxy does or shows (users change together with the weight). */
static json_t *migration_status(const json_t *doc, const json_t *before)
{
    static const char *const names[] = {"phase", "epoch", "step",    "weight", "tableVersion",
                                        "stuck", "held",  "verdict", "users",  NULL};
    const json_t *status = json_object_get(doc, "status");
    json_t *out = json_object();
    pick(out, status, names);
    json_t *conditions = json_array(), *c;
    size_t i;
    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        const char *type = json_string_value(json_object_get(c, "type"));
        if (type && strcmp(type, "Retired") == 0)
            json_array_append_new(conditions, json_pack("{s:s, s:O}", "type", type, "status",
                                                        json_object_get(c, "status")));
    }
    json_object_set_new(out, "conditions", conditions);
    json_t *table = make_table(doc, before);
    if (!table) {
        json_decref(out);
        return NULL;
    }
    json_object_set_new(out, "table", table);
    return out;
}

/* The form in which a proxy gets a document: new, or NULL without memory. `before` is what was
 * published last (or NULL): its slot table is used again when salt and weight are the same. */
static json_t *form_of(const json_t *doc, const json_t *before)
{
    static const char *const top[] = {"apiVersion", "kind", "spec", NULL};
    static const char *const meta[] = {"name",       "namespace",         "uid",
                                       "generation", "creationTimestamp", NULL};
    json_t *out = json_object(), *m = json_object();
    if (!out || !m) {
        json_decref(out);
        json_decref(m);
        return NULL;
    }
    pick(out, doc, top);
    pick(m, json_object_get(doc, "metadata"), meta);
    json_object_set_new(out, "metadata", m);
    if (model_kind_of(doc) == model_kind_migration && json_object_get(doc, "status")) {
        json_t *status = migration_status(doc, before);
        if (!status) {
            json_decref(out);
            return NULL;
        }
        json_object_set_new(out, "status", status);
    }
    return out;
}

static bool publish(struct control_publisher *p, json_t *doc, uint64_t rv)
{
    char key[MODEL_KEY_MAX];
    struct wt_str k = wt_str_z(model_key(doc, key, sizeof(key)));
    const struct model_item *item = model_snapshot_get(p->snapshot, k);
    json_t *form = form_of(doc, item ? item->doc : NULL);
    bool changed = form && !(item && json_equal(form, item->doc));
    if (!form || (changed && model_snapshot_set(p->snapshot, k, rv, form) < 0))
        wt_log(WT_LOG_ERROR, "publish %s: out of memory; proxies keep what they have", key);
    json_decref(form);
    return changed;
}

bool control_publisher_change(struct control_publisher *p, const struct control_change *change)
{
    char key[MODEL_KEY_MAX];
    if (!is_published(change->kind))
        return false;
    if (change->type == CONTROL_DELETED)
        return model_snapshot_remove(
            p->snapshot, wt_str_z(model_key(change->doc, key, sizeof(key))), change->rv);
    return publish(p, change->doc, change->rv);
}

/* The set's version becomes the store's: else a proxy that missed the last removal before a restart
 * of ours would be told that it has all. */
static int raise_version(struct control_publisher *p, uint64_t rv)
{
    const struct wt_str key = WT_STR("Gateway//");
    json_t *doc = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", model_kind_gateway->api_version,
                            "kind", "Gateway", "metadata", "name", "-");
    int r = doc ? model_snapshot_set(p->snapshot, key, rv, doc) : WT_ENOMEM;
    json_decref(doc);
    if (r == 0)
        model_snapshot_remove(p->snapshot, key, rv);
    return r;
}

int control_publisher_new(struct control_store *store, struct control_publisher **out,
                          struct wt_err *err)
{
    struct control_publisher *p = wt_calloc(1, sizeof(*p));
    if (!p)
        return wt_fail(err, WT_ENOMEM, "publish: out of memory");
    p->store = store;
    p->snapshot = model_snapshot_new(wt_str_z(control_store_id(store)));
    if (!p->snapshot) {
        control_publisher_free(p);
        return wt_fail(err, WT_ENOMEM, "publish: out of memory");
    }
    int r;
    size_t n_kinds;
    const struct model_kind *const *kinds = published_kinds(&n_kinds);
    for (size_t k = 0; k < n_kinds; k++) {
        json_t *list = control_store_list(store, kinds[k], NULL), *doc;
        size_t i;
        json_array_foreach(list, i, doc)
        {
            publish(p, doc, control_store_doc_rv(doc));
        }
        json_decref(list);
    }
    r = raise_version(p, control_store_rv(store));
    if (r < 0) {
        control_publisher_free(p);
        return wt_fail(err, r, "publish: out of memory");
    }
    model_snapshot_forget(p->snapshot);
    *out = p;
    return 0;
}

void control_publisher_free(struct control_publisher *p)
{
    if (!p)
        return;
    model_snapshot_free(p->snapshot);
    wt_free(p);
}

const struct model_snapshot *control_publisher_snapshot(const struct control_publisher *p)
{
    return p->snapshot;
}
