#define _GNU_SOURCE

#include "keeper.h"

#include <string.h>
#include <unistd.h>

struct keeper_entry keeper_kept[KEEPER_MOST_NAMES];

static void let_go(struct keeper_entry *entry) {
    keeper_unstore(entry);
    for (int i = 0; i < entry->count; i++) close(entry->descriptors[i]);
    entry->count = 0;
}

static struct keeper_entry *entry_named(const char *name) {
    for (int i = 0; i < KEEPER_MOST_NAMES; i++)
        if (keeper_kept[i].count > 0 && strcmp(keeper_kept[i].name, name) == 0) return &keeper_kept[i];
    return NULL;
}

static int is_name(const char *name) {
    size_t length = strnlen(name, KEEPER_NAME_ROOM);
    if (length == 0 || length == KEEPER_NAME_ROOM) return 0;
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~' || strchr("=;,:", name[i]) != NULL) return 0;
    return 1;
}

void keeper_keep(const char *name, const int *descriptors, int count) {
    struct keeper_entry *entry = NULL;
    if (is_name(name) && count > 0 && count <= KEEPER_MOST_DESCRIPTORS) {
        entry = entry_named(name);
        for (int i = 0; entry == NULL && i < KEEPER_MOST_NAMES; i++)
            if (keeper_kept[i].count == 0) entry = &keeper_kept[i];
    }
    if (entry == NULL) {
        for (int i = 0; i < count; i++) close(descriptors[i]);
        return;
    }
    let_go(entry);
    strcpy(entry->name, name);
    memcpy(entry->descriptors, descriptors, (size_t)count * sizeof(int));
    entry->count = count;
    keeper_store(entry);
}

void keeper_drop(const char *name) {
    struct keeper_entry *entry = is_name(name) ? entry_named(name) : NULL;
    if (entry != NULL) let_go(entry);
}
