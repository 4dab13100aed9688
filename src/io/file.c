#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 8192 };

static int failed(struct wt_err *err, int r, const char *what, const char *path)
{
    return wt_fail(err, wt_code_from_errno(-r), "%s %s: %s", what, path, strerror(-r));
}

static int read_all(struct io_sys *sys, int fd, size_t max_bytes, struct wt_buf *out)
{
    char piece[PIECE];
    size_t total = 0;
    for (;;) {
        ssize_t got = sys->read(sys, fd, piece, sizeof piece);
        if (got == -EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        total += (size_t)got;
        if (total > max_bytes)
            return -EFBIG;
        if (wt_buf_add(out, piece, (size_t)got) < 0)
            return wt_buf_error(out) == WT_ENOMEM ? -ENOMEM : -EFBIG;
    }
}

int io_file_read(struct io_sys *sys, const char *path, size_t max_bytes, struct wt_buf *out,
                 struct wt_err *err)
{
    /* Opening a FIFO, or reading it, would wait for whoever writes there. */
    int fd = sys->open(sys, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0)
        return failed(err, fd, "open", path);
    size_t before = out->len;
    int r = read_all(sys, fd, max_bytes, out);
    sys->close(sys, fd);
    if (r == 0)
        return 0;
    out->len = before;
    if (r == -EFBIG)
        return wt_fail(err, WT_ELIMIT, "read %s: larger than %zu bytes", path, max_bytes);
    return failed(err, r, "read", path);
}

static int write_all(struct io_sys *sys, int fd, struct wt_str bytes)
{
    while (bytes.len > 0) {
        ssize_t put = sys->write(sys, fd, bytes.ptr, bytes.len);
        if (put == -EINTR)
            continue;
        if (put < 0)
            return (int)put;
        if (put == 0)
            return -EIO;
        bytes = wt_str_sub(bytes, (size_t)put, bytes.len);
    }
    return 0;
}

/* fsync is never tried again: after its first failure the kernel may have dropped the pages and
 * would report success (Rebello et al., "Can Applications Recover from fsync Failures?", 2020). */
static int write_new(struct io_sys *sys, const char *path, struct wt_str bytes, mode_t mode,
                     bool durable)
{
    int fd = sys->open(sys, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return fd;
    int r = write_all(sys, fd, bytes);
    if (r == 0 && durable)
        r = sys->fsync(sys, fd);
    int closed = sys->close(sys, fd);
    return r < 0 ? r : closed < 0 ? closed : 0;
}

/* A rename or an unlink is durable only when its directory is. */
static int sync_dir(struct io_sys *sys, const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 1;
    if (n == 0)
        n = 1;
    if (n >= sizeof dir)
        return -ENAMETOOLONG;
    memcpy(dir, slash ? path : ".", n);
    dir[n] = '\0';
    int fd = sys->open(sys, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    int r = sys->fsync(sys, fd);
    sys->close(sys, fd);
    return r;
}

static int replace(struct io_sys *sys, const char *path, struct wt_str bytes, mode_t mode,
                   bool durable, struct wt_err *err)
{
    char temp[PATH_MAX];
    int n = snprintf(temp, sizeof temp, "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof temp)
        return failed(err, -ENAMETOOLONG, "write", path);
    int r = write_new(sys, temp, bytes, mode, durable);
    if (r == 0)
        r = sys->rename(sys, temp, path);
    if (r < 0) {
        sys->unlink(sys, temp);
        return failed(err, r, "write", path);
    }
    r = durable ? sync_dir(sys, path) : 0;
    return r < 0 ? failed(err, r, "sync the directory of", path) : 0;
}

int io_file_write(struct io_sys *sys, const char *path, struct wt_str bytes, mode_t mode,
                  struct wt_err *err)
{
    return replace(sys, path, bytes, mode, true, err);
}

int io_file_put(struct io_sys *sys, const char *path, struct wt_str bytes, mode_t mode,
                struct wt_err *err)
{
    return replace(sys, path, bytes, mode, false, err);
}

int io_dir_each(struct io_sys *sys, const char *path,
                int (*each)(void *ctx, const char *name, struct wt_err *err), void *ctx,
                struct wt_err *err)
{
    _Alignas(struct dirent64) char piece[PIECE];
    ssize_t got = 0;
    int r = 0;
    int fd = sys->open(sys, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return failed(err, fd, "open", path);
    while (r == 0 && (got = sys->read_dir(sys, fd, piece, sizeof piece)) > 0)
        for (ssize_t at = 0; r == 0 && at < got;) {
            const struct dirent64 *e = (const void *)(piece + at);
            at += e->d_reclen;
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                r = each(ctx, e->d_name, err);
        }
    sys->close(sys, fd);
    return got < 0 ? failed(err, (int)got, "read", path) : r;
}
