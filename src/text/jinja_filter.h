/* SPDX-License-Identifier: MIT */
/* jinja_filter.h - what the filter files share with each other. */
#ifndef MT_JINJA_FILTER_H
#define MT_JINJA_FILTER_H

#include "text/jinja.h"

/* An int or bool; `other` when absent or none. */
mote_status mt_j_want_int(mt_jrun *r, const mt_jv *v, int64_t other, int64_t *out);
const mt_jproc *mt_j_sequence_filter(mt_str name);

#endif
