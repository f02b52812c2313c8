/* SPDX-License-Identifier: MIT */
/* json_pull.h - strict JSON, read value by value as the caller asks for it.
 *
 *   mt_json j;
 *   mt_str  key;
 *   int64_t layers = 0;
 *   mt_json_init(&j, text, "config.json", 32, &arena, err);
 *   mt_json_object(&j);
 *   while (mt_json_key(&j, &key)) {
 *       if (mt_str_is(key, "n_layer")) mt_json_int(&j, &layers);
 *       else mt_json_skip(&j);
 *   }
 *   MT_TRY(mt_json_end(&j));
 *
 * Nothing is built: the cost is one walk over the text, and memory only for strings with escapes.
 * Behind each key and each item the caller reads exactly one value, with one call or, for a container,
 * with mt_json_object / mt_json_array and the loop that ends it.  The first failure fills err and sticks:
 * every later call returns false at once, so a loop ends by itself and mt_json_end tells.  A copy of the
 * struct is a bookmark: assign it back to read the same values again.
 *
 * Strict: RFC 8259, UTF-8 without overlong forms or surrogates, no text behind the value, depth limited.
 * Not checked: keys that appear twice.  Nothing here recurses. */
#ifndef MT_JSON_PULL_H
#define MT_JSON_PULL_H

#include "base/base.h"

enum { MT_JSON_MAX_DEPTH = 64 };

typedef enum mt_json_kind {
    MT_JSON_NONE,               /* a failure, or no value there */
    MT_JSON_OBJECT, MT_JSON_ARRAY, MT_JSON_STRING, MT_JSON_NUMBER, MT_JSON_BOOL, MT_JSON_NULL
} mt_json_kind;

typedef struct mt_json {
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
} mt_json;

/* Text, what and the arena outlive the reader; max_depth is at most MT_JSON_MAX_DEPTH. */
void mt_json_init(mt_json *j, mt_str text, const char *what, int max_depth, mt_arena *arena, mote_error *err);

/* The kind of the value that comes next, by its first byte; a failure when no value can begin so. */
mt_json_kind mt_json_peek(mt_json *j);

/* Enter a container; false: the value is something else, which is a failure. */
bool mt_json_object(mt_json *j);
bool mt_json_array(mt_json *j);
/* The next key, its value comes next; false: the object is closed, or a failure. */
bool mt_json_key(mt_json *j, mt_str *key);
/* Is there another item?  Its value comes next.  false: the array is closed, or a failure. */
bool mt_json_item(mt_json *j);

/* One value of a given type.  A string without escapes is a view into the text, else into the arena; it
 * may hold zero bytes. */
bool mt_json_str(mt_json *j, mt_str *out);
bool mt_json_bool(mt_json *j, bool *out);
bool mt_json_null(mt_json *j);
bool mt_json_int(mt_json *j, int64_t *out);     /* without fraction and exponent, and it fits */
bool mt_json_f64(mt_json *j, double *out);      /* any number */
typedef struct mt_json_num { bool is_int; int64_t i; double f; } mt_json_num;
/* Either; is_int: written as an integer and it fits i.  f is set in any case. */
bool mt_json_number(mt_json *j, mt_json_num *out);

/* Any value, checked as strictly as if it were read. */
bool mt_json_skip(mt_json *j);
bool mt_json_raw(mt_json *j, mt_str *out);      /* the same; its text, a view */

/* Only blanks are left; the status of the whole. */
mote_status mt_json_end(mt_json *j);
/* For the caller's own rules: fails the reader here, with "what: key: expected ..., found ...". */
bool mt_json_expect(mt_json *j, const char *expected, const char *found);

#endif
