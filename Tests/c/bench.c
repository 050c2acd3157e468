/*
 * What a cached lock costs: nanoseconds of an acquire and a release, the median of several rounds.
 *
 * Beside it in the same run: two compare-and-swaps on a private line, and a pthread_rwlock in shared memory.
 * PRWLOCKD names the daemon's program (`Tests/c/bench` sets it). Two processes need two processors.
 *
 * `--real-time` keeps other programs off them, and needs root. `--short` only shows that all of this runs.
 */
#define _GNU_SOURCE

#include <err.h>
#include <prwlock.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 11, MOST_PROCESSES = 2 };

static long pairs = 2000000;
static prwlock_lock *lock;

static struct shared {
    pthread_rwlock_t rwlock;
    char apart[64];
    uint64_t line;
    char behind[64];
    int ready, go;
    double results[MOST_PROCESSES];
} *shared;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void check(int result) {
    if (result != 0) errx(1, "%s", prwlock_last_error()->message);
}

/* ---- What is measured ---- */

static void swaps(void) {
    static uint64_t line __attribute__((aligned(64)));
    for (long i = 0; i < pairs; i++) {
        uint64_t seen = 0;
        __atomic_compare_exchange_n(&line, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
        seen = 1;
        __atomic_compare_exchange_n(&line, &seen, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    }
}

static void cached_reads(void) {
    prwlock_lock *jobs = lock;
    for (long i = 0; i < pairs; i++) {
        check(prwlock_read_lock(jobs, NULL));
        check(prwlock_unlock(jobs));
    }
}

static void cached_writes(void) {
    prwlock_lock *jobs = lock;
    for (long i = 0; i < pairs; i++) {
        check(prwlock_write_lock(jobs, NULL));
        check(prwlock_unlock(jobs));
    }
}

static void pthread_reads(void) {
    pthread_rwlock_t *jobs = &shared->rwlock;
    for (long i = 0; i < pairs; i++) {
        pthread_rwlock_rdlock(jobs);
        pthread_rwlock_unlock(jobs);
    }
}

static void pthread_writes(void) {
    pthread_rwlock_t *jobs = &shared->rwlock;
    for (long i = 0; i < pairs; i++) {
        pthread_rwlock_wrlock(jobs);
        pthread_rwlock_unlock(jobs);
    }
}

/* ---- Measuring ---- */

static int ascending(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return (difference > 0) - (difference < 0);
}

static void run_on(int processor, void (*body)(void), double *result) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof set, &set);
    long all = pairs;
    /* The first few are by the socket. */
    pairs = 1000;
    body();
    pairs = all;
    __atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE) == 0) sched_yield();
    double start = now();
    body();
    *result = (now() - start) / (double)pairs;
}

/* The slowest of so many processes, each on a processor of its own; the median of all rounds. */
static double measure(void (*body)(void), int processes) {
    double rounds[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        shared->ready = shared->go = 0;
        pid_t children[MOST_PROCESSES];
        for (int i = 0; i < processes; i++) {
            if ((children[i] = fork()) == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                run_on(i, body, &shared->results[i]);
                _exit(0);
            }
        }
        while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < processes) usleep(1000);
        __atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
        double slowest = 0;
        for (int i = 0; i < processes; i++) {
            int status;
            if (waitpid(children[i], &status, 0) != children[i] || status != 0) errx(1, "a process failed");
            if (shared->results[i] > slowest) slowest = shared->results[i];
        }
        rounds[round] = slowest;
    }
    qsort(rounds, ROUNDS, sizeof rounds[0], ascending);
    return rounds[ROUNDS / 2];
}

static pid_t start_daemon(const char *folder) {
    static char path[128], state[128];
    const char *program = getenv("PRWLOCKD");
    if (program == NULL) errx(2, "PRWLOCKD must name the daemon's program");
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(state, sizeof state, "%s/state", folder);
    setenv("PRWLOCK_SOCKET", path, 1);
    pid_t daemon = fork();
    if (daemon == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(program, program, "--socket", path, "--state-directory", state, "--log-level", "error", (char *)NULL);
        err(127, "%s", program);
    }
    check(prwlock_open(&lock, NULL, "bench"));
    while (prwlock_read_lock(lock, NULL) == PRWLOCK_UNAVAILABLE) {
        if (waitpid(daemon, NULL, WNOHANG) == daemon) errx(1, "the daemon has ended");
        usleep(2000);
    }
    check(prwlock_unlock(lock));
    return daemon;
}

static void report(const char *what, double nanoseconds, double base, const char *of) {
    printf("%-44s %8.2f ns   %6.2f of %s\n", what, nanoseconds, nanoseconds / base, of);
}

int main(int argc, char **argv) {
    struct sched_param priority = {.sched_priority = 1};
    if (argc > 1 && strcmp(argv[1], "--short") == 0) pairs = 20000;
    bool is_real_time = argc > 1 && strcmp(argv[1], "--real-time") == 0;
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) err(1, "mmap");
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_rwlock_init(&shared->rwlock, &attributes);
    char folder[] = "/tmp/prwlock-c.XXXXXX", command[64];
    if (mkdtemp(folder) == NULL) err(1, "mkdtemp");
    pid_t daemon = start_daemon(folder);

    /* The daemon does not inherit it. */
    if (is_real_time && sched_setscheduler(0, SCHED_FIFO, &priority) != 0) err(1, "--real-time");
    double bare = measure(swaps, 1), reads = measure(cached_reads, 1), writes = measure(cached_writes, 1);
    double reads_of_pthread = measure(pthread_reads, 1), writes_of_pthread = measure(pthread_writes, 1);
    report("two compare-and-swaps on a private line", bare, bare, "these");
    report("cached read and unlock", reads, bare, "the swaps (goal: at most 1.5)");
    report("cached write and unlock", writes, bare, "the swaps (goal: at most 1.5)");
    report("pthread_rwlock in shared memory, read", reads_of_pthread, bare, "the swaps");
    report("pthread_rwlock in shared memory, write", writes_of_pthread, bare, "the swaps");
    if (CPU_COUNT(&set) >= MOST_PROCESSES) {
        double both_bare = measure(swaps, MOST_PROCESSES), both = measure(cached_reads, MOST_PROCESSES);
        double both_of_pthread = measure(pthread_reads, MOST_PROCESSES);
        report("two processes: swaps, each on its line", both_bare, bare, "alone (the machine's share)");
        report("two processes: cached read, the slower one", both, reads, "alone (goal: at most 1.2)");
        report("two processes: pthread_rwlock, the slower one", both_of_pthread, both, "the cached (goal: at least 5)");
    }
    kill(daemon, SIGKILL);
    waitpid(daemon, NULL, 0);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : 1;
}
