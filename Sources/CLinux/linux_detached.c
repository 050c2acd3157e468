#define _GNU_SOURCE

#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

char **linux_environment(void) { return getauxval(AT_SECURE) ? NULL : environ; }

/* The most descriptors for a program: the size of an array on the stack. */
enum { MOST_DESCRIPTORS = 16 };

/* The exit statuses of the process in between. */
enum { STARTED = 0, NO_SESSION = 1, NO_FORK = 2 };

static void say(const char *text) {
    if (text != NULL && write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

int linux_detach(void) {
    pid_t copy = fork();
    if (copy < 0) return errno;
    if (copy > 0) _exit(0);
    linux_reset_signals();
    linux_unblock_signals();
    /* setsid fails only for a leader of a process group, and the copy is none. */
    setsid();
    umask(077);
    return chdir("/") == 0 ? 0 : errno;
}

/* Calls only functions that are safe between fork and exec in a process with threads. */
static _Noreturn void become(
    const char *path, char *const arguments[], char *const environment[], const int descriptors[], int count) {
    linux_reset_signals();
    linux_unblock_signals();
    umask(077);

    /* First move all of them above the target numbers, then each to its number, where it stays open over exec. */
    int sources[MOST_DESCRIPTORS];
    for (int i = 0; i < count; i++) {
        sources[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, MOST_DESCRIPTORS);
        if (sources[i] < 0) _exit(126);
    }
    for (int i = 0; i < count; i++)
        if (dup2(sources[i], i) < 0) _exit(126);
    linux_close_range((unsigned)count, ~0U);
    if (chdir("/") != 0) _exit(126);

    execve(path, arguments, environment);
    const char *reason = strerrordesc_np(errno);
    say(path);
    say(": ");
    say(reason);
    say("\n");
    _exit(127);
}

int linux_spawn_detached(
    const char *path, char *const arguments[], char *const environment[], const int descriptors[], int count) {
    if (count < 0 || count > MOST_DESCRIPTORS) return EINVAL;
    /* No signal handler of the caller may run in the child, which is a copy of the caller until it calls exec. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* _Fork runs no fork handlers of the caller's libraries. */
    pid_t between = _Fork();
    if (between == 0) {
        if (setsid() < 0) _exit(NO_SESSION);
        /* After the second fork no living process is the program's parent and must wait for it. */
        pid_t program = _Fork();
        if (program == 0) become(path, arguments, environment, descriptors, count);
        _exit(program < 0 ? NO_FORK : STARTED);
    }
    int error = between < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (between < 0) return error;

    int status = 0;
    while (waitpid(between, &status, 0) < 0) {
        /* On ECHILD the caller ignores SIGCHLD, or another thread waits for all children. */
        if (errno != EINTR) return 0;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == STARTED ? 0 : EAGAIN;
}
