#define _GNU_SOURCE

#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

int linux_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }

int linux_peer_credentials(int socket, int32_t *process, uint32_t *user, uint32_t *group) {
    struct ucred peer = {0, 0, 0};
    socklen_t length = sizeof peer;
    int result = getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length);
    *process = peer.pid;
    *user = peer.uid;
    *group = peer.gid;
    return result;
}

int linux_peer_groups(int socket, uint32_t *groups, int count) {
    socklen_t length = (socklen_t)count * sizeof *groups;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &length) != 0) return -1;
    return (int)(length / sizeof *groups);
}

int linux_peer_pidfd(int socket) {
    int descriptor = -1;
    socklen_t length = sizeof descriptor;
    return getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &descriptor, &length) == 0 ? descriptor : -1;
}

int linux_pidfd_open(int32_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int linux_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int linux_open_path(const char *path) { return open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC); }

int linux_open_entry(int directory, const char *name) {
    return openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int linux_acts_as_owner(int directory, const char *name) {
    /* Only the owner, or a process with CAP_FOWNER over the owner, may open a file with O_NOATIME. */
    int file = openat(directory, name, O_RDONLY | O_NONBLOCK | O_NOATIME | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) return -1;
    close(file);
    return 1;
}

int linux_has_access_list(int directory) {
    int file = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return 1;
    ssize_t length = fgetxattr(file, "system.posix_acl_access", NULL, 0);
    int is_missing = length < 0 && (errno == ENODATA || errno == EOPNOTSUPP);
    close(file);
    return !is_missing;
}

int linux_readable_bytes(int socket, int *count) { return ioctl(socket, FIONREAD, count); }

int linux_exit_status(int pidfd, int *status) {
    /* The first version of struct pidfd_info, which the headers of Debian 12 lack. */
    struct {
        uint64_t mask, cgroup;
        uint32_t ids[11];
        int32_t exit_status;
    } info = {.mask = 1 << 3}; /* PIDFD_INFO_EXIT */
    if (ioctl(pidfd, _IOWR(0xFF, 11, info), &info) < 0) return -1; /* PIDFD_GET_INFO */
    if (!(info.mask & 1 << 3)) {
        errno = ENODATA;
        return -1;
    }
    *status = info.exit_status;
    return 0;
}

int linux_allowed_processors(void) {
    /* The kernel refuses a set smaller than its own, which has at most 8,192 processors. */
    unsigned long set[8192 / (8 * sizeof(unsigned long))];
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof set, set);
    if (bytes < 0) return -1;
    int count = 0;
    for (size_t i = 0; i < (size_t)bytes / sizeof set[0]; i++) count += __builtin_popcountl(set[i]);
    return count;
}

int linux_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int linux_spawn_close_from(posix_spawn_file_actions_t *actions, int lowest) {
    return posix_spawn_file_actions_addclosefrom_np(actions, lowest);
}

int linux_spawn_change_directory(posix_spawn_file_actions_t *actions, const char *path) {
    return posix_spawn_file_actions_addchdir_np(actions, path);
}

const short linux_spawn_new_session = POSIX_SPAWN_SETSID;
