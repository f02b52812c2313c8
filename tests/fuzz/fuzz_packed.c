/* SPDX-License-Identifier: MIT */
/* fuzz_packed.c - any tensors and configuration as a compressed checkpoint: refused with a sentence, or
 * every row of every weight can be made and decoded.
 *
 * The input is a case of tests/golden/packed.bin (make_packed.py): keys, then tensors.  A reader would
 * have proved that shapes and bytes agree; inputs where they do not are passed over. */
#include <stdlib.h>
#include <string.h>

#include "file/packed.h"
#include "file/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_ITEM = 64, MAX_VALUES = 1 << 18 };

static volatile float seen;         /* keeps the reads */

static const char *read_name(mt_cursor *c, mt_arena *a)
{
    const uint32_t n = mt_read_u32(c);
    const uint8_t *p = mt_read_bytes(c, n);
    if (!p || n == 0 || n > 4096 || memchr(p, 0, n)) return NULL;
    return mt_arena_string(a, (mt_str){ (const char *)p, n });
}

static bool read_key(mt_cursor *c, mt_arena *a, mt_meta *m)
{
    m->key = read_name(c, a);
    const uint8_t kind = mt_read_u8(c);
    m->type = kind == 0 ? MT_META_I64 : kind == 1 ? MT_META_STRING : MT_META_ARRAY;
    m->item = MT_META_I64, m->n = 1;
    if (kind == 0) m->value.i = (int64_t)mt_read_u64(c);
    if (kind == 1) {
        m->value.s.n = mt_read_u32(c);
        m->value.s.p = (const char *)mt_read_bytes(c, m->value.s.n);
    }
    if (kind == 2) {
        m->n = mt_read_u32(c);
        m->raw = m->n <= MAX_VALUES ? mt_read_bytes(c, 8 * m->n) : NULL;
    }
    return m->key && !c->failed && kind <= 2 && (kind != 2 || m->raw);
}

static bool read_tensor(mt_cursor *c, mt_arena *a, mt_tensor *t)
{
    t->name = read_name(c, a);
    const mt_type_info *info = mt_type_of((t->type = (mt_type)mt_read_u32(c)));
    const uint32_t n_dim = mt_read_u32(c);
    size_t count = 1;
    if (!t->name || !info || n_dim < 1 || n_dim > MT_MAX_DIM) return false;
    t->n_dim = (int)n_dim;
    for (int i = 0; i < MT_MAX_DIM; i++) {
        const uint64_t ne = i < t->n_dim ? mt_read_u64(c) : 1;
        if (ne < 1 || ne > MAX_VALUES || !mt_mul_ok(count, (size_t)ne, &count) || count > MAX_VALUES) return false;
        t->ne[i] = (int64_t)ne;
    }
    t->bytes = (size_t)mt_read_u64(c);
    if (t->ne[0] % info->block || t->bytes != count / (size_t)info->block * (size_t)info->bytes) return false;
    const uint8_t *p = mt_read_bytes(c, t->bytes);
    uint8_t *exact = p ? malloc(t->bytes) : NULL;       /* of its size, so that a sanitizer sees a byte too far */
    if (exact) memcpy(exact, p, t->bytes);
    t->data = exact;
    return exact != NULL;
}

static bool read_source(mt_cursor *c, mt_source *s)
{
    read_name(c, &s->arena);
    const uint32_t n_meta = mt_read_u32(c);
    if (n_meta > MAX_ITEM || !(s->meta = mt_arena_push_n(&s->arena, n_meta, sizeof *s->meta))) return false;
    for (; s->n_meta < n_meta; s->n_meta++)
        if (!read_key(c, &s->arena, &s->meta[s->n_meta])) return false;
    const uint32_t n_tensor = mt_read_u32(c);
    if (n_tensor > MAX_ITEM || !(s->tensor = mt_arena_push_n(&s->arena, n_tensor, sizeof *s->tensor))) return false;
    for (; s->n_tensor < n_tensor; s->n_tensor++)
        if (!read_tensor(c, &s->arena, &s->tensor[s->n_tensor])) return false;
    return mt_source_index(s, NULL) == MOTE_OK;
}

/* Rows of a made tensor, a panel at a time, into exactly sized memory. */
static void make_all(const mt_tensor *t)
{
    const int64_t n = t->ne[1] * t->ne[2] * t->ne[3], k = t->ne[0];
    const size_t row = mt_row_bytes(t->type, k);
    if (!t->make || t->data || n < 1 || k < 1 || t->bytes != row * (size_t)n) abort();
    if (n > MAX_VALUES || k > MAX_VALUES || n * k > 64 * MAX_VALUES) return;
    float *values = malloc((size_t)k * sizeof *values);
    for (int64_t first = 0; values && first < n; first += 32) {
        const int64_t rows = MT_MIN(32, n - first);
        uint8_t *out = malloc(row * (size_t)rows);
        if (!out) break;
        t->make(t, first, rows, out);
        for (int64_t r = 0; r < rows; r++) {
            mt_decode_row(t->type, out + (size_t)r * row, values, k);
            seen += values[k - 1];
        }
        free(out);
    }
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mt_cursor c = { .p = data, .size = size };
    mt_source s = { .path = "input", .is_foreign = true };
    mote_error err = { MOTE_OK, "" };
    const uint8_t *owned[MAX_ITEM] = { NULL };
    mt_arena_init(&s.arena, NULL, 4096);
    const bool is_source = read_source(&c, &s);
    const size_t n_owned = s.n_tensor;
    for (size_t i = 0; i < n_owned; i++) owned[i] = s.tensor[i].data;
    if (is_source) {
        const mote_status status = mt_packed_resolve(&s, &err);
        if (status != MOTE_OK && (err.code != status || strlen(err.text) < 10)) abort();
        for (size_t i = 0; status == MOTE_OK && i < s.n_tensor; i++) {
            if (mt_source_tensor(&s, s.tensor[i].name) != &s.tensor[i]) abort();
            if (!s.tensor[i].data) make_all(&s.tensor[i]);
        }
    }
    for (size_t i = 0; i < n_owned; i++) free((void *)(uintptr_t)owned[i]);
    mt_arena_reset(&s.arena);
    return 0;
}
