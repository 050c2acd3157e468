#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "CPeers.h"

/* The clock is read after so many pairs that reading it does not count, and often enough to end in time. */
enum { SHORT_CHUNK = 20000, LONG_CHUNK = 100000 };

/* With another writer, the next pair may take ten thousand times as long as the last one. So a chunk of these kinds is
 * short: a long one would go on after the window. */
static const uint64_t longest_chunk[PEERS_KINDS] = {1 << 20, 1 << 20, 1, 16};

/* A sleeper wakes late. So it wakes early, and reads the clock until the time has come. */
enum { WAKE_EARLY = 100000 };

static const char *const words[PEERS_KINDS] = {"write", "read", "turns", "mixed"};

const char *peers_kind_word(int kind) {
    return kind >= 0 && kind < PEERS_KINDS ? words[kind] : NULL;
}

static int64_t now(void *context) {
    (void)context;
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t await(void *context, int64_t instant) {
    int64_t early = instant - WAKE_EARLY;
    struct timespec time = {.tv_sec = early / 1000000000, .tv_nsec = early % 1000000000};
    if (early > 0)
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) continue;
    int64_t time_now = now(context);
    while (time_now < instant) time_now = now(context);
    return time_now;
}

static const struct peers_clock monotonic = {.now = now, .await = await};

int peers_window(
    const struct peers_part *part, const struct peers_clock *clock, enum peers_kind kind, int64_t begin, int64_t length,
    uint64_t *count, int64_t *elapsed) {
    int64_t start = clock->await(clock->context, begin), end = begin + length, last = start;
    uint64_t chunk = 1;
    *count = 0;
    while (last < end) {
        int64_t made = part->pairs(part->context, kind, chunk);
        if (made < 0) return errno != 0 ? errno : EPROTO;
        int64_t then = last;
        last = clock->now(clock->context);
        /* The other participant has ended by now, so this may be a turn that would not have come otherwise. */
        if (kind == PEERS_TURNS && last > end) {
            last = end;
            break;
        }
        *count += (uint64_t)made;
        if (last - then < SHORT_CHUNK && chunk < longest_chunk[kind]) chunk *= 2;
        if (last - then > LONG_CHUNK && chunk > 1) chunk /= 2;
    }
    *elapsed = last - start;
    return 0;
}

int peers_turn_open(struct peers_turn *turn, const char *folder, int index) {
    char path[512];
    if (snprintf(path, sizeof path, "%s/turn", folder) >= (int)sizeof path) return ENAMETOOLONG;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return errno;
    int error = ftruncate(file, 4096) != 0 ? errno : 0;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (error == 0 && memory == MAP_FAILED) error = errno;
    close(file);
    *turn = (struct peers_turn){.last = memory, .own = (uint64_t)index + 1, .place = index % 2 == 0 ? 0 : 5};
    return error;
}

static int kind_of(const char *word) {
    for (int kind = 0; kind < PEERS_KINDS; kind++)
        if (strcmp(word, words[kind]) == 0) return kind;
    return -1;
}

int peers_serve(const struct peers_part *part) {
    char line[256], word[16];
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        int64_t begin, length, elapsed;
        uint64_t count;
        int error = EINVAL;
        if (sscanf(line, "go %15s %" SCNd64 " %" SCNd64, word, &begin, &length) == 3 && kind_of(word) >= 0)
            error = peers_window(part, &monotonic, (enum peers_kind)kind_of(word), begin, length, &count, &elapsed);
        if (error != 0) {
            printf("failed %s\n", strerror(error));
            fflush(stdout);
            return 1;
        }
        printf("did %" PRIu64 " %" PRId64 "\n", count, elapsed);
        fflush(stdout);
    }
    return 0;
}
