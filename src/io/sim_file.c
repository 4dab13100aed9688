/* Files of the simulated system. A file's bytes are durable after its fsync, a name after the fsync
 * of its directory; until then a crash keeps or loses each by chance, and may keep the front part
 * of what was written. */
#include "base/clock.h"
#include "base/mem.h"
#include "io/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    CALL_OPEN = 50,
    CALL_READ,
    CALL_WRITE,
    CALL_FSYNC,
    CALL_RENAME,
    CALL_UNLINK,
    CALL_STAT,
    CALL_READ_DIR
};

static struct sim_name *find_name(struct io_sim *sim, const char *path)
{
    for (struct sim_name *n = sim->names; n; n = n->next)
        if (strcmp(n->path, path) == 0)
            return n;
    return NULL;
}

static struct sim_name *make_name(struct io_sim *sim, const char *path)
{
    struct sim_name *n = find_name(sim, path);
    if (n)
        return n;
    n = wt_calloc(1, sizeof *n);
    char *copy = wt_str_dup(wt_str_z(path));
    if (!n || !copy) {
        wt_free(n);
        wt_free(copy);
        return NULL;
    }
    n->path = copy;
    n->next = sim->names;
    sim->names = n;
    return n;
}

static void touch(struct io_sim *sim, struct sim_inode *i)
{
    i->changed_ns = sim->sys.wall_ms(&sim->sys) * WT_MS_NS;
}

static struct sim_inode *inode_new(struct io_sim *sim)
{
    struct sim_inode *i = wt_calloc(1, sizeof *i);
    if (!i)
        return NULL;
    i->now = i->synced = wt_buf_make(SIM_FILE_BYTES);
    i->number = ++sim->n_inodes;
    touch(sim, i);
    i->next = sim->inodes;
    sim->inodes = i;
    return i;
}

static int open_dir(struct io_sim *sim, const char *path)
{
    int fd = sim_fd_new(sim, SIM_DIR);
    if (fd < 0)
        return fd;
    sim->fds[fd].path = wt_str_dup(wt_str_z(path));
    if (sim->fds[fd].path)
        return fd;
    sim_fd_free(sim, fd);
    return -ENOMEM;
}

static int open_file(struct io_sim *sim, const char *path, int flags)
{
    struct sim_name *n = find_name(sim, path);
    if ((!n || !n->now) && !(flags & O_CREAT))
        return -ENOENT;
    if (n && n->now && flags & O_CREAT && flags & O_EXCL)
        return -EEXIST;
    n = make_name(sim, path);
    if (n && !n->now)
        n->now = inode_new(sim);
    if (!n || !n->now)
        return -ENOMEM;
    int fd = sim_fd_new(sim, SIM_FILE);
    if (fd < 0)
        return fd;
    struct sim_fd *f = &sim->fds[fd];
    f->inode = n->now;
    if (flags & O_TRUNC) {
        f->inode->now.len = 0;
        touch(sim, f->inode);
    }
    if (flags & O_APPEND)
        f->at = f->inode->now.len;
    return fd;
}

static int sim_open(struct io_sys *sys, const char *path, int flags, mode_t mode)
{
    struct io_sim *sim = sim_of(sys);
    int r = flags & O_DIRECTORY ? open_dir(sim, path) : open_file(sim, path, flags);
    return (int)sim_note(sim, CALL_OPEN, flags, r);
}

static ssize_t sim_read(struct io_sys *sys, int fd, void *out, size_t n)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_FILE);
    if (!f)
        return sim_note(sim, CALL_READ, fd, -EBADF);
    struct wt_str bytes = wt_str_sub(wt_buf_str(&f->inode->now), f->at, f->at + n);
    if (bytes.len)
        memcpy(out, bytes.ptr, bytes.len);
    f->at += bytes.len;
    return sim_note(sim, CALL_READ, fd, (long)bytes.len);
}

static ssize_t sim_write(struct io_sys *sys, int fd, const void *ptr, size_t n)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_FILE);
    if (!f)
        return sim_note(sim, CALL_WRITE, fd, -EBADF);
    struct wt_buf *b = &f->inode->now;
    size_t over = b->len > f->at ? b->len - f->at : 0; /* bytes that are replaced */
    over = over < n ? over : n;
    if (wt_buf_reserve(b, n - over) < 0) {
        b->error = 0;
        return sim_note(sim, CALL_WRITE, fd, -ENOSPC);
    }
    memcpy(b->ptr + f->at, ptr, n);
    b->len += n - over;
    f->at += n;
    touch(sim, f->inode);
    return sim_note(sim, CALL_WRITE, fd, (long)n);
}

static bool in_dir(const char *path, const char *dir)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (!slash)
        return strcmp(dir, ".") == 0;
    return n == 0 ? strcmp(dir, "/") == 0 : strlen(dir) == n && memcmp(dir, path, n) == 0;
}

static int copy_bytes(struct wt_buf *to, const struct wt_buf *from, size_t n)
{
    to->len = 0;
    return wt_buf_add(to, from->ptr, n);
}

static int sim_fsync(struct io_sys *sys, int fd)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *f = sim_fd(sim, fd, SIM_FILE);
    struct sim_fd *d = sim_fd(sim, fd, SIM_DIR);
    int r = f || d ? 0 : -EBADF;
    if (f && copy_bytes(&f->inode->synced, &f->inode->now, f->inode->now.len) < 0)
        r = -EIO;
    for (struct sim_name *n = d ? sim->names : NULL; n; n = n->next)
        if (in_dir(n->path, d->path))
            n->synced = n->now;
    return (int)sim_note(sim, CALL_FSYNC, fd, r);
}

static int sim_rename(struct io_sys *sys, const char *from, const char *to)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_name *a = find_name(sim, from);
    struct sim_name *b = a && a->now ? make_name(sim, to) : NULL;
    int r = !a || !a->now ? -ENOENT : !b ? -ENOMEM : 0;
    if (r == 0 && a != b) {
        b->now = a->now;
        a->now = NULL;
    }
    return (int)sim_note(sim, CALL_RENAME, 0, r);
}

static int sim_unlink(struct io_sys *sys, const char *path)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_name *n = find_name(sim, path);
    if (!n || !n->now)
        return (int)sim_note(sim, CALL_UNLINK, 0, -ENOENT);
    n->now = NULL;
    return (int)sim_note(sim, CALL_UNLINK, 0, 0);
}

/* A directory is there as long as a file is in it. */
static int sim_stat(struct io_sys *sys, const char *path, struct io_stat *out)
{
    struct io_sim *sim = sim_of(sys);
    const struct sim_name *n = find_name(sim, path);
    const struct sim_inode *i = n ? n->now : NULL;
    bool dir = false;
    for (n = sim->names; n && !i && !dir; n = n->next)
        dir = n->now && in_dir(n->path, path);
    if (i)
        *out = (struct io_stat){S_IFREG | 0600, 1, i->number, i->now.len, i->changed_ns,
                                i->changed_ns};
    else if (dir)
        *out = (struct io_stat){.mode = S_IFDIR | 0700, .dev = 1};
    return (int)sim_note(sim, CALL_STAT, 0, i || dir ? 0 : -ENOENT);
}

/* As struct linux_dirent64: number, offset, length of the record, type, name. */
static ssize_t sim_read_dir(struct io_sys *sys, int fd, void *out, size_t n)
{
    struct io_sim *sim = sim_of(sys);
    struct sim_fd *d = sim_fd(sim, fd, SIM_DIR);
    if (!d)
        return sim_note(sim, CALL_READ_DIR, fd, -EBADF);
    size_t at = 0, seen = 0;
    for (const struct sim_name *name = sim->names; name; name = name->next) {
        if (!name->now || !in_dir(name->path, d->path) || seen++ < d->at)
            continue;
        const char *base = strrchr(name->path, '/');
        base = base ? base + 1 : name->path;
        struct dirent64 e = {.d_ino = name->now->number, .d_type = DT_REG};
        size_t len = (offsetof(struct dirent64, d_name) + strlen(base) + 1 + 7) & ~(size_t)7;
        if (at + len > n)
            break;
        e.d_reclen = (unsigned short)len;
        snprintf(e.d_name, sizeof e.d_name, "%s", base);
        memcpy((char *)out + at, &e, len);
        at += len;
        d->at++;
    }
    return sim_note(sim, CALL_READ_DIR, fd, (long)at);
}

static bool same_bytes(const struct wt_buf *a, const struct wt_buf *b)
{
    return wt_str_eq(wt_buf_str(a), wt_buf_str(b));
}

void sim_files_crash(struct io_sim *sim)
{
    for (struct sim_inode *i = sim->inodes; i; i = i->next) {
        if (same_bytes(&i->now, &i->synced))
            continue;
        uint32_t fate = wt_rng_below(&sim->rng, 3);
        if (fate == 0) /* all of it reached the disk by itself, or its front part */
            copy_bytes(&i->synced, &i->now, i->now.len);
        else if (fate == 1)
            copy_bytes(&i->synced, &i->now, wt_rng_below(&sim->rng, (uint32_t)i->now.len + 1));
        copy_bytes(&i->now, &i->synced, i->synced.len);
    }
    for (struct sim_name *n = sim->names; n; n = n->next) {
        if (n->now != n->synced && wt_rng_below(&sim->rng, 2) == 0)
            n->synced = n->now;
        n->now = n->synced;
    }
}

void sim_files_free(struct io_sim *sim)
{
    while (sim->inodes) {
        struct sim_inode *i = sim->inodes;
        sim->inodes = i->next;
        wt_buf_done(&i->now);
        wt_buf_done(&i->synced);
        wt_free(i);
    }
    while (sim->names) {
        struct sim_name *n = sim->names;
        sim->names = n->next;
        wt_free(n->path);
        wt_free(n);
    }
}

void sim_files_install(struct io_sim *sim)
{
    struct io_sys *sys = &sim->sys;
    sys->open = sim_open;
    sys->read = sim_read;
    sys->write = sim_write;
    sys->fsync = sim_fsync;
    sys->rename = sim_rename;
    sys->unlink = sim_unlink;
    sys->stat = sim_stat;
    sys->read_dir = sim_read_dir;
}
