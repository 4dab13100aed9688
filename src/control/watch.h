/* Watches: JSON lines of changes, {type, object}, over a chunked answer. */
#ifndef CONTROL_WATCH_H
#define CONTROL_WATCH_H

#include "control/api.h"

struct control_watch_filter {
    const struct model_kind *kind;
    char namespace[64]; /* "": all */
    char name[254];     /* "": all */
    char labels[512];   /* control/selector.h; "": all */
};

bool control_watch_matches(const struct control_watch_filter *f, const json_t *doc);

/* Serves a watch until its time is over or the client goes. Without resourceVersion (or 0) all
 * objects come first; one that is too old ends it with an ERROR line of code 410: list again. */
void control_watch_serve(struct control_api *api, const struct control_watch_filter *filter,
                         const struct rpc_request *request, struct rpc_reply *reply);

#endif
