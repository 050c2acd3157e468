/* libprwlock behind the driver's commands: each owner is a thread, which reads its commands from a pipe. */
#define _GNU_SOURCE

#include <prwlock.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE = 4096, TEXT = 1024, MOST_GRANTS = 4096, MOST_OWNERS = 16 };

/* The lock of each grant, by the number of the command that acquired it. */
static prwlock_lock *locks[MOST_GRANTS];

/* ---- A line of JSON, as the driver writes it: without spaces, with numbers and strings ---- */

static const char *value_of(const char *line, const char *key) {
    char pattern[64];
    snprintf(pattern, sizeof pattern, "\"%s\":", key);
    const char *found = strstr(line, pattern);
    return found == NULL ? NULL : found + strlen(pattern);
}

static int64_t number_of(const char *line, const char *key, int64_t absent) {
    const char *value = value_of(line, key);
    return value == NULL ? absent : strtoll(value, NULL, 10);
}

static const char *text_of(const char *line, const char *key, char *text) {
    const char *value = value_of(line, key);
    text[0] = 0;
    if (value != NULL && *value == '"' && strchr(value + 1, '"') != NULL)
        snprintf(text, TEXT, "%.*s", (int)strcspn(value + 1, "\""), value + 1);
    return text;
}

/* The name in hexadecimal digits, which no escape changes. */
static const char *name_of(const char *line, char *name) {
    char digits[TEXT];
    unsigned byte;
    size_t count = 0;
    for (const char *at = text_of(line, "name_hex", digits); sscanf(at, "%2x", &byte) == 1; at += 2)
        name[count++] = (char)byte;
    name[count] = 0;
    return name;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...) {
    char line[LINE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    line[length] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)length + 1) < 0) _exit(1);
}

/* ---- Answers ---- */

static const char *word_for(int code) {
    static const char *words[] = {"ok", "busy", "timeout", "deadlock", "denied", "lost", "not-held", "unavailable",
        "silent", "unavailable", "untrusted", "limit", "invalid", "memory", "refused", "cluster"};
    return words[-code];
}

static void say_error(int64_t id, int code) {
    const prwlock_error *error = prwlock_last_error();
    char held_by[TEXT] = "";
    int length = 0;
    for (unsigned i = 0; i < error->holder_count; i++) {
        const char *mode = error->holders[i].mode == 'r' ? "read" : error->holders[i].mode == 'u' ? "update" : "write";
        const char *comma = i > 0 ? "," : "", *host = error->hosts[i];
        char *rest = held_by + length;
        if (host != NULL) length += snprintf(rest, 100, "%shost:%s/%s", comma, host, mode);
        else length += snprintf(rest, 100, "%s%d/%s", comma, error->holders[i].pid, mode);
    }
    if (error->more_holders > 0) snprintf(held_by + length, 100, ",+%lu", error->more_holders);
    say("{\"id\":%" PRId64 ",\"error\":\"%s\",\"held_by\":\"%s\",\"cycle\":\"%s\"}", id, word_for(code), held_by,
        error->cycle == NULL ? "" : error->cycle);
}

static int acquire(const char *line, int64_t id, prwlock_grant *grant) {
    char name[TEXT], mode[TEXT], note[TEXT];
    prwlock_lock *lock;
    int code = prwlock_open(&lock, NULL, name_of(line, name));
    if (code == 0 && text_of(line, "note", note)[0] != 0) code = prwlock_set_note(lock, note);
    if (code != 0) return code;
    prwlock_mode wanted = strcmp(text_of(line, "mode", mode), "read") == 0 ? PRWLOCK_READ : PRWLOCK_WRITE;
    code = prwlock_acquire(lock, wanted, number_of(line, "wait_ms", PRWLOCK_FOREVER), grant);
    if (code != 0) {
        /* The error stays that of the acquire. */
        return code;
    }
    if (id > 0) locks[id % MOST_GRANTS] = lock;
    return 0;
}

static int release(const char *line) {
    int64_t grant = number_of(line, "grant", 0) % MOST_GRANTS;
    if (locks[grant] == NULL) return PRWLOCK_NOT_HELD;
    int code = prwlock_unlock(locks[grant]);
    locks[grant] = NULL;
    return code;
}

static int cycle(const char *line) {
    char name[TEXT], mode[TEXT];
    prwlock_lock *lock;
    int code = prwlock_open(&lock, NULL, name_of(line, name));
    prwlock_mode wanted = strcmp(text_of(line, "mode", mode), "read") == 0 ? PRWLOCK_READ : PRWLOCK_WRITE;
    for (int64_t i = number_of(line, "times", 0); i > 0 && code == 0; i--) {
        code = prwlock_acquire(lock, wanted, PRWLOCK_FOREVER, NULL);
        if (code == 0) code = prwlock_unlock(lock);
    }
    return code;
}

/* The child says what it got. */
static void try_in_child(const char *line, int64_t id) {
    pid_t child = fork();
    if (child != 0) {
        waitpid(child, NULL, 0);
        return;
    }
    char name[TEXT];
    prwlock_lock *lock;
    int acquired = prwlock_open(&lock, NULL, name_of(line, name));
    if (acquired == 0) acquired = prwlock_try_write_lock(lock, NULL);
    int released = release(line);
    say("{\"id\":%" PRId64 ",\"acquired\":\"%s\",\"released\":\"%s\"}", id, word_for(acquired), word_for(released));
    _exit(0);
}

static void carry_out(const char *line) {
    char verb[TEXT];
    int64_t id = number_of(line, "id", 0);
    prwlock_grant grant;
    int code = PRWLOCK_INVALID;
    text_of(line, "do", verb);
    if (strcmp(verb, "acquire") == 0) {
        code = acquire(line, id, &grant);
        if (code == 0) {
            const char *mark = !grant.owner_died ? "" : grant.is_unsure ? ",\"ownerdied\":\"maybe\"" : ",\"ownerdied\":\"1\"";
            say("{\"id\":%" PRId64 ",\"token\":\"%" PRIu64 "\",\"mode\":\"%s\"%s}", id, grant.token,
                grant.mode == PRWLOCK_READ ? "read" : "write", mark);
            return;
        }
    } else if (strcmp(verb, "release") == 0) {
        code = release(line);
    } else if (strcmp(verb, "check") == 0) {
        prwlock_lock *lock = locks[number_of(line, "grant", 0) % MOST_GRANTS];
        code = lock == NULL ? PRWLOCK_NOT_HELD : prwlock_check(lock);
    } else if (strcmp(verb, "cycle") == 0) {
        code = cycle(line);
    } else if (strcmp(verb, "fork") == 0) {
        try_in_child(line, id);
        return;
    }
    if (code == 0) say("{\"id\":%" PRId64 "}", id);
    else say_error(id, code);
}

/* ---- Owners ---- */

static struct {
    char word[TEXT];
    FILE *commands;
} owners[MOST_OWNERS];

static void *own(void *pipe_end) {
    FILE *commands = fdopen((int)(intptr_t)pipe_end, "r");
    char line[LINE];
    while (commands != NULL && fgets(line, sizeof line, commands) != NULL) carry_out(line);
    return NULL;
}

static FILE *commands_of(const char *word) {
    int i = 0, ends[2];
    while (i < MOST_OWNERS - 1 && owners[i].commands != NULL && strcmp(owners[i].word, word) != 0) i++;
    if (owners[i].commands == NULL) {
        pthread_t thread;
        if (pipe(ends) != 0 || pthread_create(&thread, NULL, own, (void *)(intptr_t)ends[0]) != 0) exit(1);
        pthread_detach(thread);
        snprintf(owners[i].word, TEXT, "%s", word);
        owners[i].commands = fdopen(ends[1], "w");
    }
    return owners[i].commands;
}

int main(void) {
    char line[LINE], word[TEXT];
    say("{\"client\":\"C\",\"can\":\"owners note bytes fork cache place start until trusts-path last-words grace\"}");
    while (fgets(line, sizeof line, stdin) != NULL) {
        FILE *commands = commands_of(text_of(line, "owner", word));
        fputs(line, commands);
        fflush(commands);
    }
}
