#include "control/policy_status.h"

#include "control/condition.h"
#include "model/attach.h"
#include "model/view.h"

#include <stdio.h>
#include <string.h>

/* ANCESTORS_MAX is of PolicyStatus. */
enum { POLICIES_BYTES = 64 << 20, ANCESTORS_MAX = 16 };

enum target_case { NOT_FOUND, CONFLICTED, NOT_TAKEN, IN_FORCE };

/* Reasons are those of the Gateway API (PolicyConditionReason). */
static const struct control_condition accepted[] = {
    [NOT_FOUND] = {"Accepted", MODEL_CONDITION_FALSE, "TargetNotFound",
                   "there is no Backend \"%s\""},
    [CONFLICTED] = {"Accepted", MODEL_CONDITION_FALSE, "Conflicted",
                    "BackendTrafficPolicy \"%s\" comes first and is in force"},
    [NOT_TAKEN] = {"Accepted", MODEL_CONDITION_FALSE, "Invalid", "%s"},
    [IN_FORCE] = {"Accepted", MODEL_CONDITION_TRUE, "Accepted", "in force for Backend \"%s\""},
};

static struct wt_str key_of(struct wt_str namespace, struct wt_str name, char out[MODEL_KEY_MAX])
{
    snprintf(out, MODEL_KEY_MAX, "%.*s/%.*s", WT_ARG(namespace), WT_ARG(name));
    return wt_str_z(out);
}

static int add_policy(struct control_policies *p, const json_t *doc, struct wt_err *err)
{
    char key[MODEL_KEY_MAX];
    const struct model_backend_traffic_policy *v;
    int r = model_backend_traffic_policy_view(doc, &p->arena, &v, err);
    for (size_t i = 0; r == 0 && i < v->spec->n_target_refs; i++) {
        struct wt_str target = key_of(v->metadata->namespace, v->spec->target_refs[i].name, key);
        const struct model_metadata *owner = wt_map_get(&p->owners, target);
        if (owner && model_attach_order(owner, v->metadata) <= 0)
            continue;
        if (wt_map_put(&p->owners, target, (void *)(uintptr_t)v->metadata, NULL) < 0)
            r = wt_fail(err, WT_ENOMEM, "out of memory");
    }
    return r;
}

int control_policies_see(const struct control_store *store, struct control_policies *out,
                         struct wt_err *err)
{
    *out = (struct control_policies){.arena = wt_arena_make(POLICIES_BYTES)};
    out->docs = control_store_list(store, model_kind_backend_traffic_policy, NULL);
    int r = out->docs ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < json_array_size(out->docs); i++)
        r = add_policy(out, json_array_get(out->docs, i), err);
    if (r < 0)
        control_policies_done(out);
    return r;
}

void control_policies_done(struct control_policies *p)
{
    wt_map_done(&p->owners);
    wt_arena_done(&p->arena);
    json_decref(p->docs);
    *p = (struct control_policies){0};
}

/* *about: what the condition's message names. */
static enum target_case see_target(const struct control_policies *p,
                                   const struct control_store *store, const json_t *doc,
                                   const char *target, const char **about)
{
    char key[MODEL_KEY_MAX];
    const struct model_metadata *owner =
        wt_map_get(&p->owners, key_of(wt_str_z(model_namespace(doc)), wt_str_z(target), key));
    *about = target;
    if (!control_store_get(store, model_kind_backend, model_namespace(doc), target))
        return NOT_FOUND;
    if (!owner || wt_str_eq(owner->name, wt_str_z(model_name(doc))))
        return IN_FORCE;
    *about = owner->name.ptr;
    return CONFLICTED;
}

json_t *control_policy_status(const struct control_policies *p, const struct control_store *store,
                              const json_t *doc, const char *refused, int64_t wall_ms)
{
    const json_t *before = json_object_get(json_object_get(doc, "status"), "ancestors");
    json_t *entries = control_condition_others(before, ANCESTORS_MAX), *ref;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(doc, "spec"), "targetRefs"), i, ref)
    {
        if (json_array_size(entries) >= ANCESTORS_MAX)
            break;
        const char *about;
        enum target_case what =
            see_target(p, store, doc, json_string_value(json_object_get(ref, "name")), &about);
        if (what == IN_FORCE && refused) {
            what = NOT_TAKEN;
            about = refused;
        }
        json_t *list = json_array();
        control_condition_add_about(list, control_condition_ours(before, "ancestorRef", ref),
                                    &accepted[what], about, doc, wall_ms);
        control_condition_add_entry(entries, "ancestorRef", ref, list);
    }
    return json_pack("{s:o}", "ancestors", entries);
}
