/* A daemon that does not answer, because it is stopped: what becomes of requests that were given up, and of releases. */
#define _GNU_SOURCE

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
    /* A socket has room for fewer lines that are not read: 277, and a thread that gives up sends three. */
    MANY = 400,
    THREADS = 150,
    SOON = 1, /* millisecond */
};

static void go_on(void) { CHECK(kill(daemon_process, SIGCONT) == 0); }

/* Gets a cached grant, which is not held afterwards. */
static void cache(prwlock_lock *lock, prwlock_mode mode) {
    for (int i = 0; i < 3; i++) {
        OK(prwlock_acquire(lock, mode, PRWLOCK_FOREVER, NULL));
        OK(prwlock_unlock(lock));
    }
}

/* Another session gets the lock for writing, so this process holds nothing of it. */
static void another_writes(const char *name) {
    prwlock_lock *lock = of_another(name);
    OK(prwlock_timed_write_lock(lock, 60000, NULL));
    OK(prwlock_unlock(lock));
}

/* Waits until the daemon has read on, and has taken the slot. */
static void await_taken(const char *name) {
    char request[32];
    int eye = connect_by_hand();
    snprintf(request, sizeof request, "STATUS %s", name);
    for (bool is_cached = true; is_cached;) {
        is_cached = false;
        const char *row = say(eye, request);
        for (; strncmp(row, "END", 3) != 0; row = next_line(eye)) is_cached |= strstr(row, "* cached") != NULL;
    }
    close(eye);
}

/* ---- Lines for which the socket has no room ---- */

static void numbered(char name[16], int number) { snprintf(name, 16, "lock-%d", number); }

static void await_all_free(int count) {
    char name[16];
    int eye = connect_by_hand();
    for (int i = 0; i < count; i++) {
        numbered(name, i);
        await_free(eye, name);
    }
}

static void releases_are_sent_when_the_daemon_goes_on(void) {
    start_daemon(NULL);
    prwlock_lock *locks[MANY];
    char name[16];
    for (int i = 0; i < MANY; i++) {
        numbered(name, i);
        OK(prwlock_open(&locks[i], NULL, name));
        OK(prwlock_write_lock(locks[i], NULL));
    }
    stop(daemon_process);
    for (int i = 0; i < MANY; i++) prwlock_close(locks[i]);
    go_on();
    await_all_free(MANY);
}

static void *request_in_vain(void *lock) {
    CHECK_CODE(prwlock_timed_write_lock(lock, SOON, NULL), PRWLOCK_SILENT);
    return NULL;
}

static void requests_are_undone_when_the_daemon_goes_on(void) {
    start_daemon(NULL);
    pthread_t threads[THREADS];
    char name[16];
    OK(prwlock_write_lock(own("first"), NULL));
    stop(daemon_process);
    for (int i = 0; i < THREADS; i++) {
        numbered(name, i);
        CHECK(pthread_create(&threads[i], NULL, request_in_vain, own(name)) == 0);
    }
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    go_on();
    await_all_free(THREADS);
}

/* ---- Requests that were given up, and other grants of the same lock ---- */

static void no_hold_ends_with_a_request_of_another_handle(void) {
    start_daemon(NULL);
    static const prwlock_mode modes[] = {PRWLOCK_READ, PRWLOCK_WRITE};
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "a" : "b";
        prwlock_lock *first = own(name), *second = own(name);
        cache(first, modes[i]);
        stop(daemon_process);
        CHECK_CODE(prwlock_timed_write_lock(second, SOON, NULL), PRWLOCK_SILENT);
        /* The daemon may take the slot yet. So it is not entered. */
        CHECK_CODE(prwlock_acquire(first, modes[i], 0, NULL), PRWLOCK_SILENT);
        go_on();
        OK(prwlock_acquire(first, modes[i], PRWLOCK_FOREVER, NULL));
        OK(prwlock_check(first));
        OK(prwlock_unlock(first));
        another_writes(name);
    }
}

static void a_request_is_undone_at_the_unlock(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs"), *second = own("jobs");
    cache(jobs, PRWLOCK_READ);
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_SILENT);
    OK(prwlock_unlock(jobs));
    go_on();
    another_writes("jobs");

    cache(jobs, PRWLOCK_READ);
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    CHECK_CODE(prwlock_timed_read_lock(second, SOON, NULL), PRWLOCK_SILENT);
    OK(prwlock_unlock(jobs));
    go_on();
    another_writes("jobs");
}

static void a_thread_is_in_no_deadlock_with_a_request_of_its_own(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs");
    cache(jobs, PRWLOCK_READ);
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_SILENT);
    OK(prwlock_unlock(jobs));
    go_on();
    await_taken("jobs");
    OK(prwlock_read_lock(jobs, NULL));
    OK(prwlock_unlock(jobs));
}

static void requests_are_undone_while_the_lock_is_held(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs"), *second = own("jobs");
    cache(jobs, PRWLOCK_READ);
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    for (int i = 0; i < 2; i++) CHECK_CODE(prwlock_timed_read_lock(second, SOON, NULL), PRWLOCK_SILENT);
    go_on();
    OK(prwlock_read_lock(second, NULL));
    OK(prwlock_unlock(second));
    OK(prwlock_check(jobs));
    OK(prwlock_unlock(jobs));
    another_writes("jobs");

    /* Given up more than once: a release by the owner would be ambiguous. */
    cache(jobs, PRWLOCK_READ);
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    for (int i = 0; i < 3; i++) CHECK_CODE(prwlock_timed_read_lock(second, SOON, NULL), PRWLOCK_SILENT);
    OK(prwlock_unlock(jobs));
    go_on();
    another_writes("jobs");
}

static void a_request_is_undone_with_the_handle(void) {
    start_daemon(NULL);
    prwlock_lock *jobs, *second = own("jobs");
    OK(prwlock_open(&jobs, NULL, "jobs"));
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    CHECK_CODE(prwlock_timed_read_lock(second, SOON, NULL), PRWLOCK_SILENT);
    prwlock_close(jobs);
    go_on();
    another_writes("jobs");
}

static void what_another_client_holds_does_not_count(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs"), *other = of_another("jobs");
    OK(prwlock_read_lock(other, NULL));
    OK(prwlock_unlock(other));
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    CHECK_CODE(prwlock_timed_read_lock(other, SOON, NULL), PRWLOCK_SILENT);
    go_on();
    OK(prwlock_check(jobs));
    OK(prwlock_unlock(jobs));
    another_writes("jobs");
}

static void caching_goes_on(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs");
    prwlock_grant first, second;
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_SILENT);
    go_on();
    OK(prwlock_unlock(jobs));
    cache(jobs, PRWLOCK_READ);
    OK(prwlock_read_lock(jobs, &first));
    OK(prwlock_unlock(jobs));
    OK(prwlock_read_lock(jobs, &second));
    OK(prwlock_unlock(jobs));
    CHECK(first.token == second.token);
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"releases for which the socket has no room are sent when the daemon goes on",
            releases_are_sent_when_the_daemon_goes_on},
        {"requests of many threads are undone when the daemon goes on", requests_are_undone_when_the_daemon_goes_on},
        {"no hold ends with a request of another handle that was given up (G1)",
            no_hold_ends_with_a_request_of_another_handle},
        {"a request that was given up is undone at the latest by the unlock", a_request_is_undone_at_the_unlock},
        {"a thread is in no deadlock with a request that it gave up",
            a_thread_is_in_no_deadlock_with_a_request_of_its_own},
        {"requests that were given up are undone while the lock is held", requests_are_undone_while_the_lock_is_held},
        {"a request that was given up is undone with the handle", a_request_is_undone_with_the_handle},
        {"what another client holds does not keep a request", what_another_client_holds_does_not_count},
        {"a lock is cached again after a request was given up", caching_goes_on},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
