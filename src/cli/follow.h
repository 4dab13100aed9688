/* Watches that go on: a server ends each after a while, and the next starts where it ended. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "cli/client.h"

struct cli_follow {
    const struct model_kind *kind;
    const char *labels, *name; /* NULL: all */
    const char *since;         /* resourceVersion; NULL: begins with what there is */
};

/* Calls on_event with ADDED, MODIFIED and DELETED until it returns non-zero, which is returned.
 * WT_ELIMIT: too much has happened since `since`. Else an error. */
int cli_follow(const struct cli_client *c, const struct cli_follow *what,
               int (*on_event)(void *ctx, const char *type, json_t *object), void *ctx,
               struct wt_err *err);

#endif
