/* Places that only a capability reaches, kept when it is given up: their directories are opened
 * before, and named by these descriptors (/proc/self/fd/N/…) afterwards.
 */
#ifndef CLI_REACH_H
#define CLI_REACH_H

#include "base/err.h"

#include <stdbool.h>

enum { CLI_REACH_BYTES = 4200 };

struct cli_reach {
    const char **path; /* NULL in it: nothing to reach */
    bool is_dir;       /* it is the directory itself; otherwise a file or a socket in one */
    int fd;            /* of the directory, while it is needed */
    char text[CLI_REACH_BYTES];
};

/* Gives up CAP_DAC_READ_SEARCH, if this process has it; a path on whose way only root may look is
 * replaced (by `text`: it must live as long as the path is used). Where the directory itself is
 * root's alone it keeps the capability, with a sentence in the log. Not for root, and before there
 * is a second thread. */
int cli_reach_give_up(struct cli_reach *all, unsigned n, struct wt_err *err) WT_NODISCARD;

#endif
