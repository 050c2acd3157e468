#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "CBench.h"

int bench_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

int bench_send(int descriptor, const char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t written = send(descriptor, text, length, MSG_NOSIGNAL);
        if (written < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        text += written;
        length -= (size_t)written;
    }
    return 0;
}

int bench_read_line(int descriptor, char *line, size_t room) {
    size_t length = 0;
    while (length + 1 < room) {
        /* Peek first, so that bytes after the line stay in the socket. */
        ssize_t seen = recv(descriptor, line + length, room - length - 1, MSG_PEEK);
        if (seen < 0 && errno == EINTR) continue;
        if (seen < 0) return errno;
        if (seen == 0) return EPIPE;
        char *end = memchr(line + length, '\n', (size_t)seen);
        size_t taken = end == NULL ? (size_t)seen : (size_t)(end - (line + length)) + 1;
        if (recv(descriptor, line + length, taken, 0) != (ssize_t)taken) return EIO;
        length += taken;
        if (end != NULL) {
            line[length - 1] = '\0';
            return 0;
        }
    }
    return EMSGSIZE;
}
