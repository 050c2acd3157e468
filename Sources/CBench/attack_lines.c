#define _GNU_SOURCE
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "CBench.h"
#include "attack.h"

/* Attacks by lines that cost the daemon more than the client. */

static const char *target;
static struct lines flood;

/* -- without end ------------------------------------------------------------------------------------------------- */

static void pump_lines(const char *path) {
    for (int count = 0; count < 1000; count++) lines_add(&flood, "WRITE flood wait=0\nRELEASE flood\n");
    attack_pump(attack_connect(path), &flood);
}

static int lister;

static void hold_listed(const char *path) {
    lister = attack_connect(path);
    for (int lock = 0; lock < 5000; lock++) lines_add(&flood, "READ flood/%d note=a-note-of-some-length\n", lock);
    attack_exchange(lister, &flood);
}

static void pump_lists(const char *path) {
    (void)path;
    for (int count = 0; count < 1000; count++) lines_add(&flood, "LIST flood/\n");
    attack_pump(lister, &flood);
}

/* Names that differ from the longest one in one bit each. So the search for that one passes all of them. */
enum { LONGEST_NAME = 255 };
static char deep_name[LONGEST_NAME + 1];

static void make_deep(const char *path) {
    lister = attack_connect(path);
    memset(deep_name, 'a', LONGEST_NAME);
    char name[LONGEST_NAME + 1];
    /* Each of these differs from `a` in another bit. */
    for (const char *other = "ceiqA"; *other != '\0'; other++) {
        for (int place = 0; place < LONGEST_NAME; place++) {
            memcpy(name, deep_name, sizeof name);
            name[place] = *other;
            lines_add(&flood, "WRITE %s\n", name);
        }
        attack_exchange(lister, &flood);
    }
}

static void pump_deep(const char *path) {
    (void)path;
    for (int count = 0; count < 100; count++) lines_add(&flood, "WRITE %s wait=0\nRELEASE %s\n", deep_name, deep_name);
    attack_pump(lister, &flood);
}

/* Sessions that watch, and changes for all of them. */
static void watch(const char *path) {
    for (int session = 0; session < 64; session++) {
        int watcher = attack_connect(path);
        lines_add(&flood, "WATCH flood\n");
        attack_exchange(watcher, &flood);
    }
}

/* -- and then the end of input ----------------------------------------------------------------------------------- */

/* Fills a socket with the largest buffer that it gets, ends the input, and reads nothing. */
static void send_and_end(int sessions) {
    int descriptors[16], size = 8 << 20;
    for (int session = 0; session < sessions; session++) {
        descriptors[session] = attack_connect(target);
        /* The kernel gives twice as much, up to its limit. */
        setsockopt(descriptors[session], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    for (int session = 0; session < sessions; session++) {
        attack_fill(descriptors[session], "STATS\n");
        shutdown(descriptors[session], SHUT_WR);
    }
    attack_await_close(descriptors, (size_t)sessions, 3000000000);
}

static void end_one(const char *path) {
    target = path;
    send_and_end(1);
}

static void end_five(const char *path) {
    target = path;
    send_and_end(5);
}

/* -- and then the end of the process ----------------------------------------------------------------------------- */

static int own;

static void connect_child(int number) {
    (void)number;
    own = attack_connect(target);
}

static void fill_with_stats(int number) {
    (void)number;
    attack_fill(own, "STATS\n");
}

static void fill_with_faults(int number) {
    (void)number;
    attack_fill(own, "x\n");
}

static void fork_stats(const char *path) {
    target = path;
    attack_fork(20, connect_child, fill_with_stats);
}

static void fork_faults(const char *path) {
    target = path;
    attack_fork(100, connect_child, fill_with_faults);
}

static void release(const char *path) {
    (void)path;
    attack_release();
}

const struct attack line_attacks[] = {
    {"lines", "requests without end", BENCH_SUITS_ECHO | BENCH_ENDLESS, NULL, pump_lines},
    {"lists", "lists of 5,000 locks without end", BENCH_ENDLESS, hold_listed, pump_lists},
    {"deep-names", "names that make the tree 1,275 deep", BENCH_ENDLESS, make_deep, pump_deep},
    {"watchers", "64 sessions that watch, and changes without end", BENCH_ENDLESS, watch, pump_lines},
    {"stats-end", "one session: 8 MB of STATS, end of input, nothing read", BENCH_SUITS_ECHO,
     NULL, end_one},
    {"stats-end-5", "five such sessions", BENCH_SUITS_ECHO, NULL, end_five},
    {"stats-exit", "20 processes of STATS that exit", BENCH_SUITS_ECHO, fork_stats, release},
    {"faults-exit", "100 processes of unknown verbs that exit", BENCH_SUITS_ECHO, fork_faults, release},
    {0},
};
