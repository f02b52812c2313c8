/* SPDX-License-Identifier: MIT */
/* net_fetch.c - brings one file from an address to its place.
 *
 * What is here is asked for no second time: a request starts behind it, on condition that the
 * server's ETag still holds (or, without one, that a SHA-256 is known to prove the whole).  A
 * connection that breaks is taken up again; five failures in a row without a byte end it. */
#include "net.h"
#include "progress.h"
#include "store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 5 };
static const uint64_t MARGIN = 64u << 20;        /* of disk, left alone */

typedef struct job {
    net_file *f;
    net_part part;
    progress bar;
    bool bar_on;
    int status;                 /* of a callback that said no; already told */
    bool restart;               /* what the server offers does not fit what is here */
} job;

int net_room(const char *target, uint64_t bytes)
{
    const uint64_t room = device_disk_free(target);
    term_buf b1, b2;
    if (!room || room >= bytes + MARGIN) return ST_DONE;
    term_error(ST_NO_FIT, "%s more are needed for %s, %s free on that disk", term_bytes(&b1, bytes),
               target, term_bytes(&b2, room));
    term_try("MOTE_HOME=FOLDER (and HF_HOME=FOLDER) on a larger disk   or: mote list, mote rm MODEL");
    return ST_NO_FIT;
}

static bool strong(const char *etag) { return etag[0] == '"'; }

static bool on_begin(void *user, const net_reply *reply)
{
    job *j = user;
    net_file *f = j->f;
    net_part *p = &j->part;
    const uint64_t total = reply->status == 206 ? reply->range_total
                         : reply->has_length ? reply->length : f->bytes;
    if (f->bytes && total && total != f->bytes) {
        j->status = term_error(ST_DAMAGED, "%s has %llu bytes, expected %llu", f->url,
                               (unsigned long long)total, (unsigned long long)f->bytes);
        return false;
    }
    if (reply->status == 206
        && (!reply->has_range || reply->range_start != p->size || (p->total && total != p->total))) {
        j->restart = true;
        return false;
    }
    if (reply->status == 200) {
        if (p->size) term_note("the file changed on the server, or it cannot resume; starting again");
        j->status = net_part_restart(p, f->url, strong(reply->etag) ? reply->etag : "", total);
        if (j->status) return false;
    }
    j->status = net_room(p->path, total > p->size ? total - p->size : 0);
    if (j->status) return false;
    if (!j->bar_on) progress_start(&j->bar, "pulling", total, p->size);
    j->bar_on = true;
    return true;
}

static bool on_bytes(void *user, const void *data, size_t n)
{
    job *j = user;
    if (j->f->bytes && j->part.size + n > j->f->bytes) {
        j->status = term_error(ST_DAMAGED, "%s sends more than %llu bytes", j->f->url,
                               (unsigned long long)j->f->bytes);
        return false;
    }
    j->status = net_part_add(&j->part, data, n);
    progress_to(&j->bar, j->part.size);
    return j->status == ST_DONE;
}

static bool pause_for(int seconds)
{
    struct timespec t = { .tv_sec = seconds > 30 ? 30 : seconds };
    while (nanosleep(&t, &t) != 0)
        if (errno != EINTR || signals_seen()) return false;
    return signals_seen() == 0;
}

/* A network failure: told at once, or left to the caller to tell with the other sources. */
static int network_failure(net_file *f, int status, const char *advice)
{
    if (f->soft) return status;
    char host[256];
    net_host(f->url, host);
    if (strstr(f->why, host)) term_error(status, "%s", f->why);
    else term_error(status, "%s: %s", host, f->why);
    term_try("%s", advice);
    return status;
}

static int status_failure(net_file *f, const net_reply *reply)
{
    const long code = reply->status;
    char host[256];
    net_host(f->url, host);
    if (code == 401 || code == 403) {
        snprintf(f->why, sizeof f->why, "%.200s refuses it (HTTP %ld)", host, code);
        return network_failure(f, ST_NETWORK,
                               "accept the licence on the model's page, then set HF_TOKEN");
    }
    if (code == 404 || code == 410) {
        snprintf(f->why, sizeof f->why, "%.150s does not have it (HTTP %ld)", host, code);
        return network_failure(f, ST_NO_MODEL, "check the address; names are case-sensitive");
    }
    snprintf(f->why, sizeof f->why, "%.200s answers HTTP %ld", host, code);
    return network_failure(f, ST_NETWORK, "the same command later; what is here is kept");
}

static int stopped(job *j)
{
    term_buf b;
    if (j->bar_on) progress_end(&j->bar, false);
    if (j->part.size && !term.quiet)
        fprintf(stderr, "Stopped at %s. The next pull goes on from there.\n",
                term_bytes(&b, j->part.size));
    else if (!term.quiet)
        fprintf(stderr, "Stopped before the first byte.\n");
    return ST_INTERRUPTED;
}

/* Requests until the file is whole.  The part then holds everything. */
static int transfer_all(job *j)
{
    net_file *f = j->f;
    net_part *p = &j->part;
    for (int tries = 0; !(p->total && p->size == p->total);) {
        const uint64_t before = p->size;
        net_reply reply;
        net_request q = { .url = f->url, .from = p->size, .if_range = p->etag,
                          .connect_seconds = f->connect_seconds, .begin = on_begin,
                          .sink = on_bytes, .user = j };
        j->restart = false;
        const net_end end = net_get(&q, &reply, f->why);
        if (signals_seen()) return stopped(j);
        if (j->status) {
            if (j->bar_on) progress_end(&j->bar, false);
            return j->status;
        }
        if (end == NET_REFUSED) return network_failure(f, ST_NETWORK, "another address");
        if (end == NET_OK && (reply.status == 200 || reply.status == 206)) {
            if (!p->total || p->size == p->total) break;
            snprintf(f->why, sizeof f->why, "the connection ended early");
        }
        if (j->restart || reply.status == 416) {
            term_note("what is here does not fit what the server has; starting again");
            const int st = net_part_restart(p, f->url, "", 0);
            if (st) return st;
        } else if (end == NET_OK && reply.status != 200 && reply.status != 206
                   && reply.status != 429 && reply.status < 500) {
            return status_failure(f, &reply);
        }
        if (end == NET_UNREACHABLE && !before && f->soft) return ST_NETWORK;
        tries = p->size > before ? 1 : tries + 1;
        if (tries >= TRIES) {
            if (j->bar_on) progress_end(&j->bar, false);
            if (end == NET_OK && reply.status >= 400) return status_failure(f, &reply);
            return network_failure(f, ST_NETWORK, "the same command again; what is here is kept");
        }
        if (term.verbose) term_note("%s; trying again", f->why);
        if (!pause_for(reply.retry_after > 0 ? reply.retry_after : 1 << (tries - 1)))
            return stopped(j);
    }
    if (j->bar_on) progress_end(&j->bar, true);
    return ST_DONE;
}

/* May what an earlier run left be gone on with? */
static bool fits(const net_part *p, const net_file *f)
{
    if (!p->size || strcmp(p->url, f->url)) return false;
    if (f->bytes && p->total && p->total != f->bytes) return false;
    if (f->bytes && p->size > f->bytes) return false;
    return p->etag[0] || *f->sha256;
}

int net_fetch(net_file *f)
{
    job j = { .f = f };
    struct stat s;
    int st = net_part_open(&j.part, f->target);
    if (!st && j.part.is_there) {                /* another mote finished it while we waited */
        st = net_hash_file(f->target, f->hex);
        if (!st && *f->sha256 && strcmp(f->hex, f->sha256))
            st = term_error(ST_DAMAGED, "%s is damaged: sha256 does not match", f->target);
        net_part_close(&j.part, true);
        f->size = stat(f->target, &s) == 0 ? (uint64_t)s.st_size : 0;
        return st;
    }
    if (!st && !fits(&j.part, f)) st = net_part_restart(&j.part, f->url, "", 0);
    if (!st) st = transfer_all(&j);
    const bool whole = !st;
    if (!st) st = net_part_publish(&j.part, f->sha256, f->hex);
    f->size = j.part.size;
    net_part_close(&j.part, st && !(whole && st == ST_DAMAGED) && (j.part.size || st == ST_INTERRUPTED));
    return st;
}
