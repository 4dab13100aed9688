#include "model/kind.h"

#include <stdio.h>

static bool in_list(const char *list, struct wt_str name)
{
    struct wt_str rest = wt_str_z(list);
    while (rest.ptr) {
        if (wt_str_eq_nocase(wt_str_next(&rest, ','), name))
            return true;
    }
    return false;
}

const struct model_kind *model_kind_find(struct wt_str name)
{
    size_t dot = wt_str_find(name, '.');
    struct wt_str word = wt_str_sub(name, 0, dot);
    struct wt_str group = wt_str_sub(name, dot + 1, name.len);
    for (unsigned i = 0; i < model_kinds_len && word.len; i++) {
        const struct model_kind *k = &model_kinds[i];
        if (dot < name.len && !wt_str_eq_nocase(group, wt_str_z(k->group)))
            continue;
        if (wt_str_eq_nocase(word, wt_str_z(k->name)) ||
            wt_str_eq_nocase(word, wt_str_z(k->plural)) || in_list(k->short_names, word))
            return k;
    }
    return NULL;
}

const struct model_kind *model_kind_exact(struct wt_str api_version, struct wt_str kind)
{
    for (unsigned i = 0; i < model_kinds_len; i++) {
        const struct model_kind *k = &model_kinds[i];
        if ((!api_version.ptr || wt_str_eq(api_version, wt_str_z(k->api_version))) &&
            (!kind.ptr || wt_str_eq(kind, wt_str_z(k->name))))
            return k;
    }
    return NULL;
}

const struct model_kind *model_kind_resource(struct wt_str group, struct wt_str version,
                                             struct wt_str plural)
{
    for (unsigned i = 0; i < model_kinds_len; i++) {
        const struct model_kind *k = &model_kinds[i];
        if (wt_str_eq(group, wt_str_z(k->group)) && wt_str_eq(version, wt_str_z(k->version)) &&
            wt_str_eq(plural, wt_str_z(k->plural)))
            return k;
    }
    return NULL;
}

const struct model_kind *model_kind_of(const json_t *doc)
{
    const char *api_version = json_string_value(json_object_get(doc, "apiVersion"));
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    if (!api_version || !kind)
        return NULL;
    return model_kind_exact(wt_str_z(api_version), wt_str_z(kind));
}

const struct model_kind *model_kind_near(struct wt_str name)
{
    const struct model_kind *best = NULL;
    unsigned best_distance = name.len < 5 ? 2 : 4;
    for (unsigned i = 0; i < model_kinds_len && name.len < 64; i++) {
        unsigned d = wt_str_distance(name, wt_str_z(model_kinds[i].name), best_distance);
        if (d < best_distance) {
            best = &model_kinds[i];
            best_distance = d;
        }
    }
    return best ? best
                : model_kind_find(name); /* "httproute", "hr": only the case or form is wrong */
}

const struct model_field *model_field_find(const struct model_object *object, struct wt_str name)
{
    for (unsigned i = 0; i < object->n_fields; i++) {
        if (wt_str_eq(name, wt_str_z(object->fields[i].name)))
            return &object->fields[i];
    }
    return NULL;
}

static const char *metadata_text(const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(json_object_get(doc, "metadata"), name));
    return text ? text : "";
}

const char *model_name(const json_t *doc)
{
    return metadata_text(doc, "name");
}

const char *model_namespace(const json_t *doc)
{
    const struct model_kind *kind = model_kind_of(doc);
    if (kind && !kind->namespaced)
        return "";
    const char *text = metadata_text(doc, "namespace");
    return *text ? text : "default";
}

char *model_key(const json_t *doc, char *out, size_t size)
{
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    snprintf(out, size, "%s/%s/%s", kind ? kind : "", model_namespace(doc), model_name(doc));
    return out;
}

const char *model_type_text(const struct model_field *field)
{
    static const char *const texts[] = {
        [MODEL_STR] = "string",     [MODEL_ENUM] = "enum",
        [MODEL_BOOL] = "boolean",   [MODEL_INT] = "integer",
        [MODEL_NUM] = "number",     [MODEL_DUR] = "duration",
        [MODEL_TIME] = "time",      [MODEL_MARK] = "{} or true",
        [MODEL_OBJ] = "Object",     [MODEL_LIST] = "[]Object",
        [MODEL_STRS] = "[]string",  [MODEL_ENUMS] = "[]enum",
        [MODEL_INTS] = "[]integer", [MODEL_MAP] = "map[string]string",
        [MODEL_ANY] = "any",        [MODEL_NOT_YET] = "not supported yet",
    };
    return texts[field->type];
}

const char *model_enum_text(const struct model_enum *e, int value)
{
    return value >= 1 && (unsigned)value <= e->n ? e->values[value - 1].text : "";
}

int model_enum_value(const struct model_enum *e, struct wt_str text)
{
    for (unsigned i = 0; i < e->n; i++) {
        if (wt_str_eq(text, wt_str_z(e->values[i].text)))
            return (int)i + 1;
    }
    return 0;
}
