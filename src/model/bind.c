/* SPDX-License-Identifier: MIT */
/* bind.c - weights: a role of the net tied to a tensor of the file, its whole shape checked.
 *
 * Every shape comes from the spec, whose numbers families.c has bounded; nothing behind this
 * file asks a tensor for its size again. */
#include "model/build.h"

#include <stdio.h>
#include <string.h>

bool mt_has_tensor(const mt_source *s, mt_topology topology, mt_stack_id stack, mt_role role,
                   int layer, bool is_bias)
{
    char name[MT_NAME_MAX];
    mt_weight_name(name, topology, stack, role, layer, is_bias);
    return mt_source_tensor(s, name) != NULL;
}

/* "[576, 1536]": as many dimensions as matter. */
static void print_shape(char out[96], const int64_t ne[MT_MAX_DIM])
{
    int n_dim = MT_MAX_DIM;
    while (n_dim > 1 && ne[n_dim - 1] == 1) n_dim--;
    int at = snprintf(out, 96, "[%lld", (long long)ne[0]);
    for (int i = 1; i < n_dim; i++)
        at += snprintf(out + at, 96 - (size_t)at, ", %lld", (long long)ne[i]);
    snprintf(out + at, 96 - (size_t)at, "]");
}

static mote_status find(const mt_builder *b, const char *name, const int64_t want[MT_MAX_DIM],
                        const mt_tensor **out)
{
    const char *path = mt_path_end(b->net->source->path);
    const mt_tensor *t = mt_source_tensor(b->net->source, name);
    if (!t) MT_FAIL(b->err, MOTE_EFORMAT, "%s: tensor %s is missing", path, name);
    if (memcmp(t->ne, want, sizeof t->ne) != 0) {
        char has[96], needs[96];
        print_shape(has, t->ne);
        print_shape(needs, want);
        MT_FAIL(b->err, MOTE_EFORMAT, "%s: tensor %s has shape %s, its metadata needs %s", path,
                name, has, needs);
    }
    const mt_type_info *type = mt_type_of(t->type);
    if (!type || !type->can_decode)
        MT_FAIL(b->err, MOTE_EUNSUPPORTED, "%s: tensor %s has type %s, which cannot be run yet",
                path, name, type ? type->name : "unknown");
    *out = t;
    return MOTE_OK;
}

int mt_bind(mt_builder *b, mt_role role, int layer, bool is_bias, int64_t n0, int64_t n1,
            int64_t n2)
{
    mt_net *net = b->net;
    const mt_tensor *tensor = NULL;
    char name[MT_NAME_MAX];
    if (b->status != MOTE_OK) return -1;
    mt_weight_name(name, b->spec->topology, b->stack_id, role, layer, is_bias);
    b->status = find(b, name, (int64_t[MT_MAX_DIM]){ n0, n1, n2, 1 }, &tensor);
    if (b->status != MOTE_OK) return -1;
    net->weight = mt_grow(b, net->weight, net->n_weight, &b->cap_weight, sizeof *net->weight);
    if (b->status != MOTE_OK) return -1;
    net->weight[net->n_weight] = (mt_weight){ role, b->stack_id, layer, is_bias, tensor };
    return net->n_weight++;
}

int mt_bind_tok_embd(mt_builder *b)
{
    if (b->tok_embd < 0)
        b->tok_embd =
            mt_bind(b, MT_W_TOK_EMBD, -1, false, b->spec->n_embd, b->spec->n_vocab, 1);
    return b->tok_embd;
}
