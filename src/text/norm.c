/* SPDX-License-Identifier: MIT */
/* norm.c - the normalisers of norm.h but for the Unicode forms, which are in form.c.
 *
 * BERT's is one pass instead of the reference's five; the places come out the same because each
 * result character stands for one input character.  A malformed byte counts as U+FFFD and stays
 * what it is wherever U+FFFD would stay. */
#include "text/norm.h"

#include <string.h>
#include <utf8proc.h>

enum { DROPPED = 0xFF, LONGEST_FORM = 32 };

void mt_norm_work_init(mt_norm_work *w, const mote_alloc *alloc, bool tracks)
{
    *w = (mt_norm_work){ .finder.alloc = alloc, .form.alloc = alloc, .mapped = { .alloc = alloc, .wants_map = tracks } };
    for (int i = 0; i < 2; i++) w->text[i] = (mt_text){ .alloc = alloc, .tracks = tracks };
}

void mt_norm_work_free(mt_norm_work *w)
{
    mt_finder_free(&w->finder);
    mt_room_free(&w->form);
    mt_mapped_free(&w->mapped);
    mt_text_free(&w->text[0]);
    mt_text_free(&w->text[1]);
}

size_t mt_lower(uint32_t code, uint32_t out[2])
{
    if (code == 0x130) {
        out[0] = 'i', out[1] = 0x307;
        return 2;
    }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
    return 1;
}

size_t mt_byte_char(uint8_t byte, uint8_t out[2])
{
    uint32_t code = byte;
    if (byte <= 0x20) code = 256u + byte;
    else if (byte >= 0x7F && byte <= 0xA0) code = 256u + 33u + byte - 0x7Fu;
    else if (byte == 0xAD) code = 256u + 67u;
    return mt_utf8_put(code, out);
}

/* ---- places by counting --------------------------------------------------------- */

static void skip_char(mt_writer *w)
{
    size_t len;
    if (w->at >= w->in->n) return;
    mt_utf8_next(w->in->p + w->at, w->in->p + w->in->n, &len);
    w->at += len;
}

bool mt_writer_put(mt_writer *w, const void *p, size_t n, long change)
{
    mote_span at = { 0, 0 };
    if (!mt_text_reserve(w->out, n)) return false;
    if (w->out->tracks) {
        if (change <= 0 && w->at < w->in->n) {
            size_t len;
            mt_utf8_next(w->in->p + w->at, w->in->p + w->in->n, &len);
            at = mt_view_place(w->in, w->at, len);
        } else if (w->at > 0) {
            at = mt_view_span(w->in, w->at - 1, w->at);
        }
        for (; change <= 0; change++) skip_char(w);
    }
    mt_text_put(w->out, p, n, at);
    return true;
}

/* ---- character by character -------------------------------------------------------- */

static bool put_code(mt_text *out, uint32_t code, mote_span at)
{
    uint8_t byte[4];
    return mt_text_add(out, byte, mt_utf8_put(code, byte), at);
}

static bool put_lower(mt_text *out, uint32_t code, mote_span at)
{
    uint32_t lower[2];
    const size_t n = mt_lower(code, lower);
    for (size_t i = 0; i < n; i++)
        if (!put_code(out, lower[i], at)) return false;
    return true;
}

static bool is_han(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

/* One character of BERT's normaliser behind cleaning: accents, then case. */
static bool put_bert(const mt_norm *op, const mt_traits *traits, mt_text *out, const uint8_t *p, size_t len,
                     uint32_t code, unsigned t, mote_span at)
{
    const bool decomposes = op->strips_accents && (t & (MT_HAS_NFD | MT_IS_LOOSE));
    if (!decomposes && !(op->lowers && (t & MT_IS_UPPER))) return mt_text_add(out, p, len, at);
    utf8proc_int32_t part[LONGEST_FORM] = { (utf8proc_int32_t)code };
    utf8proc_ssize_t n = 1;
    if (decomposes)
        n = utf8proc_decompose_char((utf8proc_int32_t)code, part, LONGEST_FORM, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, NULL);
    for (utf8proc_ssize_t i = 0; i < n && i < LONGEST_FORM; i++) {
        const uint32_t c = (uint32_t)part[i];
        if (decomposes && (mt_traits_of(traits, c) & MT_IS_ACCENT)) continue;
        if (!(op->lowers ? put_lower(out, c, at) : put_code(out, c, at))) return false;
    }
    return true;
}

/* ASCII from byte i on; the first byte behind it. */
static size_t bert_ascii(const mt_norm *op, const mt_view *in, mt_text *out, size_t i)
{
    uint8_t *to = out->p + out->n;
    const size_t start = i;
    if (!out->tracks) {
        for (; i < in->n && in->p[i] < 0x80; i++) {
            *to = op->ascii[in->p[i]];
            to += *to != DROPPED;
        }
        out->n = (size_t)(to - out->p);
        return i;
    }
    for (; i < in->n && in->p[i] < 0x80 && i - start < 4096; i++) {
        const uint8_t byte = op->ascii[in->p[i]];
        if (byte != DROPPED) mt_text_put(out, &byte, 1, mt_view_place(in, i, 1));
    }
    return i;
}

static bool run_bert(const mt_norm *op, const mt_traits *traits, const mt_view *in, mt_text *out)
{
    size_t len;
    for (size_t i = 0; i < in->n; i += len) {
        if (!mt_text_reserve(out, in->n - i)) return false;
        i = bert_ascii(op, in, out, i);
        len = 0;
        if (i == in->n || in->p[i] < 0x80) continue;
        const uint8_t *p = in->p + i;
        const uint32_t code = mt_utf8_next(p, in->p + in->n, &len);
        const unsigned t = mt_traits_of(traits, code);
        const mote_span at = mt_view_place(in, i, len);
        bool ok = true;
        if (op->cleans && (code == MT_MALFORMED || (t & MT_IS_OTHER))) continue;
        if (op->cleans && (t & MT_IS_SPACE)) {
            ok = mt_text_add(out, " ", 1, at);
        } else if (op->spaces_han && is_han(code)) {
            ok = mt_text_add(out, " ", 1, at) && put_bert(op, traits, out, p, len, code, t, at) &&
                 mt_text_add(out, " ", 1, at);
        } else {
            ok = put_bert(op, traits, out, p, len, code, t, at);
        }
        if (!ok) return false;
    }
    return true;
}

static bool run_lowercase(const mt_traits *traits, const mt_view *in, mt_text *out)
{
    size_t len;
    for (size_t i = 0; i < in->n; i += len) {
        const uint32_t code = mt_utf8_next(in->p + i, in->p + in->n, &len);
        const mote_span at = mt_view_place(in, i, len);
        const bool is_upper = mt_traits_of(traits, code) & MT_IS_UPPER;
        if (!(is_upper ? put_lower(out, code, at) : mt_text_add(out, in->p + i, len, at))) return false;
    }
    return true;
}

static bool run_strip_accents(const mt_traits *traits, const mt_view *in, mt_text *out)
{
    size_t len;
    for (size_t i = 0; i < in->n; i += len) {
        const uint32_t code = mt_utf8_next(in->p + i, in->p + in->n, &len);
        if (mt_traits_of(traits, code) & MT_IS_MARK) continue;
        if (!mt_text_add(out, in->p + i, len, mt_view_place(in, i, len))) return false;
    }
    return true;
}

static bool is_nmt_space(uint32_t c)
{
    return c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 ||
           c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

static bool run_nmt(const mt_view *in, mt_text *out)
{
    size_t len;
    for (size_t i = 0; i < in->n; i += len) {
        const uint32_t c = mt_utf8_next(in->p + i, in->p + in->n, &len);
        if ((c >= 1 && c <= 8) || c == 11 || (c >= 14 && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) continue;
        const mote_span at = mt_view_place(in, i, len);
        if (!(is_nmt_space(c) ? mt_text_add(out, " ", 1, at) : mt_text_add(out, in->p + i, len, at))) return false;
    }
    return true;
}

static bool run_bytes(const mt_view *in, mt_text *out)
{
    size_t len;
    uint8_t as[2];
    for (size_t i = 0; i < in->n; i += len) {
        mt_utf8_next(in->p + i, in->p + in->n, &len);
        for (size_t k = 0; k < len; k++)
            if (!mt_text_add(out, as, mt_byte_char(in->p[i + k], as), mt_view_place(in, i, len))) return false;
    }
    return true;
}

/* ---- whole texts ----------------------------------------------------------------------- */

static void run_strip(const mt_norm *op, const mt_traits *traits, mt_view *v)
{
    size_t from = 0, to = v->n, len;
    while (op->strips_left && from < to &&
           (mt_traits_of(traits, mt_utf8_next(v->p + from, v->p + to, &len)) & MT_IS_SPACE)) from += len;
    while (op->strips_right && to > from &&
           (mt_traits_of(traits, mt_utf8_last(v->p + from, v->p + to, &len)) & MT_IS_SPACE)) to -= len;
    *v = mt_view_part(v, from, to);
}

static bool run_prepend(const mt_norm *op, const mt_view *in, mt_text *out)
{
    size_t len;
    mt_utf8_next(in->p, in->p + in->n, &len);
    return mt_text_add(out, op->text.p, op->text.n, mt_view_place(in, 0, len)) && mt_text_copy(out, in, 0, in->n);
}

/* What is put in has the place of the last character taken out. */
static mote_status run_replace(const mt_norm *op, mt_norm_work *w, const mt_view *in, mt_text *out, bool *is_same,
                               mote_error *err)
{
    size_t done = 0, from = 0, last_end = SIZE_MAX, len;
    mt_match m;
    bool ok = true;
    *is_same = true;
    mt_finder_forget(&w->finder);
    while (ok && from <= in->n) {
        MT_TRY(mt_pattern_find(op->pattern, &w->finder, (mt_str){ (const char *)in->p, in->n }, from, &m, err));
        if (!m.found) break;
        if (m.from == m.to && m.to == last_end) {        /* no empty match behind another */
            len = 1;
            if (from < in->n) mt_utf8_next(in->p + from, in->p + in->n, &len);
            from += len;
            continue;
        }
        *is_same = false;
        from = last_end = m.to;
        const mote_span at = m.to ? mt_view_span(in, m.to - 1, m.to) : (mote_span){ 0, 0 };
        ok = mt_text_copy(out, in, done, m.from) && mt_text_add(out, op->text.p, op->text.n, at);
        done = m.to;
    }
    if (*is_same) return MOTE_OK;
    if (!ok || !mt_text_copy(out, in, done, in->n)) MT_FAIL(err, MOTE_ENOMEM, "no memory to normalise %zu bytes", in->n);
    return MOTE_OK;
}

/* One rule's result, held back until it is known that nothing more is taken away behind it. */
typedef struct held { uint8_t p[4]; size_t n; long change; } held;

static size_t count_chars(mt_str s)
{
    size_t n = 0, len;
    const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;
    for (; p < end; p += len, n++) mt_utf8_next(p, end, &len);
    return n;
}

static bool run_charsmap(const mt_norm *op, const mt_view *in, mt_text *out)
{
    mt_charsmap_walk walk = { .map = &op->map, .at = in->p, .end = in->p + in->n };
    mt_writer w = { in, out, 0 };
    held h = { .n = 0 };
    mt_str from, to;
    while (mt_charsmap_next(&walk, &from, &to)) {
        const bool is_rule = from.p != to.p;
        const size_t n_from = is_rule ? count_chars(from) : 0, n_to = is_rule ? count_chars(to) : SIZE_MAX;
        const uint8_t *p = (const uint8_t *)to.p, *end = p + to.n;
        size_t len;
        for (size_t i = 0; p < end; p += len, i++) {
            mt_utf8_next(p, end, &len);
            if (h.n && !mt_writer_put(&w, h.p, h.n, h.change)) return false;
            h.n = len, h.change = is_rule && i >= n_from;
            memcpy(h.p, p, len);
        }
        if (is_rule && n_to < n_from && h.n) h.change -= (long)(n_from - n_to);
    }
    return h.n == 0 || mt_writer_put(&w, h.p, h.n, h.change);
}

/* A character stands for what lies between its place in the original and the next one's. */
static mote_status run_spm(const mt_norm *op, mt_norm_work *w, const mt_view *in, mt_text *out, mote_error *err)
{
    mt_mapped *m = &w->mapped;
    size_t len;
    MT_TRY(mt_spm_normalize(&op->spm, (mt_str){ (const char *)in->p, in->n }, m, err));
    if (!mt_text_reserve(out, m->n)) MT_FAIL(err, MOTE_ENOMEM, "no memory to normalise %zu bytes of text", in->n);
    for (size_t i = 0; i < m->n; i += len) {
        const uint8_t *p = (const uint8_t *)m->p + i;
        mote_span at = { 0, 0 };
        mt_utf8_next(p, (const uint8_t *)m->p + m->n, &len);
        if (out->tracks && m->at[i + len] > m->at[i]) at = mt_view_span(in, m->at[i], m->at[i + len]);
        else if (out->tracks && m->at[i] < in->n) at.from = at.to = mt_view_span(in, m->at[i], m->at[i] + 1).from;
        mt_text_put(out, p, len, at);
    }
    return MOTE_OK;
}

/* ---- in turn ------------------------------------------------------------------------------ */

void mt_norm_prepare(mt_norm *op)
{
    for (int c = 0; c < 128; c++) {
        const bool is_space = c == ' ' || (c >= 9 && c <= 13), is_control = (c < 32 && c != 9 && c != 10 && c != 13) || c == 127;
        op->ascii[c] = (uint8_t)(op->lowers && c >= 'A' && c <= 'Z' ? c + 32 : c);
        if (op->cleans && is_control) op->ascii[c] = DROPPED;
        else if (op->cleans && is_space) op->ascii[c] = ' ';
    }
}

static mote_status step(const mt_norm *op, const mt_traits *traits, mt_norm_work *w, mt_view *v, mote_error *err)
{
    mt_text *out = &w->text[w->turn];
    bool ok = true, is_same = false;
    out->n = 0;
    switch (op->kind) {
    case MT_NORM_NFC: case MT_NORM_NFD: case MT_NORM_NFKC: case MT_NORM_NFKD:
        ok = mt_form_run(op->kind, traits, w, v, out, &is_same);
        break;
    case MT_NORM_LOWERCASE:     ok = run_lowercase(traits, v, out); break;
    case MT_NORM_STRIP_ACCENTS: ok = run_strip_accents(traits, v, out); break;
    case MT_NORM_STRIP:         run_strip(op, traits, v); is_same = true; break;
    case MT_NORM_PREPEND:       ok = run_prepend(op, v, out); break;
    case MT_NORM_REPLACE:       MT_TRY(run_replace(op, w, v, out, &is_same, err)); break;
    case MT_NORM_BERT:          ok = run_bert(op, traits, v, out); break;
    case MT_NORM_NMT:           ok = run_nmt(v, out); break;
    case MT_NORM_CHARSMAP:      ok = run_charsmap(op, v, out); break;
    case MT_NORM_BYTES:         ok = run_bytes(v, out); break;
    case MT_NORM_SPM:           MT_TRY(run_spm(op, w, v, out, err)); break;
    }
    if (!ok) MT_FAIL(err, MOTE_ENOMEM, "no memory to normalise %zu bytes of text", v->n);
    if (is_same) return MOTE_OK;
    *v = mt_text_view(out);
    w->turn ^= 1;
    return MOTE_OK;
}

mote_status mt_norm_run(const mt_norm *op, size_t n, const mt_traits *traits, mt_norm_work *w, mt_view *v,
                        mote_error *err)
{
    for (size_t i = 0; i < n && v->n; i++) MT_TRY(step(&op[i], traits, w, v, err));
    return MOTE_OK;
}
