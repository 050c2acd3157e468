#define _GNU_SOURCE

#include "keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const OURS[] = {
    "PRWLOCK_KEPT", "PRWLOCK_BEFORE", "PRWLOCK_EMPTY", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
};

/* What the keeper was given; a worker has most of its strings. */
static char *const *given;
/* The variables of all workers, `base` of them; those of one worker follow, and a null pointer. */
static char **variables;
static size_t base, used;
static int passed_sockets, has_watchdog;

/* " name=", up to four numbers for each name, and the worker's end. */
static char kept[KEEPER_MOST_NAMES * (KEEPER_NAME_ROOM + KEEPER_MOST_DESCRIPTORS * 11) + 64];
static char before[160], listen_process[32], listen_count[32], watchdog_process[32];
/* LISTEN_FDNAMES of a worker, with room for the names of what is kept. */
static char *listen_names;
static size_t own_names_length;

static int is_variable(const char *variable, const char *name) {
    size_t length = strlen(name);
    return strncmp(variable, name, length) == 0 && variable[length] == '=';
}

const char *keeper_variable(char *const *environment, const char *name) {
    for (; *environment != NULL; environment++)
        if (is_variable(*environment, name)) return *environment + strlen(name) + 1;
    return NULL;
}

long long keeper_number(const char *text, const char *name) {
    const char *found = strstr(text, name);
    return found != NULL ? atoll(found + strlen(name)) : -1;
}

static char *add_name(char *end, const char *name, size_t length) {
    if (end[-1] != '=') *end++ = ':';
    end = mempcpy(end, name, length);
    *end = '\0';
    return end;
}

/* The names of the sockets that go to the worker: the manager's list without ours, in the same order. */
static int copy_names(const char *names) {
    static const char variable[] = "LISTEN_FDNAMES=", unknown[] = "unknown";
    size_t ours = KEEPER_MOST_NAMES * KEEPER_MOST_DESCRIPTORS * (sizeof KEEPER_PREFIX + KEEPER_NAME_ROOM + 4);
    size_t others = names != NULL ? strlen(names) + 1 : (size_t)passed_sockets * sizeof unknown;
    listen_names = malloc(sizeof variable + others + ours);
    if (listen_names == NULL) return -1;
    char *end = stpcpy(listen_names, variable);
    for (int i = 0; names == NULL && i < passed_sockets; i++) end = add_name(end, unknown, sizeof unknown - 1);
    for (const char *name = names; name != NULL && *name != '\0';) {
        size_t length = strcspn(name, ":");
        if (strncmp(name, KEEPER_PREFIX, sizeof KEEPER_PREFIX - 1) != 0) end = add_name(end, name, length);
        name += length + (name[length] == ':');
    }
    own_names_length = (size_t)(end - listen_names);
    return 0;
}

int keeper_begin_environment(char *const *environment, int passed) {
    size_t count = 0;
    given = environment;
    while (given[count] != NULL) count += 1;
    variables = calloc(count + 8, sizeof *variables);
    passed_sockets = passed;
    if (variables == NULL || copy_names(keeper_variable(environment, "LISTEN_FDNAMES")) != 0) return -1;
    for (size_t i = 0; i < count; i++) {
        int is_ours = 0;
        for (size_t j = 0; j < sizeof OURS / sizeof OURS[0]; j++) is_ours |= is_variable(environment[i], OURS[j]);
        /* The watchdog watches the process that serves. */
        if (is_variable(environment[i], "WATCHDOG_PID") && atoi(environment[i] + 13) == getpid()) is_ours = has_watchdog = 1;
        if (!is_ours) variables[base++] = environment[i];
    }
    return 0;
}

int keeper_passed_sockets(void) { return passed_sockets; }

/* MARK: - The last worker */

static void describe_last(const struct keeper_last_worker *last) {
    char *end = before + sprintf(before, "PRWLOCK_BEFORE=restarts=%u;signal=%d", last->restarts, last->signal);
    if (last->crashed) end += sprintf(end, ";crashed=1");
    if (last->replaced) end += sprintf(end, ";replaced=1");
    if (last->bytes >= 0 && last->calls >= 0) sprintf(end, ";wchar=%lld;syscw=%lld", last->bytes, last->calls);
    variables[used++] = before;
}

int keeper_read_last(char *const *environment, struct keeper_last_worker *last) {
    const char *text = keeper_variable(environment, "PRWLOCK_BEFORE");
    const char *process = keeper_variable(environment, "LISTEN_PID");
    /* A process that inherited the variables is no keeper that goes on. */
    if (text == NULL || process == NULL || atoi(process) != getpid()) return 0;
    last->restarts = (unsigned)keeper_number(text, "restarts=");
    last->signal = (int)keeper_number(text, "signal=");
    last->crashed = keeper_number(text, "crashed=") == 1;
    last->replaced = keeper_number(text, "replaced=") == 1;
    last->bytes = keeper_number(text, "wchar=");
    last->calls = keeper_number(text, "syscw=");
    return 1;
}

/* MARK: - Variables */

void keeper_describe(int control, const struct keeper_last_worker *last, int starts_empty) {
    char *end = kept + sprintf(kept, "PRWLOCK_KEPT=control=%d", control);
    for (int i = 0; i < KEEPER_MOST_NAMES; i++)
        for (int j = 0; j < keeper_kept[i].count; j++) {
            if (j == 0) end += sprintf(end, ";%s=", keeper_kept[i].name);
            end += sprintf(end, j == 0 ? "%d" : ",%d", keeper_kept[i].descriptors[j]);
        }
    used = base;
    variables[used++] = kept;
    /* Without the names that a successor would have got, if it could have been executed. */
    listen_names[own_names_length] = '\0';
    if (last != NULL) describe_last(last);
    if (starts_empty) variables[used++] = "PRWLOCK_EMPTY=1";
    variables[used] = NULL;
}

/* Completes the environment with the variables that name the process, which has so many descriptors from 3 on. */
static char **complete(int descriptors) {
    size_t end = used;
    int process = getpid();
    if (descriptors > 0) {
        sprintf(listen_process, "LISTEN_PID=%d", process);
        sprintf(listen_count, "LISTEN_FDS=%d", descriptors);
        variables[end++] = listen_process;
        variables[end++] = listen_count;
        variables[end++] = listen_names;
    }
    if (has_watchdog) {
        sprintf(watchdog_process, "WATCHDOG_PID=%d", process);
        variables[end++] = watchdog_process;
    }
    variables[end] = NULL;
    return variables;
}

char **keeper_environment_of_child(void) { return complete(passed_sockets); }

char **keeper_environment_of_successor(const struct keeper_last_worker *last) {
    int count = passed_sockets;
    char *end = listen_names + own_names_length;
    for (int i = 0; i < KEEPER_MOST_NAMES; i++)
        for (int j = 0; j < keeper_kept[i].count; j++) {
            char name[KEEPER_STORE_NAME_ROOM];
            end = add_name(end, name, (size_t)keeper_store_name(name, keeper_kept[i].name, j));
            count += 1;
        }
    used = base;
    describe_last(last);
    return complete(count);
}
