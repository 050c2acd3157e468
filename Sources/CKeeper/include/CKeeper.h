/* The keeper: the process that holds descriptors while one worker after another serves.

   The worker may be killed at any instruction. The keeper has the descriptors that the next worker needs, and starts it.
   The keeper reads nothing from a client, so no client can make it fail. It is written in C: it makes no thread, and after
   its start it allocates nothing, so it can always start a worker: a copy of itself, which goes on as the program would. */

#ifndef CKEEPER_H
#define CKEEPER_H

#include <stdint.h>

enum {
    KEEPER_MOST_NAMES = 16,
    /* With the NUL at its end. */
    KEEPER_NAME_ROOM = 32,
    /* Under one name. */
    KEEPER_MOST_DESCRIPTORS = 4,
};

/* What a worker tells its keeper. */
enum keeper_order {
    /* Hold the descriptors that come with this message under this name, in place of those that have it. */
    KEEPER_KEEP = 1,
    /* Close the descriptors of this name. */
    KEEPER_DROP = 2,
    /* The worker has begun to serve. */
    KEEPER_READY = 3,
    /* Kill the worker if it sends no such order within this time; 0 milliseconds: never. */
    KEEPER_WATCH = 4,
    /* Start no other worker after this one, however it ends. */
    KEEPER_LEAVE = 5,
    /* Count crashes anew: what made the last workers crash is found, and gone. */
    KEEPER_PARDON = 6,
};

/* A message to the keeper, over a socket that preserves message boundaries. */
struct keeper_message {
    uint32_t order;
    uint32_t milliseconds;
    char name[KEEPER_NAME_ROOM];
};

/* Descriptors under a name, which has no character of "=;,:". A count of zero is a free entry. */
struct keeper_entry {
    char name[KEEPER_NAME_ROOM];
    int descriptors[KEEPER_MOST_DESCRIPTORS];
    int count;
};

struct keeper_configuration {
    /* The path of this program, where an upgrade puts another version. */
    const char *program;
    /* All three end with a null pointer. The arguments are those of this process. With those of a trial, the program ends
       with status 0 if it would start with the others. */
    char *const *arguments;
    char *const *trial_arguments;
    char *const *environment;
    /* What the first worker gets. */
    const struct keeper_entry *entries;
    int entry_count;
    /* How long workers may be killed before they are ready, until one of them starts empty. */
    uint32_t unready_milliseconds;
};

/* Exit statuses of the keeper itself; all others are a worker's. */
enum {
    /* No status: the caller is a worker. */
    KEEPER_IS_WORKER = -1,
    /* Workers keep dying, also those that start empty. */
    KEEPER_GIVES_UP = 70,
    KEEPER_CANNOT_START = 71,
};

/* Starts a worker, and another one whenever a worker is killed by a signal. Returns in each worker, and at the keeper's end
   with the exit status of the process: that of a worker that exited, or one of the above.

   Call this from a process without other threads, with descriptors 0 to 2 open. The process then takes these signals:
     TERM, INT, HUP, USR1  go to the worker; TERM and INT also to the next one if the worker dies before it ends
     USR2                  the upgrade: kills the worker, and executes the program now on disk in this process, which goes
                           on as keeper. First a child tries that program (keeper_upgrade.c); if that goes wrong, standard
                           error says so, and nothing else happens. Before a worker has served, USR2 waits.
     QUIT                  kills the worker and ends the keeper with 0: a manager that stores what is kept starts another
                           keeper, which goes on with it

   A worker is a copy of the process at this call, with the environment of a worker. It has the signals, the name and the
   descriptors that it would have if it had been executed. But all workers of a keeper share one address layout. They do
   not depend on files: half an installation harms none.

   In the worker, TERM, INT, HUP and USR1 are blocked, so that none ends it before it can take them.

   The worker has each kept descriptor under the keeper's number, all that were open at the
   keeper's start, and:
     PRWLOCK_KEPT    the numbers: `control=5;ledger=6;parcel=7,8,9,10`. Orders go to `control`; its end means that the
                     keeper is gone.
     PRWLOCK_BEFORE  `restarts=7;signal=9;crashed=1;replaced=1;wchar=123;syscw=4`, if there was a worker before: how many
                     there were, the signal that ended the last one, whether a worker has hung or crashed since one was
                     ready, whether the keeper ended the last one for the program that is now on disk (no word if not, in
                     both cases), and the bytes and calls that the last one wrote, from /proc/PID/io; the two last ones
                     only if the kernel tells them. They count write and writev, not send.
     PRWLOCK_EMPTY   `1`: trust nothing that was kept. Five workers hung or crashed within ten seconds (any signal but
                     KILL), or five in a row were killed before they were ready, for `unready_milliseconds`.
     LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES   the sockets of a service manager that are no descriptors of ours
     WATCHDOG_PID    the worker's process, if it was the keeper's

   With NOTIFY_SOCKET, the manager also stores each kept descriptor, as `kept-NAME.INDEX`, and brings it back after the
   keeper's own death. In an upgrade the new keeper gets them in the same way, with LISTEN_PID, LISTEN_FDS and
   LISTEN_FDNAMES, and with PRWLOCK_BEFORE. The keeper's signals are then blocked, so that none comes too early. */
int prwlock_keep(const struct keeper_configuration *configuration);

#endif
