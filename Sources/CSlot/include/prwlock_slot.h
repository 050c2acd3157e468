/*
 * The slots of cached grants: the words that a client and the daemon share.
 *
 * README.md, beside the folder of this file, has the states and the interleavings; `protocol.md` says how a client gets
 * the memory. Both sides use these functions, so this file and `prwlock_cached.h` are the one statement of the protocol.
 * Nothing here waits, calls the system, or loops for longer than another processor changes the same word.
 *
 * C11 or later, or C++11 or later, with GCC or Clang.
 */
#ifndef PRWLOCK_SLOT_H
#define PRWLOCK_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The bytes from one slot to the next: a cache line, so that no two owners write to the same line. */
#define PRWLOCK_SLOT_SIZE 64

/* A word: the generation in the upper 48 bits, then whether another request wants the lock, then how often it is held. */
#define PRWLOCK_SLOT_GENERATION_SHIFT 16
#define PRWLOCK_SLOT_WANTED ((uint64_t)1 << 15)
#define PRWLOCK_SLOT_HOLDS (PRWLOCK_SLOT_WANTED - 1)

/* The generation of a token: its lower 48 bits. */
static inline uint64_t prwlock_slot_generation(uint64_t token) {
    return token & (((uint64_t)1 << 48) - 1);
}

/* The word of a slot. `index` must be less than the number of slots. */
static inline uint64_t *prwlock_slot_word(void *slots, uint32_t index) {
    return (uint64_t *)((char *)slots + (uint64_t)index * PRWLOCK_SLOT_SIZE);
}

/* Whether a process serves: the word is a robust futex, and the kernel removes the thread's id when that process ends. */
static inline bool prwlock_slot_is_served(const uint32_t *serving) {
    return (__atomic_load_n(serving, __ATOMIC_ACQUIRE) & 0x3FFFFFFFu) != 0;
}

/* For clients */

/*
 * Takes the lock under the cached grant of this generation. Returns whether it is held; otherwise ask the daemon.
 *
 * A read grant may be entered again while it is held, also while it is wanted (G4). A write grant may not.
 */
static inline bool prwlock_slot_enter(uint64_t *word, uint64_t generation, bool is_read) {
    uint64_t seen = generation << PRWLOCK_SLOT_GENERATION_SHIFT;
    /* By far the most frequent case: cached, and not held. */
    if (__atomic_compare_exchange_n(word, &seen, seen + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return true;
    while (is_read && seen >> PRWLOCK_SLOT_GENERATION_SHIFT == generation) {
        uint64_t holds = seen & PRWLOCK_SLOT_HOLDS;
        /* Wanted and not held: the daemon has taken it. */
        if (holds == 0 && (seen & PRWLOCK_SLOT_WANTED) != 0) return false;
        if (holds == PRWLOCK_SLOT_HOLDS) return false;
        if (__atomic_compare_exchange_n(word, &seen, seen + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return true;
    }
    return false;
}

/*
 * Gives up one hold. Returns whether that is done; otherwise the lock is still held, and `RELEASE name token=…` ends the
 * grant, or finds that it is lost.
 */
static inline bool prwlock_slot_leave(uint64_t *word, uint64_t generation) {
    uint64_t seen = (generation << PRWLOCK_SLOT_GENERATION_SHIFT) + 1;
    if (__atomic_compare_exchange_n(word, &seen, seen - 1, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) return true;
    while (seen >> PRWLOCK_SLOT_GENERATION_SHIFT == generation) {
        uint64_t holds = seen & PRWLOCK_SLOT_HOLDS;
        /* The last hold of a wanted grant ends at the daemon, which grants the lock to another owner. */
        if (holds == 0 || (holds == 1 && (seen & PRWLOCK_SLOT_WANTED) != 0)) return false;
        if (__atomic_compare_exchange_n(word, &seen, seen - 1, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) return true;
    }
    return false;
}

/* For the daemon */

/* Begins a cached grant, held once. The former generation of the slot must be wanted or unknown to the client. */
static inline void prwlock_slot_give(uint64_t *word, uint64_t generation) {
    __atomic_store_n(word, (generation << PRWLOCK_SLOT_GENERATION_SHIFT) + 1, __ATOMIC_RELEASE);
}

/* Whether the grant of this generation is held. The client may change that at any moment. */
static inline bool prwlock_slot_is_held(const uint64_t *word, uint64_t generation) {
    uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    return seen >> PRWLOCK_SLOT_GENERATION_SHIFT == generation && (seen & PRWLOCK_SLOT_HOLDS) != 0;
}

/*
 * Ends the caching of a grant. Returns whether it is held, and then it stays so until `RELEASE`; otherwise it is taken.
 *
 * The order is what counts: once the bit is there, no client makes the last step, neither from held to not held nor back.
 * So the answer stays true, and a second call gives the same answer. Nothing loops, whatever a client writes meanwhile.
 */
static inline bool prwlock_slot_want(uint64_t *word, uint64_t generation) {
    (void)__atomic_fetch_or(word, PRWLOCK_SLOT_WANTED, __ATOMIC_ACQ_REL);
    return prwlock_slot_is_held(word, generation);
}

#ifdef __cplusplus
}
#endif

#endif
