/* Whom the children of `watari up` run as, when it runs as root: control and proxies as a user of
 * their own each, so that neither can touch the other's files, nor anybody else's.
 *
 * The users are `watari-control` and `watari-proxy` of the system; where it does not know these
 * names, the numbers below, which need no entry anywhere (systemd leaves 60706 to 61183 unused,
 * Debian gives out nothing there). They keep one capability, CAP_DAC_READ_SEARCH: this binary and
 * their directories may lie where only root looks, and the files of -f may be readable for root
 * only. The proxy gives it up as soon as it has opened its directories.
 */
#ifndef CLI_USERS_H
#define CLI_USERS_H

#include <stdbool.h>
#include <sys/types.h>

enum { CLI_CONTROL_ID = 61070, CLI_PROXY_ID = 61071 };

struct cli_user {
    uid_t uid;
    gid_t gid;
};

struct cli_users {
    bool on; /* otherwise all run as whoever runs `watari up` */
    struct cli_user control, proxy;
};

/* Finds them, and tries them on `program` once: off, with a sentence in the log, where the system
 * does not let us (a container without the ids or the capability). Off without a word when we are
 * not root. In a fiber. */
void cli_users_find(const char *program, struct cli_users *out);

#endif
