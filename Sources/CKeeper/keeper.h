/* What the files of the keeper share. */

#ifndef KEEPER_H
#define KEEPER_H

#include "CKeeper.h"

/* The kept descriptors (keeper_kept.c). */

extern struct keeper_entry keeper_kept[KEEPER_MOST_NAMES];

/* Holds descriptors under a name, and closes those that had it. Closes them at once if they cannot be held. */
void keeper_keep(const char *name, const int *descriptors, int count);
void keeper_drop(const char *name);

/* The service manager's store (keeper_store.c). Without a manager, these do nothing. */

/* Distinguishes our descriptors from those of socket units. */
#define KEEPER_PREFIX "kept-"

/* Takes over the descriptors that the manager brings, and returns how many remain for the worker, from 3 on. */
int keeper_begin_store(char *const *environment);
void keeper_store(const struct keeper_entry *entry);
void keeper_unstore(const struct keeper_entry *entry);

/* The environment of a worker (keeper_environment.c). */

struct keeper_last_worker {
    unsigned restarts;
    /* The signal that ended it. */
    int signal;
    /* Whether it, or one before it, hung or crashed since a worker was ready. */
    int crashed;
    /* What it wrote; -1 if the kernel does not tell. */
    long long bytes, calls;
};

/* Returns 0, or -1 without memory. Only this one of the three allocates. */
int keeper_begin_environment(char *const *environment, int passed);
/* `control` is the worker's end; `last` is NULL for the first worker. */
void keeper_describe(int control, const struct keeper_last_worker *last, int starts_empty);
/* Completes it in the child, which knows its process id. */
char *const *keeper_environment_of_child(void);

/* The value of a variable; NULL if it is not set. */
const char *keeper_variable(char *const *environment, const char *name);

#endif
