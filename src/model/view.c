#include "model/view.h"

#include "base/clock.h"

#include <stdlib.h>

struct maker {
    struct wt_arena *arena;
    struct wt_err *err;
};

static int wrong_type(struct maker *m, const struct model_field *f)
{
    return wt_fail(m->err, WT_EINVAL, "expected %s", model_type_text(f));
}

static int no_memory(struct maker *m)
{
    return wt_fail(m->err, WT_ENOMEM, "no memory for a view");
}

static struct wt_str json_text(const json_t *v)
{
    return wt_str(json_string_value(v), json_string_length(v));
}

static void put_enum(void *at, int value)
{
    memcpy(at, &value, sizeof(value)); /* all enums of the kinds have the size of int */
}
_Static_assert(sizeof(enum model_http_method) == sizeof(int), "enums of kinds are ints");

static bool parse_time_field(const struct model_field *f, struct wt_str s, int64_t *out)
{
    return f->type == MODEL_DUR ? wt_duration_parse(s, out) : wt_time_parse(s, out);
}

/* Absent scalars hold their default; the table of defaults is right, a unit test walks it. */
static void put_default(const struct model_field *f, void *at)
{
    int64_t number;
    switch (f->type) {
    case MODEL_STR:
        *(struct wt_str *)at = wt_str_z(f->def);
        break;
    case MODEL_ENUM:
        put_enum(at, model_enum_value(f->enumeration, wt_str_z(f->def)));
        break;
    case MODEL_BOOL:
        *(bool *)at = strcmp(f->def, "true") == 0;
        break;
    case MODEL_INT:
        *(int64_t *)at = strtoll(f->def, NULL, 10);
        break;
    case MODEL_NUM:
        *(double *)at = strtod(f->def, NULL);
        break;
    case MODEL_DUR:
    case MODEL_TIME:
        if (parse_time_field(f, wt_str_z(f->def), &number))
            *(int64_t *)at = number;
        break;
    case MODEL_MARK:
    case MODEL_OBJ:
    case MODEL_LIST:
    case MODEL_STRS:
    case MODEL_ENUMS:
    case MODEL_INTS:
    case MODEL_MAP:
    case MODEL_ANY:
    case MODEL_NOT_YET:
        break;
    }
}

static int put_string(struct maker *m, const struct model_field *f, const json_t *v, void *at)
{
    int64_t ms;
    if (!json_is_string(v))
        return wrong_type(m, f);
    if (f->type == MODEL_STR) {
        *(struct wt_str *)at = json_text(v);
        return 0;
    }
    if (f->type == MODEL_ENUM) {
        int value = model_enum_value(f->enumeration, json_text(v));
        put_enum(at, value);
        return value ? 0 : wrong_type(m, f);
    }
    if (!parse_time_field(f, json_text(v), &ms))
        return wrong_type(m, f);
    *(int64_t *)at = ms;
    return 0;
}

static int put_number(struct maker *m, const struct model_field *f, const json_t *v, void *at)
{
    if (f->type == MODEL_BOOL || f->type == MODEL_MARK) {
        *(bool *)at = f->type == MODEL_MARK || json_is_true(v);
        return f->type == MODEL_MARK || json_is_boolean(v) ? 0 : wrong_type(m, f);
    }
    if (f->type == MODEL_INT) {
        *(int64_t *)at = json_integer_value(v);
        return json_is_integer(v) ? 0 : wrong_type(m, f);
    }
    *(double *)at = json_number_value(v);
    return json_is_number(v) ? 0 : wrong_type(m, f);
}

static int fill_view(struct maker *m, const struct model_object *object, const json_t *v,
                     char *view);

static int put_object(struct maker *m, const struct model_field *f, const json_t *v, void *at)
{
    char *view = wt_arena_zalloc(m->arena, f->object()->view_size);
    if (!view)
        return no_memory(m);
    *(void **)at = view;
    return fill_view(m, f->object(), v, view);
}

static size_t item_size(const struct model_field *f)
{
    switch (f->type) {
    case MODEL_LIST:
        return f->object()->view_size;
    case MODEL_STRS:
        return sizeof(struct wt_str);
    case MODEL_INTS:
        return sizeof(int64_t);
    case MODEL_MAP:
        return sizeof(struct model_pair);
    case MODEL_ENUMS:
    case MODEL_STR:
    case MODEL_ENUM:
    case MODEL_BOOL:
    case MODEL_INT:
    case MODEL_NUM:
    case MODEL_DUR:
    case MODEL_TIME:
    case MODEL_MARK:
    case MODEL_OBJ:
    case MODEL_ANY:
    case MODEL_NOT_YET:
        break;
    }
    return sizeof(int);
}

static int put_item(struct maker *m, const struct model_field *f, const json_t *v, char *item)
{
    if (f->type == MODEL_LIST)
        return fill_view(m, f->object(), v, item);
    if (f->type == MODEL_INTS) {
        *(int64_t *)item = json_integer_value(v);
        return json_is_integer(v) ? 0 : wrong_type(m, f);
    }
    if (!json_is_string(v))
        return wrong_type(m, f);
    if (f->type == MODEL_STRS) {
        *(struct wt_str *)item = json_text(v);
        return 0;
    }
    int value = model_enum_value(f->enumeration, json_text(v));
    put_enum(item, value);
    return value ? 0 : wrong_type(m, f);
}

static int put_list(struct maker *m, const struct model_field *f, const json_t *v, char *view)
{
    if (!json_is_array(v))
        return wrong_type(m, f);
    size_t n = json_array_size(v), size = item_size(f);
    char *items = n > UINT32_MAX / 2 ? NULL : wt_arena_zalloc(m->arena, n * size + 1);
    if (!items)
        return no_memory(m);
    for (size_t i = 0; i < n; i++) {
        int r = put_item(m, f, json_array_get(v, i), items + i * size);
        if (r < 0)
            return r;
    }
    *(char **)(view + f->offset) = items;
    *(uint32_t *)(view + f->n_offset) = (uint32_t)n;
    return 0;
}

static int put_map(struct maker *m, const struct model_field *f, const json_t *v, char *view)
{
    const char *key;
    json_t *value;
    if (!json_is_object(v))
        return wrong_type(m, f);
    struct model_pair *pairs =
        wt_arena_zalloc(m->arena, json_object_size(v) * sizeof(struct model_pair) + 1);
    uint32_t n = 0;
    if (!pairs)
        return no_memory(m);
    json_object_foreach((json_t *)v, key, value)
    {
        if (!json_is_string(value))
            return wrong_type(m, f);
        pairs[n++] = (struct model_pair){wt_str_z(key), json_text(value)};
    }
    *(struct model_pair **)(view + f->offset) = pairs;
    *(uint32_t *)(view + f->n_offset) = n;
    return 0;
}

static int put_field(struct maker *m, const struct model_field *f, json_t *v, char *view)
{
    switch (f->type) {
    case MODEL_STR:
    case MODEL_ENUM:
    case MODEL_DUR:
    case MODEL_TIME:
        return put_string(m, f, v, view + f->offset);
    case MODEL_BOOL:
    case MODEL_MARK:
    case MODEL_INT:
    case MODEL_NUM:
        return put_number(m, f, v, view + f->offset);
    case MODEL_OBJ:
        return put_object(m, f, v, view + f->offset);
    case MODEL_LIST:
    case MODEL_STRS:
    case MODEL_ENUMS:
    case MODEL_INTS:
        return put_list(m, f, v, view);
    case MODEL_MAP:
        return put_map(m, f, v, view);
    case MODEL_ANY:
        *(json_t **)(view + f->offset) = v;
        return 0;
    case MODEL_NOT_YET:
        break;
    }
    return wt_fail(m->err, WT_EINVAL, "is not supported yet");
}

static int fill_view(struct maker *m, const struct model_object *object, const json_t *v,
                     char *view)
{
    if (!json_is_object(v))
        return wt_fail(m->err, WT_EINVAL, "expected an object");
    for (unsigned i = 0; i < object->n_fields; i++) {
        const struct model_field *f = &object->fields[i];
        json_t *value = json_object_get(v, f->name);
        if (!value || json_is_null(value)) {
            if (f->def)
                put_default(f, view + f->offset);
            continue;
        }
        int r = put_field(m, f, value, view);
        if (r < 0)
            return wt_wrap(m->err, r, "%s", f->name);
        *(bool *)(view + f->has_offset) = true;
    }
    return 0;
}

int model_view_object(const json_t *value, const struct model_object *object,
                      struct wt_arena *arena, const void **out, struct wt_err *err)
{
    struct maker m = {arena, err};
    char *view = wt_arena_zalloc(arena, object->view_size);
    if (!view)
        return no_memory(&m);
    int r = fill_view(&m, object, value, view);
    if (r == 0)
        *out = view;
    return r;
}

int model_view(const json_t *doc, const struct model_kind *kind, struct wt_arena *arena,
               const void **out, struct wt_err *err)
{
    if (model_kind_of(doc) != kind)
        return wt_fail(err, WT_EINVAL, "not a %s", kind->name);
    return model_view_object(doc, kind->object(), arena, out, err);
}

#define VIEW_OF(object)                                                                            \
    MODEL_VIEW_DECLARE(object)                                                                     \
    {                                                                                              \
        const void *view;                                                                          \
        int r = model_view(doc, model_kind_##object, arena, &view, err);                           \
        if (r == 0)                                                                                \
            *out = view;                                                                           \
        return r;                                                                                  \
    }

VIEW_OF(http_route)
VIEW_OF(gateway)
VIEW_OF(backend)
VIEW_OF(backend_traffic_policy)
VIEW_OF(migration)
