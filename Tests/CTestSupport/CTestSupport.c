#define _GNU_SOURCE

#include "CTestSupport.h"

#include <fcntl.h>
#include <grp.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union control_buffer {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static int hand_over(int control, int descriptor) {
    char byte = 'c';
    struct iovec data = {&byte, 1};
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
    return sendmsg(control, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* Waits until the caller closes the control socket. A child must not read orders: they are for its parent. */
static void wait_for_end(int control) {
    struct pollfd end = {control, POLLRDHUP, 0};
    while (poll(&end, 1, -1) != 1) {
    }
    _exit(0);
}

static int connect_and_hand_over(const char *path, int control) {
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        hand_over(control, -1);
        return -1;
    }
    return hand_over(control, connection) == 0 ? connection : -1;
}

static void serve(const char *path, int control) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int connection = connect_and_hand_over(path, control);
    if (connection < 0) _exit(1);
    char order;
    while (read(control, &order, 1) == 1) {
        if (order == 'f') {
            int32_t child = (int32_t)fork();
            if (child == 0) wait_for_end(control);
            if (write(control, &child, sizeof child) != sizeof child) _exit(1);
        } else if (order == 'a') {
            /* The connection stays open: a child must have all connections. */
            if (connect_and_hand_over(path, control) < 0) _exit(1);
        } else if (order == 'c') {
            close(connection);
            if (write(control, &order, 1) != 1) _exit(1);
        }
    }
    _exit(0);
}

int32_t support_start_peer(const char *path, int control, int64_t user, int64_t group) {
    pid_t process = fork();
    if (process == 0) {
        if (user >= 0) {
            gid_t groups[] = {(gid_t)group};
            if (setgroups(1, groups) != 0 || setgid((gid_t)user) != 0 || setuid((uid_t)user) != 0) _exit(1);
        }
        /* Close the test's descriptors: a copy here would keep a socket open that the test closes. */
        dup2(control, 3);
        close_range(4, ~0U, 0);
        serve(path, 3);
    }
    return (int32_t)process;
}

int support_receive_connection(int control) {
    char byte;
    struct iovec data = {&byte, 1};
    union control_buffer buffer;
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = buffer.bytes,
        .msg_controllen = sizeof buffer.bytes,
    };
    if (recvmsg(control, &message, MSG_CMSG_CLOEXEC) != 1) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int descriptor = -1;
    if (header != NULL && header->cmsg_type == SCM_RIGHTS) memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor;
}

/* Sets the soft limit only, which can be raised again. */
static int limit_other(int32_t process, int resource, uint64_t value) {
    struct rlimit limit;
    if (prlimit(process, resource, NULL, &limit) != 0) return -1;
    limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
    return prlimit(process, resource, &limit, NULL);
}

int support_limit_descriptors(int32_t process, uint64_t count) {
    return limit_other(process, RLIMIT_NOFILE, count);
}

int support_limit_file_size(int32_t process, uint64_t bytes) { return limit_other(process, RLIMIT_FSIZE, bytes); }

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

void support_remove_tree(const char *path) { nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS); }

int support_exchange(const char *path, const char *other) {
    return renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE);
}

int support_open_terminal(int *terminal) {
    int control = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (control < 0) return -1;
    char path[64];
    if (grantpt(control) == 0 && unlockpt(control) == 0 && ptsname_r(control, path, sizeof path) == 0) {
        *terminal = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (*terminal >= 0) return control;
    }
    close(control);
    return -1;
}
