#include "model/attach.h"

struct wt_str model_attach_host(struct wt_str hostname)
{
    return hostname.len && hostname.ptr[0] == '*' ? wt_str_sub(hostname, 1, hostname.len)
                                                  : hostname;
}

bool model_attach_overlap(struct wt_str a, struct wt_str b, struct wt_str *out)
{
    bool a_wide = !a.len || a.ptr[0] == '.', b_wide = !b.len || b.ptr[0] == '.';
    if (wt_str_eq(a, b) || (b_wide && a.len > b.len && wt_str_ends(a, b))) {
        *out = a;
        return true;
    }
    *out = b;
    return a_wide && b.len > a.len && wt_str_ends(b, a);
}

bool model_attach_takes_http(const struct model_gateway_listener *l, bool *out_others)
{
    const struct model_allowed_routes *allowed = l->allowed_routes;
    bool takes = !allowed || allowed->n_kinds == 0, others = false;
    for (size_t i = 0; allowed && i < allowed->n_kinds; i++) {
        const struct model_route_group_kind *k = &allowed->kinds[i];
        bool http = wt_str_eq(k->kind, WT_STR("HTTPRoute")) &&
                    wt_str_eq(k->group, WT_STR("gateway.networking.k8s.io"));
        takes |= http;
        others |= !http;
    }
    if (out_others)
        *out_others = others;
    return takes;
}

enum model_from_namespaces model_attach_from(const struct model_gateway_listener *l)
{
    if (!model_attach_takes_http(l, NULL))
        return MODEL_FROM_NOBODY;
    const struct model_route_namespaces *ns =
        l->allowed_routes ? l->allowed_routes->namespaces : NULL;
    return ns && ns->from ? ns->from : MODEL_FROM_SAME;
}

int model_attach_order(const struct model_metadata *a, const struct model_metadata *b)
{
    if (a->creation_timestamp_ms != b->creation_timestamp_ms)
        return a->creation_timestamp_ms < b->creation_timestamp_ms ? -1 : 1;
    int space = wt_str_cmp(a->namespace, b->namespace);
    return space ? space : wt_str_cmp(a->name, b->name);
}
