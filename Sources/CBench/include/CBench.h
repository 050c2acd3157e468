/* The C half of prwlock-bench: an echo server to compare with, one load for all servers, and the processes that
 * alternate on a lock or are killed. It is in C so that it costs little beside the measured server.
 *
 * Functions that can fail return 0 or an errno. Times are nanoseconds of CLOCK_MONOTONIC, the same in all processes. */
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
/* The least duration that a share of all durations, such as 0.99, does not exceed; 0 if there is none. */
int64_t bench_histogram_quantile(const struct bench_histogram *, double share);

/* -- echo.c: the cost of a socket, epoll and a copy --------------------------------------------------------------- */

/* Serves on a new socket at the path, and sends back all bytes. Returns only with an error. */
int bench_echo_serve(const char *path, int backlog);

/* -- lines.c: a connection to a server that answers in lines --------------------------------------------------- */

/* Returns a connected blocking descriptor, or a negated errno. */
int bench_connect(const char *path);
int bench_send(int descriptor, const char *text);
/* Reads one line without its LF, and nothing after it. */
int bench_read_line(int descriptor, char *line, size_t room);

/* -- script.c: requests, rendered before anything is measured --------------------------------------------------- */

struct bench_script;
struct bench_script *bench_script_create(void);
void bench_script_free(struct bench_script *);
/* Adds a request with a one-line answer. A correct answer begins with the byte `expected`. */
int bench_script_add(struct bench_script *, const char *request, size_t length, char expected);

/* -- load.c: connections, each of which repeats its script -------------------------------------------------------- */

struct bench_load;
struct bench_load *bench_load_create(void);
/* Closes the connections; the caller frees the scripts. */
void bench_load_free(struct bench_load *);
int bench_load_connect(struct bench_load *, const char *path, const struct bench_script *);

/* Sends one request at a time on the first connection for `duration`, and records each round trip. */
int bench_load_round_trips(struct bench_load *, int64_t duration, struct bench_histogram *);

/* Connects, sends a request, reads the answer and closes, for `duration`. Records the time from before each connection
 * until its answer. EPROTO if an answer does not begin as expected. */
int bench_first_answers(
    const char *path, const char *request, const char *beginning, int64_t duration, struct bench_histogram *);

/* Sends `depth` requests in one write on every connection, and the next as soon as all are answered, until `duration`
 * is over or each connection has done `batches`. Records the time of each batch from the write to its last answer. The
 * number of requests in a script must be a multiple of the depth. */
int bench_load_batches(
    struct bench_load *, size_t depth, int64_t duration, uint64_t batches, struct bench_histogram *);

/* The number of answers so far, and the number of those that did not begin as expected. */
uint64_t bench_load_answers(const struct bench_load *);
uint64_t bench_load_surprises(const struct bench_load *);

/* -- handover.c: two processes alternate on one lock, and the waiter sleeps each time ----------------------------- */

/* Record the time from the start of a release until the waiter has the lock: through the daemon, and with flock(2) on
 * a file. */
int bench_hand_over(const char *socket, int64_t duration, struct bench_histogram *);
int bench_flock_hand_over(const char *path, int64_t duration, struct bench_histogram *);

/* -- deaths.c: killed processes, and the next waiter -------------------------------------------------------------- */

enum bench_victim {
    BENCH_HOLDER,
    /* A writer that waits for a reader, with another reader behind it. */
    BENCH_WAITER,
    BENCH_HOLDER_WITH_CHILD,
    /* Without a daemon: the time until the other end of a socket pair sees the end of input. */
    BENCH_PEER,
};

struct bench_deaths;
/* The caller must free the result, even after an error. */
int bench_deaths_create(const char *socket, enum bench_victim, struct bench_deaths **);
void bench_deaths_free(struct bench_deaths *);
/* Kills one victim, and records the time until the next waiter has the lock. `told`: its grant had ownerdied=1. */
int bench_deaths_one(struct bench_deaths *, struct bench_histogram *, bool *told);

/* -- flock.c ----------------------------------------------------------------------------------------------------- */

/* Locks and unlocks two open descriptions of a new file alternately with flock(2); records each call. */
int bench_flock_round_trips(const char *path, int64_t duration, struct bench_histogram *);

/* -- attack.c: a hostile client ----------------------------------------------------------------------------------- */

/* The name of each attack; null behind the last. */
const char *bench_attack_name(size_t attack);
const char *bench_attack_text(size_t attack);

enum bench_attack_trait {
    /* An echo server can stand the same attack, so that the two can be compared. */
    BENCH_SUITS_ECHO = 1,
    /* The attacker connects again and again, so that the first answer to a new client matters. */
    BENCH_OF_CONNECTIONS = 2,
    /* The attack has no end of its own. */
    BENCH_ENDLESS = 4,
};

bool bench_attack_has(size_t attack, enum bench_attack_trait);

/* Starts an attack as another user; 0 for the same user. It prepares, and then stops. Returns a negated errno on
 * failure. */
pid_t bench_attack_start(const char *socket, size_t attack, uid_t user);
/* Waits until the attack is prepared; ECHILD if it has ended instead. */
int bench_attack_await(pid_t);
/* Lets the attack go on, to its end if it has one. */
int bench_attack_strike(pid_t);
/* Ends an attack that bench_has_ended has not reaped. */
void bench_attack_end(pid_t);

/* -- process.c: servers, and the kernel's figures for them -------------------------------------------------------- */

/* Starts a program that ends with the caller, and appends both of its outputs to a file. Returns a negated errno on
 * failure. */
pid_t bench_spawn(const char *program, char *const arguments[], char *const environment[], const char *output);
/* To be called by a child: it ends with its parent, and blocks no signal, whatever the caller of the program blocks. */
void bench_begin_child(pid_t parent);
/* Returns whether the child has ended, and reaps it if it has. */
bool bench_has_ended(pid_t);
/* Ends a child with TERM, after `patience` with KILL, and reaps it. */
void bench_end(pid_t, int64_t patience);

/* The resident bytes, the most that they ever were, the processor time of all threads, and the switches to them; -1 if the
 * process is gone. */
int64_t bench_resident(pid_t);
int64_t bench_peak_resident(pid_t);
int64_t bench_processor_time(pid_t);
int64_t bench_switches(pid_t);

/* Raises the descriptor limit of this process and its children to the hard limit; returns the limit. */
size_t bench_raise_descriptor_limit(void);

/* Keeps this process and its later children on one processor, and returns its number; -1 if that is not permitted. Then lets
   them use all processors again that this process was given. */
int bench_pin(void);
void bench_unpin(void);

/* Gives this process and its later children real-time or normal priority; false if this is not permitted. */
bool bench_set_real_time(bool);

/* -- participant.c: processes that are driven by lines, and the processors of processes ---------------------------- */

/* Starts a program that ends with the caller. `lines` is a socket to its standard input and output; its errors are
 * appended to a file. Returns a negated errno on failure. */
pid_t bench_spawn_participant(
    const char *program, char *const arguments[], char *const environment[], const char *output, int *lines);
/* Reads one line without its LF, and nothing after it; ETIMEDOUT if it does not end before the deadline. */
int bench_read_line_until(int descriptor, char *line, size_t room, int64_t deadline);

/* The number of the processor with this index, of those that this process was given; -1 if there is none. */
int bench_processor(int index);
/* Keeps all threads of a process and of the processes that it has started on one processor; -1: on all of the caller. */
void bench_place(pid_t, int processor);

/* A port of loopback that is free now; a negated errno on failure. */
int bench_free_port(void);

/* -- etcd.c: a transaction of etcd, and nothing else of it -------------------------------------------------------- */

struct bench_etcd;
/* Connects to a member on loopback. The caller must free the result, even after an error. */
int bench_etcd_connect(int port, struct bench_etcd **);
void bench_etcd_free(struct bench_etcd *);
/* Puts the key if it is absent; EEXIST if it is not. Key and value have at most 50 bytes. */
int bench_etcd_put_if_absent(struct bench_etcd *, const char *key, const char *value);

/* -- postgresql.c: a query of PostgreSQL ---------------------------------------------------------------------------- */

/* Returns a connected descriptor, or a negated errno. The server, with its socket in the folder, must trust the user. */
int bench_postgresql_connect(const char *folder, const char *user);
/* Returns when the query has been carried out; EPROTO if it failed. */
int bench_postgresql_query(int descriptor, const char *query);

/* -- directory.c ------------------------------------------------------------------------------------------------- */

/* Starts a process that removes a directory and its contents when the caller calls bench_sweeper_end or ends for any
 * reason. Returns a negated errno on failure. */
pid_t bench_sweeper_start(const char *path, int *lifeline);
void bench_sweeper_end(pid_t, int lifeline);

#endif
