#include "control/event.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* The name is a function of what is told, so that the same event finds itself again. */
static void make_name(const json_t *doc, const char *reason, const char *message, char *out,
                      size_t size)
{
    static const struct wt_hash_key key = {0x7761746172692d65, 0x76656e742d6e616d};
    wt_autobuf struct wt_buf b = wt_buf_make(4096);
    wt_buf_printf(&b, "%s\n%s\n%s\n%s", text(doc, "kind"),
                  text(json_object_get(doc, "metadata"), "uid"), reason, message);
    snprintf(out, size, "%.200s.%016" PRIx64, model_name(doc), wt_hash_str(key, wt_buf_str(&b)));
}

static json_t *make_event(const json_t *doc, const char *namespace, const char *name, bool warning,
                          const char *reason, const char *message)
{
    return json_pack(
        "{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:{s:s}}",
        "apiVersion", "v1", "kind", "Event", "metadata", "name", name, "namespace", namespace,
        "involvedObject", "apiVersion", text(doc, "apiVersion"), "kind", text(doc, "kind"),
        "namespace", namespace, "name", model_name(doc), "uid",
        text(json_object_get(doc, "metadata"), "uid"), "reason", reason, "message", message, "type",
        warning ? "Warning" : "Normal", "source", "component", "watari-control");
}

static void drop_oldest(struct control_store *store)
{
    if (control_store_count(store, model_kind_event) <= CONTROL_EVENTS_MAX)
        return;
    json_t *list = control_store_list(store, model_kind_event, NULL), *doc, *oldest = NULL;
    size_t i;
    json_array_foreach(list, i, doc)
    {
        if (!oldest || control_store_doc_rv(doc) < control_store_doc_rv(oldest))
            oldest = doc;
    }
    if (oldest)
        control_store_delete(store, model_kind_event, model_namespace(oldest), model_name(oldest),
                             0, 0, NULL, NULL);
    json_decref(list);
}

void control_event_emit(struct control_store *store, const json_t *doc, bool warning,
                        const char *reason, const char *message, int64_t now_ms)
{
    char name[256], at[32];
    struct wt_err err = {0};
    const char *namespace = model_namespace(doc);
    if (!*namespace)
    namespace = "default";
    make_name(doc, reason, message, name, sizeof(name));
    wt_time_format(now_ms, false, at);
    wt_log(warning ? WT_LOG_WARN : WT_LOG_INFO, "%s %s/%s: %s: %s", text(doc, "kind"), namespace,
           model_name(doc), reason, message);
    const json_t *old = control_store_get(store, model_kind_event, namespace, name);
    json_t *event =
        old ? json_deep_copy(old) : make_event(doc, namespace, name, warning, reason, message);
    if (!event)
        return;
    json_int_t count = json_integer_value(json_object_get(old, "count"));
    json_object_set_new(event, "count", json_integer(count + 1));
    json_object_set_new(event, "lastTimestamp", json_string(at));
    if (!old)
        json_object_set_new(event, "firstTimestamp", json_string(at));
    int r = old ? control_store_update(store, event, CONTROL_SPEC, NULL, 0, NULL, &err)
                : control_store_create(store, event, 0, NULL, &err);
    if (r < 0)
        wt_log(WT_LOG_ERROR, "event not stored: %s", err.msg);
    else if (!old)
        drop_oldest(store);
    json_decref(event);
}
