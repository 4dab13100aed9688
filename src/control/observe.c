#include "control/in_use.h"
#include "control/reconcile.h"
#include "health/params.h"
#include "model/view.h"

#include <math.h>
#include <string.h>

/* The routes' own shares: the same percentage in every rule that names either side, else -1. */
struct shares {
    bool any, differ;
    double percent;
};

static bool names(const json_t *ref, const char *namespace, struct wt_str backend)
{
    const char *kind = json_string_value(json_object_get(ref, "kind"));
    const char *name = json_string_value(json_object_get(ref, "name"));
    const char *ns = json_string_value(json_object_get(ref, "namespace"));
    return kind && name && strcmp(kind, "Backend") == 0 && wt_str_eq(wt_str_z(name), backend) &&
           (!ns || strcmp(ns, namespace) == 0);
}

static void see_rule(const json_t *rule, const char *namespace,
                     const struct model_migration_spec *spec, struct control_migration_seen *seen,
                     struct shares *shares)
{
    double from = 0, to = 0;
    bool any = false;
    size_t i;
    json_t *ref;
    json_array_foreach(json_object_get(rule, "backendRefs"), i, ref)
    {
        const json_t *w = json_object_get(ref, "weight");
        double weight = w ? json_number_value(w) : 1;
        bool is_from = names(ref, namespace, spec->from->name);
        bool is_to = names(ref, namespace, spec->to->name);
        any |= is_from || is_to;
        if (weight <= 0)
            continue;
        from += is_from ? weight : 0;
        to += is_to ? weight : 0;
        seen->routes_name_from |= is_from;
        seen->routes_name_to |= is_to;
    }
    seen->routes_name_any |= any;
    if (!any || from + to <= 0)
        return;
    double percent = 100 * to / (from + to);
    shares->differ |= shares->any && fabs(shares->percent - percent) > 1e-9;
    shares->any = true;
    shares->percent = percent;
}

void control_observe_routes(const struct control_store *store, const char *namespace,
                            const struct model_migration_spec *spec,
                            struct control_migration_seen *seen)
{
    struct shares shares = {0};
    seen->routes_exist = true;
    for (size_t i = 0; i < spec->n_route_refs; i++) {
        const json_t *route = control_store_get(store, model_kind_http_route, namespace,
                                                spec->route_refs[i].name.ptr);
        if (!route) {
            seen->routes_exist = false;
            continue;
        }
        size_t k;
        json_t *rule;
        json_array_foreach(json_object_get(json_object_get(route, "spec"), "rules"), k, rule)
        {
            see_rule(rule, namespace, spec, seen, &shares);
        }
    }
    seen->routes_share = shares.any && !shares.differ ? shares.percent : -1;
}

static void see_side(const struct control_store *store, const struct control_reports *reports,
                     const char *namespace, const char *name, int64_t now_ms,
                     struct control_side_seen *side)
{
    side->exists = control_store_get(store, model_kind_backend, namespace, name) != NULL;
    control_reports_side(reports, namespace, name, now_ms, side);
}

int control_observe(const struct control_store *store, const struct control_reports *reports,
                    const json_t *doc, int64_t now_ms, int64_t wall_ms, struct wt_arena *arena,
                    struct control_migration_want *want, struct control_migration_state *state,
                    struct control_migration_seen *seen, struct wt_err *err)
{
    const struct model_migration *m;
    struct health_params params;
    int r = model_migration_view(doc, arena, &m, err);
    if (r < 0)
        return r;
    const char *namespace = model_namespace(doc);
    const json_t *meta = json_object_get(doc, "metadata");
    *want = (struct control_migration_want){.spec = m->spec, .name = model_name(doc)};
    want->generation = json_integer_value(json_object_get(meta, "generation"));
    want->deleting = json_object_get(meta, "deletionTimestamp") != NULL;
    want->has_finalizer = control_in_use_has_finalizer(doc);
    control_migration_state_read(m->status, state);
    r = health_params_from(m->spec, state->weight, &params, err);
    if (r < 0)
        return r;
    memset(seen, 0, sizeof(*seen));
    control_observe_routes(store, namespace, m->spec, seen);
    see_side(store, reports, namespace, m->spec->from->name.ptr, now_ms, &seen->old);
    see_side(store, reports, namespace, m->spec->to->name.ptr, now_ms, &seen->new);
    const char *uid = json_string_value(json_object_get(meta, "uid"));
    const struct control_report_key key = {uid ? uid : "", namespace, model_name(doc),
                                           control_store_id(store)};
    control_reports_migration(reports, &key, state, &params, now_ms, wall_ms, seen);
    seen->requests = state->requests;
    return 0;
}
