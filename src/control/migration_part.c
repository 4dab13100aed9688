#include "control/migration_part.h"

#include "model/kind.h"

#include <string.h>

static bool is_named(const json_t *ref, const char *name)
{
    const char *text = json_string_value(json_object_get(ref, "name"));
    return text && strcmp(text, name) == 0;
}

/* Whether users are on their way between its sides, and `doc` is it or a part of it. */
static bool is_part_of(const json_t *migration, const json_t *doc)
{
    const json_t *status = json_object_get(migration, "status"), *ref;
    const json_t *spec = json_object_get(migration, "spec");
    double weight = json_number_value(json_object_get(status, "weight"));
    const struct model_kind *kind = model_kind_of(doc);
    const char *name = model_name(doc);
    size_t i;
    if (weight <= 0 || weight >= 100 ||
        strcmp(model_namespace(migration), model_namespace(doc)) != 0)
        return false;
    if (kind == model_kind_migration)
        return strcmp(model_name(migration), name) == 0;
    if (kind == model_kind_backend)
        return is_named(json_object_get(spec, "from"), name) ||
               is_named(json_object_get(spec, "to"), name);
    json_array_foreach(json_object_get(spec, "routeRefs"), i, ref)
    {
        const char *of = json_string_value(json_object_get(ref, "kind"));
        if (kind && of && strcmp(of, kind->name) == 0 && is_named(ref, name))
            return true;
    }
    return false;
}

json_t *control_migration_of(const json_t *migrations, const json_t *doc)
{
    json_t *m;
    size_t i;
    json_array_foreach(migrations, i, m)
    {
        if (is_part_of(m, doc))
            return m;
    }
    return NULL;
}
