/* What the files of the store share. */
#ifndef CONTROL_INTERNAL_H
#define CONTROL_INTERNAL_H

#include "base/map.h"
#include "control/store.h"

#include <sqlite3.h>

enum control_statement {
    CONTROL_SQL_BEGIN,
    CONTROL_SQL_COMMIT,
    CONTROL_SQL_ROLLBACK,
    CONTROL_SQL_PUT,
    CONTROL_SQL_DELETE,
    CONTROL_SQL_KV_GET,
    CONTROL_SQL_KV_PUT,
    CONTROL_SQL_KV_DELETE,
    CONTROL_SQL_KV_FROM,
    CONTROL_SQL_ALL,
    CONTROL_STATEMENTS,
};

/* The database alone: statements prepared once, errors as sentences. */
struct control_db {
    sqlite3 *db;
    sqlite3_stmt *statements[CONTROL_STATEMENTS];
    bool broken;
};

int control_db_open(struct control_db *db, const char *path, struct wt_err *err);
void control_db_close(struct control_db *db);

/* One row of a write: `doc_text` NULL deletes. */
struct control_db_row {
    const char *key, *kind, *namespace, *name, *uid;
    uint64_t rv;
    int64_t generation;
    const char *doc_text;
};

/* One transaction: the rows, the store's resourceVersion (0: leave it), and the values (a NULL one
 * goes). */
int control_db_write(struct control_db *db, const struct control_db_row *rows, size_t n_rows,
                     uint64_t rv, const struct control_kv *kv, size_t n_kv, struct wt_err *err);

char *control_db_kv_get(struct control_db *db, const char *key);

/* Calls `each` for every value whose key begins so; stops at its first error. */
int control_db_kv_each(struct control_db *db, const char *prefix,
                       int (*each)(void *ctx, const char *key, const char *value,
                                   struct wt_err *err),
                       void *ctx, struct wt_err *err);

/* Calls `each` for every stored document; stops at its first error. */
int control_db_all(struct control_db *db,
                   int (*each)(void *ctx, const char *key, uint64_t rv, struct wt_str doc_text,
                               struct wt_err *err),
                   void *ctx, struct wt_err *err);

#endif
