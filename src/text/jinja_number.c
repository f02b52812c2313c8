/* SPDX-License-Identifier: MIT */
/* jinja_number.c - arithmetic, and numbers to text and back, as Python does them.
 *
 * Integers are 64 bits; a result beyond that is an error, never a wrap.  A float is written
 * with the fewest digits that read back as the same float. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja.h"

/* ---- text ---------------------------------------------------------------------- */
size_t mt_j_float_text(double f, char out[40])
{
    char digits[40];
    if (!isfinite(f))
        return (size_t)snprintf(out, 40, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
    int precision = 0;
    do (void)snprintf(digits, sizeof digits, "%.*e", precision, f);
    while (precision++ < 17 && (strtod(digits, NULL) < f || strtod(digits, NULL) > f));
    char *e = strchr(digits, 'e');
    int exponent = e ? (int)strtol(e + 1, NULL, 10) : 0;
    if (exponent >= -4 && exponent < 16) {
        int decimals = MT_MAX(precision - 1 - exponent, 1);
        return (size_t)snprintf(out, 40, "%.*f", decimals, f);
    }
    return (size_t)snprintf(out, 40, "%s", digits);
}

static mt_str trimmed(mt_str s)
{
    size_t len;
    while (s.n && mt_j_is_space(mt_j_decode(s.p, s.n, &len))) {
        s.p += len;
        s.n -= len;
    }
    while (s.n) {
        size_t i = s.n - 1;
        while (i > 0 && ((unsigned char)s.p[i] & 0xc0) == 0x80) i--;
        if (!mt_j_is_space(mt_j_decode(s.p + i, s.n - i, &len))) break;
        s.n = i;
    }
    return s;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

/* int(text, base): false when it is no number; *too_big when it is one beyond 64 bits. */
bool mt_j_parse_int(mt_str s, int base, int64_t *out, bool *too_big)
{
    s = trimmed(s);
    *too_big = false;
    bool is_negative = s.n && s.p[0] == '-';
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    bool was_digit = false;
    if (s.n > i + 1 && s.p[i] == '0') {
        char c = (char)(s.p[i + 1] | 32);
        int prefix = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
        if (prefix && (base == prefix || base == 0)) {
            base = prefix;
            i += 2;
            was_digit = true;                     /* 0x_1 is allowed */
        }
    }
    if (base == 0) base = 10;
    int64_t v = 0;
    if (i == s.n) return false;
    for (; i < s.n; i++) {
        if (s.p[i] == '_' && was_digit) {
            was_digit = false;
            continue;
        }
        int d = digit_of(s.p[i]);
        if (d >= base) return false;
        was_digit = true;
        if (__builtin_mul_overflow(v, (int64_t)base, &v) ||
            __builtin_sub_overflow(v, (int64_t)d, &v))
            *too_big = true;
    }
    if (!is_negative && __builtin_sub_overflow((int64_t)0, v, &v)) *too_big = true;
    *out = v;
    return was_digit;
}

bool mt_j_parse_float(mt_str s, double *out)
{
    char text[512];
    size_t n = 0;
    s = trimmed(s);
    if (s.n == 0 || s.n >= sizeof text) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_digit = c >= '0' && c <= '9';
        if (c == '_') {
            if (i == 0 || i + 1 == s.n || digit_of(s.p[i - 1]) > 9 || digit_of(s.p[i + 1]) > 9)
                return false;
            continue;
        }
        if (!is_digit && !strchr("+-.eEinfatyINFATY", c))
            return false; /* no hexadecimal floats */
        text[n++] = c;
    }
    text[n] = 0;
    char *end;
    *out = strtod(text, &end);
    return end == text + n;
}

/* ---- arithmetic ------------------------------------------------------------------- */
static const char *const op_text[] = { "+", "-", "*", "/", "//", "%", "**" };

static mote_status overflow(mt_jrun *r)
{
    return mt_j_fail(r, MOTE_EUNSUPPORTED, "an integer beyond 64 bits");
}

static mote_status unsupported(mt_jrun *r, mt_jop op, const mt_jv *a, const mt_jv *b)
{
    return mt_j_fail(r, MOTE_EINVAL, "unsupported operand type(s) for %s: '%s' and '%s'",
                     op_text[op], mt_j_type_name(a), mt_j_type_name(b));
}

static mote_status by_zero(mt_jrun *r) { return mt_j_fail(r, MOTE_EINVAL, "division by zero"); }

static mote_status float_math(mt_jrun *r, mt_jop op, double a, double b, bool tainted,
                              mt_jv *out)
{
    double v = 0, rest;
    if ((op == MT_JO_DIV || op == MT_JO_FLOORDIV || op == MT_JO_MOD) &&
        fpclassify(b) == FP_ZERO)
        return by_zero(r);
    switch (op) {
    case MT_JO_ADD: v = a + b; break;
    case MT_JO_SUB: v = a - b; break;
    case MT_JO_MUL: v = a * b; break;
    case MT_JO_DIV: v = a / b; break;
    case MT_JO_FLOORDIV:
    case MT_JO_MOD:
        rest = fmod(a, b);
        if (fpclassify(rest) == FP_ZERO) rest = copysign(0.0, b);
        else if ((b < 0) != (rest < 0)) rest += b;
        v = rest;
        if (op == MT_JO_FLOORDIV) {
            double whole = (a - rest) / b;
            v = fpclassify(whole) == FP_ZERO ? copysign(0.0, a / b) : floor(whole);
            if (whole - v > 0.5) v += 1;
        }
        break;
    case MT_JO_POW:
        if (fpclassify(a) == FP_ZERO && b < 0)
            return mt_j_fail(r, MOTE_EINVAL, "0.0 cannot be raised to a negative power");
        if (a < 0 && floor(b) < b) return mt_j_fail(r, MOTE_EUNSUPPORTED, "a complex number");
        v = pow(a, b);
        if (!isfinite(v) && isfinite(a) && isfinite(b))
            return mt_j_fail(r, MOTE_EINVAL, "numerical result out of range");
        break;
    case MT_JO_EQ: case MT_JO_NE: case MT_JO_LT: case MT_JO_LE: case MT_JO_GT: case MT_JO_GE:
    case MT_JO_IN: case MT_JO_NOTIN: break;
    }
    *out = mt_j_float(v, tainted);
    return MOTE_OK;
}

static mote_status int_pow(mt_jrun *r, int64_t a, int64_t b, bool tainted, mt_jv *out)
{
    int64_t v = 1;
    if (b < 0) return float_math(r, MT_JO_POW, (double)a, (double)b, tainted, out);
    if (a == 0 || a == 1 || a == -1) v = b == 0 ? 1 : a == -1 && b % 2 == 0 ? 1 : a;
    else
        for (; b > 0; b--)                        /* at most 63 rounds before it overflows */
            if (__builtin_mul_overflow(v, a, &v)) return overflow(r);
    *out = mt_j_int(v, tainted);
    return MOTE_OK;
}

static mote_status int_math(mt_jrun *r, mt_jop op, int64_t a, int64_t b, bool tainted,
                            mt_jv *out)
{
    int64_t v = 0;
    bool bad = false;
    if (op == MT_JO_POW) return int_pow(r, a, b, tainted, out);
    if (op == MT_JO_DIV) return float_math(r, op, (double)a, (double)b, tainted, out);
    if (op == MT_JO_ADD) bad = __builtin_add_overflow(a, b, &v);
    if (op == MT_JO_SUB) bad = __builtin_sub_overflow(a, b, &v);
    if (op == MT_JO_MUL) bad = __builtin_mul_overflow(a, b, &v);
    if (op == MT_JO_FLOORDIV || op == MT_JO_MOD) {
        if (b == 0) return by_zero(r);
        if (b == -1) {                            /* INT64_MIN / -1 traps */
            bad = op == MT_JO_FLOORDIV && __builtin_sub_overflow((int64_t)0, a, &v);
        } else {
            int64_t rest = a % b;
            bool adjust = rest != 0 && (rest < 0) != (b < 0);
            v = op == MT_JO_MOD ? rest + (adjust ? b : 0) : a / b - adjust;
        }
    }
    if (bad) return overflow(r);
    *out = mt_j_int(v, tainted);
    return MOTE_OK;
}

static mote_status repeat(mt_jrun *r, const mt_jv *v, int64_t times, mt_jv *out)
{
    size_t n = v->type == MT_J_STR ? v->u.s->n : v->u.l->n, total;
    if (times < 0) times = 0;
    if (!mt_mul_ok(n, (size_t)times, &total) || total > MT_J_HEAP)
        return mt_j_nomem(r, MT_J_HEAP + 1u);
    if (n == 0) times = 0;
    MT_TRY(mt_j_charge(r, total));
    if (v->type == MT_J_STR) {
        mt_jbuf *b = mt_j_buf(r, total);
        if (!b) return mt_j_nomem(r, total);
        while (times-- > 0) MT_TRY(mt_j_put_str(r, b, v->u.s));
        return mt_j_done(r, b, out);
    }
    mt_jv *items;
    MT_TRY(mt_j_list(r, (mt_jtype)v->type, total, &items, out));
    for (size_t i = 0; i < total; i++) items[i] = v->u.l->v[i % n];
    return MOTE_OK;
}

static mote_status add_strings(mt_jrun *r, const mt_jv *a, const mt_jv *b, mt_jv *out)
{
    mt_jv x = *a, y = *b;
    bool is_markup = x.sub || y.sub;              /* markup escapes what it is added to */
    if (is_markup && !x.sub) MT_TRY(mt_j_escape(r, a->u.s, &x));
    if (is_markup && !y.sub) MT_TRY(mt_j_escape(r, b->u.s, &y));
    MT_TRY(mt_j_concat(r, &x, &y, out));
    out->sub = is_markup;
    return MOTE_OK;
}

static mote_status add_lists(mt_jrun *r, const mt_jv *a, const mt_jv *b, mt_jv *out)
{
    mt_jv *v;
    const size_t n = a->u.l->n, m = b->u.l->n;
    MT_TRY(mt_j_list(r, (mt_jtype)a->type, n + m, &v, out));
    if (n) memcpy(v, a->u.l->v, n * sizeof *v);
    if (m) memcpy(v + n, b->u.l->v, m * sizeof *v);
    return MOTE_OK;
}

static bool is_sequence(const mt_jv *v)
{
    return v->type == MT_J_STR || v->type == MT_J_LIST || v->type == MT_J_TUPLE;
}

mote_status mt_j_math(mt_jrun *r, mt_jop op, const mt_jv *a, const mt_jv *b, mt_jv *out)
{
    int64_t i, j;
    double x, y;
    if (op == MT_JO_MOD && a->type == MT_J_STR) {
        mt_jargs args = { b, 1, NULL, 0 };
        if (b->type == MT_J_TUPLE) args = (mt_jargs){ b->u.l->v, b->u.l->n, NULL, 0 };
        return mt_j_percent(r, a->u.s, &args, out);
    }
    if (a->type == MT_J_UNDEF) return mt_j_undef_fail(r, a);
    if (b->type == MT_J_UNDEF) return mt_j_undef_fail(r, b);
    bool tainted = a->tainted || b->tainted;
    if (mt_j_integer(a, &i) && mt_j_integer(b, &j)) return int_math(r, op, i, j, tainted, out);
    if (mt_j_num(a, &x) && mt_j_num(b, &y)) return float_math(r, op, x, y, tainted, out);
    if (op == MT_JO_ADD && a->type == b->type && a->type == MT_J_STR)
        return add_strings(r, a, b, out);
    if (op == MT_JO_ADD && a->type == b->type && is_sequence(a)) return add_lists(r, a, b, out);
    if (op == MT_JO_MUL && is_sequence(a) && mt_j_integer(b, &j)) return repeat(r, a, j, out);
    if (op == MT_JO_MUL && is_sequence(b) && mt_j_integer(a, &i)) return repeat(r, b, i, out);
    if (op == MT_JO_ADD && a->type == MT_J_STR)
        return mt_j_fail(r, MOTE_EINVAL, "can only concatenate str (not \"%s\") to str",
                         mt_j_type_name(b));
    return unsupported(r, op, a, b);
}
