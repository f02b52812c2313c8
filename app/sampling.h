/* SPDX-License-Identifier: MIT */
/* sampling.h - the sampling options of a run, on top of what the model recommends. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include "app.h"

typedef struct sampling {
    mote_sampler_opts o;
    mote_bias bias[ARGS_LIST];
    const char *breakers[ARGS_LIST];
} sampling;
/* name: the catalogue may know what the model's card recommends.  o points into *s and a: both must outlive the sampler made from it. */
int  sampling_read(sampling *s, const mote_model *m, const char *name, const args *a);
bool sampling_is(opt_id id);             /* may /set change it? */
void sampling_print(const sampling *s);  /* on stderr */

#endif
