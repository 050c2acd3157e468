#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "CBench.h"

/* The number of locks in a list. */
enum { LISTED = 5000 };

/* Writes the same lines forever, as fast as the socket takes them, and reads all answers. */
static void pump(int descriptor, const char *lines, size_t length) {
    static char answers[1 << 16];
    size_t sent = 0;
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    for (;;) {
        struct pollfd request = {.fd = descriptor, .events = POLLIN | POLLOUT};
        if (poll(&request, 1, -1) < 0 && errno != EINTR) _exit(1);
        if (request.revents & POLLIN) {
            ssize_t count = recv(descriptor, answers, sizeof answers, 0);
            if (count == 0 || (count < 0 && errno != EAGAIN)) _exit(1);
        }
        if (request.revents & POLLOUT) {
            ssize_t count = send(descriptor, lines + sent, length - sent, MSG_NOSIGNAL);
            if (count < 0 && errno != EAGAIN) _exit(1);
            if (count > 0) sent = (sent + (size_t)count) % length;
        }
    }
}

static void flood(const char *path, enum bench_flood kind) {
    static char lines[1 << 16];
    size_t length = 0;
    char line[128];
    if (kind == BENCH_FLOOD_CONNECTIONS) {
        for (;;) {
            int descriptor = bench_connect(path);
            if (descriptor < 0) continue;
            bench_send(descriptor, "WRITE flood\nRELEASE flood\n");
            close(descriptor);
        }
    }
    int descriptor = bench_connect(path);
    if (descriptor < 0) _exit(1);
    if (kind == BENCH_FLOOD_LISTS) {
        for (int lock = 0; lock < LISTED; lock++) {
            snprintf(line, sizeof line, "READ flood/%d note=a-note-of-some-length\n", lock);
            if (bench_send(descriptor, line) != 0 || bench_read_line(descriptor, line, sizeof line) != 0) _exit(1);
        }
    }
    const char *flooding = kind == BENCH_FLOOD_LISTS ? "LIST flood/\n" : "WRITE flood wait=0\nRELEASE flood\n";
    size_t one = strlen(flooding);
    for (; length + one <= sizeof lines; length += one) memcpy(lines + length, flooding, one);
    pump(descriptor, lines, length);
}

pid_t bench_flood_start(const char *path, enum bench_flood kind, uid_t user) {
    pid_t parent = getpid();
    pid_t child = fork();
    if (child != 0) return child < 0 ? -errno : child;
    if (user != 0 && (setgroups(0, NULL) != 0 || setgid(user) != 0 || setuid(user) != 0)) _exit(1);
    /* Call this after the change of user, which clears the setting. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    raise(SIGSTOP);
    flood(path, kind);
    _exit(0);
}

int bench_flood_await(pid_t child) {
    int status;
    if (waitpid(child, &status, WUNTRACED) != child) return errno;
    return WIFSTOPPED(status) ? 0 : ECHILD;
}

int bench_flood_run(pid_t child, bool wanted) {
    if (kill(child, wanted ? SIGCONT : SIGSTOP) != 0) return errno;
    /* Wait until it has stopped, so that it does not disturb the next measurement. */
    return wanted ? 0 : bench_flood_await(child);
}

void bench_flood_end(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
