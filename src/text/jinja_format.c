/* SPDX-License-Identifier: MIT */
/* jinja_format.c - "%s" % x, "{}".format(x) and strftime.
 *
 * The text of the format keeps its marks, each value brings its own.  Widths and precisions
 * come from the template or from a user's string, so both are bounded. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja.h"

enum { MAX_PRECISION = 200, MAX_WIDTH = 1 << 20 };

typedef struct spec {
    char   fill[5];
    char   align, sign, type;
    bool   alternate, zero, comma;
    int64_t width, precision;     /* precision -1: none */
    const uint8_t *mark;          /* of what the format itself adds: padding, signs */
} spec;

static mote_status put(mt_jrun *r, mt_jbuf *b, const char *text, const uint8_t *t)
{
    return mt_j_put(r, b, text, strlen(text), t);
}

static const uint8_t *mark_of(mt_jrun *r, const mt_jv *v)
{
    return mt_j_deep_tainted(r, v, 0) ? NULL : MT_J_TRUSTED;
}

/* Pads text; its first n_sign bytes stay in front for '='.  Padding is the format's text. */
static mote_status put_padded(mt_jrun *r, mt_jbuf *b, const spec *s, mt_jstr *text,
                              size_t n_sign)
{
    int64_t missing = s->width - (int64_t)mt_j_chars(text);
    if (s->width > MAX_WIDTH) return mt_j_limit(r, "columns of padding", MAX_WIDTH);
    if (missing < 0) missing = 0;
    int64_t left = s->align == '>' || s->align == '=' ? missing
                   : s->align == '^'                  ? missing / 2
                                                      : 0;
    size_t head = s->align == '=' ? n_sign : 0;
    const uint8_t *t = s->mark;
    if (head) MT_TRY(mt_j_put(r, b, text->p, head, text->t));
    for (int64_t i = 0; i < left; i++) MT_TRY(put(r, b, s->fill, t));
    bool is_uniform = !text->t || text->t == MT_J_TRUSTED;
    MT_TRY(
        mt_j_put(r, b, text->p + head, text->n - head, is_uniform ? text->t : text->t + head));
    for (int64_t i = left; i < missing; i++) MT_TRY(put(r, b, s->fill, t));
    return MOTE_OK;
}

/* Digits with commas between groups of three. */
static void group(const char *digits, char *out, size_t cap)
{
    size_t n = strspn(digits, "0123456789"), k = 0;
    for (size_t i = 0; digits[i] && k + 2 < cap; i++) {
        if (i && i < n && (n - i) % 3 == 0) out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = 0;
}

static void int_digits(uint64_t v, char type, bool alternate, char out[80])
{
    char digits[72];
    size_t n = 0;
    const unsigned base = type == 'x' || type == 'X' ? 16
                          : type == 'o'              ? 8
                          : type == 'b'              ? 2
                                                     : 10;
    do {
        digits[n++] = (type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[v % base];
        v /= base;
    } while (v);
    if (alternate && base != 10) {
        digits[n++] = type;
        digits[n++] = '0';
    }
    for (size_t i = 0; i < n; i++) out[i] = digits[n - 1 - i];
    out[n] = 0;
}

static void append(char *text, size_t cap, const char *tail)
{
    size_t n = strlen(text);
    (void)snprintf(text + n, cap - n, "%s", tail);
}

static mote_status put_number(mt_jrun *r, mt_jbuf *b, spec *s, const mt_jv *v)
{
    char digits[640] = "", grouped[860], text[880];
    double f = 0;
    int64_t i = 0;
    bool is_int = mt_j_integer(v, &i), is_negative;
    char type = s->type;
    (void)mt_j_num(v, &f);
    if (type == 0) type = is_int ? 'd' : s->precision >= 0 ? 'g' : 'r';
    if (is_int && strchr("dxXobi", type)) {
        is_negative = i < 0;
        int_digits(is_negative ? 0 - (uint64_t)i : (uint64_t)i, type == 'i' ? 'd' : type,
                   s->alternate, digits);
        int64_t zeros = s->precision - (int64_t)strlen(digits);
        if (zeros > 0) {                          /* %.3d */
            memmove(digits + zeros, digits, strlen(digits) + 1);
            memset(digits, '0', (size_t)zeros);
        }
    } else {
        char fmt[16];
        int precision = s->precision < 0 ? 6 : (int)s->precision;
        is_negative = signbit(f) != 0;
        f = fabs(f);
        if (type == '%') f *= 100;
        (void)snprintf(fmt, sizeof fmt, "%%%s.*%c", s->alternate ? "#" : "",
                       type == '%' ? 'f' : type);
        if (type == 'r') (void)mt_j_float_text(f, digits);
        else if (type == 'f' || type == 'F' || type == '%')
            (void)snprintf(digits, sizeof digits, "%.*f", precision, f);
        else if (type == 'e') (void)snprintf(digits, sizeof digits, "%.*e", precision, f);
        else if (type == 'E') (void)snprintf(digits, sizeof digits, "%.*E", precision, f);
        else if (type == 'G') (void)snprintf(digits, sizeof digits, "%.*G", precision, f);
        else (void)snprintf(digits, sizeof digits, "%.*g", precision, f);
        if (s->type == 0 && type == 'g' && !strpbrk(digits, ".en"))
            append(digits, sizeof digits, ".0");
        if (type == '%') append(digits, sizeof digits, "%");
    }
    if (s->comma) group(digits, grouped, sizeof grouped);
    (void)snprintf(text, sizeof text, "%s%s",
                   is_negative      ? "-"
                   : s->sign == '+' ? "+"
                   : s->sign == ' ' ? " "
                                    : "",
                   s->comma ? grouped : digits);
    size_t n = strlen(text), n_sign = text[0] == '-' || text[0] == '+' || text[0] == ' ';
    if (s->zero && s->alternate && !s->align && text[n_sign] == '0' && strchr("xXob", type))
        n_sign += 2;
    if (s->zero && !s->align) {
        s->fill[0] = '0';
        s->align = '=';
    }
    if (!s->align) s->align = '>';
    mt_jstr view = { text, v->tainted ? NULL : s->mark, n, SIZE_MAX, NULL };
    return put_padded(r, b, s, &view, n_sign);
}

static mote_status put_string(mt_jrun *r, mt_jbuf *b, spec *s, mt_jstr *text)
{
    mt_jv cut;
    MT_TRY(mt_j_charge(r, text->n));
    size_t end = s->precision >= 0 ? mt_j_offset(text, (size_t)s->precision) : text->n;
    MT_TRY(mt_j_sub(r, text, 0, end, &cut));
    if (!s->align) s->align = '<';
    return put_padded(r, b, s, cut.u.s, 0);
}

/* ---- printf style -------------------------------------------------------------------- */
typedef struct percent {
    mt_jrun *r;
    const mt_jargs *a;
    size_t next;
    bool used_map;
    const uint8_t *mark;
} percent;

/* Whoever wrote a part of the format may have chosen its padding. */
static const uint8_t *format_mark(const mt_jstr *fmt)
{
    return fmt->t == MT_J_TRUSTED ? MT_J_TRUSTED : NULL;
}

static mote_status next_value(percent *p, mt_jv *out)
{
    if (p->next >= p->a->n)
        return mt_j_fail(p->r, MOTE_EINVAL, "not enough arguments for format string");
    *out = p->a->v[p->next++];
    return MOTE_OK;
}

static mote_status read_number(percent *p, const mt_jstr *f, size_t *i, int64_t max,
                               int64_t *out)
{
    mt_jv v;
    *out = 0;
    if (*i < f->n && f->p[*i] == '*') {
        ++*i;
        MT_TRY(next_value(p, &v));
        if (!mt_j_integer(&v, out)) return mt_j_fail(p->r, MOTE_EINVAL, "* wants int");
    }
    while (*i < f->n && f->p[*i] >= '0' && f->p[*i] <= '9' && *out <= max)
        *out = *out * 10 + f->p[(*i)++] - '0';
    return *out > max ? mt_j_limit(p->r, "columns in a format", max) : MOTE_OK;
}

/* %(key)s */
static mote_status mapped_value(percent *p, const mt_jstr *f, size_t *i, mt_jv *out)
{
    const char *end = mt_j_find(f->p + *i, f->n - *i, ")", 1);
    mt_str key = { f->p + *i + 1, end ? (size_t)(end - f->p) - *i - 1 : 0 };
    if (!end) return mt_j_fail(p->r, MOTE_EINVAL, "incomplete format key");
    *i = (size_t)(end - f->p) + 1;
    p->used_map = true;
    for (size_t k = 0; k < p->a->n_k; k++) {
        if (!mt_str_eq(p->a->k[k].name, key)) continue;
        *out = p->a->k[k].v;
        return MOTE_OK;
    }
    const mt_jv *v = NULL;
    if (p->a->n == 1 && p->a->v[0].type == MT_J_DICT) v = mt_j_dict_text(p->a->v[0].u.d, key);
    else if (!p->a->n_k) return mt_j_fail(p->r, MOTE_EINVAL, "format requires a mapping");
    if (!v)
        return mt_j_fail(p->r, MOTE_EINVAL, "no key '%.*s' to format",
                         (int)MT_MIN(key.n, (size_t)60), key.p);
    *out = *v;
    return MOTE_OK;
}

static mote_status convert(percent *p, mt_jbuf *b, spec *s, const mt_jv *v)
{
    mt_jv text, n = *v;
    double f;
    if (s->type == 's' || s->type == 'r' || s->type == 'a') {
        mt_jbuf *t = mt_j_buf(p->r, 32);
        if (!t) return mt_j_nomem(p->r, 32);
        if (s->type == 's') MT_TRY(mt_j_put_value(p->r, t, v));
        else MT_TRY(mt_j_repr(p->r, t, v, mark_of(p->r, v)));
        MT_TRY(mt_j_done(p->r, t, &text));
        s->align = s->align ? s->align : '>';
        return put_string(p->r, b, s, text.u.s);
    }
    if (s->type == 'c' && v->type == MT_J_STR && mt_j_chars(v->u.s) == 1)
        return put_string(p->r, b, s, v->u.s);
    if (!mt_j_num(v, &f))
        return mt_j_fail(p->r, MOTE_EINVAL, "%%%c format: a real number is required, not %s",
                         s->type, mt_j_type_name(v));
    if (s->type == 'u') s->type = 'd';
    if (s->type == 'd' || s->type == 'i') {
        if (v->type == MT_J_FLOAT && !(fabs(f) < 9e18))
            return mt_j_fail(p->r, MOTE_EUNSUPPORTED, "an integer beyond 64 bits");
        if (v->type == MT_J_FLOAT) n = mt_j_int((int64_t)f, v->tainted);
    } else if (strchr("xXo", s->type)) {
        if (v->type == MT_J_FLOAT)
            return mt_j_fail(p->r, MOTE_EINVAL, "%%%c format: an integer is required", s->type);
    } else if (!strchr("eEfFgG", s->type)) {
        return mt_j_fail(p->r, MOTE_EINVAL, "unsupported format character '%c'", s->type);
    }
    return put_number(p->r, b, s, &n);
}

static mote_status one_percent(percent *p, mt_jbuf *b, const mt_jstr *f, size_t *i)
{
    spec s = { .fill = " ", .precision = -1, .mark = p->mark };
    bool left = false;
    mt_jv v = { .type = MT_J_ABSENT };
    if (*i < f->n && f->p[*i] == '(') MT_TRY(mapped_value(p, f, i, &v));
    for (; *i < f->n && strchr("-+ #0", f->p[*i]) && f->p[*i]; ++*i) {
        char c = f->p[*i];
        if (c == '-') left = true;
        if (c == '+' || (c == ' ' && s.sign != '+')) s.sign = c;
        if (c == '#') s.alternate = true;
        if (c == '0') s.zero = true;
    }
    MT_TRY(read_number(p, f, i, MAX_WIDTH, &s.width));
    if (*i < f->n && f->p[*i] == '.') {
        ++*i;
        MT_TRY(read_number(p, f, i, MAX_WIDTH, &s.precision));
    }
    if (*i >= f->n) return mt_j_fail(p->r, MOTE_EINVAL, "incomplete format");
    s.type = f->p[(*i)++];
    if (s.type == '%') return put(p->r, b, "%", p->mark);
    if (!strchr("sra", s.type) && s.precision > MAX_PRECISION)
        return mt_j_limit(p->r, "digits of precision", MAX_PRECISION);
    if (left) {
        s.align = '<';
        s.zero = false;
    }
    if (v.type == MT_J_ABSENT) MT_TRY(next_value(p, &v));
    return convert(p, b, &s, &v);
}

static mote_status put_part(mt_jrun *r, mt_jbuf *b, const mt_jstr *s, size_t from, size_t to)
{
    bool is_uniform = !s->t || s->t == MT_J_TRUSTED;
    return mt_j_put(r, b, s->p + from, to - from, is_uniform ? s->t : s->t + from);
}

mote_status mt_j_percent(mt_jrun *r, const mt_jstr *fmt, const mt_jargs *a, mt_jv *out)
{
    percent p = { r, a, 0, false, format_mark(fmt) };
    mt_jbuf *b = mt_j_buf(r, fmt->n + 32);
    if (!b) return mt_j_nomem(r, fmt->n + 32);
    for (size_t i = 0; i < fmt->n; ) {
        const char *at = memchr(fmt->p + i, '%', fmt->n - i);
        size_t end = at ? (size_t)(at - fmt->p) : fmt->n;
        MT_TRY(put_part(r, b, fmt, i, end));
        i = end + 1;
        if (at) MT_TRY(one_percent(&p, b, fmt, &i));
    }
    bool is_map = a->n == 1 && (a->v[0].type == MT_J_DICT);
    if (p.next < a->n && !p.used_map && !is_map)
        return mt_j_fail(r, MOTE_EINVAL,
                         "not all arguments converted during string formatting");
    return mt_j_done(r, b, out);
}

/* ---- str.format ------------------------------------------------------------------------ */
typedef struct formatter {
    mt_jrun *r;
    const mt_jargs *a;
    int64_t next;                 /* of the {} without a number */
    bool numbered;                /* {0} was seen: the two do not mix */
    const uint8_t *mark;
} formatter;

static mote_status first_field(formatter *f, mt_str name, mt_jv *out)
{
    int64_t index = 0;
    bool is_number = name.n > 0 && name.n < 10;
    for (size_t i = 0; i < name.n && is_number; i++) {
        is_number = name.p[i] >= '0' && name.p[i] <= '9';
        index = index * 10 + (name.p[i] - '0');
    }
    if ((name.n == 0 && f->numbered) || (is_number && f->next))
        return mt_j_fail(f->r, MOTE_EINVAL, "{} and {0} cannot be mixed in a format");
    f->numbered = f->numbered || is_number;
    if (name.n == 0) index = f->next++;
    if (name.n == 0 || is_number) {
        if ((size_t)index >= f->a->n)
            return mt_j_fail(f->r, MOTE_EINVAL,
                             "replacement index %lld out of range for positional args tuple",
                             (long long)index);
        *out = f->a->v[index];
        return MOTE_OK;
    }
    for (size_t k = 0; k < f->a->n_k; k++) {
        if (!mt_str_eq(f->a->k[k].name, name)) continue;
        *out = f->a->k[k].v;
        return MOTE_OK;
    }
    return mt_j_fail(f->r, MOTE_EINVAL, "no argument '%.*s' to format",
                     (int)MT_MIN(name.n, (size_t)60), name.p);
}

static size_t until(mt_str s, size_t i, const char *stops)
{
    while (i < s.n && !(s.p[i] && strchr(stops, s.p[i]))) i++;
    return i;
}

/* name.attr[key] */
static mote_status field_value(formatter *f, mt_str s, mt_jv *out)
{
    size_t i = until(s, 0, ".[");
    MT_TRY(first_field(f, (mt_str){ s.p, i }, out));
    while (i < s.n) {
        bool is_attr = s.p[i] == '.';
        size_t end = until(s, i + 1, is_attr ? ".[" : "]");
        mt_str part = { s.p + i + 1, end - i - 1 };
        mt_jv key, from = *out;
        int64_t index;
        bool too_big;
        if (!is_attr && mt_j_parse_int(part, 10, &index, &too_big) && !too_big)
            key = mt_j_int(index, false);
        else MT_TRY(mt_j_text(f->r, part.p, part.n, MT_J_TRUSTED, &key));
        if (is_attr) MT_TRY(mt_j_getattr(f->r, &from, part, out));
        else MT_TRY(mt_j_getitem(f->r, &from, &key, out));
        i = is_attr ? end : end + 1;
    }
    return MOTE_OK;
}

static mote_status parse_spec(mt_jrun *r, mt_str t, spec *s)
{
    size_t i = 0, len = 0;
    *s = (spec){ .fill = " ", .precision = -1 };
    if (t.n) (void)mt_j_decode(t.p, t.n, &len);
    if (t.n > len && strchr("<>=^", t.p[len])) {
        memcpy(s->fill, t.p, len);
        s->fill[len] = 0;
        s->align = t.p[len];
        i = len + 1;
    } else if (t.n && strchr("<>=^", t.p[0])) {
        s->align = t.p[0];
        i = 1;
    }
    if (i < t.n && strchr("+- ", t.p[i])) s->sign = t.p[i++];
    if (i < t.n && t.p[i] == '#') s->alternate = i++ < t.n;
    if (i < t.n && t.p[i] == '0') {
        s->zero = i++ < t.n;
        if (len != i - 2 && s->fill[0] == ' ') s->fill[0] = '0';
    }
    while (i < t.n && t.p[i] >= '0' && t.p[i] <= '9' && s->width <= MAX_WIDTH)
        s->width = s->width * 10 + t.p[i++] - '0';
    if (s->width > MAX_WIDTH) return mt_j_limit(r, "columns of padding", MAX_WIDTH);
    if (i < t.n && t.p[i] == ',') s->comma = i++ < t.n;
    if (i < t.n && t.p[i] == '.') {
        s->precision = 0;
        for (i++; i < t.n && t.p[i] >= '0' && t.p[i] <= '9' && s->precision <= MAX_WIDTH; i++)
            s->precision = s->precision * 10 + t.p[i] - '0';
    }
    if (i < t.n) s->type = t.p[i++];
    return i == t.n ? MOTE_OK : mt_j_fail(r, MOTE_EINVAL, "invalid format specifier");
}

static mote_status format_value(mt_jrun *r, mt_jbuf *b, const mt_jv *v, mt_str text,
                                const uint8_t *mark)
{
    spec s;
    mt_jv as_text;
    MT_TRY(parse_spec(r, text, &s));
    s.mark = mark;
    bool is_number = v->type == MT_J_INT || v->type == MT_J_FLOAT ||
                     (v->type == MT_J_BOOL && text.n);
    if (!is_number) {
        MT_TRY(mt_j_str(r, v, &as_text));
        if (text.n && v->type != MT_J_STR && v->type != MT_J_BOOL && v->type != MT_J_UNDEF)
            return mt_j_fail(r, MOTE_EINVAL,
                             "unsupported format string passed to %s.__format__",
                             mt_j_type_name(v));
        if ((s.type && s.type != 's') || s.align == '=')
            return mt_j_fail(r, MOTE_EINVAL, "unknown format code for an object of type '%s'",
                             mt_j_type_name(v));
        return put_string(r, b, &s, as_text.u.s);
    }
    if (s.precision > MAX_PRECISION) return mt_j_limit(r, "digits of precision", MAX_PRECISION);
    if (s.type && !strchr(v->type == MT_J_FLOAT ? "eEfFgG%" : "dxXobeEfFgG%", s.type))
        return mt_j_fail(r, MOTE_EINVAL, "unknown format code '%c' for an object of type '%s'",
                         s.type, mt_j_type_name(v));
    return put_number(r, b, &s, v);
}

static mote_status one_field(formatter *f, mt_jbuf *b, mt_str field)
{
    mt_jv v;
    size_t name = until(field, 0, "!:");
    size_t conv = name < field.n && field.p[name] == '!' ? 2 : 0;
    size_t at = name + conv;
    mt_str text = { field.p + field.n, 0 };
    if (memchr(field.p, '{', field.n))
        return mt_j_fail(f->r, MOTE_EUNSUPPORTED, "a format inside a format");
    if (at > field.n || (at < field.n && field.p[at] != ':'))
        return mt_j_fail(f->r, MOTE_EINVAL, "expected ':' after conversion specifier");
    if (at < field.n) text = (mt_str){ field.p + at + 1, field.n - at - 1 };
    MT_TRY(field_value(f, (mt_str){ field.p, name }, &v));
    if (conv && field.p[name + 1] != 's') {
        mt_jbuf *t = mt_j_buf(f->r, 32);
        if (!t) return mt_j_nomem(f->r, 32);
        MT_TRY(mt_j_repr(f->r, t, &v, mark_of(f->r, &v)));
        MT_TRY(mt_j_done(f->r, t, &v));
    } else if (conv) {
        MT_TRY(mt_j_str(f->r, &v, &v));
    }
    return format_value(f->r, b, &v, text, f->mark);
}

mote_status mt_j_format(mt_jrun *r, const mt_jstr *fmt, const mt_jargs *a, mt_jv *out)
{
    formatter f = { r, a, 0, false, format_mark(fmt) };
    mt_str s = { fmt->p, fmt->n };
    mt_jbuf *b = mt_j_buf(r, fmt->n + 32);
    if (!b) return mt_j_nomem(r, fmt->n + 32);
    for (size_t i = 0; i < s.n; ) {
        size_t at = until(s, i, "{}");
        MT_TRY(put_part(r, b, fmt, i, at));
        i = at;
        if (at == s.n) break;
        if (at + 1 < s.n && s.p[at + 1] == s.p[at]) { /* {{ and }} */
            MT_TRY(put_part(r, b, fmt, at, at + 1));
            i = at + 2;
            continue;
        }
        size_t end = until(s, at + 1, "}");
        if (s.p[at] == '}' || end == s.n)
            return mt_j_fail(r, MOTE_EINVAL, "single '%c' encountered in format string",
                             s.p[at]);
        MT_TRY(one_field(&f, b, (mt_str){ s.p + at + 1, end - at - 1 }));
        i = end + 1;
    }
    return mt_j_done(r, b, out);
}

/* ---- strftime ---------------------------------------------------------------------------- */
typedef struct when {
    int64_t year;
    int month, day, hour, minute, second, weekday, yearday;
} when;

/* Days since 1970-01-01 to a date, proleptic Gregorian (days counted from 0000-03-01). */
static when civil(double now)
{
    const double limit = 8e12;                    /* a quarter of a million years */
    int64_t t = now >= -limit && now <= limit ? (int64_t)floor(now) : 0;
    int64_t days = t / 86400 - (t % 86400 < 0), rest = t - days * 86400, z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    when w = { .year = yoe + era * 400, .month = (int)(mp < 10 ? mp + 3 : mp - 9),
               .day = (int)(doy - (153 * mp + 2) / 5 + 1), .hour = (int)(rest / 3600),
               .minute = (int)(rest % 3600 / 60), .second = (int)(rest % 60),
               .weekday = (int)((days % 7 + 11) % 7) };
    w.year += w.month <= 2;
    bool leap = (w.year % 4 == 0 && w.year % 100 != 0) || w.year % 400 == 0;
    w.yearday = (int)(doy + 59 + leap + 1);       /* from 1 March to 1 January */
    if (w.month <= 2) w.yearday = (int)(doy - 306 + 1);
    return w;
}

static void time_part(const when *w, char c, char flag, char out[64])
{
    static const char *const days[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday" };
    static const char *const months[] = { "January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December" };
    const int hour12 = w->hour % 12 ? w->hour % 12 : 12, two = (int)(w->year % 100);
    const struct { char c; int v, width; char pad;
    } numbers[] = {
        { 'd', w->day, 2, '0' },
        { 'e', w->day, 2, ' ' },
        { 'm', w->month, 2, '0' },
        { 'H', w->hour, 2, '0' },
        { 'k', w->hour, 2, ' ' },
        { 'I', hour12, 2, '0' },
        { 'l', hour12, 2, ' ' },
        { 'M', w->minute, 2, '0' },
        { 'S', w->second, 2, '0' },
        { 'j', w->yearday, 3, '0' },
        { 'y', two, 2, '0' },
        { 'w', w->weekday, 1, '0' },
        { 'u', w->weekday ? w->weekday : 7, 1, '0' },
        { 'Y', (int)w->year, 1, '0' },
        { 'C', (int)(w->year / 100), 2, '0' },
        { 'f', 0, 6, '0' },
    };
    out[0] = 0;
    for (size_t i = 0; i < MT_COUNT(numbers); i++) {
        if (numbers[i].c != c) continue;
        char pad = flag == '_' ? ' ' : flag == '0' ? '0' : numbers[i].pad;
        int width = flag == '-' ? 1 : numbers[i].width;
        (void)snprintf(out, 64, pad == '0' ? "%0*d" : "%*d", width, numbers[i].v);
        return;
    }
    switch (c) {
    case 'a': (void)snprintf(out, 64, "%.3s", days[w->weekday]); break;
    case 'A': (void)snprintf(out, 64, "%s", days[w->weekday]); break;
    case 'b': case 'h': (void)snprintf(out, 64, "%.3s", months[w->month - 1]); break;
    case 'B': (void)snprintf(out, 64, "%s", months[w->month - 1]); break;
    case 'p': (void)snprintf(out, 64, w->hour < 12 ? "AM" : "PM"); break;
    case 'P': (void)snprintf(out, 64, w->hour < 12 ? "am" : "pm"); break;
    case 'F':
        (void)snprintf(out, 64, "%lld-%02d-%02d", (long long)w->year, w->month, w->day);
        break;
    case 'T':
    case 'X':
        (void)snprintf(out, 64, "%02d:%02d:%02d", w->hour, w->minute, w->second);
        break;
    case 'R': (void)snprintf(out, 64, "%02d:%02d", w->hour, w->minute); break;
    case 'D': case 'x': (void)snprintf(out, 64, "%02d/%02d/%02d", w->month, w->day, two); break;
    case 'c':
        (void)snprintf(out, 64, "%.3s %.3s %2d %02d:%02d:%02d %lld", days[w->weekday],
                       months[w->month - 1], w->day, w->hour, w->minute, w->second,
                       (long long)w->year);
        break;
    case 'n': (void)snprintf(out, 64, "\n"); break;
    case 't': (void)snprintf(out, 64, "\t"); break;
    case '%': (void)snprintf(out, 64, "%%"); break;
    case 'z': case 'Z': break;                    /* the clock has no zone */
    default: (void)snprintf(out, 64, "%%%c", c); break;
    }
}

mote_status mt_j_strftime(mt_jrun *r, const mt_jstr *fmt, mt_jv *out)
{
    const when w = civil(r->now);
    mt_jbuf *b = mt_j_buf(r, fmt->n + 32);
    if (!b) return mt_j_nomem(r, fmt->n + 32);
    for (size_t i = 0; i < fmt->n; ) {
        const char *at = memchr(fmt->p + i, '%', fmt->n - i);
        size_t end = at ? (size_t)(at - fmt->p) : fmt->n;
        MT_TRY(put_part(r, b, fmt, i, end));
        i = end;
        if (!at) break;
        char text[64], flag = 0;
        size_t k = end + 1;
        if (k < fmt->n && strchr("-_0", fmt->p[k]) && fmt->p[k]) flag = fmt->p[k++];
        if (k >= fmt->n || (unsigned char)fmt->p[k] >= 0x80) {
            MT_TRY(put_part(r, b, fmt, end, k));
            i = k;
            continue;
        }
        time_part(&w, fmt->p[k], flag, text);
        bool is_trusted = fmt->t == MT_J_TRUSTED;
        MT_TRY(mt_j_put(r, b, text, strlen(text), is_trusted ? MT_J_TRUSTED : NULL));
        i = k + 1;
    }
    return mt_j_done(r, b, out);
}
