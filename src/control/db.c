#include "control/internal.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const sql[CONTROL_STATEMENTS] = {
    [CONTROL_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [CONTROL_SQL_COMMIT] = "COMMIT",
    [CONTROL_SQL_ROLLBACK] = "ROLLBACK",
    [CONTROL_SQL_PUT] =
        "INSERT INTO objects (key, kind, namespace, name, uid, rv, generation, doc)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        " ON CONFLICT (key) DO UPDATE SET uid = ?5, rv = ?6, generation = ?7, doc = ?8",
    [CONTROL_SQL_DELETE] = "DELETE FROM objects WHERE key = ?1",
    [CONTROL_SQL_KV_GET] = "SELECT value FROM kv WHERE key = ?1",
    [CONTROL_SQL_KV_PUT] =
        "INSERT INTO kv (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
    [CONTROL_SQL_KV_DELETE] = "DELETE FROM kv WHERE key = ?1",
    [CONTROL_SQL_KV_FROM] = "SELECT key, value FROM kv WHERE key >= ?1 ORDER BY key",
    [CONTROL_SQL_ALL] = "SELECT key, rv, doc FROM objects ORDER BY rv",
};

/* EXCLUSIVE keeps a second control from the same state: it would act on a share that this one has
 * left. */
static const char setup[] = "PRAGMA locking_mode = EXCLUSIVE;"
                            "PRAGMA journal_mode = WAL;"
                            "PRAGMA synchronous = FULL;"
                            "PRAGMA foreign_keys = ON;";

/* One script per schema version, run in order; PRAGMA user_version says how many have run. */
static const char *const schemas[] = {
    "CREATE TABLE objects (key TEXT PRIMARY KEY, kind TEXT NOT NULL, namespace TEXT NOT NULL,"
    " name TEXT NOT NULL, uid TEXT NOT NULL, rv INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " doc TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
};
enum { SCHEMAS = sizeof(schemas) / sizeof(schemas[0]) };

static int fail(struct control_db *db, const char *what, struct wt_err *err)
{
    int code = sqlite3_errcode(db->db);
    switch (code & 0xff) {
    case SQLITE_FULL:
        return wt_fail(err, WT_EIO, "state store: the disk is full: nothing was changed");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return wt_fail(
            err, WT_EDENIED,
            "state store: another process holds it; does a `watari control` run already?");
    case SQLITE_NOMEM:
        return wt_fail(err, WT_ENOMEM, "state store: out of memory");
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        db->broken = true;
        return wt_fail(err, WT_EIO, "state store: %s: %s; it takes no more writes until restarted",
                       what, sqlite3_errmsg(db->db));
    default:
        return wt_fail(err, WT_EIO, "state store: %s: %s", what, sqlite3_errmsg(db->db));
    }
}

static int migrate_schema(struct control_db *db, struct wt_err *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db->db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW) {
        sqlite3_finalize(st);
        return fail(db, "open", err);
    }
    int version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    if (version > SCHEMAS)
        return wt_fail(err, WT_EINVAL,
                       "state store: made by a newer watari (schema %d, this one knows %d)",
                       version, SCHEMAS);
    for (; version < SCHEMAS; version++) {
        char text[1024];
        snprintf(text, sizeof(text), "BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;",
                 schemas[version], version + 1);
        if (sqlite3_exec(db->db, text, NULL, NULL, NULL) != SQLITE_OK) {
            int r = fail(db, "make the schema", err);
            sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
            return r;
        }
    }
    return 0;
}

int control_db_open(struct control_db *db, const char *path, struct wt_err *err)
{
    *db = (struct control_db){0};
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &db->db, flags, NULL) != SQLITE_OK) {
        int r = wt_fail(err, WT_EIO, "state store: open %s: %s", path,
                        db->db ? sqlite3_errmsg(db->db) : "out of memory");
        control_db_close(db);
        return r;
    }
    sqlite3_extended_result_codes(db->db, 1);
    sqlite3_busy_timeout(db->db, 3000);
    int r = 0;
    if (sqlite3_exec(db->db, setup, NULL, NULL, NULL) != SQLITE_OK)
        r = fail(db, "open", err);
    if (r == 0)
        r = migrate_schema(db, err);
    for (int i = 0; r == 0 && i < CONTROL_STATEMENTS; i++)
        if (sqlite3_prepare_v3(db->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i],
                               NULL) != SQLITE_OK)
            r = fail(db, "prepare", err);
    /* Takes the exclusive lock now rather than at the first write. */
    if (r == 0 && sqlite3_exec(db->db, "BEGIN IMMEDIATE; COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        r = fail(db, "lock", err);
    if (r < 0)
        control_db_close(db);
    return r < 0 ? wt_wrap(err, r, "%s", path) : 0;
}

void control_db_close(struct control_db *db)
{
    for (int i = 0; i < CONTROL_STATEMENTS; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->db);
    *db = (struct control_db){.broken = true};
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    sqlite3_bind_text(st, at, text ? text : "", -1, SQLITE_STATIC);
}

/* Runs a prepared statement that gives no rows. */
static int run(struct control_db *db, enum control_statement which, struct wt_err *err)
{
    sqlite3_stmt *st = db->statements[which];
    int code = sqlite3_step(st);
    int r = code == SQLITE_DONE || code == SQLITE_ROW ? 0 : fail(db, "write", err);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

static int put_kv(struct control_db *db, const char *key, const char *value, struct wt_err *err)
{
    if (!value) {
        bind_text(db->statements[CONTROL_SQL_KV_DELETE], 1, key);
        return run(db, CONTROL_SQL_KV_DELETE, err);
    }
    bind_text(db->statements[CONTROL_SQL_KV_PUT], 1, key);
    bind_text(db->statements[CONTROL_SQL_KV_PUT], 2, value);
    return run(db, CONTROL_SQL_KV_PUT, err);
}

static int put_row(struct control_db *db, const struct control_db_row *row, struct wt_err *err)
{
    if (!row->doc_text) {
        bind_text(db->statements[CONTROL_SQL_DELETE], 1, row->key);
        return run(db, CONTROL_SQL_DELETE, err);
    }
    sqlite3_stmt *st = db->statements[CONTROL_SQL_PUT];
    bind_text(st, 1, row->key);
    bind_text(st, 2, row->kind);
    bind_text(st, 3, row->namespace);
    bind_text(st, 4, row->name);
    bind_text(st, 5, row->uid);
    sqlite3_bind_int64(st, 6, (sqlite3_int64)row->rv);
    sqlite3_bind_int64(st, 7, row->generation);
    bind_text(st, 8, row->doc_text);
    return run(db, CONTROL_SQL_PUT, err);
}

int control_db_write(struct control_db *db, const struct control_db_row *rows, size_t n_rows,
                     uint64_t rv, const struct control_kv *kv, size_t n_kv, struct wt_err *err)
{
    if (db->broken)
        return wt_fail(
            err, WT_EIO,
            "state store: an earlier I/O error ended writing; repair the disk and restart");
    int r = run(db, CONTROL_SQL_BEGIN, err);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < n_rows; i++)
        r = put_row(db, &rows[i], err);
    if (r == 0 && rv) {
        char text[24];
        snprintf(text, sizeof(text), "%" PRIu64, rv);
        r = put_kv(db, "rv", text, err);
    }
    for (size_t i = 0; r == 0 && i < n_kv; i++)
        r = put_kv(db, kv[i].key, kv[i].value, err);
    if (r == 0)
        r = run(db, CONTROL_SQL_COMMIT, err);
    if (r < 0 && !sqlite3_get_autocommit(db->db))
        run(db, CONTROL_SQL_ROLLBACK, NULL);
    return r;
}

char *control_db_kv_get(struct control_db *db, const char *key)
{
    sqlite3_stmt *st = db->statements[CONTROL_SQL_KV_GET];
    bind_text(st, 1, key);
    char *out = NULL;
    if (sqlite3_step(st) == SQLITE_ROW)
        out = wt_str_dup(wt_str_z((const char *)sqlite3_column_text(st, 0)));
    sqlite3_reset(st);
    return out;
}

int control_db_kv_each(struct control_db *db, const char *prefix,
                       int (*each)(void *ctx, const char *key, const char *value,
                                   struct wt_err *err),
                       void *ctx, struct wt_err *err)
{
    sqlite3_stmt *st = db->statements[CONTROL_SQL_KV_FROM];
    int code = SQLITE_DONE, r = 0;
    bind_text(st, 1, prefix);
    while (r == 0 && (code = sqlite3_step(st)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(st, 0);
        const char *value = (const char *)sqlite3_column_text(st, 1);
        if (!key || !value)
            r = wt_fail(err, WT_ENOMEM, "state store: out of memory");
        else if (!wt_str_starts(wt_str_z(key), wt_str_z(prefix)))
            break;
        else
            r = each(ctx, key, value, err);
    }
    if (r == 0 && code != SQLITE_DONE && code != SQLITE_ROW)
        r = fail(db, "read", err);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

int control_db_all(struct control_db *db,
                   int (*each)(void *ctx, const char *key, uint64_t rv, struct wt_str doc_text,
                               struct wt_err *err),
                   void *ctx, struct wt_err *err)
{
    sqlite3_stmt *st = db->statements[CONTROL_SQL_ALL];
    int code, r = 0;
    while (r == 0 && (code = sqlite3_step(st)) == SQLITE_ROW)
        r = each(
            ctx, (const char *)sqlite3_column_text(st, 0), (uint64_t)sqlite3_column_int64(st, 1),
            wt_str((const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)),
            err);
    if (r == 0 && code != SQLITE_DONE)
        r = fail(db, "read", err);
    sqlite3_reset(st);
    return r;
}
