/* Reads the command line of `prwlock run`. */

#define _GNU_SOURCE
#include <string.h>

#include "run.h"

/* Whether all bytes of a text stand for themselves in names and notes, and there is one to 255 of them. */
static int is_plain(const char *text) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-./:@_~";
    size_t length = strlen(text);
    return length > 0 && length <= 255 && strspn(text, alphabet) == length;
}

/* Whether a text is a whole number of few digits, with a unit if there may be one. Others are left to Swift. */
static int is_number(const char *text, int may_have_unit) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 6)
        return 0;
    const char *unit = text + digits;
    if (*unit == 0)
        return 1;
    return may_have_unit && (strcmp(unit, "ms") == 0 || strcmp(unit, "s") == 0);
}

static int is_byte(const char *text) {
    return is_number(text, 0) && strlen(text) <= 2;
}

struct option {
    const char *name;
    char letter;
    enum {
        READ,
        WRITE,
        UPDATE,
        NONBLOCK,
        CLOSE,
        NO_FORK,
        /* From here on with a value. */
        WAIT,
        CONFLICT_EXIT_CODE,
        KILL_AFTER,
        NOTE,
        COMMAND,
        SOCKET,
    } meaning;
};

/* Without --lease, which needs a parent that renews it, and those that print, or change what a name is. */
static const struct option options[] = {
    {"shared", 's', READ},
    {"read", 0, READ},
    {"exclusive", 'x', WRITE},
    {"write", 'e', WRITE},
    {"update", 0, UPDATE},
    {"nonblock", 'n', NONBLOCK},
    {"nb", 0, NONBLOCK},
    {"nonblocking", 0, NONBLOCK},
    {"close", 'o', CLOSE},
    {"no-fork", 'F', NO_FORK},
    {"wait", 'w', WAIT},
    {"timeout", 0, WAIT},
    {"conflict-exit-code", 'E', CONFLICT_EXIT_CODE},
    {"kill-after", 'k', KILL_AFTER},
    {"note", 0, NOTE},
    {"command", 'c', COMMAND},
    {"socket", 0, SOCKET},
};

static const struct option *find(const char *name, size_t length, char letter) {
    for (size_t index = 0; index < sizeof options / sizeof *options; index++) {
        const struct option *option = &options[index];
        if (name ? strlen(option->name) == length && memcmp(option->name, name, length) == 0
                 : option->letter == letter)
            return option;
    }
    return NULL;
}

/* Notes an option. Returns 0 for a value that is wrong or unusual. */
static int take(struct run_line *line, const struct option *option, char *value) {
    switch (option->meaning) {
    /* As in flock(1), the last mode counts. */
    case READ:
        line->verb = "READ";
        line->mode = "read";
        return 1;
    case WRITE:
        line->verb = "WRITE";
        line->mode = "write";
        return 1;
    case UPDATE:
        line->verb = "UPDATE";
        line->mode = "update";
        return 1;
    case CLOSE:
        line->closes_connection = 1;
        return 1;
    case NO_FORK:
        line->has_no_monitor = 1;
        return 1;
    /* A free lock is granted at once, so the values of these make no difference. */
    case NONBLOCK:
        line->has_limit = 1;
        return 1;
    case WAIT:
        line->has_limit = 1;
        return is_number(value, 1);
    case KILL_AFTER:
        return is_number(value, 1);
    case CONFLICT_EXIT_CODE:
        return is_byte(value);
    case NOTE:
        line->note = value;
        return is_plain(value) && strcmp(value, "-") != 0;
    case COMMAND:
        line->command_line = value;
        return *value != 0;
    case SOCKET:
        line->socket = value;
        for (const char *byte = value; *byte; byte++)
            if ((unsigned char)*byte >= 0x80)
                return 0;
        return *value != 0;
    }
    return 0;
}

/* Reads the options of one word. Returns how many of the words that follow it took, or -1. */
static int take_word(struct run_line *line, char *word, char *next) {
    if (word[1] == '-') {
        char *name = word + 2;
        char *value = strchr(name, '=');
        const struct option *option = find(name, value ? (size_t)(value - name) : strlen(name), 0);
        if (!option || (value && option->meaning < WAIT))
            return -1;
        int takes_next = option->meaning >= WAIT && !value;
        if (takes_next && !next)
            return -1;
        return take(line, option, value ? value + 1 : next) ? takes_next : -1;
    }
    for (char *letter = word + 1; *letter; letter++) {
        const struct option *option = find(NULL, 0, *letter);
        if (!option)
            return -1;
        if (option->meaning < WAIT) {
            take(line, option, NULL);
            continue;
        }
        int takes_next = letter[1] == 0;
        if (takes_next && !next)
            return -1;
        return take(line, option, takes_next ? next : letter + 1) ? takes_next : -1;
    }
    return 0;
}

int run_read_line(int count, char *const *words, struct run_line *line) {
    *line = (struct run_line){.verb = "WRITE", .mode = "write"};
    if (count < 3 || strcmp(words[1], "run") != 0)
        return 0;
    int index = 2;
    while (index < count && words[index][0] == '-' && words[index][1]) {
        char *word = words[index++];
        if (strcmp(word, "--") == 0)
            break;
        int taken = take_word(line, word, index < count ? words[index] : NULL);
        if (taken < 0)
            return 0;
        index += taken;
    }
    if (index == count)
        return 0;
    line->name = words[index++];
    /* `*` has its own meaning on the wire. */
    if (!is_plain(line->name) || line->name[0] == '-' || (line->has_no_monitor && line->closes_connection))
        return 0;
    if (line->command_line)
        return index == count;
    if (index < count && (strcmp(words[index], "-c") == 0 || strcmp(words[index], "--command") == 0)) {
        if (index + 2 != count)
            return 0;
        line->command_line = words[index + 1];
        return 1;
    }
    if (index < count && strcmp(words[index], "--") == 0)
        index++;
    line->command = words + index;
    return index < count;
}
