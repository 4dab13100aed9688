/* The commands of the program. Each is one file, cmd_NAME.c, and one row of the table in main.c. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/err.h"

/* Exit codes: done; failed or not found; wrong usage or input. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

enum cli_group {
    CLI_GROUP_RUN,
    CLI_GROUP_LOOK,
    CLI_GROUP_CHANGE,
    CLI_GROUPS,
};

struct cli_command {
    enum cli_group group; /* of `watari help` */
    const char *name;
    const char *synopsis; /* "-f FILE|DIR" */
    const char *help;
    int (*run)(
        int argc,
        char **argv); /* without the program's and the command's name; returns an exit code */
};

#define CLI_COMMAND(name) int cli_##name(int argc, char **argv)
CLI_COMMAND(up);
CLI_COMMAND(control);
CLI_COMMAND(proxy);
CLI_COMMAND(get);
CLI_COMMAND(describe);
CLI_COMMAND(events);
CLI_COMMAND(plan);
CLI_COMMAND(apply);
CLI_COMMAND(delete);
CLI_COMMAND(migrate);
CLI_COMMAND(validate);
CLI_COMMAND(explain);
CLI_COMMAND(version);

/* Prints "watari NAME: sentence" to standard error and returns the exit code that fits the error's
 * code. */
int cli_fail(const char *command, const struct wt_err *err);

#endif
