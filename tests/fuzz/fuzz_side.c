/* SPDX-License-Identifier: MIT */
/* fuzz_side.c - any bytes as the head of a side file: refused with a sentence, or every byte it
 * promises is there.  The checksum that guards a head is put right first, in a copy of exactly the
 * input's size, so that what lies behind it is reached. */
#include <stdlib.h>
#include <string.h>

#include "plan/side.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t seen;      /* keeps the reads */

static void look(const uint8_t *p, size_t size, size_t file_bytes)
{
    mote_error err = { MOTE_OK, "" };
    mt_side_head h;
    const mote_status status = mt_side_parse(p, size, file_bytes, &h, &err);
    if (status != MOTE_OK) {
        if (err.code != status || strlen(err.text) < 10) abort();
        return;
    }
    if (h.n_row > MT_SIDE_MAX_ROW || h.source.n == 0 || h.source.n > MT_SIDE_MAX_PATH) abort();
    if (h.section_at < mt_side_head_bytes(h.n_row, h.source.n)) abort();
    if (h.section_at + h.section_bytes != file_bytes) abort();
    for (size_t i = 0; i < h.source.n; i++) seen += (uint64_t)h.source.p[i];
    for (size_t i = 0; i < h.n_row; i++) seen += mt_side_row_at(&h, i).bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = calloc(1, size ? size : 1);
    if (!copy) return 0;
    if (size) memcpy(copy, data, size);
    const size_t section = 2 << 20;
    look(copy, size, section + size);
    if (size >= MT_SIDE_FIXED) {
        mt_cursor c = { .p = copy, .size = size, .at = 24 };
        const uint64_t head = mt_read_u64(&c), at = mt_read_u64(&c), bytes = mt_read_u64(&c);
        const uint32_t sum = mt_crc32c(0, copy + 16, (size_t)MT_MIN(MT_MAX(head, 16), size) - 16);
        for (int i = 0; i < 4; i++) copy[12 + i] = (uint8_t)(sum >> (8 * i));
        look(copy, size, (size_t)(at + bytes));
    }
    free(copy);
    return 0;
}
