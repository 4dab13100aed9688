/* The access log's way to its file: workers fill lanes, one thread writes them.
 *
 * A worker never waits for a disk or a pipe: a full lane is handed over under a short lock; when
 * the writer is too far behind, lines are dropped and counted. The file is opened again on
 * proxy_logger_reopen() (logrotate).
 */
#ifndef PROXY_LOGGER_H
#define PROXY_LOGGER_H

#include "base/err.h"
#include "base/str.h"
#include "io/sys.h"

enum {
    PROXY_LOG_LANE_BYTES = 64 << 10,
    PROXY_LOG_LANES_QUEUED = 64,
    PROXY_LOG_LINE_MAX = 16 << 10
};

struct proxy_logger;

struct proxy_log_lane {
    char *ptr; /* PROXY_LOG_LANE_BYTES, or NULL: the next line asks for one */
    size_t len;
};

/* `path` NULL or "-": standard output. `sys` is called from the writer's thread too. */
int proxy_logger_new(struct io_sys *sys, const char *path, struct proxy_logger **out,
                     struct wt_err *err) WT_NODISCARD;
void proxy_logger_free(struct proxy_logger *l); /* writes what was handed over, ends the thread */
void proxy_logger_reopen(struct proxy_logger *l);

/* Room for a line of up to `n` bytes, to be written in place; NULL: drop it. Then add what was
 * written. */
char *proxy_log_room(struct proxy_logger *l, struct proxy_log_lane *lane, size_t n);
static inline void proxy_log_added(struct proxy_log_lane *lane, size_t n)
{
    lane->len += n;
}

void proxy_log_flush(struct proxy_logger *l,
                     struct proxy_log_lane *lane); /* hands over what is there */

/* Lanes that a full disk or the like has cut, and the lines they lost. */
uint64_t proxy_logger_write_errors(const struct proxy_logger *l);
uint64_t proxy_logger_lines_lost(const struct proxy_logger *l);

#endif
