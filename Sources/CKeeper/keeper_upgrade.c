/* The keeper becomes the program that is now on disk, in its own process: what is kept stays, and so does the process id
   that people and the service manager know.

      [ AS EVER ] ── USR2 ──▶ [ TRIAL ] ── exit status 0 ──▶ the worker is killed, and buried ──▶ execve ──▶ the new keeper
          ▲  ▲                    │ another end, or 10 s                                         │ fails
          │  └────────────────────┘                                                              │
          └────────────────────── a worker of the present program ◀──────────────────────────────┘

   In a trial a child executes the program with the options of this one, and an option by which it only checks them. The
   worker serves meanwhile. So a file that is not there yet, half written, or without its libraries costs nothing, and
   neither does a version that refuses its options. A file of another user is not executed: in a folder such as /tmp, any
   user can make one where the program was.

   The new program gets what is kept as from a service manager, in LISTEN_FDS, and PRWLOCK_BEFORE. It counts crashes anew: a
   new version may have no part in those of the present one.

   - Signals that come around execve stay pending, because the keeper has blocked them and a program inherits that. The new
     keeper reads them. TERM that was read before makes the present program go on, until the worker has ended.
   - The worker dies by itself during a trial: another one starts, and is killed once the trial ends well.
   - USR2 during a trial: another trial follows this one, because the file may have changed.
   - The keeper is killed: a manager brings back what it has stored, before execve or after it.
   - The new program ends before it is a keeper, in spite of the trial: a manager starts it again; without one, the
     sessions end.
   - The new program is a version with a keeper that executes its workers: it ignores PRWLOCK_BEFORE, and counts restarts
     from zero. */

#define _GNU_SOURCE

#include "keeper.h"

#include <CLinux.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TRIAL_SECONDS = 10,
    /* Exit statuses of a trial that has executed nothing. */
    NOT_TRUSTED = 125,
    NOT_EXECUTED = 127,
};

/* 0: there is none. */
static pid_t trial;

/* Says why the keeper stays the present program. A full pipe must not stop the keeper, so the line may be lost. */
static void report(const char *reason, int number) {
    char text[256];
    int length = snprintf(text, sizeof text, "prwlock-keeper: no upgrade: the program on disk %s", reason);
    length += snprintf(text + length, sizeof text - (size_t)length, number >= 0 ? " %d\n" : "\n", number);
    struct pollfd output = {STDERR_FILENO, POLLOUT, 0};
    if (poll(&output, 1, 0) == 1 && write(STDERR_FILENO, text, (size_t)length) < 0) return;
}

/* Whether the owner of a file, who may replace it in a folder that all users share, decides what this process runs. */
static int may_decide(const struct stat *file, const struct stat *present) {
    return file->st_uid == 0 || file->st_uid == geteuid() || file->st_uid == present->st_uid;
}

/* Whether the program is there and no other user's, nor behind a link of another user. Sets errno. */
static int is_trusted(const char *program) {
    struct stat entry, file, present;
    if (lstat(program, &entry) != 0 || stat(program, &file) != 0 || stat("/proc/self/exe", &present) != 0) return 0;
    errno = EPERM;
    return may_decide(&entry, &present) && may_decide(&file, &present);
}

int keeper_try(const struct keeper_configuration *configuration) {
    if (trial != 0) return 0;
    pid_t child = vfork();
    if (child == 0) {
        /* The trial says what is wrong on standard error. */
        int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(nothing, STDOUT_FILENO);
        linux_unblock_signals();
        alarm(TRIAL_SECONDS);
        if (is_trusted(configuration->program)) {
            execve(configuration->program, configuration->trial_arguments, configuration->environment);
            errno = ENOEXEC;
        }
        _exit(errno == EPERM ? NOT_TRUSTED : NOT_EXECUTED);
    }
    /* For lack of memory or processes, which comes to an end. */
    if (child < 0) return 0;
    trial = child;
    return 1;
}

int keeper_has_passed(void) {
    int status;
    if (trial == 0 || waitpid(trial, &status, WNOHANG) != trial) return 0;
    trial = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_EXECUTED) {
        report("cannot be executed", -1);
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_TRUSTED) {
        report("belongs to another user", -1);
    } else if (WIFEXITED(status)) {
        report("failed its check with exit status", WEXITSTATUS(status));
    } else {
        report("was ended in its check by signal", WTERMSIG(status));
    }
    return 0;
}

int keeper_lift(int *descriptor, int lowest) {
    if (*descriptor < 0 || *descriptor >= lowest) return 1;
    int higher = fcntl(*descriptor, F_DUPFD_CLOEXEC, lowest);
    if (higher < 0) return 0;
    close(*descriptor);
    *descriptor = higher;
    return 1;
}

void keeper_become(
    const struct keeper_configuration *configuration, int *const *own, const struct keeper_last_worker *last) {
    int first = 3 + keeper_passed_sockets(), next = first;
    /* Nothing of this process may have the numbers that the new program expects: it goes on if execve fails. */
    int lowest = first + KEEPER_MOST_NAMES * KEEPER_MOST_DESCRIPTORS;
    int is_lifted = keeper_lift_store(lowest);
    for (int i = 0; own[i] != NULL; i++) is_lifted &= keeper_lift(own[i], lowest);
    for (int i = 0; i < KEEPER_MOST_NAMES; i++)
        for (int j = 0; j < keeper_kept[i].count; j++) is_lifted &= keeper_lift(&keeper_kept[i].descriptors[j], lowest);
    for (int i = 0; is_lifted && i < KEEPER_MOST_NAMES; i++)
        for (int j = 0; j < keeper_kept[i].count; j++) is_lifted &= dup2(keeper_kept[i].descriptors[j], next++) >= 0;
    if (is_lifted && is_trusted(configuration->program))
        execve(configuration->program, configuration->arguments, keeper_environment_of_successor(last));
    report("cannot be executed: error", errno);
    for (int descriptor = first; descriptor < next; descriptor++) close(descriptor);
}
