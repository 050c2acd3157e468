#define _GNU_SOURCE

#include "CLinux.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

union control_buffer {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int linux_send_message(int socket, const void *bytes, size_t count, int descriptor) {
    struct iovec data = {(void *)bytes, count};
    union control_buffer buffer;
    memset(&buffer, 0, sizeof buffer);
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = buffer.bytes;
        message.msg_controllen = sizeof buffer.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    return (int)sendmsg(socket, &message, MSG_NOSIGNAL);
}

int linux_receive_message(int socket, void *bytes, size_t count, int *descriptor) {
    struct iovec data = {bytes, count};
    union control_buffer buffer;
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = buffer.bytes,
        .msg_controllen = sizeof buffer.bytes,
    };
    *descriptor = -1;
    int received = (int)recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS) memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
    return received;
}

int linux_wait(int32_t process, int options, int32_t *waited, int32_t *code, int32_t *status) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int result = waitid(process > 0 ? P_PID : P_ALL, (id_t)process, &info, options | WNOHANG);
    *waited = info.si_pid;
    *code = info.si_code;
    *status = info.si_status;
    return result;
}

int linux_forbid_core_dump(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

int linux_notify_manager(const char *address, const char *text) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = strlen(address);
    if (length >= sizeof to.sun_path || (address[0] != '/' && address[0] != '@')) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    memcpy(to.sun_path, address, length);
    if (address[0] == '@') to.sun_path[0] = '\0';
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    int sent = (int)sendto(
        descriptor, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, size);
    close(descriptor);
    return sent;
}
