/* SPDX-License-Identifier: MIT */
/* jinja_parse.h - what the two halves of the parser share.
 *
 * The current token is p->cur; every mt_jp_ function that reads something leaves the token
 * behind it current.  Nodes and lists live in p->arena. */
#ifndef MT_JINJA_PARSE_H
#define MT_JINJA_PARSE_H

#include "text/jinja.h"

typedef struct mt_jparser {
    mt_jlex   lex;
    mt_jtoken cur, ahead;
    bool      has_ahead;
    int       depth, n_loop, n_soft; /* n_soft: conditions around; an unknown filter may wait */
    const mt_jnode *unknown;      /* first filter or test nobody knows, outside conditions */
    unsigned  implicit;           /* MT_JM_*: seen in the macro being read */
    mt_arena *arena;
    mote_error *err;
} mt_jparser;
typedef struct mt_jkids { mt_jnode **v; uint32_t n, cap; } mt_jkids;

mote_status mt_jp_fail(const mt_jparser *p, uint32_t line, const char *fmt, ...)
    MT_PRINTF(3, 4);
mote_status mt_jp_enter(mt_jparser *p);           /* one level deeper; p->depth-- leaves it */
mote_status mt_jp_next(mt_jparser *p);
bool        mt_jp_is_op(const mt_jtoken *t, const char *op);
bool        mt_jp_is_name(const mt_jtoken *t, const char *word);
mote_status mt_jp_unexpected(const mt_jparser *p, const char *wanted);
mote_status mt_jp_expect(mt_jparser *p, mt_jtok type, const char *wanted);
mote_status mt_jp_expect_op(mt_jparser *p, const char *op);
mote_status mt_jp_name(mt_jparser *p, mt_str *out);
mote_status mt_jp_add(mt_jparser *p, mt_jkids *l, mt_jnode *n);
mote_status mt_jp_make(mt_jparser *p, mt_jkind kind, uint32_t line, const mt_jkids *kids,
                       mt_jnode **out);
/* A node of n <= 3 kids; a NULL kid is kept. */
mote_status mt_jp_make_of(mt_jparser *p, mt_jkind kind, uint32_t line, uint32_t n, mt_jnode *a,
                          mt_jnode *b, mt_jnode *c, mt_jnode **out);

mote_status mt_jp_primary(mt_jparser *p, bool may_ref, mt_jnode **out);
/* One expression, or a tuple when commas follow; ends before end_word, %}, }} and ). */
enum { MT_JP_TARGET = 1, MT_JP_NO_COND = 2, MT_JP_PARENS = 4, MT_JP_REF = 8 };
mote_status mt_jp_tuple(mt_jparser *p, unsigned flags, const char *end_word, mt_jnode **out);
mote_status mt_jp_expression(mt_jparser *p, bool with_cond, mt_jnode **out);
mote_status mt_jp_filter(mt_jparser *p, mt_jnode **out); /* from its name on */
mote_status mt_jp_chain(mt_jparser *p, const mt_jkids *steps, mt_jnode **out);

#endif
