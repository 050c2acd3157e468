/* What the attacks share: their processes, and lines sent in bulk. */
#ifndef ATTACK_H
#define ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CBench.h"

/* One attack. `prepare` and `strike` run in the attacking process. A failure ends that process with status 1. */
struct attack {
    const char *name;
    const char *text;
    /* A set of bench_attack_trait. */
    unsigned traits;
    void (*prepare)(const char *path);
    void (*strike)(const char *path);
};

/* The attacks of each file; the last has no name. */
extern const struct attack line_attacks[], lock_attacks[], connection_attacks[];

/* -- attack_tools.c ---------------------------------------------------------------------------------------------- */

/* Lines to be sent. */
struct lines {
    char *bytes;
    size_t length, room;
};

void lines_add(struct lines *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lines_clear(struct lines *);

/* Ends the process with status 1 unless this holds. */
void attack_require(bool);
int attack_connect(const char *path);
/* Sends the lines and a PING, and reads until its PONG. Then it clears the lines. */
void attack_exchange(int descriptor, struct lines *);
/* Sends the same lines for ever, as fast as the socket takes them, and reads all answers. */
void attack_pump(int descriptor, const struct lines *);
/* Sends the same line until the socket takes no more, and reads nothing. */
void attack_fill(int descriptor, const char *line);
/* Waits until the peer has closed all these sockets, or the time is over. */
void attack_await_close(const int *descriptors, size_t count, int64_t patience);
/* Sleeps until an instant of bench_now(). */
void attack_sleep_until(int64_t);

/* Forks this number of children that end with the caller. Each calls the body with its number, waits for
 * attack_release, calls the other body, and exits. Returns when all bodies have returned. */
void attack_fork(int count, void (*prepare)(int number), void (*strike)(int number));
/* Lets the children go on, and waits until all have exited. */
void attack_release(void);

#endif
