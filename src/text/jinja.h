/* SPDX-License-Identifier: MIT */
/* jinja.h - inside the chat template interpreter: values, syntax tree, run state.
 *
 * Source -> jinja_lex -> jinja_parse -> tree (once, in mt_template_open), tree + variables ->
 * jinja_eval -> output bytes, each with a mark: 1 for bytes the template's author wrote, 0 for
 * bytes that came from a user.  A string carries its marks through every filter and method;
 * when an operation cannot tell bytes apart the result is unmarked.
 *
 * Memory: everything a render makes sits in one heap that only grows, except that a loop
 * iteration or a macro call gives back what it made when nothing it made could be reached
 * afterwards (mt_jrun.escapes).  Both the program and its data are hostile, so every loop,
 * every depth and every byte is charged against the limits below. */
#ifndef MT_JINJA_H
#define MT_JINJA_H

#include "base/base.h"
#include "text/text.h"

enum {
    MT_J_SOURCE = 1 << 20,        /* bytes of template source */
    MT_J_PARSE_DEPTH = 128,       /* nested expressions and statements */
    MT_J_MACRO_DEPTH = 64,
    MT_J_EVAL_DEPTH = 1200,       /* nested tree nodes over all macro calls: bounds the stack */
    MT_J_DATA_DEPTH = 128,        /* nested lists and dicts */
    MT_J_STEPS = 10 * 1000 * 1000,
    MT_J_OUTPUT = 32 << 20,
    MT_J_HEAP = 128 << 20,
    MT_J_RANGE = 1 << 20,
    MT_J_ARGS = 8                 /* parameters of a built-in filter or method */
};

/* ---- values ------------------------------------------------------------- */
typedef enum mt_jtype {
    MT_J_ABSENT, MT_J_UNDEF, MT_J_NONE, MT_J_BOOL, MT_J_INT, MT_J_FLOAT, MT_J_STR,
    MT_J_LIST, MT_J_TUPLE, MT_J_VIEW, MT_J_GEN, MT_J_DICT, MT_J_RANGE_OBJ, MT_J_SPACE,
    MT_J_MACRO, MT_J_FUNC, MT_J_BOUND, MT_J_LOOP, MT_J_CYCLER, MT_J_JOINER
} mt_jtype;
enum { MT_J_KEYS, MT_J_VALUES, MT_J_ITEMS };      /* sub of MT_J_VIEW */

typedef struct mt_jrun mt_jrun;
typedef struct mt_jnode mt_jnode;
typedef struct mt_jscope mt_jscope;
typedef struct mt_jstr mt_jstr;
typedef struct mt_jlist mt_jlist;
typedef struct mt_jgen mt_jgen;
typedef struct mt_jdict mt_jdict;
typedef struct mt_jrange mt_jrange;
typedef struct mt_jmacro mt_jmacro;
typedef struct mt_jbound mt_jbound;
typedef struct mt_jloop mt_jloop;
typedef struct mt_jcycler mt_jcycler;
typedef struct mt_jundef mt_jundef;
typedef struct mt_jproc mt_jproc;

typedef struct mt_jv {
    uint8_t type;                 /* mt_jtype */
    uint8_t sub;                  /* view: which; tuple: 1 made by groupby; string: 1 markup */
    bool    tainted;              /* scalars and containers: came from an untrusted variable */
    union {
        bool b;
        int64_t i;
        double f;
        mt_jstr *s;
        mt_jlist *l;              /* list, tuple, view */
        mt_jgen *g;
        mt_jdict *d;              /* dict, namespace */
        mt_jrange *r;
        mt_jmacro *m;
        const mt_jproc *p;
        mt_jbound *bound;
        mt_jloop *loop;
        mt_jcycler *c;            /* cycler, joiner */
        mt_jundef *u;             /* may be NULL */
    } u;
} mt_jv;

/* Marks of a string: NULL all untrusted, MT_J_TRUSTED all trusted, else one byte per byte. */
extern const uint8_t mt_j_trusted[1];
#define MT_J_TRUSTED (mt_j_trusted)

/* A growing string.  A string that ends where its buffer ends is extended in place, so that
 * `ns.text = ns.text + part` costs the part and not the text. */
typedef struct mt_jbuf {
    char    *p;
    uint8_t *t;                   /* NULL while all bytes so far have the same mark */
    size_t   n, cap;
    bool     is_trusted;          /* that mark */
} mt_jbuf;
struct mt_jstr {
    const char    *p;             /* n bytes of valid UTF-8, not terminated */
    const uint8_t *t;
    size_t   n;
    size_t   n_char;              /* code points; SIZE_MAX: not counted yet */
    mt_jbuf *buf;                 /* or NULL: a view */
};
struct mt_jlist { const mt_jv *v; size_t n; };
struct mt_jgen  { const mt_jv *v; size_t n, at; };           /* consumed once */
struct mt_jrange { int64_t start, stop, step; size_t n; bool tainted; };
typedef struct mt_jpair { mt_jv k, v; uint64_t hash; } mt_jpair;
struct mt_jdict {
    mt_jpair *e;                  /* in order of insertion */
    size_t    n, cap;
    uint32_t *slot;               /* index + 1 by hash once n > 8; n_slot a power of two */
    size_t    n_slot;
};
struct mt_jmacro { const mt_jnode *node; mt_jscope *scope; };
struct mt_jbound { mt_jv self; const mt_jproc *proc; };
struct mt_jcycler { const mt_jv *v; size_t n, at; };
struct mt_jundef { const char *hint; mt_jv obj, key; bool is_unsafe; };

/* Never allocates while it runs: a for loop's items outlive the iterations that ask for
 * them. */
typedef struct mt_jiter {
    const mt_jv *v;
    const mt_jdict *d;
    const mt_jrange *r;
    mt_jgen *g;
    size_t n, at;
} mt_jiter;
struct mt_jloop {
    mt_jiter it;
    int64_t  index0;
    mt_jv    before, current, after;
    bool     has_after;           /* `after` holds a peeked item, ABSENT at the end */
    int64_t  length;              /* -1: not known yet */
    mt_jv    last_changed;
    mt_jscope *scope;             /* where the loop's `if` is evaluated */
    const mt_jnode *node;
};

/* ---- calls -------------------------------------------------------------- */
typedef struct mt_jkw { mt_str name; bool tainted; mt_jv v; } mt_jkw; /* tainted: the name */
typedef struct mt_jargs { const mt_jv *v; size_t n; const mt_jkw *k; size_t n_k; } mt_jargs;
/* a[0] is the filtered value or the method's object; a[1...] the parameters in table order,
 * ABSENT where not given; raw the call as written. */
typedef mote_status (*mt_jfn)(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out);
struct mt_jproc {
    const char *name;
    mt_jfn      fn;
    const char *params;           /* "sep maxsplit"; "*": takes what comes, reads raw */
    int         n_need;           /* parameters without a default */
};

/* ---- syntax tree --------------------------------------------------------- */
typedef enum mt_jkind {
    /* statements; kids in brackets */
    MT_JN_BODY,                   /* [statement...] */
    MT_JN_DATA,                   /* text */
    MT_JN_PRINT,                  /* [expression] */
    MT_JN_FOR,                    /* [target, iterable, test or NULL, body, else or NULL] */
    MT_JN_IF,                     /* [test, body, test, body, ..., else body when odd] */
    MT_JN_SET,                    /* [target, expression] */
    MT_JN_SETBLOCK,               /* [target, filters or NULL, body] */
    MT_JN_WITH,                   /* [target, value, ..., body] */
    MT_JN_MACRO,                  /* text name; op: implicit arguments; [param..., body] */
    MT_JN_CALLBLOCK,              /* [call, macro] */
    MT_JN_FILTERBLOCK,            /* [filters, body] */
    MT_JN_GENERATION,             /* [body]: a scope of its own, no output */
    MT_JN_BREAK, MT_JN_CONTINUE,
    /* expressions */
    MT_JN_CONST,                  /* value */
    MT_JN_NAME,                   /* text, hash */
    MT_JN_NSREF,                  /* text name, [attribute name]: only a target */
    MT_JN_CAPTURED,               /* the block a filter block or block set filters */
    MT_JN_LIST, MT_JN_TUPLE,      /* [item...] */
    MT_JN_DICT,                   /* [key, value, ...] */
    MT_JN_COND,                   /* [test, then, else or NULL] */
    MT_JN_OR, MT_JN_AND, MT_JN_CONCAT, /* [operand...] */
    MT_JN_NOT, MT_JN_NEG, MT_JN_POS,
    MT_JN_COMPARE, MT_JN_MATH,    /* [operand...], ops: n - 1 of mt_jop */
    MT_JN_SLICE,                  /* [start, stop, step], each or NULL */
    MT_JN_CHAIN,                  /* [value, step...] */
    /* steps of a chain */
    MT_JN_ATTR,                   /* text */
    MT_JN_ITEM,                   /* [key] */
    MT_JN_CALL,                   /* [argument...] */
    MT_JN_FILTER, MT_JN_TEST,     /* proc or NULL, text name, [argument...]; op: negated */
    MT_JN_ARG,                    /* [value], op: mt_jarg, text keyword */
    MT_JN_PARAM                   /* text, hash, [default or NULL] */
} mt_jkind;
typedef enum mt_jop {
    MT_JO_ADD, MT_JO_SUB, MT_JO_MUL, MT_JO_DIV, MT_JO_FLOORDIV, MT_JO_MOD, MT_JO_POW,
    MT_JO_EQ, MT_JO_NE, MT_JO_LT, MT_JO_LE, MT_JO_GT, MT_JO_GE, MT_JO_IN, MT_JO_NOTIN
} mt_jop;
enum { MT_JA_POS, MT_JA_KEYWORD, MT_JA_STAR, MT_JA_STARSTAR };
enum { MT_JM_CALLER = 1, MT_JM_VARARGS = 2, MT_JM_KWARGS = 4 };

struct mt_jnode {
    uint8_t  kind, op;
    uint32_t line, n, hash;
    mt_jnode **kid;
    const uint8_t *ops;
    mt_str   text;
    union { mt_jv value; const mt_jproc *proc; } u;
};

struct mt_template { mt_arena arena; mt_str source; const mt_jnode *root; };

/* ---- lexer and parser ------------------------------------------------------ */
typedef enum mt_jtok {
    MT_JT_EOF, MT_JT_DATA, MT_JT_VAR_BEGIN, MT_JT_VAR_END, MT_JT_BLOCK_BEGIN, MT_JT_BLOCK_END,
    MT_JT_NAME, MT_JT_STRING, MT_JT_INT, MT_JT_FLOAT, MT_JT_OP
} mt_jtok;
typedef struct mt_jtoken {
    mt_jtok  type;
    uint32_t line;
    mt_str   text;                /* string: unescaped; operator: as written */
    int64_t  i;
    double   f;
} mt_jtoken;
typedef struct mt_jlex {
    mt_str   src;                 /* newlines are \n, the last one is cut */
    size_t   at;
    uint32_t line;
    int      state;
    bool     line_starting;
    char     open[MT_J_PARSE_DEPTH];
    int      n_open;
    mt_jtoken pending;
    bool     has_pending;
    mt_arena *arena;
    mote_error *err;
} mt_jlex;
mote_status mt_j_lex_open(mt_jlex *x, mt_str source, mt_arena *arena, mote_error *err);
mote_status mt_j_lex_next(mt_jlex *x, mt_jtoken *out);
mote_status mt_j_parse(mt_str source, mt_arena *arena, const mt_jnode **root, mote_error *err);

/* ---- run ------------------------------------------------------------------- */
typedef struct mt_jvar { mt_str name; uint32_t hash; mt_jv v; } mt_jvar;
struct mt_jscope { mt_jscope *up; mt_jvar *var; size_t n, cap; };
typedef struct mt_jmark { mt_arena_mark arena; char *at, *end; uint64_t escapes; } mt_jmark;
struct mt_jrun {
    mt_arena heap;
    char    *at, *end;            /* the free rest of a small piece of heap */
    mt_buf   out, marks;          /* output, one mark per byte; captured blocks at its end */
    size_t   steps;
    uint64_t escapes;             /* grows when something older can reach a value */
    uint32_t line;
    int      depth, macro_depth;
    int      flow;                /* 0, MT_JN_BREAK or MT_JN_CONTINUE on its way to the loop */
    mt_jdict *vars;
    mt_jv    captured;
    double   now;
    mote_error *err;
};
mote_status mt_j_fail(mt_jrun *r, mote_status code, const char *fmt, ...) MT_PRINTF(3, 4);
mote_status mt_j_limit(mt_jrun *r, const char *what, long long limit);
/* One step for each unit of work plus one for every 32 bytes or items touched. */
mote_status mt_j_charge(mt_jrun *r, size_t n);
void       *mt_j_get(mt_jrun *r, size_t bytes);    /* NULL: mt_j_nomem says why */
mote_status mt_j_nomem(mt_jrun *r, size_t bytes);
mt_jmark    mt_j_mark(mt_jrun *r);
void        mt_j_rewind(mt_jrun *r, const mt_jmark *m); /* nothing when a value escaped since */
mote_status mt_j_emit(mt_jrun *r, const char *p, size_t n, const uint8_t *t);
mote_status mt_j_exec(mt_jrun *r, mt_jscope *s, const mt_jnode *n);
mote_status mt_j_eval(mt_jrun *r, mt_jscope *s, const mt_jnode *n, mt_jv *out);
mote_status mt_j_call(mt_jrun *r, const mt_jv *f, const mt_jargs *a, mt_jv *out);
mote_status mt_j_invoke(mt_jrun *r, const mt_jproc *p, const mt_jv *self, const mt_jargs *raw,
                        mt_jv *out);
bool        mt_j_global(mt_str name, mt_jv *out);
mote_status mt_j_loop_attr(mt_jrun *r, mt_jloop *l, mt_str name, mt_jv *out);

/* ---- values: make, ask, convert ------------------------------------------------ */
mt_jv mt_j_none(void);
mt_jv mt_j_bool(bool b);
mt_jv mt_j_int(int64_t i, bool tainted);
mt_jv mt_j_float(double f, bool tainted);
/* A view. */
mote_status mt_j_text(mt_jrun *r, const char *p, size_t n, const uint8_t *t, mt_jv *out);
mote_status mt_j_undef(mt_jrun *r, const char *hint, mt_jv *out);       /* hint: static */
mote_status mt_j_undef_of(mt_jrun *r, const mt_jv *obj, const mt_jv *key, bool is_unsafe,
                          mt_jv *out);
mote_status mt_j_undef_fail(mt_jrun *r, const mt_jv *v);
mote_status mt_j_list(mt_jrun *r, mt_jtype type, size_t n, mt_jv **items, mt_jv *out);
mote_status mt_j_gen(mt_jrun *r, const mt_jv *items, size_t n, mt_jv *out);
mote_status mt_j_dict(mt_jrun *r, size_t cap, mt_jv *out);
mote_status mt_j_dict_set(mt_jrun *r, mt_jdict *d, const mt_jv *k, const mt_jv *v);
/* *v NULL: no such key. */
mote_status mt_j_dict_get(mt_jrun *r, const mt_jdict *d, const mt_jv *k, const mt_jv **v);
const mt_jv *mt_j_dict_text(const mt_jdict *d, mt_str k);
const char *mt_j_type_name(const mt_jv *v);
bool        mt_j_truth(const mt_jv *v);
bool        mt_j_tainted(const mt_jv *v);         /* has at least one untrusted byte */
bool        mt_j_num(const mt_jv *v, double *f);  /* bool, int, float */
bool        mt_j_integer(const mt_jv *v, int64_t *i); /* bool, int */
mote_status mt_j_len(mt_jrun *r, const mt_jv *v, int64_t *n); /* what len() gives */
bool        mt_j_has_len(const mt_jv *v);
mote_status mt_j_eq(mt_jrun *r, const mt_jv *a, const mt_jv *b, bool *eq);
mote_status mt_j_less(mt_jrun *r, const mt_jv *a, const mt_jv *b, const char *op, int *order);
mote_status mt_j_contains(mt_jrun *r, const mt_jv *seq, const mt_jv *v, bool *found);
bool        mt_j_iterable(const mt_jv *v);
mote_status mt_j_iter(mt_jrun *r, const mt_jv *v, mt_jiter *it);
bool        mt_j_next(mt_jiter *it, mt_jv *out);
size_t      mt_j_left(const mt_jiter *it);
/* All that is left to iterate; a generator is used up. */
mote_status mt_j_items(mt_jrun *r, const mt_jv *v, const mt_jv **items, size_t *n);
mote_status mt_j_math(mt_jrun *r, mt_jop op, const mt_jv *a, const mt_jv *b, mt_jv *out);
mote_status mt_j_compare(mt_jrun *r, mt_jop op, const mt_jv *a, const mt_jv *b, bool *out);

/* ---- strings ------------------------------------------------------------------- */
mt_jbuf    *mt_j_buf(mt_jrun *r, size_t hint);
mote_status mt_j_put(mt_jrun *r, mt_jbuf *b, const char *p, size_t n, const uint8_t *t);
mote_status mt_j_put_str(mt_jrun *r, mt_jbuf *b, const mt_jstr *s);
mote_status mt_j_done(mt_jrun *r, mt_jbuf *b, mt_jv *out);
mote_status mt_j_sub(mt_jrun *r, const mt_jstr *s, size_t from_byte, size_t n, mt_jv *out);
mote_status mt_j_concat(mt_jrun *r, const mt_jv *a, const mt_jv *b, mt_jv *out); /* strings */
mote_status mt_j_str(mt_jrun *r, const mt_jv *v, mt_jv *out);   /* str(v) */
mote_status mt_j_repr(mt_jrun *r, mt_jbuf *b, const mt_jv *v, const uint8_t *t);
mote_status mt_j_put_value(mt_jrun *r, mt_jbuf *b, const mt_jv *v); /* str(v) appended */
bool        mt_j_deep_tainted(mt_jrun *r, const mt_jv *v, int depth);
size_t      mt_j_chars(mt_jstr *s);
size_t      mt_j_offset(mt_jstr *s, size_t index);  /* byte offset of a code point */
const char *mt_j_find(const char *p, size_t n, const char *q, size_t m);
uint32_t    mt_j_decode(const char *p, size_t n, size_t *len);
size_t      mt_j_encode(uint32_t cp, char out[4]);
bool        mt_j_valid(const char *p, size_t n);
bool        mt_j_is_space(uint32_t cp);
bool        mt_j_is_line_end(uint32_t cp);
bool        mt_j_is_word(uint32_t cp);
bool        mt_j_is_printable(uint32_t cp);
typedef enum mt_jcase { MT_J_LOWER, MT_J_UPPER, MT_J_TITLE } mt_jcase;
size_t      mt_j_case(mt_jcase what, uint32_t cp, uint32_t out[3]); /* full case mapping */
mote_status mt_j_recase(mt_jrun *r, const mt_jstr *s, mt_jcase what, mt_jv *out);
mote_status mt_j_strip(mt_jrun *r, const mt_jstr *s, const mt_jv *chars, bool left, bool right,
                       mt_jv *out);
mote_status mt_j_replace(mt_jrun *r, const mt_jstr *s, const mt_jstr *old, const mt_jstr *with,
                         int64_t count, mt_jv *out);
mote_status mt_j_capitalize(mt_jrun *r, const mt_jstr *s, mt_jv *out);
mote_status mt_j_center(mt_jrun *r, const mt_jstr *s, int64_t width, int side,
                        const mt_jstr *fill, mt_jv *out);
mote_status mt_j_splitlines(mt_jrun *r, const mt_jstr *s, bool keep, mt_jv *out);
mote_status mt_j_escape(mt_jrun *r, const mt_jstr *s, mt_jv *out);
bool        mt_j_is_cased(const mt_jstr *s, bool upper);

/* ---- numbers and formatting ------------------------------------------------------ */
size_t      mt_j_float_text(double f, char out[40]);     /* Python's repr */
bool        mt_j_parse_int(mt_str s, int base, int64_t *out, bool *too_big);
bool        mt_j_parse_float(mt_str s, double *out);
mote_status mt_j_percent(mt_jrun *r, const mt_jstr *fmt, const mt_jargs *a, mt_jv *out);
mote_status mt_j_format(mt_jrun *r, const mt_jstr *fmt, const mt_jargs *a, mt_jv *out);
mote_status mt_j_strftime(mt_jrun *r, const mt_jstr *fmt, mt_jv *out);

/* ---- attributes, methods, filters, tests, JSON ------------------------------------- */
mote_status mt_j_getattr(mt_jrun *r, const mt_jv *obj, mt_str name, mt_jv *out);
mote_status mt_j_getitem(mt_jrun *r, const mt_jv *obj, const mt_jv *key, mt_jv *out);
mote_status mt_j_slice(mt_jrun *r, const mt_jv *obj, const mt_jv idx[3], mt_jv *out);
const mt_jproc *mt_j_proc(const mt_jproc *table, size_t n, mt_str name);
const mt_jproc *mt_j_str_method(mt_str name);
const mt_jproc *mt_j_filter(mt_str name);
const mt_jproc *mt_j_test(mt_str name);
mote_status mt_j_from_json(mt_jrun *r, const void *json, bool tainted, int depth, mt_jv *out);
mote_status mt_j_tojson(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out);

#endif
