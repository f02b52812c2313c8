/* SPDX-License-Identifier: MIT */
/* os.c - pages, mapped files, the number of usable cores, the clock.
 *
 * Everything that asks the operating system for something other than threads.  The number of
 * cores is what this process may really use: in a container that is the smaller of the affinity
 * mask and the cgroup quota, and one thread too many costs more than one too few. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

double mt_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- pages -------------------------------------------------------------- */

enum { HUGE_PAGE = 2 << 20 };

static size_t page_size(void)
{
    const long n = sysconf(_SC_PAGESIZE);
    return n > 0 ? (size_t)n : 4096;
}

void *mt_pages_reserve(size_t bytes)
{
    size_t size, room;
    const size_t page = page_size();
    if (bytes == 0 || !mt_pad_ok(bytes, page, &size)) return NULL;
    /* Large ranges start on a huge page, so that mt_pages_huge can serve them whole. */
    const size_t slack = size >= HUGE_PAGE ? HUGE_PAGE - page : 0;
    if (!mt_add_ok(size, slack, &room)) return NULL;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
    flags |= MAP_NORESERVE;
#endif
    uint8_t *p = mmap(NULL, room, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (!slack) return p;
    const size_t skip = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
    if (skip) munmap(p, skip);
    if (slack - skip) munmap(p + skip + size, slack - skip);
    return p + skip;
}

void mt_pages_huge(void *p, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    if (p && bytes >= HUGE_PAGE) madvise(p, bytes, MADV_HUGEPAGE);
#else
    (void)p;
    (void)bytes;
#endif
}

void mt_pages_forget(void *p, size_t bytes)
{
    const size_t page = page_size();
    uint8_t *const at = p;
    const size_t head = MT_MIN(mt_pad((uintptr_t)at, page) - (uintptr_t)at, bytes);
    const size_t whole = (bytes - head) / page * page;
    memset(at, 0, head);
    memset(at + head + whole, 0, bytes - head - whole);
    /* The kernel gives zeros on the next touch; where it refuses, write them. */
    if (whole && madvise(at + head, whole, MADV_DONTNEED) != 0) memset(at + head, 0, whole);
}

bool mt_pages_renew(void *p, size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
#ifdef MAP_NORESERVE
    flags |= MAP_NORESERVE;
#endif
    return mmap(p, mt_pad(bytes, page_size()), PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED;
}

bool mt_pages_touch(const void *p, size_t bytes)
{
#ifdef __linux__
    enum { POPULATE_READ = 22 };        /* MADV_POPULATE_READ, Linux 5.14; older C libraries lack it */
    const size_t page = page_size(), skip = (uintptr_t)p % page;
    return madvise((uint8_t *)(uintptr_t)p - skip, bytes + skip, POPULATE_READ) == 0 || errno == EINVAL;
#else
    (void)p;
    (void)bytes;
    return true;
#endif
}

void mt_pages_release(void *p, size_t bytes)
{
    if (p && bytes) munmap(p, mt_pad(bytes, page_size()));
}

/* ---- mapped files ------------------------------------------------------- */

/* strerror_r has two signatures; both fill or return a text. */
static const char *os_text(int code, char *room, size_t size)
{
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    return strerror_r(code, room, size);
#else
    return strerror_r(code, room, size) == 0 ? room : "unknown error";
#endif
}

static mote_status map_fd(mt_map *out, int fd, const char *path, mote_error *err)
{
    char room[96];
    struct stat before, after;
    if (fstat(fd, &before) != 0)
        MT_FAIL(err, MOTE_EIO, "%s: cannot look at the file: %s", path,
                os_text(errno, room, sizeof room));
    if (!S_ISREG(before.st_mode))
        MT_FAIL(err, MOTE_EIO, "%s: expected a regular file, found %s", path,
                S_ISDIR(before.st_mode) ? "a directory" : "something else");
    if ((uintmax_t)before.st_size > SIZE_MAX)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: %jd bytes do not fit this machine's addresses",
                path, (intmax_t)before.st_size);
    *out = (mt_map){ NULL, (size_t)before.st_size };
    if (out->size == 0) return MOTE_OK;
    void *p = mmap(NULL, out->size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        MT_FAIL(err, errno == ENOMEM ? MOTE_ENOMEM : MOTE_EIO, "%s: cannot map %zu bytes: %s",
                path, out->size, os_text(errno, room, sizeof room));
    out->data = p;
    if (fstat(fd, &after) == 0 && after.st_size == before.st_size) return MOTE_OK;
    mt_map_close(out);
    MT_FAIL(err, MOTE_EIO, "%s: the size changed while the file was being mapped", path);
}

mote_status mt_map_open(mt_map *out, const char *path, mote_error *err)
{
    char room[96];
    *out = (mt_map){ NULL, 0 };
    int fd;
    do fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);   /* a FIFO must not block us */
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        MT_FAIL(err, MOTE_EIO, "%s: cannot open: %s", mt_path_end(path),
                os_text(errno, room, sizeof room));
    const mote_status status = map_fd(out, fd, mt_path_end(path), err);
    close(fd);
    return status;
}

void mt_map_forget(const mt_map *m, size_t offset, size_t bytes)
{
    if (!m->data || offset > m->size) return;
    bytes = MT_MIN(bytes, m->size - offset);
    /* Only pages that lie wholly inside: the neighbours may be in use. */
    const size_t page = page_size();
    const size_t head = MT_MIN(mt_pad(offset, page) - offset, bytes);
    const size_t whole = (bytes - head) / page * page;
    if (whole) madvise((void *)(uintptr_t)(m->data + offset + head), whole, MADV_DONTNEED);
}

void mt_map_close(mt_map *m)
{
    if (m->data) munmap((void *)(uintptr_t)m->data, m->size);
    *m = (mt_map){ NULL, 0 };
}

/* ---- cores -------------------------------------------------------------- */

/* Reads a small text file whole, terminated; its length, or 0 when there is none. */
static size_t read_text(const char *path, char *out, size_t cap)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    size_t n = 0;
    while (n < cap - 1) {
        const ssize_t got = read(fd, out + n, cap - 1 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
    }
    close(fd);
    out[n] = 0;
    return n;
}

static int cpus_of(double quota, double period)
{
    if (!(quota > 0) || !(period > 0)) return 0;
    const double n = quota / period;
    if (n >= MT_MAX_THREAD) return MT_MAX_THREAD;
    const int whole = (int)n;
    return whole + (whole < n);
}

/* The quota in one group's directory, cgroup v2 or v1; 0: none. */
static int quota_in(const char *dir)
{
    char path[768], text[64], *end;
    if (snprintf(path, sizeof path, "%s/cpu.max", dir) >= (int)sizeof path) return 0;
    if (read_text(path, text, sizeof text)) {                       /* "max 100000" */
        const double quota = strtod(text, &end);
        return end == text ? 0 : cpus_of(quota, strtod(end, NULL));
    }
    if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir) >= (int)sizeof path) return 0;
    if (!read_text(path, text, sizeof text)) return 0;
    const double quota = strtod(text, NULL);                        /* -1: none */
    if (snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir) >= (int)sizeof path) return 0;
    return read_text(path, text, sizeof text) ? cpus_of(quota, strtod(text, NULL)) : 0;
}

/* The smallest quota from the group up to the root of its tree: each level limits. */
static int quota_upwards(const char *tree, mt_str group)
{
    char dir[640];
    int least = 0;
    for (;;) {
        while (group.n && group.p[group.n - 1] == '/') group.n--;
        if (snprintf(dir, sizeof dir, "%s%.*s", tree, (int)MT_MIN(group.n, sizeof dir), group.p)
            < (int)sizeof dir) {
            const int quota = quota_in(dir);
            if (quota && (!least || quota < least)) least = quota;
        }
        if (!group.n) return least;
        while (group.n && group.p[group.n - 1] != '/') group.n--;
    }
}

static bool is_in_list(mt_str list, const char *word)
{
    while (list.n) {
        const char *comma = memchr(list.p, ',', list.n);
        const mt_str item = { list.p, comma ? (size_t)(comma - list.p) : list.n };
        if (mt_str_is(item, word)) return true;
        const size_t step = comma ? item.n + 1 : item.n;
        list.p += step;
        list.n -= step;
    }
    return false;
}

int mt_cpu_quota(mt_str list, const char *root)
{
    int least = 0;
    while (list.n) {                            /* lines "4:cpu,cpuacct:/a/b"; v2 is "0::/a/b" */
        const char *end = memchr(list.p, '\n', list.n);
        const mt_str line = { list.p, end ? (size_t)(end - list.p) : list.n };
        const size_t step = end ? line.n + 1 : line.n;
        list.p += step;
        list.n -= step;
        const char *first = memchr(line.p, ':', line.n);
        if (!first) continue;
        const char *names = first + 1;
        const char *second = memchr(names, ':', line.n - (size_t)(names - line.p));
        if (!second) continue;
        const mt_str kind = { names, (size_t)(second - names) };
        const mt_str group = { second + 1, line.n - (size_t)(second + 1 - line.p) };
        const char *const under = kind.n == 0 ? "" : is_in_list(kind, "cpu") ? "/cpu" : NULL;
        char tree[512];
        if (!under || snprintf(tree, sizeof tree, "%s%s", root, under) >= (int)sizeof tree) continue;
        const int quota = quota_upwards(tree, group);
        if (quota && (!least || quota < least)) least = quota;
    }
    return least;
}

static int cores_of_affinity(void)
{
#ifdef __linux__
    /* The kernel refuses a mask smaller than its own, so grow until it fits. */
    for (int n = 1024; n <= 1 << 18; n *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)n);
        if (!set) break;
        const size_t bytes = CPU_ALLOC_SIZE((size_t)n);
        const bool fits = sched_getaffinity(0, bytes, set) == 0;
        const int count = fits ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (fits) return count;
    }
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < MT_MAX_THREAD ? (int)online : 1;
}

int mt_cpu_cores(void)
{
    int n = cores_of_affinity();
    char list[4096];
    const size_t length = read_text("/proc/self/cgroup", list, sizeof list);
    const int quota = mt_cpu_quota((mt_str){ list, length }, "/sys/fs/cgroup");
    if (quota && quota < n) n = quota;
    return MT_MAX(1, MT_MIN(n, MT_MAX_THREAD));
}
