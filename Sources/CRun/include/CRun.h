/* The usual course of `prwlock run`: a daemon answers at once, the lock is free, and the command runs and exits.

   A program in Swift takes longer to start than all of this takes. So this part is written in C and runs before the Swift
   runtime begins (run.c). It knows the usual course and nothing else. At whatever is not usual it stops, and the program goes
   on in Swift, in the same process and from the same command line. It prints nothing and reports no error. */

#ifndef CRUN_H
#define CRUN_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

/* Where the program goes on. */
enum run_place {
    /* At its beginning: nothing has happened. */
    RUN_AT_BEGINNING,
    /* In the child, which asks for the lock. It holds and waits for nothing. */
    RUN_ASKING,
    /* In the child, with the lock granted: the command could not be executed. */
    RUN_UNEXECUTED,
    /* In the parent, which guards the child. */
    RUN_GUARDING,
};

struct run_begun {
    enum run_place place;
    /* The socket between child and parent: this process's end. */
    int channel;
    /* Why the command could not be executed. */
    int error;
    /* In the parent, and as `TakenSignals` has them: all signals are blocked, and readable from a descriptor. */
    int signals;
    sigset_t mask;
    struct sigaction child_action;
    pid_t child;
    /* A copy of the child's connection, or -1 if the child has not passed it on, and the token of its grant. */
    int connection;
    uint64_t token;
    /* Until when the grant counts, in nanoseconds of CLOCK_BOOTTIME; 0 if hosts do not share the lock. */
    int64_t until;
};

/* How far this process has come. */
struct run_begun run_begun(void);

/* A command line of `prwlock run`. */
struct run_line {
    const char *name;
    /* The word of the mode on the wire, and its name. */
    const char *verb;
    const char *mode;
    /* The socket that the line names, or null. */
    const char *socket;
    /* The note as it is on the wire, or null. */
    const char *note;
    /* The words of the command, with a null pointer at the end; or null, and the line for the shell. */
    char *const *command;
    char *command_line;
    /* Whether the request may wait for a limited time only. */
    int has_limit;
    int closes_connection;
    int has_no_monitor;
};

/* Reads a command line. Returns 0 if it is wrong, or not a usual one: then the argument parser reads it.

   Whatever this accepts means the same to the argument parser; a test compares the two. */
int run_read_line(int count, char *const *words, struct run_line *line);

#endif
