/* The measured half of prwlock-bench: a C echo server to compare with, the load that drives every server alike, and
 * the processes that take turns and are killed. It is in C so that it costs little beside what it measures.
 *
 * Functions that can fail return 0, or an errno. Times are nanoseconds on CLOCK_MONOTONIC, the same in all processes. */
#ifndef CBENCH_H
#define CBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int64_t bench_now(void);

/* -- histogram.c: durations, exact to 0.8 percent; in memory that forked processes share ------------------------ */

struct bench_histogram;
struct bench_histogram *bench_histogram_create(void);
void bench_histogram_free(struct bench_histogram *);
void bench_histogram_record(struct bench_histogram *, int64_t nanoseconds);
uint64_t bench_histogram_count(const struct bench_histogram *);
/* The least duration that a share of all, such as 0.99, does not exceed; 0 if there is none. */
int64_t bench_histogram_quantile(const struct bench_histogram *, double share);

/* -- echo.c: what a socket, epoll and a copy cost ------------------------------------------------------------- */

/* Serves on a new socket at the path: what arrives is sent back. Returns only with an error. */
int bench_echo_serve(const char *path);

/* -- lines.c: a connection to a server that answers in lines --------------------------------------------------- */

/* A connected blocking descriptor, or a negated errno. */
int bench_connect(const char *path);
int bench_send(int descriptor, const char *text);
/* Reads one line, its LF cut off, a byte at a time if need be; no more than it. */
int bench_read_line(int descriptor, char *line, size_t room);

/* -- script.c: requests, rendered before anything is measured --------------------------------------------------- */

struct bench_script;
struct bench_script *bench_script_create(void);
void bench_script_free(struct bench_script *);
/* Adds a request that is answered by one line, which begins with the given byte if all is well. */
int bench_script_add(struct bench_script *, const char *request, size_t length, char expected);

/* -- load.c: connections that go through their scripts, round and round ------------------------------------------ */

struct bench_load;
struct bench_load *bench_load_create(void);
/* Closes the connections; the scripts are not the load's. */
void bench_load_free(struct bench_load *);
int bench_load_connect(struct bench_load *, const char *path, const struct bench_script *);

/* One request at a time on the first connection, for so long; each one's round trip is recorded. */
int bench_load_round_trips(struct bench_load *, int64_t duration, struct bench_histogram *);

/* On every connection `depth` requests in one write, and the next as soon as all are answered; for so long, or until
 * each connection has done `batches`. A batch's time from write to last answer is recorded. The number of requests in
 * a script is a multiple of the depth. */
int bench_load_batches(
    struct bench_load *, size_t depth, int64_t duration, uint64_t batches, struct bench_histogram *);

/* Answers so far, and how many of them did not begin as expected. */
uint64_t bench_load_answers(const struct bench_load *);
uint64_t bench_load_surprises(const struct bench_load *);

/* -- handover.c: two processes take turns on one lock, and the waiter sleeps each time ---------------------------- */

/* From when the holder begins to release until the waiter has the lock: through the daemon, and by flock(2) on a
 * file. */
int bench_hand_over(const char *socket, int64_t duration, struct bench_histogram *);
int bench_flock_hand_over(const char *path, int64_t duration, struct bench_histogram *);

/* -- deaths.c: processes that are killed, and whoever is next ----------------------------------------------------- */

enum bench_victim {
    BENCH_HOLDER,
    /* A writer that waits for a reader, with another reader behind it. */
    BENCH_WAITER,
    BENCH_HOLDER_WITH_CHILD,
    /* No daemon at all: the other end of a socket pair, until its end is seen. */
    BENCH_PEER,
};

struct bench_deaths;
/* What it makes is to be freed, even if it fails. */
int bench_deaths_create(const char *socket, enum bench_victim, struct bench_deaths **);
void bench_deaths_free(struct bench_deaths *);
/* Kills one; the time from the kill until the next in line has the lock is recorded. `told`: with ownerdied=1. */
int bench_deaths_one(struct bench_deaths *, struct bench_histogram *, bool *told);

/* -- flock.c ----------------------------------------------------------------------------------------------------- */

/* flock(2) on two open descriptions of a new file, in turns, exclusive and free again; each call is recorded. */
int bench_flock_round_trips(const char *path, int64_t duration, struct bench_histogram *);

/* -- flood.c: a client that means harm ----------------------------------------------------------------------------- */

enum bench_flood {
    /* Lines that are carried out, as fast as they are taken. */
    BENCH_FLOOD_LINES,
    /* Lists of 5,000 locks of its own. */
    BENCH_FLOOD_LISTS,
    /* One connection after the other, each with a lock. */
    BENCH_FLOOD_CONNECTIONS,
};

/* Starts one, stopped, as another user; 0 for the same. Negated errno on failure. */
pid_t bench_flood_start(const char *socket, enum bench_flood, uid_t user);
/* Waits until it has stopped; ECHILD if it has ended instead. */
int bench_flood_await(pid_t);
/* Lets it go on, or stops it. */
int bench_flood_run(pid_t, bool);
void bench_flood_end(pid_t);

/* -- process.c: servers, and what the kernel knows of them ------------------------------------------------------- */

/* Starts a program that ends with the caller; both of its outputs go to the end of a file. Negated errno on failure. */
pid_t bench_spawn(const char *program, char *const arguments[], char *const environment[], const char *output);
/* Whether the child has ended; it is collected then. */
bool bench_has_ended(pid_t);
/* Ends a child and collects it: TERM, and after a time KILL. */
void bench_end(pid_t, int64_t patience);

/* Resident bytes; processor time of all threads; how often they were switched to. -1 if it is not there any more. */
int64_t bench_resident(pid_t);
int64_t bench_processor_time(pid_t);
int64_t bench_switches(pid_t);

/* Lets this process, and what it starts, have as many descriptors as it may; returns how many. */
size_t bench_raise_descriptor_limit(void);

/* Gives this process, and all that it starts, real-time priority or the usual one; false if it may not. */
bool bench_set_real_time(bool);

/* -- directory.c ------------------------------------------------------------------------------------------------- */

/* Starts a process that removes a directory and all that is in it as soon as the caller ends it, or has ended itself in
 * whatever way. Negated errno on failure. */
pid_t bench_sweeper_start(const char *path, int *lifeline);
void bench_sweeper_end(pid_t, int lifeline);

#endif
