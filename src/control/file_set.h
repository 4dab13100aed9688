/* The files of `-f` as documents. A reading looks at every file but reads only those that are not
 * as they were; the rest is remembered, with what is known about it.
 *
 * A file counts as unchanged while device, inode, size and both times are the same. A time that was
 * young when the file was read proves nothing (a second write within the same tick of the file
 * system's clock leaves it as it is): such a file is read again until it has aged.
 */
#ifndef CONTROL_FILE_SET_H
#define CONTROL_FILE_SET_H

#include "base/map.h"
#include "io/sys.h"
#include "model/yaml.h"

enum { CONTROL_DOCUMENTS_MAX = 50000 };

/* What the reader notes about a document. */
struct control_file_note {
    char *key;     /* of the object */
    uint64_t said; /* hash of the document, whatever the order of its members */
};

struct control_file {
    char *path;
    struct io_stat stat;
    bool young;
    bool clean; /* nothing is wrong with any document by itself, nor worth a warning */
    uint64_t bytes_hash, docs_hash;
    struct model_docs docs;
    struct control_file_note *notes; /* one a document; NULL: it was never read */
    uint64_t seen;                   /* the reading it was in last */
};

struct control_file_set {
    struct io_sys *sys;
    int (*pause)(void *ctx); /* or NULL: called between files; below 0 ends the reading */
    void *pause_ctx;
    struct wt_map known; /* path -> struct control_file */
    uint64_t readings;
    /* The last reading, in the order of the paths, and of the names within a directory: */
    struct control_file **files;
    size_t n_files, cap_files;
    size_t n_docs;
    uint64_t hash;   /* of all documents in their order */
    uint64_t looks;  /* of what stat() said of all files and of the directories given */
    uint64_t n_read; /* files whose bytes were read, ever */
};

/* `paths` are files and directories, whose *.yaml, *.yml and *.json are meant. After an error the
 * set holds no files until the next reading, but still remembers. */
int control_file_set_read(struct control_file_set *set, const char *const *paths, size_t n_paths,
                          struct wt_err *err) WT_NODISCARD;

void control_file_set_forget(struct control_file_set *set); /* all of it; frees */

#endif
