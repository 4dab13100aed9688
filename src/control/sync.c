#include "control/sync.h"

#include "base/log.h"
#include "base/text.h"
#include "control/http.h"

#include <stdio.h>

enum { WAIT_MAX_MS = 30000 };

static bool is_behind(const struct control_sync *s, const char *store, uint64_t have)
{
    return strcmp(store, control_store_id(s->store)) != 0 ||
           have != model_snapshot_version(control_publisher_snapshot(s->publisher));
}

/* A proxy that served from a store that is lost brings the site's key back. */
static bool settle_site_key(struct control_sync *s, const json_t *report)
{
    struct wt_err err = {0};
    uint8_t key[CONTROL_SITE_KEY_BYTES];
    const char *store = json_string_value(json_object_get(report, "store"));
    const char *text = json_string_value(json_object_get(report, "siteKey"));
    bool older = store && *store && strcmp(store, control_store_id(s->store)) != 0;
    bool has = older && text && wt_unhex(wt_str_z(text), key, sizeof(key));
    int r = control_store_give_site_key(s->store, has ? key : NULL, &err);
    memset(key, 0, sizeof(key));
    if (r < 0)
        wt_log(WT_LOG_WARN, "the site's key is kept back: %s", err.msg);
    return r == 0;
}

static void send_answer(struct control_sync *s, const char *store, uint64_t have, bool give_key,
                        struct rpc_reply *reply)
{
    const struct model_snapshot *snapshot = control_publisher_snapshot(s->publisher);
    json_t *delta = json_null();
    if (!*s->held && model_snapshot_delta(snapshot, wt_str_z(store), have, &delta) < 0) {
        control_send_status(reply, 503, "out of memory");
        return;
    }
    /* A store that was lost and holds nothing yet is an empty reading: the proxy keeps what it
     * serves. */
    if (*store && strcmp(store, control_store_id(s->store)) != 0 &&
        model_snapshot_len(snapshot) == 0) {
        json_decref(delta);
        delta = json_null();
    }
    bool several = control_reports_fresh(s->reports, io_now_ms()) > 1;
    json_t *answer = json_pack("{s:s, s:I, s:b, s:o}", "store", control_store_id(s->store),
                               "version", (json_int_t)model_snapshot_version(snapshot),
                               "wantBitmaps", (int)several, "delta", delta);
    /* The key that signs users' cookies goes over the unix socket only, to those who may open it.
     */
    if (answer && give_key) {
        char key[2 * CONTROL_SITE_KEY_BYTES + 1];
        wt_hex(control_store_site_key(s->store), CONTROL_SITE_KEY_BYTES, key);
        json_object_set_new(answer, "siteKey", json_string(key));
    }
    control_send_json(reply, 200, answer);
}

void control_sync_handle(struct control_sync *s, const struct rpc_request *request,
                         struct rpc_reply *reply)
{
    struct wt_err err = {0};
    s->requests++;
    if (!wt_str_eq(request->method, WT_STR("POST"))) {
        control_send_status(reply, 405, "only POST is supported here");
        return;
    }
    json_t *report = control_body(request, &err);
    if (!report ||
        control_reports_absorb(s->reports, report, io_now_ms(), io_wall_ms(), &err) < 0) {
        json_decref(report);
        control_send_error(reply, &err);
        return;
    }
    s->reported(s->ctx, report);
    char store[64];
    const char *given = json_string_value(json_object_get(report, "store"));
    snprintf(store, sizeof(store), "%s", given ? given : "");
    json_int_t have = json_integer_value(json_object_get(report, "have"));
    json_int_t wait = json_integer_value(json_object_get(report, "waitMs"));
    bool at_once = json_is_true(json_object_get(report, "atOnce"));
    bool give_key = request->peer->sa.sa_family == AF_UNIX && settle_site_key(s, report);
    json_decref(report);
    int64_t until = io_now_ms() + (wait < 0 ? 0 : wait > WAIT_MAX_MS ? WAIT_MAX_MS : wait);
    int r = 0;
    while (r == 0 && (*s->held || !(at_once || is_behind(s, store, (uint64_t)have))) &&
           io_now_ms() < until)
        r = rpc_reply_wait(reply, s->published, until);
    if (r == 0)
        send_answer(s, store, (uint64_t)have, give_key, reply);
}
