/* SPDX-License-Identifier: MIT */
/* test_packed.c - compressed checkpoints: what mt_packed_resolve makes of tests/golden/packed.bin (see
 * make_packed.py for its layout), whose plain values numpy made from each format's definition; and
 * parts that do not fit together. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/verified.h"

#include "file/packed.h"
#include "file/parts.h"
#include "unit/fail_alloc.h"

/* ---- the golden file ------------------------------------------------------------------------ */

static uint8_t *golden;
static size_t golden_size;
static mt_cursor first_case;
static uint32_t n_case;

static mt_str read_text(mt_cursor *c)
{
    const uint32_t n = mt_read_u32(c);
    const uint8_t *p = mt_read_bytes(c, n);
    return (mt_str){ (const char *)p, p ? n : 0 };
}

static float read_float(mt_cursor *c)
{
    const uint32_t bits = mt_read_u32(c);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static int load_golden(void **state)
{
    (void)state;
    char path[1024];
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/packed.bin", root ? root : ".");
    FILE *f = fopen(path, "rb");
    if (!f) return -1;
    fseek(f, 0, SEEK_END);
    golden_size = (size_t)ftell(f);
    rewind(f);
    golden = malloc(golden_size);
    if (!golden || fread(golden, 1, golden_size, f) != golden_size) return -1;
    fclose(f);
    first_case = (mt_cursor){ .p = golden, .size = golden_size };
    const uint8_t *magic = mt_read_bytes(&first_case, 8);
    if (!magic || memcmp(magic, "MTPACKED", 8) != 0) return -1;
    const mt_str versions = read_text(&first_case);
    n_case = mt_read_u32(&first_case);
    printf("reference: %.*s\n", (int)versions.n, versions.p);
    return first_case.failed || n_case == 0 ? -1 : 0;
}

static int free_golden(void **state)
{
    (void)state;
    free(golden);
    return 0;
}

/* ---- a source in memory ---------------------------------------------------------------------- */

/* The key's value; kind 2, an array, keeps its elements as they are. */
static void read_key(mt_cursor *c, mt_source *s, mt_meta *m)
{
    m->key = mt_arena_string(&s->arena, read_text(c));
    const uint8_t kind = mt_read_u8(c);
    m->n = 1;
    if (kind == 0) {
        m->type = MT_META_I64;
        m->value.i = (int64_t)mt_read_u64(c);
    } else if (kind == 1) {
        m->type = MT_META_STRING;
        m->value.s = read_text(c);
    } else {
        m->type = MT_META_ARRAY, m->item = MT_META_I64;
        m->n = mt_read_u32(c);
        m->raw = mt_read_bytes(c, 8 * m->n);
    }
}

static void read_tensor(mt_cursor *c, mt_source *s, mt_tensor *t)
{
    t->name = mt_arena_string(&s->arena, read_text(c));
    t->type = (mt_type)mt_read_u32(c);
    t->n_dim = (int)mt_read_u32(c);
    for (int i = 0; i < MT_MAX_DIM; i++) t->ne[i] = i < t->n_dim ? (int64_t)mt_read_u64(c) : 1;
    t->bytes = (size_t)mt_read_u64(c);
    t->data = mt_read_bytes(c, t->bytes);
}

/* A source of the case at c, which moves on to what is expected.  The arena may fail to give. */
static mote_status read_source(mt_cursor *c, mt_source *s, const mote_alloc *alloc, mt_str *name, mote_error *err)
{
    *s = (mt_source){ .path = "folder", .format = "safetensors", .is_foreign = true };
    mt_arena_init(&s->arena, alloc, 16 << 10);
    *name = read_text(c);
    s->n_meta = mt_read_u32(c);
    s->meta = mt_arena_push_n(&s->arena, s->n_meta, sizeof *s->meta);
    for (size_t i = 0; s->meta && i < s->n_meta; i++) {
        read_key(c, s, &s->meta[i]);
        if (!s->meta[i].key) return MOTE_ENOMEM;
    }
    if (!s->meta) return MOTE_ENOMEM;
    s->n_tensor = mt_read_u32(c);
    s->tensor = mt_arena_push_n(&s->arena, s->n_tensor, sizeof *s->tensor);
    for (size_t i = 0; s->tensor && i < s->n_tensor; i++) {
        read_tensor(c, s, &s->tensor[i]);
        if (!s->tensor[i].name) return MOTE_ENOMEM;
    }
    if (!s->tensor) return MOTE_ENOMEM;
    assert_false(c->failed);
    return mt_source_index(s, err);
}

/* Moves to case i; names it. */
static mt_cursor case_at(uint32_t i)
{
    mt_cursor c = first_case;
    while (i-- > 0) {
        mt_source s;
        mt_str name;
        mote_error err;
        assert_int_equal(read_source(&c, &s, NULL, &name, &err), MOTE_OK);
        for (uint32_t n = mt_read_u32(&c); n > 0; n--) {
            read_text(&c);
            mt_read_u32(&c);
            const uint64_t k = mt_read_u64(&c);
            mt_read_bytes(&c, 16 + 8 + 8);
            const uint32_t rows = mt_read_u32(&c);
            mt_read_bytes(&c, (size_t)(k * rows * 4));
        }
        assert_false(c.failed);
        mt_arena_reset(&s.arena);
    }
    return c;
}

/* ---- every case against its plain values ------------------------------------------------------ */

static uint64_t sum_of(const float *v, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const float canonical = v[i] + 0.0f;    /* -0 counts as 0 */
        uint32_t bits;
        memcpy(&bits, &canonical, sizeof bits);
        sum += bits * (uint64_t)(2 * i + 1);
    }
    return sum;
}

/* All rows at once, and the same in uneven pieces from the end. */
static float *decoded(const mt_tensor *t)
{
    const int64_t n = t->ne[1] * t->ne[2];
    const size_t row = mt_row_bytes(t->type, t->ne[0]);
    uint8_t *whole = malloc(row * (size_t)n), *pieces = malloc(row * (size_t)n);
    float *values = malloc((size_t)(n * t->ne[0]) * sizeof *values);
    assert_true(whole && pieces && values);
    assert_int_equal(t->bytes, row * (size_t)n);
    assert_ptr_equal(mt_tensor_rows(t, 0, n, whole), whole);
    int64_t left = n;
    for (int64_t size = 1; left > 0; size = size * 2 + 1) {
        const int64_t rows = size < left ? size : left;
        t->make(t, left - rows, rows, pieces + (size_t)(left - rows) * row);
        left -= rows;
    }
    assert_memory_equal(whole, pieces, row * (size_t)n);
    for (int64_t r = 0; r < n; r++) mt_decode_row(t->type, whole + (size_t)r * row, values + r * t->ne[0], t->ne[0]);
    free(whole);
    free(pieces);
    return values;
}

static double worst_excess;

static void compare(mt_cursor *c, const mt_tensor *t, const float *v, const char *name)
{
    const int64_t k = t->ne[0], n = t->ne[1] * t->ne[2];
    const double rel = (double)read_float(c), absolute = (double)read_float(c);
    const uint64_t sum = mt_read_u64(c);
    const uint32_t stored = mt_read_u32(c);
    for (uint32_t r = 0; r < stored; r++) {
        float *want = malloc((size_t)k * sizeof *want);
        double most = 0;
        assert_non_null(want);
        for (int64_t i = 0; i < k; i++) {
            want[i] = read_float(c);
            most = fmax(most, fabs((double)want[i]));
        }
        for (int64_t i = 0; i < k; i++) {
            const double error = fabs((double)v[r * k + i] - (double)want[i]);
            const double bound = rel * fabs((double)want[i]) + absolute * most;
            if (bound > 0) worst_excess = fmax(worst_excess, error / bound);
            if (!(error <= bound))
                fail_msg("%s: row %u, column %lld: expected %.9g, found %.9g", name, r, (long long)i, (double)want[i],
                         (double)v[r * k + i]);
        }
        free(want);
    }
    if (rel == 0 && absolute == 0 && sum_of(v, (size_t)(n * k)) != sum)
        fail_msg("%s: beyond the first rows, values differ", name);
}

/* The sorted form of a weight is the weight, column by column. */
static int n_sorted;

static void compare_sorted(const mt_tensor *t, const float *v, const char *name)
{
    mt_tensor sorted;
    const uint32_t *order = mt_packed_sorted(t, &sorted);
    if (!order) return;
    float *w = decoded(&sorted);
    n_sorted++;
    assert_int_not_equal(sorted.type, MT_F32);
    for (int64_t r = 0; r < t->ne[1]; r++)
        for (int64_t i = 0; i < t->ne[0]; i++)
            if (w[r * t->ne[0] + i] != v[r * t->ne[0] + order[i]])
                fail_msg("%s, sorted: row %lld, column %lld differs", name, (long long)r, (long long)i);
    free(w);
}

static void check_case(uint32_t i)
{
    mt_cursor c = case_at(i);
    mt_source s;
    mt_str text;
    mote_error err = { MOTE_OK, "" };
    char name[128];
    assert_int_equal(read_source(&c, &s, NULL, &text, &err), MOTE_OK);
    snprintf(name, sizeof name, "%.*s", (int)text.n, text.p);
    const bool has_norm = mt_source_tensor(&s, "norm.weight") != NULL;
    if (mt_packed_resolve(&s, &err) != MOTE_OK) fail_msg("%s: %s", name, err.text);
    const uint32_t n = mt_read_u32(&c);
    for (uint32_t w = 0; w < n; w++) {
        const mt_str weight = read_text(&c);
        char full[128];
        snprintf(full, sizeof full, "%.*s", (int)weight.n, weight.p);
        const mt_tensor *t = mt_source_tensor(&s, full);
        if (!t) fail_msg("%s: no tensor %s", name, full);
        const uint32_t type = mt_read_u32(&c);
        if (t->type != type)
            fail_msg("%s: expected type %s, found %s", name, mt_type_of(type)->name, mt_type_of(t->type)->name);
        for (int d = 0; d < 3; d++) assert_int_equal(t->ne[d], (int64_t)mt_read_u64(&c));
        float *values = decoded(t);
        compare(&c, t, values, name);
        compare_sorted(t, values, name);
        free(values);
    }
    assert_int_equal(s.n_tensor, n + (has_norm ? 2 : 0));           /* nothing else is left but these */
    mt_verified("GPTQ, AWQ, bitsandbytes, compressed-tensors, MLX, FP8, BitNet", "layers, value for value",
                "numpy from the definitions, held against bitsandbytes, compressed-tensors, mlx, transformers", 1);
    assert_true(!has_norm || (mt_source_tensor(&s, "norm.weight") && mt_source_tensor(&s, "a.bias")));
    mt_arena_reset(&s.arena);
}

static void test_values(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < n_case; i++) check_case(i);
    assert_int_equal(n_sorted, 5);          /* GPTQ in four widths, and compressed-tensors */
    printf("%u cases; where scales are rounded, the worst error is %.3f of what is allowed\n", n_case, worst_excess);
}

/* ---- the same from a folder ----------------------------------------------------------------------- */

static void write_file(const char *folder, const char *name, const mt_buf *b)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->p, 1, b->n, f), b->n);
    fclose(f);
}

/* Keys with this prefix as one flat object: dots in a key read as levels. */
static void print_keys(mt_buf *b, const mt_source *s, bool of_side_file)
{
    const char *prefix = "quantize_config.";
    b->n = 0;
    mt_buf_print(b, "{\"model_type\": \"none\"");
    for (size_t i = 0; i < s->n_meta; i++) {
        const mt_meta *m = &s->meta[i];
        const bool is_side = strncmp(m->key, prefix, strlen(prefix)) == 0;
        if (is_side != of_side_file) continue;
        mt_buf_print(b, ", \"%s\": ", m->key + (is_side ? strlen(prefix) : 0));
        if (m->type == MT_META_STRING) mt_buf_print(b, "\"%.*s\"", (int)m->value.s.n, m->value.s.p);
        else if (m->type == MT_META_I64) mt_buf_print(b, "%lld", (long long)m->value.i);
        for (size_t k = 0; m->type == MT_META_ARRAY && k < m->n; k++)
            mt_buf_print(b, "%s%lld%s", k ? ", " : "[", (long long)mt_meta_item_int(m, k), k + 1 == m->n ? "]" : "");
    }
    mt_buf_print(b, "}");
}

static void print_tensors(mt_buf *b, const mt_source *s)
{
    size_t at = 0;
    b->n = 0;
    mt_buf_put(b, "\0\0\0\0\0\0\0\0{", 9);
    for (size_t i = 0; i < s->n_tensor; i++) {
        const mt_tensor *t = &s->tensor[i];
        mt_buf_print(b, "%s\"%s\": {\"dtype\": \"%s\", \"shape\": [", i ? ", " : "", t->name, mt_type_of(t->type)->name);
        for (int d = t->n_dim - 1; d >= 0; d--) mt_buf_print(b, "%lld%s", (long long)t->ne[d], d ? ", " : "");
        mt_buf_print(b, "], \"data_offsets\": [%zu, %zu]}", at, at + t->bytes);
        at += t->bytes;
    }
    mt_buf_put(b, "}", 1);
    for (int i = 0; i < 8; i++) b->p[i] = (char)((uint64_t)(b->n - 8) >> 8 * i);
    for (size_t i = 0; i < s->n_tensor; i++) mt_buf_put(b, s->tensor[i].data, s->tensor[i].bytes);
}

static void test_folders(void **state)
{
    (void)state;
    char folder[] = "/tmp/mote-packed-XXXXXX", path[1200];
    assert_non_null(mkdtemp(folder));
    for (uint32_t i = 0; i < n_case; i++) {
        mt_cursor c = case_at(i);
        mt_source s, *opened;
        mt_str text;
        mt_buf b;
        mote_error err = { MOTE_OK, "" };
        assert_int_equal(read_source(&c, &s, NULL, &text, &err), MOTE_OK);
        mt_buf_init(&b, NULL, 1 << 20);
        print_keys(&b, &s, false), write_file(folder, "config.json", &b);
        print_keys(&b, &s, true), write_file(folder, "quantize_config.json", &b);
        print_tensors(&b, &s), write_file(folder, "model.safetensors", &b);
        mt_buf_free(&b);
        if (mt_source_open(&opened, folder, NULL, &err) != MOTE_OK)
            fail_msg("%.*s: %s", (int)text.n, text.p, err.text);
        assert_int_equal(mt_packed_resolve(&s, &err), MOTE_OK);
        assert_int_equal(opened->n_tensor, s.n_tensor);
        for (size_t k = 0; k < s.n_tensor; k++) {
            const mt_tensor *t = &s.tensor[k], *u = mt_source_tensor(opened, t->name);
            if (t->data) continue;
            assert_true(u && u->type == t->type && !memcmp(u->ne, t->ne, sizeof t->ne));
            float *v = decoded(t), *w = decoded(u);
            assert_memory_equal(v, w, (size_t)mt_tensor_count(t) * sizeof *v);
            free(v);
            free(w);
        }
        mt_source_close(opened);
        mt_arena_reset(&s.arena);
    }
    static const char *const name[] = { "config.json", "quantize_config.json", "model.safetensors" };
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, name[i]);
        remove(path);
    }
    remove(folder);
}

/* ---- memory that fails ------------------------------------------------------------------------ */

static void test_memory(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < n_case; i += 7) {
        for (size_t n = 1;; n++) {
            fail_alloc fa;
            const mote_alloc *alloc = fail_alloc_init(&fa, n, false);
            mt_cursor c = case_at(i);
            mt_source s;
            mt_str text;
            mote_error err = { MOTE_OK, "" };
            mote_status status = read_source(&c, &s, alloc, &text, &err);
            if (status == MOTE_OK) status = mt_packed_resolve(&s, &err);
            assert_int_equal(status, fa.calls < n ? MOTE_OK : MOTE_ENOMEM);
            mt_arena_reset(&s.arena);
            fail_alloc_check(&fa);
            if (fa.calls < n) break;
        }
    }
}

/* ---- parts that do not fit --------------------------------------------------------------------- */

/* The case of this name, with a change to its tensors or keys, is refused with these words. */
typedef struct change {
    const char *name;           /* of the case */
    const char *tensor;         /* that changes */
    enum { RENAME, NE0, NE1, TYPE, FIRST_I32, KEY } what;
    int64_t value;
    const char *key;            /* KEY: an integer one; RENAME: the new name */
    mote_status status;
    const char *words;          /* in the sentence */
} change;

static const change bad[] = {
    { "gptq 4 bit, group 32", "a.scales", RENAME, 0, NULL, MOTE_EFORMAT, "a.scales is missing" },
    { "gptq 4 bit, group 32", "a.qzeros", RENAME, 0, NULL, MOTE_EFORMAT, "a.qzeros is missing" },
    { "gptq 4 bit, group 32", "a.qzeros", NE0, 10, NULL, MOTE_EFORMAT, "2, 3, 4 or 8 bits" },     /* 5 bits */
    { "gptq 4 bit, group 32", "a.qzeros", NE1, 2, NULL, MOTE_EFORMAT, "a.qzeros: expected I32 of shape" },
    { "gptq 4 bit, group 32", "a.scales", NE0, 63, NULL, MOTE_EFORMAT, "a.scales: expected F16 of shape" },
    { "gptq 4 bit, group 32", "a.scales", NE1, 5, NULL, MOTE_EFORMAT, "expected groups of 32 of 96 columns, found 5" },
    { "gptq 4 bit, group 32", "a.scales", TYPE, MT_I16, NULL, MOTE_EFORMAT, "expected scales of type" },
    { "gptq 4 bit, group 32", "a.qweight", TYPE, MT_F32, NULL, MOTE_EFORMAT, "expected a matrix of I32" },
    { "gptq 4 bit, group 32", "a.g_idx", NE0, 95, NULL, MOTE_EFORMAT, "a.g_idx: expected I32 of shape" },
    { "gptq 4 bit, group 32", "a.g_idx", FIRST_I32, 3, NULL, MOTE_EFORMAT, "expected a group from 0 to 2, found 3" },
    { "gptq 4 bit, group 32", "a.g_idx", FIRST_I32, -1, NULL, MOTE_EFORMAT, "expected a group from 0 to 2, found -1" },
    { "gptq 4 bit, group 32", NULL, KEY, 0, "quantization_config.group_size", MOTE_EFORMAT, "found 0" },
    { "gptq 3 bit, group 32", "a.qweight", NE1, 8, NULL, MOTE_EFORMAT, "no whole number of codes" },
    { "awq, group 32", NULL, KEY, 5, "quantization_config.bits", MOTE_EUNSUPPORTED, "expected 4 in an AWQ" },
    { "awq, group 32", "a.qzeros", NE0, 4, NULL, MOTE_EFORMAT, "a.qzeros: expected I32 of shape" },
    { "awq, group 32", "a.scales", NE0, 8, NULL, MOTE_EFORMAT, "a.scales: expected F16 of shape" },
    { "nf4", "a.weight.absmax", RENAME, 0, NULL, MOTE_EFORMAT, "a.weight.absmax is missing" },
    { "nf4", "a.weight.quant_state.bitsandbytes__nf4", RENAME, 0, NULL, MOTE_EFORMAT, "is missing" },
    { "nf4", "a.weight.quant_state.bitsandbytes__nf4", FIRST_I32, 0, NULL, MOTE_EFORMAT, "expected JSON" },
    { "nf4", "a.weight.absmax", NE0, 3, NULL, MOTE_EFORMAT, "a.weight.absmax: expected F32 of shape" },
    { "nf4", "a.weight.quant_map", NE0, 8, NULL, MOTE_EFORMAT, "a.weight.quant_map: expected F32 of shape" },
    { "nf4, double quantisation", "a.weight.nested_absmax", RENAME, 0, NULL, MOTE_EFORMAT, "is missing" },
    { "nf4, double quantisation", "a.weight.nested_absmax", NE0, 1, NULL, MOTE_EFORMAT, "expected F32 of shape" },
    { "bitsandbytes int8, rows of 96", "a.SCB", NE0, 39, NULL, MOTE_EFORMAT, "expected 40 values, found 39" },
    { "pack-quantized int4, group 128", "a.weight_scale", RENAME, 0, NULL, MOTE_EFORMAT, "is missing" },
    { "pack-quantized int4, group 128", "a.weight_shape", RENAME, 0, NULL, MOTE_EFORMAT, "is missing" },
    { "pack-quantized int4, group 128", "a.weight_shape", FIRST_I32, 41, NULL, MOTE_EFORMAT, "of shape (41, 32)" },
    { "pack-quantized int4, group 128", "a.weight_shape", FIRST_I32, 0, NULL, MOTE_EFORMAT, "expected two sizes" },
    { "pack-quantized int4, group 128", "a.weight_scale", NE0, 3, NULL, MOTE_EFORMAT, "do not divide a weight" },
    { "pack-quantized int4 with zeros", "a.weight_zero_point", NE1, 4, NULL, MOTE_EFORMAT, "expected I32 of shape" },
    { "int-quantized, channels", "a.weight_scale", NE1, 39, NULL, MOTE_EFORMAT, "do not divide a weight" },
    { "mlx 4 bit, group 32", "a.scales", RENAME, 0, NULL, MOTE_EFORMAT, "a.scales is missing" },
    { "mlx 4 bit, group 32", "a.biases", RENAME, 0, NULL, MOTE_EFORMAT, "a.biases is missing" },
    { "mlx 4 bit, group 32", "a.biases", NE1, 35, NULL, MOTE_EFORMAT, "do not have the 36 rows" },
    { "mlx 4 bit, group 32", "a.scales", NE0, 5, NULL, MOTE_EFORMAT, "3, 4, 5, 6 or 8 bits" },
    { "mlx 4 bit, group 32", NULL, KEY, 0, "quantization.group_size", MOTE_EFORMAT, "expected 32, 64 or 128, found 0" },
    { "fp8, tiles of 128", "a.weight_scale_inv", NE0, 2, NULL, MOTE_EFORMAT, "do not divide a weight" },
    { "fp8, tiles of 128", "a.weight_scale_inv", TYPE, MT_U8, NULL, MOTE_EFORMAT, "expected scales of type" },
    { "gptq 4 bit, group 32", "norm.weight", RENAME, 0, "a.act.scales", MOTE_EUNSUPPORTED, "scaled activations of AWQ" },
    { "bitnet", "a.weight", TYPE, MT_I8, NULL, MOTE_EFORMAT, "a.weight: expected U8 of shape" },
    { "bitnet", "a.weight_scale", NE0, 2, NULL, MOTE_EFORMAT, "expected 1 values, found 2" },
};

static mt_cursor case_named(const char *name)
{
    for (uint32_t i = 0; i < n_case; i++) {
        const mt_cursor c = case_at(i);
        mt_cursor look = c;
        if (mt_str_is(read_text(&look), name)) return c;
    }
    fail_msg("no case %s", name);
    return first_case;
}

static void apply(const change *x, mt_source *s, uint8_t *room)
{
    for (size_t i = 0; i < s->n_meta; i++)
        if (x->key && strcmp(s->meta[i].key, x->key) == 0) s->meta[i].value.i = x->value;
    for (size_t i = 0; i < s->n_tensor; i++) {
        mt_tensor *t = &s->tensor[i];
        if (!x->tensor || strcmp(t->name, x->tensor) != 0) continue;
        if (x->what == RENAME) t->name = x->key ? x->key : "elsewhere";
        if (x->what == NE0) t->ne[0] = x->value;
        if (x->what == NE1) t->ne[1] = x->value;
        if (x->what == TYPE) t->type = (mt_type)x->value;
        if (x->what == FIRST_I32) {
            memcpy(room, t->data, t->bytes);
            for (int b = 0; b < 4; b++) room[b] = (uint8_t)((uint64_t)x->value >> 8 * b);
            t->data = room;
        }
    }
}

static void test_hostile(void **state)
{
    (void)state;
    uint8_t *room = malloc(1 << 20);
    assert_non_null(room);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const change *x = &bad[i];
        mt_cursor c = case_named(x->name);
        mt_source s;
        mt_str text;
        mote_error err = { MOTE_OK, "" };
        assert_int_equal(read_source(&c, &s, NULL, &text, &err), MOTE_OK);
        apply(x, &s, room);
        assert_int_equal(mt_source_index(&s, &err), MOTE_OK);
        const mote_status status = mt_packed_resolve(&s, &err);
        if (status != x->status || !strstr(err.text, x->words))
            fail_msg("%s, change %zu: expected \"%s\", found \"%s\" (%d)", x->name, i, x->words, err.text, (int)status);
        mt_arena_reset(&s.arena);
    }
    free(room);
}

static void test_unknown_method(void **state)
{
    (void)state;
    mt_meta m = { .key = "quantization_config.quant_method", .type = MT_META_STRING, .n = 1,
                  .value.s = { "aqlm", 4 } };
    mt_source s = { .path = "folder", .meta = &m, .n_meta = 1 };
    mote_error err = { MOTE_OK, "" };
    mt_arena_init(&s.arena, NULL, 4096);
    assert_int_equal(mt_source_index(&s, &err), MOTE_OK);
    assert_int_equal(mt_packed_resolve(&s, &err), MOTE_EUNSUPPORTED);
    assert_string_equal(err.text, "folder: quantization_config.quant_method: compression by \"aqlm\" is not supported");
    mt_arena_reset(&s.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_folders), cmocka_unit_test(test_memory), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_unknown_method),
    };
    return cmocka_run_group_tests(tests, load_golden, free_golden);
}
