/* SPDX-License-Identifier: MIT */
/* crc32c.c - CRC-32C, the checksum of packed weights kept on disk.
 *
 * The instruction that computes it waits three cycles for its own result, so three lanes run side
 * by side and are joined by arithmetic on polynomials, which mt_crc32c_join offers to callers whose
 * threads each sum a part.  Bits are mirrored: the lowest bit is the highest power of x. */
#include "base/base.h"

#include <pthread.h>
#include <string.h>

#define POLY 0x82F63B78u        /* 0x1EDC6F41, mirrored */
#define ONE  0x80000000u        /* x^0 */
enum { LANE = 8192 };           /* bytes of one of three lanes */

/* ---- polynomials over two elements, modulo POLY -------------------------- */

static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = ONE; bit; bit >>= 1) {
        if (a & bit) product ^= b;
        b = b >> 1 ^ (b & 1 ? POLY : 0);
    }
    return product;
}

/* x^(8 n): what n zero bytes behind a message multiply its sum with. */
static uint32_t shift_by(size_t n)
{
    uint32_t shift = ONE, power = ONE >> 8;
    for (; n; n >>= 1) {
        if (n & 1) shift = multiply(shift, power);
        power = multiply(power, power);
    }
    return shift;
}

uint32_t mt_crc32c_join(uint32_t a, uint32_t b, size_t n_b) { return multiply(shift_by(n_b), a) ^ b; }

/* ---- without the instruction ----------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t table[8][256];  /* [i][byte]: the byte's share with i bytes behind it; written once */

static void fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t sum = i;
        for (int bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (sum & 1 ? POLY : 0);
        table[0][i] = sum;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xFF];
}

static uint32_t sum_by_table(uint32_t crc, const uint8_t *p, size_t n)
{
    pthread_once(&once, fill_table);
    for (; n >= 8; n -= 8, p += 8) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = table[7][crc & 0xFF] ^ table[6][crc >> 8 & 0xFF] ^ table[5][crc >> 16 & 0xFF]
            ^ table[4][crc >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n; n--, p++) crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xFF];
    return crc;
}

/* ---- with it ------------------------------------------------------------------- */

#if defined(__x86_64__) || defined(__aarch64__)
MT_INLINE uint32_t sum_word(uint32_t crc, const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if defined(__x86_64__)
    uint64_t sum = crc;
    __asm__("crc32q %1, %0" : "+r"(sum) : "r"(word));
    return (uint32_t)sum;
#else
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
#endif
}

MT_INLINE uint32_t sum_byte(uint32_t crc, uint8_t byte)
{
#if defined(__x86_64__)
    __asm__("crc32b %1, %0" : "+r"(crc) : "r"(byte));
#else
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)byte));
#endif
    return crc;
}

static uint32_t sum_by_instruction(uint32_t crc, const uint8_t *p, size_t n)
{
    if (n >= 3 * LANE) {
        const uint32_t one = shift_by(LANE), two = multiply(one, one);
        for (; n >= 3 * LANE; n -= 3 * LANE, p += 3 * LANE) {
            uint32_t b = 0, c = 0;
            for (size_t i = 0; i < LANE; i += 8) {
                crc = sum_word(crc, p + i);
                b = sum_word(b, p + LANE + i);
                c = sum_word(c, p + 2 * LANE + i);
            }
            crc = multiply(two, crc) ^ multiply(one, b) ^ c;
        }
    }
    for (; n >= 8; n -= 8, p += 8) crc = sum_word(crc, p);
    for (; n; n--, p++) crc = sum_byte(crc, *p);
    return crc;
}
#else
static uint32_t sum_by_instruction(uint32_t crc, const uint8_t *p, size_t n) { return sum_by_table(crc, p, n); }
#endif

uint32_t mt_crc32c(uint32_t crc, const void *p, size_t n)
{
    return ~(mt_cpu_allowed() & MT_CPU_CRC ? sum_by_instruction : sum_by_table)(~crc, p, n);
}
