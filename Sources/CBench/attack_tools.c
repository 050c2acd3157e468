#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "CBench.h"
#include "attack.h"

void attack_require(bool condition) {
    if (!condition) _exit(1);
}

int attack_connect(const char *path) {
    int descriptor = bench_connect(path);
    attack_require(descriptor >= 0);
    return descriptor;
}

/* -- lines ------------------------------------------------------------------------------------------------------- */

void lines_add(struct lines *lines, const char *format, ...) {
    enum { LONGEST = 1024 };
    if (lines->room - lines->length < LONGEST) {
        lines->room = lines->room * 2 + LONGEST;
        lines->bytes = realloc(lines->bytes, lines->room);
        attack_require(lines->bytes != NULL);
    }
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(lines->bytes + lines->length, LONGEST, format, arguments);
    va_end(arguments);
    attack_require(length >= 0 && length < LONGEST);
    lines->length += (size_t)length;
}

void lines_clear(struct lines *lines) {
    lines->length = 0;
}

/* Reads what has come; returns whether the bytes complete a PONG line. `tail` keeps the last bytes between calls. */
static bool read_pong(int descriptor, char tail[5]) {
    static char chunk[5 + (1 << 16)];
    ssize_t count = recv(descriptor, chunk + 5, sizeof chunk - 5, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    attack_require(count > 0);
    memcpy(chunk, tail, 5);
    memcpy(tail, chunk + count, 5);
    return memmem(chunk, (size_t)count + 5, "PONG\n", 5) != NULL;
}

void attack_exchange(int descriptor, struct lines *lines) {
    char tail[5] = {0};
    size_t sent = 0;
    bool is_answered = false;
    lines_add(lines, "PING\n");
    while (!is_answered) {
        bool has_more = sent < lines->length;
        struct pollfd request = {.fd = descriptor, .events = has_more ? POLLIN | POLLOUT : POLLIN};
        attack_require(poll(&request, 1, -1) >= 0 || errno == EINTR);
        if (request.revents & (POLLIN | POLLHUP)) is_answered = read_pong(descriptor, tail);
        if (!(request.revents & POLLOUT)) continue;
        ssize_t count =
            send(descriptor, lines->bytes + sent, lines->length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        attack_require(count >= 0 || errno == EAGAIN);
        if (count > 0) sent += (size_t)count;
    }
    lines_clear(lines);
}

void attack_pump(int descriptor, const struct lines *lines) {
    static char answers[1 << 16];
    size_t sent = 0;
    for (;;) {
        struct pollfd request = {.fd = descriptor, .events = POLLIN | POLLOUT};
        attack_require(poll(&request, 1, -1) >= 0 || errno == EINTR);
        if (request.revents & POLLIN) {
            ssize_t count = recv(descriptor, answers, sizeof answers, MSG_DONTWAIT);
            attack_require(count > 0 || (count < 0 && errno == EAGAIN));
        }
        if (request.revents & POLLOUT) {
            ssize_t count = send(
                descriptor, lines->bytes + sent, lines->length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            attack_require(count >= 0 || errno == EAGAIN);
            if (count > 0) sent = (sent + (size_t)count) % lines->length;
        }
    }
}

void attack_fill(int descriptor, const char *line) {
    static char bytes[1 << 16];
    size_t one = strlen(line), length = 0;
    for (; length + one <= sizeof bytes; length += one) memcpy(bytes + length, line, one);
    for (size_t at = 0;;) {
        ssize_t count = send(descriptor, bytes + at, length - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count <= 0) return;
        at = (at + (size_t)count) % length;
    }
}

/* -- time -------------------------------------------------------------------------------------------------------- */

void attack_sleep_until(int64_t instant) {
    struct timespec time = {.tv_sec = instant / 1000000000, .tv_nsec = instant % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) continue;
}

void attack_await_close(const int *descriptors, size_t count, int64_t patience) {
    int64_t deadline = bench_now() + patience;
    for (size_t index = 0; index < count; index++) {
        /* The end of input alone is no event here: the kernel reports POLLHUP when both directions have ended. */
        struct pollfd request = {.fd = descriptors[index]};
        for (;;) {
            int64_t left = (deadline - bench_now()) / 1000000;
            if (left <= 0) return;
            if (poll(&request, 1, (int)left) > 0) break;
        }
    }
}

/* -- children ---------------------------------------------------------------------------------------------------- */

static int gate[2] = {-1, -1}, ready[2] = {-1, -1};

void attack_fork(int count, void (*prepare)(int number), void (*strike)(int number)) {
    pid_t parent = getpid();
    char byte = 0;
    attack_require(pipe2(gate, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
    for (int number = 0; number < count; number++) {
        pid_t child = fork();
        attack_require(child >= 0);
        if (child != 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        attack_require(getppid() == parent);
        close(gate[1]);
        close(ready[0]);
        if (prepare != NULL) prepare(number);
        attack_require(write(ready[1], &byte, 1) == 1);
        /* The gate opens when the parent closes it. */
        while (read(gate[0], &byte, 1) < 0) continue;
        if (strike != NULL) strike(number);
        _exit(0);
    }
    close(ready[1]);
    for (int number = 0; number < count; number++) attack_require(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(gate[0]);
}

void attack_release(void) {
    close(gate[1]);
    while (wait(NULL) > 0 || errno == EINTR) continue;
}
