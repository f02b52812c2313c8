/* SPDX-License-Identifier: MIT */
/* net_part.c - the file on its way: what is here stays, what is published is whole.
 *
 * The part grows under its own name; beside it a log holds the hash of each whole MiB as it
 * lands.  After a kill or a power cut the part is read again and cut behind the last MiB that
 * still has its hash, so a torn write costs one chunk and never the file, and no order of writes
 * has to be forced.  Publishing: check the whole digest, fdatasync, rename, fsync the folder. */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };
#define LOG_HEAD "mote-part 1"

static int io_error(const char *doing, const char *path, int e)
{
    if (e != ENOSPC && e != EDQUOT)
        return term_error(ST_FAILED, "cannot %s %s: %s", doing, path, strerror(e));
    term_buf b;
    term_error(ST_NO_FIT, "the disk is full: cannot %s %s", doing, path);
    term_try("free some space (%s free), then the same command; what is here is kept",
             term_bytes(&b, device_disk_free(path)));
    return ST_NO_FIT;
}

static int write_all(int fd, const char *path, const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        const ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return io_error("write", path, errno);
        p += w;
        n -= (size_t)w;
    }
    return ST_DONE;
}

/* The log: head, address, ETag, total, then a hash per line.  A torn last line does not count. */
static bool read_head(net_part *p, FILE *f)
{
    char line[2304];
    char *const into[] = { NULL, p->url, p->etag, NULL };
    const size_t cap[] = { 0, sizeof p->url, sizeof p->etag, 0 };
    for (int i = 0; i < 4; i++) {
        if (!fgets(line, sizeof line, f)) return false;
        const size_t n = strcspn(line, "\n");
        if (line[n] != '\n') return false;
        line[n] = 0;
        if (i == 0 && strcmp(line, LOG_HEAD)) return false;
        if (into[i]) {
            if (n >= cap[i]) return false;
            strcpy(into[i], line);      /* bounded above */
        }
    }
    p->total = strtoull(line, NULL, 10);
    return true;
}

/* Reads the part against its log; cuts both behind the last chunk that agrees. */
static int keep_what_agrees(net_part *p, FILE *f)
{
    char line[128], hex[65];
    char *buffer = malloc(CHUNK);
    if (!buffer) return term_error(ST_NO_FIT, "no memory for %s", p->path);
    off_t log_end = ftello(f);
    while (fgets(line, sizeof line, f) && strlen(line) == 65 && line[64] == '\n') {
        size_t n = 0;
        while (n < CHUNK) {
            const ssize_t got = pread(p->fd, buffer + n, CHUNK - n, (off_t)(p->size + n));
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) break;
            n += (size_t)got;
        }
        if (n < CHUNK) break;
        net_hash_restart(p->chunk);
        net_hash_add(p->chunk, buffer, n);
        net_hash_hex(p->chunk, hex);
        if (memcmp(hex, line, 64)) break;
        net_hash_add(p->whole, buffer, n);
        p->size += n;
        log_end = ftello(f);
    }
    free(buffer);
    net_hash_restart(p->chunk);
    if (ftruncate(p->fd, (off_t)p->size) != 0 || ftruncate(p->log_fd, log_end) != 0
        || lseek(p->fd, (off_t)p->size, SEEK_SET) < 0 || lseek(p->log_fd, log_end, SEEK_SET) < 0)
        return io_error("cut", p->path, errno);
    return ST_DONE;
}

static int lock_part(net_part *p)
{
    if (flock(p->fd, LOCK_EX | LOCK_NB) == 0) return ST_DONE;
    term_note("another mote is pulling %s; waiting for it", p->target);
    while (flock(p->fd, LOCK_EX) != 0)
        if (errno != EINTR || signals_seen()) return ST_INTERRUPTED;
    return ST_DONE;
}

int net_part_open(net_part *p, const char *target)
{
    struct stat mine, there;
    memset(p, 0, sizeof *p);
    p->fd = p->log_fd = -1;
    snprintf(p->target, sizeof p->target, "%s", target);
    if (snprintf(p->path, sizeof p->path, "%s.mote-part", target) >= APP_PATH
        || snprintf(p->log, sizeof p->log, "%s.mote-part.log", target) >= APP_PATH)
        return term_error(ST_FAILED, "the path %s is too long", target);
    for (;;) {
        p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (p->fd < 0) return io_error("write", p->path, errno);
        const int st = lock_part(p);
        if (st) return st;
        if (access(target, F_OK) == 0) {
            p->is_there = true;
            return ST_DONE;
        }
        /* the one before us may have renamed or removed what we hold: then open the new one */
        if (fstat(p->fd, &mine) == 0 && stat(p->path, &there) == 0 && mine.st_ino == there.st_ino)
            break;
        close(p->fd);
    }
    p->log_fd = open(p->log, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (p->log_fd < 0) return io_error("write", p->log, errno);
    p->whole = net_hash_open();
    p->chunk = net_hash_open();
    if (!p->whole || !p->chunk) return term_error(ST_NO_FIT, "no memory for %s", p->path);
    FILE *f = fopen(p->log, "re");
    if (!f) return io_error("read", p->log, errno);
    int st;
    if (read_head(p, f)) {
        st = keep_what_agrees(p, f);
    } else {
        p->url[0] = p->etag[0] = 0;
        p->total = 0;
        st = ftruncate(p->fd, 0) == 0 ? ST_DONE : io_error("cut", p->path, errno);
    }
    fclose(f);
    return st;
}

int net_part_restart(net_part *p, const char *url, const char *etag, uint64_t total)
{
    char head[2560];
    snprintf(p->url, sizeof p->url, "%s", url);
    snprintf(p->etag, sizeof p->etag, "%s", etag);
    p->total = total;
    p->size = p->chunk_fill = 0;
    net_hash_restart(p->whole);
    net_hash_restart(p->chunk);
    if (ftruncate(p->fd, 0) != 0 || ftruncate(p->log_fd, 0) != 0 || lseek(p->fd, 0, SEEK_SET) < 0
        || lseek(p->log_fd, 0, SEEK_SET) < 0)
        return io_error("cut", p->path, errno);
    const int n = snprintf(head, sizeof head, LOG_HEAD "\n%s\n%s\n%llu\n", p->url, p->etag,
                           (unsigned long long)total);
    return write_all(p->log_fd, p->log, head, (size_t)n);
}

int net_part_add(net_part *p, const void *data, size_t n)
{
    const char *bytes = data;
    while (n) {
        char hex[66];
        const size_t room = CHUNK - (size_t)p->chunk_fill, now = n < room ? n : room;
        int st = write_all(p->fd, p->path, bytes, now);
        if (st) return st;
        net_hash_add(p->whole, bytes, now);
        net_hash_add(p->chunk, bytes, now);
        p->size += now;
        p->chunk_fill += now;
        bytes += now;
        n -= now;
        if (p->chunk_fill < CHUNK) continue;
        net_hash_hex(p->chunk, hex);
        hex[64] = '\n';
        st = write_all(p->log_fd, p->log, hex, 65);
        if (st) return st;
        net_hash_restart(p->chunk);
        p->chunk_fill = 0;
    }
    return ST_DONE;
}

static int sync_folder(const char *path)
{
    char folder[APP_PATH];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    const int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return io_error("open", folder, errno);
    /* some file systems cannot sync a folder; that is no reason to refuse the file */
    const int st = fsync(fd) == 0 || errno == EINVAL ? ST_DONE : io_error("sync", folder, errno);
    close(fd);
    return st;
}

int net_part_publish(net_part *p, const char *sha256, char hex[65])
{
    net_hash_hex(p->whole, hex);
    if (*sha256 && strcmp(sha256, hex)) {
        term_error(ST_DAMAGED, "%s is damaged: sha256 does not match", strrchr(p->target, '/') + 1);
        term_try("the same command again   (have %.8s…, want %.8s…; the download was discarded)",
                 hex, sha256);
        return ST_DAMAGED;
    }
    if (fdatasync(p->fd) != 0) return io_error("sync", p->path, errno);
    if (rename(p->path, p->target) != 0) return io_error("rename", p->path, errno);
    unlink(p->log);
    return sync_folder(p->target);
}

void net_part_close(net_part *p, bool keep)
{
    if (!keep && !p->is_there) {
        unlink(p->path);        /* after a publish it is gone already */
        unlink(p->log);
    }
    if (p->is_there && p->fd >= 0) {             /* ours is empty and nobody's: the file is there */
        struct stat s;
        if (fstat(p->fd, &s) == 0 && s.st_size == 0) unlink(p->path);
    }
    if (p->fd >= 0) close(p->fd);
    if (p->log_fd >= 0) close(p->log_fd);
    net_hash_close(p->whole);
    net_hash_close(p->chunk);
    p->fd = p->log_fd = -1;
    p->whole = p->chunk = NULL;
}
