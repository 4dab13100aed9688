#include "control/refusal.h"

#include "base/mem.h"
#include "control/event.h"

#include <stdio.h>
#include <string.h>

struct look {
    const char *store;
    struct control_refusals *out;
};

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void add(struct control_refusals *r, const char *key, const char *proxy, const char *what,
                const char *why)
{
    char words[400];
    if (wt_map_get(&r->by_key, wt_str_z(key)))
        return;
    snprintf(words, sizeof(words), "proxy %.60s %s: %.300s", proxy, what, why);
    char *copy = wt_str_dup(wt_str_z(words));
    if (copy && wt_map_put(&r->by_key, wt_str_z(key), copy, NULL) < 0)
        wt_free(copy);
}

static void see(void *ctx, const char *proxy, const json_t *report)
{
    const struct look *look = ctx;
    const json_t *rejected = json_object_get(report, "rejected");
    size_t i;
    json_t *object;
    if (strcmp(text(report, "store"), look->store) != 0)
        return;
    if (rejected)
        add(look->out, "", proxy, "refuses the snapshot", text(rejected, "message"));
    json_array_foreach(json_object_get(report, "notTaken"), i, object)
    {
        if (*text(object, "key"))
            add(look->out, text(object, "key"), proxy, "does not take it", text(object, "message"));
    }
}

void control_refusals_see(const struct control_reports *reports, const char *store, int64_t now_ms,
                          struct control_refusals *out)
{
    struct look look = {store, out};
    *out = (struct control_refusals){0};
    control_reports_each(reports, now_ms, see, &look);
}

void control_refusals_done(struct control_refusals *r)
{
    for (struct wt_map_entry *e = wt_map_first(&r->by_key); e; e = wt_map_next(&r->by_key, e))
        wt_free(e->value);
    wt_map_done(&r->by_key);
    *r = (struct control_refusals){0};
}

const char *control_refusals_of(const struct control_refusals *r, const json_t *doc)
{
    char key[MODEL_KEY_MAX];
    if (wt_map_len(&r->by_key) == 0)
        return NULL;
    return wt_map_get(&r->by_key, wt_str_z(model_key(doc, key, sizeof(key))));
}

void control_refusals_tell(const struct control_refusals *r, const struct control_refusals *before,
                           struct control_store *store, int64_t wall_ms)
{
    for (struct wt_map_entry *e = wt_map_first(&r->by_key); e; e = wt_map_next(&r->by_key, e)) {
        const char *was = wt_map_get(&before->by_key, e->key);
        if (was && strcmp(was, e->value) == 0)
            continue;
        json_t *doc = e->key.len ? control_store_get_key(store, e->key.ptr) : NULL;
        json_t *list = doc          ? json_pack("[O]", doc)
                       : e->key.len ? NULL
                                    : control_store_list(store, model_kind_gateway, NULL);
        size_t i;
        json_array_foreach(list, i, doc)
        {
            control_event_emit(store, doc, true, "NotTaken", e->value, wall_ms);
        }
        json_decref(list);
    }
}

const char *control_refusal_in(const json_t *report, const char *key)
{
    const json_t *rejected = json_object_get(report, "rejected");
    size_t i;
    json_t *object;
    json_array_foreach(json_object_get(report, "notTaken"), i, object)
    {
        if (strcmp(text(object, "key"), key) == 0)
            return text(object, "message");
    }
    return rejected ? text(rejected, "message") : NULL;
}
