/* SPDX-License-Identifier: MIT */
/* torch.c - what torch.save wrote: a pickle of a state dictionary, and the storages its tensors view.
 *
 *   zip:    NAME/data.pkl, NAME/byteorder, NAME/data/0, NAME/data/1, ...
 *   legacy: pickles of a magic number, a version, facts of the system, the value, the storages' keys in
 *           their order; then each storage, u64 values and their bytes
 *
 * A tensor whose values lie one behind the other is a view into the mapping; the rows of any other (a
 * transposed one, say) are made from its strides when they are asked for. */
#include <stdio.h>
#include <string.h>

#include "file/parts.h"
#include "file/pickle.h"
#include "file/zip.h"

enum { MAX_KEY = 64, MAX_DEPTH = 16, MAX_STEPS = 4 << 20, VERSION = 1001, FREE_TENSORS = 16384, TENSOR_BYTES = 60 };
static const uint8_t legacy_magic[] = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";     /* of 80 bits */

typedef struct reader {
    mt_gather *g;
    mt_shard  *x;
    mt_pickle *k;
    size_t     steps, most_tensors;
    size_t     n_name;
    char       name[MT_MAX_NAME];               /* of the value that is looked at */
} reader;

static mote_status bad(const reader *r, const char *why)
{
    MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: %s", r->x->name, why);
}

static mote_status other_order(const reader *r)
{
    MT_FAIL(r->g->err, MOTE_EUNSUPPORTED, "%s: expected little-endian values, found another byte order", r->x->name);
}

/* ---- strided tensors ------------------------------------------------------------------- */

typedef struct strided {
    const uint8_t *data;
    size_t size;                                /* of a value */
    int    n_dim;
    size_t dim[MT_PK_MAX_DIM], step[MT_PK_MAX_DIM];     /* slowest first; step in bytes */
} strided;

static void copy_values(uint8_t *out, const uint8_t *from, size_t step, size_t size, size_t n)
{
    switch (size) {                             /* a constant length makes the copy one instruction */
    case 1: for (size_t i = 0; i < n; i++) out[i] = from[i * step]; break;
    case 2: for (size_t i = 0; i < n; i++) memcpy(out + 2 * i, from + i * step, 2); break;
    case 4: for (size_t i = 0; i < n; i++) memcpy(out + 4 * i, from + i * step, 4); break;
    default: for (size_t i = 0; i < n; i++) memcpy(out + size * i, from + i * step, size); break;
    }
}

static void make_rows(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const strided *s = t->recipe;
    size_t at[MT_PK_MAX_DIM] = { 0 }, rest = (size_t)first * (size_t)t->ne[0], left = (size_t)n * (size_t)t->ne[0];
    const int last = s->n_dim - 1;
    for (int k = last; k >= 0; k--) {
        at[k] = rest % s->dim[k];
        rest /= s->dim[k];
    }
    while (left > 0) {
        const uint8_t *from = s->data;
        const size_t run = MT_MIN(s->dim[last] - at[last], left);
        for (int k = 0; k <= last; k++) from += at[k] * s->step[k];
        copy_values(out, from, s->step[last], s->size, run);
        out += run * s->size;
        left -= run;
        at[last] += run;
        for (int k = last; k > 0 && at[k] == s->dim[k]; k--) {
            at[k] = 0;
            at[k - 1]++;
        }
    }
}

/* ---- tensors ----------------------------------------------------------------------------- */

static mote_status bad_tensor(const reader *r, const char *name, const char *why)
{
    MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: tensor %.80s: %s", r->x->name, name, why);
}

/* Whether every value lies inside the storage, and whether they lie one behind the other. */
static mote_status check_strides(const reader *r, const char *name, const mt_pk_tensor *p, bool *is_plain)
{
    const mt_pk_storage *s = &r->k->storage[p->storage];
    const size_t n = s->bytes / (size_t)mt_type_of(p->type)->bytes;
    size_t last = (size_t)p->offset, count = 1, span;
    if (p->offset > SIZE_MAX) return bad_tensor(r, name, "its values lie outside their storage");
    *is_plain = true;
    for (int k = p->n_dim - 1; k >= 0; k--) {
        if (p->dim[k] == 1) continue;
        if (p->stride[k] == 0) return bad_tensor(r, name, "values that share one place (stride 0) are not supported");
        *is_plain &= p->stride[k] == count;
        if (p->dim[k] > n || !mt_mul_ok(count, (size_t)p->dim[k], &count) || count > n || p->stride[k] > n
            || !mt_mul_ok((size_t)p->dim[k] - 1, (size_t)p->stride[k], &span) || !mt_add_ok(last, span, &last))
            return bad_tensor(r, name, "its values lie outside their storage");
    }
    return last < n ? MOTE_OK : bad_tensor(r, name, "its values lie outside their storage");
}

static mote_status set_values(const reader *r, const mt_pk_tensor *p, mt_tensor *t, bool is_plain)
{
    const size_t size = (size_t)mt_type_of(p->type)->bytes;
    const uint8_t *data = r->k->storage[p->storage].data + (size_t)p->offset * size;
    if (is_plain) {
        t->data = data;
        return MOTE_OK;
    }
    strided *s = mt_arena_push_zero(&r->g->s->arena, sizeof *s);
    if (!s) MT_FAIL(r->g->err, MOTE_ENOMEM, "%s: no memory for tensor %.80s", r->x->name, t->name);
    *s = (strided){ .data = data, .size = size, .n_dim = p->n_dim };
    for (int k = 0; k < p->n_dim; k++) s->dim[k] = (size_t)p->dim[k], s->step[k] = (size_t)p->stride[k] * size;
    t->recipe = s;
    t->make = make_rows;
    return MOTE_OK;
}

static mote_status add_tensor(reader *r, const mt_pk_tensor *p)
{
    mt_tensor *t;
    bool is_plain = true;
    if (r->g->n_tensor - r->x->first_tensor >= r->most_tensors)
        return bad(r, "more tensors than its pickle has room for");
    MT_TRY(mt_gather_tensor(r->g, r->x->name, &t));
    MT_TRY(mt_gather_name(r->g, r->x->name, (mt_str){ r->name, r->n_name }, &t->name));
    t->type = p->type;
    MT_TRY(mt_gather_shape(r->g, r->x->name, t, p->dim, (size_t)p->n_dim));
    if (t->ne[0] == 0) return MOTE_OK;
    MT_TRY(check_strides(r, t->name, p, &is_plain));
    return set_values(r, p, t, is_plain);
}

/* ---- the dictionary ------------------------------------------------------------------------ */

static bool has_tensor(const mt_pk *dict)
{
    const mt_pk_box *box = dict->u.box;
    for (uint32_t i = 1; i < box->n; i += 2)
        if (box->item[i].kind == MT_PK_TENSOR) return true;
    return false;
}

/* A checkpoint may keep the state under one of the usual keys, beside what training needs. */
static const mt_pk *find_state(const mt_pk *root)
{
    static const char *const usual[] = { "state_dict", "model_state_dict", "model", "module" };
    for (int depth = 0; depth < 4 && root->kind == MT_PK_DICT && !has_tensor(root); depth++) {
        const mt_pk *inner = NULL;
        for (size_t i = 0; i < MT_COUNT(usual) && !inner; i++) {
            inner = mt_pk_get(root, usual[i]);
            if (inner && inner->kind != MT_PK_DICT) inner = NULL;
        }
        if (!inner) break;
        root = inner;
    }
    return root;
}

/* Puts a key behind the first n bytes of the name. */
static mote_status set_name(reader *r, size_t n, const mt_pk *key)
{
    char number[24];
    mt_str s = { key->u.text, key->n };
    if (key->kind == MT_PK_INT)
        s = (mt_str){ number, (size_t)snprintf(number, sizeof number, "%lld", (long long)key->u.i) };
    else if (key->kind != MT_PK_TEXT)
        return bad(r, "expected the names of tensors to be text, found another key");
    if (s.n + 1 > sizeof r->name - n) return bad(r, "expected names of at most 1023 bytes, found a longer one");
    if (s.n) memcpy(r->name + n, s.p, s.n);
    r->n_name = n + s.n;
    return MOTE_OK;
}

/* Inner dictionaries stand behind dots.  Values that are neither tensors nor dictionaries are passed. */
static mote_status add_state(reader *r, const mt_pk *root)
{
    struct { const mt_pk_box *box; uint32_t i; size_t n_name; } open[MAX_DEPTH];
    int depth = 0;
    open[0].box = root->u.box, open[0].i = 0, open[0].n_name = 0;
    while (depth >= 0) {
        if (open[depth].i + 1 >= open[depth].box->n) {
            depth--;
            continue;
        }
        const mt_pk *key = &open[depth].box->item[open[depth].i], *value = key + 1;
        open[depth].i += 2;
        if (++r->steps > MAX_STEPS) return bad(r, "its dictionaries have more than 4194304 values");
        if (value->kind != MT_PK_TENSOR && value->kind != MT_PK_DICT) continue;
        MT_TRY(set_name(r, open[depth].n_name, key));
        if (value->kind == MT_PK_TENSOR) {
            MT_TRY(add_tensor(r, &r->k->tensor[value->u.i]));
            continue;
        }
        if (++depth == MAX_DEPTH) return bad(r, "its dictionaries are nested deeper than 16");
        r->name[r->n_name] = '.';               /* set_name left room for it */
        open[depth].box = value->u.box, open[depth].i = 0, open[depth].n_name = r->n_name + 1;
    }
    return MOTE_OK;
}

static mote_status add_tensors(reader *r)
{
    const mt_pk *root = find_state(&r->k->root);
    if (root->kind != MT_PK_DICT) return bad(r, "expected a dictionary of tensors, found another value");
    r->most_tensors = FREE_TENSORS + r->k->end / TENSOR_BYTES;
    r->x->first_tensor = r->g->n_tensor;
    MT_TRY(add_state(r, root));
    r->x->n_tensor = r->g->n_tensor - r->x->first_tensor;
    return r->x->n_tensor ? MOTE_OK : bad(r, "expected a dictionary of tensors, found none in it");
}

/* Bytes of n values, and whether that is what lies there. */
static bool is_size(const mt_pk_storage *s, size_t *bytes)
{
    return s->n <= SIZE_MAX && mt_mul_ok((size_t)s->n, (size_t)mt_type_of(s->type)->bytes, bytes);
}

static mote_status bad_storage(const reader *r, mt_str key, const char *why)
{
    const int n = (int)MT_MIN(key.n, (size_t)MAX_KEY);
    MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: storage %.*s: %s", r->x->name, n, key.p, why);
}

/* ---- zip ------------------------------------------------------------------------------------ */

static mote_status find_storages(reader *r, const mt_zip *z, mt_str folder)
{
    char name[512];
    for (size_t i = 0; i < r->k->n_storage; i++) {
        mt_pk_storage *s = &r->k->storage[i];
        size_t bytes;
        if (s->key.n > MAX_KEY) return bad_storage(r, s->key, "its key is longer than 64 bytes");
        const int n = snprintf(name, sizeof name, "%.*sdata/%.*s", (int)folder.n, folder.p, (int)s->key.n, s->key.p);
        const mt_member *x = mt_zip_find(z, (mt_str){ name, (size_t)n });
        if (!x) return bad_storage(r, s->key, "the archive has no such member");
        if (!is_size(s, &bytes) || bytes != x->bytes)
            MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: storage %.*s: expected %llu values of %s, found %zu bytes",
                    r->x->name, (int)s->key.n, s->key.p, (unsigned long long)s->n, mt_type_of(s->type)->name, x->bytes);
        s->data = x->data, s->bytes = x->bytes;
    }
    return MOTE_OK;
}

/* NAME/data.pkl; NULL: there is none, or several. */
static const mt_member *find_pickle(const mt_zip *z)
{
    static const char ending[] = "/data.pkl";
    const size_t m = sizeof ending - 1;
    const mt_member *found = NULL;
    for (size_t i = 0; i < z->n_member; i++) {
        const mt_str name = z->member[i].name;
        if (name.n <= m || name.n > 256 || memcmp(name.p + name.n - m, ending, m) != 0) continue;
        if (memchr(name.p, '/', name.n - m)) continue;
        if (found) return NULL;
        found = &z->member[i];
    }
    return found;
}

static mote_status read_zip(reader *r, const mt_zip *z)
{
    char name[300];
    const mt_member *p = find_pickle(z);
    if (!p) return bad(r, "a zip archive, but without the data.pkl that PyTorch writes");
    const mt_str folder = { p->name.p, p->name.n - strlen("data.pkl") };
    const int n = snprintf(name, sizeof name, "%.*sbyteorder", (int)folder.n, folder.p);
    const mt_member *order = mt_zip_find(z, (mt_str){ name, (size_t)n });
    if (order && !mt_str_is((mt_str){ (const char *)order->data, order->bytes }, "little"))
        return other_order(r);
    MT_TRY(mt_zip_check(z, p, r->g->err));
    r->x->head_at = (size_t)(p->data - r->x->map.data), r->x->head_bytes = p->bytes;
    MT_TRY(mt_pickle_read(r->k, p->data, p->bytes, r->x->name, r->g->s->arena.alloc, r->g->err));
    MT_TRY(find_storages(r, z, folder));
    return add_tensors(r);
}

/* ---- legacy ----------------------------------------------------------------------------------- */

static bool key_of_storage(const void *context, uint32_t i, size_t depth, uint64_t *part)
{
    const mt_pk_storage *s = context;
    return mt_key_of_str(s[i].key, depth, part);
}

/* The pickle at byte *at of the file. */
static mote_status next_pickle(reader *r, mt_pickle *k, size_t *at)
{
    MT_TRY(mt_pickle_read(k, r->x->map.data + *at, r->x->map.size - *at, r->x->name, r->g->s->arena.alloc, r->g->err));
    *at += k->end;
    return MOTE_OK;
}

/* Where the magic number's pickle ends, 0: there is none.  From protocol 4 on a frame surrounds it. */
static size_t magic_end(const mt_map *m)
{
    const size_t n = sizeof legacy_magic - 1;
    static const size_t before[] = { 2, 2 + 9 };
    for (size_t i = 0; i < MT_COUNT(before); i++)
        if (m->size >= before[i] + n && m->data[0] == 0x80 && memcmp(m->data + before[i], legacy_magic, n) == 0)
            return before[i] + n;
    return 0;
}

/* A pickle of one number, or of the system's facts: read and dropped. */
static mote_status check_pickle(reader *r, size_t *at, bool is_number)
{
    mt_pickle k;
    mote_status st = next_pickle(r, &k, at);
    if (st == MOTE_OK && is_number && (k.root.kind != MT_PK_INT || k.root.u.i != VERSION))
        st = mt_fail(r->g->err, MOTE_EUNSUPPORTED, "%s: expected version %d of PyTorch's old format", r->x->name,
                     VERSION);
    const mt_pk *little = st == MOTE_OK && !is_number ? mt_pk_get(&k.root, "little_endian") : NULL;
    if (st == MOTE_OK && !is_number && !(little && little->kind == MT_PK_BOOL && little->u.i))
        st = other_order(r);
    mt_pickle_close(&k);
    return st;
}

/* The storages with a key, from order[*from] on; all of one type and size. */
static mote_status place_storage(reader *r, const uint32_t *order, mt_str key, size_t *at)
{
    mt_pk_storage *s = r->k->storage;
    const mt_map *m = &r->x->map;
    size_t low = 0, high = r->k->n_storage, bytes;
    while (low < high) {                        /* the first that is not less */
        const size_t middle = low + (high - low) / 2;
        const mt_str found = s[order[middle]].key;
        const size_t n = MT_MIN(found.n, key.n);
        const int less = n ? memcmp(found.p, key.p, n) : 0;
        if (less < 0 || (less == 0 && found.n < key.n)) low = middle + 1;
        else high = middle;
    }
    mt_cursor c = { .p = m->data, .size = m->size, .at = *at };
    const uint64_t n = mt_read_u64(&c);
    if (low == r->k->n_storage || !mt_str_eq(s[order[low]].key, key)) return bad_storage(r, key, "no tensor names it");
    const mt_pk_storage *first = &s[order[low]];
    if (first->data) return bad_storage(r, key, "it appears twice");
    const uint8_t *data = is_size(first, &bytes) && n == first->n ? mt_read_bytes(&c, bytes) : NULL;
    if (!data) return bad_storage(r, key, "its size is not what its tensors name, or the file ends inside it");
    for (; low < r->k->n_storage && mt_str_eq(s[order[low]].key, key); low++) {
        if (s[order[low]].type != first->type || s[order[low]].n != first->n)
            return bad_storage(r, key, "its tensors disagree about its type or size");
        s[order[low]].data = data, s[order[low]].bytes = bytes;
    }
    *at = c.at;
    return MOTE_OK;
}

static mote_status place_storages(reader *r, const mt_pk *keys, size_t at)
{
    const uint32_t *order = mt_order(&r->g->scratch, r->k->n_storage, key_of_storage, r->k->storage);
    if (!order) MT_FAIL(r->g->err, MOTE_ENOMEM, "%s: no memory for %zu storages", r->x->name, r->k->n_storage);
    if (keys->kind != MT_PK_LIST) return bad(r, "expected a list of storages, found another value");
    r->x->head_bytes = at;
    for (uint32_t i = 0; i < keys->u.box->n; i++) {
        const mt_pk *key = &keys->u.box->item[i];
        if (key->kind != MT_PK_TEXT) return bad(r, "expected a list of storages' keys, found another value");
        MT_TRY(place_storage(r, order, (mt_str){ key->u.text, key->n }, &at));
    }
    for (size_t i = 0; i < r->k->n_storage; i++)
        if (!r->k->storage[i].data) return bad_storage(r, r->k->storage[i].key, "it is missing");
    return at == r->x->map.size ? MOTE_OK : bad(r, "bytes behind its last storage belong to nothing");
}

static mote_status read_legacy(reader *r)
{
    size_t at = magic_end(&r->x->map);
    mt_pickle keys;
    MT_TRY(check_pickle(r, &at, true));
    MT_TRY(check_pickle(r, &at, false));
    MT_TRY(next_pickle(r, r->k, &at));
    mote_status st = next_pickle(r, &keys, &at);
    if (st == MOTE_OK) st = place_storages(r, &keys.root, at);
    mt_pickle_close(&keys);
    return st == MOTE_OK ? add_tensors(r) : st;
}

/* ---- a file -------------------------------------------------------------------------------------- */

bool mt_is_torch(const mt_map *m) { return mt_zip_is(m) || magic_end(m) > 0; }

mote_status mt_torch_read(mt_gather *g, mt_shard *x)
{
    mt_pickle k = { .what = x->name };
    reader r = { .g = g, .x = x, .k = &k };
    mt_zip z;
    mote_status st;
    mt_arena_init(&k.arena, g->s->arena.alloc, 0);      /* for closing, when no pickle is reached */
    if (magic_end(&x->map) > 0) {
        st = read_legacy(&r);
    } else {
        st = mt_zip_open(&z, &x->map, x->name, &g->scratch, g->err);
        if (st == MOTE_OK) st = read_zip(&r, &z);
    }
    g->s->data_bytes += x->map.size - x->head_bytes;
    mt_pickle_close(&k);
    return st;
}
