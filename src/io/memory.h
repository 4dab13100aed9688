/* The memory that this process may have, and what it has. */
#ifndef IO_MEMORY_H
#define IO_MEMORY_H

#include "io/sys.h"

struct io_memory {
    struct io_sys *sys;
    uint64_t limit_bytes; /* 0: none is known */
    /* The cgroup whose limit it is (usage, statistics); empty: the limit was given, and is one of
     * this process alone. */
    char usage_path[512], stat_path[512];
    const char *const *reclaimable; /* names in the statistics */
};

struct io_memory_use {
    uint64_t rss_bytes;  /* of this process */
    uint64_t used_bytes; /* of the limit */
};

/* `limit_bytes` 0: the smallest memory limit of the cgroups that this process is in (v2, v1), if
 * they have one. */
void io_memory_init(struct io_memory *m, struct io_sys *sys, uint64_t limit_bytes);

/* 0 or an error. A few small files of the kernel: never waits. */
int io_memory_read(const struct io_memory *m, struct io_memory_use *out);

#endif
