#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "CBench.h"

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

static void nap(long milliseconds) {
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

pid_t bench_sweeper_start(const char *path, int *lifeline) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
    pid_t parent = getpid();
    pid_t sweeper = fork();
    if (sweeper < 0) return -errno;
    if (sweeper > 0) {
        close(ends[0]);
        *lifeline = ends[1];
        return sweeper;
    }
    /* Leave the terminal's session: its signals are for the benchmark only. */
    setsid();
    /* The lifelines of other sweepers too: otherwise those wait for this one. */
    dup2(ends[0], STDIN_FILENO);
    closefrom(STDERR_FILENO + 1);
    char byte;
    ssize_t got;
    while ((got = read(STDIN_FILENO, &byte, 1)) < 0) continue;
    if (got == 0) {
        /* The kernel closes a dying process's files before it kills the children. A daemon that lives makes a removed
         * socket anew, with its folder. */
        while (getppid() == parent) nap(1);
        nap(20);
    }
    for (int attempt = 0; attempt < 500 && access(path, F_OK) == 0; attempt += 1) {
        if (attempt > 0) nap(20);
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    _exit(0);
}

void bench_sweeper_end(pid_t sweeper, int lifeline) {
    /* All servers have ended by now. */
    while (write(lifeline, "", 1) < 0 && errno == EINTR) continue;
    close(lifeline);
    waitpid(sweeper, NULL, 0);
}
