/*
 * Processes that count together, with libprwlock: the program after it was ported from counter_pthread.c.
 *
 * The lock has a name in place of a place in memory, so nothing has to be initialized before the first process starts. A
 * process that is killed with the lock frees it, and the next writer learns that it has to repair what it finds.
 *
 *     cc counter_prwlock.c $(pkg-config --cflags --libs prwlock)
 */
#define _GNU_SOURCE

#include <err.h>
#include <prwlock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    long count, repairs;
    long copy; /* the same as `count` whenever no writer holds the lock */
};

static void check(int result) {
    if (result != 0) errx(1, "%s", prwlock_last_error()->message);
}

static void work(struct shared *shared, prwlock_lock *lock, int rounds, int dies_in_round) {
    for (int i = 0; i < rounds; i++) {
        prwlock_grant grant;
        check(prwlock_write_lock(lock, &grant));
        if (grant.owner_died && shared->copy != shared->count) {
            shared->count = shared->copy;
            shared->repairs++;
        }
        shared->count++;
        if (i == dies_in_round) raise(SIGKILL);
        shared->copy++;
        check(prwlock_unlock(lock));
        check(prwlock_read_lock(lock, &grant));
        if (shared->copy != shared->count && !grant.owner_died) errx(1, "the count is wrong");
        check(prwlock_unlock(lock));
    }
}

int main(int argc, char **argv) {
    int processes = argc > 1 ? atoi(argv[1]) : 4, rounds = argc > 2 ? atoi(argv[2]) : 1000;
    int dies_in_round = argc > 3 ? atoi(argv[3]) : -1;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) err(1, "mmap");
    prwlock_lock *lock;
    check(prwlock_open(&lock, NULL, "example/counter"));
    for (int i = 0; i < processes; i++) {
        if (fork() == 0) {
            work(shared, lock, rounds, i == 0 ? dies_in_round : -1);
            _exit(0);
        }
    }
    int status, killed = 0;
    while (wait(&status) > 0) {
        if (WIFSIGNALED(status))
            killed++;
        else if (status != 0)
            errx(1, "a process failed");
    }
    printf("%ld, of %d processes, %d killed, %ld repairs\n", shared->count, processes, killed, shared->repairs);
    long expected = (long)(processes - killed) * rounds + (killed > 0 ? dies_in_round : 0);
    return shared->copy == expected ? 0 : 1;
}
