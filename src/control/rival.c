#include "control/rival.h"

#include "model/kind.h"

#include <string.h>

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static const char *backend(const json_t *doc, const char *side)
{
    return text(json_object_get(json_object_get(doc, "spec"), side), "name");
}

static bool shares_backend(const json_t *a, const json_t *b)
{
    static const char *const sides[] = {"from", "to"};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++)
            if (strcmp(backend(a, sides[i]), backend(b, sides[k])) == 0)
                return true;
    return false;
}

static const json_t *routes(const json_t *doc)
{
    return json_object_get(json_object_get(doc, "spec"), "routeRefs");
}

static bool shares_route(const json_t *a, const json_t *b)
{
    size_t i, k;
    json_t *x, *y;
    json_array_foreach(routes(a), i, x)
    {
        json_array_foreach(routes(b), k, y)
        {
            if (strcmp(text(x, "name"), text(y, "name")) == 0)
                return true;
        }
    }
    return false;
}

static const json_t *status(const json_t *doc)
{
    return json_object_get(doc, "status");
}

static bool is_over(const json_t *doc)
{
    return strcmp(text(status(doc), "phase"), "Completed") == 0;
}

static bool has_users(const json_t *doc)
{
    return json_number_value(json_object_get(status(doc), "weight")) > 0;
}

bool control_rival_supersedes(const json_t *other, const json_t *doc)
{
    const char *from = backend(doc, "from");
    double epoch = json_number_value(json_object_get(status(other), "epoch"));
    if (strcmp(model_namespace(doc), model_namespace(other)) != 0 ||
        strcmp(model_name(doc), model_name(other)) == 0 || epoch <= 0 ||
        !shares_route(doc, other) ||
        (strcmp(backend(other, "from"), from) != 0 && strcmp(backend(other, "to"), from) != 0))
        return false;
    if (!is_over(other))
        return true;
    int age = strcmp(text(status(other), "startedAt"), text(status(doc), "startedAt"));
    return has_users(other) && (age ? age > 0 : strcmp(model_name(other), model_name(doc)) < 0);
}

bool control_rival_before(const json_t *doc, const json_t *other)
{
    const json_t *mine = json_object_get(doc, "metadata"),
                 *its = json_object_get(other, "metadata");
    if (strcmp(model_namespace(doc), model_namespace(other)) != 0 ||
        strcmp(model_name(doc), model_name(other)) == 0 || is_over(doc) || is_over(other) ||
        !shares_route(doc, other) || !shares_backend(doc, other))
        return false;
    if (has_users(doc) != has_users(other))
        return has_users(other);
    int age = strcmp(text(its, "creationTimestamp"), text(mine, "creationTimestamp"));
    return age ? age < 0 : strcmp(model_name(other), model_name(doc)) < 0;
}
