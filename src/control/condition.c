#include "control/condition.h"

#include "base/clock.h"
#include "model/kind.h"

#include <stdio.h>
#include <string.h>

json_t *control_condition_find(const json_t *list, const char *name, const char *value)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        const char *text = json_string_value(json_object_get(entry, name));
        if (text && strcmp(text, value) == 0)
            return entry;
    }
    return NULL;
}

static json_t *transition_time(const json_t *before, const char *type, const char *status,
                               int64_t wall_ms)
{
    const json_t *old = control_condition_find(before, "type", type);
    const char *was = json_string_value(json_object_get(old, "status"));
    json_t *at = json_object_get(old, "lastTransitionTime");
    char text[32];
    if (at && was && strcmp(was, status) == 0)
        return json_incref(at);
    return json_string(wt_time_format(wall_ms, false, text));
}

static void put_text(json_t *to, const char *name, const char *text)
{
    if (text && *text)
        json_object_set_new(to, name, json_string(text));
}

void control_condition_add(json_t *list, const json_t *before, const struct control_condition *c,
                           int64_t generation, int64_t wall_ms)
{
    const char *status = model_enum_text(&model_enum_condition_status, (int)c->status);
    json_t *out = json_object();
    put_text(out, "type", c->type);
    put_text(out, "status", status);
    json_object_set_new(out, "observedGeneration", json_integer(generation));
    json_object_set_new(out, "lastTransitionTime",
                        transition_time(before, c->type, status, wall_ms));
    put_text(out, "reason", c->reason);
    put_text(out, "message", c->message);
    json_array_append_new(list, out);
}

void control_condition_add_about(json_t *list, const json_t *before,
                                 const struct control_condition *c, const char *about,
                                 const json_t *doc, int64_t wall_ms)
{
    char message[400];
    struct control_condition said = *c;
    size_t before_name = strcspn(c->message, "%");
    snprintf(message, sizeof(message), "%.*s%.320s%s", (int)before_name, c->message, about,
             c->message + before_name + 2);
    said.message = message;
    const json_t *generation = json_object_get(json_object_get(doc, "metadata"), "generation");
    control_condition_add(list, before, &said, json_integer_value(generation), wall_ms);
}

static bool is_ours(const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "controllerName"));
    return name && strcmp(name, CONTROL_CONTROLLER_NAME) == 0;
}

json_t *control_condition_others(const json_t *entries, size_t max)
{
    json_t *others = json_array(), *entry;
    size_t i;
    json_array_foreach(entries, i, entry)
    {
        if (!is_ours(entry) && json_array_size(others) < max)
            json_array_append(others, entry);
    }
    return others;
}

const json_t *control_condition_ours(const json_t *entries, const char *name, const json_t *ref)
{
    size_t i;
    json_t *entry;
    json_array_foreach(entries, i, entry)
    {
        if (is_ours(entry) && json_equal(json_object_get(entry, name), ref))
            return json_object_get(entry, "conditions");
    }
    return NULL;
}

void control_condition_add_entry(json_t *entries, const char *name, json_t *ref, json_t *conditions)
{
    json_array_append_new(entries, json_pack("{s:O, s:s, s:o}", name, ref, "controllerName",
                                             CONTROL_CONTROLLER_NAME, "conditions", conditions));
}
