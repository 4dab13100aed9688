/* The process `watari control`: API, store, files, reconciler and published snapshots on one loop.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "base/err.h"

#include <stddef.h>

struct control_options {
    const char *const *files; /* -f; may be none */
    size_t n_files;
    unsigned files_rest_s;    /* files rest for so long before what is in none goes */
    const char *state_dir;    /* control.db lies here; made if absent */
    const char *run_dir;      /* api.sock lies here; made if absent */
    const char *listen;       /* "127.0.0.1:7070"; NULL: no TCP; port 0 picks a free one */
    int socket_fd, listen_fd; /* listening descriptors from a supervisor, or -1: opened here */
};

/* A listening descriptor for the API on "127.0.0.1:7070"; WT_EINVAL when it is no such text or
 * another machine could come there. On a loop. */
int control_listen(const char *text, struct wt_err *err) WT_NODISCARD;

/* Runs until SIGTERM or SIGINT, which it blocks for the calling thread (SIGHUP reads the files
 * again). 0 after an orderly end. */
int control_run(const struct control_options *options, struct wt_err *err);

#endif
