/* SPDX-License-Identifier: MIT */
/* pre.c - what the pre-tokenizer names of GGUF files stand for.
 *
 * The families share a pattern, not a vocabulary.  Those in wide use have a scanner in split.c; the
 * others are rows of expressions, one behind the other, as their tokenizer.json has them. */
#include "text/split.h"

static const char *const deepseek_llm[] = {
    "[\\r\\n]",
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅ"
    "Ὀ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ"
    "-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
    "\\s+$",
    "[一-龥ࠀ-一가-퟿]+",
    "\\p{N}+",
    NULL
};
static const char *const deepseek_coder[] = {
    "[\\r\\n]",
    "\\s?\\p{L}+",
    "\\s?\\p{P}+",
    "[一-龥ࠀ-一가-퟿]+",
    "\\p{N}",
    NULL
};
static const char *const deepseek_v3[] = {
    "\\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p"
    "{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    NULL
};
static const char *const falcon[] = {
    "[\\p{P}\\$\\+<=>\\^~\\|`]+",
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)",
    "[0-9][0-9][0-9]",
    NULL
};
static const char *const tekken[] = {
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^"
    "\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{"
    "N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    NULL
};
static const char *const gpt4o[] = {
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i"
    ":'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{L"
    "l}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\"
    "n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    NULL
};
static const char *const bloom[] = {
    " ?[^(\\s|.,!?…。，、।۔،)]+",
    NULL
};
static const char *const viking[] = {
    " ?[^(\\s|.,!?…。，、।۔،)]+",
    "\\p{N}",
    NULL
};
static const char *const qwen35[] = {
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M"
    "}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    NULL
};
static const char *const seed_coder[] = {
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\"
    "n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    NULL
};
static const char *const bailing[] = {
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"
    "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
    NULL
};
static const char *const superbpe[] = {
    "\\p{N}+",
    "(?=(\\d{3})+(?!\\d))",
    NULL
};

#define SCAN(name, kind)     { name, MT_SPLIT_##kind, false, false, false, NULL }
#define LIST(name, list)     { name, MT_SPLIT_GPT2, false, false, false, list }
#define LLAMA(name)          { name, MT_SPLIT_CL100K_3, true, true, false, NULL }
#define ROBERTA(name)        { name, MT_SPLIT_GPT2, false, true, true, NULL }

static const mt_pre pre_table[] = {
    SCAN("default", GPT2), SCAN("gpt-2", GPT2), SCAN("gpt2", GPT2), SCAN("gpt-neox", GPT2),
    SCAN("mpt", GPT2), SCAN("olmo", GPT2), SCAN("phi-2", GPT2), SCAN("jais", GPT2),
    SCAN("trillion", GPT2), SCAN("granite-docling", GPT2), SCAN("jina-es", GPT2),
    SCAN("jina-de", GPT2), SCAN("jina-v2-es", GPT2), SCAN("jina-v2-de", GPT2),
    SCAN("gigachat", GPT2), SCAN("a.x-4.0", GPT2), SCAN("mellum", GPT2),
    SCAN("modern-bert", GPT2),
    SCAN("smollm", DIGITS_GPT2), SCAN("starcoder", DIGITS_GPT2), SCAN("refact", DIGITS_GPT2),
    SCAN("codeshell", DIGITS_GPT2), SCAN("command-r", DIGITS_GPT2),
    SCAN("exaone", DIGITS_GPT2), SCAN("exaone4", DIGITS_GPT2), SCAN("minerva-7b", DIGITS_GPT2),
    SCAN("mellum2", DIGITS_GPT2),
    SCAN("dbrx", CL100K_3), SCAN("smaug-bpe", CL100K_3), SCAN("chatglm-bpe", CL100K_3),
    SCAN("glm4", CL100K_3),
    SCAN("qwen2", CL100K_1), SCAN("stablelm2", CL100K_1), SCAN("deepseek-r1-qwen", CL100K_1),
    SCAN("megrez", CL100K_1), SCAN("kormo", CL100K_1), SCAN("f2llmv2", CL100K_1),
    SCAN("hunyuan", CL100K_1), SCAN("grok-2", CL100K_1), SCAN("solar-open", CL100K_1),
    LLAMA("llama-bpe"), LLAMA("llama3"), LLAMA("llama-v3"), LLAMA("falcon3"),
    LLAMA("falcon-h1"), LLAMA("pixtral"), LLAMA("midm-2.0"), LLAMA("lfm2"),
    LLAMA("jina-v5-nano"),
    ROBERTA("roberta-bpe"), ROBERTA("jina-v1-en"), ROBERTA("jina-v2-code"),
    LIST("deepseek-llm", deepseek_llm), LIST("deepseek-coder", deepseek_coder),
    LIST("deepseek-v3", deepseek_v3), LIST("hunyuan-dense", deepseek_v3),
    LIST("falcon", falcon), LIST("tekken", tekken), LIST("gpt-4o", gpt4o),
    LIST("llama4", gpt4o), LIST("bloom", bloom), LIST("poro-chat", bloom),
    LIST("gpt3-finnish", bloom), LIST("viking", viking), LIST("qwen35", qwen35),
    LIST("seed-coder", seed_coder), LIST("bailingmoe", bailing), LIST("superbpe", superbpe),
};

const mt_pre *mt_pre_find(mt_str name)
{
    if (name.n == 0) return &pre_table[0];
    for (size_t i = 0; i < MT_COUNT(pre_table); i++)
        if (mt_str_is(name, pre_table[i].name)) return &pre_table[i];
    return NULL;
}
