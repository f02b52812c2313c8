/* SPDX-License-Identifier: MIT */
/* npy.c - the .npy file of `probe`: a text header padded to 64 bytes, then little-endian float32.
 *
 * It grows beside its target and is renamed when it is whole. */
#include "npy.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int failed(npy *w)
{
    const int e = errno;
    npy_drop(w);
    return term_error(e == ENOSPC ? ST_NO_FIT : ST_FAILED, "cannot write %s: %s", w->path, strerror(e));
}

int npy_open(npy *w, const char *path, size_t rows, size_t cols)
{
    char head[128];
    memset(w, 0, sizeof *w);
    if (snprintf(w->temp, sizeof w->temp, "%s.%ld.part", path, (long)getpid()) >= APP_PATH)
        return term_error(ST_USAGE, "the path %s is too long", path);
    snprintf(w->path, sizeof w->path, "%s", path);
    w->f = fopen(w->temp, "we");
    if (!w->f) return failed(w);
    /* magic, version, length of the dictionary, dictionary, spaces, newline: 128 bytes together */
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    const int n = snprintf(head + 10, sizeof head - 10,
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, cols);
    head[10 + n] = ' ';
    head[127] = '\n';
    return fwrite(head, 1, sizeof head, w->f) == sizeof head ? ST_DONE : failed(w);
}

int npy_add(npy *w, const float *p, size_t n)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < n; i++) {
        unsigned char b[4];
        memcpy(b, &p[i], 4);
        const unsigned char swapped[4] = { b[3], b[2], b[1], b[0] };
        if (fwrite(swapped, 1, 4, w->f) != 4) return failed(w);
    }
    return ST_DONE;
#else
    return fwrite(p, sizeof *p, n, w->f) == n ? ST_DONE : failed(w);
#endif
}

int npy_publish(npy *w)
{
    if (fflush(w->f) != 0 || fsync(fileno(w->f)) != 0) return failed(w);
    const int closed = fclose(w->f);
    w->f = NULL;
    if (closed != 0 || rename(w->temp, w->path) != 0) return failed(w);
    w->temp[0] = 0;
    return ST_DONE;
}

void npy_drop(npy *w)
{
    if (w->f) fclose(w->f);
    w->f = NULL;
    if (w->temp[0]) unlink(w->temp);
    w->temp[0] = 0;
}
