/*
 * The steps of a client that never holds a cached grant twice.
 *
 * Such a client takes a recursion to the daemon. So each step is one swap between two words, and an owner that another
 * task uses at the moment cannot be entered by mistake.
 *
 * An entry names a cached grant in one word, which is read and written as a whole: the generation in the upper 48 bits, as
 * in the slot, and the index of the slot below. 0 names none. An entry that is out of date does no harm: its generation
 * never comes back, so its swap fails.
 */
#ifndef PRWLOCK_CACHED_H
#define PRWLOCK_CACHED_H

#include "prwlock_slot.h"

/* Three pages: a word that a forked child finds zero; the slots; who serves. */
#define PRWLOCK_CACHED_PAGE 4096
#define PRWLOCK_CACHED_SLOTS 64

static inline uint64_t prwlock_entry_of(uint64_t generation, uint32_t index) {
    return generation << PRWLOCK_SLOT_GENERATION_SHIFT | index;
}

static inline uint64_t prwlock_entry_load(const uint64_t *entry) { return __atomic_load_n(entry, __ATOMIC_ACQUIRE); }

static inline void prwlock_entry_store(uint64_t *entry, uint64_t value) {
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static inline uint64_t prwlock_entry_idle(uint64_t entry) {
    return entry >> PRWLOCK_SLOT_GENERATION_SHIFT << PRWLOCK_SLOT_GENERATION_SHIFT;
}

static inline uint64_t *prwlock_entry_word(void *pages, uint64_t entry) {
    return prwlock_slot_word((char *)pages + PRWLOCK_CACHED_PAGE, (uint32_t)(entry % PRWLOCK_CACHED_SLOTS));
}

/* Whether this process has the slots: false in a forked child, which does not have that memory. */
static inline bool prwlock_pages_are_ours(const void *pages) {
    return __atomic_load_n((const uint32_t *)pages, __ATOMIC_RELAXED) != 0;
}

static inline bool prwlock_pages_are_served(const void *pages) {
    return prwlock_slot_is_served((const uint32_t *)((const char *)pages + 2 * PRWLOCK_CACHED_PAGE));
}

/* Takes a cached grant that is not held. Check afterwards whether a process serves. */
static inline bool prwlock_entry_enter(void *pages, uint64_t entry) {
    if (entry == 0 || !prwlock_pages_are_ours(pages)) return false;
    uint64_t seen = prwlock_entry_idle(entry);
    return __atomic_compare_exchange_n(
        prwlock_entry_word(pages, entry), &seen, seen + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Undoes an `enter`, whether or not a process serves. */
static inline bool prwlock_entry_step_back(void *pages, uint64_t entry) {
    if (!prwlock_pages_are_ours(pages)) return false;
    uint64_t idle = prwlock_entry_idle(entry), seen = idle + 1;
    return __atomic_compare_exchange_n(
        prwlock_entry_word(pages, entry), &seen, idle, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* Gives up the hold. If this fails, the lock is still held, and the daemon releases it, or it is lost. */
static inline bool prwlock_entry_leave(void *pages, uint64_t entry) {
    return prwlock_pages_are_ours(pages) && prwlock_pages_are_served(pages) && prwlock_entry_step_back(pages, entry);
}

/* Whether the entry names a grant that can be entered now or later: it is not wanted, or held. */
static inline bool prwlock_entry_is_alive(void *pages, uint64_t entry) {
    if (entry == 0 || !prwlock_pages_are_ours(pages)) return false;
    uint64_t word = __atomic_load_n(prwlock_entry_word(pages, entry), __ATOMIC_ACQUIRE);
    if (prwlock_entry_idle(entry) != prwlock_entry_idle(word)) return false;
    return (word & PRWLOCK_SLOT_HOLDS) != 0 || (word & PRWLOCK_SLOT_WANTED) == 0;
}

/* Whether the grant of this entry is held. */
static inline bool prwlock_entry_is_held(void *pages, uint64_t entry) {
    return prwlock_pages_are_ours(pages)
        && prwlock_slot_is_held(prwlock_entry_word(pages, entry), entry >> PRWLOCK_SLOT_GENERATION_SHIFT);
}

#endif
