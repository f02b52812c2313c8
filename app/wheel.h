/* SPDX-License-Identifier: MIT */
/* wheel.h - takes one member out of a Python wheel (a zip), as a stream. */
#ifndef WHEEL_H
#define WHEEL_H

#include "app.h"

typedef struct wheel_member {
    char name[512];             /* base name only, fit to be a file name */
    uint64_t bytes, packed;     /* unpacked, in the wheel */
    uint64_t at;                /* of its local header */
    uint32_t crc;
    unsigned method;            /* 0 stored, 8 deflated */
} wheel_member;
/* Finds the one member that ends in .gguf; none or several is an error.  limit: on its size. */
int wheel_find(const char *path, uint64_t limit, wheel_member *m);
/* Streams it to sink (which returns a status: it has already said what is wrong). */
typedef int (*wheel_sink)(void *user, const void *p, size_t n);
int wheel_extract(const char *path, const wheel_member *m, wheel_sink sink, void *user);

#endif
