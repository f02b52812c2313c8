/* SPDX-License-Identifier: MIT */
/* network.c - the way to net_*.c, which are a module of their own, mote-net.so.
 *
 * libcurl brings thirty libraries along: 6 MiB of memory and 11 of the 16 ms that a command takes to start, for
 * something that most commands never do.  So the module is loaded when a model is to be fetched, from beside the
 * program or from where the two are installed, and from nowhere else. */
#include "net.h"

#include <string.h>
#include <unistd.h>

#if MOTE_NET
#include <dlfcn.h>

bool net_module(char path[APP_PATH])
{
    static const char *const place[] = { "mote-net.so", MOTE_NET_MODULE };     /* from the program's folder */
    char own[APP_PATH];
    const ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (n <= 0) return false;
    own[n] = 0;
    char *slash = strrchr(own, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < sizeof place / sizeof *place; i++)
        if (store_join(path, own, place[i]) && access(path, R_OK) == 0) return true;
    return false;
}

int net_pull(const model_ref *r, char path[APP_PATH])
{
    static net_pull_fn pull;
    char module[APP_PATH] = "mote-net.so";
    const char *why = "it is missing";
    path[0] = 0;
    if (!pull && net_module(module)) {
        void *opened = dlopen(module, RTLD_NOW | RTLD_LOCAL);
        why = opened ? "it is of another version" : dlerror();
        if (opened) *(void **)&pull = dlsym(opened, "net_pull_model");
    }
    if (pull) return pull(r, path);
    term_error(ST_NO_MODEL, "%s is not here, and %s, which downloads, cannot be loaded: %s", r->name, module, why);
    term_try("install mote again, or: mote run FILE.gguf");
    return ST_NO_MODEL;
}
#else
bool net_module(char path[APP_PATH]) { return path[0] = 0, false; }

int net_pull(const model_ref *r, char path[APP_PATH])
{
    path[0] = 0;
    term_error(ST_NO_MODEL, "%s is not here, and this mote was built without a network", r->name);
    term_try("mote run FILE.gguf   or: MOTE_MODELS=FOLDER with the file in it");
    return ST_NO_MODEL;
}
#endif
