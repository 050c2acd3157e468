/*
 * What the tests of libprwlock share. Each test runs in a process of its own, with a daemon of its own if it
 * starts one.
 *
 * A test waits for events: a reply, a line in a pipe, a row of STATUS. A test that hangs is ended after ten
 * minutes.
 */
#ifndef TEST_H
#define TEST_H

#include <prwlock.h>

#include <stdio.h>
#include <sys/types.h>

struct test {
    const char *name;
    void (*run)(void);
};

/* Runs all tests, or those with a name that contains the first argument. Returns the exit status. */
int run_tests(int argc, char **argv, const struct test *tests, size_t count);

#define CHECK(condition) \
    do { \
        if (!(condition)) fail(__FILE__, __LINE__, #condition); \
    } while (0)

/* Checks a result of the library; a failure shows the last error. */
#define CHECK_CODE(call, code) check_code(__FILE__, __LINE__, #call, (call), (code))
#define OK(call) CHECK_CODE(call, 0)

void fail(const char *file, int line, const char *what) __attribute__((noreturn));
void check_code(const char *file, int line, const char *what, int result, int expected);

/* A lock of the default client, and one of another session, as another process has it. The test's end closes both. */
prwlock_lock *own(const char *name);
prwlock_lock *of_another(const char *name);

/* ---- A daemon ---- */

/* Its folder, its socket (also in PRWLOCK_SOCKET), and its process. */
extern char folder[48], socket_path[104];
extern pid_t daemon_process;

/* Starts one with these further options, NULL at the end; returns when it accepts connections. */
void start_daemon(const char *first_option, ...);
void kill_daemon(int signal);
/* Waits until the process has ended. */
void await_daemon(void);
/* Stops a process; returns when it has stopped. SIGCONT lets it go on. */
void stop(pid_t pid);
/* The process that serves for a keeper. */
pid_t worker(void);

/* ---- A client by hand ---- */

/* Connects; ends the test if that fails. */
int connect_by_hand(void);
/* Sends a line without its end, and returns the next line that comes. It is valid until the next call. */
const char *say(int connection, const char *line);
const char *next_line(int connection);
/* Requests STATUS of a lock until a row contains these words. */
void await_status(int connection, const char *name, const char *words);
/* Requests STATUS until the lock has no rows. */
void await_free(int connection, const char *name);

/* ---- Processes ---- */

struct process {
    pid_t pid;
    int from, to; /* pipes: what it writes, what it reads */
};

/* Forks; the child runs `body` and ends. */
struct process start_process(void (*body)(int from, int to));
void tell(int to);
void await_word(int from);
/* Waits for the end of a process; returns its status as waitpid(2). */
int await_end(pid_t pid);

#endif
