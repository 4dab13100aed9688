/* Whole files, through the system table: what Watari keeps on disk is small and replaced as a
 * whole.
 *
 * All calls block; on a loop run them under io_offload().
 */
#ifndef IO_FILE_H
#define IO_FILE_H

#include "base/buf.h"
#include "io/sys.h"

/* Appends all of the file to `out` (whose cap bounds it too); WT_ELIMIT beyond `max_bytes`. On an
 * error `out` is as long as it was. */
int io_file_read(struct io_sys *sys, const char *path, size_t max_bytes, struct wt_buf *out,
                 struct wt_err *err) WT_NODISCARD;

/* Replaces the file at once and for good: after success it survives a power cut, after a failure or
 * a crash the old content (or no file) is there, never a mixture. Writes "<path>.new" beside it:
 * one writer at a time. */
int io_file_write(struct io_sys *sys, const char *path, struct wt_str bytes, mode_t mode,
                  struct wt_err *err) WT_NODISCARD;

/* The same without waiting for the disk: after a power cut it may be old, new, cut off or gone. For
 * what means nothing after one. */
int io_file_put(struct io_sys *sys, const char *path, struct wt_str bytes, mode_t mode,
                struct wt_err *err) WT_NODISCARD;

/* Calls `each` for every name in the directory but "." and "..", in no order; stops at its first
 * error. */
int io_dir_each(struct io_sys *sys, const char *path,
                int (*each)(void *ctx, const char *name, struct wt_err *err), void *ctx,
                struct wt_err *err) WT_NODISCARD;

#endif
