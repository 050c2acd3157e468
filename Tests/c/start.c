/* Where the daemon is, how one is started, and which server is trusted. A folder takes the place of `/`. */
#define _GNU_SOURCE

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
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

/* ---- A program beside the running one, which others may have put there ---- */

static char in_shared[64];

static const char *shared(const char *name) {
    snprintf(in_shared, sizeof in_shared, "%s/shared/%s", folder, name);
    return in_shared;
}

/* A script that says that it was run. */
static void install(const char *name, uid_t owner) {
    FILE *program = fopen(shared(name), "w");
    CHECK(program != NULL && fputs("#!/bin/sh\necho 'I was run' >&2\nexit 69\n", program) > 0);
    CHECK(fclose(program) == 0 && chmod(in_shared, 0755) == 0 && lchown(in_shared, owner, owner) == 0);
}

/* Runs a copy of this program in the shared folder: it requests a lock, and its error is read. */
static void ask_there(const char *mode, uid_t owner, char said[512]) {
    char command[128];
    snprintf(command, sizeof command, "cp /proc/%d/exe %s", getpid(), shared("asks"));
    CHECK(system(command) == 0 && chmod(in_shared, 0755) == 0 && chown(in_shared, owner, owner) == 0);
    snprintf(command, sizeof command, "exec %s %s", shared("asks"), mode);
    FILE *asks = popen(command, "r");
    CHECK(asks != NULL);
    said[fread(said, 1, 511, asks)] = 0;
    CHECK(pclose(asks) == 0);
    unlink(shared("asks"));
}

/* In that copy. */
static int ask(const char *mode) {
    if (strcmp(mode, "ask-removed") == 0) {
        char own[512];
        ssize_t length = readlink("/proc/self/exe", own, sizeof own - 16);
        CHECK(length > 0);
        own[length] = 0;
        CHECK(unlink(own) == 0);
        /* The name that the kernel reports from now on. */
        strcat(own, " (deleted)");
        FILE *file = fopen(own, "w");
        CHECK(file != NULL && fclose(file) == 0 && chown(own, NO_USER, NO_USER) == 0);
    }
    prwlock_lock *jobs;
    OK(prwlock_open(&jobs, NULL, "jobs"));
    if (prwlock_write_lock(jobs, NULL) == 0) printf("granted\n");
    else printf("%s\n", prwlock_last_error()->message);
    return 0;
}

static bool is_not_run(const char *said) {
    return strstr(said, "I was run") == NULL && strstr(said, "another user could replace it") != NULL &&
        strstr(said, "belongs to user 65534") != NULL && strstr(said, "shared/prwlock is not run") != NULL;
}

static void a_program_of_another_user_beside_this_one_is_not_run(void) {
    char said[512], *programs;
    if (geteuid() != 0) {
        printf("  skipped: only root can install programs of another user\n");
        return;
    }
    begin_host();
    programs = strdup(getenv("PATH"));
    setenv("PATH", "/nowhere:/usr/bin:/bin", 1);
    make_folder("shared", 0700);
    CHECK(chmod(shared("."), 01777) == 0);
    install("prwlock", NO_USER);
    ask_there("ask", 0, said);
    CHECK(is_not_run(said));
    /* A file at the path of a program that is gone is not the running program. */
    ask_there("ask-removed", 0, said);
    CHECK(is_not_run(said));
    /* The owner of the running program decides what it runs. */
    ask_there("ask", NO_USER, said);
    CHECK(strstr(said, "I was run") != NULL);
    /* The next one is run. */
    setenv("PATH", programs, 1);
    free(programs);
    char path[2048];
    snprintf(path, sizeof path, "%s:/usr/bin:/bin", getenv("PATH"));
    setenv("PATH", path, 1);
    ask_there("ask", 0, said);
    CHECK(strstr(said, "granted") != NULL);
    end_started_daemon();
    setenv("PATH", "/nowhere:/usr/bin:/bin", 1);
    /* A link of another user leads where that user likes, also if it leads to a program of root now. */
    CHECK(unlink(shared("prwlock")) == 0 && symlink("/usr/bin/env", in_shared) == 0);
    CHECK(lchown(in_shared, NO_USER, NO_USER) == 0);
    ask_there("ask", 0, said);
    CHECK(is_not_run(said));
    /* No other user can replace a file of root in a sticky folder; in another one any user can. */
    CHECK(unlink(shared("prwlock")) == 0);
    install("prwlock", 0);
    ask_there("ask", 0, said);
    CHECK(strstr(said, "I was run") != NULL);
    CHECK(chmod(shared("."), 0777) == 0);
    ask_there("ask", 0, said);
    CHECK(strstr(said, "I was run") == NULL && strstr(said, "open to other users") != NULL);
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
        {"another user's program is not run where others may add one beside this one",
            a_program_of_another_user_beside_this_one_is_not_run},
        {"the system's daemon goes before one that is started", the_systems_daemon_goes_first},
        {"a folder that is open to others holds no daemon of this user", a_folder_that_is_open_holds_no_daemon},
        {"a daemon that serves elsewhere is named", a_daemon_that_serves_elsewhere_is_named},
        {"another user's server is trusted only where root has put it", another_users_server_is_not_trusted},
    };
    if (argc == 2 && strncmp(argv[1], "ask", 3) == 0) return ask(argv[1]);
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
