#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "script.h"

struct connection {
    int descriptor;
    const struct bench_script *script;
    /* The next request to send, and the request that the next answer is for; equal if none is in flight. */
    size_t next, awaited;
    /* Whether the next bytes from the socket continue a line. */
    bool within_line;
    /* The number of requests in flight, the time when they were sent, and the batches still to send. */
    size_t in_flight;
    int64_t sent;
    uint64_t batches_left;
};

struct bench_load {
    int set;
    struct connection *connections;
    size_t count;
    uint64_t answers, surprises;
    char chunk[65536];
};

struct bench_load *bench_load_create(void) {
    struct bench_load *load = calloc(1, sizeof *load);
    if (load == NULL || (load->set = epoll_create1(EPOLL_CLOEXEC)) < 0) abort();
    return load;
}

void bench_load_free(struct bench_load *load) {
    for (size_t index = 0; index < load->count; index += 1) close(load->connections[index].descriptor);
    close(load->set);
    free(load->connections);
    free(load);
}

int bench_load_connect(struct bench_load *load, const char *path, const struct bench_script *script) {
    struct connection *connections =
        realloc(load->connections, (load->count + 1) * sizeof *connections);
    if (connections == NULL) return ENOMEM;
    load->connections = connections;
    int descriptor = bench_connect(path);
    if (descriptor < 0) return -descriptor;
    connections[load->count] = (struct connection){.descriptor = descriptor, .script = script};
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = load->count};
    load->count += 1;
    return epoll_ctl(load->set, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : errno;
}

uint64_t bench_load_answers(const struct bench_load *load) {
    return load->answers;
}

uint64_t bench_load_surprises(const struct bench_load *load) {
    return load->surprises;
}

/* Sends the next requests in one write. The write may block, but requests in flight take far less than the buffer. */
static int send_next(struct connection *connection, size_t depth) {
    const struct bench_script *script = connection->script;
    const char *bytes = script->bytes + script->starts[connection->next];
    size_t length = script->starts[connection->next + depth] - script->starts[connection->next];
    while (length > 0) {
        ssize_t written = send(connection->descriptor, bytes, length, MSG_NOSIGNAL);
        if (written < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        bytes += written;
        length -= (size_t)written;
    }
    connection->in_flight = depth;
    connection->next += depth;
    if (connection->next == script->count) connection->next = 0;
    return 0;
}

/* Reads once and counts the answers. */
static int read_answers(struct bench_load *load, struct connection *connection) {
    const struct bench_script *script = connection->script;
    ssize_t length = read(connection->descriptor, load->chunk, sizeof load->chunk);
    if (length < 0) return errno == EINTR ? 0 : errno;
    if (length == 0) return EPIPE;
    const char *end = load->chunk + length;
    for (const char *at = load->chunk; at < end;) {
        if (connection->in_flight == 0) return EPROTO;
        if (!connection->within_line && *at != script->expected[connection->awaited]) load->surprises += 1;
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        connection->within_line = feed == NULL;
        if (feed == NULL) break;
        at = feed + 1;
        load->answers += 1;
        connection->in_flight -= 1;
        connection->awaited += 1;
        if (connection->awaited == script->count) connection->awaited = 0;
    }
    return 0;
}

int bench_load_round_trips(struct bench_load *load, int64_t duration, struct bench_histogram *histogram) {
    if (load->count == 0) return EINVAL;
    struct connection *connection = &load->connections[0];
    int64_t now = bench_now();
    int64_t end = now + duration;
    while (now < end) {
        int64_t begin = bench_now();
        int error = send_next(connection, 1);
        while (error == 0 && connection->in_flight > 0) error = read_answers(load, connection);
        if (error != 0) return error;
        now = bench_now();
        bench_histogram_record(histogram, now - begin);
    }
    return 0;
}

int bench_first_answers(
    const char *path, const char *request, const char *beginning, int64_t duration,
    struct bench_histogram *histogram) {
    int64_t end = bench_now() + duration;
    char line[256];
    int error = 0;
    for (int64_t begin; error == 0 && (begin = bench_now()) < end;) {
        int descriptor = bench_connect(path);
        if (descriptor < 0) return -descriptor;
        error = bench_send(descriptor, request);
        if (error == 0) error = bench_read_line(descriptor, line, sizeof line);
        if (error == 0 && strncmp(line, beginning, strlen(beginning)) != 0) error = EPROTO;
        if (error == 0) bench_histogram_record(histogram, bench_now() - begin);
        close(descriptor);
    }
    return error;
}

static int begin_batch(struct connection *connection, size_t depth) {
    connection->batches_left -= 1;
    connection->sent = bench_now();
    return send_next(connection, depth);
}

int bench_load_batches(
    struct bench_load *load, size_t depth, int64_t duration, uint64_t batches,
    struct bench_histogram *histogram) {
    int64_t end = bench_now() + duration;
    size_t busy = 0;
    int error = 0;
    for (size_t index = 0; index < load->count; index += 1) {
        struct connection *connection = &load->connections[index];
        if (depth == 0 || connection->next + depth > connection->script->count) return EINVAL;
        connection->batches_left = batches;
        if (batches == 0) continue;
        if ((error = begin_batch(connection, depth)) != 0) return error;
        busy += 1;
    }

    struct epoll_event events[256];
    while (busy > 0) {
        int count = epoll_wait(load->set, events, 256, -1);
        if (count < 0 && errno != EINTR) return errno;
        for (int index = 0; index < count; index += 1) {
            struct connection *connection = &load->connections[events[index].data.u64];
            if ((error = read_answers(load, connection)) != 0) return error;
            if (connection->in_flight > 0) continue;
            int64_t now = bench_now();
            bench_histogram_record(histogram, now - connection->sent);
            if (now < end && connection->batches_left > 0) {
                if ((error = begin_batch(connection, depth)) != 0) return error;
            } else {
                busy -= 1;
            }
        }
    }
    return 0;
}
