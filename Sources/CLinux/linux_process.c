#define _GNU_SOURCE

#include "CLinux.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

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
