#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "CBench.h"

/* The echo server: one thread, a blocking epoll_wait, a read and a write for each ready socket. Its cost is the least
 * that a server on this kind of socket can have. */

struct echo {
    int descriptor;
    /* The bytes that the socket did not take. While there are any, the server does not read from it. */
    char *rest;
    size_t rest_length;
};

static char chunk[65536];

static void echo_close(struct echo *echo) {
    close(echo->descriptor);
    free(echo->rest);
    free(echo);
}

static void echo_watch(int set, struct echo *echo, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = echo};
    if (epoll_ctl(set, operation, echo->descriptor, &event) != 0) echo_close(echo);
}

static void echo_accept(int set, int listener) {
    int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return;
    struct echo *echo = calloc(1, sizeof *echo);
    if (echo == NULL) abort();
    echo->descriptor = descriptor;
    echo_watch(set, echo, EPOLL_CTL_ADD, EPOLLIN);
}

static void echo_keep(int set, struct echo *echo, const char *bytes, size_t length) {
    echo->rest = malloc(length);
    if (echo->rest == NULL) abort();
    memcpy(echo->rest, bytes, length);
    echo->rest_length = length;
    echo_watch(set, echo, EPOLL_CTL_MOD, EPOLLOUT);
}

static void echo_read(int set, struct echo *echo) {
    ssize_t length = read(echo->descriptor, chunk, sizeof chunk);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        echo_close(echo);
        return;
    }
    ssize_t written = send(echo->descriptor, chunk, (size_t)length, MSG_NOSIGNAL);
    if (written < 0 && errno != EAGAIN) {
        echo_close(echo);
    } else if (written < length) {
        if (written < 0) written = 0;
        echo_keep(set, echo, chunk + written, (size_t)(length - written));
    }
}

static void echo_write(int set, struct echo *echo) {
    ssize_t written = send(echo->descriptor, echo->rest, echo->rest_length, MSG_NOSIGNAL);
    if (written < 0) {
        if (errno != EAGAIN) echo_close(echo);
        return;
    }
    echo->rest_length -= (size_t)written;
    memmove(echo->rest, echo->rest + written, echo->rest_length);
    if (echo->rest_length > 0) return;
    free(echo->rest);
    echo->rest = NULL;
    echo_watch(set, echo, EPOLL_CTL_MOD, EPOLLIN);
}

int bench_echo_serve(const char *path, int backlog) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) return errno;
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) return errno;
    if (listen(listener, backlog) != 0) return errno;

    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
    if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, listener, &listening) != 0) return errno;

    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(set, events, 256, -1);
        if (count < 0 && errno != EINTR) return errno;
        for (int index = 0; index < count; index += 1) {
            struct echo *echo = events[index].data.ptr;
            if (echo == NULL) {
                echo_accept(set, listener);
            } else if (events[index].events & EPOLLOUT) {
                echo_write(set, echo);
            } else {
                echo_read(set, echo);
            }
        }
    }
}
