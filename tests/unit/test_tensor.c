/* SPDX-License-Identifier: MIT */
/* test_tensor.c - the type table and exact decoding, against tests/golden/blocks.bin, which holds
 * what other people's code makes of the same bytes (see make_blocks.py for its layout). */
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

#include "tensor/tensor.h"

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* ---- 16-bit floats -------------------------------------------------------- */

static void test_f16_values(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = mt_f16_to_f32((uint16_t)h);
        const int exponent = h >> 10 & 31, mantissa = h & 1023;
        if (exponent == 31 && mantissa) {
            assert_true(isnan(f));
            assert_true(isnan(mt_f16_to_f32(mt_f32_to_f16(f))));
            continue;
        }
        double want = exponent == 31 ? INFINITY
                    : exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
        if (h & 0x8000) want = -want;
        assert_true((double)f == want && !signbit(f) == !signbit(want));
        assert_int_equal(mt_f32_to_f16(f), h);
    }
}

/* Between each two neighbours the midpoint goes to the even one, its neighbours to the near one. */
static void test_f16_rounding(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7C00; h++) {
        const float low = mt_f16_to_f32((uint16_t)h);
        const float high = h == 0x7BFF ? 65536.0f : mt_f16_to_f32((uint16_t)(h + 1));
        const float middle = (low + high) / 2;              /* exact in f32 */
        const uint32_t even = h & 1 ? h + 1 : h;
        assert_int_equal(mt_f32_to_f16(middle), even);
        assert_int_equal(mt_f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(mt_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(mt_f32_to_f16(-middle), even | 0x8000);
    }
    assert_int_equal(mt_f32_to_f16(1e30f), 0x7C00);
    assert_int_equal(mt_f32_to_f16(-INFINITY), 0xFC00);
    assert_int_equal(mt_f32_to_f16(float_of(0x7F800001)) & 0x7E00, 0x7E00);   /* NaN stays NaN */
}

static void test_bf16(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = mt_bf16_to_f32((uint16_t)h);
        assert_int_equal(bits_of(f), h << 16);
        if (isnan(f)) {
            assert_true(isnan(mt_bf16_to_f32(mt_f32_to_bf16(f))));
            continue;
        }
        assert_int_equal(mt_f32_to_bf16(f), h);
        if (isinf(f)) continue;
        assert_int_equal(mt_f32_to_bf16(float_of(h << 16 | 0x7FFF)), h);
        assert_int_equal(mt_f32_to_bf16(float_of(h << 16 | 0x8000)), h + (h & 1));
        assert_int_equal(mt_f32_to_bf16(float_of(h << 16 | 0x8001)), h + 1);
    }
    assert_true(isnan(mt_bf16_to_f32(mt_f32_to_bf16(float_of(0x7F800001)))));
}

/* ---- the table ------------------------------------------------------------ */

static void test_table(void **state)
{
    (void)state;
    int n = 0;
    for (uint32_t type = 0; type < MT_FILE_TYPES; type++) {
        const mt_type_info *info = mt_type_of(type);
        if (!info) continue;
        n++;
        assert_true(info->block >= 1 && info->bytes >= 1 && strlen(info->name) >= 2);
        assert_int_equal(mt_row_bytes((mt_type)type, 3 * info->block), 3 * info->bytes);
        assert_int_equal(mt_row_bytes((mt_type)type, 0), 0);
    }
    assert_int_equal(n, 34);
    assert_null(mt_type_of(4));         /* Q4_2, removed from GGUF */
    assert_null(mt_type_of(31));        /* Q4_0_4_4, removed */
    assert_null(mt_type_of(MT_TYPE_LIMIT));
    assert_null(mt_type_of(UINT32_MAX));
    assert_string_equal(mt_type_of(MT_IQ2_XXS)->name, "IQ2_XXS");
    for (uint32_t type = 0; type < MT_TYPE_LIMIT; type++)       /* all but the words of packed codes */
        if (mt_type_of(type)) assert_int_equal(mt_type_of(type)->can_decode, type < MT_U8);
    const mt_tensor t = { .type = MT_F32, .n_dim = 2, .ne = { 5, 7, 1, 1 } };
    assert_int_equal(mt_tensor_count(&t), 35);
}

/* ---- golden blocks -------------------------------------------------------- */

static uint8_t *golden;
static size_t golden_size, golden_at;

static int load_golden(void **state)
{
    (void)state;
    const char *root = getenv("MOTE_SOURCE");
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/golden/blocks.bin", root ? root : ".");
    mt_map map;
    mote_error err = { 0, "" };
    if (mt_map_open(&map, path, &err) != MOTE_OK) {
        fprintf(stderr, "cannot read the golden blocks: %s (set MOTE_SOURCE)\n", err.text);
        return -1;
    }
    golden = malloc(map.size);
    golden_size = map.size;
    memcpy(golden, map.data, map.size);
    mt_map_close(&map);
    return 0;
}

static int free_golden(void **state)
{
    (void)state;
    free(golden);
    return 0;
}

static const uint8_t *take(size_t n)
{
    assert_true(n <= golden_size - golden_at);
    golden_at += n;
    return golden + golden_at - n;
}

static uint64_t take_number(size_t n)
{
    const uint8_t *p = take(n);
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static uint64_t split_mix(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* The sum make_blocks.py describes, over blocks drawn here with every scale pattern in turn. */
static uint64_t sweep_sum(mt_type type, uint32_t n_block, uint32_t scale_at)
{
    const mt_type_info *info = mt_type_of(type);
    uint64_t seed = 2000u + (uint64_t)type, sum = 0, i = 0;
    uint8_t row[512];
    float y[256];
    for (uint32_t b = 0; b < n_block; b++) {
        for (int k = 0; k < info->bytes; k += 8) {
            const uint64_t word = split_mix(&seed);
            for (int j = 0; j < 8; j++) row[k + j] = (uint8_t)(word >> (8 * j));
        }
        if (scale_at != UINT32_MAX) {
            const uint32_t step = 65536 / n_block, pattern = b * step + b % step;
            row[scale_at] = (uint8_t)pattern;
            row[scale_at + 1] = (uint8_t)(pattern >> 8);
        }
        mt_decode_row(type, row, y, info->block);
        for (int k = 0; k < info->block; k++, i++)
            sum += (uint64_t)(isnan(y[k]) ? 0x7FC00000u : bits_of(y[k])) * (2 * i + 1);
    }
    return sum;
}

static void check_stored(mt_type type, uint32_t n_block)
{
    const mt_type_info *info = mt_type_of(type);
    const size_t bytes = (size_t)info->bytes * n_block, n = (size_t)info->block * n_block;
    const uint8_t *blocks = take(bytes);
    uint8_t *odd = malloc(bytes + 1);           /* decoding may not assume alignment */
    float *y = malloc((n + 1) * sizeof *y);
    memcpy(odd + 1, blocks, bytes);
    y[n] = 12345.0f;
    mt_decode_row(type, odd + 1, y, (int64_t)n);
    assert_true(y[n] == 12345.0f);
    mt_verified("GGUF and checkpoints, element types", "blocks decoded, bit for bit",
                "gguf 0.19; ggml for Q1_0 and Q8_K; numpy for types of other checkpoints", (long)n_block);
    for (size_t i = 0; i < n; i++) {
        const float want = float_of((uint32_t)take_number(4));
        if (bits_of(want) == bits_of(y[i]) || (isnan(want) && isnan(y[i]))) continue;
        fail_msg("%s block %zu value %zu: expected %a, found %a", info->name,
                 i / (size_t)info->block, i % (size_t)info->block, (double)want, (double)y[i]);
    }
    free(odd);
    free(y);
}

/* Names and sizes of every type the gguf package knows; we know no other. */
static void check_all_types(void)
{
    uint64_t n = take_number(4);
    for (uint32_t type = 0; type < MT_FILE_TYPES; type++) n -= mt_type_of(type) != NULL;
    assert_int_equal(n, 0);
    for (golden_at -= 4, n = take_number(4); n > 0; n--) {
        char name[9] = "";
        memcpy(name, take(8), 8);
        const mt_type_info *info = mt_type_of((uint32_t)take_number(4));
        assert_non_null(info);
        assert_string_equal(info->name, name);
        assert_int_equal(take_number(4), info->block);
        assert_int_equal(take_number(4), info->bytes);
    }
}

static void test_golden(void **state)
{
    (void)state;
    golden_at = 0;
    assert_memory_equal(take(8), "MTBLOCKS", 8);
    const size_t length = (size_t)take_number(4);
    const uint8_t *text = take(length);
    print_message("golden blocks: %.*s\n", (int)length, (const char *)text);
    check_all_types();
    const uint64_t n_type = take_number(4);
    bool is_covered[MT_TYPE_LIMIT] = { false };
    for (uint64_t k = 0; k < n_type; k++) {
        const mt_type type = (mt_type)take_number(4);
        const mt_type_info *info = mt_type_of(type);
        assert_non_null(info);
        assert_int_equal(take_number(4), info->block);
        assert_int_equal(take_number(4), info->bytes);
        assert_true(info->can_decode);
        is_covered[type] = true;
        const uint32_t n_block = (uint32_t)take_number(4), n_sweep = (uint32_t)take_number(4);
        const uint32_t scale_at = (uint32_t)take_number(4);
        const uint64_t want = take_number(8), found = sweep_sum(type, n_sweep, scale_at);
        if (want != found)
            fail_msg("%s, %u swept blocks: expected sum %llx, found %llx", info->name, n_sweep,
                     (unsigned long long)want, (unsigned long long)found);
        check_stored(type, n_block);
    }
    assert_int_equal(golden_at, golden_size);
    for (uint32_t type = 0; type < MT_TYPE_LIMIT; type++)
        if (mt_type_of(type)) assert_int_equal(is_covered[type], mt_type_of(type)->can_decode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16_values),
        cmocka_unit_test(test_f16_rounding),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_table),
        cmocka_unit_test_setup_teardown(test_golden, load_golden, free_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
