/* SPDX-License-Identifier: MIT */
/* stream.c - bytes into a draft, and a tensor's rows on their way there: read, made or converted.
 *
 * The first failure sticks and everything behind it does nothing, so that a writer is a list of what
 * it puts, and asks once.  Without room a stream only counts: the size of a header is what writing it
 * would give. */
#include "file/stream.h"

#include <stdio.h>
#include <string.h>

enum { BUFFER = 1 << 20, PIECE = 4096, ROWS = 4 << 20 };   /* bytes, values, bytes */
static const size_t reserve = (size_t)16 << 20;            /* left free on the disk */

mote_status mt_stream_open(mt_stream *s, mt_arena *a, const char *path, size_t bytes, const mt_write_opts *o,
                           mote_error *err)
{
    const size_t n = strlen(path) + sizeof ".tmp";
    char *temp = mt_arena_push(a, n);
    mote_error why = { MOTE_OK, "" };
    *s = (mt_stream){ .alloc = a->alloc, .o = o, .draft = { -1, NULL, NULL }, .path = path };
    s->room = mt_get(s->alloc, BUFFER, MT_ALIGN);
    if (!temp || !s->room) {
        mt_stream_close(s);
        MT_FAIL(err, MOTE_ENOMEM, "%s: no memory to write it", mt_path_end(path));
    }
    snprintf(temp, n, "%s.tmp", path);
    const mote_status st = mt_draft_open_shared(&s->draft, path, temp, bytes, reserve, &why);
    if (st == MOTE_OK) return MOTE_OK;
    mt_stream_close(s);
    /* nobody has cancelled this one */
    MT_FAIL(err, st == MOTE_ECANCELLED ? MOTE_EIO : st, "%s", why.text);
}

void mt_stream_close(mt_stream *s)
{
    mt_put(s->alloc, s->room, BUFFER);
    s->room = NULL;
    mt_draft_close(&s->draft);
}

/* The bytes in the buffer, which end at s->at. */
static void flush(mt_stream *s)
{
    if (s->status == MOTE_OK) s->status = mt_draft_write(&s->draft, s->at - s->n, s->room, s->n, &s->why);
    s->n = 0;
}

void mt_stream_put(mt_stream *s, const void *p, size_t n)
{
    if (s->status != MOTE_OK || n == 0) return;
    if (s->room && n > BUFFER - s->n) flush(s);
    if (s->room && n <= BUFFER) {
        memcpy(s->room + s->n, p, n);
        s->n += n;
    } else if (s->room && s->status == MOTE_OK) {
        s->status = mt_draft_write(&s->draft, s->at, p, n, &s->why);
    }
    if (!mt_add_ok(s->at, n, &s->at)) s->status = mt_fail(&s->why, MOTE_EFULL, "the file would be too large");
}

void mt_stream_number(mt_stream *s, uint64_t value, size_t width)
{
    uint8_t byte[8];
    for (size_t i = 0; i < width; i++) byte[i] = (uint8_t)(value >> (8 * i));
    mt_stream_put(s, byte, width);
}

void mt_stream_pad(mt_stream *s, size_t align)
{
    static const uint8_t zeros[64];
    for (size_t left = (align - s->at % align) % align; left && s->status == MOTE_OK;) {
        const size_t n = MT_MIN(left, sizeof zeros);
        mt_stream_put(s, zeros, n);
        left -= n;
    }
}

/* ---- tensors ------------------------------------------------------------------ */

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* n values, little-endian; returns bytes. */
static size_t encode(mt_type type, const float *value, size_t n, uint8_t *out)
{
    const size_t width = type == MT_F32 ? 4 : 2;
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = type == MT_F32    ? bits_of(value[i])
                              : type == MT_F16 ? mt_f32_to_f16(value[i])
                                               : mt_f32_to_bf16(value[i]);
        for (size_t k = 0; k < width; k++) out[i * width + k] = (uint8_t)(bits >> (8 * k));
    }
    return n * width;
}

static void convert(mt_stream *s, mt_type to, mt_type from, const uint8_t *p, int64_t n)
{
    float value[PIECE];                     /* whole blocks of every type */
    uint8_t out[PIECE * sizeof(float)];
    for (int64_t i = 0; i < n && s->status == MOTE_OK; i += PIECE) {
        const int64_t take = MT_MIN(n - i, (int64_t)PIECE);
        mt_decode_row(from, p + mt_row_bytes(from, i), value, take);
        mt_stream_put(s, out, encode(to, value, (size_t)take, out));
    }
}

static void tell(mt_stream *s, const mt_out_tensor *t, size_t bytes)
{
    s->done += bytes;
    if (!s->o->progress || s->status != MOTE_OK) return;
    if (!s->o->progress(s->o->user, t->name, s->total ? (double)s->done / (double)s->total : 1))
        s->status = mt_fail(&s->why, MOTE_ECANCELLED, "%s: cancelled at tensor %s", mt_path_end(s->path), t->name);
}

void mt_stream_tensor(mt_stream *s, const mt_out_tensor *o)
{
    const mt_tensor *t = o->from;
    const size_t row = mt_row_bytes(t->type, t->ne[0]), row_out = mt_row_bytes(o->type, t->ne[0]);
    const int64_t n_row = mt_tensor_count(t) / t->ne[0], per = (int64_t)MT_MAX(ROWS / row, 1);
    const size_t room = t->data ? 0 : (size_t)MT_MIN(per, n_row) * row;
    uint8_t *made = room ? mt_get(s->alloc, room, MT_ALIGN) : NULL;
    if (room && !made && s->status == MOTE_OK)
        s->status = mt_fail(&s->why, MOTE_ENOMEM, "tensor %s: no memory to make rows of %zu bytes", o->name, row);
    for (int64_t first = 0; first < n_row && s->status == MOTE_OK; first += per) {
        const int64_t n = MT_MIN(per, n_row - first);
        const uint8_t *p = mt_tensor_rows(t, first, n, made);
        if (o->type == t->type) mt_stream_put(s, p, (size_t)n * row);
        else convert(s, o->type, t->type, p, n * t->ne[0]);
        if (t->data && s->o->source) mt_source_forget(s->o->source, p, (size_t)n * row);
        tell(s, o, (size_t)n * row_out);
    }
    mt_put(s->alloc, made, room);
}

/* ---- the end ------------------------------------------------------------------- */

mote_status mt_stream_end(mt_stream *s, mote_error *err)
{
    if (s->n) flush(s);
    if (s->status != MOTE_OK) MT_FAIL(err, s->status, "%s", s->why.text);
    return MOTE_OK;
}

mote_status mt_stream_publish(mt_stream *s, mote_error *err)
{
    MT_TRY(mt_stream_end(s, err));
    return mt_draft_publish(&s->draft, err);
}
