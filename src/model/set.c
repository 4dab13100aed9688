/* References between the documents of one set. */
#include "base/map.h"
#include "model/rule.h"

#include <stdio.h>

struct set {
    struct wt_map map;    /* key -> struct model_doc */
    struct wt_map claims; /* what only one document can have -> the first that wants it */
    struct model_rule r;
    const json_t *doc;
};

static const char *text_of(const json_t *v, const char *name, const char *absent)
{
    const char *text = json_string_value(json_object_get(v, name));
    return text ? text : absent;
}

static const json_t *find(const struct set *s, const char *kind, const char *space,
                          const char *name)
{
    char key[MODEL_KEY_MAX];
    snprintf(key, sizeof(key), "%s/%s/%s", kind, space, name);
    const struct model_doc *d = wt_map_get(&s->map, wt_str_z(key));
    return d ? d->json : NULL;
}

static const json_t *need(struct set *s, const char *path, const json_t *ref, const char *kind)
{
    const char *name = text_of(ref, "name", "");
    const char *space = text_of(ref, "namespace", model_namespace(s->doc));
    const json_t *found = find(s, kind, space, name);
    if (!found)
        model_rule_warning(&s->r, path, "there is no %s %s/%.100s", kind, space, name);
    return found;
}

/* Another document that wants `what` too; NULL: this one is the first, or there is no memory, which
 * makes a warning less. */
static const json_t *claimed_before(struct set *s, const char *what)
{
    const json_t *other = wt_map_get(&s->claims, wt_str_z(what));
    if (!other && wt_map_put(&s->claims, wt_str_z(what), (void *)s->doc, NULL) < 0)
        return NULL;
    return other == s->doc ? NULL : other;
}

/* Each address is told once a listener, as it is written. */
static void check_listener(struct set *s, const char *path, const json_t *listener,
                           const char *address)
{
    char key[MODEL_KEY_MAX];
    int port = (int)json_integer_value(json_object_get(listener, "port"));
    const char *host = text_of(listener, "hostname", "");
    snprintf(key, sizeof(key), "listener %s %d %s", address, port, host);
    const json_t *other = claimed_before(s, key);
    if (other)
        model_rule_warning(&s->r, path,
                           "Gateway %.100s/%.100s has this hostname on %s port %d too; only the "
                           "older one will be served",
                           model_namespace(other), model_name(other), address, port);
}

static void check_gateway(struct set *s, const json_t *spec)
{
    const json_t *addresses = json_object_get(spec, "addresses");
    char path[80];
    size_t i, j;
    json_t *listener, *address;
    if (strcmp(text_of(spec, "gatewayClassName", ""), "watari") != 0)
        return;
    json_array_foreach(json_object_get(spec, "listeners"), i, listener)
    {
        snprintf(path, sizeof(path), "spec.listeners[%zu]", i);
        if (json_array_size(addresses) == 0)
            check_listener(s, path, listener, "0.0.0.0");
        json_array_foreach(addresses, j, address)
        {
            check_listener(s, path, listener, text_of(address, "value", ""));
        }
    }
}

static void check_parent(struct set *s, const char *path, const json_t *ref)
{
    const json_t *gateway = need(s, path, ref, "Gateway");
    const char *section = text_of(ref, "sectionName", NULL);
    const json_t *listeners = json_object_get(json_object_get(gateway, "spec"), "listeners");
    if (!gateway || !section)
        return;
    for (size_t i = 0; i < json_array_size(listeners); i++) {
        if (strcmp(text_of(json_array_get(listeners, i), "name", ""), section) == 0)
            return;
    }
    model_rule_warning(&s->r, path, "Gateway %.100s has no listener %.100s",
                       text_of(ref, "name", ""), section);
}

static void check_route(struct set *s, const json_t *spec)
{
    char path[80];
    size_t i, j;
    json_t *rule, *ref;
    json_array_foreach(json_object_get(spec, "parentRefs"), i, ref)
    {
        snprintf(path, sizeof(path), "spec.parentRefs[%zu]", i);
        check_parent(s, path, ref);
    }
    json_array_foreach(json_object_get(spec, "rules"), i, rule)
    {
        json_array_foreach(json_object_get(rule, "backendRefs"), j, ref)
        {
            snprintf(path, sizeof(path), "spec.rules[%zu].backendRefs[%zu]", i, j);
            need(s, path, ref, "Backend");
        }
    }
}

static void check_policy_alone(struct set *s, const char *path, const char *backend)
{
    char key[MODEL_KEY_MAX];
    snprintf(key, sizeof(key), "policy %s/%s", model_namespace(s->doc), backend);
    const json_t *other = claimed_before(s, key);
    if (other)
        model_rule_warning(&s->r, path,
                           "BackendTrafficPolicy %.100s is for Backend %.100s too; only the older "
                           "one will be in force",
                           model_name(other), backend);
}

static void check_policy(struct set *s, const json_t *spec)
{
    char path[80];
    size_t i;
    json_t *ref;
    json_array_foreach(json_object_get(spec, "targetRefs"), i, ref)
    {
        snprintf(path, sizeof(path), "spec.targetRefs[%zu]", i);
        need(s, path, ref, "Backend");
        check_policy_alone(s, path, text_of(ref, "name", ""));
    }
}

static bool route_names(const json_t *route, const char *backend)
{
    size_t i, j;
    json_t *rule, *ref;
    json_array_foreach(json_object_get(json_object_get(route, "spec"), "rules"), i, rule)
    {
        json_array_foreach(json_object_get(rule, "backendRefs"), j, ref)
        {
            if (strcmp(text_of(ref, "name", ""), backend) == 0)
                return true;
        }
    }
    return false;
}

/* Two shares over one route: whose is in force? Finished migrations may stay in files, so it is no
 * error. */
static void check_moved_twice(struct set *s, const char *path, const json_t *ref)
{
    char key[MODEL_KEY_MAX];
    snprintf(key, sizeof(key), "users %s/%s", model_namespace(s->doc), text_of(ref, "name", ""));
    const json_t *other = claimed_before(s, key);
    if (other)
        model_rule_warning(&s->r, path, "Migration %.100s moves the users of HTTPRoute %.100s too",
                           model_name(other), text_of(ref, "name", ""));
}

static void check_migration(struct set *s, const json_t *spec)
{
    char path[80];
    size_t i;
    json_t *ref;
    const json_t *from = json_object_get(spec, "from"), *to = json_object_get(spec, "to");
    need(s, "spec.from", from, "Backend");
    need(s, "spec.to", to, "Backend");
    json_array_foreach(json_object_get(spec, "routeRefs"), i, ref)
    {
        snprintf(path, sizeof(path), "spec.routeRefs[%zu]", i);
        const json_t *route = need(s, path, ref, "HTTPRoute");
        check_moved_twice(s, path, ref);
        if (route && !route_names(route, text_of(from, "name", "")) &&
            !route_names(route, text_of(to, "name", "")))
            model_rule_warning(&s->r, path, "HTTPRoute %.100s names neither %.100s nor %.100s",
                               text_of(ref, "name", ""), text_of(from, "name", ""),
                               text_of(to, "name", ""));
    }
}

static int add_all(struct set *s, const struct model_doc *const docs[], size_t n)
{
    char key[MODEL_KEY_MAX];
    int errors = 0;
    for (size_t i = 0; i < n; i++) {
        const struct model_doc *d = docs[i];
        model_key(d->json, key, sizeof(key));
        const struct model_doc *first = wt_map_get(&s->map, wt_str_z(key));
        if (first) {
            s->r.lines = d->lines;
            s->r.file = d->file;
            model_rule_error(&s->r, "metadata.name", "%s is there twice, first in %s line %u", key,
                             first->file ? first->file : "", first->line);
            errors++;
        } else if (wt_map_put(&s->map, wt_str_z(key), (void *)d, NULL) < 0) {
            return WT_ENOMEM;
        }
    }
    return errors ? WT_EINVAL : 0;
}

int model_check_set(const struct model_doc *const docs[], size_t n, struct model_errors *out)
{
    static const struct {
        const char *kind;
        void (*check)(struct set *s, const json_t *spec);
    } checks[] = {{"Gateway", check_gateway},
                  {"HTTPRoute", check_route},
                  {"BackendTrafficPolicy", check_policy},
                  {"Migration", check_migration}};
    struct set s = {.r = {.out = out}};
    int r = add_all(&s, docs, n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        s.doc = docs[i]->json;
        s.r.lines = docs[i]->lines;
        s.r.file = docs[i]->file;
        for (size_t k = 0; k < sizeof(checks) / sizeof(checks[0]); k++) {
            if (strcmp(text_of(s.doc, "kind", ""), checks[k].kind) == 0)
                checks[k].check(&s, json_object_get(s.doc, "spec"));
        }
    }
    wt_map_done(&s.map);
    wt_map_done(&s.claims);
    return r;
}
