/*
 * One connection for all threads of the process.
 *
 * A thread that sends a request waits for its reply itself, so a lock costs one write and one read. One of the
 * threads that wait reads for all. It holds no mutex meanwhile. When it leaves, it wakes the oldest of the
 * others, which then reads. No wake-up is lost: `has_reader`, the replies and the list of calls change only
 * under the mutex.
 *
 * While the socket has no room for all lines, some thread of the process is at the session: one that waits, or
 * one that is started for it. So each line is sent when the daemon reads again.
 */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* A reader looks at its clock at least so often, in seconds: the socket's receive timeout. */
    LOOK = 4,
    READ_SIZE = 4096,
    /* Longer than any line of the daemon for this library. */
    MOST_INPUT = 1 << 17,
    /* More lines that the daemon has not read are not kept: it is stopped. */
    MOST_OUTPUT = 1 << 16,
};

/* ---- Begin and end ---- */

struct prw_session *prw_session_make(int descriptor, const char *path) {
    struct prw_session *session = calloc(1, sizeof *session);
    if (session == NULL) return NULL;
    session->references = 1;
    session->descriptor = descriptor;
    pthread_mutex_init(&session->mutex, NULL);
    snprintf(session->path, sizeof session->path, "%s", path);
    struct timeval look = {.tv_sec = LOOK};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof look);
    pthread_mutex_lock(&prw_process.mutex);
    session->next = prw_process.sessions;
    session->link = &prw_process.sessions;
    if (session->next != NULL) session->next->link = &session->next;
    prw_process.sessions = session;
    pthread_mutex_unlock(&prw_process.mutex);
    return session;
}

void prw_session_keep(struct prw_session *session) { __atomic_fetch_add(&session->references, 1, __ATOMIC_RELAXED); }

void prw_session_drop(struct prw_session *session) {
    if (__atomic_sub_fetch(&session->references, 1, __ATOMIC_ACQ_REL) > 0) return;
    pthread_mutex_lock(&prw_process.mutex);
    *session->link = session->next;
    if (session->next != NULL) session->next->link = session->link;
    close(session->descriptor);
    pthread_mutex_unlock(&prw_process.mutex);
    if (session->slots != NULL) {
        munmap(session->slots, session->slots_size);
        munmap((void *)(uintptr_t)session->serving, session->serving_size);
    }
    prw_free_orphans(session);
    pthread_mutex_destroy(&session->mutex);
    free(session->input);
    free(session->output);
    free(session);
}

void prw_finish(struct prw_session *session) {
    if (session->has_ended) return;
    session->has_ended = true;
    shutdown(session->descriptor, SHUT_RDWR);
    /* No thread of this process enters a slot any more: each finds the bit, and then that the session has ended. */
    for (uint32_t i = 0; i < session->slot_count; i++)
        (void)__atomic_fetch_or(prwlock_slot_word(session->slots, i), PRWLOCK_SLOT_WANTED, __ATOMIC_ACQ_REL);
    for (struct prw_call *call = session->calls; call != NULL; call = call->next)
        pthread_cond_signal(&call->thread->changed);
}

void prw_session_end(struct prw_session *session) {
    pthread_mutex_lock(&session->mutex);
    prw_finish(session);
    pthread_mutex_unlock(&session->mutex);
}

bool prw_session_has_ended(struct prw_session *session) {
    pthread_mutex_lock(&session->mutex);
    bool has_ended = session->has_ended;
    pthread_mutex_unlock(&session->mutex);
    return has_ended;
}

/* ---- Output, with the mutex ---- */

static void keep_output(struct prw_session *session, const char *bytes, size_t length) {
    size_t needed = session->output_length + length;
    if (needed > session->output_capacity) {
        char *grown = realloc(session->output, needed * 2);
        if (grown == NULL) {
            /* Half a line may have been sent. */
            prw_finish(session);
            return;
        }
        session->output = grown;
        session->output_capacity = needed * 2;
    }
    memcpy(session->output + session->output_length, bytes, length);
    session->output_length = needed;
}

bool prw_send_line(struct prw_session *session, const char *line, size_t length) {
    ssize_t sent = 0;
    if (session->output_length == 0) {
        sent = send(session->descriptor, line, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            /* Replies from before the end can still be read, if a thread waits for one. */
            if (session->calls == NULL && !session->has_reader) prw_finish(session);
            return false;
        }
        if (sent < 0) sent = 0;
    }
    if ((size_t)sent < length) keep_output(session, line + sent, length - (size_t)sent);
    return true;
}

static void send_kept(struct prw_session *session) {
    if (session->output_length == 0) return;
    ssize_t sent = send(session->descriptor, session->output, session->output_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) return;
    session->output_length -= (size_t)sent;
    memmove(session->output, session->output + sent, session->output_length);
}

void prw_session_tell(struct prw_session *session, const char *line) {
    pthread_mutex_lock(&session->mutex);
    if (!session->has_ended) (void)prw_send_line(session, line, strlen(line));
    prw_leave(session);
    pthread_mutex_unlock(&session->mutex);
}

/* ---- Input, with the mutex ---- */

static void answer(struct prw_call *call, const char *reply, size_t length) {
    struct prw_thread *thread = call->thread;
    if (length >= thread->reply_capacity) {
        char *grown = realloc(thread->reply, length * 2);
        /* Each GRANTED fits without this. What is cut off says less about a refusal. */
        if (grown == NULL) {
            length = thread->reply_capacity - 1;
        } else {
            thread->reply = grown;
            thread->reply_capacity = length * 2;
        }
    }
    memcpy(thread->reply, reply, length);
    thread->reply[length] = 0;
    call->is_answered = true;
    pthread_cond_signal(&thread->changed);
}

/* `line` ends with a zero in place of its line end. */
static void take_line(struct prw_session *session, const char *line, size_t length) {
    uint64_t tag;
    /* Rows, other notices and replies without a tag are for none of the requests here. */
    if (prw_begins(line, "! UNTIL ")) prw_note_until(session, line + 2);
    if (line[0] != '#' || !prw_number(line + 1, &tag)) return;
    const char *reply = strchr(line, ' ');
    if (reply == NULL) return;
    reply++;
    /* Here and not where the grant is taken: a thread that was stopped takes it late. */
    if (prw_begins(reply, "GRANTED ")) prw_note_until(session, reply);
    for (struct prw_call **link = &session->calls; *link != NULL; link = &(*link)->next) {
        struct prw_call *call = *link;
        if (call->tag != tag) continue;
        *link = call->next;
        answer(call, reply, length - (size_t)(reply - line));
        return;
    }
    prw_settle(session, tag, reply);
}

static void count_line(struct prw_session *session, const char *line, size_t length) {
    static const char resumed[] = "! RESUMED from=";
    uint64_t from;
    if (prw_begins(line, resumed) && prw_number(line + sizeof resumed - 1, &from)) {
        if (session->counted > session->known) session->known = session->counted;
        session->counted = from;
        return;
    }
    bool is_new = session->counted >= session->known;
    session->counted += length + 1;
    if (is_new) take_line(session, line, length);
}

bool prw_session_receive(struct prw_session *session, const char *bytes, size_t length) {
    size_t needed = session->input_length + length;
    if (needed > MOST_INPUT) return false;
    if (needed > session->input_capacity) {
        char *grown = realloc(session->input, needed + READ_SIZE);
        if (grown == NULL) return false;
        session->input = grown;
        session->input_capacity = needed + READ_SIZE;
    }
    memcpy(session->input + session->input_length, bytes, length);
    session->input_length = needed;
    char *line = session->input, *end;
    while ((end = memchr(line, '\n', (size_t)(session->input + session->input_length - line))) != NULL) {
        *end = 0;
        count_line(session, line, (size_t)(end - line));
        line = end + 1;
    }
    session->input_length -= (size_t)(line - session->input);
    memmove(session->input, line, session->input_length);
    return true;
}

/* ---- The reader ---- */

/* Waits for bytes until `end`, without the mutex. Returns as recv(2); -1 if there is nothing yet. */
static ssize_t wait_for_bytes(struct prw_session *session, char *bytes, int64_t end, bool has_output) {
    /* One call is enough if the socket's own timeout comes first. */
    bool is_plain = !has_output && (end == PRW_NEVER || end - prw_now() > LOOK * PRW_SECOND);
    if (!is_plain) {
        short events = has_output ? POLLIN | POLLOUT : POLLIN;
        struct pollfd wanted = {.fd = session->descriptor, .events = events};
        if (poll(&wanted, 1, prw_poll_time(end, LOOK * PRW_SECOND)) <= 0) return -1;
        if ((wanted.revents & ~POLLOUT) == 0) return -1;
    }
    ssize_t count = recv(session->descriptor, bytes, READ_SIZE, is_plain ? 0 : MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
    return count < 0 ? 0 : count;
}

/* With the mutex, which it releases while it waits. */
static void read_once(struct prw_session *session, int64_t end) {
    char bytes[READ_SIZE];
    bool has_output = session->output_length > 0;
    session->has_reader = true;
    pthread_mutex_unlock(&session->mutex);
    ssize_t count = wait_for_bytes(session, bytes, end, has_output);
    pthread_mutex_lock(&session->mutex);
    session->has_reader = false;
    if (count == 0 || (count > 0 && !prw_session_receive(session, bytes, (size_t)count))) prw_finish(session);
    if (!session->has_ended) send_kept(session);
}

static void *send_rest(void *value) {
    struct prw_session *session = value;
    pthread_mutex_lock(&session->mutex);
    while (session->output_length > 0 && !session->has_reader && !session->has_ended) read_once(session, PRW_NEVER);
    session->has_sender = false;
    prw_leave(session);
    pthread_mutex_unlock(&session->mutex);
    prw_session_drop(session);
    return NULL;
}

/* The program's signals are for its own threads. */
static bool start_sender(struct prw_session *session) {
    sigset_t all, former;
    pthread_attr_t attributes;
    pthread_t sender;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &former);
    prw_session_keep(session);
    session->has_sender = pthread_create(&sender, &attributes, send_rest, session) == 0;
    /* The caller has a reference. */
    if (!session->has_sender) prw_session_drop(session);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    pthread_attr_destroy(&attributes);
    return session->has_sender;
}

void prw_leave(struct prw_session *session) {
    if (session->has_ended || session->has_reader) return;
    if (session->calls != NULL)
        pthread_cond_signal(&session->calls->thread->changed);
    else if (session->output_length > 0 && !session->has_sender && !start_sender(session))
        /* Otherwise a lock whose release is not sent would be held until the process ends. */
        prw_finish(session);
}

static void wait_for_reader(struct prw_session *session, struct prw_call *call, int64_t end) {
    if (end == PRW_NEVER) {
        pthread_cond_wait(&call->thread->changed, &session->mutex);
        return;
    }
    struct timespec time = {end / PRW_SECOND, end % PRW_SECOND};
    pthread_cond_timedwait(&call->thread->changed, &session->mutex, &time);
}

static void remove_call(struct prw_session *session, struct prw_call *call) {
    for (struct prw_call **link = &session->calls; *link != NULL; link = &(*link)->next) {
        if (*link != call) continue;
        *link = call->next;
        return;
    }
}

static enum prw_outcome wait_for_answer(
    struct prw_session *session, struct prw_call *call, int64_t end, const char *name) {
    while (!call->is_answered && !session->has_ended) {
        if (end != PRW_NEVER && prw_now() >= end) break;
        if (session->has_reader)
            wait_for_reader(session, call, end);
        else
            read_once(session, end);
    }
    if (!call->is_answered) {
        remove_call(session, call);
        if (name != NULL && !session->has_ended) prw_give_up(session, call->tag, call->thread->owner, name);
    }
    prw_leave(session);
    if (call->is_answered) return PRW_ANSWERED;
    return session->has_ended ? PRW_CUT_OFF : PRW_UNANSWERED;
}

enum prw_outcome prw_session_ask(
    struct prw_session *session, struct prw_thread *thread, const char *request, int64_t end, const char *name) {
    pthread_mutex_lock(&session->mutex);
    enum prw_outcome outcome = PRW_SENT_NOT;
    if (session->has_ended) goto done;
    outcome = PRW_UNANSWERED;
    /* A release is kept all the same: its thread forgets the grant. */
    if (session->output_length > MOST_OUTPUT && !prw_begins(request, "RELEASE ")) goto done;
    struct prw_call call = {.tag = ++session->last_tag, .thread = thread};
    char line[PRW_LINE];
    int length = snprintf(line, sizeof line, "#%llu %s\n", (unsigned long long)call.tag, request);
    if (!prw_send_line(session, line, (size_t)length)) {
        outcome = PRW_SENT_NOT;
        goto done;
    }
    struct prw_call **link = &session->calls;
    while (*link != NULL) link = &(*link)->next;
    *link = &call;
    outcome = wait_for_answer(session, &call, end, name);
done:
    pthread_mutex_unlock(&session->mutex);
    return outcome;
}
