/* The listening sockets that the supervisor holds for proxies, so that a dying proxy resets no
 * queue.
 *
 * Proxies come to the supervisor's unix socket. Notes (io_send_fd): "have ADDR" with a copy of a
 * socket it holds (a new supervisor gets them all back that way); "listen ADDR", answered "ok" with
 * the socket or "error SENTENCE"; "keep ADDR ADDR …": those it serves from now on, all others are
 * closed here.
 */
#ifndef CLI_SOCKETS_H
#define CLI_SOCKETS_H

#include "base/err.h"
#include "cli/users.h"
#include "io/stream.h"

struct cli_sockets;

/* Serves `path` on the loop that runs here; `user` alone may come to it (NULL: ourselves). */
int cli_sockets_new(const char *path, const struct cli_user *user, struct cli_sockets **out,
                    struct wt_err *err) WT_NODISCARD;

#endif
