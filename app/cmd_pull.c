/* SPDX-License-Identifier: MIT */
/* cmd_pull.c - `mote pull`: a model to this machine, without running it. */
#include "app.h"
#include "catalogue.h"
#include "load.h"
#include "store.h"

#include <string.h>

int cmd_pull(const args *a)
{
    char path[APP_PATH], name[512], found[APP_PATH];
    const char *model = a->n_rest ? a->rest[0] : NULL;
    model_ref r;
    int st = ref_parse(&r, model ? model : catalogue_default()->name);
    if (st) return st;
    const bool here = r.kind == REF_PATH || store_find(&r, found);
    st = load_locate(a, model, true, path, name);
    if (st) return st;
    if (here) term_say("here", "%s", path);
    else term_say("pulled", "%s", path);
    return ST_DONE;
}
