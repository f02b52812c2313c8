/* SPDX-License-Identifier: MIT */
/* store_paths.c - the folders of mote, by the rules of XDG and of the hub cache.
 *
 * The only place, with main's locale, term's NO_COLOR and net's token, that reads the
 * environment. */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

bool store_join(char out[APP_PATH], const char *a, const char *b)
{
    const int n = snprintf(out, APP_PATH, *b ? "%s/%s" : "%s%s", a, b);
    if (n > 0 && n < APP_PATH) return true;
    out[0] = 0;
    return false;
}

/* $xdg/name or ~/fallback/name, then below. */
static bool xdg(char out[APP_PATH], const char *variable, const char *fallback, const char *name,
                const char *below)
{
    char base[APP_PATH], folder[APP_PATH];
    const char *x = env(variable), *home = env("HOME");
    out[0] = 0;
    if (x && x[0] == '/') snprintf(base, sizeof base, "%s", x);
    else if (!home || !store_join(base, home, fallback)) return false;
    return store_join(folder, base, name) && store_join(out, folder, below);
}

bool store_home(char out[APP_PATH], const char *below)
{
    const char *m = env("MOTE_HOME");
    if (m) return store_join(out, m, below);
    return xdg(out, "XDG_CACHE_HOME", ".cache", "mote", below);
}

bool store_hub(char out[APP_PATH], const char *below)
{
    char folder[APP_PATH];
    const char *cache = env("HF_HUB_CACHE"), *home = env("HF_HOME");
    if (cache) return store_join(out, cache, below);
    if (home) return store_join(folder, home, "hub") && store_join(out, folder, below);
    return xdg(folder, "XDG_CACHE_HOME", ".cache", "huggingface", "hub")
           && store_join(out, folder, below);
}

bool store_packed(char out[APP_PATH])
{
    return !env("MOTE_NO_CACHE") && store_home(out, "packed");
}

bool store_history(char out[APP_PATH])
{
    if (env("MOTE_HOME")) return store_home(out, "history");
    return xdg(out, "XDG_STATE_HOME", ".local/state", "mote", "history");
}

bool store_config(char out[APP_PATH])
{
    const char *c = env("MOTE_CONFIG");
    out[0] = 0;
    if (c) return store_join(out, c, "");
    xdg(out, "XDG_CONFIG_HOME", ".config", "mote", "config");
    return false;
}

/* mkdir -p; on failure p is cut to the folder that could not be made. */
static bool make_dirs(char p[APP_PATH])
{
    for (char *slash = p + 1;; slash++) {
        slash = strchr(slash, '/');
        if (slash) *slash = 0;
        if (mkdir(p, 0777) != 0 && errno != EEXIST) return false;
        if (!slash) return true;
        *slash = '/';
    }
}

bool store_make_quiet(const char *path)
{
    char p[APP_PATH];
    snprintf(p, sizeof p, "%s", path);
    return make_dirs(p);
}

int store_make_dirs(const char *path)
{
    char p[APP_PATH];
    snprintf(p, sizeof p, "%s", path);
    if (make_dirs(p)) return ST_DONE;
    const int e = errno;
    term_error(ST_FAILED, "cannot make the folder %s: %s", p, strerror(e));
    if (e == EACCES || e == EROFS || e == EPERM)
        term_try("MOTE_HOME=FOLDER (and HF_HOME=FOLDER) with a folder you may write to");
    return e == ENOSPC ? ST_NO_FIT : ST_FAILED;
}
