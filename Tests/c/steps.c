/* A process is killed, or stopped, between any two instructions of a cached lock and unlock. */
#define _GNU_SOURCE

#include "test.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum phase { BEFORE, ACQUIRING, HOLDING, RELEASING, AFTER };

/* What the traced process does at the moment. */
static volatile int *phase;

/* More steps than a lock and an unlock have; more means that they went by the socket, and the test shows nothing. */
enum { MOST_STEPS = 2000 };

static void lock_once(prwlock_lock *jobs) {
    *phase = ACQUIRING;
    OK(prwlock_write_lock(jobs, NULL));
    *phase = HOLDING;
    *phase = RELEASING;
    OK(prwlock_unlock(jobs));
    *phase = AFTER;
}

/* Stops before and after a lock and an unlock that are cached. */
static void run_traced(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prwlock_lock *jobs = own("jobs");
    do {
        OK(prwlock_write_lock(jobs, NULL));
        OK(prwlock_unlock(jobs));
    } while (prwlock_place_(jobs)->lock != jobs);
    *phase = BEFORE;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(77);
    raise(SIGSTOP);
    lock_once(jobs);
    raise(SIGSTOP);
    _exit(0);
}

/* Starts it, and makes so many steps. Returns false if there are not so many. */
static bool make_steps(pid_t *process, int steps) {
    int status;
    *process = fork();
    if (*process == 0) run_traced();
    CHECK(waitpid(*process, &status, 0) == *process);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        printf("  skipped: this process may not trace\n");
        *process = 0;
        return false;
    }
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    for (int i = 0; i < steps; i++) {
        CHECK(ptrace(PTRACE_SINGLESTEP, *process, NULL, NULL) == 0);
        CHECK(waitpid(*process, &status, 0) == *process && WIFSTOPPED(status));
        if (WSTOPSIG(status) == SIGSTOP) return false;
        CHECK(WSTOPSIG(status) == SIGTRAP);
    }
    return true;
}

static void end(pid_t process) {
    if (process == 0) return;
    kill(process, SIGKILL);
    await_end(process);
}

static void begin(void) {
    phase = mmap(NULL, sizeof *phase, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(phase != MAP_FAILED);
    start_daemon(NULL);
}

static void a_kill_frees_the_lock_with_the_right_mark(void) {
    begin();
    prwlock_lock *jobs = own("jobs");
    prwlock_grant grant;
    int steps = 0, marks = 0;
    pid_t process;
    for (; make_steps(&process, steps); steps++) {
        CHECK(steps < MOST_STEPS);
        end(process);
        OK(prwlock_write_lock(jobs, &grant));
        if (*phase == HOLDING) CHECK(grant.owner_died);
        if (*phase == BEFORE || *phase == AFTER) CHECK(!grant.owner_died);
        marks += grant.owner_died;
        OK(prwlock_unlock(jobs));
    }
    end(process);
    if (process != 0) CHECK(marks > 0 && marks < steps);
    printf("  %d steps, %d marks\n", steps, marks);
}

static void a_stop_keeps_the_lock_only_while_it_is_held(void) {
    begin();
    prwlock_lock *jobs = own("jobs");
    int steps = 0, granted = 0, status;
    pid_t process;
    for (; make_steps(&process, steps); steps++) {
        CHECK(steps < MOST_STEPS);
        int result = prwlock_try_write_lock(jobs, NULL);
        CHECK(result == 0 || result == PRWLOCK_BUSY);
        if (*phase == HOLDING) CHECK(result == PRWLOCK_BUSY);
        if (*phase == BEFORE || *phase == AFTER) CHECK(result == 0);
        if (result == 0) OK(prwlock_unlock(jobs));
        granted += result == 0;
        /* Its slot is taken, or wanted: it goes on by the socket. */
        CHECK(ptrace(PTRACE_CONT, process, NULL, NULL) == 0);
        CHECK(waitpid(process, &status, 0) == process && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        CHECK(*phase == AFTER);
        end(process);
    }
    end(process);
    if (process != 0) CHECK(granted > 0 && granted < steps);
    printf("  %d steps, %d grants\n", steps, granted);
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"a kill at any instruction frees the lock, with the right mark (G6, G11)",
            a_kill_frees_the_lock_with_the_right_mark},
        {"a stop at any instruction keeps the lock only while it is held (G13)",
            a_stop_keeps_the_lock_only_while_it_is_held},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
