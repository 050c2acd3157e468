/* Where the daemon is, how one is started, and which server is trusted. A folder takes the place of `/`. */
#define _GNU_SOURCE

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { NO_USER = 65534 };

static void make_folder(const char *path, mode_t mode) {
    char whole[200];
    snprintf(whole, sizeof whole, "%s/%s", folder, path);
    CHECK(mkdir(whole, mode) == 0);
}

/* A host without a daemon; its programs are those that were built. */
static void begin_host(void) {
    unsetenv("PRWLOCK_SOCKET");
    setenv("PRWLOCK_TEST_ROOT", folder, 1);
    make_folder("run", 0755);
    make_folder("tmp", 0777);
    make_folder("home", 0700);
    char *programs = strdup(getenv("PRWLOCKD"));
    CHECK(programs != NULL);
    *strrchr(programs, '/') = 0;
    setenv("PATH", programs, 1);
    free(programs);
    if (geteuid() == 0)
        snprintf(socket_path, sizeof socket_path, "%s/run/prwlock-0/prwlock.sock", folder);
    else
        snprintf(socket_path, sizeof socket_path, "%s/tmp/prwlock-%u/prwlock.sock", folder, geteuid());
}

/* Ends the daemon that a client has started. */
static void end_started_daemon(void) {
    struct ucred server;
    socklen_t size = sizeof server;
    int connection = connect_by_hand();
    CHECK(strcmp(say(connection, "PING"), "PONG") == 0);
    CHECK(getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &server, &size) == 0);
    CHECK(server.pid > 1 && server.pid != getpid() && kill(server.pid, SIGKILL) == 0);
    char rest;
    while (read(connection, &rest, 1) > 0) {}
}

static void the_first_request_starts_a_daemon(void) {
    begin_host();
    prwlock_lock *jobs = own("jobs");
    OK(prwlock_write_lock(jobs, NULL));
    await_status(connect_by_hand(), "jobs", "* holder");
    OK(prwlock_unlock(jobs));
    end_started_daemon();
    /* The next one is started in its place. The session may end in the middle of the first request. */
    int result;
    do result = prwlock_write_lock(jobs, NULL);
    while (result == PRWLOCK_ENDED);
    OK(result);
    end_started_daemon();
}

static void lock_once(int from, int to) {
    (void)from;
    OK(prwlock_write_lock(own("jobs"), NULL));
    tell(to);
}

static void processes_that_begin_at_once_find_one_daemon(void) {
    begin_host();
    struct process processes[4];
    for (int i = 0; i < 4; i++) processes[i] = start_process(lock_once);
    for (int i = 0; i < 4; i++) {
        await_word(processes[i].from);
        CHECK(await_end(processes[i].pid) == 0);
    }
    end_started_daemon();
}

static void a_program_that_ignores_its_children_starts_a_daemon(void) {
    begin_host();
    signal(SIGCHLD, SIG_IGN);
    OK(prwlock_write_lock(own("jobs"), NULL));
    end_started_daemon();
}

static void starting_may_be_forbidden(void) {
    begin_host();
    setenv("PRWLOCK_AUTOSTART", "0", 1);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), PRWLOCK_UNAVAILABLE);
    CHECK(strstr(prwlock_last_error()->message, "PRWLOCK_AUTOSTART") != NULL);
}

static void without_a_program_there_is_an_error(void) {
    begin_host();
    setenv("PATH", "relative:/nowhere", 1);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), PRWLOCK_UNAVAILABLE);
    CHECK(strstr(prwlock_last_error()->message, "no program prwlock was found") != NULL);
}

static void what_the_program_complains_about_is_reported(void) {
    char path[200];
    begin_host();
    make_folder("bin", 0755);
    snprintf(path, sizeof path, "%s/bin/prwlock", folder);
    FILE *program = fopen(path, "w");
    CHECK(program != NULL && fputs("#!/bin/sh\necho 'no disk is left' >&2\nexit 69\n", program) > 0);
    CHECK(fclose(program) == 0 && chmod(path, 0755) == 0);
    *strrchr(path, '/') = 0;
    setenv("PATH", path, 1);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), PRWLOCK_UNAVAILABLE);
    CHECK(strstr(prwlock_last_error()->message, "no disk is left") != NULL);
    /* Another user could replace it. */
    CHECK(chmod(path, 0777) == 0);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), PRWLOCK_REFUSED);
    CHECK(strstr(prwlock_last_error()->message, "open to other users") != NULL);
}

static void the_systems_daemon_goes_first(void) {
    begin_host();
    make_folder("run/prwlock", 0755);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), PRWLOCK_UNAVAILABLE);
    CHECK(strstr(prwlock_last_error()->message, "systemctl start") != NULL);
    snprintf(socket_path, sizeof socket_path, "%s/run/prwlock/prwlock.sock", folder);
    start_daemon(NULL);
    OK(prwlock_write_lock(own("jobs"), NULL));
    await_status(connect_by_hand(), "jobs", "* holder");
}

static void a_folder_that_is_open_holds_no_daemon(void) {
    begin_host();
    setenv("PRWLOCK_AUTOSTART", "0", 1);
    char *name = strrchr(socket_path, '/');
    *name = 0;
    CHECK(mkdir(socket_path, 0755) == 0);
    *name = '/';
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 8) == 0);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), PRWLOCK_UNAVAILABLE);
    CHECK(strstr(prwlock_last_error()->message, "PRWLOCK_AUTOSTART") != NULL);
}

/* Holds the guard, as a daemon does that sees another /tmp. */
static void hold_guard(int from, int to) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "prwlock-%u%s", geteuid(), folder);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    int guard = socket(AF_UNIX, SOCK_STREAM, 0);
    static const char line[] = "prwlockd pid=1 socket=/elsewhere/s\n";
    CHECK(bind(guard, (struct sockaddr *)&name, size) == 0 && listen(guard, 8) == 0);
    tell(to);
    (void)from;
    for (;;) {
        int connection = accept(guard, NULL, NULL);
        CHECK(connection >= 0);
        /* A client that has had enough may be gone. */
        (void)!send(connection, line, sizeof line - 1, MSG_NOSIGNAL);
        close(connection);
    }
}

static void a_daemon_that_serves_elsewhere_is_named(void) {
    begin_host();
    struct process process = start_process(hold_guard);
    await_word(process.from);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), PRWLOCK_UNAVAILABLE);
    CHECK(strstr(prwlock_last_error()->message, "socket=/elsewhere/s") != NULL);
    kill(process.pid, SIGKILL);
    await_end(process.pid);
}

/* Listens as another user, and answers like a server of another kind. */
static void serve_as_another(int from, int to) {
    (void)from;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(chown(socket_path, NO_USER, NO_USER) == 0);
    CHECK(setresuid(NO_USER, NO_USER, NO_USER) == 0);
    /* The kernel forgets it with a change of the user. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHECK(listen(listener, 8) == 0);
    tell(to);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        CHECK(connection >= 0 && dprintf(connection, "220 ready\n") > 0);
        char rest[256];
        while (read(connection, rest, sizeof rest) > 0) {}
        close(connection);
    }
}

static void check_trust(uid_t owner_of_folder, int code, const char *trusted) {
    char place[200];
    snprintf(place, sizeof place, "%s/place", folder);
    CHECK(chown(place, owner_of_folder, 0) == 0);
    if (trusted != NULL) setenv("PRWLOCK_SERVER_UID", trusted, 1);
    struct process process = start_process(serve_as_another);
    await_word(process.from);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), code);
    kill(process.pid, SIGKILL);
    await_end(process.pid);
    unlink(socket_path);
    unsetenv("PRWLOCK_SERVER_UID");
}

/* A server that is trusted is asked, and found to be no lock daemon. */
static void another_users_server_is_not_trusted(void) {
    if (geteuid() != 0) {
        printf("  skipped: only root can serve as another user\n");
        return;
    }
    snprintf(socket_path, sizeof socket_path, "%s/place/s", folder);
    setenv("PRWLOCK_SOCKET", socket_path, 1);
    make_folder("place", 0755);
    check_trust(0, PRWLOCK_PROTOCOL, NULL);
    check_trust(NO_USER, PRWLOCK_REFUSED, NULL);
    CHECK(strstr(prwlock_last_error()->message, "PRWLOCK_SERVER_UID=65534") != NULL);
    check_trust(NO_USER, PRWLOCK_PROTOCOL, "65534");
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"the first request starts a daemon", the_first_request_starts_a_daemon},
        {"processes that begin at once find one daemon", processes_that_begin_at_once_find_one_daemon},
        {"a program that ignores its children starts a daemon", a_program_that_ignores_its_children_starts_a_daemon},
        {"PRWLOCK_AUTOSTART=0 forbids starting", starting_may_be_forbidden},
        {"without a program that starts it there is an error", without_a_program_there_is_an_error},
        {"what that program complains about is reported, and another user's is not run",
            what_the_program_complains_about_is_reported},
        {"the system's daemon goes before one that is started", the_systems_daemon_goes_first},
        {"a folder that is open to others holds no daemon of this user", a_folder_that_is_open_holds_no_daemon},
        {"a daemon that serves elsewhere is named", a_daemon_that_serves_elsewhere_is_named},
        {"another user's server is trusted only where root has put it", another_users_server_is_not_trusted},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
