/*
 * Where the daemon is: protocol.md, "Where the daemon is". Every process of a user must find the same one.
 *
 * First look whether the system's folder exists, then try the user's own daemon, and act on the first result.
 * In another order two clients could use two daemons while the service is being installed.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* A daemon may end before its first reply, and the next one too. */
    ATTEMPTS = 3,
    /* How often to begin again because others were quicker. */
    MOST_OVERTAKINGS = 100,
    /* How long a daemon that holds the guard may take until it answers at the user's own place, in milliseconds. */
    ELSEWHERE_TIME = 1500,
    GUARD_PAUSE = 20,
    /* How long the guard may take to say who it is, in milliseconds. */
    GUARD_TIME = 200,
    PATH_SIZE = 256,
};

const char *prw_root(void) {
    const char *root = secure_getenv("PRWLOCK_TEST_ROOT");
    return root == NULL || strlen(root) > PATH_SIZE / 2 ? "" : root;
}

static bool has_system(void) {
    char path[PATH_SIZE];
    struct stat status;
    snprintf(path, sizeof path, "%s/run/prwlock", prw_root());
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The folders of the user's own daemon, in order. Only root makes folders in /run. Returns false after the last. */
static bool own_folder(int number, char folder[PATH_SIZE]) {
    uid_t user = geteuid();
    if (number == 0 && user == 0) {
        snprintf(folder, PATH_SIZE, "%s/run/prwlock-0", prw_root());
        return true;
    }
    snprintf(folder, PATH_SIZE, "%s/tmp/prwlock-%u", prw_root(), user);
    return number < (user == 0 ? 2 : 1);
}

/* Checks the open folder, so that it cannot be exchanged. Any user can take a name in /tmp. */
static bool is_private(const char *path) {
    struct stat status;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return false;
    bool is_own = fstat(folder, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & 077) == 0 &&
                  (!prw_is_ambiguous(status.st_uid) || prw_acts_as_owner(folder, "."));
    close(folder);
    return is_own;
}

static enum prw_reach reach_own(
    const prwlock_client *client, struct prw_thread *thread, int64_t end, struct prw_session **session) {
    char folder[PATH_SIZE], path[PATH_SIZE + 16];
    for (int number = 0; own_folder(number, folder); number++) {
        if (!is_private(folder)) continue;
        snprintf(path, sizeof path, "%s/prwlock.sock", folder);
        enum prw_reach reach = prw_greet(path, PRW_OWN, client->flags, thread, end, session);
        if (reach != PRW_NO_DAEMON) return reach;
    }
    return PRW_NO_DAEMON;
}

static enum prw_reach reach_named(
    const prwlock_client *client, const char *path, enum prw_origin origin, const char *advice,
    struct prw_thread *thread, int64_t end, struct prw_session **session) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        enum prw_reach reach = prw_greet(path, origin, client->flags, thread, end, session);
        if (reach != PRW_NO_DAEMON) return reach;
    }
    prw_fail(thread, PRWLOCK_UNAVAILABLE, "no lock daemon listens at %s%s", path, advice);
    return PRW_FAILED;
}

/* ---- The guard: it says which daemon is the user's, also if that one's socket was removed ---- */

/* Returns whether a daemon of this user holds the guard; `said` gets its line. */
static bool ask_guard(char *said, size_t capacity) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "prwlock-%u%s", geteuid(), prw_root());
    if (length < 0 || (size_t)length >= sizeof name.sun_path - 1) return false;
    int guard = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (guard < 0) return false;
    struct ucred server;
    socklen_t size = sizeof server;
    socklen_t name_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    bool is_held = connect(guard, (struct sockaddr *)&name, name_size) == 0 &&
                   getsockopt(guard, SOL_SOCKET, SO_PEERCRED, &server, &size) == 0 && server.uid == geteuid();
    size_t count = 0;
    int64_t end = prw_now() + GUARD_TIME * PRW_MILLISECOND;
    struct pollfd readable = {.fd = guard, .events = POLLIN};
    while (is_held && count + 1 < capacity && prw_now() < end) {
        if (poll(&readable, 1, prw_poll_time(end, PRW_SECOND)) <= 0) continue;
        ssize_t more = recv(guard, said + count, capacity - 1 - count, 0);
        if (more <= 0) break;
        count += (size_t)more;
    }
    said[count] = 0;
    said[strcspn(said, "\n")] = 0;
    close(guard);
    return is_held;
}

/* A daemon of this user may be about to listen again, or to end. */
static enum prw_reach await_holder(
    const prwlock_client *client, struct prw_thread *thread, int64_t end, struct prw_session **session) {
    char said[PRW_LINE];
    int64_t patience = prw_now() + ELSEWHERE_TIME * PRW_MILLISECOND;
    if (patience > end) patience = end;
    while (ask_guard(said, sizeof said)) {
        enum prw_reach reach = reach_own(client, thread, end, session);
        if (reach != PRW_NO_DAEMON) return reach;
        if (prw_now() > patience) {
            prw_fail(thread, PRWLOCK_UNAVAILABLE,
                "this user's lock daemon (%.200s) cannot be reached from here: this process may have another /tmp "
                "or /run; set PRWLOCK_SOCKET to a socket that both can reach, or install the service",
                said);
            return PRW_FAILED;
        }
        prw_sleep(GUARD_PAUSE * PRW_MILLISECOND);
    }
    return PRW_NO_DAEMON;
}

/* ---- The rules ---- */

static enum prw_reach start_own(
    const prwlock_client *client, struct prw_thread *thread, int64_t end, struct prw_session **session) {
    const char *may_start = secure_getenv("PRWLOCK_AUTOSTART");
    char folder[PATH_SIZE], said[PRW_MESSAGE / 2] = "";
    if (may_start != NULL && strcmp(may_start, "0") == 0) {
        own_folder(0, folder);
        prw_fail(thread, PRWLOCK_UNAVAILABLE,
            "no lock daemon listens at %s/prwlock.sock, and PRWLOCK_AUTOSTART=0 forbids starting one", folder);
        return PRW_FAILED;
    }
    if (prw_start(thread, end, said, sizeof said) != 0) return PRW_FAILED;
    enum prw_reach reach = reach_own(client, thread, end, session);
    if (reach == PRW_NO_DAEMON)
        prw_fail(thread, PRWLOCK_UNAVAILABLE, "no lock daemon could be started%s%s", said[0] == 0 ? "" : ": ", said);
    return reach;
}

enum prw_reach prw_reach(
    const prwlock_client *client, struct prw_thread *thread, int64_t end, struct prw_session **session) {
    const char *named = client->socket;
    if (named == NULL) named = secure_getenv("PRWLOCK_SOCKET");
    if (named != NULL && named[0] != 0)
        return reach_named(client, named, PRW_NAMED, ": run prwlockd, or name another socket", thread, end, session);
    int failures = 0;
    for (int attempt = 0; attempt < MOST_OVERTAKINGS && failures < ATTEMPTS; attempt++) {
        bool has_service = has_system();
        enum prw_reach reach = reach_own(client, thread, end, session);
        if (reach == PRW_NO_DAEMON) reach = await_holder(client, thread, end, session);
        if (reach != PRW_NO_DAEMON) return reach;
        if (has_service) {
            char path[PATH_SIZE];
            snprintf(path, sizeof path, "%s/run/prwlock/prwlock.sock", prw_root());
            const char *advice = ", though this system has the service: systemctl start prwlockd.socket";
            return reach_named(client, path, PRW_SYSTEM, advice, thread, end, session);
        }
        reach = start_own(client, thread, end, session);
        /* The service may have come meanwhile. */
        if (reach == PRW_REACHED || (reach == PRW_FAILED && !has_system())) return reach;
        failures++;
    }
    if (failures == 0) prw_fail(thread, PRWLOCK_UNAVAILABLE, "no lock daemon could be reached");
    return PRW_FAILED;
}
