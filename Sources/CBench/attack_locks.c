#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "CBench.h"
#include "attack.h"

/* Attacks by many grants or waiting requests, and one event that concerns them all.
 *
 * The daemon's limits for one user: a quarter of what the others leave of 4,000,000 grants and of 1,000,000 waiting
 * requests, 10,000 and 1,000 of them in one session. */
enum {
    GRANTS = 10000,
    GRANT_SESSIONS = 100,
    WAITERS = 1000,
    WAITER_SESSIONS = 249,
    RECALL_SESSIONS = 20,
    CHAIN_SESSIONS = 20,
};

static const int64_t MILLISECOND = 1000000, SECOND = 1000000000;

static struct lines lines;
/* The session that holds what others wait for. */
static int first;

/* The milliseconds from now until an instant; 1 at least. */
static long until(int64_t instant) {
    int64_t left = (instant - bench_now()) / MILLISECOND;
    return left < 1 ? 1 : (long)left;
}

/* Keeps all sessions open for a while, and reads nothing. */
static void stay(void) {
    attack_sleep_until(bench_now() + 2 * SECOND);
}

/* -- grants ------------------------------------------------------------------------------------------------------ */

/* Makes a million grants; `end` is when their leases end, 0 for no leases. */
static void hold_million(const char *path, int64_t end) {
    for (int session = 0; session < GRANT_SESSIONS; session++) {
        int descriptor = attack_connect(path);
        for (int part = 0; part < 10; part++) {
            for (int lock = 0; lock < GRANTS / 10; lock++) {
                lines_add(&lines, "WRITE a/%d/%d/%d", session, part, lock);
                if (end != 0) lines_add(&lines, " lease=%ldms", until(end));
                lines_add(&lines, "\n");
            }
            attack_exchange(descriptor, &lines);
        }
    }
}

static void hold_with_leases(const char *path) {
    int64_t end = bench_now() + 20 * SECOND;
    hold_million(path, end);
    attack_require(bench_now() < end - SECOND);
    attack_sleep_until(end - SECOND / 4);
}

static void hold(const char *path) {
    hold_million(path, 0);
}

static void strike_by_time(const char *path) {
    (void)path;
    stay();
}

static void strike_by_death(const char *path) {
    (void)path;
}

/* Grants of one owner, which one line releases. */
static void release_all(const char *path) {
    int descriptor = attack_connect(path);
    for (;;) {
        for (int lock = 0; lock < GRANTS - 1; lock++) lines_add(&lines, "WRITE a/%d owner=o\n", lock);
        lines_add(&lines, "RELEASE * owner=o\n");
        attack_exchange(descriptor, &lines);
    }
}

/* -- waiting requests -------------------------------------------------------------------------------------------- */

/* 249,000 requests that wait for one lock; `end` is their deadline, 0 for none. */
static void wait_for_lock(const char *path, const char *mode, int64_t end) {
    first = attack_connect(path);
    lines_add(&lines, "WRITE a\n");
    attack_exchange(first, &lines);
    for (int session = 0; session < WAITER_SESSIONS; session++) {
        int descriptor = attack_connect(path);
        for (int request = 0; request < WAITERS; request++) {
            lines_add(&lines, "%s a owner=o%d", mode, request);
            if (end != 0) lines_add(&lines, " wait=%ldms", until(end));
            lines_add(&lines, "\n");
        }
        attack_exchange(descriptor, &lines);
    }
}

static void wait_until(const char *path) {
    int64_t end = bench_now() + 10 * SECOND;
    wait_for_lock(path, "WRITE", end);
    attack_require(bench_now() < end - SECOND);
    attack_sleep_until(end - SECOND / 4);
}

static void wait_to_read(const char *path) {
    wait_for_lock(path, "READ", 0);
}

static void wait_to_write(const char *path) {
    wait_for_lock(path, "WRITE", 0);
}

static void strike_by_release(const char *path) {
    (void)path;
    attack_require(bench_send(first, "RELEASE a\n") == 0);
    stay();
}

static void strike_by_list(const char *path) {
    first = attack_connect(path);
    for (int count = 0; count < 100; count++) lines_add(&lines, "STATUS a\n");
    attack_pump(first, &lines);
}

/* -- recalls ----------------------------------------------------------------------------------------------------- */

static void hold_recalled(const char *path) {
    for (int session = 0; session < RECALL_SESSIONS; session++) {
        int descriptor = attack_connect(path);
        lines_add(&lines, "HELLO recall=1\n");
        for (int owner = 0; owner < GRANTS; owner++) lines_add(&lines, "READ a owner=o%d\n", owner);
        attack_exchange(descriptor, &lines);
    }
    first = attack_connect(path);
}

static void recall(const char *path) {
    (void)path;
    for (int request = 0; request < 100; request++) lines_add(&lines, "#t%d WRITE a owner=o%d\n", request, request);
    for (int request = 0; request < 100; request++) lines_add(&lines, "CANCEL #t%d\n", request);
    attack_pump(first, &lines);
}

/* -- searches for a circle --------------------------------------------------------------------------------------- */

/* 20,000 owners, each of which holds a lock and waits for the next owner's. The requests of the last owner then search
 * the whole chain, backwards. They are for locks of a session that waits for nothing. */
static void chain(const char *path) {
    int other = attack_connect(path);
    for (int lock = 0; lock < WAITERS; lock++) lines_add(&lines, "WRITE z%d\n", lock);
    attack_exchange(other, &lines);
    first = attack_connect(path);
    lines_add(&lines, "WRITE c%d owner=last\n", CHAIN_SESSIONS * WAITERS);
    attack_exchange(first, &lines);
    for (int session = CHAIN_SESSIONS - 1; session >= 0; session--) {
        int descriptor = attack_connect(path);
        for (int owner = WAITERS - 1; owner >= 0; owner--) {
            int lock = session * WAITERS + owner;
            lines_add(&lines, "WRITE c%d owner=o%d\nWRITE c%d owner=o%d\n", lock, owner, lock + 1, owner);
        }
        attack_exchange(descriptor, &lines);
    }
}

static void search_and_end(const char *path) {
    (void)path;
    for (int lock = 0; lock < WAITERS; lock++) lines_add(&lines, "WRITE z%d owner=last\n", lock);
    attack_require(send(first, lines.bytes, lines.length, MSG_NOSIGNAL) == (ssize_t)lines.length);
    shutdown(first, SHUT_WR);
    attack_await_close(&first, 1, 3 * SECOND);
}

static void search(const char *path) {
    (void)path;
    for (int request = 0; request < WAITERS; request++) lines_add(&lines, "#t WRITE z0 owner=last\nCANCEL #t\n");
    attack_pump(first, &lines);
}

/* The end of the chain asks for its beginning. */
static void search_circle(const char *path) {
    (void)path;
    for (int request = 0; request < WAITERS; request++) lines_add(&lines, "WRITE c0 owner=last\n");
    attack_pump(first, &lines);
}

const struct attack lock_attacks[] = {
    {"leases", "1,000,000 leases that end together", 0, hold_with_leases, strike_by_time},
    {"holder-dies", "a holder of 1,000,000 grants dies", 0, hold, strike_by_death},
    {"release-all", "10,000 grants released by one line, again and again", BENCH_ENDLESS,
      NULL, release_all},
    {"timeouts", "249,000 waits that time out together", 0, wait_until, strike_by_time},
    {"readers", "249,000 readers let in at once", 0, wait_to_read, strike_by_release},
    {"waiters-die", "249,000 waits that end with their process", 0, wait_to_write, strike_by_death},
    {"long-status", "STATUS of a lock with 249,000 waits, without end", BENCH_ENDLESS,
      wait_to_write, strike_by_list},
    {"recalls", "200,000 holders with recall=1, and new waits", BENCH_ENDLESS, hold_recalled, recall},
    {"chain-end", "a chain of 20,000 owners: 1,000 searches, end of input", 0, chain, search_and_end},
    {"chain", "the same chain, searched without end", BENCH_ENDLESS, chain, search},
    {"circle", "the same chain, closed to a circle without end", BENCH_ENDLESS, chain, search_circle},
    {0},
};
