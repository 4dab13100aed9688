#include "cli/follow.h"

#include "cli/object.h"

#include <stdio.h>
#include <string.h>

enum { FAILED = 0x40000000 };

struct follow {
    int (*on_event)(void *ctx, const char *type, json_t *object);
    void *ctx;
    char since[32];
    char failure[256];
};

static int on_line(void *ctx, const char *type, json_t *object)
{
    struct follow *f = ctx;
    if (strcmp(type, "ERROR") == 0) {
        snprintf(f->failure, sizeof(f->failure), "%s", cli_text_at(object, "message"));
        return FAILED;
    }
    const char *rv = cli_text_at(object, "metadata.resourceVersion");
    if (*rv)
        snprintf(f->since, sizeof(f->since), "%s", rv);
    return strcmp(type, "BOOKMARK") == 0 ? 0 : f->on_event(f->ctx, type, object);
}

static int make_path(const struct cli_client *c, const struct cli_follow *what,
                     const struct follow *f, struct wt_buf *path)
{
    path->len = 0;
    cli_path(path, what->kind, c->namespace, NULL, NULL);
    cli_query_add(path, "watch", "true");
    cli_query_add(path, "allowWatchBookmarks", "true");
    if (*f->since)
        cli_query_add(path, "resourceVersion", f->since);
    if (what->labels)
        cli_query_add(path, "labelSelector", what->labels);
    if (what->name) {
        char field[300];
        snprintf(field, sizeof(field), "metadata.name=%s", what->name);
        cli_query_add(path, "fieldSelector", field);
    }
    return wt_buf_z(path) ? 0 : WT_ENOMEM;
}

int cli_follow(const struct cli_client *c, const struct cli_follow *what,
               int (*on_event)(void *ctx, const char *type, json_t *object), void *ctx,
               struct wt_err *err)
{
    wt_autobuf struct wt_buf path = wt_buf_make(8192);
    struct follow f = {.on_event = on_event, .ctx = ctx};
    snprintf(f.since, sizeof(f.since), "%s", what->since ? what->since : "");
    for (;;) {
        if (make_path(c, what, &f, &path) < 0)
            return wt_fail(err, WT_ENOMEM, "out of memory");
        int r = cli_watch(c, wt_buf_z(&path), 0, on_line, &f, err);
        if (r == FAILED)
            return wt_fail(err, WT_ELIMIT, "the watch ended: %s", f.failure);
        if (r != 0)
            return r;
    }
}
