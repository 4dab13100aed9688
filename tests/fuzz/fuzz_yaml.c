/* YAML text through everything that stands on it. Properties: what is right stays right when
 * defaults are filled in, has a view, and reads back equal after it was written. */
#include "model/check.h"
#include "model/diff.h"
#include "model/view.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool right)
{
    if (!right)
        abort();
}

static void write_and_read(const json_t *doc)
{
    struct model_docs again;
    wt_autobuf struct wt_buf text = wt_buf_make(16 << 20);
    int r = model_yaml_write(doc, &text);
    demand(r == 0);
    r = model_yaml_parse(wt_buf_str(&text), NULL, &again, NULL);
    demand(r == 0 && again.n == 1 && json_equal(doc, again.items[0].json));
    model_docs_done(&again);
}

static void use(json_t *doc)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(64 << 20);
    struct model_errors errors = {0};
    struct model_diff diff;
    const void *view;
    json_t *before = json_deep_copy(doc);
    demand(model_fill(doc) == 0);
    demand(model_check(doc, NULL, NULL, &errors) == 0);
    demand(model_check_update(doc, doc, &errors) == 0);
    demand(model_view(doc, model_kind_of(doc), &arena, &view, NULL) == 0);
    demand(model_diff(before, doc, 0, &diff, NULL) == 0);
    write_and_read(doc);
    model_diff_done(&diff);
    model_errors_done(&errors);
    json_decref(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_docs docs;
    struct wt_err err;
    if (model_yaml_parse(wt_str((const char *)data, size), "f", &docs, &err) < 0)
        return 0;
    for (size_t i = 0; i < docs.n && i < 8; i++) {
        struct model_errors errors = {0};
        if (model_check(docs.items[i].json, docs.items[i].lines, "f", &errors) == 0)
            use(docs.items[i].json);
        model_errors_done(&errors);
    }
    model_docs_done(&docs);
    return 0;
}
