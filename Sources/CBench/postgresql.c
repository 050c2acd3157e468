#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "CBench.h"

/* PostgreSQL's protocol (version 3) as far as a simple query needs it: a kind and a length before each message, and
 * ReadyForQuery after each answer. */

static int receive_exactly(int socket, void *data, size_t length) {
    char *at = data;
    while (length > 0) {
        ssize_t received = recv(socket, at, length, MSG_WAITALL);
        if (received < 0 && errno == EINTR) continue;
        if (received < 0) return errno;
        if (received == 0) return EPIPE;
        at += received;
        length -= (size_t)received;
    }
    return 0;
}

static int await_ready(int socket) {
    bool failed = false;
    while (true) {
        char kind, payload[8192];
        uint32_t length;
        int error = receive_exactly(socket, &kind, 1);
        if (error == 0) error = receive_exactly(socket, &length, sizeof length);
        if (error != 0) return error;
        length = ntohl(length) - (uint32_t)sizeof length;
        if (length > sizeof payload) return EMSGSIZE;
        if ((error = receive_exactly(socket, payload, length)) != 0) return error;
        if (kind == 'E') failed = true;
        if (kind == 'Z') return failed ? EPROTO : 0;
    }
}

int bench_postgresql_connect(const char *folder, const char *user) {
    char path[128], message[256] = {0};
    snprintf(path, sizeof path, "%s/.s.PGSQL.5432", folder);
    int socket = bench_connect(path);
    if (socket < 0) return socket;
    uint32_t version = htonl(3 << 16);
    memcpy(message + 4, &version, sizeof version);
    /* Names and values with a NUL after each, and one after all. */
    int length = 8 + snprintf(message + 8, sizeof message - 8, "user%c%s%cdatabase%cpostgres%c", 0, user, 0, 0, 0) + 1;
    uint32_t total = htonl((uint32_t)length);
    memcpy(message, &total, sizeof total);
    int error = send(socket, message, (size_t)length, MSG_NOSIGNAL) == length ? await_ready(socket) : errno;
    return error == 0 ? socket : -error;
}

int bench_postgresql_query(int socket, const char *query) {
    char message[256] = {'Q'};
    uint32_t length = (uint32_t)(4 + strlen(query) + 1);
    if (length + 1 > sizeof message) return EMSGSIZE;
    uint32_t total = htonl(length);
    memcpy(message + 1, &total, sizeof total);
    strcpy(message + 5, query);
    if (send(socket, message, length + 1, MSG_NOSIGNAL) != (ssize_t)length + 1) return errno;
    return await_ready(socket);
}
