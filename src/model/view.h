/* A view: the struct of model/kinds.h made from a document. */
#ifndef MODEL_VIEW_H
#define MODEL_VIEW_H

#include "base/arena.h"
#include "model/kind.h"

/* Makes the struct of `object` (struct model_NAME) from a checked document or a part of one, in the
 * arena. Strings and json_t pointers point into the document (which must outlive the view). It is
 * strict about types only: a value of a wrong type is WT_EINVAL; ranges are model_check()'s. *out
 * is set on success only. */
int model_view_object(const json_t *value, const struct model_object *object,
                      struct wt_arena *arena, const void **out, struct wt_err *err);

/* For a whole document; its kind must be `kind`. */
int model_view(const json_t *doc, const struct model_kind *kind, struct wt_arena *arena,
               const void **out, struct wt_err *err);

/* const struct model_migration *m; int r = model_migration_view(doc, &arena, &m, err); for every
 * kind. */
#define MODEL_VIEW_DECLARE(object)                                                                 \
    int model_##object##_view(const json_t *doc, struct wt_arena *arena,                           \
                              const struct model_##object **out, struct wt_err *err)
MODEL_VIEW_DECLARE(http_route);
MODEL_VIEW_DECLARE(gateway);
MODEL_VIEW_DECLARE(backend);
MODEL_VIEW_DECLARE(backend_traffic_policy);
MODEL_VIEW_DECLARE(migration);

#endif
