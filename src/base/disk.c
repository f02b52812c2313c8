/* SPDX-License-Identifier: MIT */
/* disk.c - files that are written safely, and files that are mapped over reserved pages.
 *
 * The decision here is the lock: a draft is written under one well-known name that its writer holds
 * by flock.  The kernel drops the lock with the process, so that a crash leaves nothing to wait for,
 * and nobody ever waits: who finds the lock taken goes without. */
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* errno as text; strerror_r has two signatures. */
typedef struct reason { char room[96]; } reason;
static const char *os_reason(reason *r)
{
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    return strerror_r(errno, r->room, sizeof r->room);
#else
    return strerror_r(errno, r->room, sizeof r->room) == 0 ? r->room : "unknown error";
#endif
}

static int open_file(const char *path, int flags)
{
    int fd;
    do fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* ---- reading -------------------------------------------------------------- */

mote_status mt_file_open(mt_file *f, const char *path, mote_error *err)
{
    reason why;
    struct stat s;
    *f = (mt_file){ .fd = open_file(path, O_RDONLY) };
    if (f->fd < 0) {
        f->is_absent = errno == ENOENT;
        MT_FAIL(err, MOTE_EIO, "%s: cannot open: %s", mt_path_end(path), os_reason(&why));
    }
    const bool known = fstat(f->fd, &s) == 0;
    if (known && S_ISREG(s.st_mode) && (uintmax_t)s.st_size <= SIZE_MAX) {
        f->size = (size_t)s.st_size;
        f->mtime = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
        return MOTE_OK;
    }
    mt_file_close(f);
    MT_FAIL(err, MOTE_EIO, "%s: expected a regular file", mt_path_end(path));
}

mote_status mt_file_read(const mt_file *f, size_t offset, void *p, size_t n, mote_error *err)
{
    reason why;
    for (size_t done = 0; done < n;) {
        const ssize_t got = pread(f->fd, (char *)p + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) MT_FAIL(err, MOTE_EIO, "cannot read: %s", os_reason(&why));
        if (got == 0) MT_FAIL(err, MOTE_EIO, "cannot read: the file ends at byte %zu", offset + done);
        done += (size_t)got;
    }
    return MOTE_OK;
}

mote_status mt_file_map(const mt_file *f, size_t offset, void *at, size_t bytes, mote_error *err)
{
    reason why;
    if (mmap(at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, f->fd, (off_t)offset) == MAP_FAILED)
        MT_FAIL(err, MOTE_EIO, "cannot map %zu bytes: %s", bytes, os_reason(&why));
    mt_pages_huge(at, bytes);           /* pages that are read from disk come in large ones too */
    return MOTE_OK;
}

void mt_file_close(mt_file *f)
{
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

bool mt_file_remove(const char *path) { return unlink(path) == 0; }

/* ---- drafts ---------------------------------------------------------------- */

/* Is the open file still the one of this name? */
static bool is_at(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && lstat(path, &named) == 0 && held.st_dev == named.st_dev
           && held.st_ino == named.st_ino;
}

static mote_status check_room(int fd, const char *path, size_t bytes, size_t reserve, mote_error *err)
{
    struct statvfs v;
    if (fstatvfs(fd, &v) != 0) return MOTE_OK;  /* then writing will show */
    const uintmax_t room = (uintmax_t)v.f_bavail * v.f_frsize;
    if (room >= bytes && room - bytes >= reserve) return MOTE_OK;
    MT_FAIL(err, MOTE_EFULL, "%s: needs %zu MiB and %zu MiB to spare, the disk has %ju MiB", mt_path_end(path),
            bytes >> 20, reserve >> 20, room >> 20);
}

mote_status mt_draft_open(mt_draft *d, const char *path, const char *temp, size_t bytes, size_t reserve,
                          mote_error *err)
{
    reason why;
    *d = (mt_draft){ open_file(temp, O_RDWR | O_CREAT), path, temp };
    if (d->fd < 0) MT_FAIL(err, MOTE_EIO, "%s: cannot write: %s", mt_path_end(temp), os_reason(&why));
    const bool is_locked = flock(d->fd, LOCK_EX | LOCK_NB) == 0;
    if (is_locked ? !is_at(d->fd, temp) : errno == EWOULDBLOCK) {   /* published between our open and our lock */
        close(d->fd);
        d->fd = -1;
        MT_FAIL(err, MOTE_ECANCELLED, "%s: another process writes it", mt_path_end(temp));
    }
    mote_status status = MOTE_OK;
    if (!is_locked) status = mt_fail(err, MOTE_EIO, "%s: cannot lock: %s", mt_path_end(temp), os_reason(&why));
    if (status == MOTE_OK) status = check_room(d->fd, path, bytes, reserve, err);
    if (status == MOTE_OK && (ftruncate(d->fd, 0) != 0 || fchmod(d->fd, 0600) != 0))
        status = mt_fail(err, MOTE_EIO, "%s: cannot write: %s", mt_path_end(temp), os_reason(&why));
    if (status != MOTE_OK) mt_draft_close(d);
    return status;
}

mote_status mt_draft_write(mt_draft *d, size_t offset, const void *p, size_t n, mote_error *err)
{
    reason why;
    for (size_t done = 0; done < n;) {
        const ssize_t put = pwrite(d->fd, (const char *)p + done, n - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0)
            MT_FAIL(err, put < 0 && errno == ENOSPC ? MOTE_EFULL : MOTE_EIO, "%s: cannot write: %s",
                    mt_path_end(d->temp), put < 0 ? os_reason(&why) : "the disk takes no more");
        done += (size_t)put;
    }
    return MOTE_OK;
}

/* The rename counts once the folder is on disk too; a file system that cannot sync one is fine. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder) return;
    if (slash) memcpy(folder, path, n);
    folder[n] = 0;
    const int fd = open(!slash ? "." : n ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

mote_status mt_draft_publish(mt_draft *d, mote_error *err)
{
    reason why;
    /* A second fsync may succeed although the first has lost data, so there is none. */
    if (fsync(d->fd) != 0 || rename(d->temp, d->path) != 0) {
        const mote_status status = mt_fail(err, MOTE_EIO, "%s: cannot finish: %s", mt_path_end(d->path), os_reason(&why));
        mt_draft_close(d);
        return status;
    }
    close(d->fd);
    d->fd = -1;
    sync_folder(d->path);
    return MOTE_OK;
}

void mt_draft_close(mt_draft *d)
{
    if (d->fd < 0) return;
    if (is_at(d->fd, d->temp)) unlink(d->temp);
    close(d->fd);
    d->fd = -1;
}

void mt_draft_sweep(const char *temp)
{
    mt_draft d = { open_file(temp, O_RDWR), NULL, temp };
    if (d.fd < 0) return;
    if (flock(d.fd, LOCK_EX | LOCK_NB) == 0) mt_draft_close(&d);
    else close(d.fd);
}

/* ---- folders ---------------------------------------------------------------- */

bool mt_folder_make(const char *path)
{
    struct stat s;
    return mkdir(path, 0700) == 0 || (stat(path, &s) == 0 && S_ISDIR(s.st_mode));
}

void mt_folder_each(const char *path, void (*fn)(void *user, const char *name), void *user)
{
    DIR *folder = opendir(path);
    if (!folder) return;
    for (const struct dirent *e; (e = readdir(folder));)
        if (e->d_name[0] != '.') fn(user, e->d_name);
    closedir(folder);
}

mt_path_kind mt_path_look(const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0) return lstat(path, &s) == 0 && S_ISLNK(s.st_mode) ? MT_PATH_DANGLING : MT_PATH_ABSENT;
    return S_ISREG(s.st_mode) ? MT_PATH_FILE : S_ISDIR(s.st_mode) ? MT_PATH_FOLDER : MT_PATH_OTHER;
}

char *mt_path_real(mt_arena *a, const char *path)
{
    char *real = realpath(path, NULL);
    char *copy = real ? mt_arena_string(a, mt_str_of(real)) : NULL;
    free(real);
    return copy;
}
