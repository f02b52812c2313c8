/* SPDX-License-Identifier: MIT */
/* gguf_split.c - a GGUF model in several files, NAME-00001-of-00003.gguf and so on, opened as one source by
 * any of them.
 *
 * Each file is a GGUF of its own that says its number and how many there are; the first has the
 * metadata.  All are opened at once: a model with a part missing, or with a part of another model,
 * must not open.  Every part is read by the ordinary reader; here only their sum is checked. */
#include "file/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PART = 1024, MAX_TENSOR = 1 << 20 };

typedef struct split { int64_t no, count, n_tensor; } split;

/* false: s is not one of several. */
static bool find_split(const mt_source *s, split *out)
{
    *out = (split){ 0, 1, (int64_t)s->n_tensor };
    if (!mt_meta_int(s, "split.count", &out->count) || out->count == 1) return false;
    mt_meta_int(s, "split.no", &out->no);
    mt_meta_int(s, "split.tensors.count", &out->n_tensor);
    return true;
}

static mote_status check_split(const mt_source *s, const split *p, mote_error *err)
{
    const char *path = mt_path_end(s->path);
    if (p->count < 1 || p->count > MAX_PART)
        MT_FAIL(err, MOTE_EFORMAT, "%s: split.count is %" PRId64 ", expected 1 to %d", path, p->count, MAX_PART);
    if (p->no < 0 || p->no >= p->count)
        MT_FAIL(err, MOTE_EFORMAT, "%s: split.no is %" PRId64 ", expected 0 to %" PRId64, path, p->no, p->count - 1);
    if (p->n_tensor < 0 || p->n_tensor > MAX_TENSOR)
        MT_FAIL(err, MOTE_EFORMAT, "%s: split.tensors.count is %" PRId64 ", expected 0 to %d", path, p->n_tensor,
                MAX_TENSOR);
    return MOTE_OK;
}

/* ---- joining -------------------------------------------------------------------- */

/* Reads part i from its mapping; what it keeps lies in the arena of s. */
static mote_status read_part(mt_source *s, const split *whole, size_t i, mt_source *part, mote_error *err)
{
    split p;
    *part = (mt_source){ .arena = s->arena, .map = s->shard[i].map, .path = s->shard[i].path };
    const mote_status st = mt_source_read(part, err);
    s->arena = part->arena;
    MT_TRY(st);
    const bool is_split = find_split(part, &p);
    if (!is_split || p.no != (int64_t)i || p.count != whole->count || p.n_tensor != whole->n_tensor)
        MT_FAIL(err, MOTE_EFORMAT, "%s: expected part %zu of %" PRId64 " with %" PRId64 " tensors in all, found part %"
                PRId64 " of %" PRId64 " with %" PRId64, mt_path_end(part->path), i + 1, whole->count, whole->n_tensor,
                p.no + 1, p.count, p.n_tensor);
    s->shard[i].head_bytes = part->map.size - part->data_bytes;
    return MOTE_OK;
}

/* Some writers repeat the metadata in every part; then it must be the same model's. */
static mote_status check_kin(const mt_source *first, const mt_source *part, mote_error *err)
{
    static const char *const keys[] = { "general.architecture", "general.name" };
    mt_str a, b;
    for (size_t i = 0; i < MT_COUNT(keys); i++)
        if (mt_meta_str(first, keys[i], &a) && mt_meta_str(part, keys[i], &b) && !mt_str_eq(a, b))
            MT_FAIL(err, MOTE_EFORMAT, "%s: part of another model: its %s is \"%.*s\", expected \"%.*s\"",
                    mt_path_end(part->path), keys[i], (int)MT_MIN(b.n, 40), b.p, (int)MT_MIN(a.n, 40), a.p);
    return MOTE_OK;
}

static mote_status check_count(const mt_source *s, const split *whole, const mt_source *part, mote_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_shard; i++) n += part[i].n_tensor;     /* 2^10 times 2^20 at most */
    if (n == (size_t)whole->n_tensor) return MOTE_OK;
    MT_FAIL(err, MOTE_EFORMAT, "%s: its %zu parts have %zu tensors, split.tensors.count is %" PRId64,
            mt_path_end(s->path), s->n_shard, n, whole->n_tensor);
}

static mote_status join(mt_source *s, const split *whole, const mt_source *part, mote_error *err)
{
    MT_TRY(check_count(s, whole, part, err));
    mt_tensor *tensor = mt_arena_push_n(&s->arena, (size_t)whole->n_tensor, sizeof *tensor);
    if (!tensor)
        MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for %" PRId64 " tensors", mt_path_end(s->path), whole->n_tensor);
    s->tensor = tensor, s->n_tensor = 0, s->data_bytes = 0;
    for (size_t i = 0; i < s->n_shard; i++) {
        MT_TRY(check_kin(&part[0], &part[i], err));
        if (part[i].n_tensor) memcpy(tensor + s->n_tensor, part[i].tensor, part[i].n_tensor * sizeof *tensor);
        s->n_tensor += part[i].n_tensor;
        s->data_bytes += part[i].data_bytes;        /* all are mapped at once: no wrap */
    }
    s->meta = part[0].meta, s->n_meta = part[0].n_meta, s->version = part[0].version;
    return mt_source_index(s, err);
}

mote_status mt_split_join(mt_source *s, mt_part_fn open, void *user, mote_error *err)
{
    split whole;
    if (!find_split(s, &whole)) return MOTE_OK;
    MT_TRY(check_split(s, &whole, err));
    const size_t n = (size_t)whole.count, own = (size_t)whole.no;
    mt_source *part = mt_arena_push_n(&s->arena, n, sizeof *part);
    s->shard = mt_arena_push_n(&s->arena, n, sizeof *s->shard);
    if (!part || !s->shard) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for %zu parts", mt_path_end(s->path), n);
    part[own] = *s;
    s->shard[own] = (mt_shard){ .path = s->path, .map = s->map, .head_bytes = s->map.size - s->data_bytes };
    s->n_shard = n;                     /* from here on closing the source closes them */
    s->map = (mt_map){ NULL, 0 };
    for (size_t i = 0; i < n; i++) {
        if (i == own) continue;
        MT_TRY(open(user, i, &s->shard[i], err));
        MT_TRY(read_part(s, &whole, i, &part[i], err));
    }
    return join(s, &whole, part, err);
}

/* ---- files ---------------------------------------------------------------------- */

typedef struct names { mt_source *s; size_t n_stem, n; } names;

enum { ENDING = sizeof "-00001-of-00003.gguf" };    /* and the zero */

static mote_status open_part(void *user, size_t i, mt_shard *out, mote_error *err)
{
    const names *k = user;
    mote_error why;
    char *path = mt_arena_push(&k->s->arena, k->n_stem + ENDING);
    if (!path) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for the name of a part", mt_path_end(k->s->path));
    memcpy(path, k->s->path, k->n_stem);
    snprintf(path + k->n_stem, ENDING, "-%05zu-of-%05zu.gguf", (i + 1) % 100000, k->n % 100000);
    out->path = path;
    const mote_status st = mt_map_open(&out->map, path, &why);
    if (st != MOTE_OK)
        MT_FAIL(err, st, "part %zu of %zu of the model is not there: %s", i + 1, k->n, why.text);
    return MOTE_OK;
}

mote_status mt_split_open(mt_source *s, mote_error *err)
{
    split whole;
    char ending[64];
    const size_t n = strlen(s->path);
    if (!find_split(s, &whole)) return MOTE_OK;
    MT_TRY(check_split(s, &whole, err));
    const int n_ending = snprintf(ending, sizeof ending, "-%05" PRId64 "-of-%05" PRId64 ".gguf", whole.no + 1, whole.count);
    if (n < (size_t)n_ending || strcmp(s->path + n - n_ending, ending) != 0)
        MT_FAIL(err, MOTE_EFORMAT, "%s: it is part %" PRId64 " of %" PRId64 ", which are found by name: expected one that "
                "ends with %s", mt_path_end(s->path), whole.no + 1, whole.count, ending);
    names k = { s, n - (size_t)n_ending, (size_t)whole.count };
    return mt_split_join(s, open_part, &k, err);
}
