#include "model/explain.h"
#include "model/limits.h"

#define OBJECTS_MAX 64

struct page {
    struct wt_buf *out;
    const struct model_object *objects[OBJECTS_MAX]; /* to be described, each once */
    unsigned n;
};

static void want(struct page *p, const struct model_object *object)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (p->objects[i] == object)
            return;
    }
    if (p->n < OBJECTS_MAX)
        p->objects[p->n++] = object;
}

/* "|" ends a cell of a table. */
static void cell(struct wt_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            wt_buf_add_char(out, '\\');
        wt_buf_add_char(out, *text);
    }
}

static void type_cell(struct page *p, const struct model_field *f)
{
    if (!f->object) {
        cell(p->out, model_type_text(f));
        return;
    }
    const char *name = f->object()->name;
    wt_buf_printf(p->out, "%s[%s](#%s)", f->type == MODEL_LIST ? "list of " : "", name, name);
    want(p, f->object());
}

static void help_cell(struct page *p, const struct model_field *f)
{
    if (f->flags & MODEL_REQUIRED)
        wt_buf_printf(p->out, "**Required.** ");
    cell(p->out, f->help);
    if (f->flags & MODEL_IMMUTABLE)
        wt_buf_printf(p->out, " Cannot be changed once it is created.");
    if (f->flags & MODEL_SOON)
        wt_buf_printf(p->out, " *Accepted, not in force in this release.*");
    if (f->flags & MODEL_LATER)
        wt_buf_printf(p->out, " *Not supported yet.*");
    for (unsigned i = 0; f->enumeration && i < f->enumeration->n; i++) {
        const struct model_enum_value *v = &f->enumeration->values[i];
        if (*v->help && !(v->flags & MODEL_LATER)) {
            wt_buf_printf(p->out, " `%s`: ", v->text);
            cell(p->out, v->help);
        }
    }
}

static void row(struct page *p, const struct model_field *f)
{
    wt_buf_printf(p->out, "| `%s` | ", f->name);
    type_cell(p, f);
    wt_buf_printf(p->out, " | ");
    if (f->def)
        wt_buf_printf(p->out, "`%s`", *f->def ? f->def : "\"\"");
    wt_buf_printf(p->out, " | ");
    if (f->type != MODEL_NOT_YET)
        model_explain_limits(p->out, f);
    wt_buf_printf(p->out, " | ");
    help_cell(p, f);
    wt_buf_printf(p->out, " |\n");
}

static void section(struct page *p, const struct model_object *object)
{
    wt_buf_printf(p->out, "\n## %s\n\n%s", object->name, object->help);
    if (*object->one_of)
        wt_buf_printf(p->out, " %s one of `%s`.", *object->one_of == '?' ? "At most" : "Exactly",
                      object->one_of + (*object->one_of == '?'));
    wt_buf_printf(p->out,
                  "\n\n| field | type | default | allowed | meaning |\n|---|---|---|---|---|\n");
    for (unsigned i = 0; i < object->n_fields; i++)
        row(p, &object->fields[i]);
}

int model_reference(const struct model_kind *kind, struct wt_buf *out)
{
    struct page p = {.out = out};
    wt_buf_printf(
        out,
        "# %s\n\n<!-- Made by gen-reference from src/model/kinds; edit those. -->\n\n%s\n\n"
        "`apiVersion: %s`, `kind: %s`; plural `%s`, short `%s`; %s.\n",
        kind->name, kind->help, kind->api_version, kind->name, kind->plural, kind->short_names,
        kind->namespaced ? "in a namespace" : "cluster-wide");
    want(&p, kind->object());
    for (unsigned i = 0; i < p.n; i++)
        section(&p, p.objects[i]);
    return wt_buf_error(out);
}
