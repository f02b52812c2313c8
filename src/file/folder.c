/* SPDX-License-Identifier: MIT */
/* folder.c - a folder as model hubs publish it: settings and tokenizer in small files, tensors in one
 * file or in shards that an index lists.
 *
 * Names in the index are hostile: bare file names of this folder only.  Links are followed, because hub
 * caches consist of them; companions are looked for beside the link, not beside what it points to. */
#include "file/parts.h"

#include <stdio.h>
#include <string.h>

#include "base/json_pull.h"

enum { MAX_COMPANION = 64, MAX_INDEX = 128 << 20, MAX_FILE_NAME = 255, MAX_REF = 256,
       MAX_PATH = 4096, N_ENDING = 4, MAX_LICENCE = 128 };

/* ---- paths -------------------------------------------------------------------------- */

static mote_status join(mt_arena *a, const char *folder, mt_str name, const char **out, mote_error *err)
{
    const size_t n = strlen(folder), bytes = n + name.n + 2;   /* of strings in memory: no wrap */
    char *p = mt_arena_push(a, bytes);
    *out = p;
    if (!p) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for a path", mt_path_end(folder));
    snprintf(p, bytes, "%s%s%.*s", folder, n && folder[n - 1] != '/' ? "/" : "", (int)name.n, name.p);
    return MOTE_OK;
}

/* The folder that a file lies in, as its path says. */
static mote_status folder_of(mt_source *s, const char **out, mote_error *err)
{
    const char *slash = strrchr(s->path, '/');
    const mt_str folder = slash ? (mt_str){ s->path, (size_t)(slash - s->path) + 1 } : (mt_str){ ".", 1 };
    *out = mt_arena_string(&s->arena, folder);
    if (!*out) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for a path", mt_path_end(s->path));
    return MOTE_OK;
}

static mt_path_kind look(const char *folder, const char *name)
{
    char path[MAX_PATH];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < MAX_PATH ? mt_path_look(path) : MT_PATH_ABSENT;
}

/* ---- companions ---------------------------------------------------------------------- */

/* Small files that belong to a model; a star stands for any beginning. */
static const char *const companion_name[] = {
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json", "vocab.txt",
    "vocab.json", "merges.txt", "*.tiktoken", "spiece.model", "sentencepiece.bpe.model", "tekken.json",
    "rwkv_vocab_v20230424.txt", "modules.json", "sentence_bert_config.json", "preprocessor_config.json",
    "quantize_config.json", "README.md",
};
static const char *const deeper_name[] = { "1_Pooling/config.json", "2_Dense/config.json" };

static bool is_named(const char *name, const char *pattern)
{
    if (*pattern != '*') return strcmp(name, pattern) == 0;
    const size_t n = strlen(name), m = strlen(pattern + 1);
    return n > m && strcmp(name + n - m, pattern + 1) == 0;
}

static bool ends_with(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

/* One look over the folder: companions are mapped, weights counted by their endings. */
typedef struct survey {
    mt_source  *s;
    const char *folder;
    const char *weights[N_ENDING];      /* the first by name of each ending */
    size_t      n_weights[N_ENDING];
    mote_status status;
    mote_error *err;
} survey;
static const char *const weight_ending[N_ENDING] = { ".safetensors", ".bin", ".pth", ".pt" };

static mote_status add_companion(survey *v, const char *name)
{
    mt_source *const s = v->s;
    const char *path;
    if (s->n_companion == MAX_COMPANION) return MOTE_OK;
    mt_companion *c = &s->companion[s->n_companion];
    MT_TRY(join(&s->arena, v->folder, mt_str_of(name), &path, v->err));
    c->name = mt_arena_string(&s->arena, mt_str_of(name));
    if (!c->name) MT_FAIL(v->err, MOTE_ENOMEM, "%s: no memory for its name", mt_path_end(path));
    MT_TRY(mt_map_open(&c->map, path, v->err));
    s->n_companion++;
    return MOTE_OK;
}

/* Files of optimisers and adapters lie beside weights and are none. */
static bool is_weights(const char *name, const char *ending)
{
    static const char *const other[] = { "adapter_", "training_args", "optimizer", "scheduler", "rng_state", "scaler" };
    for (size_t i = 0; i < MT_COUNT(other); i++)
        if (strncmp(name, other[i], strlen(other[i])) == 0) return false;
    return ends_with(name, ending);
}

static void consider(void *user, const char *name)
{
    survey *v = user;
    for (size_t i = 0; i < MT_COUNT(weight_ending) && v->status == MOTE_OK; i++) {
        if (!is_weights(name, weight_ending[i])) continue;
        if (v->n_weights[i]++ && strcmp(name, v->weights[i]) > 0) continue;
        v->weights[i] = mt_arena_string(&v->s->arena, mt_str_of(name));
        if (!v->weights[i]) v->status = mt_fail(v->err, MOTE_ENOMEM, "%s: no memory for its name", mt_path_end(name));
    }
    for (size_t i = 0; i < MT_COUNT(companion_name) && v->status == MOTE_OK; i++)
        if (is_named(name, companion_name[i])) v->status = add_companion(v, name);
}

static mote_status survey_folder(survey *v, mt_source *s, const char *folder, mote_error *err)
{
    *v = (survey){ .s = s, .folder = folder, .err = err };
    s->companion = mt_arena_push_n(&s->arena, MAX_COMPANION, sizeof *s->companion);
    if (!s->companion) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for its files", mt_path_end(folder));
    mt_folder_each(folder, consider, v);
    for (size_t i = 0; i < MT_COUNT(deeper_name) && v->status == MOTE_OK; i++)
        if (look(folder, deeper_name[i]) == MT_PATH_FILE) v->status = add_companion(v, deeper_name[i]);
    return v->status;
}

/* ---- shards --------------------------------------------------------------------------- */

static mote_status open_shard(mt_gather *g, mt_shard *x, const char *folder, mt_str name)
{
    MT_TRY(join(&g->s->arena, folder, name, &x->path, g->err));
    x->name = x->path + strlen(x->path) - name.n;
    switch (mt_path_look(x->path)) {
    case MT_PATH_ABSENT:
        MT_FAIL(g->err, MOTE_EIO, "%s: expected the file %s, found none", mt_path_end(folder), x->name);
    case MT_PATH_DANGLING:
        MT_FAIL(g->err, MOTE_EIO, "%s: %s is a link to a file that is not there", mt_path_end(folder), x->name);
    case MT_PATH_FILE: case MT_PATH_FOLDER: case MT_PATH_OTHER: break;
    }
    return mt_map_open(&x->map, x->path, g->err);
}

static mote_status read_shard(mt_gather *g, mt_shard *x)
{
    if (mt_is_safetensors(&x->map)) {
        g->s->format = "safetensors";
        return mt_safetensors_read(g, x);
    }
    if (mt_is_torch(&x->map)) {
        g->s->format = "pytorch";
        return mt_torch_read(g, x);
    }
    const char *found = mt_foreign_name(&x->map);
    if (x->map.size == 0) found = "an empty file";
    MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected a safetensors or PyTorch file, found %s", x->name,
            found ? found : "other bytes");
}

static mote_status add_shards(mt_gather *g, size_t n)
{
    g->s->shard = mt_arena_push_n(&g->s->arena, n, sizeof *g->s->shard);
    if (!g->s->shard) MT_FAIL(g->err, MOTE_ENOMEM, "%s: no memory for %zu files", mt_path_end(g->s->path), n);
    return MOTE_OK;
}

static mote_status read_one(mt_gather *g, const char *folder, const char *name)
{
    MT_TRY(add_shards(g, 1));
    g->s->n_shard = 1;
    MT_TRY(open_shard(g, &g->s->shard[0], folder, mt_str_of(name)));
    return read_shard(g, &g->s->shard[0]);
}

/* ---- the index of shards ---------------------------------------------------------------- */

typedef struct claim { mt_str name, file; uint32_t shard; } claim;     /* a tensor lies in a file */
typedef struct claims { claim *c; size_t n; const char *what; } claims;

static int order_of(mt_str a, mt_str b)
{
    const size_t n = MT_MIN(a.n, b.n);
    const int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

static bool key_of_file(const void *context, uint32_t i, size_t depth, uint64_t *part)
{
    const claim *c = context;
    return mt_key_of_str(c[i].file, depth, part);
}

static bool key_of_name(const void *context, uint32_t i, size_t depth, uint64_t *part)
{
    const claim *c = context;
    return mt_key_of_str(c[i].name, depth, part);
}

static mote_status no_memory(const mt_gather *g, size_t n)
{
    MT_FAIL(g->err, MOTE_ENOMEM, "%s: no memory for %zu tensors", mt_path_end(g->s->path), n);
}

/* Walks over weight_map; with out NULL only counts. */
static size_t read_map(mt_pull *j, claim *out)
{
    size_t n = 0;
    mt_str key;
    mt_pull_object(j);
    while (mt_pull_key(j, &key)) {
        if (!out) mt_pull_skip(j);
        else if (mt_pull_str(j, &out[n].file)) out[n].name = key;
        n++;
    }
    return n;
}

static mote_status read_claims(mt_gather *g, mt_str text, claims *out)
{
    mt_pull j, mark = { 0 };
    mt_str key;
    int n_map = 0;
    mt_pull_init(&j, text, out->what, 8, &g->scratch, g->err);
    mt_pull_object(&j);
    while (mt_pull_key(&j, &key)) {
        if (mt_str_is(key, "weight_map")) {
            n_map++;
            mark = j;
            out->n = read_map(&j, NULL);
        } else {
            mt_pull_skip(&j);
        }
    }
    MT_TRY(mt_pull_end(&j));
    if (n_map != 1 || out->n == 0 || out->n > MT_MAX_TENSOR)
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected one weight_map of 1 to %d tensors, found %d of %zu", out->what,
                MT_MAX_TENSOR, n_map, out->n);
    out->c = mt_arena_push_n(&g->scratch, out->n, sizeof *out->c);
    if (!out->c) return no_memory(g, out->n);
    read_map(&mark, out->c);
    return mark.status;
}

/* A bare file name: nothing that leaves the folder. */
static bool is_bare(mt_str name)
{
    return name.n > 0 && name.n <= MAX_FILE_NAME && name.p[0] != '.' && !memchr(name.p, '/', name.n) &&
           !memchr(name.p, '\\', name.n) && !memchr(name.p, 0, name.n);
}

/* Numbers the files that claims name, in the order of their names, and opens them. */
static mote_status open_shards(mt_gather *g, const char *folder, claims *all)
{
    size_t n = 0;
    const uint32_t *order = mt_order(&g->scratch, all->n, key_of_file, all->c);
    if (!order) return no_memory(g, all->n);
    for (size_t i = 0; i < all->n; i++) {
        claim *c = &all->c[order[i]];
        n += i == 0 || !mt_str_eq(c->file, all->c[order[i - 1]].file);
        c->shard = (uint32_t)n - 1;
        if (!is_bare(c->file))
            MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected the bare name of a file, found %.*s", all->what,
                    (int)MT_MIN(c->file.n, (size_t)80), c->file.p);
    }
    if (n > MT_MAX_SHARD)
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected at most %d files, found %zu", all->what, MT_MAX_SHARD, n);
    MT_TRY(add_shards(g, n));
    for (size_t i = 0; i < all->n; i++) {
        const claim *c = &all->c[order[i]];
        if (c->shard < g->s->n_shard) continue;
        MT_TRY(open_shard(g, &g->s->shard[g->s->n_shard++], folder, c->file));
    }
    return MOTE_OK;
}

/* Each shard holds exactly the tensors claimed: both lists, by name, are one. */
static mote_status check_claims(mt_gather *g, const claims *all)
{
    const uint32_t *wanted = mt_order(&g->scratch, all->n, key_of_name, all->c);
    const uint32_t *found = wanted ? mt_order_by_name(&g->scratch, g->tensor, g->n_tensor) : NULL;
    if (!found) return no_memory(g, all->n);
    for (size_t i = 0, k = 0; i < all->n || k < g->n_tensor;) {
        const claim *c = i < all->n ? &all->c[wanted[i]] : NULL;
        const mt_tensor *t = k < g->n_tensor ? &g->tensor[found[k]] : NULL;
        const int order = !c ? 1 : !t ? -1 : order_of(c->name, mt_str_of(t->name));
        if (order < 0)
            MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected tensor %.*s in %.*s, found none there", all->what,
                    (int)MT_MIN(c->name.n, (size_t)64), c->name.p, (int)c->file.n, c->file.p);
        if (order > 0)
            MT_FAIL(g->err, MOTE_EFORMAT, "%s: a file holds tensor %.64s, which is not in the list", all->what,
                    t->name);
        const mt_shard *x = &g->s->shard[c->shard];
        if (found[k] - x->first_tensor >= x->n_tensor)
            MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected tensor %.64s in %s, found it in another file", all->what,
                    t->name, x->name);
        i++, k++;
        if (i < all->n && mt_str_eq(all->c[wanted[i]].name, c->name))
            MT_FAIL(g->err, MOTE_EFORMAT, "%s: tensor %.64s appears twice", all->what, t->name);
        if (k < g->n_tensor && strcmp(g->tensor[found[k]].name, t->name) == 0)
            MT_FAIL(g->err, MOTE_EFORMAT, "%s: tensor %.64s lies in two files", all->what, t->name);
    }
    return MOTE_OK;
}

mote_status mt_index_read(mt_gather *g, mt_str text, const char *folder, const char *index)
{
    claims all = { .what = index };
    MT_TRY(read_claims(g, text, &all));
    MT_TRY(open_shards(g, folder, &all));
    for (size_t i = 0; i < g->s->n_shard; i++) MT_TRY(read_shard(g, &g->s->shard[i]));
    return check_claims(g, &all);
}

static mote_status read_sharded(mt_gather *g, const char *folder, const char *index)
{
    const char *path;
    mt_map map;
    MT_TRY(join(&g->s->arena, folder, mt_str_of(index), &path, g->err));
    MT_TRY(mt_map_open(&map, path, g->err));
    mote_status st = MOTE_OK;
    if (map.size > MAX_INDEX)
        st = mt_fail(g->err, MOTE_EFORMAT, "%s: expected at most %d bytes, found %zu", index, MAX_INDEX, map.size);
    if (st == MOTE_OK) st = mt_index_read(g, (mt_str){ (const char *)map.data, map.size }, folder, index);
    mt_map_close(&map);
    return st;
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Between lines of dashes at its start a README has keys and values; empty: no licence among them. */
static mt_str licence_of(mt_str text)
{
    static const char fence[] = "---", key[] = "license:";
    for (int line = 0; text.n > 0; line++) {
        const char *end = memchr(text.p, '\n', text.n);
        mt_str s = { text.p, end ? (size_t)(end - text.p) : text.n };
        text.p += s.n + (end != NULL), text.n -= s.n + (end != NULL);
        while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\r')) s.n--;
        if (mt_str_is(s, fence) != (line == 0)) break;
        if (s.n < sizeof key || memcmp(s.p, key, sizeof key - 1) != 0) continue;
        s.p += sizeof key - 1, s.n -= sizeof key - 1;
        while (s.n && *s.p == ' ') s.p++, s.n--;
        return s;
    }
    return (mt_str){ "", 0 };
}

static mote_status read_readme(mt_gather *g)
{
    mt_meta *m;
    const mt_str licence = licence_of(mt_source_file(g->s, "README.md"));
    if (licence.n == 0 || licence.n > MAX_LICENCE) return MOTE_OK;
    MT_TRY(mt_gather_meta(g, "README.md", &m));
    MT_TRY(mt_gather_name(g, "README.md", mt_str_of("readme.license"), &m->key));
    m->type = MT_META_STRING, m->n = 1, m->value.s = licence;
    return MOTE_OK;
}

static mote_status read_settings(mt_gather *g)
{
    const mt_str config = mt_source_file(g->s, "config.json");
    const mt_str generation = mt_source_file(g->s, "generation_config.json");
    const mt_str packing = mt_source_file(g->s, "quantize_config.json");    /* of GPTQ, before config.json had it */
    if (config.n) MT_TRY(mt_config_read(g, config, "config.json", ""));
    if (packing.n) MT_TRY(mt_config_read(g, packing, "quantize_config.json", "quantize_config."));
    if (generation.n) MT_TRY(mt_config_read(g, generation, "generation_config.json", "generation."));
    return read_readme(g);
}

/* A tokenizer may be published by itself: whoever wants weights of it finds no tensors. */
static bool has_vocabulary(const mt_source *s)
{
    static const char *const name[] = { "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "*.tiktoken",
                                        "spiece.model", "sentencepiece.bpe.model", "rwkv_vocab_v20230424.txt" };
    for (size_t i = 0; i < MT_COUNT(name); i++)
        if (mt_source_file(s, name[i]).n) return true;
    return false;
}

/* The order of transformers: one file before an index, safetensors before pickles. */
static mote_status read_weights(mt_gather *g, const survey *v)
{
    static const char *const whole[] = { "model.safetensors", "pytorch_model.bin" };
    const char *folder = v->folder;
    for (size_t i = 0; i < MT_COUNT(whole); i++) {
        char index[64];
        snprintf(index, sizeof index, "%s.index.json", whole[i]);
        if (look(folder, whole[i]) != MT_PATH_ABSENT) return read_one(g, folder, whole[i]);
        if (look(folder, index) != MT_PATH_ABSENT) return read_sharded(g, folder, index);
        for (size_t k = i; k < (i ? MT_COUNT(weight_ending) : 1); k++) {
            if (v->n_weights[k] == 1) return read_one(g, folder, v->weights[k]);
            if (v->n_weights[k] > 1)
                MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected one file of weights or %s, found %zu files like %s and no "
                        "index", mt_path_end(folder), index, v->n_weights[k], v->weights[k]);
        }
    }
    if (has_vocabulary(g->s)) return MOTE_OK;
    MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected a folder with model.safetensors, pytorch_model.bin or an index of such "
            "files, found none", mt_path_end(folder));
}

/* A hub's cache keeps snapshots of a repository below it, and the newest one's name in refs/main. */
static mote_status find_snapshot(mt_source *s, const char **folder, mote_error *err)
{
    const char *path, *snapshots;
    mt_map ref;
    if (look(*folder, "config.json") != MT_PATH_ABSENT) return MOTE_OK;
    if (look(*folder, "refs/main") != MT_PATH_FILE) return MOTE_OK;
    MT_TRY(join(&s->arena, *folder, mt_str_of("refs/main"), &path, err));
    MT_TRY(join(&s->arena, *folder, mt_str_of("snapshots"), &snapshots, err));
    MT_TRY(mt_map_open(&ref, path, err));
    mt_str name = { (const char *)ref.data, MT_MIN(ref.size, (size_t)MAX_REF) };
    while (name.n && (name.p[name.n - 1] == '\n' || name.p[name.n - 1] == ' ')) name.n--;
    const mote_status st = is_bare(name) ? join(&s->arena, snapshots, name, folder, err)
                           : mt_fail(err, MOTE_EFORMAT, "%s: expected the name of a snapshot", mt_path_end(path));
    mt_map_close(&ref);
    return st;
}

static mote_status fill(mt_gather *g, const survey *v)
{
    g->s->is_foreign = true;
    MT_TRY(read_settings(g));
    MT_TRY(read_weights(g, v));
    return mt_gather_end(g);
}

mote_status mt_folder_open(mt_source *s, mote_error *err)
{
    const char *folder = s->path;
    survey v;
    mt_gather g;
    MT_TRY(find_snapshot(s, &folder, err));
    MT_TRY(survey_folder(&v, s, folder, err));
    if (mt_source_file(s, "config.json").n == 0 && !has_vocabulary(s))
        MT_FAIL(err, MOTE_EFORMAT, "%s: expected a model's folder, found neither config.json nor a tokenizer in it", mt_path_end(folder));
    mt_gather_init(&g, s, err);
    const mote_status st = fill(&g, &v);
    mt_gather_close(&g);
    return st;
}

mote_status mt_folder_around(mt_source *s, mote_error *err)
{
    const char *folder;
    survey v;
    MT_TRY(folder_of(s, &folder, err));
    return survey_folder(&v, s, folder, err);
}

bool mt_is_checkpoint(const mt_map *m) { return mt_is_safetensors(m) || mt_is_torch(m); }

static mote_status fill_alone(mt_gather *g)
{
    mt_source *const s = g->s;
    MT_TRY(add_shards(g, 1));
    const char *slash = strrchr(s->path, '/');
    s->shard[0] = (mt_shard){ .path = s->path, .name = slash ? slash + 1 : s->path, .map = s->map };
    s->is_foreign = true;
    MT_TRY(read_settings(g));
    MT_TRY(read_shard(g, &s->shard[0]));
    MT_TRY(mt_gather_end(g));
    s->map = (mt_map){ NULL, 0 };               /* the shard's from here on */
    s->n_shard = 1;
    return MOTE_OK;
}

mote_status mt_checkpoint_read(mt_source *s, mote_error *err)
{
    mt_gather g;
    mt_gather_init(&g, s, err);
    const mote_status st = fill_alone(&g);
    mt_gather_close(&g);
    return st;
}
