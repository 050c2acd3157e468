#define _GNU_SOURCE

#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SECONDS = 600, PAUSE_MILLISECONDS = 2, MOST_ARGUMENTS = 32, MOST_LOCKS = 200 };

char folder[48], socket_path[104];
pid_t daemon_process;

void fail(const char *file, int line, const char *what) {
    const prwlock_error *error = prwlock_last_error();
    printf("  %s:%d: %s\n  last error: %d, %s\n", file, line, what, error->code, error->message);
    fflush(stdout);
    _exit(1);
}

void check_code(const char *file, int line, const char *what, int result, int expected) {
    if (result == expected) return;
    printf("  %d (%s), where %d (%s) is expected\n", result, prwlock_strerror(result), expected,
        prwlock_strerror(expected));
    fail(file, line, what);
}

static void short_pause(void) {
    struct timespec time = {.tv_nsec = PAUSE_MILLISECONDS * 1000000L};
    nanosleep(&time, NULL);
}

/* ---- Locks ---- */

static struct {
    prwlock_lock *lock;
    prwlock_client *client;
} opened[MOST_LOCKS];
static int opened_count;

static prwlock_lock *open_lock(prwlock_client *client, const char *name) {
    prwlock_lock *lock;
    check_code(__FILE__, __LINE__, name, prwlock_open(&lock, client, name), 0);
    int place = __atomic_fetch_add(&opened_count, 1, __ATOMIC_RELAXED);
    if (place >= MOST_LOCKS) fail(__FILE__, __LINE__, "too many locks");
    opened[place].lock = lock;
    opened[place].client = client;
    return lock;
}

prwlock_lock *own(const char *name) { return open_lock(NULL, name); }

prwlock_lock *of_another(const char *name) {
    prwlock_client *client;
    check_code(__FILE__, __LINE__, name, prwlock_client_open(&client, socket_path, 0), 0);
    return open_lock(client, name);
}

static void close_locks(void) {
    for (int i = 0; i < opened_count; i++) prwlock_close(opened[i].lock);
    for (int i = 0; i < opened_count; i++) prwlock_client_close(opened[i].client);
    prwlock_release_all();
}

/* ---- Running ---- */

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) perror(command);
}

static int run(const struct test *test) {
    printf("- %s\n", test->name);
    fflush(stdout);
    snprintf(folder, sizeof folder, "/tmp/prwlock-c.XXXXXX");
    if (mkdtemp(folder) == NULL) fail(__FILE__, __LINE__, "mkdtemp");
    snprintf(socket_path, sizeof socket_path, "%s/s", folder);
    setenv("PRWLOCK_SOCKET", socket_path, 1);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(MOST_SECONDS);
        test->run();
        close_locks();
        if (daemon_process > 0) {
            kill_daemon(SIGKILL);
            await_daemon();
        }
        exit(0);
    }
    int status = await_end(child);
    remove_folder();
    if (status != 0) printf("  FAILED (status %#x)\n", (unsigned)status);
    return status != 0;
}

int run_tests(int argc, char **argv, const struct test *tests, size_t count) {
    int failures = 0, runs = 0;
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL) continue;
        failures += run(&tests[i]);
        runs++;
    }
    printf("%d tests, %d failed\n", runs, failures);
    return failures > 0;
}

/* ---- A daemon ---- */

static int try_to_connect(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) fail(__FILE__, __LINE__, "socket");
    if (connect(connection, (struct sockaddr *)&address, sizeof address) == 0) return connection;
    close(connection);
    return -1;
}

void start_daemon(const char *first_option, ...) {
    char state[96], *arguments[MOST_ARGUMENTS] = {"prwlockd", "--socket", socket_path, "--state-directory", state,
        "--log-level", "error", "--grace", "0"};
    int count = 9, connection;
    const char *program = getenv("PRWLOCKD");
    snprintf(state, sizeof state, "%s/state", folder);
    va_list options;
    va_start(options, first_option);
    for (const char *option = first_option; option != NULL; option = va_arg(options, const char *))
        arguments[count++] = (char *)(uintptr_t)option;
    va_end(options);
    if (program == NULL) fail(__FILE__, __LINE__, "PRWLOCKD names the daemon's program");
    daemon_process = fork();
    if (daemon_process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execv(program, arguments);
        perror(program);
        _exit(127);
    }
    while ((connection = try_to_connect()) < 0) {
        if (waitpid(daemon_process, NULL, WNOHANG) == daemon_process) fail(__FILE__, __LINE__, "the daemon has ended");
        short_pause();
    }
    close(connection);
}

void kill_daemon(int signal) { kill(daemon_process, signal); }

void await_daemon(void) {
    await_end(daemon_process);
    daemon_process = 0;
}

void stop(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (kill(pid, SIGSTOP) != 0) fail(__FILE__, __LINE__, "kill");
    for (char state = 0; state != 'T'; short_pause()) {
        FILE *file = fopen(path, "r");
        if (file == NULL || fscanf(file, "%*d (%*[^)]) %c", &state) != 1) fail(__FILE__, __LINE__, path);
        fclose(file);
    }
}

pid_t worker(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", daemon_process, daemon_process);
    for (;;) {
        int process = 0;
        FILE *children = fopen(path, "r");
        if (children == NULL) fail(__FILE__, __LINE__, path);
        if (fscanf(children, "%d", &process) != 1) process = 0;
        fclose(children);
        if (process > 0) return process;
        short_pause();
    }
}

/* ---- A client by hand ---- */

int connect_by_hand(void) {
    int connection = try_to_connect();
    if (connection < 0) fail(__FILE__, __LINE__, "connect");
    return connection;
}

const char *next_line(int connection) {
    static char line[4096];
    size_t length = 0;
    while (length + 1 < sizeof line) {
        ssize_t count = read(connection, line + length, 1);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) fail(__FILE__, __LINE__, "the daemon has closed the connection");
        if (line[length] == '\n') break;
        length++;
    }
    line[length] = 0;
    return line;
}

const char *say(int connection, const char *line) {
    if (dprintf(connection, "%s\n", line) < 0) fail(__FILE__, __LINE__, line);
    return next_line(connection);
}

void await_status(int connection, const char *name, const char *words) {
    char request[300];
    snprintf(request, sizeof request, "STATUS %s", name);
    for (bool is_there = false; !is_there; short_pause()) {
        const char *row = say(connection, request);
        for (; strncmp(row, "END", 3) != 0; row = next_line(connection)) is_there |= strstr(row, words) != NULL;
    }
}

void await_free(int connection, const char *name) {
    char request[300];
    snprintf(request, sizeof request, "STATUS %s", name);
    for (bool is_free = false; !is_free; short_pause()) {
        const char *row = say(connection, request);
        is_free = strcmp(row, "END 0") == 0;
        while (strncmp(row, "END", 3) != 0) row = next_line(connection);
    }
}

/* ---- Processes ---- */

struct process start_process(void (*body)(int from, int to)) {
    int down[2], up[2];
    if (pipe2(down, 0) != 0 || pipe2(up, 0) != 0) fail(__FILE__, __LINE__, "pipe");
    fflush(stdout);
    struct process process = {.pid = fork(), .from = up[0], .to = down[1]};
    if (process.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(down[1]);
        close(up[0]);
        body(down[0], up[1]);
        exit(0);
    }
    close(down[0]);
    close(up[1]);
    return process;
}

void tell(int to) {
    if (write(to, ".", 1) != 1) fail(__FILE__, __LINE__, "the other process has ended");
}

void await_word(int from) {
    char word;
    ssize_t count;
    do count = read(from, &word, 1);
    while (count < 0 && errno == EINTR);
    if (count != 1) fail(__FILE__, __LINE__, "the other process has ended");
}

int await_end(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) fail(__FILE__, __LINE__, "waitpid");
    return status;
}
