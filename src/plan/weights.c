/* SPDX-License-Identifier: MIT */
/* weights.c - every weight of a net in the layout its kernels read, exactly once.
 *
 * Matrices become panels of 32 rows (kernel.h); vectors become f32.  A tensor that serves two roles
 * (a tied head) is packed once.  All of it lies in one anonymous range; while a tensor is packed its
 * source pages are given back, so the peak stays near one copy. */
#include <string.h>

#include "plan/plan.h"

/* How many of a tensor's rows make one packed item, and where the item starts in the range. */
typedef struct place { size_t offset; } place;

static bool is_vector(const mt_tensor *t) { return t->n_dim <= 1 || (t->n_dim == 2 && t->ne[1] == 1); }

/* Relative-bias tables and other small matrices that ops read as a whole are kept as vectors. */
static bool is_table(const mt_weight *w)
{
    switch (w->role) {
    case MT_W_ATTN_REL_BIAS: return true;
    default: return is_vector(w->tensor);
    }
}

static mote_status size_item(const mt_weight *w, mt_packed *item, size_t *bytes, mote_error *err)
{
    const mt_tensor *t = w->tensor;
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
    uint8_t *dst;
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
        const uint8_t *src = job->tensor->data + (size_t)(matrix * it->n_out) * row;
        const uint8_t *rows[MT_PANEL];
        for (int64_t r = 0; r < MT_PANEL; r++)
            rows[r] = first + r < it->n_out ? src + (size_t)(first + r) * row : NULL;
        mt_pack_panel(it->layout, rows, it->k, job->dst + (size_t)i * panel);
    }
}

static void pack_item(const mt_net *net, const mt_weight *w, mt_packed *item, uint8_t *dst, mt_pool *pool)
{
    const mt_tensor *t = w->tensor;
    if (item->matrix_bytes == 0) {
        mt_decode_row(t->type, t->data, (float *)(void *)dst, mt_tensor_count(t));
        item->vec = (const float *)(const void *)dst;
    } else {
        pack_job job = {t, item, dst};
        mt_pool_run(pool, pack_panels, &job);
        item->w = dst;
    }
    if (t->data >= net->source->map.data && t->data < net->source->map.data + net->source->map.size)
        mt_map_forget(&net->source->map, (size_t)(t->data - net->source->map.data), t->bytes);
}

/* The first weight that is bound to the same tensor and kept in the same way. */
static int twin_of(const mt_net *net, int i)
{
    for (int j = 0; j < i; j++)
        if (net->weight[j].tensor == net->weight[i].tensor && is_table(&net->weight[j]) == is_table(&net->weight[i]))
            return j;
    return i;
}

static mote_status lay_out(mt_weights *w, const mt_net *net, place *places, mote_error *err)
{
    size_t at = 0;
    for (int i = 0; i < w->n_item; i++) {
        const int twin = twin_of(net, i);
        if (twin != i) continue;
        size_t bytes = 0;
        MT_TRY(size_item(&net->weight[i], &w->item[i], &bytes, err));
        places[i].offset = at;
        /* 64 readable bytes behind every item serve kernels that load whole vectors */
        if (!mt_add_ok(bytes, MT_ALIGN, &bytes) || !mt_pad_ok(bytes, MT_ALIGN, &bytes) || !mt_add_ok(at, bytes, &at))
            MT_FAIL(err, MOTE_EFORMAT, "weights: the packed size overflows");
    }
    w->bytes = at;
    return MOTE_OK;
}

mote_status mt_weights_open(mt_weights **out, const mt_net *net, mt_pool *pool,
                            const mote_alloc *alloc, mote_error *err)
{
    const size_t n = (size_t)net->n_weight;
    const size_t bytes = sizeof(mt_weights) + n * sizeof(mt_packed);
    mt_weights *w = mt_get(alloc, bytes, MT_ALIGN);
    place *places = mt_get(alloc, n * sizeof *places, MT_ALIGN);
    mote_status st = MOTE_OK;
    if (!w || !places) {
        st = mt_fail(err, MOTE_ENOMEM, "weights: no memory for %d entries", net->n_weight);
        goto fail;
    }
    memset(w, 0, bytes);
    w->alloc = alloc, w->n_item = net->n_weight, w->item = (mt_packed *)(w + 1);
    st = lay_out(w, net, places, err);
    if (st != MOTE_OK) goto fail;
    w->pages = mt_pages_reserve(MT_MAX(w->bytes, 1));
    if (!w->pages) {
        st = mt_fail(err, MOTE_ENOMEM, "weights: no memory for %zu packed bytes", w->bytes);
        goto fail;
    }
    mt_pages_huge(w->pages, w->bytes);
    for (int i = 0; i < w->n_item; i++) {
        const int twin = twin_of(net, i);
        if (twin != i) w->item[i] = w->item[twin];
        else pack_item(net, &net->weight[i], &w->item[i], w->pages + places[i].offset, pool);
    }
    mt_put(alloc, places, n * sizeof *places);
    *out = w;
    return MOTE_OK;
fail:
    if (places) mt_put(alloc, places, n * sizeof *places);
    if (w) mt_put(alloc, w, bytes);
    return st;
}

void mt_weights_close(mt_weights *w)
{
    if (!w) return;
    mt_pages_release(w->pages, MT_MAX(w->bytes, 1));
    mt_put(w->alloc, w, sizeof *w + (size_t)w->n_item * sizeof(mt_packed));
}
