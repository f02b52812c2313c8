/* SPDX-License-Identifier: MIT */
/* form.c - Unicode's four normalisation forms, cluster by cluster, with places.
 *
 * Most text is in its composed form already; a scan finds the clusters that are not: a character
 * and the loose ones behind it (unicode.h).  A cluster is decomposed, ordered by combining class
 * (by counting: a hostile run of marks costs linear time) and, for the composed forms, composed
 * again.  What each character of the result says about how many it replaces follows the reference
 * library step by step, since its offsets come from counting those. */
#include <string.h>
#include <utf8proc.h>

#include "text/norm.h"

enum { LONGEST_FORM = 32, RAW = 0x110000 };      /* RAW + b: the malformed byte b */

typedef struct part { uint32_t code; uint8_t class; int8_t is_more; int32_t change; } part;

typedef struct former {
    const mt_traits *traits;
    mt_room *room;
    part    *part;               /* (n) of the cluster */
    size_t   n, cap;
    bool     is_compat, composes;
} former;

/* ---- what a character asks for ---------------------------------------------------- */

static bool has_compat(uint32_t code)
{
    return code >= 0xA0 && utf8proc_get_property((utf8proc_int32_t)code)->decomp_seqindex != UINT16_MAX;
}

static utf8proc_ssize_t decompose(const former *f, uint32_t code, utf8proc_int32_t *out)
{
    const int options = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (f->is_compat ? UTF8PROC_COMPAT : 0);
    return utf8proc_decompose_char((utf8proc_int32_t)code, out, LONGEST_FORM, (utf8proc_option_t)options, NULL);
}

static bool is_loose(const former *f, uint32_t code)
{
    utf8proc_int32_t form[LONGEST_FORM];
    if (code < 0x300) return false;
    if (mt_traits_of(f->traits, code) & MT_IS_LOOSE) return true;
    if (!f->is_compat || !has_compat(code) || decompose(f, code, form) < 1) return false;
    return mt_traits_of(f->traits, (uint32_t)form[0]) & MT_IS_LOOSE;
}

/* Does the character alone have another form? */
static bool changes(const former *f, uint32_t code)
{
    utf8proc_int32_t form[LONGEST_FORM];
    if (code < 0xA0) return false;
    if (!f->is_compat || !has_compat(code))
        return mt_traits_of(f->traits, code) & (unsigned)(f->composes ? MT_HAS_NFC : MT_HAS_NFD);
    utf8proc_ssize_t n = decompose(f, code, form);
    if (f->composes && n > 0 && n <= LONGEST_FORM) n = utf8proc_normalize_utf32(form, n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return n != 1 || form[0] != (utf8proc_int32_t)code;
}

/* ---- one cluster --------------------------------------------------------------------- */

static bool push(former *f, uint32_t code, bool is_more)
{
    if (f->n == f->cap) {
        const size_t cap = f->cap ? f->cap * 2 : 256;
        part *old = f->part, *grown = mt_get(f->room->alloc, 2 * cap * sizeof *grown, _Alignof(part));
        if (!grown) return false;
        if (f->n) memcpy(grown, old, f->n * sizeof *grown);
        mt_room_free(f->room);
        f->room->p = grown, f->room->bytes = 2 * cap * sizeof *grown;
        f->part = grown, f->cap = cap;
    }
    const uint8_t class = code >= RAW ? 0 : (uint8_t)utf8proc_get_property((utf8proc_int32_t)code)->combining_class;
    f->part[f->n++] = (part){ code, class, is_more, is_more };
    return true;
}

static bool push_char(former *f, uint32_t code)
{
    utf8proc_int32_t form[LONGEST_FORM];
    const utf8proc_ssize_t n = code >= RAW ? 0 : decompose(f, code, form);
    if (n < 1 || n > LONGEST_FORM) return push(f, code, false);
    for (utf8proc_ssize_t i = 0; i < n; i++)
        if (!push(f, (uint32_t)form[i], i > 0)) return false;
    return true;
}

/* Orders part[from, to), all of class > 0, by class, equals as they stood; spare has room. */
static void order_marks(part *p, size_t n, part *spare)
{
    size_t start[257] = { 0 };
    bool is_ordered = true;
    for (size_t i = 1; i < n; i++) is_ordered = is_ordered && p[i - 1].class <= p[i].class;
    if (is_ordered) return;
    for (size_t i = 0; i < n; i++) start[p[i].class + 1]++;
    for (int c = 0; c < 256; c++) start[c + 1] += start[c];
    for (size_t i = 0; i < n; i++) spare[start[p[i].class]++] = p[i];
    memcpy(p, spare, n * sizeof *p);
}

static void order(former *f)
{
    for (size_t i = 0; i < f->n; ) {
        size_t end = i;
        while (end < f->n && f->part[end].class) end++;
        if (end > i) order_marks(f->part + i, end - i, f->part + f->cap);
        i = end + (end == i);
    }
}

static bool compose_pair(uint32_t a, uint32_t b, uint32_t *out)
{
    utf8proc_int32_t pair[3] = { (utf8proc_int32_t)a, (utf8proc_int32_t)b, 0 };
    if (a >= RAW || b >= RAW || b < 0x300) return false;
    if (utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) != 1) return false;
    *out = (uint32_t)pair[0];
    return true;
}

/* Composes in place: every mark that is not blocked joins the last starter. */
static void compose(former *f)
{
    size_t to = 0, starter = SIZE_MAX;
    int last = -1;                               /* class of the last mark kept behind the starter */
    for (size_t i = 0; i < f->n; i++) {
        const part c = f->part[i];
        uint32_t joined;
        if (starter != SIZE_MAX && last < (int)c.class && (last >= 0 || to == starter + 1) &&
            compose_pair(f->part[starter].code, c.code, &joined)) {
            f->part[starter].code = joined;
            f->part[starter].change += c.change - 1;
            continue;
        }
        f->part[to] = c;
        if (c.class == 0) starter = to, last = -1;
        else if (starter != SIZE_MAX) last = c.class;
        to++;
    }
    f->n = to;
}

static bool run_cluster(former *f, const mt_view *in, size_t from, size_t to, mt_writer *w)
{
    size_t len;
    f->n = 0;
    for (size_t i = from; i < to; i += len) {
        const uint32_t code = mt_utf8_next(in->p + i, in->p + to, &len);
        if (!push_char(f, code == MT_MALFORMED && len == 1 ? (uint32_t)RAW + in->p[i] : code)) return false;
    }
    order(f);
    if (f->composes) compose(f);
    w->at = from;
    for (size_t i = 0; i < f->n; i++) {
        uint8_t byte[4] = { (uint8_t)f->part[i].code };
        const size_t n = f->part[i].code >= RAW ? 1 : mt_utf8_put(f->part[i].code, byte);
        if (!mt_writer_put(w, byte, n, f->part[i].change)) return false;
    }
    return true;
}

/* ---- the text ---------------------------------------------------------------------------- */

/* The next place at or behind i where a cluster begins that must be worked on; in->n: none. */
static size_t next_cluster(const former *f, const mt_view *in, size_t i)
{
    size_t len, last = i;
    const uint8_t plain = f->is_compat || !f->composes ? 0xC2 : 0xCC;    /* below: nothing to do */
    while (i < in->n) {
        const uint8_t byte = in->p[i];
        if (byte < 0x80) {
            last = i++;
            continue;
        }
        const uint32_t code = mt_utf8_next(in->p + i, in->p + in->n, &len);
        if (byte >= plain) {
            if (is_loose(f, code)) return last;
            if (changes(f, code)) return i;
        }
        last = i;
        i += len;
    }
    return in->n;
}

static size_t cluster_end(const former *f, const mt_view *in, size_t i)
{
    size_t len;
    mt_utf8_next(in->p + i, in->p + in->n, &len);
    for (i += len; i < in->n; i += len)
        if (!is_loose(f, mt_utf8_next(in->p + i, in->p + in->n, &len))) break;
    return i;
}

bool mt_form_run(mt_norm_kind kind, const mt_traits *traits, mt_norm_work *work, const mt_view *in, mt_text *out,
                 bool *is_same)
{
    former f = { .traits = traits, .room = &work->form, .is_compat = kind == MT_NORM_NFKC || kind == MT_NORM_NFKD,
                 .composes = kind == MT_NORM_NFC || kind == MT_NORM_NFKC };
    mt_writer w = { in, out, 0 };
    f.part = f.room->p, f.cap = f.room->bytes / sizeof(part) / 2;
    size_t at = 0, next = next_cluster(&f, in, 0);
    *is_same = next == in->n;
    if (*is_same) return true;
    while (next < in->n) {
        const size_t end = cluster_end(&f, in, next);
        if (!mt_text_copy(out, in, at, next) || !run_cluster(&f, in, next, end, &w)) return false;
        at = end;
        next = next_cluster(&f, in, at);
    }
    return mt_text_copy(out, in, at, in->n);
}
