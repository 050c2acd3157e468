/* Connects to the daemon, by the rules of `DaemonConnector`, `SocketLocation` and `ServerTrust`: of these, the usual course.
   What they would refuse, or do about a daemon that is missing, is left to them. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "run.h"

enum { PATH_ROOM = sizeof(((struct sockaddr_un *)0)->sun_path) };

/* Whether each user has a number of its own here (`UserNamespace`): one line for all users, or no namespaces. */
static int are_users_distinct(void) {
    int file = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    char text[256];
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return 0;
    text[length] = 0;
    unsigned long inside, outside, count;
    int end = 0;
    return sscanf(text, "%lu %lu %lu %n", &inside, &outside, &count, &end) == 3 && inside == 0 && outside == 0
           && count == 4294967295 && text[end] == 0;
}

/* Connects without waiting. Returns the socket, or -1 and `errno`. */
static int reach(const struct sockaddr_un *address, socklen_t length) {
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection < 0)
        return -1;
    if (connect(connection, (const struct sockaddr *)address, length) == 0)
        return connection;
    int error = errno;
    close(connection);
    errno = error;
    return -1;
}

static int reach_path(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    return reach(&address, sizeof address);
}

/* Whether the user at the other end is root or this process's own: rule 1 of `ServerTrust`. */
static int is_own_server(int connection, uid_t *server) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return 0;
    *server = peer.uid;
    return peer.uid == 0 || (peer.uid == geteuid() && are_users_distinct());
}

static int refuse(int connection) {
    close(connection);
    return -1;
}

/* The user's own daemon in this folder. Returns -1 if the folder is not the user's own, or no daemon is there. */
static int connect_own(const char *root, const char *parent, int *is_absent) {
    char path[PATH_ROOM];
    int length = snprintf(path, sizeof path, "%s%s/prwlock-%u", root, parent, geteuid());
    if (length < 0 || (size_t)length + sizeof "/prwlock.sock" > sizeof path)
        return -1;
    struct stat folder;
    if (lstat(path, &folder) < 0) {
        *is_absent = errno == ENOENT;
        return -1;
    }
    if (!S_ISDIR(folder.st_mode) || folder.st_uid != geteuid() || folder.st_mode & 077)
        return -1;
    strcpy(path + length, "/prwlock.sock");
    int connection = reach_path(path);
    uid_t server;
    if (connection >= 0)
        return is_own_server(connection, &server) ? connection : refuse(connection);
    *is_absent = errno == ENOENT || errno == ECONNREFUSED;
    return -1;
}

/* Whether no daemon of this user runs that does not listen at the moment (`PlaceGuard`). */
static int is_guard_free(const char *root) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "prwlock-%u%s", geteuid(), root);
    if (length < 0 || (size_t)length >= sizeof address.sun_path - 1)
        return 0;
    int connection = reach(&address, offsetof(struct sockaddr_un, sun_path) + 1 + length);
    if (connection < 0)
        return errno == ECONNREFUSED;
    close(connection);
    return 0;
}

/* Whether only root can put another folder at this path, which is one itself. */
static int is_roots_folder(const char *path) {
    struct stat folder;
    return lstat(path, &folder) == 0 && S_ISDIR(folder.st_mode) && folder.st_uid == 0 && !(folder.st_mode & 022);
}

/* The system's daemon: rule 3 of `ServerTrust` for its folder, which is looked at before the connection is made. */
static int connect_system(const char *root) {
    static const char path[] = "/run/prwlock/prwlock.sock";
    struct stat folder, file;
    if (*root || !is_roots_folder("/") || !is_roots_folder("/run") || lstat("/run/prwlock", &folder) < 0
        || !S_ISDIR(folder.st_mode) || folder.st_mode & 022)
        return -1;
    int connection = reach_path(path);
    if (connection < 0)
        return -1;
    uid_t server = 0;
    if (is_own_server(connection, &server))
        return connection;
    int is_servers_folder = folder.st_uid == 0 || folder.st_uid == geteuid() || folder.st_uid == server;
    int is_servers_file = lstat(path, &file) == 0 && S_ISSOCK(file.st_mode)
                          && (file.st_uid == 0 || file.st_uid == geteuid() || file.st_uid == server);
    return is_servers_folder && is_servers_file && are_users_distinct() ? connection : refuse(connection);
}

int run_connect(const char *named) {
    const char *variable = getenv("PRWLOCK_SOCKET");
    if (!named && variable && *variable)
        named = variable;
    if (named) {
        int connection = reach_path(named);
        uid_t server;
        return connection < 0 || is_own_server(connection, &server) ? connection : refuse(connection);
    }
    const char *root = getenv("PRWLOCK_TEST_ROOT");
    if (!root || *root != '/')
        root = "";
    /* First this look, and then the user's own place: `DaemonConnector.start` says why. */
    char system[PATH_ROOM];
    struct stat folder;
    if (snprintf(system, sizeof system, "%s/run/prwlock", root) >= (int)sizeof system)
        return -1;
    int has_system = stat(system, &folder) == 0 && S_ISDIR(folder.st_mode);
    int is_absent = 1;
    int connection = geteuid() == 0 ? connect_own(root, "/run", &is_absent) : -1;
    if (connection < 0 && is_absent) {
        is_absent = 0;
        connection = connect_own(root, "/tmp", &is_absent);
    }
    if (connection >= 0 || !is_absent || !has_system || !is_guard_free(root))
        return connection;
    return connect_system(root);
}
