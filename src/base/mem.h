/* Every allocation of Watari goes through these, so that a test can make the nth one fail. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Replaces the allocator: `fail` is asked before each allocation and refuses it by returning true.
 * NULL (the start) refuses none. Tests only; not to be changed while other threads allocate. */
void wt_mem_set_fault(_Bool (*fail)(void *ctx, size_t size), void *ctx);

/* As malloc and friends: NULL when there is no memory. Free with wt_free. */
void *wt_malloc(size_t size) __attribute__((malloc, warn_unused_result));
void *wt_calloc(size_t n, size_t size) __attribute__((malloc, warn_unused_result));
void *wt_realloc(void *ptr, size_t size) __attribute__((warn_unused_result));
void wt_free(void *ptr);

/* `autofree char *p = …;` frees at the end of the scope. */
void wt_free_ptr(void *ptr_to_ptr);
#define wt_autofree __attribute__((cleanup(wt_free_ptr)))

#endif
