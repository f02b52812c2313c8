/* SPDX-License-Identifier: MIT */
/* safetensors_write.c - the length of a JSON header, the header, the data; in one file or several with
 * an index.
 *
 * The bytes are those of the safetensors package, which puts types of more bytes first and then sorts
 * by name, so that everything is aligned.  The index of several files is written last. */
#include "file/parts.h"
#include "file/stream.h"
#include "file/vocab_json.h"

#include <string.h>

enum { MAX_HEADER = 100000000, MAX_INDEX = 512 << 20 };        /* the package's limit; ours */
static const char meta_prefix[] = "__metadata__.";

/* In the package's order, which decides what comes first in a file: the last. */
static const struct { mt_type type; const char *name; } dtypes[] = {
    { MT_U8, "U8" },      { MT_I8, "I8" },   { MT_F8_E5M2, "F8_E5M2" }, { MT_F8_E4M3, "F8_E4M3" },
    { MT_I16, "I16" },    { MT_U16, "U16" }, { MT_F16, "F16" },         { MT_BF16, "BF16" },
    { MT_I32, "I32" },    { MT_U32, "U32" }, { MT_F32, "F32" },         { MT_F64, "F64" },
    { MT_I64, "I64" },    { MT_U64, "U64" },
};

static size_t rank_of(mt_type type)              /* MT_COUNT(dtypes): no such type there */
{
    size_t i = 0;
    while (i < MT_COUNT(dtypes) && dtypes[i].type != type) i++;
    return i;
}

typedef struct job {
    const mt_writer *w;
    const char *path;
    uint32_t *order;             /* (n_tensor) by file, each file's in the order of its data */
    mt_cut cut;
    mt_buf text;                 /* a header, then the index */
    mt_arena arena;
} job;

/* ---- JSON ------------------------------------------------------------------- */

static bool put_text(mt_buf *b, const char *text) { return mt_buf_put(b, text, strlen(text)); }

static bool put_tensor(mt_buf *b, const mt_out_tensor *t, size_t at)
{
    bool ok = mt_json_quote(b, mt_str_of(t->name))
              && mt_buf_print(b, ":{\"dtype\":\"%s\",\"shape\":[", dtypes[rank_of(t->type)].name);
    for (int i = t->n_dim; ok && i-- > 0;) ok = mt_buf_print(b, "%lld%s", (long long)t->ne[i], i ? "," : "");
    return ok && mt_buf_print(b, "],\"data_offsets\":[%zu,%zu]}", at, at + t->bytes);
}

static bool put_metadata(mt_buf *b, const mt_writer *w)
{
    const size_t n_prefix = sizeof meta_prefix - 1;
    bool ok = true, has_some = false;
    for (size_t i = 0; ok && i < w->n_meta; i++) {
        const mt_meta *m = &w->meta[i];
        if (m->type != MT_META_STRING || strncmp(m->key, meta_prefix, n_prefix) != 0) continue;
        ok = put_text(b, has_some ? "," : "\"__metadata__\":{") && mt_json_quote(b, mt_str_of(m->key + n_prefix))
             && put_text(b, ":") && mt_json_quote(b, m->value.s);
        has_some = true;
    }
    return ok && (!has_some || put_text(b, w->n_tensor ? "}," : "}"));
}

/* The header of one file, padded to 8 bytes.  Sums of sizes were proved. */
static bool put_header(job *j, size_t file)
{
    mt_buf *b = &j->text;
    size_t at = 0;
    b->n = 0;
    bool ok = put_text(b, "{") && put_metadata(b, j->w);
    for (size_t i = j->cut.first[file]; ok && i < j->cut.first[file + 1]; i++) {
        const mt_out_tensor *t = &j->w->tensor[j->order[i]];
        ok = put_tensor(b, t, at) && put_text(b, i + 1 < j->cut.first[file + 1] ? "," : "");
        at += t->bytes;
    }
    ok = ok && put_text(b, "}");
    while (ok && b->n % 8) ok = put_text(b, " ");
    return ok;
}

static bool put_index(job *j, size_t total)
{
    mt_buf *b = &j->text;
    b->n = 0;
    bool ok = mt_buf_print(b, "{\n  \"metadata\": {\n    \"total_size\": %zu\n  },\n  \"weight_map\": {", total);
    for (size_t file = 0, i = 0; ok && i < j->w->n_tensor; i++) {
        while (i >= j->cut.first[file + 1]) file++;
        const mt_arena_mark mark = mt_arena_mark_get(&j->arena);
        const char *path = mt_cut_path(&j->arena, j->path, ".safetensors", file, j->cut.n);
        const char *slash = path ? strrchr(path, '/') : NULL;
        ok = path && put_text(b, i ? ",\n    " : "\n    ") && mt_json_quote(b, mt_str_of(j->w->tensor[i].name))
             && put_text(b, ": ") && mt_json_quote(b, mt_str_of(slash ? slash + 1 : path));
        mt_arena_rewind(&j->arena, mark);
    }
    return ok && put_text(b, "\n  }\n}\n");
}

/* ---- what is written ------------------------------------------------------------- */

static bool comes_before(const void *context, uint32_t a, uint32_t b)
{
    const mt_out_tensor *x = (const mt_out_tensor *)context + a, *y = (const mt_out_tensor *)context + b;
    const size_t rank_x = rank_of(x->type), rank_y = rank_of(y->type);
    return rank_x != rank_y ? rank_x > rank_y : strcmp(x->name, y->name) < 0;
}

static mote_status check(const mt_writer *w, size_t *total, mote_error *err)
{
    *total = 0;
    for (size_t i = 0; i < w->n_tensor; i++) {
        const mt_out_tensor *t = &w->tensor[i];
        if (rank_of(t->type) == MT_COUNT(dtypes))
            MT_FAIL(err, MOTE_EUNSUPPORTED, "tensor %.64s: no safetensors file holds the type %s", t->name,
                    mt_type_of(t->type)->name);
        if (!mt_json_is_utf8(mt_str_of(t->name)))
            MT_FAIL(err, MOTE_EINVAL, "tensor %zu: a name that is not UTF-8", i);
        if (!mt_add_ok(*total, t->bytes, total)) MT_FAIL(err, MOTE_EFULL, "tensors too large for any disk");
    }
    for (size_t i = 0; i < w->n_meta; i++)
        if (w->meta[i].type == MT_META_STRING && !(mt_json_is_utf8(w->meta[i].value.s) && mt_json_is_utf8(mt_str_of(w->meta[i].key))))
            MT_FAIL(err, MOTE_EINVAL, "metadata %.64s: text that is not UTF-8", w->meta[i].key);
    return MOTE_OK;
}

static mote_status write_file(job *j, const mt_write_opts *o, size_t file, size_t *done, size_t total, mote_error *err)
{
    mt_stream s;
    const char *path = mt_cut_path(&j->arena, j->path, ".safetensors", file, j->cut.n);
    if (!path || !put_header(j, file))
        MT_FAIL(err, j->text.n > MAX_HEADER / 2 ? MOTE_EFULL : MOTE_ENOMEM, "%s: no room for its header of over %zu bytes",
                mt_path_end(j->path), j->text.n);
    MT_TRY(mt_stream_open(&s, &j->arena, path, 8 + j->text.n + (total - *done), o, err));
    s.done = *done, s.total = total;
    mt_stream_number(&s, j->text.n, 8);
    mt_stream_put(&s, j->text.p, j->text.n);
    for (size_t i = j->cut.first[file]; i < j->cut.first[file + 1]; i++)
        mt_stream_tensor(&s, &j->w->tensor[j->order[i]]);
    *done = s.done;
    const mote_status st = mt_stream_publish(&s, err);
    mt_stream_close(&s);
    return st;
}

static mote_status write_index(job *j, const mt_write_opts *o, size_t total, mote_error *err)
{
    static const char ending[] = ".index.json";
    mt_stream s;
    const size_t n = strlen(j->path);
    char *path = mt_arena_push(&j->arena, n + sizeof ending);
    j->text.max = MAX_INDEX;
    if (!path || !put_index(j, total)) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for its index", mt_path_end(j->path));
    memcpy(path, j->path, n);
    memcpy(path + n, ending, sizeof ending);
    MT_TRY(mt_stream_open(&s, &j->arena, path, j->text.n, o, err));
    mt_stream_put(&s, j->text.p, j->text.n);
    const mote_status st = mt_stream_publish(&s, err);
    mt_stream_close(&s);
    return st;
}

static mote_status write_all(job *j, const mt_write_opts *o, mote_error *err)
{
    size_t total, done = 0;
    mote_status st = MOTE_OK;
    MT_TRY(mt_writer_check(j->w, &j->arena, err));
    MT_TRY(check(j->w, &total, err));
    MT_TRY(mt_writer_cut(j->w, &j->arena, o->split_bytes, &j->cut, err));
    j->order = mt_arena_push_n(&j->arena, j->w->n_tensor, sizeof *j->order);
    if (!j->order) MT_FAIL(err, MOTE_ENOMEM, "no memory to sort %zu tensors", j->w->n_tensor);
    for (size_t i = 0; i < j->w->n_tensor; i++) j->order[i] = (uint32_t)i;
    for (size_t i = 0; i < j->cut.n; i++)
        mt_order_sort(j->order + j->cut.first[i], j->cut.first[i + 1] - j->cut.first[i], comes_before, j->w->tensor);
    size_t n_written = 0;
    while (st == MOTE_OK && n_written < j->cut.n) {
        st = write_file(j, o, n_written, &done, total, err);
        if (st == MOTE_OK) n_written++;
    }
    if (st == MOTE_OK && j->cut.n > 1) st = write_index(j, o, total, err);
    for (size_t i = 0; st != MOTE_OK && i < n_written; i++) {               /* of no use alone */
        const char *path = mt_cut_path(&j->arena, j->path, ".safetensors", i, j->cut.n);
        if (path) mt_file_remove(path);
    }
    return st;
}

mote_status mt_safetensors_write(const mt_writer *w, const char *path, const mt_write_opts *o, mote_error *err)
{
    static const mt_write_opts plain;
    job j = { .w = w, .path = path };
    mt_arena_init(&j.arena, w->arena.alloc, 1 << 14);
    mt_buf_init(&j.text, w->arena.alloc, MAX_HEADER);
    const mote_status st = write_all(&j, o ? o : &plain, err);
    mt_buf_free(&j.text);
    mt_arena_reset(&j.arena);
    return st;
}
