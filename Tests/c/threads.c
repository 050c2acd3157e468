/* Many threads at one session, and at one lock. Also built with ThreadSanitizer. */
#define _GNU_SOURCE

#include "test.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 40, RUN = 50 };

struct shared {
    prwlock_lock *lock;
    long sum;    /* protected by the lock */
    int readers; /* how many read at the moment */
};

static void run_threads(void *(*body)(void *), void *value) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, body, value) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void *write_and_read(void *value) {
    struct shared *shared = value;
    for (int i = 0; i < ROUNDS; i++) {
        OK(prwlock_write_lock(shared->lock, NULL));
        CHECK(__atomic_load_n(&shared->readers, __ATOMIC_RELAXED) == 0);
        shared->sum++;
        OK(prwlock_unlock(shared->lock));
        OK(prwlock_read_lock(shared->lock, NULL));
        __atomic_fetch_add(&shared->readers, 1, __ATOMIC_RELAXED);
        CHECK(shared->sum > i);
        __atomic_fetch_sub(&shared->readers, 1, __ATOMIC_RELAXED);
        OK(prwlock_unlock(shared->lock));
    }
    return NULL;
}

static void writers_exclude_each_other(void) {
    start_daemon(NULL);
    struct shared shared = {.lock = own("jobs")};
    run_threads(write_and_read, &shared);
    CHECK(shared.sum == THREADS * ROUNDS);
}

/* Long runs of one thread, so that most of its steps are in its slot while others take it. */
static void *write_in_runs(void *value) {
    struct shared *shared = value;
    for (int i = 0; i < ROUNDS; i++) {
        for (int j = 0; j < RUN; j++) {
            OK(prwlock_write_lock(shared->lock, NULL));
            shared->sum++;
            OK(prwlock_unlock(shared->lock));
        }
    }
    return NULL;
}

static void slots_go_from_thread_to_thread(void) {
    start_daemon(NULL);
    struct shared shared = {.lock = own("jobs")};
    run_threads(write_in_runs, &shared);
    CHECK(shared.sum == THREADS * ROUNDS * RUN);
}

static void a_worker_is_killed_meanwhile(void) {
    start_daemon("--keep", NULL);
    struct shared shared = {.lock = own("jobs")};
    /* A connection that is accepted in the instant of a kill may end without an answer. */
    OK(prwlock_read_lock(shared.lock, NULL));
    OK(prwlock_unlock(shared.lock));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, write_in_runs, &shared) == 0);
    for (int i = 0; i < 5; i++) {
        pid_t former = worker();
        CHECK(kill(former, SIGKILL) == 0);
        while (worker() == former) sched_yield();
    }
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(shared.sum == THREADS * ROUNDS * RUN);
}

static void *read_only(void *value) {
    struct shared *shared = value;
    for (int i = 0; i < ROUNDS * RUN; i++) {
        OK(prwlock_read_lock(shared->lock, NULL));
        CHECK(shared->sum == 0);
        OK(prwlock_unlock(shared->lock));
    }
    return NULL;
}

static void readers_are_cached_side_by_side(void) {
    start_daemon(NULL);
    struct shared shared = {.lock = own("jobs")};
    run_threads(read_only, &shared);
}

static void *with_a_handle_of_its_own(void *value) {
    char name[16];
    (void)value;
    for (int i = 0; i < ROUNDS; i++) {
        prwlock_lock *lock, *shared;
        snprintf(name, sizeof name, "lock-%d", i % 5);
        OK(prwlock_open(&lock, NULL, name));
        OK(prwlock_open(&shared, NULL, "shared"));
        OK(prwlock_read_lock(shared, NULL));
        int result = prwlock_timed_write_lock(lock, i % 3, NULL);
        CHECK(result == 0 || result == PRWLOCK_BUSY || result == PRWLOCK_TIMEOUT || result == PRWLOCK_SILENT);
        if (result == 0) OK(prwlock_unlock(lock));
        prwlock_close(lock);
        prwlock_close(shared);
    }
    return NULL;
}

static void handles_come_and_go(void) {
    start_daemon(NULL);
    run_threads(with_a_handle_of_its_own, NULL);
    prwlock_release_all();
    int eye = connect_by_hand();
    await_free(eye, "shared");
}

enum { WARM_UP = 500, HANDLES = 3000, MOST_GROWTH = 1 << 16 };

struct handover {
    pthread_barrier_t barrier;
    prwlock_lock *lock;
};

static void *use_handles_of_another(void *value) {
    struct handover *handover = value;
    for (int i = 0; i < HANDLES; i++) {
        pthread_barrier_wait(&handover->barrier);
        for (int j = 0; j < 3; j++) {
            OK(prwlock_write_lock(handover->lock, NULL));
            OK(prwlock_unlock(handover->lock));
        }
        pthread_barrier_wait(&handover->barrier);
    }
    return NULL;
}

static void handles_that_another_thread_closes_leave_nothing(void) {
    start_daemon(NULL);
    struct handover handover;
    pthread_t thread;
    char name[16];
    size_t used = 0;
    CHECK(pthread_barrier_init(&handover.barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, use_handles_of_another, &handover) == 0);
    for (int i = 0; i < HANDLES; i++) {
        if (i == WARM_UP) used = mallinfo2().uordblks;
        if (i == HANDLES - 1) CHECK(mallinfo2().uordblks <= used + MOST_GROWTH);
        snprintf(name, sizeof name, "job-%d", i);
        OK(prwlock_open(&handover.lock, NULL, name));
        pthread_barrier_wait(&handover.barrier);
        pthread_barrier_wait(&handover.barrier);
        prwlock_close(handover.lock);
    }
    CHECK(pthread_join(thread, NULL) == 0);
}

static void *first_request(void *lock) {
    OK(prwlock_read_lock(lock, NULL));
    OK(prwlock_unlock(lock));
    return NULL;
}

static void threads_connect_at_once(void) {
    start_daemon(NULL);
    int eye = connect_by_hand(), sessions = 0;
    run_threads(first_request, own("jobs"));
    const char *row = say(eye, "SESSIONS");
    for (; strncmp(row, "END", 3) != 0; row = next_line(eye)) sessions += strstr(row, "client=-") == NULL;
    CHECK(sessions == 1);
}

static void *wait_and_count(void *value) {
    struct shared *shared = value;
    OK(prwlock_write_lock(shared->lock, NULL));
    shared->sum++;
    OK(prwlock_unlock(shared->lock));
    return NULL;
}

/* The first of those that wait reads for all; each hands over when it has its reply. */
static void all_that_wait_get_their_replies(void) {
    start_daemon(NULL);
    struct shared shared = {.lock = own("jobs")};
    pthread_t threads[THREADS];
    int eye = connect_by_hand();
    OK(prwlock_write_lock(shared.lock, NULL));
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, wait_and_count, &shared) == 0);
    for (int rows = 0; rows < THREADS;) {
        rows = 0;
        const char *row = say(eye, "STATUS jobs");
        for (; strncmp(row, "END", 3) != 0; row = next_line(eye)) rows += strstr(row, "* waiter") != NULL;
    }
    OK(prwlock_unlock(shared.lock));
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(shared.sum == THREADS);
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"writers exclude each other and readers (G1)", writers_exclude_each_other},
        {"a cached write grant goes from thread to thread (G1)", slots_go_from_thread_to_thread},
        {"a worker is killed meanwhile (G14)", a_worker_is_killed_meanwhile},
        {"readers are cached side by side", readers_are_cached_side_by_side},
        {"handles come and go", handles_come_and_go},
        {"handles that another thread closes leave no memory", handles_that_another_thread_closes_leave_nothing},
        {"threads that begin at once share a session", threads_connect_at_once},
        {"all that wait get their replies", all_that_wait_get_their_replies},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
