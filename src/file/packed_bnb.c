/* SPDX-License-Identifier: MIT */
/* packed_bnb.c - bitsandbytes' 4-bit weights, NF4 and FP4.
 *
 * The weight is one long row of nibbles, the first of each byte on top, whatever its shape; every 64
 * values (as the state says) share a scale, which with double quantisation is itself an 8-bit code:
 * map[code] * outer scale + offset.  Shape and sizes stand in a small JSON text that is stored as a
 * tensor of bytes. */
#include <jansson.h>

#include "file/packed_parts.h"

enum { MAX_STATE = 64 << 10, N_BOOK = 16 };

static const float nf4_book[N_BOOK] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
    -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,
    0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
};
static const float fp4_book[N_BOOK] = {
    0, 0.0052083334885537624f, 0.6666666865348816f, 1, 0.3333333432674408f, 0.5f, 0.1666666716337204f, 0.25f,
    0, -0.0052083334885537624f, -0.6666666865348816f, -1, -0.3333333432674408f, -0.5f, -0.1666666716337204f, -0.25f,
};

static void tile_flat(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE])
{
    const int columns = (int)MT_MIN((int64_t)MT_TILE, p->k - block * MT_TILE);
    for (int r = 0; r < n; r++) {
        const int64_t first = (row + r) * p->k + block * MT_TILE;
        for (int i = 0; i < columns; i++) c[r][i] = p->code[(first + i) / 2] >> ((first + i) % 2 ? 0 : 4) & 15;
    }
}

/* The usual case: rows of whole bytes. */
static void tile_even(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE])
{
    const int bytes = (int)MT_MIN((int64_t)MT_TILE, p->k - block * MT_TILE) / 2;
    const uint8_t *at = p->code + (size_t)row * (size_t)(p->k / 2) + (size_t)block * (MT_TILE / 2);
    for (int r = 0; r < n; r++, at += p->k / 2) {
        for (int i = 0; i < bytes; i++) {
            c[r][2 * i] = at[i] >> 4;
            c[r][2 * i + 1] = at[i] & 15;
        }
    }
}

/* ---- the state ---------------------------------------------------------------------------------- */

typedef struct state { int64_t n, k, block, nested_block; double offset; } state;

static int64_t whole(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? json_integer_value(v) : 0;
}

static bool read_state(const mt_tensor *t, state *out)
{
    if (t->type != MT_U8 || !t->data || t->bytes > MAX_STATE) return false;
    json_t *j = json_loadb((const char *)t->data, t->bytes, JSON_REJECT_DUPLICATES, NULL);
    const json_t *shape = json_object_get(j, "shape");
    const bool is_matrix = json_is_array(shape) && json_array_size(shape) == 2 &&
                           json_is_integer(json_array_get(shape, 0)) && json_is_integer(json_array_get(shape, 1));
    *out = (state){ .block = whole(j, "blocksize"), .nested_block = whole(j, "nested_blocksize"),
                    .offset = json_number_value(json_object_get(j, "nested_offset")) };
    if (is_matrix) {
        out->n = json_integer_value(json_array_get(shape, 0));
        out->k = json_integer_value(json_array_get(shape, 1));
    }
    json_decref(j);
    return is_matrix && out->n > 0 && out->n <= INT32_MAX && out->k > 0 && out->k <= INT32_MAX && out->block > 0 &&
           out->block <= INT32_MAX && out->nested_block >= 0 && out->nested_block <= INT32_MAX;
}

/* ---- the parts ---------------------------------------------------------------------------------- */

static mote_status read_nested(mt_resolver *r, mt_recipe *p, const mt_tensor *absmax, const state *st)
{
    const mt_tensor *outer, *map;
    MT_TRY(mt_part_need(r, ".weight.nested_absmax", &outer));
    MT_TRY(mt_part_need(r, ".weight.nested_quant_map", &map));
    MT_TRY(mt_part_check(r, map, MT_F32, 256, 0));
    if (st->nested_block == 0)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: the quant_state of %s: expected a nested_blocksize", r->path, r->name);
    const int64_t n = mt_tensor_count(absmax);
    MT_TRY(mt_part_check(r, outer, MT_F32, (n + st->nested_block - 1) / st->nested_block, 0));
    p->nested = outer->data, p->nested_map = map->data;
    p->nested_block = st->nested_block, p->nested_offset = (float)st->offset;
    return MOTE_OK;
}

/* The 16 values, kept as floats; known ones have a type of their own. */
static mote_status read_book(mt_resolver *r, mt_recipe *p, const mt_tensor *map, mt_type type)
{
    float *book = mt_arena_push_n(&r->s->arena, N_BOOK, sizeof *book);
    if (!book) MT_FAIL(r->err, MOTE_ENOMEM, "%s: compressed weight %s: no memory", r->path, r->name);
    MT_TRY(mt_part_check(r, map, MT_F32, N_BOOK, 0));
    const float *known = type == MT_NF4 ? nf4_book : fp4_book;
    bool is_known = true;
    for (int i = 0; i < N_BOOK; i++) {
        book[i] = mt_get_f32(map->data + 4 * i);
        is_known = is_known && book[i] >= known[i] - 1e-6f && book[i] <= known[i] + 1e-6f;
    }
    p->book = book, p->book_type = is_known ? type : MT_F32;
    return MOTE_OK;
}

mote_status mt_packed_bnb4(mt_resolver *r, const mt_tensor *weight)
{
    const mt_tensor *absmax, *map, *text = mt_part_find(r, ".weight.quant_state.bitsandbytes__nf4");
    const mt_type type = text ? MT_NF4 : MT_FP4;
    state st;
    if (!text) MT_TRY(mt_part_need(r, ".weight.quant_state.bitsandbytes__fp4", &text));
    MT_TRY(mt_part_need(r, ".weight.absmax", &absmax));
    MT_TRY(mt_part_need(r, ".weight.quant_map", &map));
    if (!read_state(text, &st))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected JSON with a shape of two sizes and a blocksize", r->path,
                text->name);
    mt_recipe p = { .k = st.k, .n = st.n, .bits = 4, .tile = st.k % 2 ? tile_flat : tile_even, .code = weight->data,
                    .flat = st.block, .group = st.block, .row_block = 1, .scale_type = MT_F32 };
    if (weight->bytes != ((size_t)st.n * (size_t)st.k + 1) / 2)     /* any type of storage */
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected %lld bytes for a shape of (%lld, %lld), found %zu",
                r->path, weight->name, (long long)((st.n * st.k + 1) / 2), (long long)st.n, (long long)st.k,
                weight->bytes);
    const mt_type scale_type = absmax->type == MT_U8 ? MT_U8 : MT_F32;
    MT_TRY(mt_part_check(r, absmax, scale_type, (st.n * st.k + st.block - 1) / st.block, 0));
    p.scale = absmax->data;
    if (scale_type == MT_U8) MT_TRY(read_nested(r, &p, absmax, &st));
    MT_TRY(read_book(r, &p, map, type));
    return mt_part_done(r, &p, 1);
}
