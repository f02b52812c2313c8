/* SPDX-License-Identifier: MIT */
/* fuzz_pickle.c - any bytes as a file of PyTorch, zip or legacy; then as the pickle in a sound legacy file,
 * so that they reach the interpreter. */
#include "fuzz/source_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char head[] = "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
                           "\x80\2M\xe9\3."
                           "\x80\2}q\0(X\x0d\0\0\0little_endian\x88u.";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t n = sizeof head - 1;
    fuzz_file(data, size);
    uint8_t *p = malloc(n + size);
    if (!p) abort();
    memcpy(p, head, n);
    if (size) memcpy(p + n, data, size);
    fuzz_file(p, n + size);
    free(p);
    return 0;
}
