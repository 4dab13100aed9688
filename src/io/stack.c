#include "io/internal.h"

#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13: a guard without a mapping of its own */
#endif

/* A stack grows down into its guard page and dies there instead of in a neighbour. mprotect guards
 * cost a mapping each and stop at vm.max_map_count / 2 = 32,753 stacks; MADV_GUARD_INSTALL does
 * not. */
int io_stack_new(size_t size_bytes, struct io_stack_mem *out)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *p = mmap(NULL, guard + size_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (p == MAP_FAILED)
        return WT_ENOMEM;
    if (madvise(p, guard, MADV_GUARD_INSTALL) < 0 && mprotect(p, guard, PROT_NONE) < 0) {
        munmap(p, guard + size_bytes);
        return WT_ENOMEM;
    }
    *out = (struct io_stack_mem){p + guard, size_bytes};
    return 0;
}

void io_stack_free(struct io_stack_mem *s)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    if (s->low)
        munmap(s->low - guard, guard + s->size_bytes);
    *s = (struct io_stack_mem){0};
}

/* Fresh pages are zero, so the deepest word ever written is the first that is not. */
__attribute__((no_sanitize("address"))) size_t io_stack_used(const struct io_stack_mem *s)
{
    const uint64_t *p = (const uint64_t *)(const void *)s->low;
    const uint64_t *end = p + s->size_bytes / sizeof *p;
    while (p < end && *p == 0)
        p++;
    return (size_t)((const char *)end - (const char *)p);
}
