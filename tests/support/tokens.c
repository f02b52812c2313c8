/* SPDX-License-Identifier: MIT */
/* tokens.c - a tokenizer.json behind four plain calls, for tests/conform/tokenizer_ids.py: the public
 * API opens whole models only.  Errors are copied to err, 256 bytes. */
#include <string.h>

#include "text/text.h"

void *tokens_open(const char *json, size_t n, char *err);
long  tokens_encode(const void *t, const char *p, size_t n, unsigned flags, int32_t *id, mote_span *span, size_t cap,
                    char *err);
long  tokens_decode(const void *t, const int32_t *id, size_t n, unsigned flags, char *out, size_t cap, char *err);
void  tokens_close(void *t);

static long fails(const mote_error *e, char *err)
{
    memcpy(err, e->text, sizeof e->text);
    return -(long)e->code;
}

void *tokens_open(const char *json, size_t n, char *err)
{
    mt_tokenizer *t;
    mote_error e;
    const mt_tokenizer_files f = { .tokenizer = { json, n } };
    if (mt_tokenizer_open_json(&t, &f, NULL, &e) == MOTE_OK) return t;
    fails(&e, err);
    return NULL;
}

long tokens_encode(const void *t, const char *p, size_t n, unsigned flags, int32_t *id, mote_span *span, size_t cap,
                   char *err)
{
    mote_error e;
    size_t count;
    const mt_segment s = { { p, n }, (flags & MOTE_TEXT_SPECIAL) != 0 };
    const mote_status st = mt_tokenizer_encode_spans(t, &s, 1, flags, id, span, cap, &count, &e);
    return st == MOTE_OK ? (long)count : fails(&e, err);
}

long tokens_decode(const void *t, const int32_t *id, size_t n, unsigned flags, char *out, size_t cap, char *err)
{
    mote_error e;
    mt_buf b;
    mt_buf_init(&b, NULL, cap);
    const mote_status st = mt_tokenizer_decode(t, id, n, flags, &b, &e);
    const long count = st == MOTE_OK ? (long)b.n : fails(&e, err);
    if (st == MOTE_OK && b.n) memcpy(out, b.p, b.n);
    mt_buf_free(&b);
    return count;
}

void tokens_close(void *t) { mt_tokenizer_close(t); }
