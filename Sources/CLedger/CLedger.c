#include "CLedger.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <nmmintrin.h>
#endif

/* CRC-32C (Castagnoli, Bräuer and Herrmann 1993; RFC 3720, appendix B.4), bits reversed. It detects every change of one bit. */
#define POLYNOMIAL 0x82F63B78u

static uint32_t table[256];
static bool has_instruction;

__attribute__((constructor)) static void prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t rest = byte;
        for (int bit = 0; bit < 8; bit++) rest = (rest >> 1) ^ (rest & 1 ? POLYNOMIAL : 0);
        table[byte] = rest;
    }
#if defined(__x86_64__)
    unsigned a, b, c, d;
    has_instruction = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2);
#endif
}

static uint32_t add_by_table(uint32_t rest, const void *bytes, size_t count) {
    const unsigned char *next = bytes;
    while (count-- > 0) rest = (rest >> 8) ^ table[(rest ^ *next++) & 0xff];
    return rest;
}

uint32_t ledger_check_by_table(uint64_t first, uint64_t second, const void *bytes, size_t count) {
    uint32_t rest = add_by_table(~0u, &first, sizeof first);
    rest = add_by_table(rest, &second, sizeof second);
    return ~add_by_table(rest, bytes, count);
}

#if defined(__x86_64__)
__attribute__((target("sse4.2")))
static uint32_t check_by_instruction(uint64_t first, uint64_t second, const void *bytes, size_t count) {
    const unsigned char *next = bytes;
    uint64_t rest = _mm_crc32_u64(_mm_crc32_u64(~0u, first), second);
    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        rest = _mm_crc32_u64(rest, word);
    }
    if (count & 4) {
        uint32_t word;
        memcpy(&word, next, 4);
        rest = _mm_crc32_u32((uint32_t)rest, word);
        next += 4;
    }
    for (count &= 3; count > 0; count--) rest = _mm_crc32_u8((uint32_t)rest, *next++);
    return ~(uint32_t)rest;
}
#endif

uint32_t ledger_check(uint64_t first, uint64_t second, const void *bytes, size_t count) {
#if defined(__x86_64__)
    if (has_instruction) return check_by_instruction(first, second, bytes, count);
#endif
    return ledger_check_by_table(first, second, bytes, count);
}
