#include "control/watch.h"

#include "control/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WATCHES_MAX = 200, WATCH_S = 300, BOOKMARK_EVERY_MS = 30000 };

struct watch {
    struct control_api *api;
    const struct control_watch_filter *filter;
    struct rpc_reply *reply;
    uint64_t rv;
    bool bookmarks;
};

static int send_line(struct watch *w, const char *type, json_t *object)
{
    json_t *event = json_pack("{s:s, s:o}", "type", type, "object", object);
    char *text = event ? json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(event);
    wt_autobuf struct wt_buf line = wt_buf_make(8 << 20);
    if (text) {
        wt_buf_add_str(&line, wt_str_z(text));
        wt_buf_add_char(&line, '\n');
    }
    free(text);
    if (!text || wt_buf_error(&line))
        return WT_ENOMEM;
    return rpc_reply_chunk(w->reply, wt_buf_str(&line));
}

static int send_all(struct watch *w)
{
    /* The list is taken at one moment; what changes while it is sent comes after it. */
    w->rv = control_store_rv(w->api->store);
    json_t *list = control_store_list(w->api->store, w->filter->kind, NULL), *doc;
    size_t i;
    int r = 0;
    json_array_foreach(list, i, doc)
    {
        if (r == 0 && control_watch_matches(w->filter, doc))
            r = send_line(w, "ADDED", json_incref(doc));
    }
    json_decref(list);
    return r;
}

static int send_bookmark(struct watch *w)
{
    char rv[24];
    snprintf(rv, sizeof(rv), "%" PRIu64, w->rv);
    return send_line(w, "BOOKMARK",
                     json_pack("{s:s, s:s, s:{s:s}}", "kind", w->filter->kind->name, "apiVersion",
                               w->filter->kind->api_version, "metadata", "resourceVersion", rv));
}

static int send_gone(struct watch *w)
{
    send_line(w, "ERROR",
              json_pack("{s:s, s:s, s:{}, s:s, s:s, s:s, s:i}", "kind", "Status", "apiVersion",
                        "v1", "metadata", "status", "Failure", "reason", "Expired", "message",
                        "the resourceVersion is too old: list again", "code", 410));
    return WT_ELIMIT;
}

/* Sends what has changed; 0, or an error that ends the watch. */
static int send_changes(struct watch *w)
{
    static const char *const types[] = {"ADDED", "MODIFIED", "DELETED"};
    struct control_change change;
    int r;
    while ((r = control_store_next(w->api->store, w->rv, &change)) > 0) {
        w->rv = change.rv;
        if (change.kind != w->filter->kind || !control_watch_matches(w->filter, change.doc))
            continue;
        r = send_line(w, types[change.type], json_incref(change.doc));
        if (r < 0)
            return r;
    }
    return r < 0 ? send_gone(w) : 0;
}

static void run(struct watch *w, int64_t end_ms)
{
    int64_t bookmark_ms = io_now_ms() + BOOKMARK_EVERY_MS;
    int r = w->rv ? 0 : send_all(w);
    while (r >= 0 && io_now_ms() < end_ms) {
        r = send_changes(w);
        if (r >= 0 && w->bookmarks && io_now_ms() >= bookmark_ms) {
            r = send_bookmark(w);
            bookmark_ms = io_now_ms() + BOOKMARK_EVERY_MS;
        }
        int64_t until = w->bookmarks && bookmark_ms < end_ms ? bookmark_ms : end_ms;
        /* Sending may wait, and what changed meanwhile has broadcast already. */
        bool more = w->rv != control_store_rv(w->api->store);
        if (r >= 0 && !more)
            r = rpc_reply_wait(w->reply, w->api->changed, until);
    }
    if (r == WT_ENOMEM)
        rpc_reply_abort(w->reply); /* part of a list must not look like all of it */
    else if (r >= 0 && w->bookmarks)
        send_bookmark(w);
}

void control_watch_serve(struct control_api *api, const struct control_watch_filter *filter,
                         const struct rpc_request *request, struct rpc_reply *reply)
{
    wt_autobuf struct wt_buf buf = wt_buf_make(2 * RPC_QUERY_VALUE_MAX);
    struct watch w = {.api = api, .filter = filter, .reply = reply};
    uint64_t seconds = WATCH_S;
    const char *text = control_query(request, "resourceVersion", &buf);
    if (text && *text && !wt_str_u64(wt_str_z(text), &w.rv)) {
        control_send_status(reply, 400, "resourceVersion: not one of ours");
        return;
    }
    text = control_query(request, "timeoutSeconds", &buf);
    if (text && (!wt_str_u64(wt_str_z(text), &seconds) || seconds > 3600)) {
        control_send_status(reply, 400, "timeoutSeconds: expected 0 to 3600");
        return;
    }
    text = control_query(request, "allowWatchBookmarks", &buf);
    w.bookmarks = text && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
    if (api->watches >= WATCHES_MAX) {
        control_send_status(reply, 503, "too many watches are open");
        return;
    }
    if (rpc_reply_begin(reply, 200, WT_STR("application/json")) < 0)
        return;
    api->watches++;
    run(&w, io_now_ms() + (int64_t)seconds * 1000);
    api->watches--;
}
