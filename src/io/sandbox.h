/* A process gives up what it will not need: no new privileges, no writing but where it is told
 * (Landlock), no starting of programs and none of the system calls that reach beyond the process
 * (seccomp), no core dumps (keys are in memory). It may open as many files as its hard limit says.
 *
 * For the process itself, whoever runs it: no privilege is needed. What a kernel lacks is left out
 * and said in the log. There is no way back.
 */
#ifndef IO_SANDBOX_H
#define IO_SANDBOX_H

#include "base/err.h"

struct io_sandbox {
    const char *const *dirs; /* NULL-terminated: below these all may be written, made, removed */
    const char *log; /* a file that is appended to, and made again when rotated; NULL: none */
};

/* Before the process has a second thread (Landlock holds for a thread and those it starts), and
 * once the directories exist. A directory that is not there is an error, and then nothing is
 * confined. */
int io_sandbox_enter(const struct io_sandbox *sandbox, struct wt_err *err) WT_NODISCARD;

/* Gives one capability up (CAP_…, below 32), if this thread has it, and with it what programs that
 * it starts would get. */
int io_capability_drop(unsigned capability, struct wt_err *err) WT_NODISCARD;

#endif
