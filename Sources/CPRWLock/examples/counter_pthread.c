/*
 * Processes that count together, with a pthread_rwlock in shared memory: the program before it was ported.
 *
 * If a process is killed while it holds the lock, all others wait for ever.
 */
#define _GNU_SOURCE

#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    pthread_rwlock_t lock;
    long count;
};

static void work(struct shared *shared, int rounds) {
    for (int i = 0; i < rounds; i++) {
        pthread_rwlock_wrlock(&shared->lock);
        shared->count++;
        pthread_rwlock_unlock(&shared->lock);
        pthread_rwlock_rdlock(&shared->lock);
        long count = shared->count;
        pthread_rwlock_unlock(&shared->lock);
        if (count <= i) errx(1, "the count is wrong");
    }
}

int main(int argc, char **argv) {
    int processes = argc > 1 ? atoi(argv[1]) : 4, rounds = argc > 2 ? atoi(argv[2]) : 1000;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) err(1, "mmap");
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_rwlock_init(&shared->lock, &attributes);
    for (int i = 0; i < processes; i++) {
        if (fork() == 0) {
            work(shared, rounds);
            _exit(0);
        }
    }
    int status;
    while (wait(&status) > 0)
        if (status != 0) errx(1, "a process failed");
    printf("%ld\n", shared->count);
    return shared->count == (long)processes * rounds ? 0 : 1;
}
