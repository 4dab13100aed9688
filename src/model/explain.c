#include "model/explain.h"

#include "base/clock.h"
#include "model/limits.h"

static void field_title(struct wt_buf *out, const struct model_field *f, int indent)
{
    wt_buf_printf(out, "%*s%s\t<%s>%s%s\n", indent, "", f->name, model_type_text(f),
                  f->flags & MODEL_REQUIRED ? " -required-" : "",
                  f->flags & MODEL_SOON ? " -not in force yet-" : "");
}

static void add_bound(struct wt_buf *out, const struct model_field *f, const char *before,
                      double value)
{
    char text[32];
    if (f->type == MODEL_DUR)
        wt_buf_printf(out, "%s%s", before, wt_duration_format((int64_t)value, text));
    else
        wt_buf_printf(out, "%s%.15g", before, value);
}

/* "0.002 to 100", "at most 16 items", "" */
static void field_bounds(struct wt_buf *out, const struct model_field *f)
{
    bool value = f->type == MODEL_INT || f->type == MODEL_NUM || f->type == MODEL_DUR;
    bool count = f->type == MODEL_LIST || f->type == MODEL_STRS || f->type == MODEL_ENUMS ||
                 f->type == MODEL_INTS || f->type == MODEL_MAP;
    if (value) {
        add_bound(out, f, "", f->min);
        if (f->max < 9e15)
            add_bound(out, f, " to ", f->max);
        else
            wt_buf_printf(out, " or more");
    } else if (count || f->type == MODEL_STR) {
        wt_buf_printf(out, "%s", f->min > 0 ? "" : "at most ");
        if (f->min > 0)
            wt_buf_printf(out, "%.15g to ", f->min);
        wt_buf_printf(out, "%.15g %s", f->max, count ? "items" : "bytes");
        if (f->type == MODEL_INTS)
            wt_buf_printf(out, " of %.15g to %.15g", f->low, f->high);
    }
}

static void field_values(struct wt_buf *out, const struct model_field *f)
{
    bool first = true;
    for (unsigned i = 0; f->enumeration && i < f->enumeration->n; i++) {
        if (f->enumeration->values[i].flags & MODEL_LATER)
            continue;
        wt_buf_printf(out, "%s%s", first ? "" : ", ", f->enumeration->values[i].text);
        first = false;
    }
}

void model_explain_limits(struct wt_buf *out, const struct model_field *f)
{
    field_bounds(out, f);
    field_values(out, f);
}

static void description(struct wt_buf *out, const char *help, const struct model_field *f)
{
    wt_buf_printf(out, "DESCRIPTION:\n    %s\n", help);
    if (f && f->flags & MODEL_LATER) {
        wt_buf_printf(out, "    Not supported yet.\n");
    } else if (f) {
        wt_autobuf struct wt_buf limits = wt_buf_make(4096);
        model_explain_limits(&limits, f);
        if (limits.len)
            wt_buf_printf(out, "    Allowed: %.*s.\n", WT_ARG(wt_buf_str(&limits)));
        if (f->def)
            wt_buf_printf(out, "    Default: %s\n", *f->def ? f->def : "\"\"");
        if (f->flags & MODEL_IMMUTABLE)
            wt_buf_printf(out, "    Cannot be changed once it is created.\n");
    }
    for (unsigned i = 0; f && f->enumeration && i < f->enumeration->n; i++) {
        const struct model_enum_value *v = &f->enumeration->values[i];
        wt_buf_printf(out, "    - %s%s%s%s\n", v->text, *v->help ? ": " : "", v->help,
                      v->flags & MODEL_LATER ? " (not supported yet)" : "");
    }
}

static void fields_tree(struct wt_buf *out, const struct model_object *object, int indent)
{
    for (unsigned i = 0; i < object->n_fields; i++) {
        const struct model_field *f = &object->fields[i];
        field_title(out, f, indent);
        if (f->object)
            fields_tree(out, f->object(), indent + 2);
    }
}

static void fields_list(struct wt_buf *out, const struct model_object *object)
{
    for (unsigned i = 0; i < object->n_fields; i++) {
        const struct model_field *f = &object->fields[i];
        field_title(out, f, 2);
        wt_buf_printf(out, "    %s\n\n", f->help);
    }
}

static int no_field(struct wt_err *err, const struct model_object *object, struct wt_str name,
                    const char *where)
{
    const char *best = NULL;
    unsigned best_distance = 4;
    for (unsigned i = 0; i < object->n_fields && name.len < 64; i++) {
        unsigned d = wt_str_distance(name, wt_str_z(object->fields[i].name), best_distance);
        if (d < best_distance) {
            best = object->fields[i].name;
            best_distance = d;
        }
    }
    return wt_fail(err, WT_ENOENT, "%s has no field \"%.*s\"%s%s%s", where,
                   (int)(name.len < 64 ? name.len : 64), name.ptr, best ? "; did you mean \"" : "",
                   best ? best : "", best ? "\"?" : "");
}

static int no_kind(struct wt_err *err, struct wt_str name)
{
    const struct model_kind *near = model_kind_near(name);
    struct wt_str shown = wt_str_sub(name, 0, 64);
    return wt_fail(err, WT_ENOENT, "no kind \"%.*s\"%s%s%s", WT_ARG(shown),
                   near ? "; did you mean \"" : "", near ? near->name : "", near ? "\"?" : "");
}

/* Follows "spec.steps" down from the kind; *field is NULL for the kind itself, *object NULL for a
 * leaf. */
static int find_place(const struct model_kind *kind, struct wt_str rest,
                      const struct model_field **out_field, const struct model_object **out_object,
                      struct wt_err *err)
{
    const struct model_object *object = kind->object();
    const struct model_field *field = NULL;
    while (rest.ptr) {
        struct wt_str word = wt_str_next(&rest, '.');
        const struct model_field *next = object ? model_field_find(object, word) : NULL;
        if (!next && object)
            return no_field(err, object, word, field ? field->name : kind->name);
        if (!next)
            return wt_fail(err, WT_ENOENT, "%s has no fields", field->name);
        field = next;
        object = field->object ? field->object() : NULL;
    }
    *out_field = field;
    *out_object = object;
    return 0;
}

int model_explain(struct wt_str path, bool recursive, struct wt_buf *out, struct wt_err *err)
{
    struct wt_str rest = path, word = wt_str_next(&rest, '.');
    const struct model_kind *kind = model_kind_find(word);
    const struct model_field *field;
    const struct model_object *object;
    int r = kind ? find_place(kind, rest, &field, &object, err) : no_kind(err, word);
    if (r < 0)
        return r;
    wt_buf_printf(out, "GROUP:      %s\nKIND:       %s\nVERSION:    %s\n\n", kind->group,
                  kind->name, kind->version);
    if (field) {
        wt_buf_printf(out, "FIELD: ");
        field_title(out, field, 0);
        wt_buf_printf(out, "\n");
    }
    description(out, field ? field->help : object->help, field);
    if (object) {
        const char *names = object->one_of;
        if (*names)
            wt_buf_printf(out, "    %s one of %s.\n", *names == '?' ? "At most" : "Exactly",
                          names + (*names == '?'));
        wt_buf_printf(out, "\nFIELDS:\n");
        if (recursive)
            fields_tree(out, object, 2);
        else
            fields_list(out, object);
    }
    return wt_buf_error(out);
}
