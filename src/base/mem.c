#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static _Bool (*fault)(void *ctx, size_t size);
static void *fault_ctx;

void wt_mem_set_fault(_Bool (*fail)(void *ctx, size_t size), void *ctx)
{
    fault = fail;
    fault_ctx = ctx;
}

static inline _Bool refused(size_t size)
{
    return __builtin_expect(fault != NULL, 0) && fault(fault_ctx, size);
}

void *wt_malloc(size_t size)
{
    return refused(size) ? NULL : malloc(size);
}

void *wt_calloc(size_t n, size_t size)
{
    return refused(n * size) ? NULL : calloc(n, size);
}

void *wt_realloc(void *ptr, size_t size)
{
    return refused(size) ? NULL : realloc(ptr, size);
}

void wt_free(void *ptr)
{
    free(ptr);
}

void wt_free_ptr(void *ptr_to_ptr)
{
    void *ptr;
    memcpy(&ptr, ptr_to_ptr, sizeof ptr);
    wt_free(ptr);
}
