/* Cached grants: the fast path against a real daemon, and what takes a grant away. */
#define _GNU_SOURCE

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Whether the last release left the grant with this thread. */
static bool is_cached(const prwlock_lock *lock) { return prwlock_place_(lock)->lock == lock; }

/* Gets a cached grant, which is not held afterwards. */
static void cache(prwlock_lock *lock, prwlock_mode mode, uint64_t *token) {
    prwlock_grant grant;
    for (int i = 0; i < 2; i++) {
        OK(prwlock_acquire(lock, mode, PRWLOCK_FOREVER, &grant));
        OK(prwlock_unlock(lock));
    }
    CHECK(is_cached(lock));
    *token = grant.token;
}

static prwlock_lock *cached(const char *name, prwlock_mode mode, uint64_t *token) {
    prwlock_lock *lock = own(name);
    cache(lock, mode, token);
    return lock;
}

static void hits(prwlock_lock *lock, prwlock_mode mode, uint64_t token) {
    prwlock_grant grant;
    OK(prwlock_acquire(lock, mode, 0, &grant));
    CHECK(grant.token == token && grant.mode == mode && !grant.owner_died);
    OK(prwlock_unlock(lock));
}

static void a_second_lock_in_a_row_is_cached(void) {
    start_daemon(NULL);
    int eye = connect_by_hand();
    uint64_t token;
    static const prwlock_mode modes[] = {PRWLOCK_READ, PRWLOCK_WRITE};
    for (int i = 0; i < 2; i++) {
        prwlock_lock *lock = cached(i == 0 ? "a" : "b", modes[i], &token);
        await_status(eye, i == 0 ? "a" : "b", "* cached");
        for (int j = 0; j < 100; j++) hits(lock, modes[i], token);
        OK(prwlock_acquire(lock, modes[i], 0, NULL));
        await_status(eye, i == 0 ? "a" : "b", "* holder");
        OK(prwlock_check(lock));
        OK(prwlock_unlock(lock));
        CHECK_CODE(prwlock_unlock(lock), PRWLOCK_NOT_HELD);
    }
}

static void a_cached_grant_is_taken_while_idle(void) {
    start_daemon(NULL);
    uint64_t token;
    prwlock_grant grant;
    prwlock_lock *jobs = cached("jobs", PRWLOCK_WRITE, &token);
    int other = connect_by_hand();
    CHECK(strncmp(say(other, "WRITE jobs wait=0"), "GRANTED", 7) == 0);
    CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_BUSY);
    CHECK(!is_cached(jobs));
    CHECK(strncmp(say(other, "RELEASE jobs"), "RELEASED", 8) == 0);
    OK(prwlock_write_lock(jobs, &grant));
    CHECK(grant.token > token);
    OK(prwlock_unlock(jobs));
}

/* Requests the lock for writing, and releases it when it is granted. */
static void want(int from, int to) {
    (void)from;
    int other = connect_by_hand();
    CHECK(strncmp(say(other, "WRITE jobs"), "GRANTED", 7) == 0);
    CHECK(strncmp(say(other, "RELEASE jobs"), "RELEASED", 8) == 0);
    tell(to);
}

static void a_cached_grant_that_is_held_goes_to_who_waits(void) {
    start_daemon(NULL);
    uint64_t token;
    prwlock_lock *jobs = cached("jobs", PRWLOCK_READ, &token);
    OK(prwlock_read_lock(jobs, NULL));
    struct process process = start_process(want);
    await_status(connect_by_hand(), "jobs", "* waiter");
    /* The recursion goes on (G4), and each unlock but the last. */
    for (int i = 0; i < 10; i++) hits(jobs, PRWLOCK_READ, token);
    OK(prwlock_unlock(jobs));
    await_word(process.from);
    CHECK(await_end(process.pid) == 0);
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_NOT_HELD);
    OK(prwlock_read_lock(jobs, NULL));
    OK(prwlock_unlock(jobs));
}

static void revoke_grant(int connection, uint64_t token) {
    char request[64];
    snprintf(request, sizeof request, "REVOKE jobs token=%llu", (unsigned long long)token);
    CHECK(strncmp(say(connection, request), "REVOKED", 7) == 0);
}

static void a_revoked_grant_is_reported(void) {
    start_daemon(NULL);
    int other = connect_by_hand();
    uint64_t token;
    prwlock_grant grant;
    prwlock_lock *jobs = cached("jobs", PRWLOCK_READ, &token);
    /* Idle: nothing is lost. */
    revoke_grant(other, token);
    OK(prwlock_read_lock(jobs, &grant));
    CHECK(grant.token > token);
    OK(prwlock_unlock(jobs));
    jobs = cached("jobs", PRWLOCK_READ, &token);
    OK(prwlock_read_lock(jobs, NULL));
    OK(prwlock_read_lock(jobs, NULL));
    revoke_grant(other, token);
    CHECK(strncmp(say(other, "WRITE jobs wait=0"), "GRANTED", 7) == 0);
    CHECK_CODE(prwlock_check(jobs), PRWLOCK_LOST);
    OK(prwlock_unlock(jobs));
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_LOST);
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_NOT_HELD);
}

static void a_revoked_writer_may_lock_again(void) {
    start_daemon(NULL);
    uint64_t token;
    prwlock_grant grant;
    prwlock_lock *jobs = cached("jobs", PRWLOCK_WRITE, &token);
    OK(prwlock_write_lock(jobs, NULL));
    revoke_grant(connect_by_hand(), token);
    OK(prwlock_write_lock(jobs, &grant));
    CHECK(grant.token > token && grant.owner_died);
    OK(prwlock_unlock(jobs));
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_LOST);
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_NOT_HELD);
}

static void another_mode_ends_the_caching(void) {
    start_daemon(NULL);
    uint64_t token;
    prwlock_lock *jobs = cached("jobs", PRWLOCK_READ, &token);
    OK(prwlock_try_write_lock(jobs, NULL));
    OK(prwlock_unlock(jobs));
    for (int i = 0; i < 5; i++) {
        OK(prwlock_try_read_lock(jobs, NULL));
        CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_DEADLOCK);
        OK(prwlock_unlock(jobs));
        OK(prwlock_try_write_lock(jobs, NULL));
        CHECK_CODE(prwlock_try_read_lock(jobs, NULL), PRWLOCK_DEADLOCK);
        OK(prwlock_unlock(jobs));
    }
}

static void more_locks_than_places_are_cached(void) {
    start_daemon(NULL);
    enum { COUNT = 20 };
    prwlock_lock *locks[COUNT];
    uint64_t tokens[COUNT];
    char name[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "lock-%d", i);
        locks[i] = cached(name, PRWLOCK_READ, &tokens[i]);
    }
    /* Those without a place in the fast path keep their tokens, so they stay cached. */
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < COUNT; i++) hits(locks[i], PRWLOCK_READ, tokens[i]);
    for (int i = 0; i < COUNT; i++) OK(prwlock_read_lock(locks[i], NULL));
    int eye = connect_by_hand();
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "lock-%d", i);
        await_status(eye, name, "* holder");
        OK(prwlock_unlock(locks[i]));
        await_status(eye, name, "* cached");
    }
}

static void a_handle_at_a_former_address_has_no_slot_of_the_former(void) {
    start_daemon(NULL);
    int eye = connect_by_hand();
    uint64_t token;
    char name[32];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "lock-%d", i);
        prwlock_lock *lock;
        OK(prwlock_open(&lock, NULL, name));
        cache(lock, PRWLOCK_WRITE, &token);
        prwlock_close(lock);
        await_free(eye, name);
    }
}

static void *lock_in_thread(void *lock) {
    for (int i = 0; i < 3; i++) {
        OK(prwlock_write_lock(lock, NULL));
        OK(prwlock_unlock(lock));
    }
    CHECK(is_cached(lock));
    return NULL;
}

static void each_thread_has_its_own_slots(void) {
    start_daemon(NULL);
    uint64_t token;
    prwlock_lock *jobs = cached("jobs", PRWLOCK_WRITE, &token);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, lock_in_thread, jobs) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    prwlock_grant grant;
    OK(prwlock_write_lock(jobs, &grant));
    CHECK(grant.token > token);
    OK(prwlock_unlock(jobs));
}

static void a_thread_returns_what_it_has_cached(void) {
    start_daemon(NULL);
    uint64_t token;
    cached("jobs", PRWLOCK_WRITE, &token);
    prwlock_release_all();
    /* The daemon carries out the lines of one session in their order. */
    CHECK_CODE(prwlock_unlock(own("jobs")), PRWLOCK_NOT_HELD);
    OK(prwlock_read_lock(own("other"), NULL));
    CHECK(strncmp(say(connect_by_hand(), "STATUS jobs"), "END 0", 5) == 0);
}

static void a_killed_worker_is_not_noticed(void) {
    start_daemon("--keep", NULL);
    uint64_t token;
    prwlock_lock *jobs = cached("jobs", PRWLOCK_WRITE, &token);
    prwlock_lock *held = cached("held", PRWLOCK_READ, &token);
    prwlock_grant grant;
    OK(prwlock_read_lock(held, NULL));
    for (int i = 0; i < 5; i++) {
        CHECK(kill(worker(), SIGKILL) == 0);
        /* Either the former worker or the next one serves, or none: then this waits for the next. */
        OK(prwlock_write_lock(jobs, &grant));
        OK(prwlock_unlock(jobs));
        OK(prwlock_check(held));
    }
    CHECK_CODE(prwlock_try_read_lock(jobs, NULL), 0);
    OK(prwlock_unlock(jobs));
    OK(prwlock_unlock(held));
}

static void no_slot_is_entered_after_the_daemon_is_killed(void) {
    start_daemon(NULL);
    uint64_t token;
    prwlock_lock *idle = cached("idle", PRWLOCK_WRITE, &token);
    prwlock_lock *held = cached("held", PRWLOCK_WRITE, &token);
    OK(prwlock_write_lock(held, NULL));
    kill_daemon(SIGKILL);
    await_daemon();
    CHECK_CODE(prwlock_timed_write_lock(idle, 50, NULL), PRWLOCK_UNAVAILABLE);
    CHECK_CODE(prwlock_unlock(held), PRWLOCK_LOST);
    start_daemon(NULL);
    prwlock_grant grant;
    OK(prwlock_write_lock(idle, &grant));
    CHECK(grant.token > token);
    OK(prwlock_unlock(idle));
}

/* As if the worker had been killed between the two steps of an acquire, and the next one had wanted the lock. */
static void a_slot_that_could_not_be_left_is_released(void) {
    start_daemon(NULL);
    uint64_t token;
    int other = connect_by_hand();
    prwlock_lock *jobs = cached("jobs", PRWLOCK_READ, &token);
    struct prwlock_cached_ *entry = prwlock_place_(jobs);
    CHECK(prwlock_slot_enter(entry->word, prwlock_slot_generation(token), true));
    CHECK(strncmp(say(other, "WRITE jobs wait=0"), "BUSY", 4) == 0);
    CHECK(!prwlock_slot_leave(entry->word, prwlock_slot_generation(token)));
    entry->mode = 0;
    OK(prwlock_try_read_lock(jobs, NULL));
    OK(prwlock_unlock(jobs));
    CHECK(strncmp(say(other, "WRITE jobs wait=0"), "GRANTED", 7) == 0);
}

/* The library's socket. */
static int own_socket(void) {
    for (int descriptor = 3; descriptor < 100; descriptor++) {
        struct sockaddr_un address = {0};
        socklen_t size = sizeof address;
        if (getpeername(descriptor, (struct sockaddr *)&address, &size) != 0) continue;
        if (strcmp(address.sun_path, socket_path) == 0) return descriptor;
    }
    return -1;
}

/* The daemon ends the session, and this process does not know it yet. */
static void no_slot_is_entered_after_the_sessions_end(void) {
    start_daemon(NULL);
    uint64_t token;
    prwlock_lock *jobs = cached("jobs", PRWLOCK_WRITE, &token);
    CHECK(dprintf(own_socket(), "QUIT\n") > 0);
    int other = connect_by_hand();
    await_free(other, "jobs");
    const char *reply = say(other, "WRITE jobs wait=0");
    CHECK(strncmp(reply, "GRANTED", 7) == 0 && strstr(reply, "ownerdied") == NULL);
    CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_BUSY);
}

static void a_daemon_without_slots_serves(void) {
    start_daemon("--no-cache", NULL);
    prwlock_lock *jobs = own("jobs");
    for (int i = 0; i < 3; i++) {
        OK(prwlock_write_lock(jobs, NULL));
        OK(prwlock_unlock(jobs));
        CHECK(!is_cached(jobs));
    }
}

static void a_client_may_do_without_slots(void) {
    start_daemon(NULL);
    prwlock_client *client;
    prwlock_lock *jobs;
    OK(prwlock_client_open(&client, NULL, PRWLOCK_NO_CACHE));
    OK(prwlock_open(&jobs, client, "jobs"));
    for (int i = 0; i < 3; i++) {
        OK(prwlock_write_lock(jobs, NULL));
        OK(prwlock_unlock(jobs));
        CHECK(!is_cached(jobs));
    }
    prwlock_close(jobs);
    prwlock_client_close(client);
}

static void a_stopped_process_keeps_no_one_waiting(void) {
    start_daemon(NULL);
    void cache_and_wait(int from, int to);
    struct process process = start_process(cache_and_wait);
    await_word(process.from);
    stop(process.pid);
    OK(prwlock_try_write_lock(own("jobs"), NULL));
    CHECK(kill(process.pid, SIGCONT) == 0);
    tell(process.to);
    CHECK(await_end(process.pid) == 0);
}

void cache_and_wait(int from, int to) {
    uint64_t token;
    prwlock_lock *jobs = cached("jobs", PRWLOCK_READ, &token);
    tell(to);
    await_word(from);
    CHECK_CODE(prwlock_try_read_lock(jobs, NULL), PRWLOCK_BUSY);
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"the second lock in a row is cached, and its holds share a token (G7)", a_second_lock_in_a_row_is_cached},
        {"a cached grant is taken while it is idle", a_cached_grant_is_taken_while_idle},
        {"a cached grant that is held goes to the next one with the last unlock (G2)",
            a_cached_grant_that_is_held_goes_to_who_waits},
        {"a revoked grant is reported, and an idle one is not", a_revoked_grant_is_reported},
        {"a writer with a revoked grant may lock again", a_revoked_writer_may_lock_again},
        {"a lock that is read and written in turn is never wrong", another_mode_ends_the_caching},
        {"more locks than the fast path has places are cached", more_locks_than_places_are_cached},
        {"a handle at a former one's address has no slot of the former",
            a_handle_at_a_former_address_has_no_slot_of_the_former},
        {"each thread has slots of its own", each_thread_has_its_own_slots},
        {"a thread returns what it has cached", a_thread_returns_what_it_has_cached},
        {"a worker that is killed is not noticed (G14)", a_killed_worker_is_not_noticed},
        {"no slot is entered after the daemon is killed (G1)", no_slot_is_entered_after_the_daemon_is_killed},
        {"no slot is entered after the end of its session (G1)", no_slot_is_entered_after_the_sessions_end},
        {"a slot that could not be left again is released (G14)", a_slot_that_could_not_be_left_is_released},
        {"a daemon without slots serves as before", a_daemon_without_slots_serves},
        {"a client may do without slots", a_client_may_do_without_slots},
        {"the grant of a stopped process is taken (G13)", a_stopped_process_keeps_no_one_waiting},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
