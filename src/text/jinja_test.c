/* SPDX-License-Identifier: MIT */
/* jinja_test.c - the tests behind `is`.  Their answers are plain booleans whatever they
 * looked at. */
#include <string.h>

#include "text/jinja.h"

#define TEST(name)                                                                             \
    static mote_status name(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
/* A test that only looks at the value. */
#define PLAIN(name, condition)               \
    TEST(name)                               \
    {                                        \
        const mt_jv *v = &a[0];              \
        (void)r;                             \
        (void)raw;                           \
        *out = mt_j_bool(condition);         \
        return MOTE_OK;                      \
    }

PLAIN(t_defined, v->type != MT_J_UNDEF)
PLAIN(t_undefined, v->type == MT_J_UNDEF)
PLAIN(t_none, v->type == MT_J_NONE)
PLAIN(t_boolean, v->type == MT_J_BOOL)
PLAIN(t_true, v->type == MT_J_BOOL && v->u.b)
PLAIN(t_false, v->type == MT_J_BOOL && !v->u.b)
PLAIN(t_integer, v->type == MT_J_INT)
PLAIN(t_float, v->type == MT_J_FLOAT)
PLAIN(t_number, v->type == MT_J_INT || v->type == MT_J_FLOAT || v->type == MT_J_BOOL)
PLAIN(t_string, v->type == MT_J_STR)
PLAIN(t_mapping, v->type == MT_J_DICT)
PLAIN(t_iterable, mt_j_iterable(v))
PLAIN(t_sequence, mt_j_has_len(v) && v->type != MT_J_VIEW && v->type != MT_J_LOOP)
PLAIN(t_callable, v->type == MT_J_MACRO || v->type == MT_J_FUNC || v->type == MT_J_BOUND ||
                  v->type == MT_J_JOINER || v->type == MT_J_LOOP || v->type == MT_J_UNDEF)
PLAIN(t_escaped, v->type == MT_J_STR && v->sub)
PLAIN(t_filter, v->type == MT_J_STR && mt_j_filter((mt_str){ v->u.s->p, v->u.s->n }) != NULL)
PLAIN(t_test, v->type == MT_J_STR && mt_j_test((mt_str){ v->u.s->p, v->u.s->n }) != NULL)

static mote_status remainder_is(mt_jrun *r, const mt_jv *v, const mt_jv *by, int64_t wanted,
                                mt_jv *out)
{
    mt_jv rest, want = mt_j_int(wanted, false);
    bool eq;
    MT_TRY(mt_j_math(r, MT_JO_MOD, v, by, &rest));
    MT_TRY(mt_j_eq(r, &rest, &want, &eq));
    *out = mt_j_bool(eq);
    return MOTE_OK;
}

TEST(t_odd)
{
    const mt_jv two = mt_j_int(2, false);
    (void)raw;
    return remainder_is(r, &a[0], &two, 1, out);
}

TEST(t_even)
{
    const mt_jv two = mt_j_int(2, false);
    (void)raw;
    return remainder_is(r, &a[0], &two, 0, out);
}

TEST(t_divisibleby)
{
    (void)raw;
    return remainder_is(r, &a[0], &a[1], 0, out);
}

static mote_status cased(mt_jrun *r, const mt_jv *v, bool upper, mt_jv *out)
{
    mt_jv s;
    MT_TRY(mt_j_str(r, v, &s));
    MT_TRY(mt_j_charge(r, s.u.s->n));
    *out = mt_j_bool(mt_j_is_cased(s.u.s, upper));
    return MOTE_OK;
}

TEST(t_lower) { (void)raw; return cased(r, &a[0], false, out); }
TEST(t_upper) { (void)raw; return cased(r, &a[0], true, out); }

static mote_status compare(mt_jrun *r, const mt_jv *a, mt_jop op, mt_jv *out)
{
    bool b;
    MT_TRY(mt_j_compare(r, op, &a[0], &a[1], &b));
    *out = mt_j_bool(b);
    return MOTE_OK;
}

TEST(t_eq) { (void)raw; return compare(r, a, MT_JO_EQ, out); }
TEST(t_ne) { (void)raw; return compare(r, a, MT_JO_NE, out); }
TEST(t_lt) { (void)raw; return compare(r, a, MT_JO_LT, out); }
TEST(t_le) { (void)raw; return compare(r, a, MT_JO_LE, out); }
TEST(t_gt) { (void)raw; return compare(r, a, MT_JO_GT, out); }
TEST(t_ge) { (void)raw; return compare(r, a, MT_JO_GE, out); }
TEST(t_in) { (void)raw; return compare(r, a, MT_JO_IN, out); }

/* Identity: of values that have one; equal scalars of one type count as the same object. */
TEST(t_sameas)
{
    bool same = a[0].type == a[1].type;
    (void)raw;
    if (same && (a[0].type <= MT_J_FLOAT || a[0].type == MT_J_STR)) {
        if (a[0].type != MT_J_UNDEF) MT_TRY(mt_j_eq(r, &a[0], &a[1], &same));
        else same = a[0].u.u == a[1].u.u;
    } else if (same) {
        same = a[0].u.d == a[1].u.d;
    }
    *out = mt_j_bool(same);
    return MOTE_OK;
}

static const mt_jproc tests[] = {
    { "defined", t_defined, "", 0 },
    { "undefined", t_undefined, "", 0 },
    { "none", t_none, "", 0 },
    { "boolean", t_boolean, "", 0 },
    { "true", t_true, "", 0 },
    { "false", t_false, "", 0 },
    { "integer", t_integer, "", 0 },
    { "float", t_float, "", 0 },
    { "number", t_number, "", 0 },
    { "string", t_string, "", 0 },
    { "mapping", t_mapping, "", 0 },
    { "iterable", t_iterable, "", 0 },
    { "sequence", t_sequence, "", 0 },
    { "callable", t_callable, "", 0 },
    { "escaped", t_escaped, "", 0 },
    { "filter", t_filter, "", 0 },
    { "test", t_test, "", 0 },
    { "odd", t_odd, "", 0 },
    { "even", t_even, "", 0 },
    { "divisibleby", t_divisibleby, "num", 1 },
    { "lower", t_lower, "", 0 },
    { "upper", t_upper, "", 0 },
    { "sameas", t_sameas, "other", 1 },
    { "in", t_in, "seq", 1 },
    { "eq", t_eq, "b", 1 },
    { "==", t_eq, "b", 1 },
    { "equalto", t_eq, "b", 1 },
    { "ne", t_ne, "b", 1 },
    { "!=", t_ne, "b", 1 },
    { "lt", t_lt, "b", 1 },
    { "<", t_lt, "b", 1 },
    { "lessthan", t_lt, "b", 1 },
    { "le", t_le, "b", 1 },
    { "<=", t_le, "b", 1 },
    { "gt", t_gt, "b", 1 },
    { ">", t_gt, "b", 1 },
    { "greaterthan", t_gt, "b", 1 },
    { "ge", t_ge, "b", 1 },
    { ">=", t_ge, "b", 1 },
};

const mt_jproc *mt_j_test(mt_str name) { return mt_j_proc(tests, MT_COUNT(tests), name); }
