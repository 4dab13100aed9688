/* The supervisor of `watari up`: keeps children running, survives being killed itself.
 *
 * Children are not tied to it: when it dies they go on. A new one adopts them by what it wrote down
 * (pid and start time, watched by pidfd) and starts only what is missing.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include "base/err.h"
#include "cli/args.h"
#include "cli/users.h"
#include "io/process.h"

#include <linux/capability.h>

enum {
    CLI_CHILD_ARGS = 2 * CLI_TEXTS_MAX + 32,
    CLI_CHILD_FD = 3, /* the first of those that a child is given beyond its output */
    CLI_CHILD_FDS = 2,
    CLI_CHILD_CAPS = 1 << CAP_DAC_READ_SEARCH,
};

struct cli_child {
    const char *name; /* "control", "proxy" */
    const char *argv[CLI_CHILD_ARGS];
    const char *env[2];          /* put over ours; NULL-terminated */
    const struct cli_user *user; /* NULL: as we */
    /* Open what the child shall get as CLI_CHILD_FD and the next (they stay ours); asked before
     * each start. NULL: no more. */
    int (*open_fds[CLI_CHILD_FDS])(void *ctx, struct wt_err *err);
    void *ctx;
    struct io_process process;
    struct io_fiber *fiber;
    int64_t started_ms;
    unsigned restarts;
};

struct cli_supervisor {
    const char *program; /* of this binary */
    const char *notes;   /* file in which children are written down */
    struct cli_child *children;
    unsigned n_children;
    bool stopping;
    bool hopeless; /* a child calls its own command line wrong: SIGTERM was sent to ourselves */
};

/* Takes over what runs already: process.id.pid is set then. */
void cli_supervisor_adopt(struct cli_supervisor *s);

/* Starts all others; each child is kept by a fiber of its own. */
int cli_supervisor_start(struct cli_supervisor *s, struct wt_err *err) WT_NODISCARD;

/* Sends SIGHUP to all: logs are opened anew, files read again. */
void cli_supervisor_hangup(struct cli_supervisor *s);

/* Ends all children, the proxies first (they drain), then control; waits. In a fiber. */
void cli_supervisor_stop(struct cli_supervisor *s, int64_t patience_ms);

#endif
