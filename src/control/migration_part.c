#include "control/migration_part.h"

#include "control/in_use.h"
#include "model/kind.h"

#include <string.h>

static bool is_named(const json_t *ref, const char *name)
{
    const char *text = json_string_value(json_object_get(ref, "name"));
    return text && strcmp(text, name) == 0;
}

static bool has_route(const json_t *migration, const struct model_kind *kind, const char *name)
{
    const json_t *spec = json_object_get(migration, "spec"), *ref;
    size_t i;
    json_array_foreach(json_object_get(spec, "routeRefs"), i, ref)
    {
        const char *of = json_string_value(json_object_get(ref, "kind"));
        if (kind && of && strcmp(of, kind->name) == 0 && is_named(ref, name))
            return true;
    }
    return false;
}

bool control_migration_part(const struct control_store *store, const json_t *migration,
                            const json_t *doc)
{
    const json_t *status = json_object_get(migration, "status");
    double weight = json_number_value(json_object_get(status, "weight"));
    bool on_their_way = weight > 0 && weight < 100;
    const struct model_kind *kind = model_kind_of(doc);
    const char *name = model_name(doc);
    if (strcmp(model_namespace(migration), model_namespace(doc)) != 0)
        return false;
    if (kind == model_kind_migration)
        return strcmp(model_name(migration), name) == 0 &&
               (on_their_way || control_in_use_share(store, migration));
    return on_their_way && has_route(migration, kind, name);
}

json_t *control_migration_of(const struct control_store *store, const json_t *migrations,
                             const json_t *doc)
{
    json_t *m;
    size_t i;
    if (model_kind_of(doc) == model_kind_backend)
        return control_in_use_by(store, migrations, doc, true);
    json_array_foreach(migrations, i, m)
    {
        if (control_migration_part(store, m, doc))
            return m;
    }
    return NULL;
}
