#include "io/memory.h"

#include "base/err.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. What a cgroup is charged with
 * holds file caches, which the kernel takes back before it kills anybody. */
static const char *const reclaimable_v2[] = {"inactive_file", "active_file", "slab_reclaimable",
                                             NULL};
static const char *const reclaimable_v1[] = {"total_inactive_file", "total_active_file", NULL};

static const struct hierarchy {
    const char *controllers; /* the second field in /proc/self/cgroup */
    const char *root, *limit, *usage;
    const char *const *reclaimable;
} hierarchies[] = {
    {"", "/sys/fs/cgroup", "memory.max", "memory.current", reclaimable_v2},
    {"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
     reclaimable_v1},
};

static const uint64_t V1_NO_LIMIT = UINT64_C(1) << 60; /* v1 says 2^63 less a page */

/* ---- small files ---- */

/* The text, terminated; an error without it. */
static int read_text(struct io_sys *sys, const char *path, char *out, size_t size)
{
    int fd = sys->open(sys, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return wt_code_from_errno(-fd);
    size_t n = 0;
    ssize_t got = 0;
    while (n < size - 1 && (got = sys->read(sys, fd, out + n, size - 1 - n)) > 0)
        n += (size_t)got;
    sys->close(sys, fd);
    out[n] = '\0';
    return got < 0 ? wt_code_from_errno((int)-got) : 0;
}

/* The number at the start of `s`, or false ("max"). */
static bool number_at(struct wt_str s, uint64_t *out)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return wt_str_u64(wt_str_sub(s, 0, n), out);
}

static bool read_number(struct io_sys *sys, const char *path, uint64_t *out)
{
    char text[64];
    return read_text(sys, path, text, sizeof text) == 0 && number_at(wt_str_z(text), out);
}

/* ---- the limit ---- */

static void consider(struct io_memory *m, const struct hierarchy *h, struct wt_str path)
{
    char file[512];
    uint64_t limit;
    snprintf(file, sizeof file, "%s%.*s/%s", h->root, WT_ARG(path), h->limit);
    if (!read_number(m->sys, file, &limit) || limit == 0 || limit >= V1_NO_LIMIT ||
        (m->limit_bytes && limit >= m->limit_bytes))
        return;
    m->limit_bytes = limit;
    m->reclaimable = h->reclaimable;
    snprintf(m->usage_path, sizeof m->usage_path, "%s%.*s/%s", h->root, WT_ARG(path), h->usage);
    snprintf(m->stat_path, sizeof m->stat_path, "%s%.*s/memory.stat", h->root, WT_ARG(path));
}

/* A cgroup and all above it; in a container the path may be one of the host's, and only the root is
 * there. */
static void consider_all(struct io_memory *m, const struct hierarchy *h, struct wt_str path)
{
    if (path.len > 256)
        return;
    while (path.len > 1) {
        consider(m, h, path);
        while (path.len && path.ptr[path.len - 1] != '/')
            path.len--;
        path.len -= path.len > 0;
    }
    consider(m, h, wt_str(NULL, 0));
}

static bool names(struct wt_str controllers, const char *wanted)
{
    if (!*wanted)
        return controllers.len == 0;
    while (controllers.len)
        if (wt_str_eq(wt_str_next(&controllers, ','), wt_str_z(wanted)))
            return true;
    return false;
}

void io_memory_init(struct io_memory *m, struct io_sys *sys, uint64_t limit_bytes)
{
    char text[4096];
    *m = (struct io_memory){.sys = sys, .limit_bytes = limit_bytes};
    if (limit_bytes || read_text(sys, "/proc/self/cgroup", text, sizeof text) < 0)
        return;
    struct wt_str rest = wt_str_z(text);
    while (rest.len) {
        struct wt_str path = wt_str_next(&rest, '\n'); /* "0::/a/b" */
        wt_str_next(&path, ':');
        struct wt_str controllers = wt_str_next(&path, ':');
        for (size_t i = 0; i < sizeof hierarchies / sizeof hierarchies[0]; i++)
            if (names(controllers, hierarchies[i].controllers))
                consider_all(m, &hierarchies[i], path);
    }
}

/* ---- the use ---- */

static int read_rss(const struct io_memory *m, uint64_t *out)
{
    char text[256];
    uint64_t pages;
    int r = read_text(m->sys, "/proc/self/statm", text, sizeof text);
    if (r < 0)
        return r;
    struct wt_str rest = wt_str_z(text);
    wt_str_next(&rest, ' ');
    if (!number_at(rest, &pages))
        return WT_EIO;
    *out = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

static int read_stat(const struct io_memory *m, uint64_t *out_reclaimable, uint64_t *out_sockets)
{
    char text[8192];
    int r = read_text(m->sys, m->stat_path, text, sizeof text);
    struct wt_str rest = wt_str_z(text);
    *out_reclaimable = *out_sockets = 0;
    while (r == 0 && rest.len) {
        struct wt_str line = wt_str_next(&rest, '\n'), name = wt_str_next(&line, ' ');
        uint64_t value;
        if (!number_at(line, &value))
            continue;
        if (wt_str_eq(name, WT_STR("sock")))
            *out_sockets = value;
        for (const char *const *k = m->reclaimable; *k; k++)
            if (wt_str_eq(name, wt_str_z(*k)))
                *out_reclaimable += value;
    }
    return r;
}

/* Where others in the cgroup hold the larger part, giving up ours would cost requests and help
 * nobody, and they are whom the kernel kills: then our own part is what counts. */
int io_memory_read(const struct io_memory *m, struct io_memory_use *out)
{
    uint64_t all, reclaimable, sockets;
    struct io_memory_use use;
    int r = read_rss(m, &use.rss_bytes);
    use.used_bytes = use.rss_bytes;
    if (r == 0 && m->usage_path[0]) {
        r = read_number(m->sys, m->usage_path, &all) ? read_stat(m, &reclaimable, &sockets)
                                                     : WT_EIO;
        if (r == 0) {
            uint64_t held = all > reclaimable ? all - reclaimable : 0;
            uint64_t own = use.rss_bytes + sockets;
            use.used_bytes = own >= held / 2 ? held : own;
        }
    }
    if (r == 0)
        *out = use;
    return r;
}
