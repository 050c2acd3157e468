/* The child that asks for the lock and becomes the command, and the parent that waits for it (`RunPlan` has the picture). */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "CLinux.h"
#include "run.h"

static struct run_begun begun = {.connection = -1};

struct run_begun run_begun(void) { return begun; }

/* How long a daemon may take for its answers. A slower one is left to Swift, which asks it anew. If the caller has set a time
   limit, this is short, because Swift's time begins later. */
enum { PATIENCE_MILLISECONDS = 2000, SHORT_PATIENCE_MILLISECONDS = 50 };

/* The message with the connection. `Handover` has the same, but after it the parent validates the token, as the child may
   have read a notice. After this one it need not: the child has read the answers and nothing else. */
static const char HOLDING = 'G';

struct message {
    char kind;
    uint64_t token;
    int64_t until;
} __attribute__((packed));

/* Asking */

/* Reads a token after `token=`. Returns what follows it, or null. */
static const char *read_token(const char *text, uint64_t *token) {
    char *end;
    if (*text < '1' || *text > '9')
        return NULL;
    errno = 0;
    *token = strtoull(text, &end, 10);
    return errno ? NULL : end;
}

/* Skips a text at the beginning of another one; null if it is not there, or the other is null. */
static const char *skip(const char *text, const char *beginning) {
    size_t length = strlen(beginning);
    return text && strncmp(text, beginning, length) == 0 ? text + length : NULL;
}

struct grant {
    uint64_t token;
    int owner_died;
    int64_t until; /* as in `run_begun` */
};

static int64_t boot_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Reads the fields that only a grant on a lock that hosts share has; `until` is 0 if there are none. Returns what follows them,
   or null. */
static const char *read_until(const char *text, int64_t *until) {
    *until = 0;
    const char *fields = skip(text, " until=");
    if (!fields)
        return text;
    unsigned long long left, clock;
    int end = 0;
    if (sscanf(fields, "%9llums clock=%15llums%n", &left, &clock, &end) != 2 || end == 0)
        return NULL;
    unsigned long long read = (unsigned long long)(boot_time() / 1000000);
    *until = (int64_t)((clock < read ? clock : read) + left) * 1000000;
    return fields + end;
}

enum answers { UNUSUAL, INCOMPLETE, USUAL };

/* Reads the answers to the three requests: rows of holders and waiting requests that `prwlock hold` has not made, a grant,
   and `OK`. */
static enum answers read_answers(const char *text, const struct run_line *line, struct grant *grant) {
    while (text[0] == '*') {
        const char *end = strchr(text, '\n');
        if (!end)
            return INCOMPLETE;
        /* An owner with a name may be this process's ancestor, which waits for this process. */
        const char *owner = strstr(text, " owner=");
        if (!owner || owner > end || strncmp(owner, " owner=- ", 9) != 0)
            return UNUSUAL;
        text = end + 1;
    }
    size_t length = strlen(text);
    if (length == 0 || text[length - 1] != '\n')
        return INCOMPLETE;
    if (!(text = skip(text, "END ")))
        return UNUSUAL;
    text += strspn(text, "0123456789");
    if (!(text = skip(text, "\n")))
        return UNUSUAL;
    if (*text == 0)
        return INCOMPLETE;
    text = skip(skip(skip(skip(text, "GRANTED "), line->name), " "), line->mode);
    if (!(text = skip(text, " token=")) || !(text = read_token(text, &grant->token)))
        return UNUSUAL;
    const char *rest = skip(text, " ownerdied=1");
    grant->owner_died = rest != NULL;
    if (!(text = skip(read_until(rest ? rest : text, &grant->until), "\n")))
        return UNUSUAL;
    if (*text == 0)
        return INCOMPLETE;
    return strcmp(text, "OK\n") == 0 ? USUAL : UNUSUAL;
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sends the requests at once, and reads the answers. Returns 0 if they are not the usual ones. */
static int ask(int connection, const struct run_line *line, struct grant *grant) {
    char requests[1280];
    int length = snprintf(
        requests, sizeof requests, "STATUS %s\n%s %s wait=0%s%s\nRELEASE %s at=end\n", line->name, line->verb,
        line->name, line->note ? " note=" : "", line->note ? line->note : "", line->name);
    if (length < 0 || length >= (int)sizeof requests
        || send(connection, requests, length, MSG_NOSIGNAL) != length)
        return 0;
    char answers[4096];
    size_t count = 0;
    long end = milliseconds() + (line->has_limit ? SHORT_PATIENCE_MILLISECONDS : PATIENCE_MILLISECONDS);
    while (count < sizeof answers - 1) {
        /* If the parent is gone, the command is not to run. */
        struct pollfd polled[] = {{.fd = connection, .events = POLLIN}, {.fd = begun.channel, .events = POLLIN}};
        long left = end - milliseconds();
        if (left <= 0 || poll(polled, 2, (int)left) <= 0 || polled[1].revents)
            return 0;
        ssize_t received = recv(connection, answers + count, sizeof answers - 1 - count, 0);
        if (received <= 0 || memchr(answers + count, 0, received))
            return 0;
        count += received;
        answers[count] = 0;
        enum answers found = read_answers(answers, line, grant);
        if (found != INCOMPLETE)
            return found == USUAL;
    }
    return 0;
}

/* The command */

static void set_environment(const struct run_line *line, const struct grant *grant) {
    char text[512];
    snprintf(text, sizeof text, "%llu", (unsigned long long)grant->token);
    setenv("PRWLOCK_TOKEN", text, 1);
    if (grant->owner_died)
        setenv("PRWLOCK_OWNERDIED", "1", 1);
    else
        unsetenv("PRWLOCK_OWNERDIED");
    snprintf(text, sizeof text, "%s=%s=%llu", line->name, line->mode, (unsigned long long)grant->token);
    setenv("PRWLOCK_HELD", text, 1);
}

/* Leaves the session open in the command, under a high number that scripts do not use if there is one. */
static int keep_connection(int connection) {
    return fcntl(connection, F_DUPFD, 200) >= 0 || fcntl(connection, F_SETFD, 0) == 0;
}

/* Executes the command. Returns only if that fails, with the error. */
static int execute(const struct run_line *line, const struct grant *grant) {
    /* Swift's runtime finds this program's arguments below the environment that the kernel has made. */
    char **own_environment = environ;
    set_environment(line, grant);
    if (line->command) {
        execvp(line->command[0], line->command);
    } else {
        const char *shell = getenv("SHELL");
        char *words[] = {(char *)(shell && *shell ? shell : "/bin/sh"), "-c", line->command_line, NULL};
        execvp(words[0], words);
    }
    int error = errno;
    environ = own_environment;
    return error;
}

/* Asks for the lock, and becomes the command. Returns if anything is not usual. */
static enum run_place become_command(const struct run_line *line, enum run_place otherwise) {
    int connection = run_connect(line->socket);
    if (connection < 0)
        return otherwise;
    struct grant grant;
    if (!ask(connection, line, &grant) || (grant.until != 0 && grant.until <= boot_time()) || fcntl(connection, F_SETFL, 0) < 0
        || (!line->closes_connection && !keep_connection(connection))) {
        close(connection);
        return otherwise;
    }
    struct message message = {HOLDING, grant.token, grant.until};
    if (begun.channel >= 0)
        linux_send_message(begun.channel, &message, sizeof message, connection);
    begun.error = execute(line, &grant);
    return RUN_UNEXECUTED;
}

/* The parent */

/* Closes the descriptors that the command inherited, as `Monitor` does, but for these. */
static void keep_nothing_but(int *kept, int count) {
    unsigned first = 0;
    for (int index = 0; index < count; index++) {
        for (int other = index + 1; other < count; other++)
            if (kept[other] < kept[index]) {
                int number = kept[index];
                kept[index] = kept[other];
                kept[other] = number;
            }
        unsigned number = (unsigned)kept[index];
        if (number > first)
            linux_close_range(first, number - 1);
        first = number + 1;
    }
    linux_close_range(first, ~0U);
    for (int descriptor = STDIN_FILENO; descriptor <= STDOUT_FILENO; descriptor++) {
        int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (nothing >= 0 && nothing != descriptor) {
            dup2(nothing, descriptor);
            close(nothing);
        }
    }
    if (chdir("/") < 0)
        return;
}

/* Takes the child's message. Returns 0 if Swift has to go on with it. */
static int take_message(int *is_over) {
    struct message message;
    int descriptor = -1;
    int count = linux_receive_message(begun.channel, &message, sizeof message, &descriptor);
    if (count == 0)
        *is_over = 1;
    if (descriptor < 0)
        return 1;
    begun.connection = descriptor;
    begun.token = message.token;
    begun.until = message.until;
    return message.kind == HOLDING;
}

/* A timer that fires when the grant counts no more, and not if it always counts. -1 if there is no descriptor for it. */
static int start_timer(void) {
    int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
    struct itimerspec time = {.it_value = {begun.until / 1000000000, begun.until % 1000000000}};
    if (timer >= 0)
        timerfd_settime(timer, TFD_TIMER_ABSTIME, &time, NULL);
    return timer;
}

/* Waits until the child exits, and exits in the same way. Returns if anything else happens first. */
static void guard(int other_signals) {
    int is_over = 0, timer = -1;
    for (;;) {
        if (begun.until != 0 && timer < 0 && (timer = start_timer()) < 0)
            return;
        struct pollfd polled[] = {
            {.fd = begun.signals, .events = POLLIN},
            {.fd = other_signals, .events = POLLIN},
            {.fd = is_over ? -1 : begun.channel, .events = POLLIN},
            {.fd = begun.connection, .events = POLLIN},
            {.fd = timer, .events = POLLIN},
        };
        if (poll(polled, 5, -1) < 0 || polled[1].revents)
            return;
        if (polled[0].revents) {
            struct signalfd_siginfo ignored;
            if (read(begun.signals, &ignored, sizeof ignored) < 0 && errno != EAGAIN)
                return;
        }
        siginfo_t end = {.si_pid = 0};
        if (waitid(P_PID, begun.child, &end, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) < 0)
            return;
        if (end.si_pid != 0) {
            if (end.si_code != CLD_EXITED)
                return;
            waitpid(begun.child, NULL, WNOHANG);
            _exit(end.si_status);
        }
        /* The child's connection has ended, a notice has come, or the grant counts no more, and the child has not ended. */
        if (polled[3].revents || polled[4].revents || (polled[2].revents && !take_message(&is_over)))
            return;
    }
}

/* The beginning */

static int is_set(const char *variable) {
    const char *value = getenv(variable);
    return value && *value;
}

/* Whether a service manager has addressed a variable to this process (`ManagerVariables`). */
static int is_addressed(const char *variable) {
    const char *value = getenv(variable);
    return value && strtol(value, NULL, 10) == getpid();
}

static int is_usual_process(void) {
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0)
            return 0;
    /* Process 1 also reaps others' children. */
    return getpid() != 1 && !getauxval(AT_SECURE) && !is_set("NOTIFY_SOCKET") && !is_set("PRWLOCK_HELD")
           && !getenv("LISTEN_PIDFDID") && !is_addressed("LISTEN_PID") && !is_addressed("WATCHDOG_PID")
           && !is_addressed("SYSTEMD_EXEC_PID");
}

static void run_below_parent(const struct run_line *line) {
    sigset_t all, children, others;
    sigfillset(&all);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    others = all;
    sigdelset(&others, SIGCHLD);
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
        return;
    sigprocmask(SIG_SETMASK, &all, &begun.mask);
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &standard, &begun.child_action);
    begun.signals = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
    int other_signals = signalfd(-1, &others, SFD_NONBLOCK | SFD_CLOEXEC);
    begun.child = begun.signals < 0 || other_signals < 0 ? -1 : fork();
    if (begun.child > 0) {
        close(channel[1]);
        begun.channel = channel[0];
        begun.place = RUN_GUARDING;
        keep_nothing_but((int[]){STDERR_FILENO, begun.signals, other_signals, begun.channel}, 4);
        guard(other_signals);
        signalfd(begun.signals, &all, 0);
        close(other_signals);
        return;
    }
    close(begun.signals);
    close(other_signals);
    close(channel[0]);
    sigaction(SIGCHLD, &begun.child_action, NULL);
    sigprocmask(SIG_SETMASK, &begun.mask, NULL);
    if (begun.child < 0) {
        close(channel[1]);
        return;
    }
    begun.channel = channel[1];
    begun.place = RUN_ASKING;
    begun.place = become_command(line, RUN_ASKING);
}

/* Before the constructors of the Swift runtime and of libdispatch, which have no priority: they take 0.3 ms. */
__attribute__((constructor(200))) static void begin(int count, char **words) {
    struct run_line line;
    if (!run_read_line(count, words, &line) || !is_usual_process())
        return;
    begun.channel = -1;
    if (line.has_no_monitor)
        begun.place = become_command(&line, RUN_AT_BEGINNING);
    else
        run_below_parent(&line);
}
