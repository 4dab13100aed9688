/* Objects from files (`-f DIR|FILE`): what changed is read (control/file_set.h), the whole is
 * checked, then applied. One bad file changes nothing.
 *
 * An object is put when what a file says of it is not what it said when it was put last
 * (control/file_record.h). Else it stays what others have made of it, deleted as well: whatever
 * other objects and files do, and whoever restarts.
 *
 * An object that came from a file and is in none any more is removed, but never on a reading that
 * is empty, and only once the files have rested: a file that is still being written looks like a
 * shorter one. Nor while a Migration with users on its new side needs it (control/in_use.h), or
 * while users are on both sides of one of which it is a part.
 *
 * Many changes go to the store in several transactions, so that others run in between; what they
 * see then is a part of a reading (control_files_applying()).
 */
#ifndef CONTROL_FILES_H
#define CONTROL_FILES_H

#include "control/store.h"

enum { CONTROL_FILES_MAX = 64, CONTROL_FILES_REST_S = 10 };

struct control_files;

struct control_files_stats {
    uint64_t applied, rejected; /* readings */
    uint64_t read;              /* files whose bytes were read */
};

/* `paths` are files and directories (whose *.yaml, *.yml and *.json are read, in the order of their
 * names); borrowed, as `sys`. `rest_ms`: for how long no file and no directory given may have
 * changed before an object that is in none any more is removed. */
struct control_files *control_files_new(struct control_store *store, struct io_sys *sys,
                                        const char *const *paths, size_t n_paths, int64_t rest_ms);
void control_files_free(struct control_files *f);

/* `pause` is called every few objects while a reading is taken in, and may let others run; when it
 * fails (WT_ECANCELED) the reading ends there. */
void control_files_on_pause(struct control_files *f, int (*pause)(void *ctx), void *ctx);
/* In a pause: the store holds a part of what is to change, the rest follows. */
bool control_files_applying(const struct control_files *f);

/* Reads and applies when something differs from the last reading. 1: objects changed, 0: nothing
 * did, or an error whose sentences name file and line. *out_again_ms is when to call again at the
 * latest (from now). `force` reads as if for the first time. */
int control_files_apply(struct control_files *f, bool force, int64_t now_ms, int64_t wall_ms,
                        int64_t *out_again_ms, struct wt_err *err);

struct control_files_stats control_files_stats(const struct control_files *f);

/* Puts the directories concerned under the inotify descriptor `fd`, as they are now: before each
 * reading, since one may have been replaced by another of its name. What cannot be watched is
 * told by the time alone. */
void control_files_watch(struct control_files *f, int fd);

#endif
