#define _GNU_SOURCE

#include "CTestSupport.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PEER_PIDFD = 77 };

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (count))
#define ANSWER(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((error) & SECCOMP_RET_DATA))

static int refuse(unsigned refusals, int error) {
    /* The rule for a call that is not refused compares with a number that no call has. */
    const unsigned none = ~0U;
    struct sock_filter rules[] = {
        LOAD(nr),
        SKIP_UNLESS(refusals & support_refuse_pidfd_open ? SYS_pidfd_open : none, 1),
        ANSWER(error),
        SKIP_UNLESS(refusals & support_refuse_pidfd_send_signal ? SYS_pidfd_send_signal : none, 1),
        ANSWER(error),
        SKIP_UNLESS(refusals & support_refuse_close_range ? SYS_close_range : none, 1),
        ANSWER(error),
        SKIP_UNLESS(refusals & support_refuse_peer_pidfd ? SYS_getsockopt : none, 3),
        /* On a little-endian machine, the low half of the third argument. */
        LOAD(args[2]),
        SKIP_UNLESS(PEER_PIDFD, 1),
        ANSWER(ENOPROTOOPT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int32_t support_spawn_refusing(
    const char *path, char *const arguments[], char *const environment[], const int descriptors[3], unsigned refusals,
    int error, int64_t user) {
    pid_t process = fork();
    if (process != 0) return (int32_t)process;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int sources[3];
    for (int i = 0; i < 3; i++) sources[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, 3);
    for (int i = 0; i < 3; i++)
        if (dup2(sources[i], i) < 0) _exit(126);
    close_range(3, ~0U, 0);
    if (user >= 0 && (setgroups(0, NULL) != 0 || setgid((gid_t)user) != 0 || setuid((uid_t)user) != 0)) _exit(126);
    if (refuse(refusals, error) != 0) _exit(126);
    execve(path, arguments, environment);
    _exit(127);
}
