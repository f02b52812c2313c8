/* SPDX-License-Identifier: MIT */
/* packed.c - compressed checkpoints: finding the tensors that together stand for one weight.
 *
 * Publishers store a linear layer X as several tensors (X.qweight, X.scales, ...) under a scheme that
 * config.json names.  The names and types of the tensors decide which reader looks at them, their
 * shapes decide bits and groups wherever they can; the configuration only settles what shapes leave
 * open.  A reader leaves one tensor X.weight with rows that are made; its parts leave the list.
 * Anything that does not fit is an error: a wrong weight would be silent. */
#include "file/packed.h"

#include <stdio.h>

#include "file/packed_parts.h"
#include "file/parts.h"

enum { MAX_NAME = MT_MAX_NAME + 64 };   /* bytes of a tensor's name, with every suffix */

/* ---- the configuration -------------------------------------------------------------------------- */

/* Where tools keep it: config.json, a file of its own (GPTQ), older spellings. */
static const char *const config_place[] = { "quantization_config.", "compression_config.", "quantization.",
                                            "quantize_config." };

static const mt_meta *config_find(const mt_source *s, const char *key)
{
    char full[256];
    for (size_t i = 0; i < MT_COUNT(config_place); i++) {
        snprintf(full, sizeof full, "%s%s", config_place[i], key);
        const mt_meta *m = mt_source_meta(s, full);
        if (m) return m;
    }
    return NULL;
}

int64_t mt_config_int(const mt_resolver *r, const char *key, int64_t otherwise)
{
    const mt_meta *m = config_find(r->s, key);
    int64_t value;
    return m && mt_meta_int(r->s, m->key, &value) ? value : otherwise;
}

bool mt_config_is(const mt_source *s, const char *key, const char *text)
{
    const mt_meta *m = config_find(s, key);
    return m && m->type == MT_META_STRING && mt_str_is(m->value.s, text);
}

/* ---- parts -------------------------------------------------------------------------------------- */

const mt_tensor *mt_part_find(mt_resolver *r, const char *suffix)
{
    char full[MAX_NAME];
    const int n = snprintf(full, sizeof full, "%s%s", r->name, suffix);
    if (n < 0 || n >= MAX_NAME) return NULL;
    const mt_tensor *t = mt_source_tensor(r->s, full);
    if (t) r->is_part[t - r->s->tensor] = true;
    return t;
}

mote_status mt_part_need(mt_resolver *r, const char *suffix, const mt_tensor **out)
{
    *out = mt_part_find(r, suffix);
    if (*out) return MOTE_OK;
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: compressed weight %s: tensor %s%s is missing", r->path, r->name, r->name,
            suffix);
}

static mote_status check_stored(const mt_resolver *r, const mt_tensor *t)
{
    if (t->data) return MOTE_OK;
    MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: tensor %s: expected the parts of a compressed weight to lie plainly in "
            "the file, found a view", r->path, t->name);
}

mote_status mt_part_check(mt_resolver *r, const mt_tensor *t, mt_type type, int64_t ne0, int64_t ne1)
{
    MT_TRY(check_stored(r, t));
    const bool is_word = type == MT_I32 && t->type == MT_U32;       /* packed bits have no sign */
    const int64_t rest = ne1 ? ne1 : 1;
    if ((t->type == type || is_word) && t->ne[0] == ne0 && t->ne[1] == rest && t->ne[2] * t->ne[3] == 1)
        return MOTE_OK;
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected %s of shape (%lld, %lld), found %s of shape (%lld, %lld)",
            r->path, t->name, mt_type_of(type)->name, (long long)rest, (long long)ne0, mt_type_of(t->type)->name,
            (long long)t->ne[1], (long long)t->ne[0]);
}

mote_status mt_part_check_float(mt_resolver *r, const mt_tensor *t)
{
    MT_TRY(check_stored(r, t));
    if (t->type == MT_F32 || t->type == MT_F16 || t->type == MT_BF16) return MOTE_OK;
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected scales of type F32, F16 or BF16, found %s", r->path,
            t->name, mt_type_of(t->type)->name);
}

mote_status mt_part_check_values(mt_resolver *r, const mt_tensor *t, int64_t n)
{
    MT_TRY(check_stored(r, t));
    if (mt_tensor_count(t) == n) return MOTE_OK;
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected %lld values, found %lld", r->path, t->name, (long long)n,
            (long long)mt_tensor_count(t));
}

/* ---- groups ------------------------------------------------------------------------------------- */

static int64_t parts_of(int64_t n, int64_t size) { return n / size + (n % size != 0); }

int64_t mt_group_columns(int64_t configured, int64_t k, int64_t groups)
{
    if (groups == 1) return k;
    if (configured > 0 && parts_of(k, configured) == groups) return configured;
    const int64_t even = groups > 0 && k % groups == 0 ? k / groups : 0;
    return (even & (even - 1)) == 0 ? even : 0;
}

mote_status mt_part_scales(mt_resolver *r, mt_recipe *p, const mt_tensor *scale, int64_t block_rows,
                           int64_t block_columns)
{
    MT_TRY(mt_part_check_float(r, scale));
    const int64_t count = mt_tensor_count(scale);
    int64_t rows = scale->ne[1], groups = scale->ne[0];
    if (scale->n_dim < 2 || count == 1) rows = count, groups = 1;          /* (n), (1), () */
    p->scale = scale->data, p->scale_type = scale->type;
    p->group = mt_group_columns(block_columns, p->k, groups);
    p->row_block = rows == p->n ? 1 : rows == 1 ? p->n : block_rows;
    if (p->group == 0 || p->row_block <= 0 || parts_of(p->n, p->row_block) != rows || rows * groups != count)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: scales of shape (%lld, %lld) do not divide a weight of shape "
                "(%lld, %lld)", r->path, scale->name, (long long)rows, (long long)groups, (long long)p->n,
                (long long)p->k);
    p->scale_row = groups, p->scale_group = 1;
    return MOTE_OK;
}

/* ---- answering ---------------------------------------------------------------------------------- */

mote_status mt_part_add(mt_resolver *r, const mt_recipe *p, int64_t matrices, mt_type type,
                        void (*make)(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out))
{
    char full[MAX_NAME];
    size_t bytes;
    snprintf(full, sizeof full, "%s.weight", r->name);
    mt_recipe *kept = mt_arena_push(&r->s->arena, sizeof *kept);
    const char *name = mt_arena_string(&r->s->arena, mt_str_of(full));
    if (!kept || !name)
        MT_FAIL(r->err, MOTE_ENOMEM, "%s: compressed weight %s: no memory", r->path, r->name);
    if (!mt_mul_ok((size_t)p->k, (size_t)p->n, &bytes) || !mt_mul_ok(bytes, sizeof(float), &bytes))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: compressed weight %s: too large", r->path, r->name);
    *kept = *p;
    *r->made++ = (mt_tensor){
        .name = name, .type = type, .n_dim = matrices > 1 ? 3 : 2, .ne = { p->k, p->n / matrices, matrices, 1 },
        .bytes = mt_row_bytes(type, p->k) * (size_t)p->n, .make = make, .recipe = kept,
    };
    return MOTE_OK;
}

/* Columns by group, in order inside each, where all groups but the last are full: then blocks hold
 * them.  Leaves p as it is where they do not. */
static mote_status sort_columns(mt_resolver *r, mt_recipe *p)
{
    const int64_t groups = parts_of(p->k, p->group);
    uint32_t *order = mt_arena_push_n(&r->s->arena, (size_t)p->k, sizeof *order);
    uint32_t *fill = mt_arena_push_n(&r->s->arena, (size_t)groups, sizeof *fill);
    mt_recipe *sorted = mt_arena_push(&r->s->arena, sizeof *sorted);
    if (!order || !fill || !sorted)
        MT_FAIL(r->err, MOTE_ENOMEM, "%s: compressed weight %s: no memory", r->path, r->name);
    for (int64_t i = 0; i < p->k; i++) {
        const int64_t g = mt_get32(p->index + 4 * i), at = g * p->group + fill[g]++;
        if (at >= p->k || at >= (g + 1) * p->group) return MOTE_OK;
        order[at] = (uint32_t)i;
    }
    *sorted = *p;
    sorted->index = NULL, sorted->order = order, sorted->tile = mt_tile_sorted;
    p->sorted_type = mt_packed_type(sorted);
    if (p->sorted_type != MT_F32) p->sorted = sorted;
    return MOTE_OK;
}

mote_status mt_part_done(mt_resolver *r, mt_recipe *p, int64_t matrices)
{
    if (p->index) MT_TRY(sort_columns(r, p));
    return mt_part_add(r, p, matrices, mt_packed_type(p), mt_packed_make);
}

const uint32_t *mt_packed_sorted(const mt_tensor *t, mt_tensor *out)
{
    const mt_recipe *p = t->make == mt_packed_make ? t->recipe : NULL;
    if (!p || !p->sorted) return NULL;
    *out = *t;
    out->type = p->sorted_type, out->recipe = p->sorted;
    out->bytes = mt_row_bytes(out->type, p->k) * (size_t)p->n;
    return p->sorted->order;
}

/* ---- which reader ------------------------------------------------------------------------------- */

static bool has_part(const mt_resolver *r, const char *suffix)
{
    char full[MAX_NAME];
    const int n = snprintf(full, sizeof full, "%s%s", r->name, suffix);
    return n > 0 && n < MAX_NAME && mt_source_tensor(r->s, full) != NULL;
}

typedef mote_status (*reader_fn)(mt_resolver *r, const mt_tensor *t);

/* AWQ packs the outputs, GPTQ the inputs: other tools write either under names of their own. */
static reader_fn reader_of_qweight(const mt_resolver *r, const mt_tensor *t)
{
    char full[MAX_NAME];
    snprintf(full, sizeof full, "%s.scales", r->name);
    const mt_tensor *scales = mt_source_tensor(r->s, full);
    const bool is_awq = mt_config_is(r->s, "quant_method", "awq") || (scales && scales->ne[0] / 8 == t->ne[0]);
    return is_awq ? mt_packed_awq : mt_packed_gptq;
}

/* The reader of "X.weight" stored in a type that no float model has; NULL: leave it. */
static reader_fn reader_of_weight(const mt_resolver *r, const mt_tensor *t)
{
    if (has_part(r, ".weight.absmax") || has_part(r, ".weight.quant_map")) return mt_packed_bnb4;
    if (mt_config_is(r->s, "quant_method", "bitnet") && has_part(r, ".weight_scale")) return mt_packed_bitnet;
    switch ((int)t->type) {
    case MT_U32: return mt_packed_mlx;
    case MT_I8: return has_part(r, ".SCB") || has_part(r, ".weight_scale") ? mt_packed_int8 : NULL;
    case MT_U8: return has_part(r, ".weight_scale") ? mt_packed_bitnet : NULL;
    case MT_F8_E4M3: case MT_F8_E5M2:
        return has_part(r, ".weight_scale") || has_part(r, ".weight_scale_inv") ? mt_packed_float8 : NULL;
    default: return NULL;
    }
}

/* Sets r->name in `room` where t is the tensor of a group that its reader starts from. */
static reader_fn reader_of(mt_resolver *r, const mt_tensor *t, char room[MAX_NAME])
{
    static const char *const suffix[] = { ".qweight", ".weight_packed", ".weight" };
    const size_t n = strlen(t->name);
    for (size_t i = 0; i < MT_COUNT(suffix); i++) {
        const size_t end = strlen(suffix[i]);
        if (n < end || n >= MAX_NAME || strcmp(t->name + n - end, suffix[i]) != 0) continue;
        memcpy(room, t->name, n - end);
        room[n - end] = 0;
        r->name = room;
        if (i == 0) return reader_of_qweight(r, t);
        return i == 1 ? mt_packed_words : reader_of_weight(r, t);
    }
    return NULL;
}

/* What would silently give another model: matrices that are rounded when they are used, and activations
 * that are divided by a scale of each channel. */
static mote_status check_extras(const mt_source *s, mote_error *err)
{
    static const char suffix[] = ".act.scales";
    if (mt_config_is(s, "quant_method", "bitnet") && mt_config_is(s, "quantization_mode", "online"))
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: quantization_mode: expected offline, found online: weights that are rounded "
                "while the model runs are not supported", mt_path_end(s->path));
    for (size_t i = 0; i < s->n_tensor; i++) {
        const size_t n = strlen(s->tensor[i].name), end = sizeof suffix - 1;
        if (n > end && strcmp(s->tensor[i].name + n - end, suffix) == 0)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: tensor %s: scaled activations of AWQ are not supported",
                    mt_path_end(s->path), s->tensor[i].name);
    }
    return MOTE_OK;
}

/* Schemes that are known by name and not read; their tensors would look like an incomplete model. */
static mote_status check_method(const mt_source *s, mote_error *err)
{
    static const char *const read[] = { "gptq", "awq", "bitsandbytes", "compressed-tensors", "fp8", "fbgemm_fp8",
                                        "bitnet", "mlx", "metal", "modelopt", "auto-round", "intel/auto-round" };
    const mt_meta *m = config_find(s, "quant_method");
    if (!m || m->type != MT_META_STRING) return MOTE_OK;
    for (size_t i = 0; i < MT_COUNT(read); i++)
        if (mt_str_is(m->value.s, read[i])) return MOTE_OK;
    MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: %s: compression by \"%.*s\" is not supported", mt_path_end(s->path), m->key,
            (int)MT_MIN(m->value.s.n, (size_t)40), m->value.s.p);
}

/* ---- the whole source --------------------------------------------------------------------------- */

static mote_status read_all(mt_resolver *r)
{
    char room[MAX_NAME];
    for (size_t i = 0; i < r->s->n_tensor; i++) {
        const mt_tensor *t = &r->s->tensor[i];
        const reader_fn reader = reader_of(r, t, room);
        if (!reader) continue;
        r->is_part[i] = true;
        MT_TRY(check_stored(r, t));
        MT_TRY(reader(r, t));
    }
    return MOTE_OK;
}

/* Weights take the places of their parts; the rest keeps its order. */
static mote_status replace_parts(mt_source *s, const bool *is_part, const mt_tensor *made, size_t n_made,
                                 mote_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_tensor; i++)
        if (!is_part[i]) s->tensor[n++] = s->tensor[i];
    memcpy(s->tensor + n, made, n_made * sizeof *made);     /* each has one part at least */
    s->n_tensor = n + n_made;
    return mt_source_index(s, err);
}

mote_status mt_packed_resolve(mt_source *s, mote_error *err)
{
    mt_resolver r = { .s = s, .err = err, .path = mt_path_end(s->path) };
    mt_arena scratch;
    char room[MAX_NAME];
    size_t n = 0;
    MT_TRY(check_method(s, err));
    MT_TRY(check_extras(s, err));
    for (size_t i = 0; i < s->n_tensor; i++) n += reader_of(&r, &s->tensor[i], room) != NULL;
    if (n == 0) return MOTE_OK;
    mt_arena_init(&scratch, s->arena.alloc, 64 << 10);
    r.is_part = mt_arena_push_n(&scratch, s->n_tensor, sizeof *r.is_part);
    mt_tensor *made = r.made = mt_arena_push_n(&scratch, n, sizeof *made);
    mote_status status = MOTE_OK;
    if (!r.is_part || !made)
        status = mt_fail(err, MOTE_ENOMEM, "%s: no memory for %zu compressed weights", r.path, n);
    if (status == MOTE_OK) status = read_all(&r);
    if (status == MOTE_OK) status = replace_parts(s, r.is_part, made, (size_t)(r.made - made), err);
    mt_arena_reset(&scratch);
    return status;
}
