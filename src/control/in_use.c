#include "control/in_use.h"

#include "base/arena.h"
#include "control/migration_plan.h"
#include "control/reconcile.h"
#include "control/rival.h"
#include "model/kind.h"
#include "model/view.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_BYTES = 4 << 20 };

static const json_t *status_of(const json_t *migration)
{
    return json_object_get(migration, "status");
}

static double weight_of(const json_t *migration)
{
    return json_number_value(json_object_get(status_of(migration), "weight"));
}

static bool is_completed(const json_t *migration)
{
    const char *phase = json_string_value(json_object_get(status_of(migration), "phase"));
    return phase && strcmp(phase, "Completed") == 0;
}

static bool is_retired(const json_t *migration)
{
    const json_t *c;
    size_t i;
    json_array_foreach(json_object_get(status_of(migration), "conditions"), i, c)
    {
        const char *type = json_string_value(json_object_get(c, "type"));
        const char *status = json_string_value(json_object_get(c, "status"));
        if (type && status && strcmp(type, "Retired") == 0)
            return strcmp(status, "True") == 0;
    }
    return false;
}

static bool is_superseded(const struct control_store *store, const json_t *migration)
{
    json_t *all = control_store_list(store, model_kind_migration, model_namespace(migration));
    const json_t *other;
    bool superseded = false;
    size_t i;
    json_array_foreach(all, i, other)
    {
        superseded |= control_rival_supersedes(other, migration);
    }
    json_decref(all);
    return superseded;
}

static int see_routes(const struct control_store *store, const json_t *migration,
                      struct control_migration_seen *seen)
{
    const struct model_migration *m;
    struct wt_err err;
    wt_autoarena struct wt_arena arena = wt_arena_make(ARENA_BYTES);
    int r = model_migration_view(migration, &arena, &m, &err);
    if (r == 0)
        control_observe_routes(store, model_namespace(migration), m->spec, seen);
    return r;
}

bool control_in_use_share(const struct control_store *store, const json_t *migration)
{
    struct control_migration_seen seen = {0};
    double weight = weight_of(migration);
    if (weight <= 0)
        return false;
    if (see_routes(store, migration, &seen) < 0)
        return true;
    if (is_completed(migration))
        return seen.routes_name_from && !is_superseded(store, migration);
    return seen.routes_name_any && seen.routes_share != weight;
}

static bool is_side(const json_t *migration, const char *side, const json_t *backend)
{
    const json_t *ref = json_object_get(json_object_get(migration, "spec"), side);
    const char *name = json_string_value(json_object_get(ref, "name"));
    return name && strcmp(name, model_name(backend)) == 0 &&
           strcmp(model_namespace(migration), model_namespace(backend)) == 0;
}

/* All users of one that has begun are on its old side. */
static bool rests_on(const struct control_store *store, const json_t *migration,
                     const json_t *backend)
{
    struct control_migration_seen seen = {0};
    bool begun = json_integer_value(json_object_get(status_of(migration), "epoch")) > 0;
    return begun && !is_completed(migration) && is_side(migration, "from", backend) &&
           see_routes(store, migration, &seen) == 0 && seen.routes_name_from;
}

static bool needs(const struct control_store *store, const json_t *migration, const json_t *backend)
{
    bool is_to = is_side(migration, "to", backend);
    if (!is_to && !is_side(migration, "from", backend))
        return false;
    bool over = is_completed(migration) || (is_retired(migration) && !is_to);
    return !over || control_in_use_share(store, migration);
}

json_t *control_in_use_by(const struct control_store *store, const json_t *migrations,
                          const json_t *backend, bool resting)
{
    json_t *m;
    size_t i;
    json_array_foreach(migrations, i, m)
    {
        if (weight_of(m) > 0 ? needs(store, m, backend) : resting && rests_on(store, m, backend))
            return m;
    }
    return NULL;
}

void control_in_use_why(const json_t *migration, const json_t *backend, char *out, size_t size)
{
    double weight = weight_of(migration);
    const char *name = model_name(migration);
    snprintf(out, size,
             "backends \"%s\" is needed by Migration %s, which has %.15g %% of users on its new "
             "side: `watari migrate abort %s` takes them back, `watari migrate %s %s` %s",
             model_name(backend), name, weight, name,
             weight < 100 ? "promote --full" : "finish --apply", name,
             weight < 100 ? "moves all" : "ends it");
}

bool control_in_use_has_finalizer(const json_t *doc)
{
    const json_t *f;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(doc, "metadata"), "finalizers"), i, f)
    {
        if (strcmp(json_string_value(f), CONTROL_IN_USE_FINALIZER) == 0)
            return true;
    }
    return false;
}

void control_in_use_set_finalizer(json_t *doc, bool wanted)
{
    json_t *meta = json_object_get(doc, "metadata"), *list = json_array(), *f;
    size_t i;
    json_array_foreach(json_object_get(meta, "finalizers"), i, f)
    {
        if (strcmp(json_string_value(f), CONTROL_IN_USE_FINALIZER) != 0)
            json_array_append(list, f);
    }
    if (wanted)
        json_array_append_new(list, json_string(CONTROL_IN_USE_FINALIZER));
    json_object_set_new(meta, "finalizers", list);
}
