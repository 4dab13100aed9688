#include "cli/users.h"

#include "base/log.h"
#include "cli/supervisor.h"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

static struct cli_user find(const char *name, unsigned fallback)
{
    const struct passwd *entry = getpwnam(name);
    if (entry && entry->pw_uid != 0)
        return (struct cli_user){entry->pw_uid, entry->pw_gid};
    return (struct cli_user){fallback, fallback};
}

/* `watari version` does nothing; what matters is whether it can be started. */
static int try(const char *program, struct cli_user user, struct wt_err *err)
{
    const char *const argv[] = {"watari", "version", NULL};
    struct io_process p;
    struct io_process_end end;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return wt_fail(err, WT_EIO, "/dev/null cannot be opened");
    const struct io_process_fd fds[] = {{null, 0}, {null, 1}, {2, 2}};
    struct io_process_spec spec = {.path = program,
                                   .argv = argv,
                                   .fds = fds,
                                   .n_fds = 3,
                                   .set_ids = true,
                                   .uid = user.uid,
                                   .gid = user.gid,
                                   .keep_caps = CLI_CHILD_CAPS};
    int r = io_process_spawn(&spec, &p, err);
    close(null);
    if (r < 0)
        return r;
    io_process_stop(&p, io_now_ms() + 5000, &end);
    io_process_done(&p);
    return 0;
}

void cli_users_find(const char *program, struct cli_users *out)
{
    struct wt_err err;
    *out = (struct cli_users){0};
    if (geteuid() != 0)
        return;
    out->control = find("watari-control", CLI_CONTROL_ID);
    out->proxy = find("watari-proxy", CLI_PROXY_ID);
    out->on = try(program, out->control, &err) == 0 && try(program, out->proxy, &err) == 0;
    if (!out->on)
        wt_log(WT_LOG_WARN, "control and proxy run as root, not as users of their own: %s",
               err.msg);
}
