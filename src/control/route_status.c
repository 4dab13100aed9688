#include "control/route_status.h"

#include "model/attach.h"
#include "model/kind.h"

/* Reasons are those of the Gateway API (RouteConditionReason), NoReadyListeners of Envoy Gateway; a
 * message may have one %s, for the name it is about. */
static const struct control_condition accepted[] = {
    [CONTROL_PARENT_NO_GATEWAY] = {"Accepted", MODEL_CONDITION_FALSE, "NoMatchingParent",
                                   "there is no Gateway \"%s\""},
    [CONTROL_PARENT_OTHERS] = {NULL, MODEL_CONDITION_UNSET, NULL, NULL},
    [CONTROL_PARENT_NO_LISTENER] = {"Accepted", MODEL_CONDITION_FALSE, "NoMatchingParent",
                                    "Gateway \"%s\" has no such listener"},
    [CONTROL_PARENT_NOT_ALLOWED] = {"Accepted", MODEL_CONDITION_FALSE, "NotAllowedByListeners",
                                    "allowedRoutes of Gateway \"%s\" exclude this route"},
    [CONTROL_PARENT_NO_HOSTNAME] = {"Accepted", MODEL_CONDITION_FALSE, "NoMatchingListenerHostname",
                                    "no hostname is one of a listener of Gateway \"%s\""},
    [CONTROL_PARENT_CONFLICTED] = {"Accepted", MODEL_CONDITION_FALSE, "NoReadyListeners",
                                   "another Gateway has address, port and hostname of the "
                                   "listeners of Gateway \"%s\""},
    [CONTROL_PARENT_ATTACHED] = {"Accepted", MODEL_CONDITION_TRUE, "Accepted",
                                 "attached to Gateway \"%s\""},
};

static const struct control_condition not_taken = {"Accepted", MODEL_CONDITION_FALSE,
                                                   "UnsupportedValue", "%s"};

static const struct control_condition resolved[] = {
    [CONTROL_REF_RESOLVED] = {"ResolvedRefs", MODEL_CONDITION_TRUE, "ResolvedRefs",
                              "all backendRefs are there%s"},
    [CONTROL_REF_NOT_FOUND] = {"ResolvedRefs", MODEL_CONDITION_FALSE, "BackendNotFound",
                               "there is no Backend \"%s\": its share of requests gets 500"},
    [CONTROL_REF_NOT_PERMITTED] = {"ResolvedRefs", MODEL_CONDITION_FALSE, "RefNotPermitted",
                                   "Backend \"%s\" is in another namespace: its share of requests "
                                   "gets 500"},
    [CONTROL_REF_KIND] = {"ResolvedRefs", MODEL_CONDITION_FALSE, "InvalidKind",
                          "\"%s\" is no Backend of watari.dev: its share of requests gets 500"},
};

static bool overlaps(const struct model_http_route_spec *route, struct wt_str listener_hostname)
{
    struct wt_str listener = model_attach_host(listener_hostname), both;
    bool any = route->n_hostnames == 0;
    for (size_t i = 0; i < route->n_hostnames && !any; i++)
        any = model_attach_overlap(model_attach_host(route->hostnames[i]), listener, &both);
    return any;
}

static enum control_parent_case listener_case(const struct model_http_route_spec *route,
                                              bool same_namespace,
                                              const struct model_parent_ref *ref,
                                              const struct model_gateway_listener *l)
{
    if ((ref->section_name.len && !wt_str_eq(ref->section_name, l->name)) ||
        (ref->port && ref->port != l->port))
        return CONTROL_PARENT_NO_LISTENER;
    enum model_from_namespaces from = model_attach_from(l);
    if (from != MODEL_FROM_ALL && !(from == MODEL_FROM_SAME && same_namespace))
        return CONTROL_PARENT_NOT_ALLOWED;
    return overlaps(route, l->hostname) ? CONTROL_PARENT_ATTACHED : CONTROL_PARENT_NO_HOSTNAME;
}

struct control_parent_seen control_parent_see(const struct model_http_route_spec *route,
                                              struct wt_str namespace,
                                              const struct model_parent_ref *ref,
                                              const struct model_gateway *gateway,
                                              const char *const lost_to[CONTROL_LISTENERS_MAX])
{
    struct control_parent_seen seen = {CONTROL_PARENT_NO_LISTENER, 0};
    bool same = wt_str_eq(namespace, gateway->metadata->namespace);
    for (uint32_t i = 0; i < gateway->spec->n_listeners && i < CONTROL_LISTENERS_MAX; i++) {
        enum control_parent_case what =
            listener_case(route, same, ref, &gateway->spec->listeners[i]);
        if (what == CONTROL_PARENT_ATTACHED && lost_to[i])
            what = CONTROL_PARENT_CONFLICTED;
        if (what == CONTROL_PARENT_ATTACHED)
            seen.listeners |= UINT64_C(1) << i;
        if (what > seen.what) /* the listener that came nearest */
            seen.what = what;
    }
    return seen;
}

json_t *control_route_status(const json_t *doc, const struct control_route_seen *seen,
                             int64_t wall_ms)
{
    const json_t *before = json_object_get(json_object_get(doc, "status"), "parents");
    json_t *parents = control_condition_others(before, CONTROL_PARENTS_MAX), *value;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(doc, "spec"), "parentRefs"), i, value)
    {
        if (i >= CONTROL_PARENTS_MAX || seen->parents[i].what == CONTROL_PARENT_OTHERS ||
            json_array_size(parents) >= CONTROL_PARENTS_MAX)
            continue;
        const json_t *was = control_condition_ours(before, "parentRef", value);
        json_t *list = json_array();
        bool refused = seen->refused && seen->parents[i].what == CONTROL_PARENT_ATTACHED;
        control_condition_add_about(
            list, was, refused ? &not_taken : &accepted[seen->parents[i].what],
            refused ? seen->refused : json_string_value(json_object_get(value, "name")), doc,
            wall_ms);
        control_condition_add_about(list, was, &resolved[seen->ref], seen->ref_name, doc, wall_ms);
        control_condition_add_entry(parents, "parentRef", value, list);
    }
    return json_pack("{s:o}", "parents", parents);
}
