/*
 * Starting a daemon: `prwlock ping` does it by the rules of protocol.md, "Starting a daemon". No shell is
 * involved, and the daemon does not become a child of this process.
 */
#include "internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    /* How long `prwlock ping` may take if the call has no limit, in seconds: it waits ten for a silent daemon. */
    PATIENCE = 15,
    LOOK_MILLISECONDS = 5,
};

/* The program that is found, and the first that is passed over because another user could replace it. */
struct search {
    char program[PATH_MAX], refused[PATH_MAX], reason[PRW_MESSAGE / 2];
};

/* Whether the program can be run, and no other user could have put it there. */
static bool is_found(struct search *search) {
    char reason[sizeof search->reason];
    struct stat status;
    if (stat(search->program, &status) != 0 || !S_ISREG(status.st_mode) || access(search->program, X_OK) != 0)
        return false;
    if (prw_trusts_program(search->program, reason, sizeof reason)) return true;
    if (search->refused[0] == 0) {
        strcpy(search->refused, search->program);
        strcpy(search->reason, reason);
    }
    return false;
}

/* Looks beside a file. The file was found where it is, but in a folder such as /tmp others can add a program. */
static bool finds_beside(struct search *search, const char *file) {
    const char *slash = strrchr(file, '/');
    if (file[0] != '/' || slash == NULL) return false;
    int length = snprintf(search->program, PATH_MAX, "%.*s/prwlock", (int)(slash - file), file);
    return length < PATH_MAX && is_found(search);
}

/* The environment may be another user's (`sudo -E`). */
static bool finds_on_path(struct search *search) {
    char of_packages[PATH_MAX];
    int whole = snprintf(of_packages, sizeof of_packages, "%s/usr/libexec:%s/usr/bin", prw_root(), prw_root());
    const char *places[] = {secure_getenv("PATH"), whole < (int)sizeof of_packages ? of_packages : NULL};
    for (int i = 0; i < 2; i++) {
        for (const char *folder = places[i]; folder != NULL; folder = strchr(folder, ':')) {
            if (*folder == ':') folder++;
            /* A relative folder is another one in every working directory. */
            if (*folder != '/') continue;
            int length = snprintf(search->program, PATH_MAX, "%.*s/prwlock", (int)strcspn(folder, ":"), folder);
            if (length < PATH_MAX && is_found(search)) return true;
        }
    }
    return false;
}

static bool finds(struct search *search) {
    char own[PATH_MAX];
    Dl_info library;
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length < 0 ? 0 : length] = 0;
    if (finds_beside(search, own)) return true;
    if (dladdr((const void *)(uintptr_t)prwlock_acquire_, &library) != 0 && finds_beside(search, library.dli_fname))
        return true;
    return finds_on_path(search);
}

static pid_t spawn(const char *program, int output) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t child = -1;
    char name[] = "prwlock", command[] = "ping", *arguments[] = {name, command, NULL};
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn(&child, program, &files, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    errno = error;
    return error == 0 ? child : -1;
}

/* Reads what the program complains about until it ends. Returns false if it does not end in time. */
static bool read_to_end(int input, int64_t end, char *said, size_t capacity) {
    size_t count = 0;
    struct pollfd readable = {.fd = input, .events = POLLIN};
    for (;;) {
        if (poll(&readable, 1, prw_poll_time(end, PRW_SECOND)) <= 0) {
            if (prw_now() >= end) return false;
            continue;
        }
        char more[PRW_LINE];
        ssize_t length = read(input, more, sizeof more);
        if (length < 0 && errno == EINTR) continue;
        if (length <= 0) return true;
        size_t room = capacity - 1 - count, taken = (size_t)length < room ? (size_t)length : room;
        memcpy(said + count, more, taken);
        count += taken;
        said[count] = 0;
        said[strcspn(said, "\n")] = 0;
    }
}

/* The end of the program's output comes just before its end. A program that ignores SIGCHLD gets ECHILD. */
static bool reap(pid_t child, int64_t end) {
    for (;;) {
        pid_t ended = waitpid(child, NULL, WNOHANG);
        if (ended == child || (ended < 0 && errno != EINTR)) return true;
        if (prw_now() >= end) return false;
        prw_sleep(LOOK_MILLISECONDS * PRW_MILLISECOND);
    }
}

int prw_start(struct prw_thread *thread, int64_t end, char *said, size_t capacity) {
    struct search search = {.refused = ""};
    int64_t patience = prw_now() + PATIENCE * PRW_SECOND;
    if (patience < end) end = patience;
    said[0] = 0;
    if (!finds(&search)) {
        if (search.refused[0] != 0)
            return prw_fail(thread, PRWLOCK_REFUSED,
                "no lock daemon runs, and %.200s is not run, because another user could replace it: %s", search.refused,
                search.reason);
        return prw_fail(thread, PRWLOCK_UNAVAILABLE,
            "no lock daemon runs, and no program prwlock was found that starts one: install it, or run prwlockd");
    }
    int output[2];
    if (pipe2(output, O_CLOEXEC) != 0)
        return prw_fail(thread, PRWLOCK_MEMORY, "no pipe can be made: %s", strerror(errno));
    pid_t child = spawn(search.program, output[1]);
    int error = errno;
    close(output[1]);
    bool has_ended = child > 0 && read_to_end(output[0], end, said, capacity) && reap(child, end);
    close(output[0]);
    if (child < 0) return prw_fail(thread, PRWLOCK_UNAVAILABLE, "%.200s cannot be run: %s", search.program, strerror(error));
    if (has_ended) return 0;
    /* It is this call's own child. Another process may be waiting for the daemon that it has begun to start. */
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    return prw_fail(thread, PRWLOCK_SILENT, "no lock daemon has answered in time: one is being started, or ends");
}
