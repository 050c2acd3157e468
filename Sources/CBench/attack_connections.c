#define _GNU_SOURCE
#include <sys/socket.h>
#include <unistd.h>

#include "CBench.h"
#include "attack.h"

/* Attacks by connections. */

static const char *target;

/* Connects, sends lines unless they are null, and closes, without end. */
static void churn(const char *path, const char *lines) {
    for (;;) {
        int descriptor = bench_connect(path);
        if (descriptor < 0) continue;
        if (lines != NULL) bench_send(descriptor, lines);
        close(descriptor);
    }
}

static void connects(const char *path) {
    churn(path, "WRITE flood\nRELEASE flood\n");
}

static void silent_connects(const char *path) {
    churn(path, NULL);
}

static void churn_child(int number) {
    (void)number;
    churn(target, "WRITE flood\nRELEASE flood\n");
}

static void fork_connects(const char *path) {
    target = path;
    attack_fork(4, NULL, churn_child);
}

static void release(const char *path) {
    (void)path;
    attack_release();
}

/* Keeps as many connections as there are descriptors, each of which says nothing; then closes all and begins again. */
static void kept_connects(const char *path) {
    static int kept[1 << 16];
    for (;;) {
        int count = 0;
        while (count < 4000 && (kept[count] = bench_connect(path)) >= 0) count++;
        while (count > 0) close(kept[--count]);
    }
}

/* 50 processes with 40 sessions each, which end together. */
static void connect_many(int number) {
    (void)number;
    static struct lines lines;
    for (int session = 0; session < 40; session++) {
        lines_add(&lines, "WRITE a/%d/%d\n", (int)getpid(), session);
        attack_exchange(attack_connect(target), &lines);
    }
}

static void fork_sessions(const char *path) {
    target = path;
    attack_fork(50, connect_many, NULL);
}

enum { FLOOD = BENCH_SUITS_ECHO | BENCH_OF_CONNECTIONS | BENCH_ENDLESS };

const struct attack connection_attacks[] = {
    {"connects", "connections with a line, without end", FLOOD, NULL, connects},
    {"connects-4", "the same from four processes", FLOOD, fork_connects, release},
    {"silent-connects", "connections that say nothing and close, without end", FLOOD, NULL, silent_connects},
    {"kept-connects", "4,000 connections that say nothing, again and again", FLOOD, NULL, kept_connects},
    {"sessions-die", "50 processes with 40 sessions each end together", 0, fork_sessions, release},
    {0},
};
