#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "CBench.h"

void bench_begin_child(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The parent may have ended before the call above. */
    if (getppid() != parent) _exit(1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t bench_spawn(
    const char *program, char *const arguments[], char *const environment[], const char *output) {
    int log = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return -errno;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child != 0) {
        int error = errno;
        close(log);
        return child < 0 ? -error : child;
    }
    bench_begin_child(parent);
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(input, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execve(program, arguments, environment);
    dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

bool bench_has_ended(pid_t child) {
    return waitpid(child, NULL, WNOHANG) != 0;
}

void bench_end(pid_t child, int64_t patience) {
    int64_t deadline = bench_now() + patience;
    kill(child, SIGTERM);
    while (!bench_has_ended(child)) {
        if (bench_now() > deadline) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* Adds up the numbers that follow a word in a file; returns -1 if there is no such file. */
static int64_t sum_in_file(const char *path, const char *word) {
    FILE *file = fopen(path, "re");
    if (file == NULL) return -1;
    char line[512];
    int64_t sum = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *found = strstr(line, word);
        if (found != NULL) sum += strtoll(found + strlen(word), NULL, 10);
    }
    fclose(file);
    return sum;
}

/* Adds up these numbers over a file of each thread of a process. */
static int64_t sum_over_threads(pid_t process, const char *name, const char *word) {
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *directory = opendir(path);
    if (directory == NULL) return -1;
    int64_t sum = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.16s/%s", (int)process, entry->d_name, name);
        int64_t one = sum_in_file(path, word);
        if (one > 0) sum += one;
    }
    closedir(directory);
    return sum;
}

/* A row of a process's status that counts kibibytes, in bytes. */
static int64_t status_bytes(pid_t process, const char *row) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    int64_t kibibytes = sum_in_file(path, row);
    return kibibytes < 0 ? -1 : kibibytes * 1024;
}

int64_t bench_resident(pid_t process) {
    return status_bytes(process, "VmRSS:");
}

int64_t bench_peak_resident(pid_t process) {
    return status_bytes(process, "VmHWM:");
}

int64_t bench_processor_time(pid_t process) {
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) != 0) return -1;
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t bench_switches(pid_t process) {
    /* The word also matches `nonvoluntary_ctxt_switches:`. */
    return sum_over_threads(process, "status", "voluntary_ctxt_switches:");
}

size_t bench_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

/* The processors that this process was given. */
static cpu_set_t given;
static bool has_given;

int bench_pin(void) {
    if (!has_given && sched_getaffinity(0, sizeof given, &given) < 0)
        return -1;
    has_given = true;
    for (int processor = 0; processor < CPU_SETSIZE; processor++) {
        if (!CPU_ISSET(processor, &given))
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        return sched_setaffinity(0, sizeof one, &one) < 0 ? -1 : processor;
    }
    return -1;
}

void bench_unpin(void) {
    if (has_given)
        sched_setaffinity(0, sizeof given, &given);
}

bool bench_set_real_time(bool wanted) {
    struct sched_param priority = {.sched_priority = wanted ? 20 : 0};
    return sched_setscheduler(0, wanted ? SCHED_FIFO : SCHED_OTHER, &priority) == 0;
}
