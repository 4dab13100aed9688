#include "model/check.h"

#include <math.h>

static bool default_is_plain(enum model_type type)
{
    return type == MODEL_STR || type == MODEL_ENUM || type == MODEL_DUR || type == MODEL_TIME;
}

static json_t *default_value(const struct model_field *f)
{
    return default_is_plain(f->type) ? json_string(f->def)
                                     : json_loads(f->def, JSON_DECODE_ANY, NULL);
}

/* 1.0 and 1 are the same weight, but not the same JSON: one form, or a diff shows a change that is
 * none. */
static int fill_number(json_t *parent, const char *name, const json_t *v)
{
    double x = json_real_value(v);
    if (!json_is_real(v) || x != floor(x) || fabs(x) > 1e15)
        return 0;
    return json_object_set_new(parent, name, json_integer((json_int_t)x));
}

static int fill_object(const struct model_object *object, json_t *v);

static int fill_field(const struct model_field *f, json_t *parent)
{
    json_t *v = json_object_get(parent, f->name);
    if (json_is_null(v)) {
        json_object_del(parent, f->name);
        v = NULL;
    }
    bool empty = f->type == MODEL_LIST && json_is_array(v) && json_array_size(v) == 0;
    if ((!v || empty) && f->def) {
        if (json_object_set_new(parent, f->name, default_value(f)) < 0)
            return WT_ENOMEM;
        v = json_object_get(parent, f->name);
    }
    if (!v)
        return 0;
    if (f->type == MODEL_NUM)
        return fill_number(parent, f->name, v) < 0 ? WT_ENOMEM : 0;
    if (f->type == MODEL_OBJ)
        return fill_object(f->object(), v);
    for (size_t i = 0; f->type == MODEL_LIST && i < json_array_size(v); i++) {
        int r = fill_object(f->object(), json_array_get(v, i));
        if (r < 0)
            return r;
    }
    return 0;
}

static int fill_object(const struct model_object *object, json_t *v)
{
    for (unsigned i = 0; i < object->n_fields; i++) {
        int r = fill_field(&object->fields[i], v);
        if (r < 0)
            return r;
    }
    return 0;
}

int model_fill(json_t *doc)
{
    const struct model_kind *kind = model_kind_of(doc);
    if (!kind)
        return 0;
    int r = fill_object(kind->object(), doc);
    if (!kind->namespaced)
        json_object_del(json_object_get(doc, "metadata"), "namespace");
    return r;
}

void model_redact_object(const struct model_object *object, json_t *v)
{
    for (unsigned i = 0; i < object->n_fields; i++) {
        const struct model_field *f = &object->fields[i];
        json_t *m = json_object_get(v, f->name);
        if (!m)
            continue;
        if (f->flags & MODEL_SECRET)
            json_object_set_new(v, f->name, json_string("(hidden)"));
        else if (f->type == MODEL_OBJ)
            model_redact_object(f->object(), m);
        for (size_t k = 0; f->type == MODEL_LIST && k < json_array_size(m); k++)
            model_redact_object(f->object(), json_array_get(m, k));
    }
}

void model_redact(json_t *doc)
{
    const struct model_kind *kind = model_kind_of(doc);
    if (kind)
        model_redact_object(kind->object(), doc);
}
