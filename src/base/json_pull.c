/* SPDX-License-Identifier: MIT */
/* json_pull.c - the pull reader: blanks, strings, numbers, and skipping.
 *
 * The text is hostile and may be 100 MB long, so every function is one forward walk; skipping keeps the
 * kinds of open containers in the bits of one word instead of on a stack. */
#include "base/json_pull.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 4096, MAX_NUMBER = 1024, MAX_DIGITS = 18 };   /* 18 digits always fit int64_t */

/* What a byte inside a string is: 0 stands for itself, 1 ends the run of such bytes. */
static const uint8_t stops[256] = {
    [0] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ['"'] = 1, ['\\'] = 1,
    [128] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
};

/* ---- failures ---------------------------------------------------------------- */

static bool fail(mt_pull *j, mote_status code, const char *expected, const char *found)
{
    if (j->status != MOTE_OK) return false;
    const int n = (int)MT_MIN(j->key.n, (size_t)64);
    j->status = mt_fail(j->err, code, "%s: %.*s%sexpected %s, found %s at byte %zu", j->what, n, n ? j->key.p : "",
                        n ? ": " : "", expected, found, (size_t)(j->p - j->start));
    return false;
}

/* What stands at the reader's place, as words; room has space for 16 bytes. */
static const char *found_here(const mt_pull *j, char *room)
{
    if (j->p == j->end) return "the end";
    const unsigned char c = (unsigned char)*j->p;
    snprintf(room, 16, c >= 0x20 && c < 0x7F ? "'%c'" : "byte 0x%02x", c);
    return room;
}

static bool fail_here(mt_pull *j, const char *expected)
{
    char room[16];
    return fail(j, MOTE_EFORMAT, expected, found_here(j, room));
}

bool mt_pull_expect(mt_pull *j, const char *expected, const char *found)
{
    return fail(j, MOTE_EFORMAT, expected, found);
}

void mt_pull_init(mt_pull *j, mt_str text, const char *what, int max_depth, mt_arena *arena, mote_error *err)
{
    const char *p = text.p ? text.p : "";
    *j = (mt_pull){ .p = p, .start = p, .end = p + text.n, .what = what, .arena = arena, .err = err,
                    .max_depth = MT_MIN(max_depth, MT_PULL_MAX_DEPTH) };
}

/* ---- between values ---------------------------------------------------------- */

MT_INLINE void skip_blanks(mt_pull *j)
{
    const char *p = j->p;
    while (p < j->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    j->p = p;
}

static bool enter(mt_pull *j)
{
    if (j->depth >= j->max_depth) {
        char limit[64];
        snprintf(limit, sizeof limit, "at most %d levels", j->max_depth);
        return fail(j, MOTE_EFORMAT, limit, "one more");
    }
    j->depth++;
    j->p++;
    j->is_first = true;
    return true;
}

/* In front of a key or an item: takes the comma, or the closing bracket (false). */
static bool go_on(mt_pull *j, char close)
{
    if (j->status != MOTE_OK) return false;
    skip_blanks(j);
    if (j->p < j->end && *j->p == close) {
        j->p++;
        j->depth--;
        j->is_first = false;
        return false;
    }
    if (j->is_first) {
        j->is_first = false;
        return true;
    }
    if (j->p == j->end || *j->p != ',') return fail_here(j, close == '}' ? "',' or '}'" : "',' or ']'");
    j->p++;
    skip_blanks(j);
    return true;
}

mote_status mt_pull_end(mt_pull *j)
{
    if (j->status != MOTE_OK) return j->status;
    skip_blanks(j);
    if (j->p < j->end) fail_here(j, "the end of the text");
    return j->status;
}

/* ---- strings ------------------------------------------------------------------ */

/* Bytes of the UTF-8 character at p, 0: it is none. */
static size_t character(const char *p, const char *end)
{
    const unsigned char *s = (const unsigned char *)p;
    const size_t left = (size_t)(end - p);
    const size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F)) return 0;     /* too long; a surrogate */
    if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)) return 0;     /* too long; too great */
    return n;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The four digits at p, or -1. */
static int32_t unit_at(const char *p, const char *end)
{
    int32_t unit = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_of(p[i]);
        if (digit < 0) return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* The character of an escape whose backslash is at p, and its bytes; n 0: it is none. */
static uint32_t escape_at(const char *p, const char *end, size_t *n)
{
    static const char letters[] = "\"\\/bfnrt", stands[] = "\"\\/\b\f\n\r\t";
    *n = 0;
    if (end - p < 2) return 0;
    const char *at = p[1] ? strchr(letters, p[1]) : NULL;
    if (at) {
        *n = 2;
        return (uint32_t)stands[at - letters];
    }
    const int32_t unit = p[1] == 'u' ? unit_at(p + 2, end) : -1;
    if (unit < 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) return 0;
    if (unit < 0xD800 || unit > 0xDFFF) {
        *n = 6;
        return (uint32_t)unit;
    }
    const int32_t low = end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? unit_at(p + 8, end) : -1;
    if (low < 0xDC00 || low > 0xDFFF) return 0;
    *n = 12;
    return 0x10000 + ((uint32_t)(unit - 0xD800) << 10) + (uint32_t)(low - 0xDC00);
}

/* Walks from behind the opening quote to behind the closing one. */
static bool scan_string(mt_pull *j, mt_str *raw, bool *has_escape)
{
    const char *p = j->p, *const start = p;
    *has_escape = false;
    for (;;) {
        size_t n;
        while (p < j->end && !stops[(unsigned char)*p]) p++;
        j->p = p;
        if (p == j->end) return fail_here(j, "the end of a string");
        if (*p == '"') break;
        if (*p == '\\') {
            *has_escape = true;
            (void)escape_at(p, j->end, &n);
            if (!n) return fail(j, MOTE_EFORMAT, "an escape of JSON", "another after a backslash");
        } else {
            n = character(p, j->end);
            if (!n || (unsigned char)*p < 0x20) return fail_here(j, n ? "no control character" : "UTF-8");
        }
        p += n;
    }
    *raw = (mt_str){ start, (size_t)(p - start) };
    j->p = p + 1;
    return true;
}

static char *put_character(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = { 0, 0xC0, 0xE0, 0xF0 };
    *out++ = (char)(lead[more] | c >> (6 * more));
    for (int i = more - 1; i >= 0; i--) *out++ = (char)(0x80 | (c >> (6 * i) & 0x3F));
    return out;
}

/* The raw text of a string that scan_string took, without its escapes: never longer. */
static bool unescape(mt_pull *j, mt_str raw, mt_str *out)
{
    if (raw.n > j->room_left) {
        const size_t chunk = MT_MAX(raw.n, (size_t)ROOM);
        j->room = j->arena ? mt_arena_push(j->arena, chunk) : NULL;
        j->room_left = j->room ? chunk : 0;
        if (!j->room)
            return fail(j, j->arena ? MOTE_ENOMEM : MOTE_EFORMAT, j->arena ? "memory" : "a string without escapes",
                        j->arena ? "none for a string" : "one with");
    }
    char *to = j->room;
    for (const char *p = raw.p, *const end = p + raw.n; p < end;) {
        size_t n = 1;
        if (*p == '\\') to = put_character(to, escape_at(p, end, &n));
        else *to++ = *p;
        p += n;
    }
    *out = (mt_str){ j->room, (size_t)(to - j->room) };
    j->room_left -= out->n;
    j->room = to;
    return true;
}

static const char *kind_name(mt_pull_kind kind)
{
    switch (kind) {
    case MT_PULL_NONE: break;
    case MT_PULL_OBJECT: return "an object";
    case MT_PULL_ARRAY:  return "an array";
    case MT_PULL_STRING: return "a string";
    case MT_PULL_NUMBER: return "a number";
    case MT_PULL_BOOL:   return "a truth value";
    case MT_PULL_NULL:   return "null";
    }
    return "nothing";
}

mt_pull_kind mt_pull_peek(mt_pull *j)
{
    if (j->status != MOTE_OK) return MT_PULL_NONE;
    skip_blanks(j);
    switch (j->p < j->end ? *j->p : 0) {
    case '{': return MT_PULL_OBJECT;
    case '[': return MT_PULL_ARRAY;
    case '"': return MT_PULL_STRING;
    case 't': case 'f': return MT_PULL_BOOL;
    case 'n': return MT_PULL_NULL;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return MT_PULL_NUMBER;
    case 'N': case 'I':
        if (j->takes_infinity) return MT_PULL_NUMBER;
        break;
    default: break;
    }
    fail_here(j, "a value");
    return MT_PULL_NONE;
}

/* The next value must be of one kind. */
static bool want(mt_pull *j, mt_pull_kind kind)
{
    const mt_pull_kind found = mt_pull_peek(j);
    if (found == kind) return true;
    return found == MT_PULL_NONE ? false : fail(j, MOTE_EFORMAT, kind_name(kind), kind_name(found));
}

bool mt_pull_object(mt_pull *j) { return want(j, MT_PULL_OBJECT) && enter(j); }
bool mt_pull_array(mt_pull *j)  { return want(j, MT_PULL_ARRAY) && enter(j); }
bool mt_pull_item(mt_pull *j)   { return go_on(j, ']'); }

/* A string, its opening quote at the reader's place. */
static bool take_string(mt_pull *j, mt_str *out)
{
    mt_str raw;
    bool has_escape;
    j->p++;
    if (!scan_string(j, &raw, &has_escape)) return false;
    if (has_escape) return unescape(j, raw, out);
    *out = raw;
    return true;
}

bool mt_pull_key(mt_pull *j, mt_str *key)
{
    if (!go_on(j, '}')) return false;
    if (j->p == j->end || *j->p != '"') return fail_here(j, "a key in quotes");
    j->key = (mt_str){ NULL, 0 };
    if (!take_string(j, key)) return false;
    j->key = *key;
    skip_blanks(j);
    if (j->p == j->end || *j->p != ':') return fail_here(j, "':'");
    j->p++;
    return true;
}

bool mt_pull_str(mt_pull *j, mt_str *out) { return want(j, MT_PULL_STRING) && take_string(j, out); }

/* ---- words and numbers --------------------------------------------------------- */

static bool take_word(mt_pull *j, const char *word)
{
    const size_t n = strlen(word);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, word, n) != 0) return fail_here(j, word);
    j->p += n;
    return true;
}

bool mt_pull_bool(mt_pull *j, bool *out)
{
    if (!want(j, MT_PULL_BOOL)) return false;
    *out = *j->p == 't';
    return take_word(j, *out ? "true" : "false");
}

bool mt_pull_null(mt_pull *j) { return want(j, MT_PULL_NULL) && take_word(j, "null"); }

static bool is_digit(const mt_pull *j) { return j->p < j->end && *j->p >= '0' && *j->p <= '9'; }

static bool take_digits(mt_pull *j)
{
    if (!is_digit(j)) return fail_here(j, "a digit");
    while (is_digit(j)) j->p++;
    return true;
}

static bool take_fraction(mt_pull *j)
{
    if (j->p < j->end && *j->p == '.') {
        j->p++;
        if (!take_digits(j)) return false;
    }
    if (j->p < j->end && (*j->p | 0x20) == 'e') {
        j->p++;
        if (j->p < j->end && (*j->p == '+' || *j->p == '-')) j->p++;
        if (!take_digits(j)) return false;
    }
    return true;
}

/* Walks over a number; out->is_int and out->i tell whether its text is an integer that fits. */
static bool take_number(mt_pull *j, mt_str *text, mt_pull_num *out)
{
    const char *const start = j->p;
    const bool minus = *j->p == '-';
    j->p += minus;
    const char *const digits = j->p;
    uint64_t sum = 0;
    if (is_digit(j) && *j->p == '0') j->p++;
    else if (!take_digits(j)) return false;
    const size_t n = (size_t)(j->p - digits);
    for (size_t i = 0; i < n && n <= MAX_DIGITS + 1; i++) sum = sum * 10 + (uint64_t)(digits[i] - '0');
    const char *const whole = j->p;
    if (!take_fraction(j)) return false;
    out->is_int = j->p == whole && n <= MAX_DIGITS + 1 && sum <= (uint64_t)INT64_MAX + minus;
    out->i = !out->is_int ? 0 : minus ? (int64_t)(0 - sum) : (int64_t)sum;
    *text = (mt_str){ start, (size_t)(j->p - start) };
    return true;
}

/* strtod wants a terminated text with the locale's point. */
static bool convert(mt_pull *j, mt_str text, double *out)
{
    char room[MAX_NUMBER + 8];
    if (text.n > MAX_NUMBER) return fail(j, MOTE_EFORMAT, "a number of at most 1024 characters", "a longer one");
    const char *point = localeconv()->decimal_point;
    const size_t n_point = strlen(point);
    const char *dot = memchr(text.p, '.', text.n);
    const size_t before = dot ? (size_t)(dot - text.p) : text.n;
    char *to = room;
    memcpy(to, text.p, before);
    to += before;
    if (dot) {
        if (n_point > 7) return fail(j, MOTE_EUNSUPPORTED, "a locale with a decimal point", "a longer one");
        memcpy(to, point, n_point);
        memcpy(to + n_point, dot + 1, text.n - before - 1);
        to += n_point + text.n - before - 1;
    }
    *to = 0;
    *out = strtod(room, NULL);
    return true;
}

static bool take_infinity(mt_pull *j, double *out)
{
    const bool minus = *j->p == '-';
    j->p += minus;
    const bool is_nan = !minus && j->p < j->end && *j->p == 'N';
    *out = is_nan ? (double)NAN : minus ? -(double)INFINITY : (double)INFINITY;
    return take_word(j, is_nan ? "NaN" : "Infinity");
}

bool mt_pull_number(mt_pull *j, mt_pull_num *out)
{
    mt_str text;
    if (!want(j, MT_PULL_NUMBER)) return false;
    *out = (mt_pull_num){ false, 0, 0 };
    const char *second = j->p + (*j->p == '-');
    if (j->takes_infinity && second < j->end && (*second == 'I' || *second == 'N')) return take_infinity(j, &out->f);
    if (!take_number(j, &text, out)) return false;
    if (!out->is_int) return convert(j, text, &out->f);
    out->f = (double)out->i;
    return true;
}

bool mt_pull_int(mt_pull *j, int64_t *out)
{
    mt_str text;
    mt_pull_num num;
    if (!want(j, MT_PULL_NUMBER) || !take_number(j, &text, &num)) return false;
    if (!num.is_int) {
        char found[32];
        snprintf(found, sizeof found, "%.*s", (int)MT_MIN(text.n, sizeof found - 1), text.p);
        return fail(j, MOTE_EFORMAT, "a 64-bit integer", found);
    }
    *out = num.i;
    return true;
}

bool mt_pull_f64(mt_pull *j, double *out)
{
    mt_pull_num num;
    if (!mt_pull_number(j, &num)) return false;
    *out = num.f;
    return true;
}

/* ---- skipping ------------------------------------------------------------------ */

static bool skip_scalar(mt_pull *j, mt_pull_kind kind)
{
    mt_str text;
    mt_pull_num num;
    bool flag;
    switch (kind) {
    case MT_PULL_STRING:
        j->p++;
        return scan_string(j, &text, &flag);
    case MT_PULL_NUMBER: {
        const char *second = j->p + (*j->p == '-');
        if (j->takes_infinity && second < j->end && (*second == 'I' || *second == 'N')) return take_infinity(j, &num.f);
        return take_number(j, &text, &num);
    }
    case MT_PULL_BOOL: return mt_pull_bool(j, &flag);
    case MT_PULL_NULL: return mt_pull_null(j);
    case MT_PULL_NONE: case MT_PULL_OBJECT: case MT_PULL_ARRAY: break;
    }
    return false;
}

/* A key whose text nobody wants. */
static bool skip_key(mt_pull *j)
{
    mt_str raw;
    bool has_escape;
    if (j->p == j->end || *j->p != '"') return fail_here(j, "a key in quotes");
    j->p++;
    if (!scan_string(j, &raw, &has_escape)) return false;
    skip_blanks(j);
    if (j->p == j->end || *j->p != ':') return fail_here(j, "':'");
    j->p++;
    return true;
}

bool mt_pull_skip(mt_pull *j)
{
    uint64_t objects = 0;       /* bit 0: the innermost open container is an object */
    const int outside = j->depth;
    for (;;) {
        const mt_pull_kind kind = mt_pull_peek(j);
        if (kind == MT_PULL_OBJECT || kind == MT_PULL_ARRAY) {
            if (!enter(j)) return false;
            objects = objects << 1 | (kind == MT_PULL_OBJECT);
        } else if (!skip_scalar(j, kind)) {
            return false;
        }
        for (;;) {              /* closes what is over; stops in front of the next value */
            if (j->depth == outside) return j->status == MOTE_OK;
            const bool is_object = objects & 1;
            if (go_on(j, is_object ? '}' : ']')) {
                if (is_object && !skip_key(j)) return false;
                break;
            }
            if (j->status != MOTE_OK) return false;
            objects >>= 1;
        }
    }
}

bool mt_pull_raw(mt_pull *j, mt_str *out)
{
    if (mt_pull_peek(j) == MT_PULL_NONE) return false;
    const char *const start = j->p;
    if (!mt_pull_skip(j)) return false;
    *out = (mt_str){ start, (size_t)(j->p - start) };
    return true;
}
