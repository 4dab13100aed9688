#include "cli/places.h"

#include "base/log.h"
#include "cli/client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 4 };

void cli_places_init(struct cli_places *p, const char *state_dir)
{
    const struct {
        char *out;
        size_t size;
        const char *dir, *name;
    } names[] = {
        {p->control_state, sizeof p->control_state, p->state, "control"},
        {p->proxy_state, sizeof p->proxy_state, p->state, "proxy"},
        {p->api_socket, sizeof p->api_socket, p->run, "api.sock"},
        {p->supervisor_socket, sizeof p->supervisor_socket, p->run, "supervisor.sock"},
        {p->notes, sizeof p->notes, p->run, "children"},
    };
    cli_state_dir(state_dir, p->state, sizeof p->state);
    cli_run_dir(state_dir, p->run, sizeof p->run);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        snprintf(names[i].out, names[i].size, "%s/%s", names[i].dir, names[i].name);
    snprintf(p->temp, sizeof p->temp, "SQLITE_TMPDIR=%s", p->control_state);
}

static int make_dir(const char *path, mode_t mode, struct wt_err *err)
{
    char piece[CLI_PLACE_BYTES];
    for (size_t i = 1; path[0] && path[i - 1]; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        snprintf(piece, sizeof piece, "%.*s", (int)i, path);
        if (mkdir(piece, mode) < 0 && errno != EEXIST)
            return wt_fail(err, wt_code_from_errno(errno), "make directory %s: %s", piece,
                           strerror(errno));
        if (!path[i])
            break;
    }
    return 0;
}

int cli_places_lock(const struct cli_places *p, struct wt_err *err)
{
    char path[CLI_PLACE_BYTES];
    int r = make_dir(p->state, 0755, err);
    if (r == 0)
        r = make_dir(p->run, 0755, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "%s/up.lock", p->run);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return wt_fail(err, wt_code_from_errno(errno), "%s: %s", path, strerror(errno));
    char pid[16] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
        if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n)
            wt_log(WT_LOG_WARN, "%s: %s", path, strerror(errno)); /* the lock is what counts */
        return 0;
    }
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    close(fd);
    pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
    return wt_fail(err, WT_EEXIST, "another `watari up`%s%s%s runs with %s", *pid ? " (pid " : "",
                   pid, *pid ? ")" : "", p->run);
}

/* ---- owners ---- */

/* By descriptors and never through a link: what lies in a child's directory is what the child put
 * there. A file with a second name may be somebody else's. */
static int give_one(int fd, struct cli_user user)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid == user.uid && st.st_gid == user.gid)
        return 0;
    if (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || st.st_nlink != 1))
        return 0;
    return fchown(fd, user.uid, user.gid) < 0 ? -errno : 0;
}

/* Takes `fd`. */
static int give_tree(int fd, struct cli_user user, unsigned depth)
{
    int r = give_one(fd, user);
    DIR *dir = r == 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        r = r == 0 ? -errno : r;
        close(fd);
        return r;
    }
    for (const struct dirent *e; r == 0 && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int one = openat(dirfd(dir), e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (one < 0)
            continue; /* a link or a socket, or gone */
        struct stat st;
        if (fstat(one, &st) == 0 && S_ISDIR(st.st_mode)) {
            if (depth < DEPTH_MAX)
                r = give_tree(one, user, depth + 1);
            else
                close(one);
            continue;
        }
        r = give_one(one, user);
        close(one);
    }
    closedir(dir);
    return r;
}

static int give_dir(const char *path, const struct cli_user *user, struct wt_err *err)
{
    int r = make_dir(path, 0700, err);
    if (r < 0 || !user)
        return r;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = fd < 0 ? -errno : give_tree(fd, *user, 0);
    return r < 0 ? wt_fail(err, wt_code_from_errno(-r), "give %s to user %u: %s", path, user->uid,
                           strerror(-r))
                 : 0;
}

int cli_places_give(const struct cli_places *p, const struct cli_users *users, struct wt_err *err)
{
    int r = give_dir(p->control_state, users->on ? &users->control : NULL, err);
    return r == 0 ? give_dir(p->proxy_state, users->on ? &users->proxy : NULL, err) : r;
}

void cli_places_give_log(const char *path, const struct cli_users *users)
{
    struct stat st;
    if (!users->on || strcmp(path, "-") == 0 || strcmp(path, "off") == 0)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
    if (fd < 0)
        return; /* the proxy meets the same, and says so */
    /* The group stays: it is those who may read logs here. */
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
        fchown(fd, users->proxy.uid, (gid_t)-1) < 0)
        wt_log(WT_LOG_WARN, "access log %s: it cannot be given to user %u: %s", path,
               users->proxy.uid, strerror(errno));
    close(fd);
}
