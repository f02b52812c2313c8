/* SPDX-License-Identifier: MIT */
/* cmd_convert.c - `mote convert`: a model in another form. */
#include "app.h"
#include "load.h"
#include "progress.h"

#include <string.h>
#include <sys/stat.h>

static bool show(void *user, const char *what, double done)
{
    progress *bar = user;
    (void)what;
    progress_to(bar, (uint64_t)(done * (double)bar->total));
    return !signals_seen();
}

int cmd_convert(const args *a)
{
    char path[APP_PATH], name[512];
    const char *out = a->rest[1];
    struct stat s, from;
    char config[APP_PATH];
    mote_convert_opts o;
    mote_error err = { 0 };
    progress bar;
    int st = load_locate(a, a->rest[0], true, path, name);
    if (st) return st;
    const size_t n = strlen(out);
    const bool is_file = n > 5 && !strcmp(out + n - 5, ".gguf"), is_there = stat(out, &s) == 0;
    if (is_there && stat(path, &from) == 0 && s.st_dev == from.st_dev && s.st_ino == from.st_ino)
        return term_error(ST_USAGE, "%s is the model itself", out);
    snprintf(config, sizeof config, "%s/config.json", out);
    if (is_there && (is_file || stat(config, &s) == 0) && !args_has(a, OPT_YES)) {
        st = term_error(ST_USAGE, "%s is there already", out);
        term_try("another name, or --yes to replace it");
        return st;
    }
    mote_convert_opts_init(&o);
    o.type = args_text(a, OPT_TYPE, NULL);
    o.split_bytes = (size_t)args_int(a, OPT_SPLIT, 0) << 20;
    o.progress = show;
    o.user = &bar;
    progress_start(&bar, "converting", load_bytes(path), 0);
    const mote_status code = mote_convert(path, out, &o, &err);
    progress_end(&bar, code == MOTE_OK);
    if (code == MOTE_ECANCELLED) return ST_INTERRUPTED;
    if (code) return term_mote_error(code, &err);
    term_say("written", "%s", out);
    return ST_DONE;
}
