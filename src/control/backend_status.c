#include "control/backend_status.h"

#include "control/condition.h"

enum case_ { NOT_REPORTED, NO_HOSTS, NONE_HEALTHY, HEALTHY };

static const struct control_condition conditions[] = {
    [NOT_REPORTED] = {"Healthy", MODEL_CONDITION_UNKNOWN, "NotReported",
                      "no proxy reports its hosts"},
    [NO_HOSTS] = {"Healthy", MODEL_CONDITION_FALSE, "NoHosts", "no host is known"},
    [NONE_HEALTHY] = {"Healthy", MODEL_CONDITION_FALSE, "NoneHealthy", "no host may be used"},
    [HEALTHY] = {"Healthy", MODEL_CONDITION_TRUE, "Healthy", "requests can be answered"},
};

static enum case_ case_of(const struct control_side_seen *seen)
{
    if (!seen->known)
        return NOT_REPORTED;
    if (seen->total == 0)
        return NO_HOSTS;
    return seen->healthy == 0 ? NONE_HEALTHY : HEALTHY;
}

json_t *control_backend_status(const struct control_side_seen *seen, int64_t generation,
                               const json_t *before, int64_t wall_ms)
{
    if (!seen->known && !before)
        return NULL;
    json_t *out = json_object(), *list = json_array();
    if (seen->known) {
        json_object_set_new(out, "healthy", json_integer(seen->healthy));
        json_object_set_new(out, "total", json_integer(seen->total));
    }
    control_condition_add(list, json_object_get(before, "conditions"), &conditions[case_of(seen)],
                          generation, wall_ms);
    json_object_set_new(out, "conditions", list);
    return out;
}
