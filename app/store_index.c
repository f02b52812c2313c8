/* SPDX-License-Identifier: MIT */
/* store_index.c - where pulled files came from: one SQLite table, HOME/index.db, in WAL mode.
 *
 * It is a convenience: when it cannot be opened or written (read-only folder, full disk), the
 * models still work and `list` shows less.  So nothing here complains unless --verbose. */
#include "store.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static sqlite3 *open_index(bool make)
{
    char path[APP_PATH], home[APP_PATH];
    sqlite3 *db = NULL;
    if (!store_home(path, "index.db") || !store_home(home, "")) return NULL;
    if (make ? !store_make_quiet(home) : access(path, F_OK) != 0) return NULL;
    const int how = make ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE;
    if (sqlite3_open_v2(path, &db, how, NULL) != SQLITE_OK
        || sqlite3_busy_timeout(db, 3000) != SQLITE_OK
        || sqlite3_exec(db, "PRAGMA journal_mode=WAL;"
                            "CREATE TABLE IF NOT EXISTS pulled(path TEXT PRIMARY KEY, name TEXT,"
                            " url TEXT, sha256 TEXT, bytes INTEGER, at INTEGER) WITHOUT ROWID",
                        NULL, NULL, NULL) != SQLITE_OK) {
        if (term.verbose) term_note("index %s: %s", path, db ? sqlite3_errmsg(db) : strerror(errno));
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

/* Prepares, binds path as ?1 and steps once; the caller finalizes. */
static sqlite3_stmt *prepare(sqlite3 *db, const char *sql, const char *path)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK) return NULL;
    sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
    return q;
}

void index_put(const char *path, const index_row *row)
{
    sqlite3 *db = open_index(true);
    if (!db) return;
    sqlite3_stmt *q = prepare(db, "INSERT OR REPLACE INTO pulled VALUES(?1,?2,?3,?4,?5,?6)", path);
    if (q) {
        sqlite3_bind_text(q, 2, row->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 3, row->url, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 4, row->sha256, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 5, (sqlite3_int64)row->bytes);
        sqlite3_bind_int64(q, 6, (sqlite3_int64)time(NULL));
        if (sqlite3_step(q) != SQLITE_DONE && term.verbose)
            term_note("index: %s", sqlite3_errmsg(db));
        sqlite3_finalize(q);
    }
    sqlite3_close(db);
}

static void copy_text(sqlite3_stmt *q, int column, char *out, size_t cap)
{
    const char *s = (const char *)sqlite3_column_text(q, column);
    snprintf(out, cap, "%s", s ? s : "");
}

bool index_get(const char *path, index_row *row)
{
    sqlite3 *db = open_index(false);
    bool found = false;
    memset(row, 0, sizeof *row);
    if (!db) return false;
    sqlite3_stmt *q = prepare(db, "SELECT name,url,sha256,bytes,at FROM pulled WHERE path=?1", path);
    if (q) {
        found = sqlite3_step(q) == SQLITE_ROW;
        if (found) {
            copy_text(q, 0, row->name, sizeof row->name);
            copy_text(q, 1, row->url, sizeof row->url);
            copy_text(q, 2, row->sha256, sizeof row->sha256);
            row->bytes = (uint64_t)sqlite3_column_int64(q, 3);
            row->when = sqlite3_column_int64(q, 4);
        }
        sqlite3_finalize(q);
    }
    sqlite3_close(db);
    return found;
}

void index_drop(const char *path)
{
    sqlite3 *db = open_index(false);
    if (!db) return;
    sqlite3_stmt *q = prepare(db, "DELETE FROM pulled WHERE path=?1", path);
    if (q) {
        sqlite3_step(q);
        sqlite3_finalize(q);
    }
    sqlite3_close(db);
}
