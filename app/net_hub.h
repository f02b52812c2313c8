/* SPDX-License-Identifier: MIT */
/* net_hub.h - files of the hub: what a repository holds, and its place in the shared cache. */
#ifndef NET_HUB_H
#define NET_HUB_H

#include "net.h"

typedef struct hub_file {
    char repo[260], commit[128], file[512], sha256[65], licence[64];
    uint64_t bytes;             /* 0: unknown */
    int  n_choice;              /* GGUF files there were to choose from */
    bool is_main;               /* commit is what the main branch is now */
} hub_file;
/* Asks the hub.  file "": the best GGUF is chosen. */
int net_hub_resolve(const char *repo, const char *file, hub_file *out);
/* Pulls to blobs/SHA256 and links it into the snapshot.  name: for the index.  path: the link.
 * soft, why: as in net_file. */
int net_hub_fetch(const hub_file *h, const char *name, int connect_seconds, bool soft,
                  char why[256], char path[APP_PATH], char hex[65]);

#endif
