/* Locks by the socket: what is granted, refused and released. */
#define _GNU_SOURCE

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void writes_and_releases(void) {
    start_daemon(NULL);
    prwlock_lock *jobs;
    prwlock_grant first, second;
    OK(prwlock_open(&jobs, NULL, "jobs"));
    OK(prwlock_write_lock(jobs, &first));
    CHECK(first.mode == PRWLOCK_WRITE && !first.owner_died && first.token > 0);
    OK(prwlock_check(jobs));
    OK(prwlock_unlock(jobs));
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_NOT_HELD);
    CHECK_CODE(prwlock_check(jobs), PRWLOCK_NOT_HELD);
    OK(prwlock_read_lock(jobs, &second));
    CHECK(second.mode == PRWLOCK_READ && second.token > first.token);
    OK(prwlock_unlock(jobs));
    prwlock_close(jobs);
}

static void readers_share(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs"), *others = of_another("jobs");
    OK(prwlock_read_lock(jobs, NULL));
    OK(prwlock_read_lock(others, NULL));
    CHECK_CODE(prwlock_try_write_lock(of_another("jobs"), NULL), PRWLOCK_BUSY);
    OK(prwlock_unlock(jobs));
    OK(prwlock_unlock(others));
    OK(prwlock_try_write_lock(jobs, NULL));
}

static void a_refusal_names_the_holders(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs"), *others = of_another("jobs");
    OK(prwlock_write_lock(jobs, NULL));
    CHECK_CODE(prwlock_try_read_lock(others, NULL), PRWLOCK_BUSY);
    const prwlock_error *error = prwlock_last_error();
    CHECK(error->code == PRWLOCK_BUSY && error->holder_count == 1 && error->more_holders == 0);
    CHECK(error->holders[0].pid == getpid() && error->holders[0].mode == 'w');
    CHECK(strstr(error->message, "jobs is held: process") != NULL && strstr(error->reply, "held-by=") != NULL);
    CHECK_CODE(prwlock_timed_write_lock(others, 20, NULL), PRWLOCK_TIMEOUT);
    error = prwlock_last_error();
    CHECK(error->holder_count == 1 && error->holders[0].pid == getpid() && error->cycle == NULL);
}

static void many_holders_are_counted(void) {
    start_daemon(NULL);
    for (int i = 0; i < 5; i++) OK(prwlock_read_lock(of_another("jobs"), NULL));
    CHECK_CODE(prwlock_try_write_lock(own("jobs"), NULL), PRWLOCK_BUSY);
    CHECK(prwlock_last_error()->holder_count == 3 && prwlock_last_error()->more_holders == 2);
}

/* Holds the lock until the parent waits. */
static void hold_until_wanted(int from, int to) {
    int holder = connect_by_hand();
    CHECK(strncmp(say(holder, "WRITE jobs"), "GRANTED", 7) == 0);
    tell(to);
    await_status(connect_by_hand(), "jobs", "* waiter");
    CHECK(strncmp(say(holder, "RELEASE jobs"), "RELEASED", 8) == 0);
    await_word(from);
}

static void a_timed_request_is_granted_in_time(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs");
    struct process process = start_process(hold_until_wanted);
    await_word(process.from);
    OK(prwlock_timed_write_lock(jobs, 100000, NULL));
    tell(process.to);
    CHECK(await_end(process.pid) == 0);
    OK(prwlock_unlock(jobs));
}

static void a_reader_reads_again(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs"), *others = of_another("jobs");
    for (int i = 0; i < 3; i++) OK(prwlock_read_lock(jobs, NULL));
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(prwlock_try_write_lock(others, NULL), PRWLOCK_BUSY);
        OK(prwlock_unlock(jobs));
    }
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_NOT_HELD);
    OK(prwlock_try_write_lock(others, NULL));
}

static void a_writer_that_requests_again_is_a_deadlock(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs");
    OK(prwlock_write_lock(jobs, NULL));
    CHECK_CODE(prwlock_write_lock(jobs, NULL), PRWLOCK_DEADLOCK);
    CHECK(strstr(prwlock_last_error()->cycle, ":jobs") != NULL);
    CHECK_CODE(prwlock_read_lock(jobs, NULL), PRWLOCK_DEADLOCK);
    OK(prwlock_unlock(jobs));
}

struct pair {
    prwlock_lock *first, *second;
    int result;
};

static void *lock_both(void *value) {
    struct pair *pair = value;
    OK(prwlock_write_lock(pair->second, NULL));
    pair->result = prwlock_write_lock(pair->first, NULL);
    if (pair->result == 0) OK(prwlock_unlock(pair->first));
    OK(prwlock_unlock(pair->second));
    return NULL;
}

static void a_circle_of_two_threads_is_found(void) {
    start_daemon(NULL);
    struct pair pair = {own("a"), own("b"), 0};
    pthread_t thread;
    int eye = connect_by_hand();
    OK(prwlock_write_lock(pair.first, NULL));
    CHECK(pthread_create(&thread, NULL, lock_both, &pair) == 0);
    await_status(eye, "a", "* waiter");
    CHECK_CODE(prwlock_write_lock(pair.second, NULL), PRWLOCK_DEADLOCK);
    CHECK(strchr(prwlock_last_error()->cycle, '>') != NULL);
    OK(prwlock_unlock(pair.first));
    CHECK(pthread_join(thread, NULL) == 0);
    OK(pair.result);
}

static void ignore(int number) { (void)number; }

static void *wait_for_lock(void *result) {
    prwlock_lock *jobs = own("jobs");
    *(int *)result = prwlock_write_lock(jobs, NULL);
    return NULL;
}

/* The handler interrupts system calls: sigaction(2) without SA_RESTART. */
static void waiting_goes_on_after_a_signal(void) {
    start_daemon(NULL);
    struct sigaction action = {.sa_handler = ignore};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    prwlock_lock *jobs = own("jobs");
    OK(prwlock_write_lock(jobs, NULL));
    pthread_t thread;
    int result = 1, eye = connect_by_hand();
    CHECK(pthread_create(&thread, NULL, wait_for_lock, &result) == 0);
    await_status(eye, "jobs", "* waiter");
    for (int i = 0; i < 20; i++) {
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        await_status(eye, "jobs", "* waiter");
    }
    OK(prwlock_unlock(jobs));
    CHECK(pthread_join(thread, NULL) == 0);
    OK(result);
}

static void names_are_any_bytes(void) {
    start_daemon(NULL);
    prwlock_lock *lock, *bad;
    char longest[300];
    OK(prwlock_open(&lock, NULL, "a name: 50 % \n \xC3\xA9"));
    OK(prwlock_set_note(lock, "for tea & cake"));
    OK(prwlock_write_lock(lock, NULL));
    await_status(connect_by_hand(), "a%20name:%2050%20%25%20%0A%20%C3%A9", "note=for%20tea%20%26%20cake");
    CHECK_CODE(prwlock_acquire(lock, (prwlock_mode)7, 0, NULL), PRWLOCK_INVALID);
    prwlock_close(lock);
    memset(longest, 'x', sizeof longest);
    longest[256] = 0;
    CHECK_CODE(prwlock_open(&bad, NULL, longest), PRWLOCK_INVALID);
    CHECK(bad == NULL);
    longest[255] = 0;
    OK(prwlock_open(&bad, NULL, longest));
    OK(prwlock_set_note(bad, longest));
    OK(prwlock_write_lock(bad, NULL));
    OK(prwlock_unlock(bad));
    prwlock_close(bad);
    CHECK_CODE(prwlock_open(&bad, NULL, ""), PRWLOCK_INVALID);
}

static void *hold_and_end(void *lock) {
    OK(prwlock_write_lock(lock, NULL));
    return NULL;
}

static void the_end_of_a_thread_releases(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs");
    pthread_t thread;
    prwlock_grant grant;
    CHECK(pthread_create(&thread, NULL, hold_and_end, jobs) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(prwlock_write_lock(jobs, &grant));
    CHECK(!grant.owner_died);
    prwlock_release_all();
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_NOT_HELD);
    OK(prwlock_write_lock(of_another("jobs"), NULL));
}

static void closing_a_handle_releases(void) {
    start_daemon(NULL);
    prwlock_lock *jobs, *others = of_another("jobs");
    OK(prwlock_open(&jobs, NULL, "jobs"));
    OK(prwlock_read_lock(jobs, NULL));
    OK(prwlock_read_lock(jobs, NULL));
    prwlock_close(jobs);
    OK(prwlock_write_lock(others, NULL));
    prwlock_close(NULL);
}

static void closing_a_client_releases(void) {
    start_daemon(NULL);
    prwlock_client *client;
    prwlock_lock *theirs;
    OK(prwlock_client_open(&client, socket_path, PRWLOCK_NO_CACHE));
    OK(prwlock_open(&theirs, client, "jobs"));
    OK(prwlock_read_lock(theirs, NULL));
    prwlock_close(theirs);
    prwlock_client_close(client);
    OK(prwlock_write_lock(own("jobs"), NULL));
    CHECK_CODE(prwlock_client_open(&client, socket_path, 128), PRWLOCK_INVALID);
}

static void a_rule_denies(void) {
    char rules[96], option[128];
    snprintf(rules, sizeof rules, "%s/rules", folder);
    FILE *file = fopen(rules, "w");
    CHECK(file != NULL && fputs("deny everyone write web/\n", file) >= 0 && fclose(file) == 0);
    snprintf(option, sizeof option, "--rules=%s", rules);
    start_daemon(option, NULL);
    prwlock_lock *web = own("web/index");
    CHECK_CODE(prwlock_write_lock(web, NULL), PRWLOCK_DENIED);
    CHECK(strstr(prwlock_last_error()->message, "not-permitted") != NULL);
    OK(prwlock_read_lock(web, NULL));
}

static void a_limit_refuses(void) {
    start_daemon("--max-session-grants=2", NULL);
    OK(prwlock_write_lock(own("a"), NULL));
    OK(prwlock_write_lock(own("b"), NULL));
    CHECK_CODE(prwlock_write_lock(own("c"), NULL), PRWLOCK_LIMIT);
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"a writer holds the lock until it unlocks, and tokens rise (G7)", writes_and_releases},
        {"readers share a lock, and a writer does not (G1)", readers_share},
        {"a refusal names the holders", a_refusal_names_the_holders},
        {"holders beyond the third are counted", many_holders_are_counted},
        {"a timed request is granted when the holder's grant ends (G5)", a_timed_request_is_granted_in_time},
        {"a reader reads again, and unlocks as often (G4)", a_reader_reads_again},
        {"a writer that requests again is refused (G8)", a_writer_that_requests_again_is_a_deadlock},
        {"a circle of two threads is found (G8)", a_circle_of_two_threads_is_found},
        {"waiting goes on after a signal", waiting_goes_on_after_a_signal},
        {"names and notes are any bytes", names_are_any_bytes},
        {"the end of a thread releases what it holds, without a mark (G11)", the_end_of_a_thread_releases},
        {"closing a handle releases what the thread holds by it", closing_a_handle_releases},
        {"closing a client ends its session", closing_a_client_releases},
        {"a rule denies", a_rule_denies},
        {"a limit of the daemon refuses (G12)", a_limit_refuses},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
