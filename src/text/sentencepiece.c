/* SPDX-License-Identifier: MIT */
/* sentencepiece.c - the protobuf of a `.model` file, then normaliser and model as one.
 *
 * Three messages matter: a piece, the trainer's settings, the normaliser's.  A field whose wire
 * type is not the one we know is skipped like an unknown one, and of a field given twice the last
 * counts: both as protobuf has it.  Nothing is nested deeper than these, so nothing recurses. */
#include "text/sentencepiece.h"

#include <string.h>

#include "text/unicode.h"

enum {
    MOST_PIECES = 1 << 21,
    LONGEST_VARINT = 10,
    WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5
};
static const char SPACE[] = "\xE2\x96\x81";      /* U+2581 */

/* ---- protobuf -------------------------------------------------------------------- */

/* number << 3 | wire type, and the value that goes with the wire type. */
typedef struct field { uint64_t tag, value; mt_str bytes; } field;
#define TAG(number, wire) ((uint64_t)(number) << 3 | (wire))

static bool read_varint(mt_cursor *c, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < LONGEST_VARINT; i++) {
        const uint8_t byte = mt_read_u8(c);
        if (i == LONGEST_VARINT - 1 && byte > 1) return false;
        *value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) return !c->failed;
    }
    return false;
}

/* The next field of a message; false: its end, or an error when err is set. */
static mote_status read_field(mt_cursor *c, field *f, mote_error *err)
{
    const size_t at = c->at;
    bool is_whole = read_varint(c, &f->tag);
    if (is_whole && (f->tag >> 3 == 0 || f->tag >> 3 > (1u << 29) - 1))
        MT_FAIL(err, MOTE_EFORMAT, "sentencepiece: a field numbered %llu at byte %zu of a message",
                (unsigned long long)(f->tag >> 3), at);
    switch (f->tag & 7) {
    case WIRE_VARINT: is_whole = is_whole && read_varint(c, &f->value); break;
    case WIRE_64:     f->value = mt_read_u64(c); break;
    case WIRE_32:     f->value = mt_read_u32(c); break;
    case WIRE_BYTES:
        is_whole = is_whole && read_varint(c, &f->value) && mt_cursor_has(c, f->value);
        if (is_whole) f->bytes = (mt_str){ (const char *)mt_read_bytes(c, f->value), f->value };
        break;
    default:
        if (is_whole) MT_FAIL(err, MOTE_EFORMAT, "sentencepiece: wire type %u at byte %zu of a message, "
                              "expected 0, 1, 2 or 5", (unsigned)(f->tag & 7), at);
    }
    if (!is_whole || c->failed)
        MT_FAIL(err, MOTE_EFORMAT, "sentencepiece: a field at byte %zu of a message of %zu bytes is cut "
                "short", at, c->size);
    return MOTE_OK;
}

static mt_cursor message(mt_str bytes)
{
    return (mt_cursor){ (const uint8_t *)bytes.p, bytes.n, 0, false };
}

/* ---- the messages ---------------------------------------------------------------------- */

typedef struct reader {
    mt_sp_file *f;
    mt_str  *token;
    int32_t *kind;
    float   *score;
    size_t   n_piece;
    mt_str   bos, eos, pad;      /* pieces by name: ids are found by them */
} reader;

static mote_status read_piece(reader *r, mt_str bytes, mote_error *err)
{
    mt_cursor c = message(bytes);
    const size_t id = r->n_piece++;
    field f;
    r->token[id] = (mt_str){ "", 0 };
    r->score[id] = 0;
    r->kind[id] = MT_TOKEN_NORMAL;
    while (c.at < c.size) {
        MT_TRY(read_field(&c, &f, err));
        const uint32_t bits = (uint32_t)f.value;
        if (f.tag == TAG(1, WIRE_BYTES)) r->token[id] = f.bytes;
        else if (f.tag == TAG(2, WIRE_32)) memcpy(&r->score[id], &bits, sizeof bits);
        else if (f.tag == TAG(3, WIRE_VARINT) && f.value >= 1 && f.value <= 6)
            r->kind[id] = (int32_t)f.value;
    }
    if (r->token[id].n == 0) MT_FAIL(err, MOTE_EFORMAT, "sentencepiece: piece %zu is empty", id);
    return MOTE_OK;
}

static mote_status read_trainer(reader *r, mt_str bytes, mote_error *err)
{
    mt_cursor c = message(bytes);
    field f;
    while (c.at < c.size) {
        MT_TRY(read_field(&c, &f, err));
        switch (f.tag) {
        case TAG(3, WIRE_VARINT):
            if (f.value >= MT_SP_UNIGRAM && f.value <= MT_SP_CHAR) r->f->model = (mt_sp_model)f.value;
            break;
        case TAG(24, WIRE_VARINT): r->f->use_space_as_suffix = f.value != 0; break;
        case TAG(35, WIRE_VARINT): r->f->use_byte_fallback = f.value != 0; break;
        case TAG(44, WIRE_BYTES): r->f->unk_surface = f.bytes; break;
        case TAG(46, WIRE_BYTES): if (f.bytes.n) r->bos = f.bytes; break;
        case TAG(47, WIRE_BYTES): if (f.bytes.n) r->eos = f.bytes; break;
        case TAG(48, WIRE_BYTES): if (f.bytes.n) r->pad = f.bytes; break;
        }
    }
    return MOTE_OK;
}

static mote_status read_rules(mt_sp_rules *rules, mt_str bytes, mote_error *err)
{
    mt_cursor c = message(bytes);
    field f;
    while (c.at < c.size) {
        MT_TRY(read_field(&c, &f, err));
        switch (f.tag) {
        case TAG(2, WIRE_BYTES): rules->charsmap = f.bytes; break;
        case TAG(3, WIRE_VARINT): rules->use_dummy_prefix = f.value != 0; break;
        case TAG(4, WIRE_VARINT): rules->remove_extra_spaces = f.value != 0; break;
        case TAG(5, WIRE_VARINT): rules->escape_spaces = f.value != 0; break;
        }
    }
    return MOTE_OK;
}

static mote_status count_pieces(mt_str bytes, size_t *n, mote_error *err)
{
    mt_cursor c = message(bytes);
    field f;
    *n = 0;
    while (c.at < c.size) {
        MT_TRY(read_field(&c, &f, err));
        *n += f.tag == TAG(1, WIRE_BYTES);
    }
    if (*n == 0 || *n > MOST_PIECES)
        MT_FAIL(err, MOTE_EFORMAT, "sentencepiece: %zu pieces, expected 1 to %d", *n, (int)MOST_PIECES);
    return MOTE_OK;
}

static mote_status read_model(reader *r, mt_str bytes, mote_error *err)
{
    mt_cursor c = message(bytes);
    field f;
    while (c.at < c.size) {
        MT_TRY(read_field(&c, &f, err));
        switch (f.tag) {
        case TAG(1, WIRE_BYTES): MT_TRY(read_piece(r, f.bytes, err)); break;
        case TAG(2, WIRE_BYTES): MT_TRY(read_trainer(r, f.bytes, err)); break;
        case TAG(3, WIRE_BYTES): MT_TRY(read_rules(&r->f->normal, f.bytes, err)); break;
        case TAG(5, WIRE_BYTES): MT_TRY(read_rules(&r->f->decode, f.bytes, err)); break;
        }
    }
    return MOTE_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* What a piece of this name stands for; control, unknown and byte pieces come first. */
static int32_t find_piece(const mt_vocab *v, mt_str name)
{
    int32_t found = -1;
    for (size_t i = 0; i < v->n_token; i++) {
        if (!mt_str_eq(v->token[i], name)) continue;
        if (v->kind[i] == MT_TOKEN_UNKNOWN) return -1;
        if (v->kind[i] == MT_TOKEN_CONTROL || v->kind[i] == MT_TOKEN_BYTE) return (int32_t)i;
        if (found < 0) found = (int32_t)i;
    }
    return found;
}

static mote_status check_kinds(mt_sp_file *f, mote_error *err)
{
    bool seen[256] = { false };
    unsigned n_seen = 0;
    for (size_t i = 0; i < f->vocab.n_token; i++) {
        if (f->vocab.kind[i] == MT_TOKEN_UNKNOWN) {
            if (f->vocab.unk >= 0)
                MT_FAIL(err, MOTE_EFORMAT, "sentencepiece: pieces %d and %zu are both the unknown",
                        (int)f->vocab.unk, i);
            f->vocab.unk = (int32_t)i;
        }
        if (f->vocab.kind[i] != MT_TOKEN_BYTE) continue;
        const int byte = mt_byte_piece(f->vocab.token[i]);
        if (byte < 0 || !f->use_byte_fallback)
            MT_FAIL(err, MOTE_EFORMAT, "sentencepiece: piece %zu is of kind byte, %s", i,
                    byte < 0 ? "its text is not" : "the model has no byte fallback");
        n_seen += !seen[byte];
        seen[byte] = true;
    }
    if (f->vocab.unk < 0) MT_FAIL(err, MOTE_EFORMAT, "sentencepiece: no piece is the unknown");
    if (f->use_byte_fallback && n_seen < 256)
        MT_FAIL(err, MOTE_EFORMAT, "sentencepiece: %u byte pieces, byte fallback needs 256", n_seen);
    return MOTE_OK;
}

mote_status mt_sp_read(mt_sp_file *f, mt_str bytes, mt_arena *arena, mote_error *err)
{
    reader r = { .f = f, .bos = mt_str_of("<s>"), .eos = mt_str_of("</s>"), .pad = mt_str_of("<pad>") };
    size_t n;
    *f = (mt_sp_file){ .model = MT_SP_UNIGRAM, .unk_surface = mt_str_of(" \xE2\x81\x87 ") };
    f->normal.use_dummy_prefix = f->normal.remove_extra_spaces = f->normal.escape_spaces = true;
    f->decode = f->normal;
    MT_TRY(count_pieces(bytes, &n, err));
    r.token = mt_arena_push(arena, n * sizeof *r.token);
    r.kind = mt_arena_push(arena, n * sizeof *r.kind);
    r.score = mt_arena_push(arena, n * sizeof *r.score);
    if (!r.token || !r.kind || !r.score) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu pieces", n);
    MT_TRY(read_model(&r, bytes, err));
    if (f->model != MT_SP_UNIGRAM && f->model != MT_SP_BPE)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "sentencepiece: a %s model, only unigram and BPE are supported",
                f->model == MT_SP_WORD ? "word" : "character");
    f->vocab = (mt_vocab){ .model = mt_str_of(f->model == MT_SP_BPE ? "llama" : "t5"), .n_token = n,
                           .token = r.token, .kind = r.kind, .score = r.score, .unk = -1, .eot = -1 };
    f->vocab.bos = find_piece(&f->vocab, r.bos);
    f->vocab.eos = find_piece(&f->vocab, r.eos);
    f->vocab.pad = find_piece(&f->vocab, r.pad);
    return check_kinds(f, err);
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static mote_status init_rules(mt_spm_normal *to, const mt_sp_rules *from, mote_error *err)
{
    *to = (mt_spm_normal){ .use_dummy_prefix = from->use_dummy_prefix,
                           .remove_extra_spaces = from->remove_extra_spaces,
                           .escape_spaces = from->escape_spaces };
    return mt_charsmap_init(&to->map, from->charsmap, err);
}

mote_status mt_sp_init(mt_sp *s, mt_str bytes, mt_arena *arena, mote_error *err)
{
    *s = (mt_sp){ 0 };
    MT_TRY(mt_sp_read(&s->file, bytes, arena, err));
    const mt_vocab *v = &s->file.vocab;
    MT_TRY(init_rules(&s->normal, &s->file.normal, err));
    MT_TRY(init_rules(&s->decode, &s->file.decode, err));
    s->normal.use_space_as_suffix = s->file.use_space_as_suffix;
    MT_TRY(mt_spm_user(&s->user, v, arena, err));
    if (s->user.n_key) s->normal.user = &s->user;
    if (s->file.model == MT_SP_BPE)
        return mt_spm_init(&s->as.spm, v, s->file.use_byte_fallback, arena, err);
    const mt_unigram_spec spec = { .vocab = v, .use_byte_fallback = s->file.use_byte_fallback };
    return mt_unigram_init(&s->as.unigram, &spec, arena, err);
}

void mt_sp_work_init(mt_sp_work *w, const mote_alloc *alloc)
{
    *w = (mt_sp_work){ .normal = { .alloc = alloc, .wants_map = true }, .unigram.room.alloc = alloc,
                       .spm = { .room.alloc = alloc, .undo.alloc = alloc, .words.alloc = alloc } };
}

void mt_sp_work_free(mt_sp_work *w)
{
    mt_mapped_free(&w->normal);
    mt_unigram_done(&w->unigram);
    mt_spm_done(&w->spm);
}

mote_status mt_sp_encode(const mt_sp *s, mt_str text, mt_sp_work *w, mt_cuts *out, mote_error *err)
{
    const size_t before = out->n;
    MT_TRY(mt_spm_normalize(&s->normal, text, &w->normal, err));
    const mt_str normal = { w->normal.p, w->normal.n };
    if (s->file.model == MT_SP_UNIGRAM)
        MT_TRY(mt_unigram_encode(&s->as.unigram, normal, &w->unigram, out, err));
    else if (!mt_spm_encode(&s->as.spm, normal, &w->spm, out))
        MT_FAIL(err, MOTE_ENOMEM, "no memory to encode a text of %zu bytes", text.n);
    for (size_t i = before; i < out->n; i++) {
        out->p[i].from = w->normal.at[out->p[i].from];
        out->p[i].to = w->normal.at[out->p[i].to];
    }
    return MOTE_OK;
}

/* ---- decoding ------------------------------------------------------------------------------------ */

typedef struct decoding {
    const mt_sp_decoder *d;
    mt_buf *out;
    size_t  start;               /* out->n at first */
    bool    at_start, saw_space; /* a space in front is still dropped; the last piece lost one */
} decoding;

/* Appends the byte tokens id[0, n). */
static bool put_bytes(decoding *g, const int32_t *id, size_t n)
{
    uint8_t byte[64];
    while (n) {
        const size_t most = MT_MIN(n, sizeof byte);
        size_t at = 0;
        for (size_t i = 0; i < most; i++)
            byte[i] = (uint8_t)mt_byte_piece(g->d->vocab->token[id[i]]);
        /* A character may go on behind the window: leave its beginning for the next. */
        while (at < most && (most == n || most - at >= 4)) {
            uint32_t code;
            const size_t size = mt_utf8_char(byte + at, byte + most, &code);
            const bool is_kept = size || !g->d->repairs;
            if (!mt_buf_put(g->out, is_kept ? (const char *)byte + at : "\xEF\xBF\xBD",
                            size ? size : is_kept ? 1 : 3)) return false;
            at += size ? size : 1;
        }
        id += at;
        n -= at;
    }
    return true;
}

static bool put_piece(decoding *g, mt_str piece)
{
    const bool drops = g->at_start && (g->d->use_dummy_prefix || g->d->remove_extra_spaces);
    if (drops && piece.n >= 3 && memcmp(piece.p, SPACE, 3) == 0) {
        piece = (mt_str){ piece.p + 3, piece.n - 3 };
        g->saw_space = !g->d->remove_extra_spaces;
    }
    while (piece.n) {
        const char *space = piece.n >= 3 ? memmem(piece.p, piece.n, SPACE, 3) : NULL;
        const size_t n = space ? (size_t)(space - piece.p) : piece.n;
        if (!mt_buf_put(g->out, piece.p, n) || (space && !mt_buf_put(g->out, " ", 1))) return false;
        piece = (mt_str){ piece.p + n + (space ? 3 : 0), piece.n - n - (space ? 3 : 0) };
    }
    return true;
}

static int32_t kind_of(const mt_vocab *v, int32_t id)
{
    if (v->kind) return v->kind[id];
    if (id == v->unk) return MT_TOKEN_UNKNOWN;
    return mt_byte_piece(v->token[id]) >= 0 ? MT_TOKEN_BYTE : MT_TOKEN_NORMAL;
}

static bool put_token(decoding *g, int32_t id)
{
    if (g->saw_space || g->out->n > g->start) g->at_start = false;
    g->saw_space = false;
    switch (kind_of(g->d->vocab, id)) {
    case MT_TOKEN_CONTROL: return true;
    case MT_TOKEN_UNKNOWN: return mt_buf_put(g->out, g->d->unk_surface.p, g->d->unk_surface.n);
    default: return put_piece(g, g->d->vocab->token[id]);
    }
}

static bool is_byte(const mt_vocab *v, int32_t id)
{
    return kind_of(v, id) == MT_TOKEN_BYTE && mt_byte_piece(v->token[id]) >= 0;
}

mote_status mt_sp_decode_ids(const mt_sp_decoder *d, const int32_t *id, size_t n, mt_buf *out,
                             mote_error *err)
{
    decoding g = { .d = d, .out = out, .start = out->n, .at_start = true };
    for (size_t i = 0; i < n; i++)
        if (id[i] < 0 || (size_t)id[i] >= d->vocab->n_token)
            MT_FAIL(err, MOTE_EINVAL, "token %d is out of range, expected 0 to %zu", (int)id[i],
                    d->vocab->n_token - 1);
    for (size_t i = 0; i < n; ) {
        size_t end = i;
        while (end < n && is_byte(d->vocab, id[end])) end++;
        const bool done = end > i ? put_bytes(&g, id + i, end - i) : put_token(&g, id[i]);
        if (!done) MT_FAIL(err, MOTE_ENOMEM, "no memory for the text of %zu tokens", n);
        i = end > i ? end : i + 1;
    }
    return MOTE_OK;
}

mote_status mt_sp_decode(const mt_sp *s, const int32_t *id, size_t n, bool repairs, mt_buf *out,
                         mote_error *err)
{
    const mt_sp_decoder d = { .vocab = &s->file.vocab, .unk_surface = s->file.unk_surface,
                              .use_dummy_prefix = s->file.normal.use_dummy_prefix,
                              .remove_extra_spaces = s->file.normal.remove_extra_spaces,
                              .repairs = repairs };
    const size_t start = out->n;
    MT_TRY(mt_sp_decode_ids(&d, id, n, out, err));
    if (s->file.decode.charsmap.n == 0) return MOTE_OK;
    mt_mapped m = { .alloc = out->alloc };
    const mt_str text = { out->p + start, out->n - start };
    mote_status status = mt_spm_normalize(&s->decode, text, &m, err);
    if (status == MOTE_OK) {
        out->n = start;
        if (!mt_buf_put(out, m.p, m.n))
            status = mt_fail(err, MOTE_ENOMEM, "no memory for the text of %zu tokens", n);
    }
    mt_mapped_free(&m);
    return status;
}
