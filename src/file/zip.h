/* SPDX-License-Identifier: MIT */
/* zip.h - the members of a zip archive in memory, read in place.  Private to file/. */
#ifndef MT_FILE_ZIP_H
#define MT_FILE_ZIP_H

#include "base/base.h"

typedef struct mt_member {
    mt_str   name;               /* a view into the directory */
    const uint8_t *data; size_t bytes;
    uint32_t crc;                /* CRC-32 as the archive states it */
} mt_member;
typedef struct mt_zip {
    const char *what;            /* the archive's name in sentences */
    mt_member  *member; size_t n_member;     /* in the order of their names */
} mt_zip;

bool mt_zip_is(const mt_map *m);
/* Members lie in the arena, their data and names in the mapping.  EFORMAT unless members are stored as
 * they are, each named once by a relative path, both headers of each agree, and together they cover the
 * file without gaps. */
mote_status mt_zip_open(mt_zip *z, const mt_map *m, const char *what, mt_arena *arena, mote_error *err);
const mt_member *mt_zip_find(const mt_zip *z, mt_str name);          /* NULL: absent */
/* Compares the sum of a member's bytes with the one the archive states. */
mote_status mt_zip_check(const mt_zip *z, const mt_member *x, mote_error *err);

#endif
