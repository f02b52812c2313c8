/* SPDX-License-Identifier: MIT */
/* bench_machine.c - the machine's limits, taken in the same run as the speeds.
 *
 * Probing needs a buffer as large as the model.  It belongs to a child process, forked before the
 * first thread starts, which serves requests from a pipe: the peak memory that the bench reports
 * stays that of the model, and reading can be probed between two runs at no cost but its time. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct request { unsigned what; int threads; size_t bytes; double seconds; } request;
typedef struct reply { int bad; probe_report report; } reply;

static const double PROBE_SECONDS = 0.25, AGAIN_SECONDS = 0.03, LAST_SECONDS = 0.1;

static bool read_whole(int fd, void *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        const ssize_t got = read(fd, (char *)p + at, n - at);
        if (got < 0 && errno == EINTR && !signals_seen()) continue;
        if (got <= 0) return false;
        at += (size_t)got;
    }
    return true;
}

/* The child: until the pipe ends. */
static void serve(int in, int out)
{
    request q;
    probe *p = NULL;
    int threads = 0;
    size_t bytes = 0;
    while (read_whole(in, &q, sizeof q)) {
        reply r;
        memset(&r, 0, sizeof r);
        if (!p || q.threads != threads || q.bytes != bytes) {
            probe_close(p);
            p = probe_open(threads = q.threads, bytes = q.bytes);
        }
        r.bad = p ? probe_run(p, q.what, q.seconds, &r.report) : -1;
        if (write(out, &r, sizeof r) != (ssize_t)sizeof r) break;
    }
    probe_close(p);
}

void machine_start(machine *m)
{
    int to[2], from[2];
    memset(m, 0, sizeof *m);
    m->to = m->from = -1;
    if (pipe2(to, O_CLOEXEC)) return;
    if (pipe2(from, O_CLOEXEC)) {
        close(to[0]), close(to[1]);
        return;
    }
    fflush(NULL);
    m->pid = fork();
    if (m->pid == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        close(to[1]), close(from[0]);
        serve(to[0], from[1]);
        _exit(0);
    }
    close(to[0]), close(from[1]);
    m->to = to[1], m->from = from[0];
    if (m->pid < 0) machine_stop(m);
}

void machine_stop(machine *m)
{
    if (m->to >= 0) close(m->to);
    if (m->from >= 0) close(m->from);
    m->to = m->from = -1;
    if (m->pid > 0) waitpid(m->pid, NULL, 0);
    m->pid = 0;
}

/* One request; false: no prober, or it has no memory. */
static bool ask(machine *m, unsigned what, int threads, uint64_t bytes, double seconds, probe_report *out)
{
    device d;
    reply r;
    request q;
    device_read(&d);
    memset(&q, 0, sizeof q);
    q.what = what, q.threads = threads, q.seconds = seconds;
    q.bytes = m->first.bytes ? m->first.bytes        /* the same buffer again */
              : d.memory_free && bytes > d.memory_free / 2 ? d.memory_free / 2 : bytes;
    if (q.bytes < 65536) q.bytes = 65536;
    if (m->to < 0 || write(m->to, &q, sizeof q) != (ssize_t)sizeof q || !read_whole(m->from, &r, sizeof r))
        return false;
    if (r.bad) return false;
    *out = r.report;
    return true;
}

static void keep_read(machine *m, const probe_report *r)
{
    if (m->n_read < MACHINE_SAMPLES) m->read[m->n_read++] = r->read.median;
}

/* Time that the host gave to others, and all time, in ticks of all cores. */
static bool read_ticks(uint64_t *stolen, uint64_t *ticks)
{
    unsigned long long v[8];
    FILE *f = fopen("/proc/stat", "re");
    const int n = f ? fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4],
                             &v[5], &v[6], &v[7]) : 0;
    if (f) fclose(f);
    if (n != 8) return false;
    *ticks = 0;
    for (int i = 0; i < 8; i++) *ticks += v[i];
    *stolen = v[7];
    return true;
}

int machine_probe(machine *m, int threads, uint64_t bytes)
{
    probe_report r;
    m->asked = true;
    m->works = ask(m, PROBE_ALL, threads, bytes, PROBE_SECONDS, &r);
    if (signals_seen()) return ST_INTERRUPTED;
    if (!m->works) {
        term_note("the machine's limits cannot be probed: no memory for %llu bytes, or for threads",
                  (unsigned long long)bytes);
        return ST_DONE;
    }
    m->first = m->last = r;
    keep_read(m, &r);
    if (!read_ticks(&m->stolen, &m->ticks)) m->stolen = m->ticks = 0;
    return ST_DONE;
}

int machine_look_again(machine *m, int threads, uint64_t bytes)
{
    probe_report r;
    if (m->works && ask(m, PROBE_READ_AGAIN, threads, bytes, AGAIN_SECONDS, &r)) keep_read(m, &r);
    return signals_seen() ? ST_INTERRUPTED : ST_DONE;
}

int machine_finish(machine *m, int threads, uint64_t bytes)
{
    probe_report r;
    uint64_t stolen, ticks;
    if (m->works && ask(m, PROBE_INT8 | PROBE_READ_AGAIN | PROBE_BARRIER, threads, bytes, LAST_SECONDS, &r)) {
        m->last = r;
        keep_read(m, &r);
    }
    if (m->ticks && read_ticks(&stolen, &ticks)) {
        m->stolen = stolen - m->stolen;
        m->ticks = ticks - m->ticks;
    }
    return signals_seen() ? ST_INTERRUPTED : ST_DONE;
}
