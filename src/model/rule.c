#include "model/rule.h"

#include "base/clock.h"
#include "model/errors.h"
#include "model/reserved.h"

#include <stdio.h>

void model_rule_error(struct model_rule *r, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    model_errors_add(r->out, false, r->lines, r->file, path, fmt, ap);
    va_end(ap);
}

void model_rule_warning(struct model_rule *r, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    model_errors_add(r->out, true, r->lines, r->file, path, fmt, ap);
    va_end(ap);
}

/* Paths of rules are short and made of constants and indexes. */
struct place {
    char text[160];
};

static struct place at(const char *fmt, ...) WT_PRINTF(1, 2);

static struct place at(const char *fmt, ...)
{
    struct place p;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p.text, sizeof(p.text), fmt, ap);
    va_end(ap);
    return p;
}

static const char *text_of(const json_t *v, const char *name, const char *absent)
{
    const char *text = json_string_value(json_object_get(v, name));
    return text ? text : absent;
}

static const json_t *member(const json_t *v, const char *name)
{
    const json_t *m = json_object_get(v, name);
    return m && !json_is_null(m) ? m : NULL;
}

static bool is(const json_t *v, const char *name, const char *absent, const char *wanted)
{
    return strcmp(text_of(v, name, absent), wanted) == 0;
}

/* -1 where the field is absent. */
static int64_t ms_of(const json_t *v, const char *name)
{
    int64_t ms;
    const char *text = json_string_value(json_object_get(v, name));
    return text && wt_duration_parse(wt_str_z(text), &ms) ? ms : -1;
}

static void need_kind(struct model_rule *r, const char *path, const json_t *ref,
                      const char *group_absent, const char *kind_absent, const char *group,
                      const char *kind)
{
    const char *g = text_of(ref, "group", group_absent), *k = text_of(ref, "kind", kind_absent);
    if (strcmp(g, group) != 0 || strcmp(k, kind) != 0)
        model_rule_error(r, path, "%.63s%s%.100s is not supported yet; use kind %s of group %s", k,
                         *g ? " of group " : "", g, kind, group);
}

/* HTTPRoute: the rules that upstream's CRD states in CEL. */

static const struct filter_member {
    const char *type, *name;
} filter_members[] = {
    {"RequestHeaderModifier", "requestHeaderModifier"},
    {"ResponseHeaderModifier", "responseHeaderModifier"},
    {"RequestRedirect", "requestRedirect"},
    {"URLRewrite", "urlRewrite"},
};
enum { N_FILTERS = sizeof(filter_members) / sizeof(filter_members[0]) };

static void path_modifier_rule(struct model_rule *r, const char *filter, const char *name,
                               const json_t *rule, const json_t *path)
{
    struct place p = at("%s.%s.path", filter, name);
    bool prefix = is(path, "type", "", "ReplacePrefixMatch");
    if (!member(path, prefix ? "replacePrefixMatch" : "replaceFullPath"))
        model_rule_error(r, p.text, "type %s needs %s", text_of(path, "type", ""),
                         prefix ? "replacePrefixMatch" : "replaceFullPath");
    if (member(path, prefix ? "replaceFullPath" : "replacePrefixMatch"))
        model_rule_error(r, p.text, "type %s excludes %s", text_of(path, "type", ""),
                         prefix ? "replaceFullPath" : "replacePrefixMatch");
    const json_t *matches = member(rule, "matches");
    if (!prefix || !matches)
        return;
    const json_t *match = json_object_get(json_array_get(matches, 0), "path");
    if (json_array_size(matches) != 1 || !is(match, "type", "PathPrefix", "PathPrefix"))
        model_rule_error(
            r, p.text,
            "ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix");
}

static void field_rule(struct model_rule *r, const char *path, const json_t *rule,
                       struct wt_str name, const json_t *set)
{
    if (model_reserved_field(name))
        model_rule_error(r, path,
                         "\"%.*s\" frames messages or belongs to a connection: the proxy alone "
                         "sets it, no filter may",
                         WT_ARG(name));
    if (!model_reserved_host(name))
        return;
    if (!set) {
        model_rule_error(r, path,
                         "Host can be set in a request, by requestHeaderModifier.set or "
                         "urlRewrite.hostname, and nothing else");
        return;
    }
    const char *value = text_of(set, "value", "");
    if (!model_reserved_host_value(wt_str_z(value)))
        model_rule_error(r, path,
                         "\"%.100s\" is no value for Host; set a host name (lower case, no "
                         "address), with :PORT or without, here or by urlRewrite.hostname",
                         value);
    size_t i;
    json_t *filter;
    json_array_foreach(json_object_get(rule, "filters"), i, filter)
    {
        if (member(json_object_get(filter, "urlRewrite"), "hostname"))
            model_rule_error(r, path, "Host is set by urlRewrite.hostname of this rule too");
    }
}

static void fields_rule(struct model_rule *r, const char *path, const json_t *rule,
                        const json_t *filter, const char *name)
{
    bool request = strcmp(name, "requestHeaderModifier") == 0;
    static const char *const lists[] = {"set", "add", "remove"};
    const json_t *changes = json_object_get(filter, name);
    for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(changes, lists[k]), i, item)
        {
            struct place p =
                at("%s.%s.%s[%zu]%s", path, name, lists[k], i, json_is_object(item) ? ".name" : "");
            const char *field =
                json_is_object(item) ? text_of(item, "name", "") : json_string_value(item);
            field_rule(r, p.text, rule, wt_str_z(field), request && k == 0 ? item : NULL);
        }
    }
}

static void filter_rule(struct model_rule *r, const char *path, const json_t *rule,
                        const json_t *filter, unsigned seen[N_FILTERS])
{
    const char *type = text_of(filter, "type", "");
    for (unsigned i = 0; i < N_FILTERS; i++) {
        const struct filter_member *m = &filter_members[i];
        bool chosen = strcmp(type, m->type) == 0;
        const json_t *config = member(filter, m->name);
        if (chosen && !config)
            model_rule_error(r, path, "type %s needs %s", type, m->name);
        if (!chosen && config)
            model_rule_error(r, path, "type %s excludes %s", type, m->name);
        if (chosen && seen[i]++)
            model_rule_error(r, path, "%s is there twice in one rule", type);
        if (chosen && member(config, "path"))
            path_modifier_rule(r, path, m->name, rule, member(config, "path"));
        fields_rule(r, path, rule, filter, m->name);
    }
    const json_t *redirect = member(filter, "requestRedirect");
    json_int_t status = redirect && member(redirect, "statusCode")
                            ? json_integer_value(member(redirect, "statusCode"))
                            : 302;
    if (status > 303 && status < 307)
        model_rule_error(r, at("%s.requestRedirect.statusCode", path).text,
                         "%d is none of 301, 302, 303, 307, 308", (int)status);
}

static void filters_rule(struct model_rule *r, unsigned i, const json_t *rule)
{
    unsigned seen[N_FILTERS] = {0};
    size_t j;
    json_t *filter;
    json_array_foreach(json_object_get(rule, "filters"), j, filter)
    {
        struct place p = at("spec.rules[%u].filters[%zu]", i, j);
        filter_rule(r, p.text, rule, filter, seen);
    }
    struct place p = at("spec.rules[%u].filters", i);
    if (seen[2] && seen[3])
        model_rule_error(r, p.text, "RequestRedirect and URLRewrite exclude each other");
    if (seen[2] && json_array_size(json_object_get(rule, "backendRefs")))
        model_rule_error(r, p.text, "RequestRedirect answers by itself; backendRefs must be empty");
}

static void route_rule(struct model_rule *r, unsigned i, const json_t *rule)
{
    size_t j;
    json_t *ref;
    filters_rule(r, i, rule);
    json_array_foreach(json_object_get(rule, "backendRefs"), j, ref)
    {
        struct place p = at("spec.rules[%u].backendRefs[%zu]", i, j);
        need_kind(r, p.text, ref, "", "Service", "watari.dev", "Backend");
    }
    const json_t *timeouts = json_object_get(rule, "timeouts");
    int64_t all = ms_of(timeouts, "request"), one = ms_of(timeouts, "backendRequest");
    if (all > 0 && one > all)
        model_rule_error(r, at("spec.rules[%u].timeouts.backendRequest", i).text,
                         "is longer than request");
}

static bool same_member(const json_t *a, const json_t *b, const char *name, const char *absent)
{
    return is(a, name, absent, text_of(b, name, absent));
}

static bool same_parent(const json_t *a, const json_t *b)
{
    return same_member(a, b, "group", "gateway.networking.k8s.io") &&
           same_member(a, b, "kind", "Gateway") && same_member(a, b, "namespace", "") &&
           same_member(a, b, "name", "") && same_member(a, b, "sectionName", "") &&
           json_integer_value(json_object_get(a, "port")) ==
               json_integer_value(json_object_get(b, "port"));
}

static void parents_rule(struct model_rule *r, const json_t *parents)
{
    for (size_t i = 0; i < json_array_size(parents); i++) {
        const json_t *parent = json_array_get(parents, i);
        struct place p = at("spec.parentRefs[%zu]", i);
        need_kind(r, p.text, parent, "gateway.networking.k8s.io", "Gateway",
                  "gateway.networking.k8s.io", "Gateway");
        for (size_t j = 0; j < i; j++) {
            if (same_parent(parent, json_array_get(parents, j)))
                model_rule_error(r, p.text, "is the same as parentRefs[%zu]", j);
        }
    }
}

void model_rule_http_route(struct model_rule *r, const json_t *doc)
{
    const json_t *spec = json_object_get(doc, "spec"), *rules = json_object_get(spec, "rules");
    size_t n_matches = 0;
    parents_rule(r, json_object_get(spec, "parentRefs"));
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        route_rule(r, (unsigned)i, rule);
        n_matches += json_array_size(json_object_get(rule, "matches"));
        for (size_t j = 0; j < i && member(rule, "name"); j++) {
            if (is(json_array_get(rules, j), "name", "", text_of(rule, "name", "")))
                model_rule_error(r, at("spec.rules[%zu].name", i).text,
                                 "is the same as that of rules[%zu]", j);
        }
    }
    if (n_matches > 128)
        model_rule_error(r, "spec.rules", "have %zu matches together; at most 128", n_matches);
}

void model_rule_gateway(struct model_rule *r, const json_t *doc)
{
    const json_t *spec = json_object_get(doc, "spec");
    const json_t *listeners = json_object_get(spec, "listeners");
    if (!is(spec, "gatewayClassName", "", "watari"))
        model_rule_warning(r, "spec.gatewayClassName",
                           "\"%.100s\" is not served here; \"watari\" is",
                           text_of(spec, "gatewayClassName", ""));
    for (size_t i = 0; i < json_array_size(listeners); i++) {
        for (size_t j = 0; j < i; j++) {
            const json_t *a = json_array_get(listeners, i), *b = json_array_get(listeners, j);
            if (json_integer_value(json_object_get(a, "port")) ==
                    json_integer_value(json_object_get(b, "port")) &&
                same_member(a, b, "hostname", ""))
                model_rule_error(r, at("spec.listeners[%zu]", i).text,
                                 "has the port and hostname of listeners[%zu]", j);
        }
    }
}

void model_rule_backend_traffic_policy(struct model_rule *r, const json_t *doc)
{
    const json_t *spec = json_object_get(doc, "spec");
    size_t i;
    json_t *ref;
    json_array_foreach(json_object_get(spec, "targetRefs"), i, ref)
    {
        need_kind(r, at("spec.targetRefs[%zu]", i).text, ref, "", "", "watari.dev", "Backend");
    }
    const json_t *active = member(json_object_get(spec, "healthCheck"), "active");
    bool tcp = is(active, "type", "HTTP", "TCP");
    if (active && !tcp && !member(active, "http"))
        model_rule_error(r, "spec.healthCheck.active", "type HTTP needs http");
    if (tcp && member(active, "http"))
        model_rule_error(r, "spec.healthCheck.active", "type TCP excludes http");
    const json_t *back_off =
        json_object_get(json_object_get(json_object_get(spec, "retry"), "perRetry"), "backOff");
    int64_t base = ms_of(back_off, "baseInterval"), most = ms_of(back_off, "maxInterval");
    if (back_off && (base < 0 ? 25 : base) > (most < 0 ? 250 : most))
        model_rule_error(r, "spec.retry.perRetry.backOff",
                         "baseInterval is longer than maxInterval");
}

/* Migration. */

struct steps_seen {
    double weight; /* highest so far */
    bool retire, finish;
};

static void step_rule(struct model_rule *r, size_t i, const json_t *step, struct steps_seen *seen)
{
    struct place p = at("spec.steps[%zu]", i);
    const json_t *weight = member(step, "setWeight");
    bool retire = member(step, "retire"), finish = member(step, "finish");
    if (seen->finish) {
        model_rule_error(r, p.text, "comes after finish, which ends the migration");
        return;
    }
    if (weight) {
        double value = json_number_value(weight);
        if (value < seen->weight)
            model_rule_error(r, at("%s.setWeight", p.text).text,
                             "%.15g is less than %.15g of an earlier step; weights must not fall",
                             value, seen->weight);
        else if (seen->retire)
            model_rule_error(r, at("%s.setWeight", p.text).text, "comes after retire");
        seen->weight = value > seen->weight ? value : seen->weight;
    }
    if ((retire || finish) && seen->weight < 100)
        model_rule_error(r, p.text, "%s needs setWeight: 100 before it",
                         retire ? "retire" : "finish");
    if (retire && seen->retire)
        model_rule_error(r, p.text, "retire is there twice");
    seen->retire |= retire;
    seen->finish |= finish;
}

void model_rule_migration(struct model_rule *r, const json_t *doc)
{
    const json_t *spec = json_object_get(doc, "spec");
    const json_t *from = json_object_get(spec, "from"), *to = json_object_get(spec, "to");
    struct steps_seen seen = {0};
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(spec, "routeRefs"), i, item)
    {
        need_kind(r, at("spec.routeRefs[%zu]", i).text, item, "gateway.networking.k8s.io", "",
                  "gateway.networking.k8s.io", "HTTPRoute");
    }
    need_kind(r, "spec.from", from, "watari.dev", "Backend", "watari.dev", "Backend");
    need_kind(r, "spec.to", to, "watari.dev", "Backend", "watari.dev", "Backend");
    if (same_member(from, to, "name", ""))
        model_rule_error(r, "spec.to", "is the same as from");
    json_array_foreach(json_object_get(spec, "steps"), i, item)
    {
        step_rule(r, i, item, &seen);
    }
    if (json_is_true(json_object_get(spec, "allowDataLoss")) && is(spec, "state", "", "Shared"))
        model_rule_warning(r, "spec.allowDataLoss", "has no effect with state Shared");
    const json_t *request = member(json_object_get(doc, "status"), "request");
    if (request && is(request, "verb", "", "setWeight") && !member(request, "weight"))
        model_rule_error(r, "status.request", "verb setWeight needs weight");
    double weight = json_number_value(member(request, "weight"));
    if (weight > 0 && weight < 0.002) /* as of a step */
        model_rule_error(r, "status.request.weight", "must be 0, or from 0.002 to 100");
}
