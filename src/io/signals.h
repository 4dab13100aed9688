/* What people send to a process (SIGTERM, SIGINT, SIGHUP), taken from a descriptor instead of
 * interrupting whatever runs. SIGUSR2, which elsewhere upgrades a binary in place and by default
 * ends a process, is taken too: a log line says that it does nothing.
 *
 * The descriptor comes from the kernel directly, not through io_sys: a simulated system has no
 * processes.
 */
#ifndef IO_SIGNALS_H
#define IO_SIGNALS_H

#include "io/stream.h"

/* Before any thread starts, so that all inherit it. */
void io_signals_block(void);

/* Watched by the loop that runs here; close it with io_stream_close(). */
int io_signals_open(struct io_stream *s, struct wt_err *err) WT_NODISCARD;

/* The next signal's number, or WT_ETIMEOUT, WT_ECANCELED. In a fiber. */
int io_signals_wait(struct io_stream *s, int64_t deadline_ms);

#endif
