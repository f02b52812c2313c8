/* SPDX-License-Identifier: MIT */
/* fuzz_safetensors.c - a safetensors file from any header: the length in front and, every other time, the
 * values behind are made to fit, so that the bytes reach the rules behind the first. */
#include "fuzz/source_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_file(data, size);
    if (size < 9) return 0;
    const uint8_t *end = memchr(data + 8, 0, size - 8);     /* values may follow the header's zero */
    const size_t n = end ? (size_t)(end - data) - 8 : size - 8;
    uint8_t *p = malloc(size);
    if (!p) abort();
    memcpy(p, data, size);
    for (size_t i = 0; i < 8; i++) p[i] = (uint8_t)((uint64_t)n >> (8 * i));
    fuzz_file(p, size);
    free(p);
    return 0;
}
