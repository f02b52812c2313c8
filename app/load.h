/* SPDX-License-Identifier: MIT */
/* load.h - from a MODEL argument to something that runs. */
#ifndef LOAD_H
#define LOAD_H

#include "app.h"

typedef struct loaded {
    char name[512], path[APP_PATH];
    mote_model *m;
    mote_engine *e;
    mote_session *s;
    mote_model_info info;
    int n_ctx;
    int n_session;              /* that the engine is opened for; 0: one */
    const char *kv;             /* how keys and values are kept unless --kv says; NULL: the engine's choice */
    double seconds;             /* until the session stood */
} loaded;

/* The file of a MODEL (NULL: the default one); pulls it when it is not here and may_pull. */
int  load_locate(const args *a, const char *model, bool may_pull, char path[APP_PATH], char name[512]);
int  load_model(loaded *l, const args *a, const char *model, bool may_pull, bool vocab_only);
/* Opens for looking only: shapes and sizes without the weights' values, or, of a family that cannot be
 * run, metadata and tensors (a note says so). */
int  load_describe(loaded *l, const args *a, const char *model);
/* Bytes of a model's file, or of the files in its folder that hold weights. */
uint64_t load_bytes(const char *path);
/* n_ctx 0: the engine's default.  Refuses what does not fit, with a context that would. */
int  load_engine(loaded *l, const args *a, int n_ctx, int n_batch);
void load_say(const loaded *l);          /* "loaded    0.4 s   4096 of 8192 context ..." */
void load_close(loaded *l);
/* Text to tokens, in a fresh array (free it). */
int  load_tokens(const loaded *l, const char *p, size_t n, unsigned flags, mote_token **out, size_t *count);

#endif
