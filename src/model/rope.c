/* SPDX-License-Identifier: MIT */
/* rope.c - rotary positions as one table: the angle per position of each pair, and a factor.
 *
 * Every scaling that is known changes nothing but these inverse frequencies, so no executor
 * knows of scalings.  Formulas are in double, as their papers and reference codes have them. */
#include "model/build.h"

#include <math.h>

#define PI 3.14159265358979323846

/* Llama 3: short waves stay, long ones are stretched, those between are blended. */
static double scale_llama3(const mt_spec *s, double f)
{
    const double wave = 2 * PI / f;
    if (wave < s->rope_orig_ctx / s->rope_high) return f;
    if (wave > s->rope_orig_ctx / s->rope_low) return f / s->rope_factor;
    const double t = (s->rope_orig_ctx / wave - s->rope_low) / (s->rope_high - s->rope_low);
    return (1 - t) * f / s->rope_factor + t * f;
}

/* YaRN: the pair that turns `turns` times within the trained context, as a real number. */
static double yarn_pair(const mt_spec *s, double turns)
{
    return s->rope_dim * log(s->rope_orig_ctx / (turns * 2 * PI)) / (2 * log(s->rope_theta));
}

/* YaRN: pairs that turn often stay, pairs that turn rarely are stretched, a ramp between. */
static double scale_yarn(const mt_spec *s, double f, int pair)
{
    const double low = fmax(floor(yarn_pair(s, s->rope_beta_fast)), 0);
    const double high = fmin(ceil(yarn_pair(s, s->rope_beta_slow)), s->rope_dim - 1);
    const double ramp = fmin(fmax((pair - low) / fmax(high - low, 0.001), 0), 1);
    return f / s->rope_factor * ramp + f * (1 - ramp);
}

static double scaled(const mt_spec *s, double f, int pair)
{
    switch (s->rope_scaling) {
    case MT_SCALE_NONE: break;
    case MT_SCALE_LINEAR: return f / s->rope_factor;
    case MT_SCALE_LLAMA3: return scale_llama3(s, f);
    case MT_SCALE_YARN: return scale_yarn(s, f, pair);
    }
    return f;
}

mote_status mt_rope_build(mt_net *net, const mt_tensor *divisors, mote_error *err)
{
    const mt_spec *s = &net->spec;
    const int n = s->rope_dim / 2;
    net->rope_freq = mt_arena_push_n(net->arena, (size_t)n, sizeof *net->rope_freq);
    float *d = mt_arena_push_n(net->arena, (size_t)n, sizeof *d);
    if (!net->rope_freq || !d) MT_FAIL(err, MOTE_ENOMEM, "no memory for %d rotary pairs", n);
    net->n_rope = n;
    for (int i = 0; i < n; i++) d[i] = 1;
    if (divisors) mt_decode_row(divisors->type, mt_tensor_rows(divisors, 0, 1, (uint8_t *)d), d, n);
    for (int i = 0; i < n; i++) {
        if (!(d[i] > 0 && d[i] < 1e9f))
            MT_FAIL(err, MOTE_EFORMAT,
                    "%s: tensor %s has the value %g at %d, expected 0 to 1e9",
                    mt_path_end(net->source->path), divisors->name, (double)d[i], i);
        net->rope_freq[i] =
            scaled(s, pow(s->rope_theta, -2.0 * i / s->rope_dim), i) / (double)d[i];
    }
    if (s->rope_scaling == MT_SCALE_YARN)
        net->rope_mscale = s->rope_attn_factor * (1 + 0.1 * log(fmax(s->rope_factor, 1)));
    return MOTE_OK;
}
