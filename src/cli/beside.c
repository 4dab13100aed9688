#include "cli/beside.h"

#include "base/map.h"
#include "base/mem.h"
#include "cli/object.h"

enum { OBJECTS_MAX = 100000 };

struct beside {
    const char *namespace; /* of documents that name none */
    struct model_doc *docs;
    const struct model_doc **list; /* the files' first: their warnings have the room */
    size_t n, cap;
    struct wt_map keys;
};

/* Takes doc.json. What a file holds hides what the server holds. */
static int add(struct beside *b, struct model_doc doc)
{
    char key[MODEL_KEY_MAX];
    const struct model_kind *kind = model_kind_of(doc.json);
    json_t *meta = json_object_get(doc.json, "metadata");
    if (kind->namespaced && !json_object_get(meta, "namespace"))
        json_object_set_new(meta, "namespace", json_string(b->namespace));
    model_key(doc.json, key, sizeof(key));
    int r = 0;
    bool known = wt_map_get(&b->keys, wt_str_z(key)) != NULL;
    if (!known && b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 64;
        struct model_doc *grown =
            cap <= OBJECTS_MAX ? wt_realloc(b->docs, cap * sizeof(*grown)) : NULL;
        r = grown ? 0 : WT_ENOMEM;
        b->docs = grown ? grown : b->docs;
        b->cap = grown ? cap : b->cap;
    }
    if (r == 0 && !known)
        r = wt_map_put(&b->keys, wt_str_z(key), b, NULL);
    if (r < 0 || known) {
        json_decref(doc.json);
        return r;
    }
    b->docs[b->n++] = doc;
    return 0;
}

static int add_own(void *ctx, const struct model_doc *doc)
{
    struct model_doc copy = *doc;
    copy.json = json_deep_copy(doc->json);
    return copy.json ? add(ctx, copy) : WT_ENOMEM;
}

static int add_kind(struct beside *b, const struct cli_client *c, const struct model_kind *kind)
{
    json_t *list = NULL, *doc;
    size_t i;
    int r = cli_list(c, kind, NULL, &list, NULL);
    json_array_foreach(cli_at(list, "items"), i, doc)
    {
        if (r == 0)
            r = add(b, (struct model_doc){.json = json_incref(doc)});
    }
    json_decref(list);
    return r;
}

static int check(struct beside *b, struct model_errors *errors)
{
    b->list = wt_calloc(b->n + 1, sizeof(struct model_doc *));
    if (!b->list)
        return WT_ENOMEM;
    for (size_t i = 0; i < b->n; i++)
        b->list[i] = &b->docs[i];
    /* Errors of the whole are the server's to tell: it knows what came meanwhile. */
    return model_check_set(b->list, b->n, errors);
}

void cli_complain_beside(const struct cli_client *c, const struct cli_docs *d)
{
    if (d->errors.n_warnings == d->n_alone)
        return;
    struct beside b = {.namespace = c->namespace ? c->namespace : "default"};
    struct cli_client everywhere = *c;
    struct model_errors *errors = wt_calloc(1, sizeof(*errors));
    everywhere.namespace = NULL;
    int r = errors ? cli_docs_each(d, add_own, &b) : WT_ENOMEM;
    for (unsigned i = 0; r == 0 && i < model_kinds_len; i++)
        if (&model_kinds[i] != model_kind_event)
            r = add_kind(&b, &everywhere, &model_kinds[i]);
    if (r == 0)
        check(&b, errors);
    if (r == 0)
        cli_docs_print_warnings(errors, 0, errors->n_warnings);
    for (size_t i = 0; i < b.n; i++)
        json_decref(b.docs[i].json);
    if (errors)
        model_errors_done(errors);
    wt_free(errors);
    wt_free(b.docs);
    wt_free(b.list);
    wt_map_done(&b.keys);
}
