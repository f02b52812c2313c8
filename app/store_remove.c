/* SPDX-License-Identifier: MIT */
/* store_remove.c - takes models off this machine, and sweeps up behind killed pulls.
 *
 * Nothing is removed that another tool may count on: in the hub cache only files that the index
 * knows as ours, and a blob only when no other snapshot points at it. */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void store_remove_tree(const char *path)
{
    char inner[APP_PATH];
    DIR *d = opendir(path);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        struct stat s;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        if (!store_join(inner, path, e->d_name) || lstat(inner, &s) != 0) continue;
        if (S_ISDIR(s.st_mode)) store_remove_tree(inner);
        else unlink(inner);
    }
    closedir(d);
    rmdir(path);
}

void store_sweep(void)
{
    char folder[APP_PATH], path[APP_PATH], lock[APP_PATH];
    DIR *d = store_home(folder, "tmp") ? opendir(folder) : NULL;
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.' || !store_join(path, folder, e->d_name)
            || !store_join(lock, path, ".lock"))
            continue;
        const int fd = open(lock, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            struct stat s;      /* killed between mkdir and lock; a young one is being made */
            if (stat(path, &s) == 0 && s.st_mtime + 60 < time(NULL)) rmdir(path);
            continue;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) store_remove_tree(path);
        close(fd);
    }
    closedir(d);
}

/* Does any snapshot of the repository still point at this blob? */
static bool blob_is_used(const char *folder, const struct stat *blob, int depth)
{
    char path[APP_PATH];
    struct stat s;
    DIR *d = opendir(folder);
    bool used = false;
    if (!d) return false;
    for (struct dirent *e; !used && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !store_join(path, folder, e->d_name) || stat(path, &s) != 0)
            continue;
        if (S_ISDIR(s.st_mode)) used = depth < 8 && blob_is_used(path, blob, depth + 1);
        else used = s.st_ino == blob->st_ino && s.st_dev == blob->st_dev;
    }
    closedir(d);
    return used;
}

/* Empty folders above a removed file, up to (not including) `top`. */
static void remove_parents(const char *path, const char *top)
{
    char p[APP_PATH];
    snprintf(p, sizeof p, "%s", path);
    for (char *slash; (slash = strrchr(p, '/'));) {
        *slash = 0;
        if (!strcmp(p, top) || strlen(p) <= strlen(top) || rmdir(p) != 0) return;
    }
}

static int cannot(const char *path)
{
    return term_error(ST_FAILED, "cannot remove %s: %s", path, strerror(errno));
}

/* HUB/models--O--N/snapshots/COMMIT/FILE, usually a link into blobs/. */
static int remove_hub(const char *path, char *repo_end)
{
    char blob[APP_PATH], repo[APP_PATH], inner[APP_PATH], target[APP_PATH];
    struct stat link, s;
    snprintf(repo, sizeof repo, "%.*s", (int)(repo_end - path), path);
    if (lstat(path, &link) != 0 || stat(path, &s) != 0) return cannot(path);
    blob[0] = 0;
    if (S_ISLNK(link.st_mode)) {
        const ssize_t n = readlink(path, target, sizeof target - 1);
        if (n <= 0) return cannot(path);
        target[n] = 0;
        const char *base = strrchr(target, '/');
        base = base ? base + 1 : target;
        if (!store_join(inner, repo, "blobs") || !store_join(blob, inner, base)) blob[0] = 0;
    }
    if (unlink(path) != 0) return cannot(path);
    if (!store_join(inner, repo, "snapshots")) return ST_FAILED;
    if (blob[0] && !blob_is_used(inner, &s, 0) && unlink(blob) != 0 && errno != ENOENT)
        return cannot(blob);
    remove_parents(path, inner);
    if (rmdir(inner) == 0) {                     /* the last snapshot went: the shell may go too */
        static const char *const rest[] = { "refs/main", "refs", "blobs", "" };
        for (int i = 0; i < (int)APP_COUNT(rest); i++)
            if (store_join(inner, repo, rest[i]) && unlink(inner) != 0) rmdir(inner);
    }
    return ST_DONE;
}

static int remove_model(const char *path, uint64_t *freed)
{
    char models[APP_PATH], hub[APP_PATH], copy[APP_PATH];
    struct stat s;
    index_row row;
    int st = ST_DONE;
    *freed = stat(path, &s) == 0 ? (uint64_t)s.st_size : 0;
    snprintf(copy, sizeof copy, "%s", path);
    const bool has_own = store_home(models, "models"), has_hub = store_hub(hub, "");
    if (has_own && !strncmp(path, models, strlen(models)) && path[strlen(models)] == '/') {
        if (unlink(path) != 0) return cannot(path);
        remove_parents(path, models);
    } else if (has_hub && !strncmp(path, hub, strlen(hub)) && index_get(path, &row)) {
        char *end = strstr(copy + strlen(hub), "/snapshots/");
        if (!end) return term_error(ST_FAILED, "%s is not inside a snapshot", path);
        st = remove_hub(copy, end);
    } else {
        term_error(ST_FAILED, "%s was not pulled by mote", path);
        term_try("rm \"%s\"   if nothing else uses it", path);
        return ST_FAILED;
    }
    if (!st) index_drop(path);
    return st;
}

/* Packed weights of models that are gone, this one or one that was deleted by other means. */
static bool remove_packed(void *user, const mote_cache_item *item)
{
    uint64_t *freed = user;
    const bool is_gone = item->model && access(item->model, F_OK) != 0 && errno == ENOENT;
    if (is_gone && unlink(item->path) == 0) *freed += item->bytes;
    return true;
}

int store_remove(const char *path, uint64_t *freed)
{
    char folder[APP_PATH];
    const int st = remove_model(path, freed);
    if (!st && store_home(folder, "packed")) mote_cache_each(folder, remove_packed, freed, NULL);
    return st;
}
