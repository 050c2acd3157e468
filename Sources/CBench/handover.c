#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "CBench.h"

/* Two processes alternate on one lock. Each turn:
 *
 *   holder                          waiter
 *                                   requests the lock, and checks that it is queued
 *          ◀──────── "I wait" ─────
 *   holds for a moment              sleeps until the lock is granted
 *   notes the time and releases
 *                                   is granted, and records the elapsed time
 *          ◀──────── "I hold" ─────
 */

/* The time in nanoseconds for which a holder holds: the waiter falls asleep meanwhile. */
enum { HELD = 20000 };

/* The operations on one kind of lock; each returns 0 or an errno. */
struct lock {
    /* Returns a descriptor for one side, or a negated errno. */
    int (*open)(const char *path);
    int (*ask)(int descriptor);
    /* Checks that the request waits. */
    int (*confirm)(int descriptor);
    int (*await)(int descriptor);
    int (*leave)(int descriptor);
    /* Completes `leave`, outside the measured time. */
    int (*left)(int descriptor);
};

/* Reads a line that comes alone, in one call, as clients do that have a buffer. */
static int expect(int descriptor, const char *beginning) {
    char line[512];
    ssize_t length;
    do length = recv(descriptor, line, sizeof line, 0);
    while (length < 0 && errno == EINTR);
    if (length < 0) return errno;
    if (length == 0) return EPIPE;
    char *end = memchr(line, '\n', (size_t)length);
    if (end != line + length - 1) return EPROTO;
    *end = '\0';
    return strncmp(line, beginning, strlen(beginning)) == 0 ? 0 : EPROTO;
}

static int daemon_ask(int descriptor) {
    return bench_send(descriptor, "WRITE hand-over\n");
}

static int daemon_confirm(int descriptor) {
    /* The daemon carries requests out in order. So if PONG comes before a grant, the lock request waits. */
    int error = bench_send(descriptor, "PING\n");
    return error != 0 ? error : expect(descriptor, "PONG");
}

static int daemon_await(int descriptor) {
    return expect(descriptor, "GRANTED ");
}

static int daemon_leave(int descriptor) {
    return bench_send(descriptor, "RELEASE hand-over\n");
}

static int daemon_left(int descriptor) {
    return expect(descriptor, "RELEASED ");
}

static int file_open(const char *path) {
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return descriptor < 0 ? -errno : descriptor;
}

static int file_nothing(int descriptor) {
    (void)descriptor;
    return 0;
}

static int file_await(int descriptor) {
    return flock(descriptor, LOCK_EX) == 0 ? 0 : errno;
}

static int file_leave(int descriptor) {
    return flock(descriptor, LOCK_UN) == 0 ? 0 : errno;
}

static const struct lock daemon_lock = {
    bench_connect, daemon_ask, daemon_confirm, daemon_await, daemon_leave, daemon_left,
};

static const struct lock file_lock = {
    file_open, file_nothing, file_nothing, file_await, file_leave, file_nothing,
};

/* Memory that both processes share. */
struct turns {
    /* The time at which the holder began to release. */
    _Atomic int64_t released;
    /* Set when the turns must end; only the parent sets it, because the child's `end` is never over. */
    _Atomic bool over;
    struct bench_histogram *histogram;
};

/* One of the two processes. */
struct side {
    const struct lock *lock;
    int descriptor;
    /* A socket to the other side. */
    int other;
    struct turns *turns;
    /* The time after which this side ends the turns. */
    int64_t end;
};

static int tell(int other) {
    return send(other, "", 1, MSG_NOSIGNAL) == 1 ? 0 : EPIPE;
}

static int hear(int other) {
    char byte;
    return recv(other, &byte, 1, 0) == 1 ? 0 : EPIPE;
}

static int wait_turn(const struct side *side) {
    int error = side->lock->ask(side->descriptor);
    if (error == 0) error = side->lock->confirm(side->descriptor);
    if (error == 0) error = tell(side->other);
    if (error == 0) error = side->lock->await(side->descriptor);
    if (error != 0) return error;
    bench_histogram_record(side->turns->histogram, bench_now() - side->turns->released);
    return tell(side->other);
}

static int hold_turn(const struct side *side) {
    int error = hear(side->other);
    if (error != 0) return error;
    /* The waiter may have only this processor. Without the yield it would still be awake at the release. */
    sched_yield();
    int64_t begin = bench_now();
    while (bench_now() - begin < HELD) continue;
    if (begin > side->end) side->turns->over = true;
    side->turns->released = bench_now();
    error = side->lock->leave(side->descriptor);
    if (error == 0) error = side->lock->left(side->descriptor);
    /* Request the lock again only after the other side has it: a lock on a file has no queue. */
    return error != 0 ? error : hear(side->other);
}

static int take_turns(const struct side *side, bool holds) {
    int error = 0;
    if (holds) {
        error = side->lock->ask(side->descriptor);
        if (error == 0) error = side->lock->await(side->descriptor);
        if (error == 0) error = tell(side->other);
    } else {
        error = hear(side->other);
    }
    for (; error == 0 && !side->turns->over; holds = !holds) {
        error = holds ? hold_turn(side) : wait_turn(side);
    }
    return error;
}

/* Opens the lock and takes the turns; the parent holds first. */
static int play(const struct lock *lock, const char *path, int other, struct turns *turns, int64_t end,
                bool holds) {
    int descriptor = lock->open(path);
    if (descriptor < 0) return -descriptor;
    struct side side = {lock, descriptor, other, turns, end};
    int error = take_turns(&side, holds);
    close(descriptor);
    return error;
}

static int hand_over(const struct lock *lock, const char *path, int64_t duration,
                     struct bench_histogram *histogram) {
    struct turns *turns =
        mmap(NULL, sizeof *turns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (turns == MAP_FAILED) return errno;
    turns->histogram = histogram;
    int pair[2] = {-1, -1};
    int error = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        error = errno;
        munmap(turns, sizeof *turns);
        return error;
    }

    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        _exit(play(lock, path, pair[1], turns, INT64_MAX, false) == 0 ? 0 : 1);
    }
    close(pair[1]);
    if (child > 0) {
        error = play(lock, path, pair[0], turns, bench_now() + duration, true);
    } else {
        error = errno;
    }
    close(pair[0]);
    int status = 0;
    if (child > 0 && waitpid(child, &status, 0) == child && status != 0 && error == 0) error = ECHILD;
    munmap(turns, sizeof *turns);
    return error;
}

int bench_hand_over(const char *socket, int64_t duration, struct bench_histogram *histogram) {
    return hand_over(&daemon_lock, socket, duration, histogram);
}

int bench_flock_hand_over(const char *path, int64_t duration, struct bench_histogram *histogram) {
    return hand_over(&file_lock, path, duration, histogram);
}
