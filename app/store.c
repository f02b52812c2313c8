/* SPDX-License-Identifier: MIT */
/* store.c - finds, lists and removes model files.
 *
 * The folders are the truth: a file under its final name is whole, because a pull publishes by
 * rename after the check.  The index only adds where a file came from.
 *
 *   HUB/models--OWNER--NAME/{refs/main, blobs/HASH, snapshots/COMMIT/FILE -> blob}
 *   HOME/models/pypi/PACKAGE/FILE      HOME/models/url/HOST/PATH/FILE */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 8 };         /* folders below a snapshot or an address */

static bool is_gguf(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && !strcasecmp(name + n - 5, ".gguf");
}

static bool is_file(const char *path, uint64_t *bytes, int64_t *when)
{
    struct stat s;
    if (stat(path, &s) != 0 || !S_ISREG(s.st_mode)) return false;
    if (bytes) *bytes = (uint64_t)s.st_size;
    if (when) *when = (int64_t)s.st_mtime;
    return true;
}

/* Calls fn for every entry of a folder but the hidden ones; fn returns false to stop. */
typedef bool (*entry_fn)(void *user, const char *folder, const char *name);
static bool each_entry(const char *folder, entry_fn fn, void *user)
{
    DIR *d = opendir(folder);
    bool on = true;
    if (!d) return true;
    for (struct dirent *e; on && (e = readdir(d));)
        if (e->d_name[0] != '.') on = fn(user, folder, e->d_name);
    closedir(d);
    return on;
}

/* ---- names ------------------------------------------------------------------- */
/* "SmolLM2.Q4_K_M.gguf" -> "Q4_K_M": the last part that reads like a weight type. */
static void read_quant(const char *file, char out[16])
{
    static const char *const starts[] = { "IQ", "Q", "BF16", "F16", "F32" };
    snprintf(out, 16, "-");
    for (const char *p = file; *p; p++) {
        if (p != file && !strchr(".-_ ", p[-1])) continue;
        for (int i = 0; i < (int)APP_COUNT(starts); i++) {
            const size_t n = strlen(starts[i]);
            if (strncasecmp(p, starts[i], n)) continue;
            if (i < 2 && !(p[n] >= '1' && p[n] <= '8')) continue;
            const size_t len = strcspn(p, ".- ");
            if (len >= 16) continue;
            memcpy(out, p, len);
            out[len] = 0;
            for (char *c = out; *c; c++) if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 32);
        }
    }
}

int store_file_rank(const char *file)
{
    static const char *const wanted[] = { "Q4_K_M", "Q4_1", "Q4_0", "Q4_K_S", "Q5_K_M", "IQ4_XS",
                                          "IQ4_NL", "Q5_K_S", "Q5_1", "Q5_0", "Q6_K", "Q8_0",
                                          "Q3_K_L", "Q3_K_M", "Q3_K_S", "F16", "BF16", "F32", "Q2_K" };
    char quant[16];
    const char *base = strrchr(file, '/');
    base = base ? base + 1 : file;
    if (!is_gguf(base) || strstr(base, "-of-") || !strncmp(base, "mmproj", 6)) return -1;
    read_quant(base, quant);
    for (int i = 0; i < (int)APP_COUNT(wanted); i++)
        if (!strcmp(quant, wanted[i])) return i;
    return (int)APP_COUNT(wanted);
}

/* ---- the hub cache ------------------------------------------------------------- */
static bool hub_folder(const char *repo, char out[APP_PATH])
{
    char name[300];
    const char *slash = strchr(repo, '/');
    snprintf(name, sizeof name, "models--%.*s--%s", (int)(slash - repo), repo, slash + 1);
    return store_hub(out, name);
}

static bool main_commit(const char *folder, char commit[128])
{
    char path[APP_PATH];
    FILE *f = store_join(path, folder, "refs/main") ? fopen(path, "re") : NULL;
    if (!f) return false;
    const bool got = fgets(commit, 128, f) != NULL;
    fclose(f);
    if (!got) return false;
    commit[strcspn(commit, "\r\n")] = 0;
    return ref_part_ok(commit, strlen(commit));
}

typedef struct find_state {
    const char *file;           /* to find; "": the best */
    uint64_t bytes;             /* it must have; 0: any */
    char best[APP_PATH];
    int rank;
    int depth;
} find_state;

static bool find_best(void *user, const char *folder, const char *name)
{
    find_state *f = user;
    char path[APP_PATH];
    struct stat s;
    if (!store_join(path, folder, name) || stat(path, &s) != 0) return true;
    if (S_ISDIR(s.st_mode)) {
        if (f->depth == DEPTH_MAX) return true;
        f->depth++;
        each_entry(path, find_best, f);
        f->depth--;
        return true;
    }
    const int rank = S_ISREG(s.st_mode) ? store_file_rank(name) : -1;
    if (rank >= 0 && (f->rank < 0 || rank < f->rank)) {
        f->rank = rank;
        strcpy(f->best, path);  /* same size */
    }
    return true;
}

static bool find_in_snapshot(void *user, const char *folder, const char *name)
{
    find_state *f = user;
    char snapshot[APP_PATH], path[APP_PATH];
    uint64_t bytes;
    if (!store_join(snapshot, folder, name)) return true;
    if (!*f->file) {
        each_entry(snapshot, find_best, f);
        return f->rank < 0;
    }
    if (!store_join(path, snapshot, f->file) || !is_file(path, &bytes, NULL)) return true;
    if (f->bytes && bytes != f->bytes) return true;
    strcpy(f->best, path);
    f->rank = 0;
    return false;
}

static bool find_hub(const char *repo, const char *file, uint64_t bytes, char path[APP_PATH])
{
    find_state f = { .file = file, .bytes = bytes, .rank = -1 };
    char folder[APP_PATH], snapshots[APP_PATH], commit[128];
    if (!hub_folder(repo, folder) || !store_join(snapshots, folder, "snapshots")) return false;
    if (main_commit(folder, commit)) find_in_snapshot(&f, snapshots, commit);
    if (f.rank < 0) each_entry(snapshots, find_in_snapshot, &f);
    if (f.rank < 0) return false;
    strcpy(path, f.best);
    return true;
}

/* ---- folders of the user and of the system -------------------------------------- */
static bool find_local(const char *file, uint64_t bytes, char path[APP_PATH])
{
    const char *more = getenv("MOTE_MODELS");
    char list[APP_PATH];
    uint64_t have;
    snprintf(list, sizeof list, "%s%s/usr/local/share/mote/models:/usr/share/mote/models",
             more ? more : "", more && *more ? ":" : "");
    for (char *rest = list, *folder; (folder = strsep(&rest, ":"));)
        if (*folder && store_join(path, folder, file) && is_file(path, &have, NULL) && have == bytes)
            return true;
    return false;
}

/* ---- our own folder --------------------------------------------------------------- */
static bool own_folder(const model_ref *r, char out[APP_PATH])
{
    char below[APP_PATH];
    if (r->kind == REF_PYPI) {
        const int n = snprintf(below, sizeof below, "models/pypi/%s%s%s", r->repo,
                               *r->version ? "/" : "", r->version);
        return n < APP_PATH && store_home(out, below);
    }
    /* https://HOST:PORT/a/b?query -> models/url/HOST_PORT/a/b_query, each part made harmless */
    const char *p = strstr(r->url, "://") + 3;
    size_t n = (size_t)snprintf(below, sizeof below, "models/url/");
    bool start = true;
    for (; *p && *p != '#' && n + 2 < sizeof below; p++) {
        if (*p == '/') {
            if (!start) below[n++] = '/';
            start = true;
            continue;
        }
        below[n++] = ref_part_ok(p, 1) || (*p == '.' && !start) ? *p : '_';
        start = false;
    }
    if (*p && *p != '#') return false;
    while (n && below[n - 1] == '/') n--;
    below[n] = 0;
    return store_home(out, below);
}

bool store_own_path(const model_ref *r, const char *file, char path[APP_PATH])
{
    char folder[APP_PATH];
    if (!own_folder(r, folder)) return false;
    if (r->kind == REF_PYPI) return store_join(path, folder, file);
    /* the address ends in the file's name; without ".gguf" it could not be listed */
    return store_join(path, folder, "") && (is_gguf(path) || strlen(path) + 6 < APP_PATH)
           && (is_gguf(path) || strcat(path, ".gguf"));
}

bool store_find(const model_ref *r, char path[APP_PATH])
{
    char folder[APP_PATH];
    find_state f = { .file = "", .rank = -1 };
    switch (r->kind) {
    case REF_CATALOGUE: {
        const catalogue_entry *e = r->entry;
        uint64_t bytes;
        model_ref own = { .kind = REF_PYPI };
        if (find_hub(e->hub_repo, e->file, e->bytes, path)) return true;
        if (e->pypi) {
            snprintf(own.repo, sizeof own.repo, "%s", e->pypi);
            if (store_own_path(&own, e->file, path) && is_file(path, &bytes, NULL)
                && bytes == e->bytes)
                return true;
        }
        return find_local(e->file, e->bytes, path);
    }
    case REF_HUB:
        return find_hub(r->repo, r->file, 0, path);
    case REF_PYPI:
        if (!own_folder(r, folder)) return false;
        each_entry(folder, find_best, &f);
        if (f.rank < 0) return false;
        strcpy(path, f.best);
        return true;
    case REF_URL:
        return store_own_path(r, "", path) && is_file(path, NULL, NULL);
    case REF_PATH:
        break;
    }
    return false;
}

/* ---- listing ------------------------------------------------------------------------ */
typedef struct walk {
    store_fn fn;
    void *user;
    char repo[300];             /* hub: OWNER/NAME */
    const char *main_snapshot;  /* hub: what this snapshot also has is not listed again */
    size_t base;                /* length of the path in front of the file's own */
    int depth;
    bool on;
} walk;

static const catalogue_entry *entry_of(const char *file, uint64_t bytes)
{
    for (int i = 0; i < catalogue_count(); i++) {
        const catalogue_entry *e = catalogue_at(i);
        if (!strcmp(file, e->file) && bytes == e->bytes) return e;
    }
    return NULL;
}

static void list_file(walk *w, const char *path)
{
    char name[APP_PATH + 512];
    const char *file = strrchr(path, '/') + 1, *inner = path + w->base;
    store_item item = { .name = name, .path = path };
    index_row row;
    if (strstr(file, "-of-") && !strstr(file, "-00001-of-")) return;
    if (!is_file(path, &item.bytes, &item.when)) return;
    read_quant(file, item.quant);
    const bool known = index_get(path, &row);
    const catalogue_entry *e = entry_of(file, item.bytes);
    if (*w->repo) {
        item.source = "hub";
        item.ours = known;
        snprintf(name, sizeof name, "hf:%s:%s", w->repo, inner);
    } else {
        item.source = !strncmp(inner, "pypi/", 5) ? "pypi" : "url";
        item.ours = true;
        if (known) snprintf(name, sizeof name, "%s", row.name);
        else if (*item.source == 'p')
            snprintf(name, sizeof name, "pypi:%.*s", (int)strcspn(inner + 5, "/"), inner + 5);
        else snprintf(name, sizeof name, "%s", path);
    }
    if (e) item.name = e->name;
    w->on = w->fn(w->user, &item);
}

static bool list_tree(void *user, const char *folder, const char *name)
{
    walk *w = user;
    char path[APP_PATH], twin[APP_PATH];
    struct stat s;
    if (!store_join(path, folder, name) || stat(path, &s) != 0) return true;
    if (S_ISDIR(s.st_mode)) {
        if (w->depth == DEPTH_MAX) return true;
        w->depth++;
        each_entry(path, list_tree, w);
        w->depth--;
    } else if (is_gguf(name)) {
        if (w->main_snapshot && store_join(twin, w->main_snapshot, path + w->base)
            && is_file(twin, NULL, NULL))
            return true;
        list_file(w, path);
    }
    return w->on;
}

static bool list_snapshot(void *user, const char *folder, const char *name)
{
    walk *w = user;
    char path[APP_PATH];
    if (!store_join(path, folder, name)) return true;
    if (w->main_snapshot && !strcmp(path, w->main_snapshot)) return true;
    w->base = strlen(path) + 1;
    each_entry(path, list_tree, w);
    return w->on;
}

static bool list_repo(void *user, const char *folder, const char *name)
{
    walk *w = user;
    char path[APP_PATH], snapshots[APP_PATH], first[APP_PATH], commit[128];
    const char *owner = name + 8, *cut;
    if (strncmp(name, "models--", 8) || !(cut = strstr(owner, "--"))) return true;
    snprintf(w->repo, sizeof w->repo, "%.*s/%s", (int)(cut - owner), owner, cut + 2);
    if (!store_join(path, folder, name) || !store_join(snapshots, path, "snapshots")) return true;
    w->main_snapshot = NULL;
    if (main_commit(path, commit) && store_join(first, snapshots, commit)) {
        list_snapshot(w, snapshots, commit);
        w->main_snapshot = first;
    }
    if (w->on) each_entry(snapshots, list_snapshot, w);
    w->main_snapshot = NULL;
    return w->on;
}

void store_each(store_fn fn, void *user)
{
    walk w = { .fn = fn, .user = user, .on = true };
    char folder[APP_PATH];
    if (store_home(folder, "models")) {
        w.base = strlen(folder) + 1;
        each_entry(folder, list_tree, &w);
    }
    if (w.on && store_hub(folder, "")) each_entry(folder, list_repo, &w);
}
