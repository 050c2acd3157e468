/*
 * Which users a client trusts: protocol.md, "Which server a client trusts", and for programs "Starting a
 * daemon".
 *
 * A path that passes stays as it is until a trusted user changes it. So it is checked first and used
 * afterwards.
 *
 * 1. A folder belongs to a trusted user, and no other user may write to it.
 * 2. A folder with the sticky bit (/tmp) may be open to others. Then the next part must belong to a trusted
 *    user.
 * 3. A link belongs to a trusted user. Its target is walked by these rules too.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MOST_LINKS = 40,
    /* Users that are trusted besides root and the client's own. */
    MOST_OTHERS = 8,
};

/* ---- Numbers of users in a user namespace, where one number may stand for several users ---- */

static void read_line(const char *path, char line[64]) {
    line[0] = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    ssize_t count = read(file, line, 63);
    line[count < 0 ? 0 : count] = 0;
    close(file);
}

bool prw_is_ambiguous(uid_t user) {
    char line[64];
    unsigned long first, outside, count;
    if (user == 0) return false;
    read_line("/proc/self/uid_map", line);
    if (line[0] == 0) return false;
    if (sscanf(line, "%lu %lu %lu", &first, &outside, &count) == 3 && count == UINT32_MAX) return false;
    read_line("/proc/sys/kernel/overflowuid", line);
    return user == (line[0] == 0 ? 65534u : (uid_t)strtoul(line, NULL, 10));
}

bool prw_acts_as_owner(int folder, const char *name) {
    int file = openat(folder, name, O_RDONLY | O_NONBLOCK | O_NOATIME | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0) close(file);
    return file >= 0;
}

/* ---- The walk ---- */

struct walk {
    mode_t writers;      /* who else must not write to a folder */
    bool takes_last;     /* any user may own the last folder: only root makes folders in /run */
    bool follows;        /* a link in the place of the last part is followed */
    bool is_shared;      /* others may write to the present folder */
    uid_t user;
    uid_t others[MOST_OTHERS]; /* further users who count as trusted */
    int count;
    uid_t stranger;      /* the user because of which the walk ended; `user` if it ended for another reason */
    int folder;          /* the present folder, open */
    struct stat last;    /* of the last part; its mode is 0 if it is missing */
    char name[NAME_MAX + 1];
    char *reason;
    size_t capacity;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct walk *walk, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(walk->reason, walk->capacity, format, arguments);
    va_end(arguments);
    return false;
}

static bool checks_owner(struct walk *walk, const struct stat *status, const char *name, int parent) {
    if (status->st_uid == 0) return true;
    bool is_other = false;
    for (int i = 0; i < walk->count; i++) is_other |= walk->others[i] == status->st_uid;
    if (is_other && !prw_is_ambiguous(status->st_uid)) return true;
    if (status->st_uid != walk->user) walk->stranger = status->st_uid;
    if (status->st_uid != walk->user) return refuse(walk, "%.60s on its path belongs to user %u", name, status->st_uid);
    if (!prw_is_ambiguous(status->st_uid) || prw_acts_as_owner(parent, name)) return true;
    return refuse(walk, "%.60s on its path belongs to a user without a number", name);
}

static bool enters(struct walk *walk, int folder, const char *name, bool is_last) {
    struct stat status;
    bool is_good = fstat(folder, &status) == 0;
    if (is_good && !(is_last && walk->takes_last && !walk->is_shared))
        is_good = checks_owner(walk, &status, name, walk->folder >= 0 ? walk->folder : folder);
    if (is_good) {
        walk->is_shared = (status.st_mode & walk->writers) != 0;
        if (walk->is_shared && (status.st_mode & S_ISVTX) == 0)
            is_good = refuse(walk, "%.60s on its path is open to other users", name);
    }
    if (walk->folder >= 0) close(walk->folder);
    walk->folder = folder;
    return is_good;
}

static bool opens(struct walk *walk, const char *name, bool is_last) {
    int at = walk->folder >= 0 ? walk->folder : AT_FDCWD;
    int folder = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return refuse(walk, "its folder cannot be looked at (%s)", strerror(errno));
    return enters(walk, folder, name, is_last);
}

static bool begins_at_root(struct walk *walk, bool is_last) {
    if (walk->folder >= 0) close(walk->folder);
    walk->folder = -1;
    walk->is_shared = false;
    return opens(walk, "/", is_last);
}

/* Takes the first part off; returns whether it was the last. */
static bool takes_part(char *rest, char *part) {
    char *begin = rest;
    for (;;) {
        begin += strspn(begin, "/");
        size_t length = strcspn(begin, "/");
        bool is_dot = length == 1 && *begin == '.';
        if (length > NAME_MAX) length = NAME_MAX;
        memcpy(part, begin, length);
        part[length] = 0;
        begin += length;
        if (!is_dot || *begin == 0) break;
    }
    begin += strspn(begin, "/");
    memmove(rest, begin, strlen(begin) + 1);
    return *rest == 0;
}

/* Walks to the last part: `folder` and `name` are where it is. Close `folder` afterwards. */
static bool walks(struct walk *walk, const char *path) {
    char rest[PATH_MAX], target[PATH_MAX], grown[PATH_MAX];
    if (path[0] == '/') {
        if (strlen(path) >= sizeof rest) return refuse(walk, "its path is too long");
        strcpy(rest, path);
    } else {
        char here[PATH_MAX];
        if (getcwd(here, sizeof here) == NULL) return refuse(walk, "its folder is not known");
        if ((size_t)snprintf(rest, sizeof rest, "%s/%s", here, path) >= sizeof rest)
            return refuse(walk, "its path is too long");
    }
    if (!begins_at_root(walk, strchr(rest + strspn(rest, "/"), '/') == NULL)) return false;
    for (int links = 0;;) {
        bool is_last = takes_part(rest, walk->name);
        if (fstatat(walk->folder, walk->name, &walk->last, AT_SYMLINK_NOFOLLOW) != 0) {
            walk->last.st_mode = 0;
            if (is_last && errno == ENOENT) return true;
            return refuse(walk, "its path cannot be looked at (%s)", strerror(errno));
        }
        if (S_ISLNK(walk->last.st_mode) && (!is_last || walk->follows)) {
            if (!checks_owner(walk, &walk->last, walk->name, walk->folder)) return false;
            ssize_t length = readlinkat(walk->folder, walk->name, target, sizeof target - 1);
            if (length < 0 || ++links > MOST_LINKS) return refuse(walk, "its path has too many links");
            target[length] = 0;
            if ((size_t)snprintf(grown, sizeof grown, "%s/%s", target, rest) >= sizeof grown)
                return refuse(walk, "its path is too long");
            /* Without the slash that stands for nothing. */
            if (is_last) grown[length] = 0;
            strcpy(rest, grown);
            if (target[0] == '/' && !begins_at_root(walk, strchr(rest + strspn(rest, "/"), '/') == NULL)) return false;
            continue;
        }
        if (is_last && strcmp(walk->name, "..") != 0)
            return !walk->is_shared || checks_owner(walk, &walk->last, walk->name, walk->folder);
        if (is_last) return refuse(walk, "its path is a folder");
        if (!opens(walk, walk->name, strchr(rest, '/') == NULL)) return false;
    }
}

static struct walk begin_walk(char *reason, size_t capacity) {
    uid_t user = geteuid();
    return (struct walk){
        .writers = 022, .user = user, .stranger = user, .folder = -1, .reason = reason, .capacity = capacity};
}

/* ---- Sockets ---- */

void prw_look_at_folder(struct prw_folder *folder, const char *path, enum prw_origin origin) {
    struct stat status;
    *folder = (struct prw_folder){0};
    snprintf(folder->reason, sizeof folder->reason, "it is your own place");
    /* The folder of the user's own place is private. */
    if (origin == PRW_OWN && !prw_is_ambiguous(geteuid())) return;
    struct walk walk = begin_walk(folder->reason, sizeof folder->reason);
    char system[PATH_MAX];
    snprintf(system, sizeof system, "%s/run/prwlock/prwlock.sock", prw_root());
    walk.takes_last = strcmp(path, system) == 0;
    if (walks(&walk, path)) {
        if (fstat(walk.folder, &status) != 0 || (status.st_mode & 022) != 0) {
            snprintf(folder->reason, sizeof folder->reason, "the socket is in a folder that others may write to");
        } else {
            folder->is_sure = true;
            folder->owner = status.st_uid;
        }
    }
    if (walk.folder >= 0) close(walk.folder);
}

static bool is_trusted(uid_t owner, uid_t server) { return owner == 0 || owner == geteuid() || owner == server; }

bool prw_trusts(struct prw_folder *folder, uid_t user, const char *path) {
    if (user == 0 || (user == geteuid() && !prw_is_ambiguous(user))) return true;
    const char *named = secure_getenv("PRWLOCK_SERVER_UID");
    char number[16];
    snprintf(number, sizeof number, "%u", user);
    if (named != NULL && strcmp(named, number) == 0) return true;
    if (!folder->is_sure) return false;
    struct stat status;
    if (!is_trusted(folder->owner, user)) {
        snprintf(folder->reason, sizeof folder->reason, "the folder of the socket belongs to user %u", folder->owner);
    } else if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        snprintf(folder->reason, sizeof folder->reason, "the path does not name a socket");
    } else if (!is_trusted(status.st_uid, user)) {
        snprintf(folder->reason, sizeof folder->reason, "the socket's file belongs to user %u", status.st_uid);
    } else {
        return true;
    }
    return false;
}

/* ---- Programs ---- */

static bool walks_to_program(struct walk *walk, const char *path) {
    /* Which groups may write to a folder on PATH is the administrator's choice. */
    walk->writers = 002;
    walk->follows = true;
    bool is_good = walks(walk, path);
    if (is_good && !S_ISREG(walk->last.st_mode)) is_good = refuse(walk, "it is no program");
    if (is_good) is_good = checks_owner(walk, &walk->last, walk->name, walk->folder);
    if (is_good && (walk->last.st_mode & walk->writers) != 0) is_good = refuse(walk, "it is open to other users");
    if (walk->folder >= 0) close(walk->folder);
    return is_good;
}

/*
 * Adds the users who could replace the running program: they decide what this process runs anyway. That is not so of a
 * program with more rights than its caller, who chose its path; nor if the program is gone, as its path may be that
 * of another user's file.
 */
static void trust_users_of_own_program(struct walk *walk) {
    char own[PATH_MAX], reason[PRW_MESSAGE / 2];
    struct stat status;
    struct walk look;
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (getauxval(AT_SECURE) != 0 || length <= 0 || stat("/proc/self/exe", &status) != 0) return;
    own[length] = 0;
    uid_t found[MOST_OTHERS] = {0};
    for (int count = 0; count < MOST_OTHERS; count++) {
        look = begin_walk(reason, sizeof reason);
        memcpy(look.others, found, sizeof found);
        look.count = count;
        if (walks_to_program(&look, own)) break;
        if (look.stranger == look.user) return;
        found[count] = look.stranger;
    }
    if (look.last.st_dev != status.st_dev || look.last.st_ino != status.st_ino) return;
    memcpy(walk->others, look.others, sizeof found);
    walk->count = look.count;
}

bool prw_trusts_program(const char *path, char *reason, size_t capacity) {
    char ignored[PRW_MESSAGE / 2];
    struct walk walk = begin_walk(reason, capacity);
    if (walks_to_program(&walk, path)) return true;
    struct walk again = begin_walk(ignored, sizeof ignored);
    trust_users_of_own_program(&again);
    return again.count > 0 && walks_to_program(&again, path);
}
