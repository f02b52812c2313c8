/* SPDX-License-Identifier: MIT */
/* load.c - finds the file, opens model, engine and session, and refuses early what will not fit.
 *
 * The memory check comes before the weights are read: a machine that starts to swap is a worse
 * answer than one line with two numbers and a context that would work. */
#include "load.h"
#include "catalogue.h"
#include "net.h"
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that makes its folder one the library reads: a configuration, or a tokenizer, which may come by itself. */
static bool is_readable(const char *name)
{
    static const char *const known[] = { "config.json", "tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json",
                                         "vocab.txt", "sentencepiece.bpe.model", "rwkv_vocab_v20230424.txt" };
    const size_t n = strlen(name), ending = strlen(".tiktoken");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i])) return true;
    return n > ending && !strcmp(name + n - ending, ".tiktoken");
}

/* A folder is a model when it has one GGUF file, or when the library reads it. */
static int in_folder(const char *folder, char path[APP_PATH])
{
    char inner[APP_PATH], first[APP_PATH] = "";
    int count = 0;
    bool readable = store_join(inner, folder, "refs/main") && access(inner, R_OK) == 0;     /* a hub's cache */
    DIR *d = opendir(folder);
    if (!d) return term_error(ST_NO_MODEL, "cannot read the folder %s: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(d));) {
        readable = readable || is_readable(e->d_name);
        if (e->d_name[0] == '.' || store_file_rank(e->d_name) < 0) continue;
        if (store_join(inner, folder, e->d_name) && access(inner, R_OK) == 0 && count++ == 0)
            strcpy(first, inner);       /* same size */
    }
    closedir(d);
    if (count == 1) {
        strcpy(path, first);
        return ST_DONE;
    }
    if (count > 1) {
        term_error(ST_USAGE, "the folder %s holds %d GGUF files", folder, count);
        term_try("name one of them, for example %s", first);
        return ST_USAGE;
    }
    if (readable) {
        snprintf(path, APP_PATH, "%s", folder);
        return ST_DONE;
    }
    term_error(ST_NO_MODEL, "the folder %s holds no model: neither a .gguf file nor config.json nor a tokenizer", folder);
    term_try("mote list");
    return ST_NO_MODEL;
}

static int at_path(const char *given, char path[APP_PATH])
{
    struct stat s;
    if (strlen(given) >= APP_PATH) return term_error(ST_NO_MODEL, "the path has %zu bytes", strlen(given));
    if (stat(given, &s) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return term_error(ST_NO_MODEL, "cannot open %s: %s", given, strerror(errno));
        return ref_not_found(given);
    }
    if (S_ISDIR(s.st_mode)) return in_folder(given, path);
    if (!S_ISREG(s.st_mode)) return term_error(ST_NO_MODEL, "%s is not a file", given);
    snprintf(path, APP_PATH, "%s", given);
    return ST_DONE;
}

int load_locate(const args *a, const char *model, bool may_pull, char path[APP_PATH], char name[512])
{
    model_ref r;
    int st = ref_parse(&r, model ? model : catalogue_default()->name);
    if (st) return st;
    snprintf(name, 512, "%s", r.name);
    if (r.kind == REF_PATH) return at_path(r.path, path);
    if (store_find(&r, path)) return ST_DONE;
    if (may_pull && !args_has(a, OPT_OFFLINE)) return net_pull(&r, path);
    term_error(ST_NO_MODEL, "%s is not on this machine", r.name);
    term_try("mote pull %s", r.name);
    return ST_NO_MODEL;
}

uint64_t load_bytes(const char *path)
{
    struct stat s;
    char inner[APP_PATH];
    uint64_t sum = 0;
    if (stat(path, &s) != 0) return 0;
    DIR *d = S_ISDIR(s.st_mode) ? opendir(path) : NULL;
    if (!d) return (uint64_t)s.st_size;
    for (struct dirent *e; (e = readdir(d));) {
        const char *end = strrchr(e->d_name, '.');
        if (!end || (strcmp(end, ".safetensors") && strcmp(end, ".bin") && strcmp(end, ".pth"))) continue;
        if (store_join(inner, path, e->d_name) && stat(inner, &s) == 0 && S_ISREG(s.st_mode)) sum += (uint64_t)s.st_size;
    }
    closedir(d);
    return sum;
}

static int check_weights(const char *path, const char *name)
{
    const uint64_t bytes = load_bytes(path);
    device d;
    term_buf b1, b2;
    device_read(&d);
    if (!bytes || !d.memory_free || bytes <= d.memory_free) return ST_DONE;
    term_error(ST_NO_FIT, "%s needs %s of memory, %s is free", name,
               term_bytes(&b1, bytes), term_bytes(&b2, d.memory_free));
    term_try("a smaller model or a smaller kind of weights (Q4_0, Q3_K_M) of it");
    return ST_NO_FIT;
}

/* What to do about a file that does not open. */
static void advise(const loaded *l, mote_status code)
{
    const bool is_file = !strcmp(l->name, l->path);
    if (code == MOTE_EFORMAT && is_file) term_try("fetch the file again, and compare its size");
    else if (code == MOTE_EFORMAT) term_try("mote rm %s, then mote pull %s", l->name, l->name);
    else if (code == MOTE_EUNSUPPORTED) term_try("another model: mote list   or mote pull %s",
                                                 catalogue_default()->name);
    else if (code == MOTE_ENOMEM) term_try("a smaller model, or close other programs");
}

static void model_opts(mote_model_opts *o, const args *a)
{
    mote_model_opts_init(o);
    o->n_threads = args_int(a, OPT_THREADS, 0);
}

int load_describe(loaded *l, const args *a, const char *model)
{
    mote_model_opts o;
    mote_error err = { 0 };
    memset(l, 0, sizeof *l);
    const int st = load_locate(a, model, false, l->path, l->name);
    if (st) return st;
    model_opts(&o, a);
    o.plan_only = true;
    mote_status code = mote_model_open(&l->m, l->path, &o, &err);
    if (code == MOTE_EUNSUPPORTED) {             /* what it is can be told all the same */
        const mote_error why = err;
        o.plan_only = false, o.vocab_only = true;
        code = mote_model_open(&l->m, l->path, &o, &err);
        if (code == MOTE_OK) term_note("%s", why.text);
    }
    if (code) return term_mote_error(code, &err);
    mote_model_describe(l->m, &l->info);
    return ST_DONE;
}

int load_model(loaded *l, const args *a, const char *model, bool may_pull, bool vocab_only)
{
    mote_model_opts o;
    mote_error err = { 0 };
    char home[APP_PATH], packed[APP_PATH];
    memset(l, 0, sizeof *l);
    int st = load_locate(a, model, may_pull, l->path, l->name);
    if (!st && !vocab_only) st = check_weights(l->path, l->name);
    if (st) return st;
    const double start = device_clock();
    model_opts(&o, a);
    o.vocab_only = vocab_only;
    if (!args_has(a, OPT_NO_CACHE) && store_packed(packed) && store_home(home, "")) {
        store_make_quiet(home);
        o.cache_dir = packed;
    }
    const mote_status code = mote_model_open(&l->m, l->path, &o, &err);
    l->seconds = device_clock() - start;
    if (code) {
        st = term_mote_error(code, &err);
        advise(l, code);
        return st;
    }
    if (signals_seen()) {
        load_close(l);
        return ST_INTERRUPTED;
    }
    mote_model_describe(l->m, &l->info);
    return ST_DONE;
}

/* Says what does not fit and the largest context (a power of two) that would. */
static int check_engine(const loaded *l, mote_engine_opts o)
{
    device d;
    term_buf b1, b2, b3;
    const size_t need = mote_engine_bytes(l->m, &o);
    device_read(&d);
    if (!need || !d.memory_free || need <= d.memory_free) return ST_DONE;
    term_error(ST_NO_FIT, "%s with a context of %d needs %s more, %s is free", l->name, o.n_ctx,
               term_bytes(&b1, need), term_bytes(&b2, d.memory_free));
    int n = 1 << 24;
    for (; n >= 256; n /= 2) {
        o.n_ctx = n;
        const size_t less = mote_engine_bytes(l->m, &o);
        if (less && less < d.memory_free && less < need) {
            term_try("--ctx %d   (needs %s)", n, term_bytes(&b3, less));
            return ST_NO_FIT;
        }
    }
    term_try("a smaller model");
    return ST_NO_FIT;
}

int load_engine(loaded *l, const args *a, int n_ctx, int n_batch)
{
    mote_engine_opts o;
    mote_error err = { 0 };
    const double start = device_clock();
    mote_engine_opts_init(&o);
    l->n_ctx = n_ctx ? n_ctx : l->info.n_ctx_train > 0 && l->info.n_ctx_train < 4096
                               ? l->info.n_ctx_train : 4096;
    o.n_ctx = l->n_ctx;
    if (n_batch) o.n_batch = n_batch;
    if (l->n_session) o.n_session = l->n_session;
    o.kv_type = l->kv;
    if (args_has(a, OPT_KV)) o.kv_type = args_text(a, OPT_KV, NULL);
    o.exact = args_has(a, OPT_EXACT);
    if (args_has(a, OPT_SPECULATE)) o.n_draft = args_int(a, OPT_SPECULATE, 0) ? args_int(a, OPT_SPECULATE, 0) : -1;
    if (l->info.n_ctx_train > 0 && l->n_ctx > l->info.n_ctx_train)
        term_note("a context of %d is beyond the %d that %s was trained for", l->n_ctx,
                  l->info.n_ctx_train, l->name);
    const int st = check_engine(l, o);
    if (st) return st;
    mote_status code = mote_engine_open(&l->e, l->m, &o, &err);
    if (!code) code = mote_session_open(&l->s, l->e, &err);
    l->seconds += device_clock() - start;
    return code ? term_mote_error(code, &err) : ST_DONE;
}

void load_say(const loaded *l)
{
    term_buf b1, b2;
    term_say("loaded", "%s   %d of %d context   RAM %s   %d thread%s, %s", term_time(&b1, l->seconds),
             l->n_ctx, l->info.n_ctx_train, term_bytes(&b2, device_peak_memory()), l->info.n_threads,
             l->info.n_threads == 1 ? "" : "s", mote_cpu_name());
}

void load_close(loaded *l)
{
    mote_session_close(l->s);
    mote_engine_close(l->e);
    mote_model_close(l->m);
    l->s = NULL;
    l->e = NULL;
    l->m = NULL;
}

int load_tokens(const loaded *l, const char *p, size_t n, unsigned flags, mote_token **out, size_t *count)
{
    mote_error err = { 0 };
    size_t cap = n / 2 + 64;
    for (;;) {
        mote_token *t = malloc(cap * sizeof *t);
        if (!t) return term_error(ST_NO_FIT, "no memory for %zu tokens", cap);
        const mote_status code = mote_tokenize(l->m, p, n, flags, t, cap, count, &err);
        if (code == MOTE_OK) {
            *out = t;
            return ST_DONE;
        }
        free(t);
        if (code != MOTE_EFULL || *count <= cap) return term_mote_error(code, &err);
        cap = *count;
    }
}
