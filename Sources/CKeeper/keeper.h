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

enum { KEEPER_STORE_NAME_ROOM = sizeof KEEPER_PREFIX + KEEPER_NAME_ROOM + 4 };

/* Writes the name of a kept descriptor in the store, and returns its length. */
int keeper_store_name(char room[KEEPER_STORE_NAME_ROOM], const char *name, int index);
/* Takes over the descriptors that the manager brings, and returns how many remain for the worker, from 3 on. */
int keeper_begin_store(char *const *environment);
void keeper_store(const struct keeper_entry *entry);
void keeper_unstore(const struct keeper_entry *entry);
/* In a worker: closes the connection to the manager. */
void keeper_leave_store(void);
/* Moves the connection to a number from `lowest` on. Returns 0 if that is not possible. */
int keeper_lift_store(int lowest);

/* The environment of a worker (keeper_environment.c). */

struct keeper_last_worker {
    unsigned restarts;
    /* The signal that ended it. */
    int signal;
    /* Whether it, or one before it, hung or crashed since a worker was ready. */
    int crashed;
    /* Whether the keeper ended it, for the program that is now on disk. */
    int replaced;
    /* What it wrote; -1 if the kernel does not tell. */
    long long bytes, calls;
};

/* Returns 0, or -1 without memory. Only this one of these allocates. */
int keeper_begin_environment(char *const *environment, int passed);
/* `control` is the worker's end; `last` is NULL for the first worker. */
void keeper_describe(int control, const struct keeper_last_worker *last, int starts_empty);
/* Completes it in the child, which knows its process id. */
char **keeper_environment_of_child(void);
/* The environment of a program that goes on as keeper in this process: it gets the kept descriptors as from a manager, and
   what is known of the last worker. */
char **keeper_environment_of_successor(const struct keeper_last_worker *last);
/* Reads what the keeper before this one knew of the last worker. Returns 0 if this is the first one. */
int keeper_read_last(char *const *environment, struct keeper_last_worker *last);
/* The number of descriptors for the worker, from 3 on. */
int keeper_passed_sockets(void);

/* Another version (keeper_upgrade.c). */

/* Begins to try the program on disk. Returns 0 if a trial is under way, or cannot begin now. */
int keeper_try(const struct keeper_configuration *configuration);
/* Whether a trial has just ended well. Says so if it has not. */
int keeper_has_passed(void);
/* Executes the program on disk in this process. Returns only if that fails, and says so. `own` are descriptors that must
   be usable then, up to a null pointer. */
void keeper_become(
    const struct keeper_configuration *configuration, int *const *own, const struct keeper_last_worker *last);
/* Moves a descriptor to a number from `lowest` on. Returns 0 if that is not possible. */
int keeper_lift(int *descriptor, int lowest);

/* The number after a name in a text; -1 if there is none. */
long long keeper_number(const char *text, const char *name);

/* The value of a variable; NULL if it is not set. */
const char *keeper_variable(char *const *environment, const char *name);

#endif
