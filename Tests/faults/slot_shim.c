/*
 * What `slots` calls from Python: the fast path of cached grants, and a witness of which client holds which lock.
 *
 * The witness is memory that all clients share and no daemon sees. A client enters itself after each acquire and removes
 * itself before each release, so two entries that conflict are two grants that do. An entry has a *life*, a number that
 * no two client processes have. The parent condemns a life before it kills it: from then on its entry counts for nothing,
 * but that of a writer shows that it died while it held. An entry also has an *epoch*, which ends with each daemon: no grant
 * outlives it, so entries of different epochs do not conflict. A client that enters after the daemon's death has an entry of
 * the next epoch, and conflicts.
 */
#include "prwlock_slot.h"

#include <stddef.h>
#include <sys/mman.h>

enum { locks = 4, clients = 64, lives = 1 << 18 };

struct witness {
    uint32_t writer[locks];
    uint32_t readers[locks][clients];
    uint32_t epoch;
    uint8_t is_condemned[lives];
};

/* Verdicts, with a life in the lower bits. */
#define CONFLICT (1u << 30)
#define NO_MARK (1u << 31)

/* Maps a file that the daemon has handed over. NULL if that fails. */
void *slots_map(int file, size_t size, bool is_writable) {
    void *base = mmap(NULL, size, is_writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) return NULL;
    (void)madvise(base, size, MADV_DONTFORK);
    return base;
}

/* Whether a mapping that is for reading only can be made writable. */
bool slots_can_unlock(void *base, size_t size) { return mprotect(base, size, PROT_READ | PROT_WRITE) == 0; }

/* Removes the pages of a mapping from its file. */
bool slots_remove(void *base, size_t size) { return madvise(base, size, MADV_REMOVE) == 0; }

uint64_t slots_word(void *slots, uint32_t index) {
    return __atomic_load_n(prwlock_slot_word(slots, index), __ATOMIC_ACQUIRE);
}

void slots_put(void *slots, uint32_t index, uint64_t word) {
    __atomic_store_n(prwlock_slot_word(slots, index), word, __ATOMIC_RELEASE);
}

/* Writes to one slot again and again, so that the daemon meets another word at each of its instructions. */
void slots_hammer(void *slots, uint32_t index, uint64_t generation, uint64_t seed, uint32_t count) {
    uint64_t *word = prwlock_slot_word(slots, index);
    for (uint32_t turn = 0; turn < count; ++turn) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        uint64_t value = seed & 3 ? generation << PRWLOCK_SLOT_GENERATION_SHIFT | (seed >> 8 & 0xFFFF) : seed;
        __atomic_store_n(word, value, __ATOMIC_RELAXED);
    }
}

bool slots_enter(void *slots, uint32_t index, uint64_t generation, bool is_read) {
    return prwlock_slot_enter(prwlock_slot_word(slots, index), generation, is_read);
}

bool slots_leave(void *slots, uint32_t index, uint64_t generation) {
    return prwlock_slot_leave(prwlock_slot_word(slots, index), generation);
}

bool slots_is_served(const uint32_t *serving) { return prwlock_slot_is_served(serving); }

size_t witness_size(void) { return sizeof(struct witness); }

void witness_condemn(struct witness *witness, uint32_t life) {
    __atomic_store_n(&witness->is_condemned[life % lives], 1, __ATOMIC_SEQ_CST);
}

/* Begins the next epoch: the daemon is dead, and another one has not started. */
void witness_begin_epoch(struct witness *witness) { __atomic_fetch_add(&witness->epoch, lives, __ATOMIC_SEQ_CST); }

/* The entry that a client makes for a grant, if it calls this before it enters or asks. */
uint32_t witness_entry(struct witness *witness, uint32_t life) {
    return __atomic_load_n(&witness->epoch, __ATOMIC_SEQ_CST) | life;
}

static uint32_t epoch_of(uint32_t entry) { return entry & ~(uint32_t)(lives - 1); }

static bool is_alive(struct witness *witness, uint32_t entry) {
    return __atomic_load_n(&witness->is_condemned[entry % lives], __ATOMIC_SEQ_CST) == 0;
}

static uint32_t judge_readers(struct witness *witness, uint32_t lock, uint32_t entry) {
    for (uint32_t client = 0; client < clients; ++client) {
        uint32_t reader = __atomic_load_n(&witness->readers[lock][client], __ATOMIC_SEQ_CST);
        if (reader == 0 || reader == entry || epoch_of(reader) != epoch_of(entry)) continue;
        /* It may be condemned since the load, but it held before that. */
        if (is_alive(witness, reader)) return CONFLICT | reader % lives;
    }
    return 0;
}

static uint32_t judge_writer(struct witness *witness, uint32_t writer, uint32_t entry, bool has_mark) {
    if (writer == 0 || writer == entry || epoch_of(writer) != epoch_of(entry)) return 0;
    if (is_alive(witness, writer)) return CONFLICT | writer % lives;
    return has_mark ? 0 : NO_MARK | writer % lives;
}

/* Enters a client. Returns 0 if no other one conflicts. */
uint32_t witness_begin(
    struct witness *witness, uint32_t lock, uint32_t client, uint32_t entry, bool writes, bool has_mark) {
    uint32_t writer = __atomic_load_n(&witness->writer[lock], __ATOMIC_SEQ_CST);
    if (!writes) {
        __atomic_store_n(&witness->readers[lock][client], entry, __ATOMIC_SEQ_CST);
        writer = __atomic_load_n(&witness->writer[lock], __ATOMIC_SEQ_CST);
        return judge_writer(witness, writer, entry, has_mark);
    }
    do {
        /* It was stopped while another daemon came. */
        if (epoch_of(writer) > epoch_of(entry)) return 0;
    } while (!__atomic_compare_exchange_n(
        &witness->writer[lock], &writer, entry, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    uint32_t verdict = judge_writer(witness, writer, entry, has_mark);
    return verdict != 0 ? verdict : judge_readers(witness, lock, entry);
}

/* Removes a client. Returns 0 if no other one came meanwhile. */
uint32_t witness_end(
    struct witness *witness, uint32_t lock, uint32_t client, uint32_t entry, bool writes, bool has_mark) {
    if (!writes) {
        uint32_t writer = __atomic_load_n(&witness->writer[lock], __ATOMIC_SEQ_CST);
        __atomic_store_n(&witness->readers[lock][client], 0, __ATOMIC_SEQ_CST);
        return judge_writer(witness, writer, entry, has_mark);
    }
    uint32_t verdict = judge_readers(witness, lock, entry), writer = entry;
    if (__atomic_compare_exchange_n(&witness->writer[lock], &writer, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        return verdict;
    }
    bool is_over = epoch_of(entry) != __atomic_load_n(&witness->epoch, __ATOMIC_SEQ_CST);
    return is_over ? 0 : CONFLICT | writer % lives;
}

/* Removes a client that is dead as a reader. As a writer it stays until the next one comes, which must have the mark. */
void witness_bury(struct witness *witness, uint32_t client) {
    for (uint32_t lock = 0; lock < locks; ++lock) {
        __atomic_store_n(&witness->readers[lock][client], 0, __ATOMIC_SEQ_CST);
    }
}

/* Removes a writer that is dead, for a client without entries that has got the lock for writing: it may end the mark. */
void witness_pass(struct witness *witness, uint32_t lock) {
    uint32_t writer = __atomic_load_n(&witness->writer[lock], __ATOMIC_SEQ_CST);
    if (writer == 0 || is_alive(witness, writer)) return;
    (void)__atomic_compare_exchange_n(&witness->writer[lock], &writer, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
