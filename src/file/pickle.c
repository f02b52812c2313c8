/* SPDX-License-Identifier: MIT */
/* pickle.c - the interpreter of pickle.h: a stack, a memo, and one function for each group of
 * instructions.
 *
 * Budgets: depth of the stack, size of the memo, number of values in containers, and memory in
 * proportion to the pickle.  Each instruction moves at most what it takes from the stack, so the time is
 * linear in the pickle too. */
#include "file/pickle.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_STACK = 65536, MAX_MEMO = 1 << 20, MAX_OBJECTS = 4 << 20, MAX_TENSORS = 1 << 20, MAX_NAME = 256,
    MAX_PROTOCOL = 5, CHUNK = 1 << 12, FREE_BYTES = 24 << 20, TIMES = 3
};

/* ---- names ----------------------------------------------------------------------- */

typedef enum name_kind {
    REBUILD_V2, REBUILD_V3, REBUILD_PARAMETER, ORDERED_DICT, SIZE, DTYPE, STORAGE, UNTYPED
} name_kind;

/* All that a pickle may name. */
static const struct name_row { const char *module, *name; name_kind kind; mt_type type; } name_row[] = {
    { "torch._utils", "_rebuild_tensor_v2", REBUILD_V2, MT_F32 },
    { "torch._utils", "_rebuild_tensor_v3", REBUILD_V3, MT_F32 },       /* types without a storage of their own */
    { "torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, MT_F32 },
    { "collections", "OrderedDict", ORDERED_DICT, MT_F32 },
    { "torch", "Size", SIZE, MT_F32 },
    { "torch", "DoubleStorage", STORAGE, MT_F64 },   { "torch", "FloatStorage", STORAGE, MT_F32 },
    { "torch", "HalfStorage", STORAGE, MT_F16 },     { "torch", "BFloat16Storage", STORAGE, MT_BF16 },
    { "torch", "LongStorage", STORAGE, MT_I64 },     { "torch", "IntStorage", STORAGE, MT_I32 },
    { "torch", "ShortStorage", STORAGE, MT_I16 },    { "torch", "CharStorage", STORAGE, MT_I8 },
    { "torch", "ByteStorage", STORAGE, MT_U8 },      { "torch", "BoolStorage", STORAGE, MT_U8 },
    { "torch.storage", "UntypedStorage", UNTYPED, MT_U8 },
    { "torch", "float64", DTYPE, MT_F64 },           { "torch", "double", DTYPE, MT_F64 },
    { "torch", "float32", DTYPE, MT_F32 },           { "torch", "float", DTYPE, MT_F32 },
    { "torch", "float16", DTYPE, MT_F16 },           { "torch", "half", DTYPE, MT_F16 },
    { "torch", "bfloat16", DTYPE, MT_BF16 },         { "torch", "int64", DTYPE, MT_I64 },
    { "torch", "long", DTYPE, MT_I64 },              { "torch", "int32", DTYPE, MT_I32 },
    { "torch", "int", DTYPE, MT_I32 },               { "torch", "int16", DTYPE, MT_I16 },
    { "torch", "short", DTYPE, MT_I16 },             { "torch", "int8", DTYPE, MT_I8 },
    { "torch", "uint8", DTYPE, MT_U8 },              { "torch", "uint16", DTYPE, MT_U16 },
    { "torch", "uint32", DTYPE, MT_U32 },            { "torch", "uint64", DTYPE, MT_U64 },
    { "torch", "bool", DTYPE, MT_U8 },               { "torch", "float8_e4m3fn", DTYPE, MT_F8_E4M3 },
    { "torch", "float8_e5m2", DTYPE, MT_F8_E5M2 },
};

/* Instructions that are refused, so that a sentence can name them. */
static const struct { uint8_t code; const char *name; } refused_row[] = {
    { 'i', "INST" }, { 'o', "OBJ" }, { 0x81, "NEWOBJ" }, { 0x92, "NEWOBJ_EX" }, { 0x82, "EXT1" }, { 0x83, "EXT2" },
    { 0x84, "EXT4" }, { 'P', "PERSID" }, { 0x97, "NEXT_BUFFER" }, { 0x98, "READONLY_BUFFER" }, { 'I', "INT" },
    { 'L', "LONG" }, { 'F', "FLOAT" }, { 'S', "STRING" }, { 'V', "UNICODE" }, { 'g', "GET" }, { 'p', "PUT" },
    { 'd', "DICT" }, { 'l', "LIST" }, { 0x8B, "LONG4" }, { 0x8F, "EMPTY_SET" }, { 0x90, "ADDITEMS" },
    { 0x91, "FROZENSET" }, { 0x96, "BYTEARRAY8" }, { '2', "DUP" },
};

typedef struct machine {
    mt_pickle *k;
    mt_cursor  c;
    mt_pk     *stack; size_t n_stack, room_stack;
    mt_pk     *memo;  size_t n_memo, room_memo; /* holes are MARKs */
    uint8_t   *room;  size_t room_left;         /* rest of the newest chunk */
    size_t     bytes, max_bytes, n_object;
    bool       is_over, is_broke;               /* stopped; asked for more than max_bytes */
    mote_error *err;
} machine;

/* ---- failures -------------------------------------------------------------------- */

static mote_status bad(const machine *m, const char *why)
{
    MT_FAIL(m->err, MOTE_EFORMAT, "%s: its pickle is damaged at byte %zu: %s", m->k->what, m->c.at, why);
}

static mote_status no_memory(const machine *m)
{
    MT_FAIL(m->err, MOTE_ENOMEM, "%s: no memory for its pickle of %zu bytes", m->k->what, m->c.size);
}

static mote_status refuse(const machine *m, mt_str module, mt_str name)
{
    const int n = (int)MT_MIN(module.n, (size_t)64), k = (int)MT_MIN(name.n, (size_t)64);
    MT_FAIL(m->err, MOTE_EUNSUPPORTED, "%s: its pickle asks for %.*s.%.*s, which is not among the names that describe "
            "tensors: refused", m->k->what, n, module.p, k, name.p);
}

/* ---- memory ----------------------------------------------------------------------- */

static bool afford(machine *m, size_t bytes)
{
    m->is_broke = bytes > m->max_bytes - m->bytes;
    if (!m->is_broke) m->bytes += bytes;
    return !m->is_broke;
}

static void *take(machine *m, size_t bytes)
{
    bytes = mt_pad(bytes, 8);
    if (!afford(m, bytes)) return NULL;
    if (bytes > m->room_left) {
        const size_t chunk = MT_MAX(bytes, (size_t)CHUNK);
        m->room = mt_arena_push(&m->k->arena, chunk);
        m->room_left = m->room ? chunk : 0;
        if (!m->room) return NULL;
    }
    void *p = m->room;
    m->room += bytes, m->room_left -= bytes;
    return p;
}

static mote_status count_objects(machine *m, size_t n)
{
    if (n > MAX_OBJECTS - m->n_object)
        MT_FAIL(m->err, MOTE_EFORMAT, "%s: its pickle has more than %d values", m->k->what, MAX_OBJECTS);
    m->n_object += n;
    return MOTE_OK;
}

static mote_status out_of_room(const machine *m)
{
    if (m->is_broke)
        MT_FAIL(m->err, MOTE_EFORMAT, "%s: its pickle of %zu bytes asks for more than %zu bytes of memory", m->k->what,
                m->c.size, m->max_bytes);
    return no_memory(m);
}

static mote_status new_box(machine *m, mt_pk_kind kind, size_t n, mt_pk *out)
{
    MT_TRY(count_objects(m, n + 1));
    mt_pk_box *box = take(m, sizeof *box);
    mt_pk *item = n ? take(m, n * sizeof *item) : NULL;
    if (!box || (n && !item)) return out_of_room(m);
    *box = (mt_pk_box){ item, (uint32_t)n, (uint32_t)n };
    *out = (mt_pk){ .kind = (uint8_t)kind, .u.box = box };
    return MOTE_OK;
}

static mote_status append(machine *m, mt_pk_box *box, const mt_pk *item, size_t n)
{
    MT_TRY(count_objects(m, n));
    if (n > box->room - box->n) {               /* sums are below twice the number of objects */
        const size_t room = MT_MAX((size_t)box->n + n, (size_t)box->room * 2);
        mt_pk *grown = take(m, room * sizeof *grown);
        if (!grown) return out_of_room(m);
        if (box->n) memcpy(grown, box->item, box->n * sizeof *grown);
        box->item = grown, box->room = (uint32_t)room;
    }
    if (n == 0) return MOTE_OK;                 /* of nothing: there may be no memory yet */
    memcpy(box->item + box->n, item, n * sizeof *item);
    box->n += (uint32_t)n;
    return MOTE_OK;
}

/* ---- the stack --------------------------------------------------------------------- */

/* Twice the room for values, the new ones marks. */
static mote_status more_room(machine *m, mt_pk **p, size_t *room, size_t most)
{
    const size_t more = MT_MIN(MT_MAX(*room * 2, (size_t)256), most);
    mt_pk *grown = mt_get(m->k->arena.alloc, more * sizeof *grown, MT_ALIGN);
    if (!grown) return no_memory(m);
    if (*room) memcpy(grown, *p, *room * sizeof *grown);
    for (size_t i = *room; i < more; i++) grown[i] = (mt_pk){ .kind = MT_PK_MARK };
    mt_put(m->k->arena.alloc, *p, *room * sizeof *grown);
    *p = grown, *room = more;
    return MOTE_OK;
}

static mote_status push(machine *m, mt_pk v)
{
    if (m->n_stack == MAX_STACK) return bad(m, "its stack is deeper than 65536");
    if (m->n_stack == m->room_stack) MT_TRY(more_room(m, &m->stack, &m->room_stack, MAX_STACK));
    m->stack[m->n_stack++] = v;
    return MOTE_OK;
}

static mote_status push_plain(machine *m, mt_pk_kind kind, int64_t i)
{
    return push(m, (mt_pk){ .kind = (uint8_t)kind, .u.i = i });
}

/* The topmost n values, none a mark; NULL: there are not so many. */
static mt_pk *top(const machine *m, size_t n)
{
    if (n > m->n_stack) return NULL;
    mt_pk *at = m->stack + m->n_stack - n;
    for (size_t i = 0; i < n; i++)
        if (at[i].kind == MT_PK_MARK) return NULL;
    return at;
}

/* Values above the topmost mark, which goes; n of them lie at the place returned.  NULL: no mark. */
static mt_pk *above_mark(machine *m, size_t *n)
{
    size_t at = m->n_stack;
    while (at > 0 && m->stack[at - 1].kind != MT_PK_MARK) at--;
    if (at == 0) return NULL;
    *n = m->n_stack - at;
    m->n_stack = at - 1;
    return m->stack + at;
}

static mote_status push_tuple(machine *m, size_t n)
{
    mt_pk v;
    const mt_pk *item = n ? top(m, n) : NULL;
    if (n && !item) return bad(m, "too few values for a tuple");
    MT_TRY(new_box(m, MT_PK_TUPLE, n, &v));
    if (n) memcpy(v.u.box->item, item, n * sizeof *item);
    m->n_stack -= n;
    return push(m, v);
}

static mote_status push_marked_tuple(machine *m)
{
    size_t n;
    mt_pk v;
    const mt_pk *item = above_mark(m, &n);
    if (!item) return bad(m, "no mark");
    MT_TRY(new_box(m, MT_PK_TUPLE, n, &v));
    if (n) memcpy(v.u.box->item, item, n * sizeof *item);
    return push(m, v);
}

/* APPEND, APPENDS, SETITEM, SETITEMS: n values go into the container below them. */
static mote_status fill(machine *m, mt_pk_kind kind, bool is_marked, size_t n)
{
    const mt_pk *item = is_marked ? above_mark(m, &n) : top(m, n);
    if (!item) return bad(m, "too few values");
    if (!is_marked) m->n_stack -= n;
    const mt_pk *into = top(m, 1);
    if (!into || into->kind != kind || (kind == MT_PK_DICT && n % 2)) return bad(m, "values without their container");
    return append(m, into->u.box, item, n);
}

/* ---- text and numbers ---------------------------------------------------------------- */

static mote_status push_text(machine *m, mt_pk_kind kind, uint64_t n)
{
    if (n > UINT32_MAX) return bad(m, "a string of more than 4 GiB");
    const uint8_t *p = mt_read_bytes(&m->c, (size_t)n);
    if (!p) return bad(m, "it ends inside a string");
    return push(m, (mt_pk){ .kind = (uint8_t)kind, .n = (uint32_t)n, .u.text = (const char *)p });
}

/* A signed integer of n bytes. */
static mote_status push_long(machine *m, size_t n)
{
    uint64_t bits = 0;
    const uint8_t *p = mt_read_bytes(&m->c, n);
    if (!p) return bad(m, "it ends inside a number");
    if (n > 8) return push_plain(m, MT_PK_BIG, 0);
    for (size_t i = 0; i < n; i++) bits |= (uint64_t)p[i] << (8 * i);
    if (n > 0 && n < 8 && p[n - 1] & 0x80) bits |= ~(uint64_t)0 << (8 * n);
    return push_plain(m, MT_PK_INT, (int64_t)bits);
}

static mote_status push_float(machine *m)       /* big-endian */
{
    uint64_t bits = 0;
    mt_pk v = { .kind = MT_PK_FLOAT };
    const uint8_t *p = mt_read_bytes(&m->c, 8);
    if (!p) return bad(m, "it ends inside a number");
    for (int i = 0; i < 8; i++) bits = bits << 8 | p[i];
    memcpy(&v.u.f, &bits, sizeof bits);
    return push(m, v);
}

/* ---- the memo -------------------------------------------------------------------------- */

static mote_status memorize(machine *m, uint64_t at)
{
    const mt_pk *v = top(m, 1);
    if (!v) return bad(m, "nothing to remember");
    if (at >= MAX_MEMO) return bad(m, "it remembers more than 1048576 values");
    while (at >= m->room_memo) MT_TRY(more_room(m, &m->memo, &m->room_memo, MAX_MEMO));
    m->n_memo += m->memo[at].kind == MT_PK_MARK;       /* MEMOIZE counts those before it */
    m->memo[at] = *v;
    return MOTE_OK;
}

static mote_status recall(machine *m, uint64_t at)
{
    if (at >= m->room_memo || m->memo[at].kind == MT_PK_MARK) return bad(m, "it recalls what it never had");
    return push(m, m->memo[at]);
}

/* ---- names and what may be made of them ---------------------------------------------------- */

static mote_status push_name(machine *m, mt_str module, mt_str name)
{
    for (size_t i = 0; i < MT_COUNT(name_row); i++)
        if (mt_str_is(module, name_row[i].module) && mt_str_is(name, name_row[i].name))
            return push_plain(m, MT_PK_NAME, (int64_t)i);
    return refuse(m, module, name);
}

static bool read_line(machine *m, mt_str *out)
{
    const uint8_t *p = m->c.p + m->c.at;
    const size_t left = m->c.size - m->c.at;
    const uint8_t *end = left ? memchr(p, '\n', MT_MIN(left, (size_t)MAX_NAME)) : NULL;
    if (!end) return false;
    *out = (mt_str){ (const char *)p, (size_t)(end - p) };
    return mt_read_bytes(&m->c, out->n + 1) != NULL;
}

static mote_status global(machine *m)
{
    mt_str module, name;
    if (!read_line(m, &module) || !read_line(m, &name)) return bad(m, "a name without end");
    return push_name(m, module, name);
}

static mote_status stack_global(machine *m)
{
    const mt_pk *v = top(m, 2);
    if (!v || v[0].kind != MT_PK_TEXT || v[1].kind != MT_PK_TEXT) return bad(m, "a name that is no text");
    const mt_str module = { v[0].u.text, v[0].n }, name = { v[1].u.text, v[1].n };
    m->n_stack -= 2;
    return push_name(m, module, name);
}

static const struct name_row *row_of(const mt_pk *v) { return v->kind == MT_PK_NAME ? &name_row[v->u.i] : NULL; }

/* p with room for one more item of size bytes, outside the arena: what it grows out of is free again. */
static void *grown(machine *m, void *p, size_t n, size_t size, size_t *room)
{
    if (n < *room) return p;
    const mote_alloc *alloc = m->k->arena.alloc;
    const size_t more = MT_MAX(*room * 2, (size_t)64);
    void *fresh = afford(m, (more - *room) * size) ? mt_get(alloc, more * size, MT_ALIGN) : NULL;
    if (!fresh) return NULL;
    if (n) memcpy(fresh, p, n * size);
    mt_put(alloc, p, *room * size);
    *room = more;
    return fresh;
}

/* ("storage", type, key, place, n[, view]) */
static mote_status persistent(machine *m)
{
    mt_pickle *k = m->k;
    const mt_pk *v = top(m, 1);
    const mt_pk *a = v && v->kind == MT_PK_TUPLE ? v->u.box->item : NULL;
    const size_t n = a ? v->u.box->n : 0;
    if ((n != 5 && n != 6) || a[0].kind != MT_PK_TEXT || !mt_str_is((mt_str){ a[0].u.text, a[0].n }, "storage"))
        return bad(m, "a persistent value that is no storage");
    const struct name_row *row = row_of(&a[1]);
    if (!row || (row->kind != STORAGE && row->kind != UNTYPED) || a[2].kind != MT_PK_TEXT || a[4].kind != MT_PK_INT
        || a[4].u.i < 0)
        return bad(m, "a storage without type, key or size");
    if (n == 6 && a[5].kind != MT_PK_NONE)
        MT_FAIL(m->err, MOTE_EUNSUPPORTED, "%s: a storage that is part of another, as old versions wrote, is not "
                "supported", k->what);
    MT_TRY(count_objects(m, 1));
    mt_pk_storage *s = grown(m, k->storage, k->n_storage, sizeof *s, &k->room_storage);
    if (!s) return out_of_room(m);
    k->storage = s;
    s[k->n_storage] = (mt_pk_storage){ .key = { a[2].u.text, a[2].n }, .type = row->type,
                                       .is_untyped = row->kind == UNTYPED, .n = (uint64_t)a[4].u.i };
    m->n_stack--;
    return push_plain(m, MT_PK_STORAGE, (int64_t)k->n_storage++);
}

/* Whole numbers of a tuple. */
static bool numbers(const mt_pk *v, uint64_t *out, int *n)
{
    if (v->kind != MT_PK_TUPLE || v->u.box->n > MT_PK_MAX_DIM) return false;
    *n = (int)v->u.box->n;
    for (int i = 0; i < *n; i++) {
        if (v->u.box->item[i].kind != MT_PK_INT || v->u.box->item[i].u.i < 0) return false;
        out[i] = (uint64_t)v->u.box->item[i].u.i;
    }
    return true;
}

/* (storage, offset, size, stride, requires_grad, hooks[, dtype][, metadata]) */
static mote_status rebuild_tensor(machine *m, const struct name_row *row, const mt_pk *a, size_t n, mt_pk *out)
{
    mt_pickle *k = m->k;
    const bool has_type = row->kind == REBUILD_V3;
    const size_t least = has_type ? 7 : 6;
    mt_pk_tensor t = { .n_dim = 0 };
    int n_stride = 0;
    if (n < least || n > least + 1 || a[0].kind != MT_PK_STORAGE || a[1].kind != MT_PK_INT || a[1].u.i < 0
        || !numbers(&a[2], t.dim, &t.n_dim) || !numbers(&a[3], t.stride, &n_stride) || t.n_dim != n_stride)
        return bad(m, "a tensor without storage, size and strides of at most 8 dimensions");
    const struct name_row *dtype = has_type ? row_of(&a[6]) : NULL;
    const mt_pk_storage *s = &k->storage[a[0].u.i];
    if (has_type ? !dtype || dtype->kind != DTYPE : s->is_untyped) return bad(m, "a tensor without type");
    t.storage = (uint32_t)a[0].u.i, t.offset = (uint64_t)a[1].u.i, t.type = has_type ? dtype->type : s->type;
    if (k->n_tensor == MAX_TENSORS) return bad(m, "more than 1048576 tensors");
    MT_TRY(count_objects(m, 1));
    mt_pk_tensor *p = grown(m, k->tensor, k->n_tensor, sizeof *p, &k->room_tensor);
    if (!p) return out_of_room(m);
    k->tensor = p;
    p[k->n_tensor] = t;
    *out = (mt_pk){ .kind = MT_PK_TENSOR, .u.i = (int64_t)k->n_tensor++ };
    return MOTE_OK;
}

/* Empty, or from a list of pairs as Python 2 wrote it. */
static mote_status ordered_dict(machine *m, const mt_pk *a, size_t n, mt_pk *out)
{
    MT_TRY(new_box(m, MT_PK_DICT, 0, out));
    if (n == 0) return MOTE_OK;
    if (n != 1 || a[0].kind != MT_PK_LIST) return bad(m, "an OrderedDict of something else than pairs");
    for (size_t i = 0; i < a[0].u.box->n; i++) {
        const mt_pk *pair = &a[0].u.box->item[i];
        if ((pair->kind != MT_PK_LIST && pair->kind != MT_PK_TUPLE) || pair->u.box->n != 2)
            return bad(m, "an OrderedDict of something else than pairs");
        MT_TRY(append(m, out->u.box, pair->u.box->item, 2));
    }
    return MOTE_OK;
}

static mote_status reduce(machine *m)
{
    const mt_pk *v = top(m, 2);
    const struct name_row *row = v ? row_of(&v[0]) : NULL;
    mt_pk made = { .kind = MT_PK_NONE };
    if (!row || v[1].kind != MT_PK_TUPLE) return bad(m, "a call of something that is no name");
    const mt_pk *a = v[1].u.box->item;
    const size_t n = v[1].u.box->n;
    m->n_stack -= 2;
    switch (row->kind) {
    case REBUILD_V2: case REBUILD_V3: MT_TRY(rebuild_tensor(m, row, a, n, &made)); break;
    case ORDERED_DICT: MT_TRY(ordered_dict(m, a, n, &made)); break;
    case REBUILD_PARAMETER:                     /* (tensor, requires_grad, hooks) */
        if (n != 3 || a[0].kind != MT_PK_TENSOR) return bad(m, "a parameter without its tensor");
        made = a[0];
        break;
    case SIZE:                                  /* (tuple,) */
        if (n != 1 || a[0].kind != MT_PK_TUPLE) return bad(m, "a torch.Size of no tuple");
        made = a[0];
        break;
    case DTYPE: case STORAGE: case UNTYPED: return bad(m, "a call of a type");
    }
    return push(m, made);
}

/* The attributes of an OrderedDict (a state's _metadata) are dropped; nothing else has any. */
static mote_status build(machine *m)
{
    const mt_pk *v = top(m, 2);
    if (!v || v[0].kind != MT_PK_DICT || v[1].kind != MT_PK_DICT)
        MT_FAIL(m->err, MOTE_EUNSUPPORTED, "%s: its pickle sets the state of an object (BUILD), which is not data: "
                "refused", m->k->what);
    m->n_stack--;
    return MOTE_OK;
}

/* ---- instructions -------------------------------------------------------------------------- */

static mote_status refuse_code(machine *m, uint8_t code)
{
    mt_str module, name;
    if (code == 'i' && read_line(m, &module) && read_line(m, &name)) return refuse(m, module, name);
    for (size_t i = 0; i < MT_COUNT(refused_row); i++)
        if (refused_row[i].code == code)
            MT_FAIL(m->err, MOTE_EUNSUPPORTED, "%s: its pickle uses the instruction %s at byte %zu, which tensors do "
                    "not need: refused", m->k->what, refused_row[i].name, m->c.at - 1);
    char text[48];
    snprintf(text, sizeof text, "instruction 0x%02x is unknown", code);
    return bad(m, text);
}

static mote_status pop(machine *m)
{
    if (m->n_stack == 0) return bad(m, "nothing to drop");
    m->n_stack--;
    return MOTE_OK;
}

static mote_status stop(machine *m)
{
    const mt_pk *v = top(m, 1);
    if (!v || m->n_stack != 1) return bad(m, "it ends with other than one value");
    m->k->root = *v;
    m->k->end = m->c.at;
    m->is_over = true;
    return MOTE_OK;
}

static mote_status protocol(machine *m)
{
    return mt_read_u8(&m->c) <= MAX_PROTOCOL && !m->c.failed ? MOTE_OK : bad(m, "a protocol above 5");
}

static mote_status frame(machine *m)
{
    const uint64_t n = mt_read_u64(&m->c);
    return !m->c.failed && n <= m->c.size - m->c.at ? MOTE_OK : bad(m, "a frame beyond its end");
}

/* One line for each instruction: longer than a screen for that reason. */
static mote_status execute(machine *m, uint8_t code)
{
    mt_cursor *c = &m->c;
    mt_pk v;
    size_t n;
    switch (code) {
    case 0x80: return protocol(m);
    case 0x95: return frame(m);
    case '.':  return stop(m);
    case '(':  return push_plain(m, MT_PK_MARK, 0);
    case '0':  return pop(m);
    case '1':  return above_mark(m, &n) ? MOTE_OK : bad(m, "no mark");
    case 'N':  return push_plain(m, MT_PK_NONE, 0);
    case 0x88: return push_plain(m, MT_PK_BOOL, 1);
    case 0x89: return push_plain(m, MT_PK_BOOL, 0);
    case 'J':  return push_plain(m, MT_PK_INT, (int32_t)mt_read_u32(c));
    case 'K':  return push_plain(m, MT_PK_INT, mt_read_u8(c));
    case 'M':  return push_plain(m, MT_PK_INT, mt_read_u16(c));
    case 0x8A: return push_long(m, mt_read_u8(c));
    case 'G':  return push_float(m);
    case 'X':  return push_text(m, MT_PK_TEXT, mt_read_u32(c));
    case 0x8C: return push_text(m, MT_PK_TEXT, mt_read_u8(c));
    case 0x8D: return push_text(m, MT_PK_TEXT, mt_read_u64(c));
    case 'U':  return push_text(m, MT_PK_TEXT, mt_read_u8(c));      /* Python 2: text is bytes */
    case 'T':  return push_text(m, MT_PK_TEXT, mt_read_u32(c));
    case 'C':  return push_text(m, MT_PK_BYTES, mt_read_u8(c));
    case 'B':  return push_text(m, MT_PK_BYTES, mt_read_u32(c));
    case 0x8E: return push_text(m, MT_PK_BYTES, mt_read_u64(c));
    case ')':  return push_tuple(m, 0);
    case 0x85: return push_tuple(m, 1);
    case 0x86: return push_tuple(m, 2);
    case 0x87: return push_tuple(m, 3);
    case 't':  return push_marked_tuple(m);
    case ']':
        MT_TRY(new_box(m, MT_PK_LIST, 0, &v));
        return push(m, v);
    case '}':
        MT_TRY(new_box(m, MT_PK_DICT, 0, &v));
        return push(m, v);
    case 'a':  return fill(m, MT_PK_LIST, false, 1);
    case 'e':  return fill(m, MT_PK_LIST, true, 0);
    case 's':  return fill(m, MT_PK_DICT, false, 2);
    case 'u':  return fill(m, MT_PK_DICT, true, 0);
    case 'q':  return memorize(m, mt_read_u8(c));
    case 'r':  return memorize(m, mt_read_u32(c));
    case 0x94: return memorize(m, m->n_memo);
    case 'h':  return recall(m, mt_read_u8(c));
    case 'j':  return recall(m, mt_read_u32(c));
    case 'c':  return global(m);
    case 0x93: return stack_global(m);
    case 'Q':  return persistent(m);
    case 'R':  return reduce(m);
    case 'b':  return build(m);
    default:   return refuse_code(m, code);
    }
}

static mote_status run(machine *m)
{
    while (!m->is_over) {
        const uint8_t code = mt_read_u8(&m->c);
        if (m->c.failed) return bad(m, "it ends without its last instruction");
        MT_TRY(execute(m, code));
        if (m->c.failed) return bad(m, "it ends inside an instruction");
    }
    return MOTE_OK;
}

mote_status mt_pickle_read(mt_pickle *k, const uint8_t *bytes, size_t n, const char *what, const mote_alloc *alloc,
                           mote_error *err)
{
    machine m = { .k = k, .c = { .p = bytes, .size = n }, .err = err };
    *k = (mt_pickle){ .what = what };
    mt_arena_init(&k->arena, alloc, 0);
    m.max_bytes = FREE_BYTES + MT_MIN(n, SIZE_MAX / 16) * TIMES;
    const mote_status st = run(&m);
    mt_put(alloc, m.stack, m.room_stack * sizeof *m.stack);
    mt_put(alloc, m.memo, m.room_memo * sizeof *m.memo);
    return st;
}

void mt_pickle_close(mt_pickle *k)
{
    mt_put(k->arena.alloc, k->storage, k->room_storage * sizeof *k->storage);
    mt_put(k->arena.alloc, k->tensor, k->room_tensor * sizeof *k->tensor);
    mt_arena_reset(&k->arena);
}

const mt_pk *mt_pk_get(const mt_pk *dict, const char *key)
{
    const mt_pk_box *box = dict->kind == MT_PK_DICT ? dict->u.box : NULL;
    for (size_t i = 0; box && i + 1 < box->n; i += 2)
        if (box->item[i].kind == MT_PK_TEXT && mt_str_is((mt_str){ box->item[i].u.text, box->item[i].n }, key))
            return &box->item[i + 1];
    return NULL;
}
