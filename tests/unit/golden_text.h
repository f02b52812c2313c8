/* SPDX-License-Identifier: MIT */
/* golden_text.h - compares a source's tensors with a list that another implementation wrote.
 *
 * A line of the list: name (blanks as '_'), torch's dtype, shape (slowest dimension first, commas, '-'
 * for none), the bytes in hex ('-' for none).  Tensors without values are in the list, not in the source. */
#ifndef MOTE_TEST_GOLDEN_TEXT_H
#define MOTE_TEST_GOLDEN_TEXT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/source.h"
#include "support/verified.h"

/* The path of a file below tests/golden, in room. */
static inline const char *golden_path(char *room, size_t size, const char *name)
{
    const char *root = getenv("MOTE_SOURCE");
    snprintf(room, size, "%s/tests/golden/%s", root ? root : ".", name);
    return room;
}

static inline mt_type golden_type(const char *dtype)
{
    static const struct { const char *name; mt_type type; } row[] = {
        { "float64", MT_F64 }, { "float32", MT_F32 }, { "float16", MT_F16 }, { "bfloat16", MT_BF16 },
        { "float8_e4m3fn", MT_F8_E4M3 }, { "float8_e5m2", MT_F8_E5M2 }, { "int64", MT_I64 }, { "int32", MT_I32 },
        { "int16", MT_I16 }, { "int8", MT_I8 }, { "uint8", MT_U8 }, { "uint16", MT_U16 }, { "uint32", MT_U32 },
        { "uint64", MT_U64 }, { "bool", MT_U8 },
    };
    for (size_t i = 0; i < MT_COUNT(row); i++)
        if (strcmp(row[i].name, dtype) == 0) return row[i].type;
    fail_msg("dtype %s", dtype);
    return MT_F32;
}

/* Names are at most 256 bytes, a line at most 16,384. */
static inline const mt_tensor *golden_find(const mt_source *s, const char *name)
{
    char own[256];
    for (size_t i = 0; i < s->n_tensor; i++) {
        snprintf(own, sizeof own, "%s", s->tensor[i].name);
        for (char *p = own; *p; p++)
            if (*p == ' ') *p = '_';
        if (strcmp(own, name) == 0) return &s->tensor[i];
    }
    return NULL;
}

static inline void golden_shape(const mt_tensor *t, char *shape)
{
    int64_t dim[8], ne[MT_MAX_DIM] = { 1, 1, 1, 1 };
    int n = 0;
    for (char *part = strcmp(shape, "-") ? strtok(shape, ",") : NULL; part; part = strtok(NULL, ","))
        dim[n++] = strtoll(part, NULL, 10);
    const int n_dim = n < 1 ? 1 : n > MT_MAX_DIM ? MT_MAX_DIM : n;
    for (int k = 0; k < n; k++) ne[k < MT_MAX_DIM - 1 ? n_dim - 1 - k : 0] *= dim[k];
    assert_int_equal(t->n_dim, n_dim);
    for (int k = 0; k < MT_MAX_DIM; k++) assert_int_equal(t->ne[k], ne[k]);
}

static inline void golden_bytes(const mt_tensor *t, const char *hex)
{
    const size_t n = strlen(hex) / 2;
    assert_int_equal(t->bytes, n);
    uint8_t *room = malloc(n);
    assert_non_null(room);
    const uint8_t *p = mt_tensor_rows(t, 0, mt_tensor_count(t) / t->ne[0], room);
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        if (p[i] != byte) fail_msg("%s: byte %zu is %02x, expected %02x", t->name, i, p[i], byte);
    }
    free(room);
}

/* Every line has its tensor and no tensor is over; the number of lines. */
static inline size_t golden_compare(const mt_source *s, const char *list)
{
    static char line[16384], name[256], dtype[32], shape[64], hex[16384];
    size_t n = 0, empty = 0;
    FILE *f = fopen(list, "r");
    if (!f) fail_msg("cannot open %s", list);
    for (; fgets(line, sizeof line, f); n++) {
        assert_int_equal(sscanf(line, "%255s %31s %63s %16383s", name, dtype, shape, hex), 4);
        const mt_tensor *t = golden_find(s, name);
        if (strcmp(hex, "-") == 0) {
            assert_null(t);
            empty++;
            continue;
        }
        if (!t) fail_msg("no tensor %s", name);
        assert_int_equal(t->type, golden_type(dtype));
        golden_shape(t, shape);
        golden_bytes(t, hex);
    }
    fclose(f);
    assert_int_equal(s->n_tensor, n - empty);
    if (strcmp(s->format, "pytorch") == 0)
        mt_verified("PyTorch .bin and .pth, zip and legacy", "tensors, bit for bit", "torch 2.13", (long)n);
    else
        mt_verified("safetensors, folders, shards", "tensors, bit for bit and shape", "safetensors 0.8", (long)n);
    return n;
}

#endif
