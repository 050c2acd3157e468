#define _GNU_SOURCE

#include "keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const OURS[] = {
    "PRWLOCK_KEPT", "PRWLOCK_BEFORE", "PRWLOCK_EMPTY", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
};

/* The variables of all workers, `base` of them; those of one worker follow, and a null pointer. */
static char **variables;
static size_t base, used;
static int passed_sockets, has_watchdog;

/* " name=", up to four numbers for each name, and the worker's end. */
static char kept[KEEPER_MOST_NAMES * (KEEPER_NAME_ROOM + KEEPER_MOST_DESCRIPTORS * 11) + 64];
static char before[160], listen_process[32], listen_count[32], watchdog_process[32];
static char *listen_names;

static int is_variable(const char *variable, const char *name) {
    size_t length = strlen(name);
    return strncmp(variable, name, length) == 0 && variable[length] == '=';
}

const char *keeper_variable(char *const *environment, const char *name) {
    for (; *environment != NULL; environment++)
        if (is_variable(*environment, name)) return *environment + strlen(name) + 1;
    return NULL;
}

/* The names of the sockets that go to the worker: the manager's list without ours, in the same order. */
static int copy_names(const char *names) {
    static const char variable[] = "LISTEN_FDNAMES=";
    listen_names = malloc(sizeof variable + strlen(names));
    if (listen_names == NULL) return -1;
    char *end = stpcpy(listen_names, variable);
    for (const char *name = names; *name != '\0';) {
        size_t length = strcspn(name, ":");
        if (strncmp(name, KEEPER_PREFIX, sizeof KEEPER_PREFIX - 1) != 0) {
            if (end[-1] != '=') *end++ = ':';
            end = mempcpy(end, name, length);
        }
        name += length + (name[length] == ':');
    }
    *end = '\0';
    return 0;
}

int keeper_begin_environment(char *const *environment, int passed) {
    size_t count = 0;
    while (environment[count] != NULL) count += 1;
    variables = calloc(count + 8, sizeof *variables);
    const char *names = keeper_variable(environment, "LISTEN_FDNAMES");
    if (variables == NULL || (passed > 0 && names != NULL && copy_names(names) != 0)) return -1;
    passed_sockets = passed;
    for (size_t i = 0; i < count; i++) {
        int is_ours = 0;
        for (size_t j = 0; j < sizeof OURS / sizeof OURS[0]; j++) is_ours |= is_variable(environment[i], OURS[j]);
        /* The watchdog watches the process that serves. */
        if (is_variable(environment[i], "WATCHDOG_PID") && atoi(environment[i] + 13) == getpid()) is_ours = has_watchdog = 1;
        if (!is_ours) variables[base++] = environment[i];
    }
    return 0;
}

void keeper_describe(int control, const struct keeper_last_worker *last, int starts_empty) {
    char *end = kept + sprintf(kept, "PRWLOCK_KEPT=control=%d", control);
    for (int i = 0; i < KEEPER_MOST_NAMES; i++)
        for (int j = 0; j < keeper_kept[i].count; j++) {
            if (j == 0) end += sprintf(end, ";%s=", keeper_kept[i].name);
            end += sprintf(end, j == 0 ? "%d" : ",%d", keeper_kept[i].descriptors[j]);
        }
    used = base;
    variables[used++] = kept;
    if (last != NULL) {
        end = before + sprintf(before, "PRWLOCK_BEFORE=restarts=%u;signal=%d", last->restarts, last->signal);
        if (last->crashed) end += sprintf(end, ";crashed=1");
        if (last->bytes >= 0 && last->calls >= 0) sprintf(end, ";wchar=%lld;syscw=%lld", last->bytes, last->calls);
        variables[used++] = before;
    }
    if (starts_empty) variables[used++] = "PRWLOCK_EMPTY=1";
    variables[used] = NULL;
}

char *const *keeper_environment_of_child(void) {
    size_t last = used;
    int process = getpid();
    if (passed_sockets > 0) {
        sprintf(listen_process, "LISTEN_PID=%d", process);
        sprintf(listen_count, "LISTEN_FDS=%d", passed_sockets);
        variables[last++] = listen_process;
        variables[last++] = listen_count;
        if (listen_names != NULL) variables[last++] = listen_names;
    }
    if (has_watchdog) {
        sprintf(watchdog_process, "WATCHDOG_PID=%d", process);
        variables[last++] = watchdog_process;
    }
    variables[last] = NULL;
    return variables;
}
