/* SPDX-License-Identifier: MIT */
/* offline.c - what answers for net_*.c in a build without a network (-DMOTE_NET=OFF). */
#include "net.h"

#if !MOTE_NET
int net_pull(const model_ref *r, char path[APP_PATH])
{
    path[0] = 0;
    term_error(ST_NO_MODEL, "%s is not here, and this mote was built without a network", r->name);
    term_try("mote run FILE.gguf   or: MOTE_MODELS=FOLDER with the file in it");
    return ST_NO_MODEL;
}
#endif
