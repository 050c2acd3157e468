#define _GNU_SOURCE

#include "CLinux.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control_buffer {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(LINUX_MOST_DESCRIPTORS * sizeof(int))];
};

int linux_send_descriptors(int socket, const void *bytes, size_t size, const int *descriptors, int count) {
    if (count < 0 || count > LINUX_MOST_DESCRIPTORS) {
        errno = EINVAL;
        return -1;
    }
    struct iovec data = {(void *)bytes, size};
    union control_buffer buffer;
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    size_t length = (size_t)count * sizeof(int);
    if (count > 0) {
        message.msg_control = buffer.bytes;
        message.msg_controllen = CMSG_SPACE(length);
        memset(buffer.bytes, 0, message.msg_controllen);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(length);
        memcpy(CMSG_DATA(header), descriptors, length);
    }
    return (int)sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int linux_receive_descriptors(
    int socket, void *bytes, size_t size, int descriptors[LINUX_MOST_DESCRIPTORS], int *count, int peeks) {
    struct iovec data = {bytes, size};
    union control_buffer buffer;
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = buffer.bytes,
        .msg_controllen = sizeof buffer.bytes,
    };
    *count = 0;
    int flags = MSG_CMSG_CLOEXEC | MSG_DONTWAIT | (peeks ? MSG_PEEK : 0);
    int received = (int)recvmsg(socket, &message, flags);
    if (received < 0) return -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        *count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(descriptors, CMSG_DATA(header), (size_t)*count * sizeof(int));
    }
    if (message.msg_flags & MSG_CTRUNC) {
        for (int i = 0; i < *count; i++) close(descriptors[i]);
        *count = 0;
        errno = EMFILE;
        return -1;
    }
    return received;
}

int linux_drop_messages(int socket, int count) {
    /* Without room for them, the kernel lets go of the descriptors, and none takes a number in this process. */
    struct mmsghdr messages[64] = {0};
    int most = sizeof messages / sizeof messages[0];
    return recvmmsg(socket, messages, (unsigned)(count < most ? count : most), MSG_DONTWAIT, NULL);
}

int linux_peek_from_first(int socket) {
    int offset = 0;
    return setsockopt(socket, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset);
}
