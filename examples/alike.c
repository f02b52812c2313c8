/* SPDX-License-Identifier: MIT */
/* alike.c - how alike two texts are to a sentence encoder: the cosine of their vectors, both read in
 * one pass.
 *
 *   cc alike.c $(pkg-config --cflags --libs mote) -lm -o alike
 *   ./alike minilm.gguf "A cat sat on the mat" "There is a cat on the rug" */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mote.h>

enum { MOST = 512 };

static void must(mote_status st, const mote_error *err)
{
    if (st == MOTE_OK) return;
    fprintf(stderr, "alike: %s\n", err->text);
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: alike MODEL TEXT TEXT\n");
        return 2;
    }
    mote_error err;
    mote_model *model;
    mote_engine *engine;
    mote_session *session[2];
    mote_engine_opts o;
    mote_engine_opts_init(&o);
    o.n_session = 2;
    must(mote_model_open(&model, argv[1], NULL, &err), &err);
    must(mote_engine_open(&engine, model, &o, &err), &err);

    mote_token tokens[2][MOST];
    mote_step step[2];
    for (int i = 0; i < 2; i++) {
        size_t n;
        const char *text = argv[2 + i];
        must(mote_session_open(&session[i], engine, &err), &err);
        must(mote_tokenize(model, text, strlen(text), MOTE_TEXT_BOS | MOTE_TEXT_EOS, tokens[i], MOST, &n, &err), &err);
        step[i] = (mote_step){session[i], tokens[i], n, MOTE_WANT_POOLED};
    }
    must(mote_encode_many(step, NULL, 2, &err), &err);

    size_t cols;
    const float *a = mote_output(session[0], NULL, &cols), *b = mote_output(session[1], NULL, NULL);
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < cols; i++) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
    printf("%.3f\n", ab / sqrt(aa * bb));

    for (int i = 0; i < 2; i++) mote_session_close(session[i]);
    mote_engine_close(engine);
    mote_model_close(model);
    return 0;
}
