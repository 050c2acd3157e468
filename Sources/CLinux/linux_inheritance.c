#define _GNU_SOURCE

#include "CLinux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Calls close() for each open descriptor that /proc lists, with functions that are safe between fork and exec. */
static int close_listed(unsigned first, unsigned last) {
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return -1;
    union {
        struct dirent64 aligned;
        char bytes[4096];
    } buffer;
    long count;
    while ((count = syscall(SYS_getdents64, folder, &buffer, sizeof buffer)) > 0) {
        for (long place = 0; place < count;) {
            const struct dirent64 *entry = (const struct dirent64 *)(buffer.bytes + place);
            place += entry->d_reclen;
            unsigned number = 0;
            const char *digit = entry->d_name;
            for (; *digit >= '0' && *digit <= '9'; digit++) number = number * 10 + (unsigned)(*digit - '0');
            if (*digit == '\0' && number >= first && number <= last && number != (unsigned)folder) close((int)number);
        }
    }
    close(folder);
    return 0;
}

int linux_close_range(unsigned first, unsigned last) {
    if (close_range(first, last, 0) == 0) return 0;
    /* The kernel is older than 5.9, or a seccomp filter refuses the call. */
    if (close_listed(first, last) == 0) return 0;
    long limit = sysconf(_SC_OPEN_MAX);
    /* Without /proc, try the numbers that programs use; the limit may be a thousand million. */
    for (long descriptor = first; descriptor <= last && descriptor < limit && descriptor < 65536; descriptor++)
        close((int)descriptor);
    return 0;
}

void linux_open_standard_descriptors(void) {
    int descriptor;
    do {
        descriptor = open("/dev/null", O_RDWR);
    } while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor > STDERR_FILENO) close(descriptor);
}

void linux_reset_signals(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) sigaction(number, &standard, NULL);
}

void linux_unblock_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void linux_raise_limits(void) {
    static const int resources[] = {
        RLIMIT_CPU,    RLIMIT_FSIZE, RLIMIT_DATA,  RLIMIT_STACK,      RLIMIT_RSS,      RLIMIT_NPROC,  RLIMIT_NOFILE,
        RLIMIT_MEMLOCK, RLIMIT_AS,   RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_RTTIME,
    };
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++) {
        struct rlimit limit;
        if (getrlimit(resources[i], &limit) != 0) continue;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(resources[i], &limit);
    }
}

void linux_set_thread_stack(uint64_t bytes) {
    pthread_attr_t attributes;
    if (pthread_getattr_default_np(&attributes) != 0) return;
    if (pthread_attr_setstacksize(&attributes, bytes) == 0) pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

void linux_reset_scheduling(void) {
    struct sched_param none = {0};
    /* The kernel lets a process leave SCHED_IDLE only if its nice value is allowed, so reset that first. */
    setpriority(PRIO_PROCESS, 0, 0);
    sched_setscheduler(0, SCHED_OTHER, &none);
    syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, 0 /* IOPRIO_CLASS_NONE */);
    /* Allocate memory on the processor's own node. */
    syscall(SYS_set_mempolicy, 0 /* MPOL_DEFAULT */, NULL, 0);
    prctl(PR_SET_TIMERSLACK, 50000UL, 0, 0, 0);
    /* The kernel has at most 8,192 processors, and removes those that the control group does not allow. */
    unsigned long all[8192 / (8 * sizeof(unsigned long))];
    memset(all, 0xff, sizeof all);
    syscall(SYS_sched_setaffinity, 0, sizeof all, all);
}

int linux_nice_value(void) { return getpriority(PRIO_PROCESS, 0); }

int linux_scheduling_policy(void) { return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK; }

const int linux_standard_policy = SCHED_OTHER;

int linux_limit(int resource, uint64_t *soft, uint64_t *hard) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    int result = getrlimit(resource, &limit);
    *soft = limit.rlim_cur;
    *hard = limit.rlim_max;
    return result;
}

int linux_set_limit(int resource, uint64_t soft, uint64_t hard) {
    struct rlimit limit = {soft, hard};
    return setrlimit(resource, &limit);
}
