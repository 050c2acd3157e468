#define _GNU_SOURCE

#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PERIOD_MS = 50 };

/* Writes the path of a process's stat file, without allocations. */
static void stat_path(int32_t process, char path[32]) {
    char digits[12];
    int count = 0;
    do {
        digits[count++] = (char)('0' + process % 10);
        process /= 10;
    } while (process > 0);
    char *end = stpcpy(path, "/proc/");
    while (count > 0) *end++ = digits[--count];
    stpcpy(end, "/stat");
}

/* Whether the process lives: not a later process with its id, and not a zombie. */
static int is_there(int32_t process, const char *path, uint64_t start) {
    char line[1024];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return kill(process, 0) == 0 || errno == EPERM;
    ssize_t count = read(file, line, sizeof line - 1);
    close(file);
    if (count <= 0) return 0;
    line[count] = '\0';
    const char *field = strrchr(line, ')');
    if (field == NULL || field[1] == '\0') return 1;
    field += 2;
    if (*field == 'Z' || *field == 'X') return 0;
    /* This is field 3; the start is field 22. */
    for (int number = 3; number < 22; number++) {
        field = strchr(field, ' ');
        if (field == NULL) return 1;
        field++;
    }
    uint64_t ticks = 0;
    for (; *field >= '0' && *field <= '9'; field++) ticks = ticks * 10 + (uint64_t)(*field - '0');
    return start == 0 || ticks == start;
}

static _Noreturn void look(int32_t process, uint64_t start, int output) {
    setsid();
    linux_reset_signals();
    linux_unblock_signals();
    prctl(PR_SET_NAME, "prwlock-look", 0, 0, 0);
    if (chdir("/") != 0) _exit(1);
    /* Keep only the pipe open: another descriptor may be a lock's connection, or the end of a pipeline. */
    if (dup2(output, 0) < 0) _exit(1);
    linux_close_range(1, ~0U);
    char path[32];
    stat_path(process, path);
    while (is_there(process, path, start)) {
        struct pollfd reader = {0, 0, 0};
        if (poll(&reader, 1, PERIOD_MS) == 1) break;
    }
    _exit(0);
}

int linux_watch_by_looking(int32_t process, uint64_t start) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t between = _Fork();
    if (between == 0) {
        /* After the second fork no living process is its parent and must wait for it. */
        pid_t looking = _Fork();
        if (looking == 0) look(process, start, ends[1]);
        _exit(looking < 0);
    }
    int error = between < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    int status = 0;
    while (error == 0 && waitpid(between, &status, 0) < 0) {
        /* On ECHILD the caller ignores SIGCHLD, or another thread waits for all children. */
        if (errno != EINTR) break;
    }
    if (error == 0 && WIFEXITED(status) && WEXITSTATUS(status) != 0) error = EAGAIN;
    if (error == 0) return ends[0];
    close(ends[0]);
    errno = error;
    return -1;
}
