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

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"releases for which the socket has no room are sent when the daemon goes on",
            releases_are_sent_when_the_daemon_goes_on},
        {"requests of many threads are undone when the daemon goes on", requests_are_undone_when_the_daemon_goes_on},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
