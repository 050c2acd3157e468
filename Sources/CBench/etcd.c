#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "CBench.h"

/* HTTP/2 (RFC 9113) as far as one call at a time needs it. A request is a block of headers, of which only the stream's number
 * changes, and a message; both leave in one write. Of an answer only the message is looked at. So this costs less than any
 * library: it is what a transaction costs at least. */

enum { FRAME_HEADER = 9, MOST_FRAME = 16384, MOST_KEY = 100 };
enum frame_kind { DATA = 0, HEADERS = 1, RESET = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct bench_etcd {
    int socket;
    uint32_t stream;
    size_t headers_length;
    unsigned char headers[256];
};

/* Bytes that are put together. */
struct bytes {
    size_t length;
    unsigned char data[1024];
};

static void put(struct bytes *bytes, const void *data, size_t length) {
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void put_byte(struct bytes *bytes, unsigned char byte) { put(bytes, &byte, 1); }

static void put_frame(struct bytes *bytes, enum frame_kind kind, unsigned char flags, uint32_t stream, size_t length) {
    unsigned char header[FRAME_HEADER] = {
        (unsigned char)(length >> 16), (unsigned char)(length >> 8), (unsigned char)length, kind, flags,
        (unsigned char)(stream >> 24), (unsigned char)(stream >> 16), (unsigned char)(stream >> 8), (unsigned char)stream,
    };
    put(bytes, header, sizeof header);
}

/* A string of HPACK, not compressed; shorter than 127 bytes. */
static void put_string(struct bytes *bytes, const char *string) {
    put_byte(bytes, (unsigned char)strlen(string));
    put(bytes, string, strlen(string));
}

/* A field of protobuf with bytes; shorter than 128. */
static void put_field(struct bytes *bytes, int number, const void *data, size_t length) {
    put_byte(bytes, (unsigned char)(number << 3 | 2));
    put_byte(bytes, (unsigned char)length);
    put(bytes, data, length);
}

static int send_all(int socket, const unsigned char *data, size_t length) {
    while (length > 0) {
        ssize_t sent = send(socket, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno;
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static int receive_all(int socket, unsigned char *data, size_t length) {
    while (length > 0) {
        ssize_t received = recv(socket, data, length, MSG_WAITALL);
        if (received < 0 && errno == EINTR) continue;
        if (received < 0) return errno;
        if (received == 0) return EPIPE;
        data += received;
        length -= (size_t)received;
    }
    return 0;
}

int bench_etcd_connect(int port, struct bench_etcd **out) {
    struct bench_etcd *etcd = calloc(1, sizeof *etcd);
    *out = etcd;
    if (etcd == NULL) return ENOMEM;
    etcd->stream = 1;
    etcd->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (etcd->socket < 0) return errno;
    int on = 1;
    setsockopt(etcd->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* A call hangs for seconds when the cluster has lost its leader. */
    struct timeval patience = {.tv_sec = 10};
    setsockopt(etcd->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(etcd->socket, (struct sockaddr *)&address, sizeof address) != 0) return errno;

    char authority[32];
    snprintf(authority, sizeof authority, "127.0.0.1:%d", port);
    struct bytes headers = {0};
    /* Of the static table: POST, http, then the names :path, :authority and content-type with values of their own. */
    put(&headers, "\x83\x86\x04", 3);
    put_string(&headers, "/etcdserverpb.KV/Txn");
    put_byte(&headers, 0x01);
    put_string(&headers, authority);
    put(&headers, "\x0f\x10", 2);
    put_string(&headers, "application/grpc");
    put_byte(&headers, 0x00);
    put_string(&headers, "te");
    put_string(&headers, "trailers");
    etcd->headers_length = headers.length;
    memcpy(etcd->headers, headers.data, headers.length);

    struct bytes hello = {0};
    put(&hello, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    put_frame(&hello, SETTINGS, 0, 0, 0);
    /* Room for all answers, so that no later one is needed. */
    put_frame(&hello, WINDOW_UPDATE, 0, 0, 4);
    put(&hello, "\x7f\xff\x00\x00", 4);
    return send_all(etcd->socket, hello.data, hello.length);
}

void bench_etcd_free(struct bench_etcd *etcd) {
    if (etcd == NULL) return;
    if (etcd->socket >= 0) close(etcd->socket);
    free(etcd);
}

/* "If the key is absent, put it, or else read it", as etcd's rpc.proto has it. */
static void put_transaction(struct bytes *message, const char *key, const char *value) {
    struct bytes compare = {0}, operation = {0}, wrapped = {0}, read = {0}, wrapped_read = {0};
    put(&compare, "\x10\x02", 2); /* target: mod_revision; the result that is asked for is 0, equal */
    put_field(&compare, 3, key, strlen(key));
    put(&compare, "\x30\x00", 2); /* mod_revision: 0 */
    put_field(&operation, 1, key, strlen(key));
    put_field(&operation, 2, value, strlen(value));
    put_field(&wrapped, 2, operation.data, operation.length);
    put_field(&read, 1, key, strlen(key));
    put_field(&wrapped_read, 1, read.data, read.length);
    put_field(message, 1, compare.data, compare.length);
    /* Two bytes of length: this may be longer than 127. */
    put_byte(message, 2 << 3 | 2);
    put_byte(message, (unsigned char)(wrapped.length | 0x80));
    put_byte(message, (unsigned char)(wrapped.length >> 7));
    put(message, wrapped.data, wrapped.length);
    put_field(message, 3, wrapped_read.data, wrapped_read.length);
}

/* Whether a TxnResponse succeeded: its field 2 comes after the header, field 1, and is absent if it is false. */
static bool has_succeeded(const unsigned char *message, size_t length) {
    size_t at = 5;
    if (length < at + 2 || message[at] != (1 << 3 | 2)) return false;
    at += 2 + message[at + 1];
    return at + 1 < length && message[at] == 2 << 3 && message[at + 1] == 1;
}

int bench_etcd_put_if_absent(struct bench_etcd *etcd, const char *key, const char *value) {
    if (strlen(key) > MOST_KEY / 2 || strlen(value) > MOST_KEY / 2) return ENAMETOOLONG;
    struct bytes request = {0}, message = {0};
    put_transaction(&message, key, value);
    uint32_t stream = etcd->stream;
    etcd->stream += 2;
    put_frame(&request, HEADERS, END_HEADERS, stream, etcd->headers_length);
    put(&request, etcd->headers, etcd->headers_length);
    put_frame(&request, DATA, END_STREAM, stream, 5 + message.length);
    unsigned char prefix[5] = {0, 0, 0, (unsigned char)(message.length >> 8), (unsigned char)message.length};
    put(&request, prefix, sizeof prefix);
    put(&request, message.data, message.length);
    int error = send_all(etcd->socket, request.data, request.length);
    if (error != 0) return error;

    bool succeeded = false;
    while (true) {
        unsigned char header[FRAME_HEADER], payload[MOST_FRAME];
        if ((error = receive_all(etcd->socket, header, sizeof header)) != 0) return error;
        size_t length = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
        if (length > sizeof payload) return EMSGSIZE;
        if ((error = receive_all(etcd->socket, payload, length)) != 0) return error;
        enum frame_kind kind = header[3];
        struct bytes reply = {0};
        if (kind == DATA) succeeded = has_succeeded(payload, length);
        if (kind == RESET || kind == GOAWAY) return ECONNRESET;
        if (kind == SETTINGS && (header[4] & ACK) == 0) put_frame(&reply, SETTINGS, ACK, 0, 0);
        if (kind == PING && (header[4] & ACK) == 0) {
            put_frame(&reply, PING, ACK, 0, length);
            put(&reply, payload, length);
        }
        if ((error = send_all(etcd->socket, reply.data, reply.length)) != 0) return error;
        if (kind == HEADERS && (header[4] & END_STREAM) != 0) return succeeded ? 0 : EEXIST;
    }
}
