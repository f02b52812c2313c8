/* SPDX-License-Identifier: MIT */
/* json_pull.h - strict JSON, read value by value as the caller asks for it.
 *
 *   mt_pull j;
 *   mt_str  key;
 *   int64_t layers = 0;
 *   mt_pull_init(&j, text, "config.json", 32, &arena, err);
 *   mt_pull_object(&j);
 *   while (mt_pull_key(&j, &key)) {
 *       if (mt_str_is(key, "n_layer")) mt_pull_int(&j, &layers);
 *       else mt_pull_skip(&j);
 *   }
 *   MT_TRY(mt_pull_end(&j));
 *
 * Nothing is built: the cost is one walk over the text, and memory only for strings with escapes.
 * Behind each key and each item the caller reads exactly one value, with one call or, for a container,
 * with mt_pull_object / mt_pull_array and the loop that ends it.  The first failure fills err and sticks:
 * every later call returns false at once, so a loop ends by itself and mt_pull_end tells.  A copy of the
 * struct is a bookmark: assign it back to read the same values again.
 *
 * Strict: RFC 8259, UTF-8 without overlong forms or surrogates, no text behind the value, depth limited.
 * Not checked: keys that appear twice.  Nothing here recurses. */
#ifndef MT_JSON_PULL_H
#define MT_JSON_PULL_H

#include "base/base.h"

enum { MT_PULL_MAX_DEPTH = 64 };

typedef enum mt_pull_kind {
    MT_PULL_NONE,               /* a failure, or no value there */
    MT_PULL_OBJECT, MT_PULL_ARRAY, MT_PULL_STRING, MT_PULL_NUMBER, MT_PULL_BOOL, MT_PULL_NULL
} mt_pull_kind;

typedef struct mt_pull {
    const char *p, *end, *start;
    const char *what;           /* the text's name in sentences */
    mt_arena   *arena;          /* takes strings that had escapes; NULL: such a string is a failure */
    char       *room; size_t room_left;      /* rest of the newest chunk for them */
    mt_str      key;            /* newest key, for sentences */
    mote_error *err;
    mote_status status;         /* of the first failure */
    int         depth, max_depth;            /* open containers; at most */
    bool        is_first;       /* nothing was read in the innermost container yet */
    bool        takes_infinity; /* set it to accept NaN, Infinity and -Infinity, as Python writes them */
} mt_pull;

/* Text, what and the arena outlive the reader; max_depth is at most MT_PULL_MAX_DEPTH. */
void mt_pull_init(mt_pull *j, mt_str text, const char *what, int max_depth, mt_arena *arena, mote_error *err);

/* The kind of the value that comes next, by its first byte; a failure when no value can begin so. */
mt_pull_kind mt_pull_peek(mt_pull *j);

/* Enter a container; false: the value is something else, which is a failure. */
bool mt_pull_object(mt_pull *j);
bool mt_pull_array(mt_pull *j);
/* The next key, its value comes next; false: the object is closed, or a failure. */
bool mt_pull_key(mt_pull *j, mt_str *key);
/* Is there another item?  Its value comes next.  false: the array is closed, or a failure. */
bool mt_pull_item(mt_pull *j);

/* One value of a given type.  A string without escapes is a view into the text, else into the arena; it
 * may hold zero bytes. */
bool mt_pull_str(mt_pull *j, mt_str *out);
bool mt_pull_bool(mt_pull *j, bool *out);
bool mt_pull_null(mt_pull *j);
bool mt_pull_int(mt_pull *j, int64_t *out);     /* without fraction and exponent, and it fits */
bool mt_pull_f64(mt_pull *j, double *out);      /* any number */
typedef struct mt_pull_num { bool is_int; int64_t i; double f; } mt_pull_num;
/* Either; is_int: written as an integer and it fits i.  f is set in any case. */
bool mt_pull_number(mt_pull *j, mt_pull_num *out);

/* Any value, checked as strictly as if it were read. */
bool mt_pull_skip(mt_pull *j);
bool mt_pull_raw(mt_pull *j, mt_str *out);      /* the same; its text, a view */

/* Only blanks are left; the status of the whole. */
mote_status mt_pull_end(mt_pull *j);
/* For the caller's own rules: fails the reader here, with "what: key: expected ..., found ...". */
bool mt_pull_expect(mt_pull *j, const char *expected, const char *found);

#endif
