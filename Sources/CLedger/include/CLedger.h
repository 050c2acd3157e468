/* Stores that the compiler keeps in the order of the program, and the check of a place: what Swift cannot express. */

#ifndef CLEDGER_H
#define CLEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One store that the compiler neither moves, splits, joins nor drops. A process that is killed has carried out all its
   stores up to some instruction and none after it, so the order of the instructions is the order that recovery sees. The
   processor needs no fence. */
static inline void ledger_store64(void *place, uint64_t value) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n((uint64_t *)place, value, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void ledger_store32(void *place, uint32_t value) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n((uint32_t *)place, value, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline bool ledger_equal(const void *bytes, const void *others, size_t count) {
    return count == 0 || memcmp(bytes, others, count) == 0;
}

/* CRC-32C of the two words, least significant byte first, and then of the bytes. */
uint32_t ledger_check(uint64_t first, uint64_t second, const void *bytes, size_t count);

/* The same without the processor's instruction for it. */
uint32_t ledger_check_by_table(uint64_t first, uint64_t second, const void *bytes, size_t count);

#endif
