/* SPDX-License-Identifier: MIT */
/* device.c - cores, memory, disk and clock of the machine, as this process may use them.
 *
 * A container's memory limit counts: what /proc/meminfo calls free is no use behind it. */
#include "app.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* First line of `path` that starts with `key`; value is what follows the separator. */
static bool find_line(const char *path, const char *key, char *value, size_t cap)
{
    char line[512];
    FILE *f = fopen(path, "re");
    bool found = false;
    if (!f) return false;
    while (!found && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, strlen(key))) continue;
        const char *p = line + strlen(key);
        p += strspn(p, " \t:");
        snprintf(value, cap, "%.*s", (int)strcspn(p, "\n"), p);
        found = true;
    }
    fclose(f);
    return found;
}

static bool read_number(const char *path, uint64_t *out)
{
    char line[64], *end;
    if (!find_line(path, "", line, sizeof line)) return false;
    *out = strtoull(line, &end, 10);
    return end != line;
}

void device_read(device *d)
{
    char v[256];
    uint64_t limit, used;
    cpu_set_t set;
    memset(d, 0, sizeof *d);
    if (find_line("/proc/cpuinfo", "model name", v, sizeof v)
        || find_line("/proc/device-tree/model", "", v, sizeof v)
        || find_line("/proc/cpuinfo", "Model", v, sizeof v))
        snprintf(d->name, sizeof d->name, "%.120s", v);
    else
        snprintf(d->name, sizeof d->name, "this processor");
    d->cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                           : (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (find_line("/proc/meminfo", "MemTotal", v, sizeof v)) d->memory = strtoull(v, NULL, 10) * 1024;
    if (find_line("/proc/meminfo", "MemAvailable", v, sizeof v))
        d->memory_free = strtoull(v, NULL, 10) * 1024;
    if (read_number("/sys/fs/cgroup/memory.max", &limit)
        && read_number("/sys/fs/cgroup/memory.current", &used)) {
        uint64_t cache = 0;      /* file pages count as used, yet go when memory is wanted */
        if (find_line("/sys/fs/cgroup/memory.stat", "inactive_file", v, sizeof v))
            cache = strtoull(v, NULL, 10);
        if (find_line("/sys/fs/cgroup/memory.stat", "active_file", v, sizeof v))
            cache += strtoull(v, NULL, 10);
        if (limit < d->memory) d->memory = limit;
        used = used > cache ? used - cache : 0;
        const uint64_t rest = limit > used ? limit - used : 0;
        if (rest < d->memory_free) d->memory_free = rest;
    }
}

uint64_t device_disk_free(const char *path)
{
    char p[APP_PATH];
    struct statvfs s;
    snprintf(p, sizeof p, "%s", path);
    while (statvfs(p, &s) != 0) {
        char *slash = strrchr(p, '/');
        if (!slash) return 0;
        if (slash == p) slash++;
        if (!*slash) return 0;
        *slash = 0;
    }
    return (uint64_t)s.f_bavail * s.f_frsize;
}

uint64_t device_peak_memory(void)
{
    struct rusage r;
    char v[64];
    /* getrusage would count what the process was before it became mote: a shell, a script */
    if (find_line("/proc/self/status", "VmHWM", v, sizeof v)) return strtoull(v, NULL, 10) * 1024;
    if (getrusage(RUSAGE_SELF, &r)) return 0;
    return (uint64_t)r.ru_maxrss * 1024;
}

double device_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
