/* SPDX-License-Identifier: MIT */
/* config.c - ~/.config/mote/config: options for good, as if typed in front of the others.
 *
 * "name = value" holds for every command that has the option, under [COMMAND] for that one.
 * Flags take yes or no.  A name that no command knows is an error: a typo that is ignored is
 * found much later. */
#include "app.h"
#include "store.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT_MAX = 256 };

typedef struct reader {
    args *a;
    const char *path;
    int status;
} reader;

static char *kept[KEPT_MAX];    /* values live as long as the run: args points at them */
static int n_kept;

static int refuse(reader *r, const char *section, const char *name)
{
    r->status = term_error(ST_USAGE, "%s: unknown setting \"%s\"%s%s", r->path, name,
                           *section ? " under " : "", section);
    term_try("mote help run   (settings are options without the dashes)");
    return 0;
}

static bool no_other_value(const char *value)
{
    return !strcmp(value, "no") || !strcmp(value, "false") || !strcmp(value, "0");
}

static int on_setting(void *user, const char *section, const char *name, const char *value)
{
    reader *r = user;
    if (r->status) return 0;
    const command *only = *section ? command_find(section) : NULL;
    if (*section && !only) return refuse(r, section, name);
    const option *o = option_find(name, only ? only->bit : IN_ALL);
    if (!o || o->id == OPT_HELP) return refuse(r, section, name);
    if (only && only != r->a->cmd) return 1;
    o = option_find(name, r->a->cmd->bit);
    if (!o) return 1;                            /* an option of other commands */
    if (o->kind == KIND_FLAG && no_other_value(value)) return 1;
    if (n_kept == KEPT_MAX || !(kept[n_kept] = strdup(value))) {
        r->status = term_error(ST_USAGE, "%s: more than %d settings", r->path, KEPT_MAX);
        return 0;
    }
    r->status = args_set(r->a, o, o->kind == KIND_FLAG ? "" : kept[n_kept], "setting ");
    n_kept++;
    return r->status == ST_DONE;
}

int config_read(args *a)
{
    char path[APP_PATH];
    reader r = { a, path, ST_DONE };
    const bool asked = store_config(path);
    if (!path[0]) return ST_DONE;
    if (access(path, F_OK) != 0) {
        if (asked) return term_error(ST_USAGE, "cannot read %s: %s", path, strerror(errno));
        return ST_DONE;
    }
    const int line = ini_parse(path, on_setting, &r);
    if (r.status) return r.status;
    if (line < 0) return term_error(ST_FAILED, "cannot read %s: %s", path, strerror(errno));
    if (line > 0) return term_error(ST_USAGE, "%s: line %d is not \"name = value\"", path, line);
    return ST_DONE;
}
