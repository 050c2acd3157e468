#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "CBench.h"

/* Kills processes that hold or wait, and measures when the next waiter, which is this process, is granted. */

enum { LINE = 512 };

struct bench_deaths {
    const char *path;
    enum bench_victim kind;
    /* The session of the next waiter. For BENCH_WAITER, `reader` is the session that the victims wait for. */
    int next, reader;
    /* A pipe that closes with this process. Children that outlive their killed parents then end. */
    int lifeline[2];
};

struct victim {
    pid_t process;
    /* The child that keeps the victim's socket open after its death, or 0. */
    pid_t child;
    /* A socket to the victim. */
    int other;
};

static int ask(int descriptor, const char *request, const char *beginning) {
    char line[LINE];
    int error = bench_send(descriptor, request);
    if (error == 0) error = bench_read_line(descriptor, line, sizeof line);
    if (error != 0) return error;
    return strncmp(line, beginning, strlen(beginning)) == 0 ? 0 : EPROTO;
}

/* -- in the victim ----------------------------------------------------------------------------------------------- */

/* Forks a child that shares the victim's descriptors and lives as long as the benchmark. */
static pid_t leave_child(const struct bench_deaths *deaths, int other) {
    pid_t child = fork();
    if (child != 0) return child;
    close(other);
    char byte;
    while (read(deaths->lifeline[0], &byte, 1) < 0) continue;
    _exit(0);
}

/* Reaches the state in which it will be killed, reports this by sending its child's process id, and sleeps. */
static void suffer(const struct bench_deaths *deaths, enum bench_victim kind, int other) {
    pid_t child = 0;
    int error = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(deaths->lifeline[1]);
    if (kind != BENCH_PEER) {
        int session = bench_connect(deaths->path);
        if (session < 0) _exit(1);
        error = kind == BENCH_WAITER ? ask(session, "WRITE death\nPING\n", "PONG")
                                     : ask(session, "WRITE death\n", "GRANTED ");
    }
    if (kind == BENCH_HOLDER_WITH_CHILD) child = leave_child(deaths, other);
    if (error != 0 || child < 0) _exit(1);
    if (send(other, &child, sizeof child, MSG_NOSIGNAL) != sizeof child) _exit(1);
    for (;;) pause();
}

/* -- in the benchmark -------------------------------------------------------------------------------------------- */

static int find_victim(const struct bench_deaths *deaths, enum bench_victim kind, struct victim *victim) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return errno;
    victim->other = pair[0];
    victim->child = 0;
    victim->process = fork();
    if (victim->process == 0) {
        close(pair[0]);
        suffer(deaths, kind, pair[1]);
    }
    close(pair[1]);
    if (victim->process < 0) return errno;
    if (recv(victim->other, &victim->child, sizeof victim->child, 0) != sizeof victim->child) return ECHILD;
    return 0;
}

/* Kills and reaps the victim and its child: this process is the child's reaper. */
static void bury(struct victim *victim) {
    close(victim->other);
    if (victim->child > 0) kill(victim->child, SIGKILL);
    if (victim->process > 0) {
        kill(victim->process, SIGKILL);
        waitpid(victim->process, NULL, 0);
    }
    if (victim->child > 0) waitpid(victim->child, NULL, 0);
}

/* Reads the grant; `told` is whether it reports the death. */
static int read_grant(int descriptor, bool *told) {
    static const char mark[] = " ownerdied=1";
    char line[LINE];
    int error = bench_read_line(descriptor, line, sizeof line);
    if (error != 0) return error;
    if (strncmp(line, "GRANTED ", 8) != 0) return EPROTO;
    size_t length = strlen(line), tail = sizeof mark - 1;
    *told = length >= tail && strcmp(line + length - tail, mark) == 0;
    return 0;
}

static int kill_and_wait(
    const struct bench_deaths *deaths, struct victim *victim, int next, int64_t *took, bool *told) {
    int64_t begin = bench_now();
    kill(victim->process, SIGKILL);
    int error = 0;
    if (deaths->kind == BENCH_PEER) {
        char byte;
        error = recv(victim->other, &byte, 1, 0) == 0 ? 0 : EPROTO;
        *told = error == 0;
    } else {
        error = read_grant(next, told);
    }
    *took = bench_now() - begin;
    return error;
}

int bench_deaths_one(struct bench_deaths *deaths, struct bench_histogram *histogram, bool *told) {
    struct victim victim;
    int64_t took = 0;
    int error = find_victim(deaths, deaths->kind, &victim);
    if (error == 0 && deaths->kind != BENCH_PEER) {
        const char *request = deaths->kind == BENCH_WAITER ? "READ death\nPING\n" : "WRITE death\nPING\n";
        error = ask(deaths->next, request, "PONG");
    }
    if (error == 0) error = kill_and_wait(deaths, &victim, deaths->next, &took, told);
    bury(&victim);
    if (error != 0) return error;
    bench_histogram_record(histogram, took);
    return deaths->kind == BENCH_PEER ? 0 : ask(deaths->next, "RELEASE death\n", "RELEASED ");
}

/* For BENCH_WAITER: lets a reader hold a lock after its writer died, so every grant of this lock reports a death. */
static int prepare_reader(struct bench_deaths *deaths) {
    struct victim victim;
    int64_t took;
    bool told = false;
    int error = find_victim(deaths, BENCH_HOLDER, &victim);
    if (error == 0) error = ask(deaths->reader, "READ death\nPING\n", "PONG");
    if (error == 0) error = kill_and_wait(deaths, &victim, deaths->reader, &took, &told);
    bury(&victim);
    return error != 0 || told ? error : EPROTO;
}

static int connect_patiently(const char *path) {
    int descriptor = bench_connect(path);
    /* If the daemon forgets a session, the benchmark must fail, not hang. */
    struct timeval patience = {.tv_sec = 5};
    if (descriptor >= 0) setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return descriptor;
}

int bench_deaths_create(const char *path, enum bench_victim kind, struct bench_deaths **result) {
    struct bench_deaths *deaths = malloc(sizeof *deaths);
    if (deaths == NULL) return ENOMEM;
    *deaths = (struct bench_deaths){.path = strdup(path), .kind = kind, .next = -1, .reader = -1};
    *result = deaths;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (pipe2(deaths->lifeline, O_CLOEXEC) != 0) return errno;
    if (kind == BENCH_PEER) return 0;
    deaths->next = connect_patiently(path);
    deaths->reader = connect_patiently(path);
    if (deaths->next < 0 || deaths->reader < 0) return ECONNREFUSED;
    return kind == BENCH_WAITER ? prepare_reader(deaths) : 0;
}

void bench_deaths_free(struct bench_deaths *deaths) {
    if (deaths->next >= 0) close(deaths->next);
    if (deaths->reader >= 0) close(deaths->reader);
    close(deaths->lifeline[0]);
    close(deaths->lifeline[1]);
    free((char *)deaths->path);
    free(deaths);
}
