/* SPDX-License-Identifier: MIT */
/* npy.h - writes a matrix of float32 as NumPy's .npy, version 1.0, row by row. */
#ifndef NPY_H
#define NPY_H

#include "app.h"

typedef struct npy {
    char path[APP_PATH], temp[APP_PATH];
    FILE *f;
} npy;
int  npy_open(npy *w, const char *path, size_t rows, size_t cols);
int  npy_add(npy *w, const float *p, size_t n);
int  npy_publish(npy *w);                /* whole, under its name */
void npy_drop(npy *w);                   /* after an error; no harm after publish */

#endif
