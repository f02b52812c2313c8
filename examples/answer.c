/* SPDX-License-Identifier: MIT */
/* answer.c - one question, one answer, through the public header alone.
 *
 *   cc answer.c $(pkg-config --cflags --libs mote) -o answer
 *   ./answer model.gguf "Why is the sky blue?" */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mote.h>

static void must(mote_status st, const mote_error *err)
{
    if (st == MOTE_OK) return;
    fprintf(stderr, "answer: %s\n", err->text);
    exit(1);
}

static bool print_piece(void *user, const char *bytes, size_t len)
{
    (void)user;
    fwrite(bytes, 1, len, stdout);
    return fflush(stdout) == 0;
}

/* The question as a JSON string: what JSON needs escaped, escaped. */
static char *chat_of(const char *question)
{
    char *json = malloc(6 * strlen(question) + 64), *p = json;
    if (!json) return NULL;
    p += sprintf(p, "[{\"role\": \"user\", \"content\": \"");
    for (const unsigned char *c = (const unsigned char *)question; *c; c++)
        p += *c < 0x20 || *c == '"' || *c == '\\' ? sprintf(p, "\\u%04x", *c) : (*p = (char)*c, 1);
    strcpy(p, "\"}]");
    return json;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: answer MODEL.gguf QUESTION\n");
        return 2;
    }
    mote_error err;
    mote_model *model;
    mote_engine *engine;
    mote_session *session;
    mote_sampler *sampler;
    must(mote_model_open(&model, argv[1], NULL, &err), &err);
    must(mote_engine_open(&engine, model, NULL, &err), &err);
    must(mote_session_open(&session, engine, &err), &err);
    must(mote_sampler_open(&sampler, model, NULL, &err), &err);

    mote_chat chat;
    mote_token tokens[2048];
    size_t n;
    mote_stats stats;
    char *messages = chat_of(argv[2]);
    mote_chat_init(&chat);
    chat.messages = messages;
    must(mote_chat_tokens(model, &chat, tokens, 2048, &n, &err), &err);
    must(mote_continue(session, sampler, tokens, n, 256, print_piece, NULL, &stats, &err), &err);
    fprintf(stderr, "\n%d tokens, %.1f a second\n", stats.n_new, stats.n_new / stats.decode_seconds);

    free(messages);
    mote_sampler_close(sampler);
    mote_session_close(session);
    mote_engine_close(engine);
    mote_model_close(model);
    return 0;
}
