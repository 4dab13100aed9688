#include "control/condition.h"

#include "base/clock.h"
#include "model/kind.h"

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
