#define _GNU_SOURCE

#include "CLinux.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* SCM_MAX_FD, the most descriptors of one message. */
enum { MOST_DESCRIPTORS = 253 };

/* An address of sd_notify(3): a path, or an abstract name after an @. */
static int notification_address(const char *text, struct sockaddr_un *address, socklen_t *size) {
    size_t length = strlen(text);
    if (length >= sizeof address->sun_path || (text[0] != '/' && text[0] != '@')) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, text, length);
    if (text[0] == '@') address->sun_path[0] = '\0';
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return 0;
}

static int send_notification(const char *address, struct msghdr *message) {
    struct sockaddr_un to;
    socklen_t size;
    if (notification_address(address, &to, &size) != 0) return -1;
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    message->msg_name = &to;
    message->msg_namelen = size;
    int sent = (int)sendmsg(descriptor, message, MSG_NOSIGNAL | MSG_DONTWAIT);
    int error = errno;
    close(descriptor);
    errno = error;
    return sent;
}

int linux_notify_manager(const char *address, const char *text) {
    struct iovec data = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    return send_notification(address, &message);
}

int linux_notification_socket(char *address, size_t room) {
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -1;
    int on = 1;
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    socklen_t size = sizeof own;
    /* For an address without a name the kernel makes an abstract one of five digits. */
    if (setsockopt(descriptor, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        bind(descriptor, (struct sockaddr *)&own, offsetof(struct sockaddr_un, sun_path)) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&own, &size) != 0) {
        close(descriptor);
        return -1;
    }
    size_t length = size - offsetof(struct sockaddr_un, sun_path);
    if (length < 2 || length >= room) {
        close(descriptor);
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address, own.sun_path, length);
    address[0] = '@';
    address[length] = '\0';
    return descriptor;
}

int linux_notification_sender(int socket, int32_t *process, uint32_t *user) {
    char byte;
    /* Leave room only for the credentials, which come first: descriptors that this receives it would have to close. */
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    if (recvmsg(socket, &message, MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0) return -1;
    *process = 0;
    *user = (uint32_t)-1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
        struct ucred credentials;
        memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
        *process = credentials.pid;
        *user = credentials.uid;
    }
    return 0;
}

int linux_relay_notification(int socket, const char *address) {
    static char bytes[65536];
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    } incoming, outgoing;
    struct iovec data = {bytes, sizeof bytes};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = incoming.bytes,
        .msg_controllen = sizeof incoming.bytes,
    };
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count < 0) return -1;

    int descriptors[MOST_DESCRIPTORS];
    size_t held = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        held = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (held > MOST_DESCRIPTORS) held = MOST_DESCRIPTORS;
        memcpy(descriptors, CMSG_DATA(header), held * sizeof(int));
    }
    int result = 0;
    if (address != NULL) {
        data.iov_len = (size_t)count;
        struct msghdr relayed = {.msg_iov = &data, .msg_iovlen = 1};
        if (held > 0) {
            relayed.msg_control = outgoing.bytes;
            relayed.msg_controllen = CMSG_SPACE(held * sizeof(int));
            memset(outgoing.bytes, 0, relayed.msg_controllen);
            struct cmsghdr *header = CMSG_FIRSTHDR(&relayed);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(held * sizeof(int));
            memcpy(CMSG_DATA(header), descriptors, held * sizeof(int));
        }
        result = send_notification(address, &relayed) < 0 ? -1 : 0;
    }
    for (size_t i = 0; i < held; i++) close(descriptors[i]);
    return result;
}
