#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Time ---- */

enum {
    /* How long after its deadline a call waits for the daemon's answer, in milliseconds. */
    ANSWER_TIME = 750,
    /* Longer timeouts wait for ever: the daemon takes at most 876000h. */
    MOST_HOURS = 876000,
};

int64_t prw_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * PRW_SECOND + time.tv_nsec;
}

struct prw_time prw_time(int64_t milliseconds) {
    struct prw_time time = {.deadline = PRW_NEVER, .end = PRW_NEVER, .is_try = milliseconds == 0};
    if (milliseconds < 0 || milliseconds > (int64_t)MOST_HOURS * 3600 * 1000) return time;
    time.deadline = prw_now() + milliseconds * PRW_MILLISECOND;
    time.end = time.deadline + ANSWER_TIME * PRW_MILLISECOND;
    return time;
}

void prw_sleep(int64_t nanoseconds) {
    struct timespec left = {nanoseconds / PRW_SECOND, nanoseconds % PRW_SECOND};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {}
}

int prw_poll_time(int64_t end, int64_t most) {
    int64_t left = end == PRW_NEVER ? most : end - prw_now();
    if (left > most) left = most;
    return left <= 0 ? 0 : (int)((left + PRW_MILLISECOND - 1) / PRW_MILLISECOND);
}

/* ---- Names ---- */

static bool is_bare(unsigned char byte) {
    if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z')) return true;
    return byte != 0 && strchr("-._~/:@+", byte) != NULL;
}

bool prw_encode(char spelled[PRW_MOST_NAME + 1], const char *name) {
    static const char digits[] = "0123456789ABCDEF";
    size_t length = 0;
    for (const unsigned char *byte = (const unsigned char *)name; *byte != 0; byte++) {
        size_t more = is_bare(*byte) ? 1 : 3;
        if (length + more > PRW_MOST_NAME) return false;
        if (more == 1) {
            spelled[length] = (char)*byte;
        } else {
            spelled[length] = '%';
            spelled[length + 1] = digits[*byte >> 4];
            spelled[length + 2] = digits[*byte & 15];
        }
        length += more;
    }
    spelled[length] = 0;
    return length > 0;
}

static int hex(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

void prw_decode(char *spelled) {
    char *to = spelled;
    for (const char *from = spelled; *from != 0; from++) {
        if (*from == '%' && hex(from[1]) >= 0 && hex(from[2]) >= 0) {
            *to++ = (char)(hex(from[1]) << 4 | hex(from[2]));
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

/* ---- Replies ---- */

bool prw_begins(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

const char *prw_field(const char *reply, const char *key) {
    size_t length = strlen(key);
    for (const char *word = strchr(reply, ' '); word != NULL; word = strchr(word + 1, ' ')) {
        if (strncmp(word + 1, key, length) == 0 && word[1 + length] == '=') return word + length + 2;
    }
    return NULL;
}

bool prw_number(const char *digits, uint64_t *number) {
    uint64_t value = 0;
    const char *digit = digits;
    if (digits == NULL) return false;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value)) return false;
        if (__builtin_add_overflow(value, (uint64_t)(*digit - '0'), &value)) return false;
    }
    if (digit == digits || (*digit != 0 && *digit != ' ')) return false;
    *number = value;
    return true;
}

/* ---- Errors ---- */

const char *prwlock_strerror(int code) {
    switch (code) {
    case 0: return "no error";
    case PRWLOCK_BUSY: return "the lock is held";
    case PRWLOCK_TIMEOUT: return "the lock was not granted in time";
    case PRWLOCK_DEADLOCK: return "waiting would close a cycle of waiting owners";
    case PRWLOCK_DENIED: return "the daemon's rules do not allow it";
    case PRWLOCK_LOST: return "the grant was lost";
    case PRWLOCK_NOT_HELD: return "this thread does not hold the lock";
    case PRWLOCK_UNAVAILABLE: return "no lock daemon runs";
    case PRWLOCK_SILENT: return "the lock daemon does not answer";
    case PRWLOCK_ENDED: return "the session ended while the request waited";
    case PRWLOCK_REFUSED: return "the lock daemon may not be used, or is not trusted";
    case PRWLOCK_LIMIT: return "a limit of the lock daemon is reached";
    case PRWLOCK_INVALID: return "an argument is not valid";
    case PRWLOCK_MEMORY: return "no memory or no descriptor is left";
    case PRWLOCK_PROTOCOL: return "the lock daemon gave an unknown answer";
    case PRWLOCK_CLUSTER: return "the cluster cannot be reached that shares the lock between hosts";
    }
    return "an unknown error";
}

static void begin_error(struct prw_thread *thread, int code) {
    free(thread->error_reply);
    free(thread->cycle);
    thread->error_reply = thread->cycle = NULL;
    thread->error = (struct prwlock_error){.code = code, .message = thread->message};
}

int prw_fail(struct prw_thread *thread, int code, const char *format, ...) {
    begin_error(thread, code);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(thread->message, sizeof thread->message, format, arguments);
    va_end(arguments);
    return code;
}

/* Reads `811/write,?/read,host:web1/read,+17`. */
static void read_holders(struct prw_thread *thread, const char *text) {
    struct prwlock_error *error = &thread->error;
    while (text != NULL && *text != 0 && *text != ' ') {
        char *end;
        if (*text == '+') {
            error->more_holders = strtoul(text + 1, NULL, 10);
            return;
        }
        bool is_number = *text >= '0' && *text <= '9';
        long pid = is_number ? strtol(text, &end, 10) : 0;
        const char *mode = is_number ? end : text + strcspn(text, "/, ");
        if (*mode != '/' || error->holder_count == PRWLOCK_MOST_HOLDERS) return;
        if (prw_begins(text, "host:")) {
            char *host = thread->hosts[error->holder_count];
            snprintf(host, PRW_HOST + 1, "%.*s", (int)(mode - text) - 5, text + 5);
            error->hosts[error->holder_count] = host;
        }
        error->holders[error->holder_count++] = (prwlock_holder){.pid = (int)pid, .mode = mode[1]};
        text = mode + strcspn(mode, ", ");
        if (*text == ',') text++;
    }
}

static void describe_holders(struct prw_thread *thread, const char *name, const char *before) {
    const struct prwlock_error *error = &thread->error;
    size_t length = 0, room = sizeof thread->message;
    char *text = thread->message;
    length += (size_t)snprintf(text, room, "%s %s", name, before);
    for (unsigned i = 0; i < error->holder_count && length < room; i++) {
        const prwlock_holder *holder = &error->holders[i];
        const char *how = holder->mode == 'r' ? "reads" : holder->mode == 'w' ? "writes" : "may write";
        const char *separator = i == 0 ? ": " : ", ";
        if (error->hosts[i] != NULL)
            length += (size_t)snprintf(text + length, room - length, "%shost %s %s", separator, error->hosts[i], how);
        else if (holder->pid == 0)
            length += (size_t)snprintf(text + length, room - length, "%sa hidden process %s", separator, how);
        else
            length += (size_t)snprintf(text + length, room - length, "%sprocess %d %s", separator, holder->pid, how);
    }
    if (error->more_holders > 0 && length < room)
        snprintf(text + length, room - length, ", and %lu more", error->more_holders);
}

static int code_of_error(const char *word) {
    if (prw_begins(word, "limit-") || prw_begins(word, "no-token") || prw_begins(word, "no-memory"))
        return PRWLOCK_LIMIT;
    if (prw_begins(word, "not-held")) return PRWLOCK_LOST;
    if (prw_begins(word, "draining")) return PRWLOCK_ENDED;
    if (prw_begins(word, "cluster-unavailable")) return PRWLOCK_CLUSTER;
    return PRWLOCK_PROTOCOL;
}

int prw_judge(struct prw_thread *thread, const char *name, const char *reply) {
    if (prw_begins(reply, "GRANTED ") || prw_begins(reply, "RELEASED ") || prw_begins(reply, "VALID ")) return 0;
    begin_error(thread, PRWLOCK_PROTOCOL);
    struct prwlock_error *error = &thread->error;
    error->reply = thread->error_reply = strdup(reply);
    if (prw_begins(reply, "BUSY ") || prw_begins(reply, "TIMEOUT ")) {
        error->code = *reply == 'B' ? PRWLOCK_BUSY : PRWLOCK_TIMEOUT;
        read_holders(thread, prw_field(reply, "held-by"));
        describe_holders(thread, name, *reply == 'B' ? "is held" : "was not granted in time");
    } else if (prw_begins(reply, "DEADLOCK ")) {
        error->code = PRWLOCK_DEADLOCK;
        const char *cycle = prw_field(reply, "cycle");
        error->cycle = thread->cycle = cycle == NULL ? NULL : strndup(cycle, strcspn(cycle, " "));
        snprintf(thread->message, sizeof thread->message, "%s would never be granted, in the cycle %.300s", name,
            error->cycle == NULL ? "?" : error->cycle);
    } else if (prw_begins(reply, "DENIED ")) {
        error->code = PRWLOCK_DENIED;
        const char *reason = prw_field(reply, "reason");
        snprintf(thread->message, sizeof thread->message, "%s is denied: %.200s", name, reason == NULL ? "?" : reason);
    } else if (prw_begins(reply, "STALE ")) {
        error->code = PRWLOCK_LOST;
        snprintf(thread->message, sizeof thread->message, "the grant on %s was lost", name);
    } else if (prw_begins(reply, "ERROR ")) {
        error->code = code_of_error(reply + strlen("ERROR "));
        if (error->code == PRWLOCK_LOST)
            snprintf(thread->message, sizeof thread->message, "the grant on %s was lost: it was revoked", name);
        else
            snprintf(thread->message, sizeof thread->message, "%s: the lock daemon says: %.200s", name, reply);
    } else {
        snprintf(thread->message, sizeof thread->message, "%s: the lock daemon says: %.200s", name, reply);
    }
    return error->code;
}
