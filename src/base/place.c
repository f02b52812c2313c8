/* SPDX-License-Identifier: MIT */
/* place.c - which CPU a thread runs on, moving it away from there, and how long it waited for one.
 *
 * What the pool needs to share cores with strangers.  Where the system cannot say, the answers are
 * "unknown" and "not at all", and the pool goes on without. */
#include "base/base.h"

#include <time.h>
#ifdef __linux__
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#endif

int mt_cpu_here(void)
{
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

void mt_cpu_avoid(const int *cpu, int n)
{
#ifdef __linux__
    cpu_set_t all, rest;                        /* machines of over 1,024 CPUs: refused, no harm */
    if (sched_getaffinity(0, sizeof all, &all) != 0) return;
    rest = all;
    for (int i = 0; i < n; i++)
        if (cpu[i] >= 0 && cpu[i] < CPU_SETSIZE) CPU_CLR((unsigned)cpu[i], &rest);
    if (CPU_COUNT(&rest) == 0) return;
    /* The first call moves the thread at once, the second gives the scheduler its freedom back. */
    if (sched_setaffinity(0, sizeof rest, &rest) == 0) sched_setaffinity(0, sizeof all, &all);
#else
    (void)cpu;
    (void)n;
#endif
}

void mt_cpu_nap(double seconds)
{
    const struct timespec t = { 0, (long)(seconds * 1e9) };
#ifdef __linux__
    cpu_set_t all, here;
    CPU_ZERO(&here);
    const int cpu = sched_getcpu();
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET((unsigned)cpu, &here);
    const bool is_held = sched_getaffinity(0, sizeof all, &all) == 0 && sched_setaffinity(0, sizeof here, &here) == 0;
    nanosleep(&t, NULL);
    if (is_held) sched_setaffinity(0, sizeof all, &all);
#else
    nanosleep(&t, NULL);
#endif
}

double mt_cpu_delay(void)
{
#ifdef __linux__
    /* "ns running, ns waiting for a CPU, times it got one" */
    char text[96], *end;
    const int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[MT_MAX(n, 0)] = 0;
    (void)strtoull(text, &end, 10);
    return 1e-9 * (double)strtoull(end, NULL, 10);
#else
    return 0;
#endif
}
