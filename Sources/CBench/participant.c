#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "CBench.h"

pid_t bench_spawn_participant(
    const char *program, char *const arguments[], char *const environment[], const char *output, int *lines) {
    int log = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return -errno;
    int ends[2];
    pid_t parent = getpid();
    pid_t child = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 ? fork() : -1;
    if (child != 0) {
        int error = errno;
        close(log);
        if (child < 0) return -error;
        close(ends[1]);
        *lines = ends[0];
        return child;
    }
    bench_begin_child(parent);
    dup2(ends[1], STDIN_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execve(program, arguments, environment);
    dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

int bench_read_line_until(int descriptor, char *line, size_t room, int64_t deadline) {
    for (size_t length = 0; length + 1 < room;) {
        int64_t left = deadline - bench_now();
        struct pollfd ready = {.fd = descriptor, .events = POLLIN};
        int count = poll(&ready, 1, left > 0 ? (int)(left / 1000000) + 1 : 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        if (count == 0) return ETIMEDOUT;
        ssize_t got = read(descriptor, line + length, 1);
        if (got < 0) return errno;
        if (got == 0) return EPIPE;
        if (line[length] == '\n') {
            line[length] = 0;
            return 0;
        }
        length += 1;
    }
    return EMSGSIZE;
}

int bench_processor(int index) {
    cpu_set_t given;
    if (sched_getaffinity(0, sizeof given, &given) != 0) return -1;
    for (int processor = 0; processor < CPU_SETSIZE; processor++)
        if (CPU_ISSET(processor, &given) && index-- == 0) return processor;
    return -1;
}

/* Places a process's threads, and then the processes that each of them has started. */
static void place_below(pid_t process, const cpu_set_t *set) {
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *tasks = opendir(path);
    if (tasks == NULL) return;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        pid_t thread = (pid_t)strtol(task->d_name, NULL, 10);
        if (thread == 0) continue;
        sched_setaffinity(thread, sizeof *set, set);
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)process, (int)thread);
        FILE *children = fopen(path, "re");
        if (children == NULL) continue;
        for (int child; fscanf(children, "%d", &child) == 1;) place_below(child, set);
        fclose(children);
    }
    closedir(tasks);
}

void bench_place(pid_t process, int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (processor >= 0) {
        CPU_SET(processor, &set);
    } else if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return;
    }
    place_below(process, &set);
}

int bench_free_port(void) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    bool has_port = bind(descriptor, (struct sockaddr *)&address, size) == 0
                    && getsockname(descriptor, (struct sockaddr *)&address, &size) == 0;
    int error = errno;
    close(descriptor);
    return has_port ? ntohs(address.sin_port) : -error;
}
