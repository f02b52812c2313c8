/* SPDX-License-Identifier: MIT */
/* net_hash.c - SHA-256 through OpenSSL's EVP. */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct net_hash { EVP_MD_CTX *now, *copy; };

net_hash *net_hash_open(void)
{
    net_hash *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    h->now = EVP_MD_CTX_new();
    h->copy = EVP_MD_CTX_new();
    if (h->now && h->copy && EVP_DigestInit_ex(h->now, EVP_sha256(), NULL)) return h;
    net_hash_close(h);
    return NULL;
}

void net_hash_close(net_hash *h)
{
    if (!h) return;
    EVP_MD_CTX_free(h->now);
    EVP_MD_CTX_free(h->copy);
    free(h);
}

void net_hash_add(net_hash *h, const void *p, size_t n) { EVP_DigestUpdate(h->now, p, n); }
void net_hash_restart(net_hash *h) { EVP_DigestInit_ex(h->now, EVP_sha256(), NULL); }

void net_hash_hex(net_hash *h, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    hex[0] = 0;
    if (!EVP_MD_CTX_copy_ex(h->copy, h->now) || !EVP_DigestFinal_ex(h->copy, digest, &n)) return;
    for (unsigned i = 0; i < n && i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

int net_hash_file(const char *path, char hex[65])
{
    enum { PIECE = 1 << 20 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return term_error(ST_FAILED, "cannot open %s: %s", path, strerror(errno));
    net_hash *h = net_hash_open();
    char *buffer = malloc(PIECE);
    int st = h && buffer ? ST_DONE : term_error(ST_NO_FIT, "no memory to check %s", path);
    while (!st) {
        const ssize_t n = read(fd, buffer, PIECE);
        if (n == 0) break;
        if (n > 0) net_hash_add(h, buffer, (size_t)n);
        else if (errno != EINTR) st = term_error(ST_FAILED, "cannot read %s: %s", path, strerror(errno));
        if (signals_seen()) st = ST_INTERRUPTED;
    }
    if (!st) net_hash_hex(h, hex);
    net_hash_close(h);
    free(buffer);
    close(fd);
    return st;
}
