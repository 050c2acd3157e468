/*
 * A client of `slots` that is traced or stopped: `slot_client SOCKET READ|WRITE NAME OWNERS`.
 *
 * It gets a cached grant for each of its owners and leaves all of them. Then it prints the address of the first slot's word,
 * its generation and its token, and carries out one letter after another from its input, each with a line as its answer:
 *
 *     s   the fast path of the first owner, between two markers: SIGSTOP before it, and SIGUSR1 behind it
 *     e   enters the grant of the first owner, l leaves it
 *     p   gets all grants again
 */
#include "prwlock_slot.h"

#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { most_owners = 64 };

struct grant {
    uint64_t *word;
    uint64_t generation;
    char token[24];
};

static int connection;
static void *slots;
static const uint32_t *serving;
static const char *mode, *name;
static struct grant grants[most_owners];
static char line[4096];
static size_t filled;

/* The next line, without its LF. Maps the files that come with the first one. */
static const char *receive(void) {
    static char taken[sizeof line];
    char *end;
    while ((end = memchr(line, '\n', filled)) == NULL) {
        union { struct cmsghdr header; char bytes[CMSG_SPACE(2 * sizeof(int))]; } control;
        struct iovec piece = {line + filled, sizeof line - filled};
        struct msghdr message = {
            .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t count = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
        if (count <= 0) errx(2, "the session has ended");
        filled += (size_t)count;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header == NULL || header->cmsg_len < CMSG_LEN(2 * sizeof(int)) || slots != NULL) continue;
        int files[2];
        memcpy(files, CMSG_DATA(header), sizeof files);
        slots = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, files[0], 0);
        void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, files[1], 0);
        if (slots == MAP_FAILED || page == MAP_FAILED) err(2, "mmap");
        serving = page;
    }
    size_t length = (size_t)(end - line);
    memcpy(taken, line, length);
    taken[length] = 0;
    filled -= length + 1;
    memmove(line, end + 1, filled);
    return taken;
}

static const char *ask(const char *request) {
    if (write(connection, request, strlen(request)) != (ssize_t)strlen(request)) err(2, "write");
    return receive();
}

static const char *value(const char *reply, const char *key) {
    const char *found = strstr(reply, key);
    return found == NULL ? NULL : found + strlen(key);
}

static void release(struct grant *grant) {
    char request[200];
    snprintf(request, sizeof request, "RELEASE %s token=%s\n", name, grant->token);
    const char *reply = ask(request);
    if (strncmp(reply, "RELEASED ", 9) != 0) errx(2, "%s", reply);
}

/* Gets a cached grant and leaves it. The second grant in a row is cached, unless another request came between. */
static void prepare(int owner) {
    struct grant *grant = &grants[owner];
    for (int turn = 0; turn < 100; ++turn) {
        char request[200];
        snprintf(request, sizeof request, "%s %s wait=20s owner=o%d\n", mode, name, owner);
        const char *reply = ask(request), *token = value(reply, " token="), *slot = value(reply, " slot=");
        if (token == NULL) errx(2, "%s", reply);
        snprintf(grant->token, sizeof grant->token, "%.*s", (int)strcspn(token, " "), token);
        if (slot != NULL) {
            grant->word = prwlock_slot_word(slots, (uint32_t)strtoul(slot, NULL, 10));
            grant->generation = strtoull(value(reply, " gen="), NULL, 10);
            if (!prwlock_slot_is_served(serving)) errx(2, "no process serves");
            if (prwlock_slot_leave(grant->word, grant->generation)) return;
        }
        release(grant);
    }
    errx(2, "the grant is not cached");
}

/* Returns whether it was entered, and sets whether it was left as quickly. Nothing else is between the markers. */
static bool step(struct grant *grant, bool is_read, bool *is_left) {
    pid_t process = getpid();
    uint64_t *word = grant->word, generation = grant->generation;
    syscall(SYS_kill, process, SIGSTOP);
    bool is_entered = prwlock_slot_enter(word, generation, is_read) && prwlock_slot_is_served(serving);
    *is_left = is_entered && prwlock_slot_is_served(serving) && prwlock_slot_leave(word, generation);
    syscall(SYS_kill, process, SIGUSR1);
    return is_entered;
}

static const char *carry_out(int letter, int owners) {
    struct grant *first = &grants[0];
    bool is_read = mode[0] == 'R', is_left = false;
    switch (letter) {
    case 's':
        if (!step(first, is_read, &is_left)) return "refused";
        if (is_left) return "left";
        release(first);
        return "released";
    case 'e':
        return prwlock_slot_enter(first->word, first->generation, is_read) ? "entered" : "refused";
    case 'l':
        if (prwlock_slot_leave(first->word, first->generation)) return "left";
        release(first);
        return "released";
    case 'p':
        for (int owner = 0; owner < owners; ++owner) prepare(owner);
        return "prepared";
    default:
        errx(2, "no such letter");
    }
}

int main(int count, char **arguments) {
    if (count != 5) errx(2, "usage: slot_client SOCKET READ|WRITE NAME OWNERS");
    int owners = atoi(arguments[4]);
    if (owners < 1 || owners > most_owners) errx(2, "1 to %d owners", most_owners);
    (mode = arguments[2], name = arguments[3]);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", arguments[1]);
    connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) < 0) err(2, "connect");
    if (signal(SIGUSR1, SIG_IGN) == SIG_ERR) err(2, "signal");
    const char *reply = ask("HELLO cache=1\n");
    if (value(reply, " slots=64") == NULL || slots == NULL) errx(2, "%s", reply);
    for (int owner = 0; owner < owners; ++owner) prepare(owner);
    printf("ready %" PRIuPTR " %" PRIu64 " %s\n", (uintptr_t)grants[0].word, grants[0].generation, grants[0].token);
    fflush(stdout);
    for (int letter; (letter = getchar()) != EOF;) {
        puts(carry_out(letter, owners));
        fflush(stdout);
    }
    return 0;
}
