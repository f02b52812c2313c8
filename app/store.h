/* SPDX-License-Identifier: MIT */
/* store.h - where models lie on this machine: the hub cache that all tools share, our own folder
 * for what comes from elsewhere, and the index of where things came from. */
#ifndef STORE_H
#define STORE_H

#include "app.h"
#include "catalogue.h"

/* Folders.  `below` is added behind a slash ("": the folder itself).  false: the environment
 * names no home, or the path is too long. */
bool store_home(char out[APP_PATH], const char *below);  /* MOTE_HOME, or XDG cache /mote */
bool store_hub(char out[APP_PATH], const char *below);   /* the hub cache */
bool store_history(char out[APP_PATH]);                  /* what was typed in chats */
/* The configuration file ("" when there is no home); true: MOTE_CONFIG asked for this one. */
bool store_config(char out[APP_PATH]);
int  store_make_dirs(const char *path);                  /* says what went wrong */
bool store_make_quiet(const char *path);                 /* for what mote can do without */
/* Where packed weights are kept; false: nowhere, or MOTE_NO_CACHE is set. */
bool store_packed(char out[APP_PATH]);
bool store_join(char out[APP_PATH], const char *a, const char *b);

/* ---- finding and listing ---------------------------------------------------- */
/* A file that is here and fits the reference (never a half-pulled one). */
bool store_find(const model_ref *r, char path[APP_PATH]);
/* Where a file of our own belongs: HOME/models/KIND/A/FILE.  PYPI and URL references. */
bool store_own_path(const model_ref *r, const char *file, char path[APP_PATH]);
/* Of the GGUF files of a repository the one to take when none is named: the common 4-bit kinds
 * first, then larger.  Lower is better, -1: not one that runs alone. */
int  store_file_rank(const char *file);

typedef struct store_item {
    const char *name;           /* fit to be given as MODEL */
    const char *path, *source;
    char quant[16];             /* read off the file's name; "-": it does not say */
    uint64_t bytes;
    int64_t when;               /* of the last change */
    bool ours;                  /* mote pulled it, so mote may remove it */
} store_item;
typedef bool (*store_fn)(void *user, const store_item *item);    /* false: stop */
void store_each(store_fn fn, void *user);
int  store_remove(const char *path, uint64_t *freed);    /* says what went wrong */
/* Removes what killed pulls left in HOME/tmp; folders in use are locked and stay. */
void store_sweep(void);
void store_remove_tree(const char *path);

/* ---- store_index.c: a small SQLite table; without it everything still works --------- */
typedef struct index_row {
    char name[512], url[1024], sha256[65];
    uint64_t bytes;
    int64_t when;
} index_row;
void index_put(const char *path, const index_row *row);
bool index_get(const char *path, index_row *row);
void index_drop(const char *path);

#endif
