/* Against files of cgroups as kernels write them, served by a system of the test's own. */
#include "io/memory.h"

#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIB (1 << 20)

struct text_file {
    const char *path, *text;
};

static const struct text_file *files;
static size_t at;

static int open_text(struct io_sys *sys, const char *path, int flags, mode_t mode)
{
    (void)sys;
    (void)flags;
    (void)mode;
    at = 0;
    for (int i = 0; files[i].path; i++)
        if (strcmp(files[i].path, path) == 0)
            return i;
    return -ENOENT;
}

/* A few bytes at a time, as a pipe would. */
static ssize_t read_text(struct io_sys *sys, int fd, void *out, size_t n)
{
    size_t left = strlen(files[fd].text) - at;
    (void)sys;
    n = n > 7 ? 7 : n;
    n = n > left ? left : n;
    memcpy(out, files[fd].text + at, n);
    at += n;
    return (ssize_t)n;
}

static int close_text(struct io_sys *sys, int fd)
{
    (void)sys;
    (void)fd;
    return 0;
}

static struct io_sys sys = {.open = open_text, .read = read_text, .close = close_text};

#define V2 "/sys/fs/cgroup"
#define V1 "/sys/fs/cgroup/memory"

static const struct {
    const char *what;
    struct text_file files[8];
    uint64_t limit;
    const char *usage;
} limit_rows[] = {
    {"nothing", {{0}}, 0, ""},
    {"v2 without a limit", {{"/proc/self/cgroup", "0::/\n"}, {V2 "/memory.max", "max\n"}}, 0, ""},
    {"v2 in a container",
     {{"/proc/self/cgroup", "0::/\n"}, {V2 "/memory.max", "536870912\n"}},
     512 * MIB,
     V2 "/memory.current"},
    {"v2, a service",
     {{"/proc/self/cgroup", "0::/system.slice/watari.service\n"},
      {V2 "/system.slice/watari.service/memory.max", "1048576\n"},
      {V2 "/system.slice/memory.max", "2097152\n"}},
     MIB,
     V2 "/system.slice/watari.service/memory.current"},
    {"v2, the slice is narrower",
     {{"/proc/self/cgroup", "0::/system.slice/watari.service\n"},
      {V2 "/system.slice/watari.service/memory.max", "max\n"},
      {V2 "/system.slice/memory.max", "2097152\n"}},
     2 * MIB,
     V2 "/system.slice/memory.current"},
    {"v1, a path of the host's",
     {{"/proc/self/cgroup", "4:memory:/docker/123\n3:cpu,cpuacct:/docker/123\n0::/\n"},
      {V1 "/memory.limit_in_bytes", "1048576\n"}},
     MIB,
     V1 "/memory.usage_in_bytes"},
    {"v1 without a limit",
     {{"/proc/self/cgroup", "4:memory:/\n"},
      {V1 "/memory.limit_in_bytes", "9223372036854771712\n"}},
     0,
     ""},
    {"v1, with others",
     {{"/proc/self/cgroup", "4:hugetlb,memory:/a\n"}, {V1 "/a/memory.limit_in_bytes", "1048576\n"}},
     MIB,
     V1 "/a/memory.usage_in_bytes"},
    {"not a number", {{"/proc/self/cgroup", "0::/\n"}, {V2 "/memory.max", "\n"}}, 0, ""},
    {"no cgroups in it",
     {{"/proc/self/cgroup", "\n::\n:\nx"}, {V2 "/memory.max", "5\n"}},
     5,
     V2 "/memory.current"},
};

static void test_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(limit_rows); i++) {
        struct io_memory m;
        files = limit_rows[i].files;
        io_memory_init(&m, &sys, 0);
        if (m.limit_bytes != limit_rows[i].limit || strcmp(m.usage_path, limit_rows[i].usage) != 0)
            fail_msg("%s: %llu %s", limit_rows[i].what, (unsigned long long)m.limit_bytes,
                     m.usage_path);
        io_memory_init(&m, &sys, 77);
        assert_int_equal(m.limit_bytes, 77);
        assert_string_equal(m.usage_path, "");
    }
}

static void test_use_of_the_process(void **state)
{
    static const struct text_file mine[] = {{"/proc/self/statm", "9000 250 100 10 0 1 0\n"}, {0}};
    static const struct text_file none[] = {{0}};
    static const struct text_file wrong[] = {{"/proc/self/statm", "9000"}, {0}};
    struct io_memory m;
    struct io_memory_use use = {0};
    (void)state;
    files = mine;
    io_memory_init(&m, &sys, MIB);
    assert_int_equal(io_memory_read(&m, &use), 0);
    assert_int_equal(use.rss_bytes, 250 * sysconf(_SC_PAGESIZE));
    assert_int_equal(use.used_bytes, use.rss_bytes);
    files = none;
    assert_int_equal(io_memory_read(&m, &use), WT_ENOENT);
    files = wrong;
    assert_int_equal(io_memory_read(&m, &use), WT_EIO);
    assert_int_equal(use.rss_bytes, 250 * sysconf(_SC_PAGESIZE));
}

/* rss and what memory.current and memory.stat say -> what is used of the limit; in pages of 4096 */
static void test_use_of_the_cgroup(void **state)
{
    static const struct {
        unsigned rss, current;
        const char *stat;
        unsigned used;
    } rows[] = {
        {900, 1000, "anon 1\nsock 0\n", 1000},
        {900, 2000, "inactive_file 2457600\nactive_file 1228800\nslab_reclaimable 409600\n", 1000},
        {100, 1000, "anon 1\nsock 1638400\n", 1000}, /* its sockets are its own too */
        {100, 1000, "anon 1\nsock 0\n", 100},        /* the larger part is somebody else's */
        {100, 50, "anon 1\ninactive_file 4096000\n", 0},
        {900, 1000, "", 1000},
    };
    char statm[64], current[64];
    struct text_file now[] = {{"/proc/self/cgroup", "0::/\n"}, {V2 "/memory.max", "8192000\n"},
                              {"/proc/self/statm", statm},     {V2 "/memory.current", current},
                              {V2 "/memory.stat", ""},         {0}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct io_memory m;
        struct io_memory_use use;
        snprintf(statm, sizeof statm, "9 %u 1\n",
                 (unsigned)(rows[i].rss * 4096l / sysconf(_SC_PAGESIZE)));
        snprintf(current, sizeof current, "%u\n", rows[i].current * 4096);
        now[4].text = rows[i].stat;
        files = now;
        io_memory_init(&m, &sys, 0);
        assert_int_equal(io_memory_read(&m, &use), 0);
        assert_int_equal(use.used_bytes, rows[i].used * 4096);
    }
}

static void test_the_real_system(void **state)
{
    struct io_memory m;
    struct io_memory_use use;
    (void)state;
    io_memory_init(&m, io_sys_real(), 0);
    assert_int_equal(io_memory_read(&m, &use), 0);
    assert_true(use.rss_bytes > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_use_of_the_process),
        cmocka_unit_test(test_use_of_the_cgroup),
        cmocka_unit_test(test_the_real_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
