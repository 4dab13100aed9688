#include "cli/reach.h"

#include "base/log.h"
#include "io/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void let_go(struct cli_reach *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

/* access(2) asks for the real user without its capabilities: it tells beforehand what is reached
 * afterwards. A directory that is not there, not for root either, is told by who uses it. */
static bool can_reach(struct cli_reach *r)
{
    const char *path = *r->path, *slash = path ? strrchr(path, '/') : NULL;
    char dir[CLI_REACH_BYTES];
    r->fd = -1;
    if (!slash)
        return true;
    snprintf(dir, sizeof dir, "%.*s", r->is_dir ? (int)strlen(path) : (int)(slash - path) + 1,
             path);
    if (access(dir, X_OK) == 0)
        return true;
    r->fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0)
        return true;
    snprintf(r->text, sizeof r->text, "/proc/self/fd/%d", r->fd);
    if (access(r->text, X_OK) < 0) {
        wt_log(WT_LOG_WARN, "the proxy keeps CAP_DAC_READ_SEARCH: only root may look into %s", dir);
        return false;
    }
    snprintf(r->text, sizeof r->text, "/proc/self/fd/%d%s", r->fd, r->is_dir ? "" : slash);
    return true;
}

int cli_reach_give_up(struct cli_reach *all, unsigned n, struct wt_err *err)
{
    bool can = true;
    for (unsigned i = 0; i < n; i++)
        can &= can_reach(&all[i]);
    int r = can ? io_capability_drop(CAP_DAC_READ_SEARCH, err) : 0;
    for (unsigned i = 0; i < n; i++) {
        if (!can || r < 0)
            let_go(&all[i]);
        if (all[i].fd < 0)
            continue;
        wt_log(WT_LOG_INFO, "%s is %s from here on: on the way there only root may look",
               *all[i].path, all[i].text);
        *all[i].path = all[i].text;
    }
    return r;
}
