/*
 * From a path to a session: look at the path, connect, look at who serves, and wait for the daemon's first
 * answer.
 *
 * A daemon may leave while a connection waits in its backlog. So a connection counts only when the daemon has
 * answered on it, and no request is sent twice. With the answer come the slots of cached grants.
 */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* How long a daemon may take to answer if the call has no limit, in seconds. */
    PATIENCE = 10,
    MOST_GREETING = 8192,
    /* Descriptors that come: the slots, and the page `serving`. */
    CACHE_DESCRIPTORS = 2,
    /* The kernel passes no more at once. */
    MOST_DESCRIPTORS = 253,
};

struct greeting {
    int descriptor;
    const char *path;
    struct prw_thread *thread;
    int64_t end;
    char text[MOST_GREETING + 1];
    size_t length;
    int cache[CACHE_DESCRIPTORS];
    int cache_count;
};

/* ---- Reading the answer ---- */

static void take_descriptors(struct greeting *greeting, struct msghdr *message) {
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof descriptor);
            /* Others are the same again, from a daemon that goes on. */
            if (greeting->cache_count < CACHE_DESCRIPTORS)
                greeting->cache[greeting->cache_count++] = descriptor;
            else
                close(descriptor);
        }
    }
}

/* Returns as recv(2); -1 if nothing came until the end. */
static ssize_t receive(struct greeting *greeting) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    } control;
    struct pollfd readable = {.fd = greeting->descriptor, .events = POLLIN};
    for (;;) {
        int ready = poll(&readable, 1, prw_poll_time(greeting->end, PRW_SECOND));
        if (ready <= 0 && prw_now() >= greeting->end) return -1;
        if (ready <= 0) continue;
        struct iovec room = {greeting->text + greeting->length, MOST_GREETING - greeting->length};
        struct msghdr message = {
            .msg_iov = &room, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
        ssize_t count = recvmsg(greeting->descriptor, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (count < 0) return 0;
        take_descriptors(greeting, &message);
        greeting->length += (size_t)count;
        greeting->text[greeting->length] = 0;
        return count;
    }
}

/* Returns a line that begins so, or NULL. Lines end with a line end. */
static const char *line_with(const struct greeting *greeting, const char *beginning) {
    const char *line = greeting->text;
    while (line != NULL && *line != 0) {
        if (prw_begins(line, beginning) && strchr(line, '\n') != NULL) return line;
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
    return NULL;
}

static bool knows_lines(const struct greeting *greeting) {
    static const char *known[] = {"HELLO ", "PONG\n", "! ", "ERROR "};
    const char *line = greeting->text;
    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) is_known |= prw_begins(line, known[i]);
        if (!is_known) return false;
    }
    return greeting->length < MOST_GREETING;
}

/* The last line of a greeting is a PING. */
static enum prw_reach wait_for_pong(struct greeting *greeting) {
    while (line_with(greeting, "PONG\n") == NULL) {
        ssize_t count = receive(greeting);
        if (count < 0) {
            prw_fail(greeting->thread, PRWLOCK_SILENT, "the lock daemon at %s does not answer", greeting->path);
            return PRW_FAILED;
        }
        const char *limit = line_with(greeting, "ERROR limit-");
        if (limit != NULL) {
            prw_fail(greeting->thread, PRWLOCK_LIMIT, "the lock daemon at %s takes no more: %.*s", greeting->path,
                (int)strcspn(limit, "\n"), limit);
            return PRW_FAILED;
        }
        if (count == 0) return PRW_NO_DAEMON;
        if (!knows_lines(greeting)) {
            prw_fail(greeting->thread, PRWLOCK_PROTOCOL, "what listens at %s is not a lock daemon", greeting->path);
            return PRW_FAILED;
        }
    }
    return PRW_REACHED;
}

static void send_greeting(const struct greeting *greeting, bool asks_for_cache) {
    char spelled[PRW_MOST_NAME + 1], line[PRW_LINE];
    if (!prw_encode(spelled, program_invocation_short_name)) strcpy(spelled, "-");
    int length =
        snprintf(line, sizeof line, "HELLO client=%s%s\nPING\n", spelled, asks_for_cache ? " cache=1" : "");
    /* A daemon that takes no more closes the connection, and its reason can still be read. */
    (void)send(greeting->descriptor, line, (size_t)length, MSG_NOSIGNAL);
}

/* ---- Slots ---- */

/* A forked child gets no copy: a cached grant is the parent's. */
static void map_slots(struct prw_session *session, const struct greeting *greeting) {
    const char *hello = line_with(greeting, "HELLO ");
    const char *field = hello == NULL ? NULL : strstr(hello, " slots=");
    struct stat slots, serving;
    if (field == NULL || greeting->cache_count < CACHE_DESCRIPTORS) return;
    if (memchr(hello, '\n', (size_t)(field - hello)) != NULL) return;
    unsigned long count = strtoul(field + strlen(" slots="), NULL, 10);
    if (count == 0 || count > 1 << 16) return;
    if (fstat(greeting->cache[0], &slots) != 0 || fstat(greeting->cache[1], &serving) != 0) return;
    size_t size = count * PRWLOCK_SLOT_SIZE;
    /* An access beyond the end of a file ends the process. */
    if ((uint64_t)slots.st_size < size || (uint64_t)serving.st_size < sizeof(uint32_t)) return;
    size_t serving_size = (size_t)serving.st_size;
    void *words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, greeting->cache[0], 0);
    if (words == MAP_FAILED) return;
    void *page = mmap(NULL, serving_size, PROT_READ, MAP_SHARED, greeting->cache[1], 0);
    if (page == MAP_FAILED || madvise(words, size, MADV_DONTFORK) != 0 ||
        madvise(page, serving_size, MADV_DONTFORK) != 0) {
        munmap(words, size);
        if (page != MAP_FAILED) munmap(page, serving_size);
        return;
    }
    session->slots = words;
    session->slots_size = size;
    session->slot_count = (uint32_t)count;
    session->serving = page;
    session->serving_size = serving_size;
    session->unforked = greeting->thread->era;
}

/* ---- Connecting ---- */

static struct prw_session *begin_session(struct greeting *greeting) {
    struct prw_session *session = prw_session_make(greeting->descriptor, greeting->path);
    if (session == NULL) return NULL;
    map_slots(session, greeting);
    /* It counts bytes from the first one on. */
    pthread_mutex_lock(&session->mutex);
    bool is_taken = prw_session_receive(session, greeting->text, greeting->length);
    pthread_mutex_unlock(&session->mutex);
    if (is_taken) return session;
    /* This closes the descriptor. */
    prw_session_drop(session);
    greeting->descriptor = -1;
    return NULL;
}

static enum prw_reach greet(struct greeting *greeting, bool wants_cache) {
    send_greeting(greeting, wants_cache);
    enum prw_reach reach = wait_for_pong(greeting);
    if (reach != PRW_REACHED || !wants_cache || line_with(greeting, "HELLO ") != NULL) return reach;
    /* The daemon does not know the option. It has sent no descriptors, and sends none now. */
    struct greeting again = *greeting;
    again.length = 0;
    again.text[0] = 0;
    again.cache_count = CACHE_DESCRIPTORS;
    send_greeting(&again, false);
    reach = wait_for_pong(&again);
    if (reach != PRW_REACHED) return reach;
    if (greeting->length + again.length > MOST_GREETING) return PRW_NO_DAEMON;
    memcpy(greeting->text + greeting->length, again.text, again.length + 1);
    greeting->length += again.length;
    return PRW_REACHED;
}

static bool checks_server(const struct greeting *greeting, struct prw_folder *folder) {
    struct ucred server;
    socklen_t size = sizeof server;
    if (getsockopt(greeting->descriptor, SOL_SOCKET, SO_PEERCRED, &server, &size) != 0) server.uid = (uid_t)-1;
    if (prw_trusts(folder, server.uid, greeting->path)) return true;
    prw_fail(greeting->thread, PRWLOCK_REFUSED,
        "user %u serves at %s, neither root nor you, and %s: connect to a daemon that you trust, or trust this "
        "user's with PRWLOCK_SERVER_UID=%u",
        server.uid, greeting->path, folder->reason, server.uid);
    return false;
}

/* `errno` says why connect(2) failed. */
static enum prw_reach judge(const struct greeting *greeting, enum prw_origin origin) {
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
    case ECONNRESET: return PRW_NO_DAEMON;
    case EAGAIN:
        prw_fail(greeting->thread, PRWLOCK_SILENT, "the lock daemon at %s accepts no connection", greeting->path);
        return PRW_FAILED;
    case EACCES:
    case EPERM:
        prw_fail(greeting->thread, PRWLOCK_REFUSED, "you may not connect to the lock daemon at %s: %s", greeting->path,
            origin == PRW_SYSTEM ? "ask to be added to the group prwlock, then log in again; for a service, set "
                                   "SupplementaryGroups=prwlock"
                                 : "it belongs to another user");
        return PRW_FAILED;
    default:
        prw_fail(greeting->thread, PRWLOCK_UNAVAILABLE, "cannot connect to %s: %s", greeting->path, strerror(errno));
        return PRW_FAILED;
    }
}

enum prw_reach prw_greet(
    const char *path, enum prw_origin origin, unsigned flags, struct prw_thread *thread, int64_t end,
    struct prw_session **session) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct greeting greeting = {.path = path, .thread = thread};
    int64_t patience = prw_now() + PATIENCE * PRW_SECOND;
    greeting.end = end < patience ? end : patience;
    if (strlen(path) >= sizeof address.sun_path) {
        prw_fail(thread, PRWLOCK_INVALID, "%.200s is too long for the path of a socket", path);
        return PRW_FAILED;
    }
    strcpy(address.sun_path, path);
    greeting.descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (greeting.descriptor < 0) {
        int code = errno == EMFILE || errno == ENFILE || errno == ENOMEM ? PRWLOCK_MEMORY : PRWLOCK_UNAVAILABLE;
        prw_fail(thread, code, "no socket can be made: %s", strerror(errno));
        return PRW_FAILED;
    }
    /* A full backlog blocks connect(2). */
    int64_t left = greeting.end - prw_now();
    if (left < PRW_MILLISECOND) left = PRW_MILLISECOND;
    struct timeval limit = {left / PRW_SECOND, left % PRW_SECOND / 1000};
    setsockopt(greeting.descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    struct prw_folder folder;
    prw_look_at_folder(&folder, path, origin);
    enum prw_reach reach = PRW_FAILED;
    int result;
    do result = connect(greeting.descriptor, (struct sockaddr *)&address, sizeof address);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        reach = judge(&greeting, origin);
    else if (checks_server(&greeting, &folder))
        reach = greet(&greeting, (flags & PRWLOCK_NO_CACHE) == 0 && prw_knows_forks());
    if (reach == PRW_REACHED && (*session = begin_session(&greeting)) == NULL) {
        prw_fail(thread, PRWLOCK_MEMORY, "no memory is left");
        reach = PRW_FAILED;
    }
    for (int i = 0; i < greeting.cache_count; i++) close(greeting.cache[i]);
    if (reach != PRW_REACHED && greeting.descriptor >= 0) close(greeting.descriptor);
    return reach;
}
