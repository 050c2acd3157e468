#define _GNU_SOURCE

#include "keeper.h"

#include <CLinux.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    /* So many crashes within so many milliseconds: what is kept is to blame. */
    MOST_CRASHES = 5,
    CRASH_PERIOD = 10000,
    /* After a fork that failed, for lack of memory or processes. */
    FORK_PAUSE = 100,
};

static const struct keeper_configuration *configuration;

/* The keeper's end and the worker's. All workers use one pair: what a dead worker sent is still read, before the next one
   starts. */
static int control[2];
static int signals;
static sigset_t signals_of_worker;
/* The name of the process before this file changed it. */
static char name_at_start[16];

/* 0: there is none. */
static pid_t worker;
/* /proc/PID/io of the worker, or -1. */
static int counts = -1;
static struct keeper_last_worker last;
static int has_last;

/* TERM or INT, if the worker was told to end. */
static int ending;
static int is_leaving, is_hung, is_ready, starts_empty;
/* An upgrade is wanted: it begins when a worker has served. Then the file on disk is tried, and if that goes well, the
   worker is killed, and `start` becomes that program. */
static int wants_upgrade, has_served, is_upgrading;

/* Times in milliseconds of `now`; -1 for never. */
static int64_t crashes[MOST_CRASHES];
static int64_t alive_until = -1, start_at, unready_since;
static unsigned crash_count, unready_deaths;
static uint32_t watch;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void forget_crashes(void) {
    for (int i = 0; i < MOST_CRASHES; i++) crashes[i] = -CRASH_PERIOD - 1;
}

/* MARK: - Start */

static int begin(void) {
    forget_crashes();
    int passed = keeper_begin_store(configuration->environment);
    if (keeper_begin_environment(configuration->environment, passed) != 0) return -1;
    has_last = has_served = keeper_read_last(configuration->environment, &last);
    /* A keeper that goes on has them under other numbers. */
    for (int i = 0; !has_last && i < configuration->entry_count; i++) {
        const struct keeper_entry *entry = &configuration->entries[i];
        for (int j = 0; j < entry->count; j++) fcntl(entry->descriptors[j], F_SETFD, FD_CLOEXEC);
        keeper_keep(entry->name, entry->descriptors, entry->count);
    }
    sigset_t own;
    sigemptyset(&own);
    sigprocmask(SIG_BLOCK, NULL, &signals_of_worker);
    static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1}, of_keeper[] = {SIGUSR2, SIGQUIT, SIGCHLD};
    for (size_t i = 0; i < sizeof forwarded / sizeof forwarded[0]; i++) {
        sigaddset(&own, forwarded[i]);
        sigaddset(&signals_of_worker, forwarded[i]);
    }
    for (size_t i = 0; i < sizeof of_keeper / sizeof of_keeper[0]; i++) {
        sigaddset(&own, of_keeper[i]);
        /* The keeper before this one has blocked them. */
        sigdelset(&signals_of_worker, of_keeper[i]);
    }
    sigprocmask(SIG_BLOCK, &own, NULL);
    /* A stopped worker is no event. With SIG_IGN the kernel would reap the worker, and its counts would be lost. */
    struct sigaction children = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
    sigaction(SIGCHLD, &children, NULL);
    signals = signalfd(-1, &own, SFD_CLOEXEC | SFD_NONBLOCK);
    prctl(PR_GET_NAME, name_at_start);
    prctl(PR_SET_NAME, "prwlock-keeper");
    return signals < 0 ? -1 : socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control);
}

/* MARK: - Starting a worker */

/* In the child. It lets go of what is the keeper's, and has all else as a program that was executed. Above all it must not
   have the keeper's end of `control`: the end of the keeper is the end of that. */
static void become_worker(void) {
    close(control[0]);
    close(signals);
    keeper_leave_store();
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &standard, NULL);
    prctl(PR_SET_NAME, name_at_start);
    environ = keeper_environment_of_child();
    sigprocmask(SIG_SETMASK, &signals_of_worker, NULL);
}

/* Opens them before the worker's death: the kernel gives the file of a dead process to root. */
static void open_counts(void) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/io", worker);
    counts = open(path, O_RDONLY | O_CLOEXEC);
}

/* Starts a worker, or sets the time of the next attempt. Returns 1 in the worker. If an upgrade is due, the keeper becomes
   the program on disk, and that starts the worker. */
static int start(void) {
    /* A program that is told to end gains nothing by another version. */
    if (is_upgrading && ending == 0) {
        int *const own[] = {&control[0], &control[1], &signals, NULL};
        keeper_become(configuration, own, &last);
    }
    if (is_upgrading) last.replaced = 0;
    is_upgrading = 0;
    keeper_describe(control[1], has_last ? &last : NULL, starts_empty);
    pid_t child = fork();
    if (child == 0) {
        become_worker();
        return 1;
    }
    if (child < 0) {
        start_at = now() + FORK_PAUSE;
        return 0;
    }
    worker = child;
    is_ready = is_hung = 0;
    watch = 0;
    alive_until = -1;
    open_counts();
    if (ending != 0) kill(worker, ending);
    return 0;
}

/* MARK: - The end of a worker */

static void read_counts(void) {
    char text[512];
    ssize_t length = counts >= 0 ? pread(counts, text, sizeof text - 1, 0) : 0;
    text[length > 0 ? length : 0] = '\0';
    last.bytes = keeper_number(text, "wchar: ");
    last.calls = keeper_number(text, "syscw: ");
    if (counts >= 0) close(counts);
    counts = -1;
}

/* Decides whether the next worker may trust what is kept. Returns 0 to give up.

   KILL after the worker was ready is no sign of a fault: it comes from outside, any number of times. KILL before that may
   be the kernel's answer to the memory that a restored state needs. But it also meets a start if it comes often, so it
   counts only when no worker has been ready for long. */
static int judge_death(int signal) {
    int is_suspect = 0;
    if (signal != SIGKILL || is_hung) last.crashed = 1;
    if (is_upgrading) return 1;
    if (signal != SIGKILL || is_hung) {
        int64_t *oldest = &crashes[crash_count++ % MOST_CRASHES];
        *oldest = now();
        is_suspect = *oldest - crashes[crash_count % MOST_CRASHES] <= CRASH_PERIOD;
    } else if (!is_ready) {
        if (unready_deaths++ == 0) unready_since = now();
        is_suspect = unready_deaths >= MOST_CRASHES && now() - unready_since >= configuration->unready_milliseconds;
    }
    if (!is_suspect) return 1;
    /* Not even a worker that trusted nothing began to serve. */
    if (starts_empty) return 0;
    starts_empty = 1;
    unready_deaths = 0;
    forget_crashes();
    return 1;
}

static void take_orders(void);

/* Returns the exit status of the keeper if the worker has ended and no other one is to start; -1 otherwise. */
static int bury(void) {
    siginfo_t info = {0};
    if (worker == 0 || waitid(P_PID, (id_t)worker, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return -1;
    /* What the worker sent before its death counts. */
    take_orders();
    read_counts();
    waitpid(worker, NULL, 0);
    worker = 0;
    if (info.si_code == CLD_EXITED) return info.si_status;
    if (is_leaving) return 0;
    /* It was told to end, and this did it. */
    if (ending != 0 && info.si_status == ending) return 0;
    if (!judge_death(info.si_status)) return KEEPER_GIVES_UP;
    last.restarts += 1;
    last.signal = info.si_status;
    last.replaced = is_upgrading && info.si_status == SIGKILL;
    has_last = 1;
    start_at = now();
    return -1;
}

/* MARK: - Events */

static void take_orders(void) {
    struct keeper_message message;
    int descriptors[LINUX_MOST_DESCRIPTORS], count;
    for (;;) {
        int size = linux_receive_descriptors(control[0], &message, sizeof message, descriptors, &count, 0);
        if (size < 0 && (errno == EINTR || errno == EMFILE)) continue;
        if (size < 0) return;
        int is_whole = size == sizeof message;
        if (is_whole && message.order == KEEPER_KEEP) {
            keeper_keep(message.name, descriptors, count);
            continue;
        }
        for (int i = 0; i < count; i++) close(descriptors[i]);
        if (!is_whole) continue;
        switch (message.order) {
        case KEEPER_DROP: keeper_drop(message.name); break;
        case KEEPER_READY:
            is_ready = has_served = 1;
            starts_empty = 0;
            unready_deaths = 0;
            last.crashed = 0;
            break;
        case KEEPER_WATCH:
            watch = message.milliseconds;
            alive_until = watch > 0 ? now() + watch : -1;
            break;
        case KEEPER_LEAVE: is_leaving = 1; break;
        case KEEPER_PARDON: forget_crashes(); break;
        }
    }
}

/* Returns the exit status of the keeper, or -1. */
static int take_signals(void) {
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info) {
        int signal = (int)info.ssi_signo;
        if (signal == SIGCHLD) continue;
        if (signal == SIGUSR2) {
            wants_upgrade = 1;
            continue;
        } else if (signal == SIGQUIT) {
            if (worker == 0) return 0;
            is_leaving = 1;
            signal = SIGKILL;
        } else if (signal == SIGTERM || signal == SIGINT) {
            if (worker == 0) return 0;
            ending = signal;
        }
        if (worker != 0) kill(worker, signal);
    }
    /* Look also without SIGCHLD: it is not queued. */
    return bury();
}

static int time_to_wait(void) {
    int64_t next = worker == 0 ? start_at : alive_until;
    if (next < 0) return -1;
    int64_t left = next - now();
    return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

/* Goes on with the upgrade: begins to try the program on disk, or kills the worker if that went well. A kill at any
   instruction loses nothing, so it is also the way to another version. */
static void upgrade(void) {
    if (keeper_has_passed() && ending == 0) {
        is_upgrading = 1;
        if (worker != 0) kill(worker, SIGKILL);
    }
    /* After that, as the end of a trial makes room for another one. The upgrade that is under way does for both. */
    if (wants_upgrade && has_served && !is_upgrading && keeper_try(configuration)) wants_upgrade = 0;
}

int prwlock_keep(const struct keeper_configuration *given) {
    configuration = given;
    if (begin() != 0) return KEEPER_CANNOT_START;
    for (;;) {
        if (worker == 0 && now() >= start_at && start()) return KEEPER_IS_WORKER;
        struct pollfd events[] = {{control[0], POLLIN, 0}, {signals, POLLIN, 0}};
        poll(events, 2, time_to_wait());
        take_orders();
        int status = take_signals();
        if (status >= 0) return status;
        upgrade();
        if (worker != 0 && alive_until >= 0 && now() >= alive_until) {
            is_hung = 1;
            kill(worker, SIGKILL);
            alive_until = -1;
        }
    }
}
