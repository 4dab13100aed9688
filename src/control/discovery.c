#include "control/discovery.h"

#include "model/kind.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

json_t *control_discovery_version(void)
{
    /* The REST protocol's version that clients ask for, and ours. */
    return json_pack("{s:s, s:s, s:s, s:s}", "major", "1", "minor", "30", "gitVersion",
                     "v1.30.0+watari", "platform", "linux");
}

json_t *control_discovery_core(void)
{
    return json_pack("{s:s, s:[s]}", "kind", "APIVersions", "versions", "v1");
}

json_t *control_discovery_group(const char *group)
{
    for (unsigned i = 0; i < model_kinds_len; i++) {
        const struct model_kind *k = &model_kinds[i];
        if (*k->group && strcmp(k->group, group) == 0)
            return json_pack("{s:s, s:s, s:s, s:[{s:s, s:s}], s:{s:s, s:s}}", "kind", "APIGroup",
                             "apiVersion", "v1", "name", group, "versions", "groupVersion",
                             k->api_version, "version", k->version, "preferredVersion",
                             "groupVersion", k->api_version, "version", k->version);
    }
    return NULL;
}

static bool is_first_of_group(unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (strcmp(model_kinds[i].group, model_kinds[at].group) == 0)
            return false;
    return *model_kinds[at].group;
}

json_t *control_discovery_groups(void)
{
    json_t *groups = json_array();
    for (unsigned i = 0; i < model_kinds_len; i++)
        if (is_first_of_group(i))
            json_array_append_new(groups, control_discovery_group(model_kinds[i].group));
    return json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups",
                     groups);
}

static json_t *split(const char *names)
{
    json_t *list = json_array();
    struct wt_str rest = wt_str_z(names);
    while (rest.ptr) {
        struct wt_str name = wt_str_next(&rest, ',');
        if (name.len)
            json_array_append_new(list, json_stringn(name.ptr, name.len));
    }
    return list;
}

static json_t *one_kind(const struct model_kind *k)
{
    char singular[64] = "";
    for (size_t i = 0; k->name[i] && i < sizeof(singular) - 1; i++)
        singular[i] = (char)tolower((unsigned char)k->name[i]);
    return json_pack("{s:s, s:s, s:b, s:s, s:[s,s,s,s,s,s], s:o}", "name", k->plural,
                     "singularName", singular, "namespaced", (int)k->namespaced, "kind", k->name,
                     "verbs", "create", "delete", "get", "list", "update", "watch", "shortNames",
                     split(k->short_names));
}

json_t *control_discovery_kinds(const char *group, const char *version)
{
    json_t *list = json_array();
    char group_version[330];
    snprintf(group_version, sizeof(group_version), "%s%s%s", group, *group ? "/" : "", version);
    for (unsigned i = 0; i < model_kinds_len; i++) {
        const struct model_kind *k = &model_kinds[i];
        if (strcmp(k->group, group) != 0 || strcmp(k->version, version) != 0)
            continue;
        json_array_append_new(list, one_kind(k));
        char status[128];
        snprintf(status, sizeof(status), "%s/status", k->plural);
        if (*group)
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:b, s:s, s:[s,s]}", "name", status,
                                            "singularName", "", "namespaced", (int)k->namespaced,
                                            "kind", k->name, "verbs", "get", "update"));
    }
    if (json_array_size(list) == 0) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion", "v1",
                     "groupVersion", group_version, "resources", list);
}
