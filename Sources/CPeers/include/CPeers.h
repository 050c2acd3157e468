/* The participants of `prwlock-bench peers` that are written in C, and what all participants have in common.
 *
 * A participant is a process that makes pairs of an acquire and a release. Its orders come by standard input and its
 * answers go by standard output, a line each:
 *
 *   participant                      prwlock-bench
 *   ready VERSION             ───▶                    or `missing WHAT`, and it ends
 *                             ◀───   go KIND BEGIN LENGTH
 *   did COUNT ELAPSED         ───▶                    or `failed TEXT`, and it ends
 *
 * BEGIN is an instant of CLOCK_MONOTONIC, so that two processes begin together. All times are nanoseconds. peers.py
 * speaks the same lines and has the same rules. */
#ifndef CPEERS_H
#define CPEERS_H

#include <stdbool.h>
#include <stdint.h>

/* What a participant does with the lock that it shares with others. */
enum peers_kind {
    PEERS_WRITE,
    PEERS_READ,
    /* It writes, and only the grants count that follow a grant of another participant. */
    PEERS_TURNS,
    /* One pair of ten writes, nine read. */
    PEERS_MIXED,
};

enum { PEERS_KINDS = PEERS_MIXED + 1 };

/* The kind's word in an order; null behind the last. */
const char *peers_kind_word(int kind);

/* A participant: makes so many pairs, and returns how many of them count. Returns -1 on failure, with errno. */
struct peers_part {
    int64_t (*pairs)(void *context, enum peers_kind, uint64_t count);
    void *context;
};

/* Which participant of two had the lock last: a word in a file that both map. Only the holder of the lock uses it. */
struct peers_turn {
    uint64_t *last;
    uint64_t own;
    /* Counts pairs of the kind `mixed`. The participants begin at different pairs of their ten. */
    unsigned place;
};

/* Maps the word in `folder`, of the participant with this index. Returns 0 or an errno. */
int peers_turn_open(struct peers_turn *, const char *folder, int index);

/* To be called by the holder: whether another participant had the lock before. */
static inline bool peers_took_turn(struct peers_turn *turn) {
    bool took = *turn->last != turn->own;
    *turn->last = turn->own;
    return took;
}

/* Whether the next pair of the kind `mixed` writes. */
static inline bool peers_writes_next(struct peers_turn *turn) {
    turn->place = turn->place == 9 ? 0 : turn->place + 1;
    return turn->place == 0;
}

/* Opens a participant in C by its peer's name; its lock is in `folder`. Returns 0, an errno, or -1 if there is no such
   peer. */
int peers_open(const char *name, const char *folder, int index, struct peers_part *);

/* Says that the participant is ready, and carries out orders until there are no more. Returns an exit status. */
int peers_serve(const struct peers_part *);

/* The clock of a window, in nanoseconds. A test passes one of its own, so that it depends on no real time. */
struct peers_clock {
    int64_t (*now)(void *context);
    /* Returns when the instant has come, with the time. */
    int64_t (*await)(void *context, int64_t instant);
    void *context;
};

/* Carries out one order. Returns 0 or an errno. */
int peers_window(
    const struct peers_part *, const struct peers_clock *, enum peers_kind, int64_t begin, int64_t length,
    uint64_t *count, int64_t *elapsed);

#endif
