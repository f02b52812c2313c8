/* SPDX-License-Identifier: MIT */
/* hf_rope.c - Llama 3's stretched rotary waves in their two written forms: four numbers in a config.json,
 * a tensor of divisors (rope_freqs) in a GGUF file.
 *
 * From numbers to divisors is arithmetic.  The way back looks for the numbers that give these divisors,
 * among those that models were published with. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/build.h"
#include "model/hf.h"

#define PI 3.14159265358979323846

typedef struct waves { double theta, factor, low, high, context; int n_pair; } waves;

static double divisor(const waves *w, int pair)
{
    const double length = 2 * PI * pow(w->theta, (double)pair / w->n_pair);
    if (length < w->context / w->high) return 1;
    if (length > w->context / w->low) return w->factor;
    const double t = (w->context / length - w->low) / (w->high - w->low);
    return 1 / ((1 - t) / w->factor + t);
}

static mt_meta *find(mt_source *s, const char *family, const char *key)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", family, key);
    return (mt_meta *)(uintptr_t)mt_source_meta(s, name);
}

static double number(mt_source *s, const char *family, const char *key, double absent)
{
    const mt_meta *m = find(s, family, key);
    if (!m) return absent;
    return m->type == MT_META_F32 || m->type == MT_META_F64 ? m->value.f : (double)m->value.u;
}

/* Removes "FAMILY.rope.scaling.*". */
static void drop_scaling(mt_source *s, const char *family)
{
    char prefix[64];
    size_t n = 0;
    snprintf(prefix, sizeof prefix, "%s.rope.scaling.", family);
    for (size_t i = 0; i < s->n_meta; i++)
        if (strncmp(s->meta[i].key, prefix, strlen(prefix)) != 0) s->meta[n++] = s->meta[i];
    s->n_meta = n;
}

mote_status mt_hf_rope_to_divisors(mt_source *s, mote_error *err)
{
    char family[32] = "";
    mt_str name = { "", 0 };
    mt_meta_str(s, "general.architecture", &name);
    snprintf(family, sizeof family, "%.*s", (int)MT_MIN(name.n, 30), name.p);
    const mt_meta *type = find(s, family, "rope.scaling.type");
    if (!type || type->type != MT_META_STRING || !mt_str_is(type->value.s, "llama3")) return MOTE_OK;
    waves w = { .theta = number(s, family, "rope.freq_base", 10000), .factor = number(s, family, "rope.scaling.factor", 1),
                .low = number(s, family, "rope.scaling.low_freq_factor", 1),
                .high = number(s, family, "rope.scaling.high_freq_factor", 4),
                .context = number(s, family, "rope.scaling.original_context_length", 8192) };
    const double head = number(s, family, "attention.key_length",
                               number(s, family, "embedding_length", 0) / number(s, family, "attention.head_count", 1));
    w.n_pair = (int)(number(s, family, "rope.dimension_count", head) / 2);
    if (w.n_pair < 1 || w.n_pair > 512)
        MT_FAIL(err, MOTE_EFORMAT, "%s: %d rotary pairs, expected 1 to 512", mt_path_end(s->path), w.n_pair);
    mt_tensor *list = mt_arena_push_n(&s->arena, s->n_tensor + 1, sizeof *list);
    float *d = mt_arena_push_n(&s->arena, (size_t)w.n_pair, sizeof *d);
    if (!list || !d) MT_FAIL(err, MOTE_ENOMEM, "no memory for %d rotary divisors", w.n_pair);
    for (int i = 0; i < w.n_pair; i++) d[i] = (float)divisor(&w, i);
    memcpy(list, s->tensor, s->n_tensor * sizeof *list);
    list[s->n_tensor] = (mt_tensor){ .name = "rope_freqs.weight", .type = MT_F32, .n_dim = 1, .ne = { w.n_pair, 1, 1, 1 },
                                     .data = (const uint8_t *)d, .bytes = (size_t)w.n_pair * sizeof *d };
    s->tensor = list;
    s->n_tensor++;
    drop_scaling(s, family);
    return mt_source_index(s, err);
}

mote_status mt_hf_rope_from_divisors(mt_source *s, const char *family, mt_hf_scaling *out, mote_error *err)
{
    static const double contexts[] = { 8192, 64, 2048, 4096, 16384, 32768 }, lows[] = { 1, 2 }, highs[] = { 4, 8 };
    const mt_tensor *t = mt_source_tensor(s, "rope_freqs.weight");
    float d[512];
    out->is_set = false;
    if (!t) return MOTE_OK;
    if (t->type != MT_F32 || !t->data || t->ne[0] < 1 || t->ne[0] > 512)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: tensor %s cannot be written to config.json", mt_path_end(s->path), t->name);
    memcpy(d, t->data, (size_t)t->ne[0] * sizeof *d);
    waves w = { .theta = number(s, family, "rope.freq_base", 10000), .factor = (double)d[t->ne[0] - 1],
                .n_pair = (int)t->ne[0] };
    for (size_t c = 0; c < MT_COUNT(contexts); c++)
        for (size_t l = 0; l < MT_COUNT(lows); l++)
            for (size_t h = 0; h < MT_COUNT(highs); h++) {
                bool fits = true;
                w.context = contexts[c], w.low = lows[l], w.high = highs[h];
                for (int i = 0; fits && i < w.n_pair; i++)
                    fits = fabs(divisor(&w, i) - (double)d[i]) <= 1e-5 * fabs((double)d[i]);
                if (!fits) continue;
                *out = (mt_hf_scaling){ true, w.factor, w.low, w.high, w.context };
                return MOTE_OK;
            }
    MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: the divisors in %s are not Llama 3's for any known setting", mt_path_end(s->path),
            t->name);
}
