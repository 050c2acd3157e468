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

pid_t bench_sweeper_start(const char *path, int *lifeline) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
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
    while (read(STDIN_FILENO, &byte, 1) < 0) continue;
    /* A server that ends meanwhile may still write into it. */
    for (int attempt = 0; attempt < 500 && access(path, F_OK) == 0; attempt += 1) {
        if (attempt > 0) nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    _exit(0);
}

void bench_sweeper_end(pid_t sweeper, int lifeline) {
    close(lifeline);
    waitpid(sweeper, NULL, 0);
}
