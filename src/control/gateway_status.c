#include "control/gateway_status.h"

#include "control/condition.h"
#include "model/attach.h"
#include "model/kind.h"

#include <stdio.h>
#include <string.h>

/* Where a listener stands, the worst first. */
enum listener_case { CONFLICTED, CLOSED, REFUSED, NOT_TAKEN, NOT_REPORTED, OPEN, LISTENER_CASES };

/* Reasons are those of the Gateway API (ListenerConditionReason). */
static const struct {
    struct control_condition accepted, programmed;
} listener_rows[LISTENER_CASES] = {
    [CONFLICTED] = {{"Accepted", MODEL_CONDITION_FALSE, "HostnameConflict",
                     "another listener has its address, port and hostname"},
                    {"Programmed", MODEL_CONDITION_FALSE, "Invalid",
                     "another listener gets its requests"}},
    [CLOSED] = {{"Accepted", MODEL_CONDITION_FALSE, "PortUnavailable",
                 "proxies could not open it; their log tells why"},
                {"Programmed", MODEL_CONDITION_FALSE, "Invalid", "no proxy listens on it"}},
    [REFUSED] = {{"Accepted", MODEL_CONDITION_TRUE, "Accepted", NULL},
                 {"Programmed", MODEL_CONDITION_FALSE, "Pending",
                  "a proxy does not take the newest"}},
    [NOT_TAKEN] = {{"Accepted", MODEL_CONDITION_TRUE, "Accepted", NULL},
                   {"Programmed", MODEL_CONDITION_FALSE, "Pending", "no proxy has it yet"}},
    [NOT_REPORTED] = {{"Accepted", MODEL_CONDITION_TRUE, "Accepted", NULL},
                      {"Programmed", MODEL_CONDITION_UNKNOWN, "Pending", "no proxy reports"}},
    [OPEN] = {{"Accepted", MODEL_CONDITION_TRUE, "Accepted", NULL},
              {"Programmed", MODEL_CONDITION_TRUE, "Programmed", NULL}},
};

static enum listener_case listener_case(const struct control_gateway_seen *seen, size_t i)
{
    if (seen->listeners[i].lost_to)
        return CONFLICTED;
    if (seen->proxies == 0)
        return NOT_REPORTED;
    if (seen->have == 0)
        return *seen->refused ? REFUSED : NOT_TAKEN;
    if (!seen->listeners[i].open)
        return CLOSED;
    return *seen->refused ? REFUSED : OPEN;
}

static const struct control_condition kinds_rows[] = {
    [false] = {"ResolvedRefs", MODEL_CONDITION_TRUE, "ResolvedRefs", NULL},
    [true] = {"ResolvedRefs", MODEL_CONDITION_FALSE, "InvalidRouteKinds",
              "of allowedRoutes.kinds only HTTPRoute is served"},
};

static json_t *supported_kinds(const struct model_gateway_listener *l, bool *out_others)
{
    json_t *list = json_array();
    if (model_attach_takes_http(l, out_others))
        json_array_append_new(list, json_pack("{s:s, s:s}", "group", "gateway.networking.k8s.io",
                                              "kind", "HTTPRoute"));
    return list;
}

struct where {
    const json_t *doc;
    int64_t generation, wall_ms;
};

static void add(json_t *list, const json_t *before, const struct control_condition *c,
                const struct where *at)
{
    control_condition_add(list, json_object_get(before, "conditions"), c, at->generation,
                          at->wall_ms);
}

/* Where there is no conflict the condition is left out. */
static void add_conflict(json_t *list, const json_t *before, const char *lost_to,
                         const struct where *at)
{
    char message[800];
    const struct control_condition c = {"Conflicted", MODEL_CONDITION_TRUE, "HostnameConflict",
                                        message};
    if (!lost_to)
        return;
    snprintf(message, sizeof(message),
             "%s has the same address, port and hostname, and comes first", lost_to);
    add(list, before, &c, at);
}

static json_t *listener_status(const struct where *at, const struct model_gateway_listener *l,
                               const struct control_gateway_seen *seen, size_t i)
{
    const json_t *status = json_object_get(at->doc, "status");
    const json_t *before =
        control_condition_find(json_object_get(status, "listeners"), "name", l->name.ptr);
    enum listener_case what = listener_case(seen, i);
    bool others;
    json_t *kinds = supported_kinds(l, &others), *list = json_array();
    add(list, before, &listener_rows[what].accepted, at);
    struct control_condition programmed = listener_rows[what].programmed;
    char message[160];
    snprintf(message, sizeof(message), "no proxy listens on it; %s, where it was, is still served",
             seen->listeners[i].kept);
    if (what == CLOSED && *seen->listeners[i].kept)
        programmed.message = message;
    add(list, before, &programmed, at);
    add(list, before, &kinds_rows[others], at);
    add_conflict(list, before, seen->listeners[i].lost_to, at);
    return json_pack("{s:s, s:o, s:I, s:o}", "name", l->name.ptr, "supportedKinds", kinds,
                     "attachedRoutes", (json_int_t)seen->listeners[i].attached_routes, "conditions",
                     list);
}

/* What the Gateway is as a whole: its worst listener decides whether it is programmed. */
static void gateway_conditions(json_t *list, const struct where *at,
                               const unsigned counts[LISTENER_CASES], unsigned n,
                               const struct control_gateway_seen *seen)
{
    const json_t *before = json_object_get(at->doc, "status");
    char invalid[120];
    unsigned n_kept = 0, worst = 0, n_invalid = counts[CLOSED] + counts[CONFLICTED];
    const char *why = !counts[CONFLICTED] ? "could not be opened"
                      : !counts[CLOSED]   ? "conflict with another Gateway's"
                                          : "could not be opened, or conflict with another's";
    while (worst < OPEN && !counts[worst])
        worst++;
    for (unsigned i = 0; i < n; i++)
        n_kept += listener_case(seen, i) == CLOSED && *seen->listeners[i].kept;
    snprintf(invalid, sizeof(invalid), "%u of %u listeners %s%s", n_invalid, n, why,
             n_kept ? "; what they had before is still served" : "");
    struct control_condition accepted = listener_rows[worst].accepted;
    struct control_condition programmed = listener_rows[worst].programmed;
    if (n_invalid) {
        accepted.status = n_invalid < n ? MODEL_CONDITION_TRUE : MODEL_CONDITION_FALSE;
        accepted.reason = "ListenersNotValid";
        accepted.message = programmed.message = invalid;
    } else if (worst == REFUSED) {
        programmed.message = seen->refused;
    }
    add(list, before, &accepted, at);
    add(list, before, &programmed, at);
}

static json_t *addresses(const struct model_gateway_spec *spec)
{
    json_t *list = json_array();
    for (size_t i = 0; i < spec->n_addresses; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "type", "IPAddress", "value",
                                              spec->addresses[i].value.ptr));
    if (spec->n_addresses == 0)
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "type", "IPAddress", "value", "0.0.0.0"));
    return list;
}

static int64_t generation_of(const json_t *doc)
{
    return json_integer_value(json_object_get(json_object_get(doc, "metadata"), "generation"));
}

json_t *control_gateway_status(const json_t *doc, const struct model_gateway *gateway,
                               const struct control_gateway_seen *seen, int64_t wall_ms)
{
    const struct where at = {doc, generation_of(doc), wall_ms};
    unsigned counts[LISTENER_CASES] = {0}, n = 0, open = 0;
    json_t *out = json_object(), *listeners = json_array(), *conditions = json_array();
    for (; n < gateway->spec->n_listeners && n < CONTROL_LISTENERS_MAX; n++) {
        counts[listener_case(seen, n)]++;
        open += seen->listeners[n].open;
        json_array_append_new(listeners,
                              listener_status(&at, &gateway->spec->listeners[n], seen, n));
    }
    gateway_conditions(conditions, &at, counts, n, seen);
    if (open)
        json_object_set_new(out, "addresses", addresses(gateway->spec));
    json_object_set_new(out, "conditions", conditions);
    json_object_set_new(out, "listeners", listeners);
    return out;
}

json_t *control_gateway_class_status(const json_t *doc, int64_t wall_ms)
{
    static const struct control_condition accepted = {"Accepted", MODEL_CONDITION_TRUE, "Accepted",
                                                      NULL};
    const struct where at = {doc, generation_of(doc), wall_ms};
    const char *who =
        json_string_value(json_object_get(json_object_get(doc, "spec"), "controllerName"));
    if (!who || strcmp(who, CONTROL_CONTROLLER_NAME) != 0)
        return NULL;
    json_t *list = json_array();
    add(list, json_object_get(doc, "status"), &accepted, &at);
    return json_pack("{s:o}", "conditions", list);
}
