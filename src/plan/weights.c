/* SPDX-License-Identifier: MIT */
/* weights.c - every weight of a net in the layout its kernels read, exactly once.
 *
 * Matrices become panels of 32 rows (kernel.h); vectors become f32.  A tensor that serves two roles
 * (a tied head) is packed once.  All of it lies in one range, which shows either anonymous pages that
 * were packed from the source - while a tensor is packed its source pages are given back, so the peak
 * stays near one copy - or the side file that an earlier open left (side.h). */
#include <string.h>

#include "file/packed.h"
#include "plan/plan.h"
#include "plan/side.h"

static bool is_vector(const mt_tensor *t) { return mt_tensor_count(t) == t->ne[0]; }

/* Relative-bias tables and other small matrices that ops read as a whole are kept as vectors. */
static bool is_table(const mt_weight *w)
{
    switch (w->role) {
    case MT_W_ATTN_REL_BIAS: return true;
    case MT_W_HEAD: case MT_W_FFN_ROUTER: return w->is_bias;     /* matrices, also of one row: one label, one expert */
    default: return is_vector(w->tensor);
    }
}

static bool is_gathered(mt_role role) { return role == MT_W_TOK_EMBD || role == MT_W_POS_EMBD || role == MT_W_TYPE_EMBD; }

/* What is packed of weight i: its tensor; or, in `room`, that with columns in another order (a compressed
 * checkpoint), if only products read it. */
static const mt_tensor *tensor_of(const mt_net *net, int i, mt_tensor *room, const uint32_t **order)
{
    const mt_tensor *t = net->weight[i].tensor;
    *order = is_table(&net->weight[i]) ? NULL : mt_packed_sorted(t, room);
    for (int j = 0; *order && j < net->n_weight; j++)
        if (net->weight[j].tensor == t && is_gathered(net->weight[j].role)) *order = NULL;
    return *order ? room : t;
}

static mote_status size_item(const mt_net *net, int i, mt_packed *item, size_t *bytes, mote_error *err)
{
    const mt_weight *w = &net->weight[i];
    mt_tensor room;
    const mt_tensor *t = tensor_of(net, i, &room, &item->order);
    const int64_t n = mt_tensor_count(t);
    if (is_table(w)) {
        if (!mt_type_of(t->type)->can_decode)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "tensor %s: cannot read type %s", t->name, mt_type_of(t->type)->name);
        *bytes = (size_t)n * sizeof(float);
        item->k = n, item->n_out = 1, item->n_matrix = 1;
        return MOTE_OK;
    }
    if (!mt_layout_for(t->type, &item->layout))
        MT_FAIL(err, MOTE_EUNSUPPORTED, "tensor %s: weights of type %s cannot run yet", t->name,
                mt_type_of(t->type)->name);
    item->k = t->ne[0], item->n_out = t->ne[1], item->n_matrix = t->ne[2];
    item->matrix_bytes = mt_packed_bytes(item->layout, item->n_out, item->k);
    if (!mt_mul_ok(item->matrix_bytes, (size_t)item->n_matrix, bytes))
        MT_FAIL(err, MOTE_EFORMAT, "tensor %s: too large to pack", t->name);
    return MOTE_OK;
}

typedef struct pack_job {
    const mt_tensor *tensor;
    const mt_packed *item;
    uint8_t *dst, *made;             /* made: room for a panel's rows, by thread */
    size_t made_bytes;
} pack_job;

/* Panels of all matrices of a tensor, dealt to threads in contiguous runs. */
static void pack_panels(void *arg, int ith, int nth)
{
    const pack_job *job = arg;
    const mt_packed *it = job->item;
    const size_t row = mt_row_bytes(job->tensor->type, it->k);
    const size_t panel = mt_panel_bytes(it->layout, it->k);
    const int64_t per = (it->n_out + MT_PANEL - 1) / MT_PANEL, total = per * it->n_matrix;
    const int64_t from = total * ith / nth, to = total * (ith + 1) / nth;
    for (int64_t i = from; i < to; i++) {
        const int64_t matrix = i / per, first = i % per * MT_PANEL;
        const int64_t n = MT_MIN(MT_PANEL, it->n_out - first);
        const uint8_t *src = mt_tensor_rows(job->tensor, matrix * it->n_out + first, n,
                                            job->made + (size_t)ith * job->made_bytes);
        const uint8_t *rows[MT_PANEL];
        for (int64_t r = 0; r < MT_PANEL; r++) rows[r] = r < n ? src + (size_t)r * row : NULL;
        mt_pack_panel(it->layout, rows, it->k, job->dst + (size_t)i * panel);
    }
}

static void pack_item(const mt_weights *w, int i)
{
    const mt_source *source = w->net->source;
    const mt_packed *item = &w->item[i];
    const uint32_t *order;
    mt_tensor room;
    const mt_tensor *t = tensor_of(w->net, i, &room, &order);
    uint8_t *dst = w->pages + w->row[i].offset;
    if (item->vec) {
        const int64_t n = mt_tensor_count(t);
        mt_decode_row(t->type, mt_tensor_rows(t, 0, n / t->ne[0], w->made), (float *)(void *)dst, n);
    } else {
        pack_job job = {t, item, dst, w->made, w->made_bytes};
        mt_pool_run(w->pool, pack_panels, &job);
    }
    mt_source_forget(source, t->data, t->bytes);
}

static size_t room_bytes(const mt_weights *w) { return w->made_bytes * (size_t)mt_pool_size(w->pool); }

static void pack_all(void *arg)
{
    const mt_weights *w = arg;
    for (int i = 0; i < w->n_item; i++)
        if (w->row[i].bytes) pack_item(w, i);
    if (w->made) mt_pages_forget(w->made, room_bytes(w));
}

/* The first weight that is bound to the same tensor and kept in the same way. */
static int twin_of(const mt_net *net, int i)
{
    for (int j = 0; j < i; j++)
        if (net->weight[j].tensor == net->weight[i].tensor && is_table(&net->weight[j]) == is_table(&net->weight[i]))
            return j;
    return i;
}

/* For tensors whose rows are made: room for a panel of the longest, or a whole vector. */
static mote_status make_room(mt_weights *w, mote_error *err)
{
    for (int i = 0; i < w->n_item; i++) {
        const mt_tensor *t = w->net->weight[i].tensor;
        if (t->data) continue;
        const int64_t n = is_table(&w->net->weight[i]) ? mt_tensor_count(t) / t->ne[0] : MT_PANEL;
        w->made_bytes = MT_MAX(w->made_bytes, mt_pad((size_t)n * mt_row_bytes(t->type, t->ne[0]), MT_ALIGN));
    }
    if (w->made_bytes == 0) return MOTE_OK;
    w->made = mt_pages_reserve(room_bytes(w));
    if (!w->made) MT_FAIL(err, MOTE_ENOMEM, "weights: no memory to make rows of %zu bytes", w->made_bytes);
    return MOTE_OK;
}

/* Places of all items in the range, and their pointers into it once it stands. */
static mote_status lay_out(mt_weights *w, mote_error *err)
{
    size_t at = 0;
    for (int i = 0; i < w->n_item; i++) {
        mt_packed *item = &w->item[i];
        size_t bytes = 0, room = 0;
        if (twin_of(w->net, i) != i) continue;
        MT_TRY(size_item(w->net, i, item, &bytes, err));
        const bool is_vec = item->matrix_bytes == 0;
        w->row[i] = (mt_side_row){ at, bytes, (uint64_t)item->k, (uint64_t)item->n_out, (uint64_t)item->n_matrix,
                                   is_vec ? UINT32_MAX : (uint32_t)item->layout, 0 };
        /* 64 readable bytes behind every item serve kernels that load whole vectors */
        if (!mt_add_ok(bytes, MT_ALIGN, &room) || !mt_pad_ok(room, MT_SIDE_ALIGN, &room) || !mt_add_ok(at, room, &at))
            MT_FAIL(err, MOTE_EFORMAT, "weights: the packed size overflows");
    }
    w->bytes = at;
    MT_TRY(make_room(w, err));
    w->pages = mt_pages_reserve(MT_MAX(w->bytes, 1));
    if (!w->pages) MT_FAIL(err, MOTE_ENOMEM, "weights: no memory for %zu packed bytes", w->bytes);
    for (int i = 0; i < w->n_item; i++) {
        mt_packed *item = &w->item[i];
        const uint8_t *p = w->pages + w->row[i].offset;
        const int twin = twin_of(w->net, i);
        if (twin != i) *item = w->item[twin];
        else if (item->matrix_bytes == 0) item->vec = (const float *)(const void *)p;
        else item->w = p;
    }
    return MOTE_OK;
}

/* ---- the side file ------------------------------------------------------------------------------ */

/* A sum over what packing makes of a made-up panel, for every layout in use: a side file made by
 * other code does not fit this one, without anybody having to remember a number. */
static bool fingerprint(const mt_weights *w, uint32_t *out)
{
    enum { K = 512, MAX_ROW = K * 4 };
    uint8_t *const rows = mt_get(w->alloc, 2 * MT_PANEL * MAX_ROW, MT_ALIGN), *const panel = rows + MT_PANEL * MAX_ROW;
    bool used[MT_LAY_COUNT] = { false };
    const uint8_t *row[MT_PANEL];
    uint32_t random = 1;
    if (!rows) return false;
    for (int i = 0; i < MT_PANEL * MAX_ROW; i++) rows[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
    for (int i = 0; i < w->n_item; i++)
        if (w->item[i].w) used[w->item[i].layout] = true;
    *out = mt_crc32c(0, &random, sizeof random);        /* the machine's byte order */
    for (int lay = 0; lay < MT_LAY_COUNT; lay++) {
        const mt_layout_info *info = &mt_layouts[lay];
        if (!used[lay]) continue;
        for (int r = 0; r < MT_PANEL; r++) row[r] = rows + (size_t)r * mt_row_bytes(info->type, K);
        mt_pack_panel((mt_layout)lay, row, K, panel);
        *out = mt_crc32c(*out, info->name, strlen(info->name));
        *out = mt_crc32c(*out, panel, mt_panel_bytes((mt_layout)lay, K));
    }
    mt_put(w->alloc, rows, 2 * MT_PANEL * MAX_ROW);
    return true;
}

/* Where the format keeps its tensors' names and shapes in front of the data, samples begin behind them. */
static void list_parts(const mt_source *s, mt_side_part *out)
{
    for (size_t i = 0; i < s->n_shard; i++) {
        const mt_shard *x = &s->shard[i];
        out[i] = (mt_side_part){ x->path, x->map.size, x->map.data + x->head_at, x->head_bytes,
                                 x->head_at ? 0 : x->head_bytes };
    }
    if (s->n_shard > 0) return;
    const size_t head = s->map.size - s->data_bytes;
    out[0] = (mt_side_part){ s->path, s->map.size, s->map.data, head, head };
}

static mt_side *open_side(const mt_weights *w, const char *cache_dir)
{
    const mt_source *source = w->net->source;
    const size_t n = MT_MAX(source->n_shard, 1);
    mt_side_opts o = {
        .folder = cache_dir, .source = source->path, .n_part = n, .settings = mt_source_file(source, "config.json"),
        .row = w->row, .n_row = (size_t)w->n_item, .pages = w->pages, .bytes = w->bytes,
    };
    if (!cache_dir || !w->bytes || !fingerprint(w, &o.layouts)) return NULL;
    mt_side_part *part = mt_get(w->alloc, n * sizeof *part, MT_ALIGN);      /* at most as many as are mapped */
    if (!part) return NULL;
    list_parts(source, part);
    o.part = part;
    mt_side *side = mt_side_open(&o, w->alloc);
    mt_put(w->alloc, part, n * sizeof *part);
    return side;
}

mote_status mt_weights_prove(const mt_weights *w, mote_error *err)
{
    return w->side ? mt_side_prove(w->side, w->pool, pack_all, (void *)(uintptr_t)w, err) : MOTE_OK;
}

/* ---- open, close -------------------------------------------------------------------------------- */

static size_t block_bytes(int n) { return sizeof(mt_weights) + (size_t)n * (sizeof(mt_packed) + sizeof(mt_side_row)); }

mote_status mt_weights_open(mt_weights **out, const mt_net *net, mt_pool *pool, const char *cache_dir,
                            bool is_dry, const mote_alloc *alloc, mote_error *err)
{
    const size_t bytes = block_bytes(net->n_weight);
    mt_weights *w = mt_get(alloc, bytes, MT_ALIGN);
    if (!w) MT_FAIL(err, MOTE_ENOMEM, "weights: no memory for %d entries", net->n_weight);
    memset(w, 0, bytes);
    w->alloc = alloc, w->net = net, w->pool = pool, w->n_item = net->n_weight;
    w->item = (mt_packed *)(w + 1);
    w->row = (mt_side_row *)(w->item + w->n_item);
    const mote_status st = lay_out(w, err);
    if (st != MOTE_OK) {
        mt_weights_close(w);
        return st;
    }
    *out = w;
    w->is_packed = !is_dry;
    if (is_dry) return MOTE_OK;
    w->side = open_side(w, cache_dir);
    w->is_mapped = w->side && mt_side_map(w->side);
    if (!w->is_mapped) {
        mt_pages_huge(w->pages, w->bytes);
        pack_all(w);
        if (w->side) mt_side_write(w->side);
    }
    return MOTE_OK;
}

void mt_weights_close(mt_weights *w)
{
    if (!w) return;
    mt_side_close(w->side);
    mt_pages_release(w->pages, MT_MAX(w->bytes, 1));
    mt_pages_release(w->made, room_bytes(w));
    mt_put(w->alloc, w, block_bytes(w->n_item));
}
