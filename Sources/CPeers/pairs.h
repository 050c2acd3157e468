#ifndef PEERS_PAIRS_H
#define PEERS_PAIRS_H

#include "CPeers.h"

/* Makes pairs by three functions of a lock, each of which returns 0 on success. It is inlined with them: a call by a
 * pointer would take as long as a cached acquire. */
static inline __attribute__((always_inline)) int64_t peers_make(
    void *lock, struct peers_turn *turn, enum peers_kind kind, uint64_t count, int (*read)(void *),
    int (*write)(void *), int (*unlock)(void *)) {
    uint64_t counted = count;
    switch (kind) {
    case PEERS_WRITE:
        for (uint64_t i = 0; i < count; i++)
            if (write(lock) != 0 || unlock(lock) != 0) return -1;
        break;
    case PEERS_READ:
        for (uint64_t i = 0; i < count; i++)
            if (read(lock) != 0 || unlock(lock) != 0) return -1;
        break;
    case PEERS_TURNS:
        counted = 0;
        for (uint64_t i = 0; i < count; i++) {
            if (write(lock) != 0) return -1;
            counted += peers_took_turn(turn);
            if (unlock(lock) != 0) return -1;
        }
        break;
    case PEERS_MIXED:
        for (uint64_t i = 0; i < count; i++)
            if ((peers_writes_next(turn) ? write(lock) : read(lock)) != 0 || unlock(lock) != 0) return -1;
        break;
    }
    return (int64_t)counted;
}

#endif
