/* The supervisor of `watari up`: keeps children running, survives being killed itself.
 *
 * Children are not tied to it: when it dies they go on. A new one adopts them by what it wrote down (pid and start time,
 * watched by pidfd) and starts only what is missing.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include "base/err.h"
#include "io/process.h"

enum { CLI_CHILD_ARGS = 40 };

struct cli_child {
    const char *name; /* "control", "proxy" */
    const char *argv[CLI_CHILD_ARGS];
    struct io_process process;
    struct io_fiber *fiber;
    int64_t started_ms;
    unsigned restarts;
};

struct cli_supervisor {
    const char *program;   /* of this binary */
    const char *notes;     /* file in which children are written down */
    struct cli_child *children;
    unsigned n_children;
    bool stopping;
};

/* Adopts or starts all children, each kept by a fiber of its own. */
int cli_supervisor_start(struct cli_supervisor *s, struct wt_err *err) WT_NODISCARD;

/* Ends all children, the proxies first (they drain), then control; waits. In a fiber. */
void cli_supervisor_stop(struct cli_supervisor *s, int64_t patience_ms);

#endif
