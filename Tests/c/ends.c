/* Ends: of processes, of sessions, of daemons, and daemons that do not answer. */
#define _GNU_SOURCE

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- The end of a holder ---- */

static void write_until_killed(int from, int to) {
    OK(prwlock_write_lock(own("jobs"), NULL));
    tell(to);
    await_word(from);
}

static void a_killed_writer_leaves_a_mark(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs");
    prwlock_grant grant;
    struct process process = start_process(write_until_killed);
    await_word(process.from);
    CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_BUSY);
    CHECK(prwlock_last_error()->holders[0].pid == process.pid);
    CHECK(kill(process.pid, SIGKILL) == 0);
    OK(prwlock_write_lock(jobs, &grant));
    CHECK(grant.owner_died);
    OK(prwlock_unlock(jobs));
    OK(prwlock_write_lock(jobs, &grant));
    CHECK(!grant.owner_died);
    OK(prwlock_unlock(jobs));
    await_end(process.pid);
}

/* ---- Forks ---- */

enum { TAKES = 2 };

static prwlock_lock *inherited;

static void use_what_was_inherited(int from, int to) {
    (void)from;
    CHECK_CODE(prwlock_try_write_lock(inherited, NULL), PRWLOCK_BUSY);
    CHECK(prwlock_last_error()->holders[0].pid == getppid());
    CHECK_CODE(prwlock_unlock(inherited), PRWLOCK_NOT_HELD);
    CHECK_CODE(prwlock_check(inherited), PRWLOCK_NOT_HELD);
    tell(to);
    OK(prwlock_write_lock(inherited, NULL));
    tell(to);
    OK(prwlock_unlock(inherited));
    for (int i = 0; i < TAKES; i++) {
        OK(prwlock_write_lock(inherited, NULL));
        OK(prwlock_unlock(inherited));
    }
}

/* As `fork`, but the library is not told. */
static struct process clone_process(void (*body)(int from, int to)) {
    int up[2];
    CHECK(pipe(up) == 0);
    fflush(stdout);
    struct process process = {.pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL), .from = up[0]};
    if (process.pid == 0) {
        body(-1, up[1]);
        fflush(stdout);
        _exit(0);
    }
    CHECK(process.pid > 0 && close(up[1]) == 0);
    return process;
}

static void check_child(struct process (*start)(void (*)(int, int)), bool is_cached) {
    start_daemon(NULL);
    inherited = own("jobs");
    for (int i = 0; is_cached && i < TAKES; i++) {
        OK(prwlock_write_lock(inherited, NULL));
        OK(prwlock_unlock(inherited));
    }
    OK(prwlock_write_lock(inherited, NULL));
    struct process process = start(use_what_was_inherited);
    await_word(process.from);
    OK(prwlock_check(inherited));
    OK(prwlock_unlock(inherited));
    await_word(process.from);
    CHECK(await_end(process.pid) == 0);
    OK(prwlock_write_lock(inherited, NULL));
    OK(prwlock_unlock(inherited));
}

static void a_forked_child_has_no_grants(void) { check_child(start_process, false); }
static void a_forked_child_has_no_slots(void) { check_child(start_process, true); }
static void a_cloned_child_has_no_slots(void) { check_child(clone_process, true); }

static void enter_an_idle_slot(int from, int to) {
    (void)from;
    (void)to;
    prwlock_grant grant;
    OK(prwlock_write_lock(inherited, &grant));
    CHECK(strstr(say(connect_by_hand(), "STATUS jobs"), "* holder") != NULL);
}

static void an_idle_slot_is_the_parents(void) {
    start_daemon(NULL);
    inherited = own("jobs");
    for (int i = 0; i < TAKES; i++) {
        OK(prwlock_write_lock(inherited, NULL));
        OK(prwlock_unlock(inherited));
    }
    struct process process = clone_process(enter_an_idle_slot);
    CHECK(await_end(process.pid) == 0);
    prwlock_grant grant;
    OK(prwlock_write_lock(inherited, &grant));
    CHECK(grant.owner_died);
}

static void fork_again(int from, int to) {
    (void)from;
    (void)to;
    OK(prwlock_write_lock(inherited, NULL));
    OK(prwlock_unlock(inherited));
    struct process process = start_process(enter_an_idle_slot);
    CHECK(await_end(process.pid) == 0);
}

static void a_child_forks_again(void) {
    start_daemon(NULL);
    inherited = own("jobs");
    OK(prwlock_write_lock(inherited, NULL));
    OK(prwlock_unlock(inherited));
    struct process process = start_process(fork_again);
    CHECK(await_end(process.pid) == 0);
}

static void *lock_for_ever(void *value) {
    int *is_over = value;
    prwlock_lock *lock = own("busy");
    while (__atomic_load_n(is_over, __ATOMIC_RELAXED) == 0) {
        OK(prwlock_read_lock(lock, NULL));
        OK(prwlock_unlock(lock));
        OK(prwlock_write_lock(lock, NULL));
        OK(prwlock_unlock(lock));
    }
    return NULL;
}

static void lock_once(int from, int to) {
    (void)from;
    (void)to;
    OK(prwlock_write_lock(inherited, NULL));
    OK(prwlock_unlock(inherited));
}

static void a_process_forks_while_threads_lock(void) {
    start_daemon(NULL);
    inherited = own("jobs");
    pthread_t threads[3];
    int is_over = 0;
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, lock_for_ever, &is_over) == 0);
    for (int i = 0; i < 20; i++) {
        struct process process = start_process(lock_once);
        CHECK(await_end(process.pid) == 0);
        close(process.from);
        close(process.to);
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- The end of a daemon ---- */

static void the_end_of_the_daemon_loses_grants(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs"), *others = own("others");
    OK(prwlock_write_lock(jobs, NULL));
    OK(prwlock_read_lock(others, NULL));
    OK(prwlock_read_lock(others, NULL));
    kill_daemon(SIGKILL);
    await_daemon();
    CHECK_CODE(prwlock_check(jobs), PRWLOCK_LOST);
    start_daemon(NULL);
    CHECK_CODE(prwlock_write_lock(jobs, NULL), PRWLOCK_LOST);
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_LOST);
    OK(prwlock_write_lock(jobs, NULL));
    OK(prwlock_unlock(jobs));
    CHECK_CODE(prwlock_unlock(others), PRWLOCK_LOST);
    CHECK_CODE(prwlock_unlock(others), PRWLOCK_LOST);
    CHECK_CODE(prwlock_unlock(others), PRWLOCK_NOT_HELD);
}

static void *wait_for_lock(void *result) {
    *(int *)result = prwlock_write_lock(own("jobs"), NULL);
    return NULL;
}

static void the_end_of_the_daemon_ends_waiting(void) {
    start_daemon(NULL);
    OK(prwlock_write_lock(own("jobs"), NULL));
    pthread_t thread;
    int result = 0;
    CHECK(pthread_create(&thread, NULL, wait_for_lock, &result) == 0);
    await_status(connect_by_hand(), "jobs", "* waiter");
    kill_daemon(SIGKILL);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(result == PRWLOCK_ENDED);
    await_daemon();
}

static void no_daemon_is_an_error(void) {
    prwlock_lock *jobs = own("jobs");
    CHECK_CODE(prwlock_write_lock(jobs, NULL), PRWLOCK_UNAVAILABLE);
    CHECK(strstr(prwlock_last_error()->message, "no lock daemon listens at") != NULL);
    start_daemon(NULL);
    OK(prwlock_write_lock(jobs, NULL));
}

static void a_draining_daemon_keeps_what_it_has_granted(void) {
    start_daemon("--drain=100s", NULL);
    prwlock_lock *jobs = own("jobs"), *others = own("others");
    int eye = connect_by_hand();
    OK(prwlock_write_lock(jobs, NULL));
    kill_daemon(SIGTERM);
    CHECK(strcmp(next_line(eye), "! DRAIN") == 0);
    CHECK(prwlock_timed_write_lock(others, 50, NULL) != 0);
    OK(prwlock_check(jobs));
    OK(prwlock_unlock(jobs));
    await_daemon();
    start_daemon(NULL);
    OK(prwlock_write_lock(others, NULL));
}

/* ---- Silence ---- */

static void a_stopped_daemon_is_reported_and_grants_nothing_late(void) {
    start_daemon(NULL);
    int eye = connect_by_hand();
    prwlock_lock *jobs = own("jobs");
    OK(prwlock_write_lock(jobs, NULL));
    OK(prwlock_unlock(jobs));
    stop(daemon_process);
    CHECK_CODE(prwlock_timed_write_lock(jobs, 20, NULL), PRWLOCK_SILENT);
    CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_SILENT);
    kill_daemon(SIGCONT);
    await_free(eye, "jobs");
    OK(prwlock_write_lock(jobs, NULL));
    OK(prwlock_unlock(jobs));
}

static void a_late_grant_of_a_holder_is_released(void) {
    start_daemon(NULL);
    int eye = connect_by_hand();
    prwlock_lock *jobs = own("jobs");
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    CHECK_CODE(prwlock_timed_read_lock(jobs, 20, NULL), PRWLOCK_SILENT);
    kill_daemon(SIGCONT);
    /* The first grant is still held; the late one goes as soon as the thread reads again. */
    OK(prwlock_check(jobs));
    OK(prwlock_unlock(jobs));
    await_free(eye, "jobs");
}

static void a_late_answer_to_another_handle_takes_nothing_along(void) {
    start_daemon(NULL);
    int eye = connect_by_hand();
    prwlock_lock *jobs = own("jobs"), *again = own("jobs");
    OK(prwlock_read_lock(jobs, NULL));
    stop(daemon_process);
    CHECK_CODE(prwlock_timed_write_lock(again, 20, NULL), PRWLOCK_SILENT);
    /* The daemon refuses the request, as its owner holds the lock, and that hold stays. */
    kill_daemon(SIGCONT);
    OK(prwlock_check(jobs));
    OK(prwlock_unlock(jobs));
    await_free(eye, "jobs");
}

static void a_stopped_daemon_takes_no_connection(void) {
    start_daemon(NULL);
    prwlock_lock *jobs = own("jobs");
    stop(daemon_process);
    CHECK_CODE(prwlock_timed_write_lock(jobs, 20, NULL), PRWLOCK_SILENT);
    kill_daemon(SIGCONT);
    OK(prwlock_write_lock(jobs, NULL));
}

/* Listens at the socket, and answers one client like a server of another kind. */
static void serve_strangely(int from, int to) {
    (void)from;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 8) == 0);
    tell(to);
    int connection = accept(listener, NULL, NULL);
    CHECK(connection >= 0 && dprintf(connection, "220 mail.example.org ready\n") > 0);
    char rest[256];
    while (read(connection, rest, sizeof rest) > 0) {}
}

static void what_is_no_daemon_is_an_error(void) {
    struct process process = start_process(serve_strangely);
    await_word(process.from);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), PRWLOCK_PROTOCOL);
    CHECK(await_end(process.pid) == 0);
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"a killed writer leaves a mark (G6, G11)", a_killed_writer_leaves_a_mark},
        {"a forked child has none of its parent's grants, and connects anew", a_forked_child_has_no_grants},
        {"a forked child has none of its parent's slots", a_forked_child_has_no_slots},
        {"a child of a bare clone has none of its parent's slots", a_cloned_child_has_no_slots},
        {"an idle slot is the parent's alone", an_idle_slot_is_the_parents},
        {"a child forks again", a_child_forks_again},
        {"a process forks while its threads lock", a_process_forks_while_threads_lock},
        {"the end of the daemon loses what was held", the_end_of_the_daemon_loses_grants},
        {"the end of the daemon ends waiting", the_end_of_the_daemon_ends_waiting},
        {"without a daemon there is an error, and with one there is a lock", no_daemon_is_an_error},
        {"a daemon that drains keeps what it has granted", a_draining_daemon_keeps_what_it_has_granted},
        {"a daemon that is stopped is reported, and grants nothing late (G5)",
            a_stopped_daemon_is_reported_and_grants_nothing_late},
        {"a late grant of an owner that holds is released", a_late_grant_of_a_holder_is_released},
        {"a late answer to another handle of the name takes nothing along",
            a_late_answer_to_another_handle_takes_nothing_along},
        {"a daemon that is stopped accepts no new client", a_stopped_daemon_takes_no_connection},
        {"what is no daemon is an error", what_is_no_daemon_is_an_error},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
