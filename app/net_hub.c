/* SPDX-License-Identifier: MIT */
/* net_hub.c - the hub's API and its cache layout.
 *
 * The layout is the one of the hub's own library, so that every tool finds what we pull and we
 * find what they pulled: blobs/SHA256, and a relative link from snapshots/COMMIT/FILE. */
#include "net_hub.h"
#include "store.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MAX = 8 << 20 };

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static bool on_answer(void *user, const void *p, size_t n)
{
    text *t = user;
    return t->n + n <= ANSWER_MAX && text_add(t, p, n);
}

static const char *text_at(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void take_file(const json_t *row, hub_file *h)
{
    const json_t *lfs = json_object_get(row, "lfs"), *size = json_object_get(row, "size");
    const char *sha = text_at(lfs, "sha256");
    if (!*sha) sha = text_at(lfs, "oid");
    snprintf(h->file, sizeof h->file, "%s", text_at(row, "rfilename"));
    snprintf(h->sha256, sizeof h->sha256, "%s", is_hex(sha, 64) ? sha : "");
    if (json_is_integer(json_object_get(lfs, "size"))) size = json_object_get(lfs, "size");
    h->bytes = json_is_integer(size) ? (uint64_t)json_integer_value(size) : 0;
}

static bool name_is_safe(const char *name)
{
    const char *p = name;
    if (strlen(name) >= 512) return false;
    for (;;) {
        const size_t n = strcspn(p, "/");
        if (!ref_part_ok(p, n)) return false;
        if (!p[n]) return true;
        p += n + 1;
    }
}

static int no_such_file(const json_t *siblings, const hub_file *h, const char *file)
{
    const json_t *row;
    size_t i;
    const char *best = NULL;
    int least = (int)strlen(file);
    json_array_foreach(siblings, i, row) {
        const char *name = text_at(row, "rfilename");
        if (store_file_rank(name) < 0) continue;
        const int d = *file ? text_distance(file, name, least) : 0;
        if (!best || d < least) { best = name; least = d; }
    }
    if (*file) term_error(ST_NO_MODEL, "%s has no file %s", h->repo, file);
    else term_error(ST_NO_MODEL, "%s has no GGUF file", h->repo);
    if (best) term_try("hf:%s:%s", h->repo, best);
    else term_try("a repository with \"GGUF\" in its name");
    return ST_NO_MODEL;
}

static int choose(const json_t *answer, const char *file, hub_file *h)
{
    const json_t *siblings = json_object_get(answer, "siblings"), *row;
    int best = -1;
    size_t i;
    json_array_foreach(siblings, i, row) {
        const char *name = text_at(row, "rfilename");
        if (!name_is_safe(name)) continue;
        const int rank = store_file_rank(name);
        if (rank >= 0) h->n_choice++;
        if (*file ? strcmp(name, file) != 0 : rank < 0 || (best >= 0 && rank >= best)) continue;
        best = rank < 0 ? 0 : rank;
        take_file(row, h);
    }
    return best < 0 ? no_such_file(siblings, h, file) : ST_DONE;
}

int net_hub_resolve(const char *repo, const char *file, hub_file *h)
{
    char url[1024], why[256], host[256];
    text body = { 0 };
    net_reply reply;
    memset(h, 0, sizeof *h);
    snprintf(h->repo, sizeof h->repo, "%s", repo);
    snprintf(url, sizeof url, "%.500s/api/models/%s/revision/main?blobs=true", net_hub(), repo);
    const net_request q = { .url = url, .connect_seconds = 15, .sink = on_answer, .user = &body };
    const net_end end = net_get(&q, &reply, why);
    int st = ST_DONE;
    net_host(url, host);
    if (signals_seen()) {
        st = ST_INTERRUPTED;
    } else if (end != NET_OK) {
        st = term_error(ST_NETWORK, "%s: %s", host, *why ? why : "the answer is too long");
        term_try("mote list   (what is already here)");
    } else if (reply.status == 401 || reply.status == 403) {
        /* the hub answers 401 for what does not exist, too */
        st = term_error(ST_NO_MODEL, "%s does not exist, or needs permission (HTTP %ld)", repo,
                        reply.status);
        term_try("check the name; for gated models accept the licence, then set HF_TOKEN");
    } else if (reply.status == 404) {
        st = term_error(ST_NO_MODEL, "%s does not exist on %s", repo, host);
        term_try("check the name: hf:OWNER/NAME, case-sensitive");
    } else if (reply.status != 200) {
        st = term_error(ST_NETWORK, "%s answers HTTP %ld", host, reply.status);
    }
    json_t *answer = st ? NULL : json_loadb(body.p ? body.p : "", body.n, JSON_REJECT_DUPLICATES, NULL);
    if (!st && !json_is_object(answer))
        st = term_error(ST_NETWORK, "%s answers something that is not JSON", host);
    if (!st) {
        snprintf(h->commit, sizeof h->commit, "%s", text_at(answer, "sha"));
        snprintf(h->licence, sizeof h->licence, "%s",
                 text_at(json_object_get(answer, "cardData"), "license"));
        if (!is_hex(h->commit, 40)) st = term_error(ST_NETWORK, "%s names no commit for %s", host, repo);
    }
    h->is_main = true;
    if (!st) st = choose(answer, file, h);
    json_decref(answer);
    text_free(&body);
    return st;
}

/* snapshots/COMMIT/a/b/FILE -> ../../../../blobs/NAME; a link that is there already is replaced. */
static int link_snapshot(const char *path, const char *blob, const char *file)
{
    char target[APP_PATH] = "../../", temp[APP_PATH];
    for (const char *p = file; *p; p++)
        if (*p == '/') strcat(target, "../");    /* file has at most 511 bytes */
    const size_t n = strlen(target);
    snprintf(target + n, sizeof target - n, "blobs/%s", blob);
    if (snprintf(temp, sizeof temp, "%s.%ld.mote-part", path, (long)getpid()) >= APP_PATH)
        return term_error(ST_FAILED, "the path %s is too long", path);
    unlink(temp);
    if (symlink(target, temp) != 0 || rename(temp, path) != 0) {
        const int e = errno;
        unlink(temp);
        return term_error(e == ENOSPC ? ST_NO_FIT : ST_FAILED, "cannot link %s: %s", path, strerror(e));
    }
    return ST_DONE;
}

static void write_main(const char *folder, const char *commit)
{
    char path[APP_PATH], temp[APP_PATH];
    if (!store_join(path, folder, "refs") || store_make_dirs(path)) return;
    if (!store_join(path, folder, "refs/main") || access(path, F_OK) == 0) return;
    if (snprintf(temp, sizeof temp, "%s.%ld", path, (long)getpid()) >= APP_PATH) return;
    FILE *f = fopen(temp, "we");
    if (!f) return;
    const bool wrote = fputs(commit, f) >= 0;
    if (fclose(f) != 0 || !wrote || rename(temp, path) != 0) unlink(temp);
}

/* The path of a file inside the repository's folder; makes the folders above it. */
static int place(const char *folder, const char *below, const char *name, char out[APP_PATH])
{
    char inner[APP_PATH], above[APP_PATH];
    if (!store_join(inner, folder, below) || !store_join(out, inner, name))
        return term_error(ST_FAILED, "the path %s/%s is too long", folder, name);
    snprintf(above, sizeof above, "%s", out);
    *strrchr(above, '/') = 0;
    return store_make_dirs(above);
}

/* The index knows a file as ours before it stands under its name: a kill between the two leaves
 * a row too many, which nobody sees, and never a model that `rm` would not touch. */
static void note_ours(const hub_file *h, const char *name, const char *path, const char *url)
{
    index_row row = { .bytes = h->bytes };
    snprintf(row.name, sizeof row.name, "%s", name);
    snprintf(row.url, sizeof row.url, "%.1000s", url);
    snprintf(row.sha256, sizeof row.sha256, "%s", h->sha256);
    index_put(path, &row);
}

int net_hub_fetch(const hub_file *h, const char *name, int connect_seconds, bool soft,
                  char why[256], char path[APP_PATH], char hex[65])
{
    char folder[APP_PATH], repo[300], below[200], blob[APP_PATH], url[2048];
    const char *slash = strchr(h->repo, '/');
    snprintf(repo, sizeof repo, "models--%.*s--%s", (int)(slash - h->repo), h->repo, slash + 1);
    snprintf(below, sizeof below, "snapshots/%s", h->commit);
    snprintf(url, sizeof url, "%.500s/%s/resolve/%s/%s", net_hub(), h->repo, h->commit, h->file);
    if (!store_hub(folder, repo))
        return term_error(ST_FAILED, "no folder for models: neither HOME nor HF_HOME is set");
    int st = place(folder, below, h->file, path);
    /* a file without a known hash lies in the snapshot itself, as the hub's library allows */
    if (!st && *h->sha256) st = place(folder, "blobs", h->sha256, blob);
    if (st) return st;
    net_file f = { .url = url, .target = *h->sha256 ? blob : path, .sha256 = h->sha256,
                   .bytes = h->bytes, .connect_seconds = connect_seconds, .soft = soft };
    if (!*h->sha256) note_ours(h, name, path, url);
    if (access(f.target, F_OK) != 0) {
        st = net_fetch(&f);
        snprintf(why, 256, "%s", f.why);
        snprintf(hex, 65, "%s", f.hex);
        if (st) return st;
    } else {
        snprintf(hex, 65, "%s", h->sha256);      /* the blob's name is its hash */
    }
    if (*h->sha256) {
        note_ours(h, name, path, url);
        st = link_snapshot(path, h->sha256, h->file);
    }
    if (!st && h->is_main) write_main(folder, h->commit);
    return st;
}
