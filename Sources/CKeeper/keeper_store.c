#define _GNU_SOURCE

#include "keeper.h"

#include <CLinux.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* -1 without a manager. */
static int manager = -1;

static void connect_to_manager(const char *address) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = strlen(address);
    if (length >= sizeof to.sun_path || (address[0] != '/' && address[0] != '@')) return;
    memcpy(to.sun_path, address, length);
    if (address[0] == '@') to.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* A lost message would cost the sessions at the keeper's own death. But a manager that hangs must not keep the keeper
       from starting workers. */
    struct timeval patience = {.tv_sec = 1};
    setsockopt(manager, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (manager >= 0 && connect(manager, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + length) != 0) {
        close(manager);
        manager = -1;
    }
}

void keeper_leave_store(void) {
    if (manager >= 0) close(manager);
    manager = -1;
}

int keeper_lift_store(int lowest) { return keeper_lift(&manager, lowest); }

/* Sends a message with a descriptor, if that is not negative. */
static void tell(const char *text, int descriptor) {
    if (manager >= 0) linux_send_message(manager, text, strlen(text), descriptor);
}

int keeper_store_name(char room[KEEPER_STORE_NAME_ROOM], const char *name, int index) {
    /* Each one has a name of its own: the order in which the manager brings equal names back is not stated. */
    return snprintf(room, KEEPER_STORE_NAME_ROOM, "%s%s.%d", KEEPER_PREFIX, name, index);
}

void keeper_store(const struct keeper_entry *entry) {
    char text[128], name[KEEPER_STORE_NAME_ROOM];
    for (int i = 0; i < entry->count; i++) {
        keeper_store_name(name, entry->name, i);
        snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", name);
        tell(text, entry->descriptors[i]);
    }
}

void keeper_unstore(const struct keeper_entry *entry) {
    char text[128], name[KEEPER_STORE_NAME_ROOM];
    for (int i = 0; i < entry->count; i++) {
        keeper_store_name(name, entry->name, i);
        snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
        tell(text, -1);
    }
}

/* Adds a descriptor that the manager stored under this name. Returns 0 if the name is none that we give. */
static int add(struct keeper_entry *entries, const char *full, size_t length, int descriptor, int last) {
    size_t prefix = sizeof KEEPER_PREFIX - 1;
    if (length < prefix + 3 || full[length - 2] != '.') return 0;
    unsigned index = (unsigned)(full[length - 1] - '0');
    length -= prefix + 2;
    if (index >= KEEPER_MOST_DESCRIPTORS || length >= KEEPER_NAME_ROOM) return 0;
    char name[KEEPER_NAME_ROOM] = {0};
    memcpy(name, full + prefix, length);
    for (int i = 0; i < KEEPER_MOST_NAMES; i++) {
        if (entries[i].count == 0) {
            strcpy(entries[i].name, name);
            for (int j = 0; j < KEEPER_MOST_DESCRIPTORS; j++) entries[i].descriptors[j] = -1;
        } else if (strcmp(entries[i].name, name) != 0) {
            continue;
        }
        if (entries[i].descriptors[index] >= 0) return 0;
        /* Above those of the manager, which the worker expects from 3 on without a gap. */
        entries[i].descriptors[index] = fcntl(descriptor, F_DUPFD_CLOEXEC, last);
        if ((int)index >= entries[i].count) entries[i].count = (int)index + 1;
        close(descriptor);
        return 1;
    }
    return 0;
}

int keeper_begin_store(char *const *environment) {
    const char *address = keeper_variable(environment, "NOTIFY_SOCKET");
    const char *process = keeper_variable(environment, "LISTEN_PID");
    const char *number = keeper_variable(environment, "LISTEN_FDS");
    const char *names = keeper_variable(environment, "LISTEN_FDNAMES");
    int passed = 0;
    if (process != NULL && number != NULL && atoi(process) == getpid()) {
        struct keeper_entry entries[KEEPER_MOST_NAMES];
        memset(entries, 0, sizeof entries);
        int last = 3 + atoi(number);
        for (int descriptor = 3; descriptor < last; descriptor++) {
            const char *name = names != NULL ? names : "";
            size_t length = strcspn(name, ":");
            int is_ours = strncmp(name, KEEPER_PREFIX, sizeof KEEPER_PREFIX - 1) == 0;
            if (names != NULL) names = name[length] == ':' ? name + length + 1 : name + length;
            if (is_ours) {
                if (!add(entries, name, length, descriptor, last)) close(descriptor);
                continue;
            }
            if (descriptor != 3 + passed) {
                dup2(descriptor, 3 + passed);
                close(descriptor);
            }
            passed += 1;
        }
        for (int i = 0; i < KEEPER_MOST_NAMES; i++) {
            int missing = 0;
            for (int j = 0; j < entries[i].count; j++) missing += entries[i].descriptors[j] < 0;
            /* Only a part was stored: no worker can use that. */
            for (int j = 0; missing > 0 && j < entries[i].count; j++) close(entries[i].descriptors[j]);
            /* No message goes out yet: the manager has these. */
            if (missing == 0 && entries[i].count > 0)
                keeper_keep(entries[i].name, entries[i].descriptors, entries[i].count);
        }
    }
    if (address != NULL) connect_to_manager(address);
    return passed;
}
