/*
 * What the files of libprwlock share.
 *
 * text.c      names, replies and errors as text
 * thread.c    what a thread holds, its end, and forks
 * lock.c      handles and requests: the slow path of prwlock.h
 * slot.c      the slow path's steps on a slot
 * session.c   one connection for all threads: who reads, and who sends
 * orphan.c    requests that were given up
 * shared.c    grants on names that hosts share, and until when they count
 * client.c    which session a request uses, and when it connects again
 * greeting.c  from a path to a session: connect, look at who serves, ask for slots
 * place.c     where the daemon is, and its guard
 * trust.c     who could have put a socket or a program there
 * start.c     starting a daemon by `prwlock ping`
 *
 * Locks are taken in this order: a client's, the process's (`prw_process`), a session's.
 */
#ifndef PRWLOCK_INTERNAL_H
#define PRWLOCK_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "prwlock.h"

#include <pthread.h>
#include <sys/types.h>
#include <sys/un.h>

#pragma GCC visibility push(hidden)

/* ---- Time: nanoseconds of CLOCK_MONOTONIC ---- */

#define PRW_NEVER INT64_MAX
#define PRW_MILLISECOND ((int64_t)1000000)
#define PRW_SECOND ((int64_t)1000000000)

/* The limits of one call: protocol.md, "A client's clock". */
struct prw_time {
    int64_t deadline; /* until when the request may wait at the daemon */
    int64_t end;      /* until when the client waits for the daemon's answer */
    int64_t grace;    /* until when a try is repeated while the daemon grants nothing; 0 before the first one */
    bool is_try;
};

int64_t prw_now(void);
struct prw_time prw_time(int64_t milliseconds);
void prw_sleep(int64_t nanoseconds);
/* Milliseconds for poll(2), rounded up: at most `most`, and until `end`. */
int prw_poll_time(int64_t end, int64_t most);

/* ---- Text ---- */

enum {
    PRW_MOST_NAME = 255,
    /* The longest request with all its options has 641 bytes: protocol.md, "Lines". */
    PRW_LINE = 1024,
    PRW_MESSAGE = 512,
    /* The longest name of a host. */
    PRW_HOST = 64,
};

/* Writes a name as the protocol spells it. Returns false if it is empty or too long. */
bool prw_encode(char spelled[PRW_MOST_NAME + 1], const char *name);
/* Decodes in place. */
void prw_decode(char *spelled);
/* Finds ` key=` in a reply; returns what follows, or NULL. */
const char *prw_field(const char *reply, const char *key);
/* Reads a decimal number up to a space or the end. */
bool prw_number(const char *digits, uint64_t *number);
bool prw_begins(const char *text, const char *prefix);

struct prw_thread;
/* Stores an error without a reply as the thread's last one, and returns the code. */
int prw_fail(struct prw_thread *thread, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Stores the error that a reply without its tag states, and returns its code; 0 for GRANTED, RELEASED and VALID. */
int prw_judge(struct prw_thread *thread, const char *name, const char *reply);

/* ---- Threads and forks: thread.c ---- */

struct prw_session;

/* Grants of one token that this thread holds by the socket. */
struct prw_hold {
    struct prw_session *session;
    uint64_t token;
    uint32_t mode;
    uint32_t count;
    bool is_shared; /* it counts until `session->until` only */
    bool is_lost;   /* that moment was seen to have passed */
};

/* A cached grant. `holds` counts what this thread believes; the word may count one more, if no process served. */
struct prw_slot {
    struct prw_session *session; /* NULL: none */
    uint64_t *word;
    uint64_t token;
    uint32_t mode;
    uint32_t holds;
    bool is_stale; /* the word no longer counts with `holds`: the grant ends by the socket */
};

/* What a thread has of one lock. All that it holds at once is of one session, unless some is lost. */
struct prw_record {
    struct prw_record *next;
    uint64_t serial;
    struct prw_slot slot;
    struct prw_hold *holds; /* the newest last */
    uint32_t count, capacity;
    char name[]; /* two handles of one name are one owner's */
};

enum { PRW_BUCKETS = 16 };

struct prw_thread {
    const uint32_t *era; /* the page of the process that these records belong to */
    uint64_t owner;
    pthread_cond_t changed;
    struct prw_record *records[PRW_BUCKETS];
    char *reply; /* of the last request, without its tag */
    size_t reply_capacity;
    char *error_reply, *cycle; /* of the last error */
    char message[PRW_MESSAGE];
    char hosts[PRWLOCK_MOST_HOLDERS][PRW_HOST + 1]; /* of the last error */
    struct prwlock_error error;
};

/* Returns the calling thread; NULL if there is no memory. It has no records of a parent process. */
struct prw_thread *prw_thread(void);

/* Returns the record, with the entry of the fast path taken back into it; NULL if there is none, or no memory. */
struct prw_record *prw_find(struct prw_thread *thread, const prwlock_lock *lock, bool makes);
/* Puts the slot where the fast path finds it, or frees a record that is empty. */
void prw_publish(struct prw_thread *thread, const prwlock_lock *lock, struct prw_record *record);
/* Whether the thread holds this lock in the session, by whichever handle. Ends the fast path of all its slots. */
bool prw_holds(struct prw_thread *thread, const struct prw_session *session, const char *name);
/* Forgets the slots of this lock in the session. None of them is held. */
void prw_forget_slots(struct prw_thread *thread, const struct prw_session *session, const char *name);
/* Returns false without memory. The session gets another reference. */
bool prw_push(struct prw_record *record, struct prw_session *session, uint64_t token, uint32_t mode, uint32_t count);
void prw_pop(struct prw_record *record);
/* Releases all that a thread has, and waits for no reply. */
void prw_release_thread(struct prw_thread *thread);

/* ---- The slot of a record: slot.c ---- */

/* Enters, and counts the hold. Returns false if the slot cannot be entered. */
bool prw_enters(struct prw_slot *slot, uint32_t mode);
/* Gives up one hold in the word, which the caller counts. Returns false if that is the daemon's to do. */
bool prw_leaves(struct prw_slot *slot);
/* Forgets a slot that the daemon has taken, unless it is held. */
void prw_settle_slot(struct prw_record *record);
/* A slot that is held becomes a grant by the socket, below a newer one. Without memory it stays. */
void prw_demote_slot(struct prw_record *record);
void prw_forget_slot(struct prw_record *record);
/* Releases a grant, and waits for no reply. */
void prw_release_soon(struct prw_session *session, const char *name, uint64_t token);

/* What is the same for all clients of this process. */
struct prw_process {
    pthread_mutex_t mutex;
    prwlock_client *clients;
    struct prw_session *sessions;            /* a forked child closes their descriptors */
    struct prw_session *sessions_of_parents; /* kept in sight of checkers of leaks */
};
extern struct prw_process prw_process;

/* The first word is 1 in the process that made the page, and 0 in its forked children. */
const uint32_t *prw_era(void);
/* Whether the kernel wipes that page. Otherwise nothing is cached. */
bool prw_knows_forks(void);

/* ---- Sessions: session.c ---- */

/* A request that waits for its reply. */
struct prw_call {
    struct prw_call *next;
    uint64_t tag;
    struct prw_thread *thread;
    bool is_answered;
};

/* A request that was given up, and may still be granted. An owner has one for a lock at most. */
struct prw_orphan {
    struct prw_orphan *next;
    uint64_t tag, owner;
    char name[];
};

struct prw_session {
    uint32_t references;
    int descriptor;
    pid_t server;
    pthread_mutex_t mutex;
    bool has_ended, has_reader;
    bool has_sender; /* a thread that sends what is left has been started */
    struct prw_call *calls; /* the oldest first */
    struct prw_orphan *orphans;
    uint64_t last_tag;
    char *output; /* lines for which the socket has no room */
    size_t output_length, output_capacity;
    char *input; /* belongs to the reader */
    size_t input_length, input_capacity;
    uint64_t counted, known; /* bytes: protocol.md, "Lines that come again" */
    int64_t until;           /* nanoseconds of CLOCK_BOOTTIME: so long its grants on shared names count */
    void *slots;             /* NULL: none */
    uint32_t slot_count;
    size_t slots_size, serving_size;
    const uint32_t *serving, *unforked;
    struct prw_session *next, **link;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

struct prw_session *prw_session_make(int descriptor, const char *path);
void prw_session_keep(struct prw_session *session);
void prw_session_drop(struct prw_session *session);
bool prw_session_has_ended(struct prw_session *session);

enum prw_outcome {
    PRW_ANSWERED,  /* the reply is in `thread->reply` */
    PRW_SENT_NOT,  /* the session had ended before: nothing was sent */
    PRW_CUT_OFF,   /* the session ended before the reply */
    PRW_UNANSWERED /* the time was over */
};

/*
 * Sends a request, without tag and line end, and waits for its reply until `end`.
 *
 * A request for a lock has the lock's `name`: after PRW_UNANSWERED it is an orphan, unless it was not sent. For
 * another request, `name` is NULL.
 */
enum prw_outcome prw_session_ask(
    struct prw_session *session, struct prw_thread *thread, const char *request, int64_t end, const char *name);
/* Sends a line, with its end, and waits for no reply. */
void prw_session_tell(struct prw_session *session, const char *line);
/* Ends the session at once. Its waiting threads get PRW_CUT_OFF. */
void prw_session_end(struct prw_session *session);
/* Carries out the lines in the input. Used by the reader, and after the greeting. */
bool prw_session_receive(struct prw_session *session, const char *bytes, size_t length);

/* Those below are called with the session's mutex. */
void prw_finish(struct prw_session *session);
/* Returns false if the daemon can have read nothing of it. */
bool prw_send_line(struct prw_session *session, const char *line, size_t length);
/* Each thread that was at the session calls this last: another one reads, and sends what is left. */
void prw_leave(struct prw_session *session);

/* ---- Requests that were given up: orphan.c ---- */

/* Both with the session's mutex. The first one makes the orphan, or ends the session if there is no memory. */
void prw_give_up(struct prw_session *session, uint64_t tag, uint64_t owner, const char *name);
/* Takes a reply, without its tag: what it grants to an orphan is released. */
void prw_settle(struct prw_session *session, uint64_t tag, const char *reply);
bool prw_session_has_orphan(struct prw_session *session, const struct prw_thread *thread, const char *name);
/* Releases what the orphan may have been granted. The thread neither holds nor caches another grant of the lock. */
void prw_session_end_orphan(struct prw_session *session, const struct prw_thread *thread, const char *name);
void prw_free_orphans(struct prw_session *session);

/* ---- Grants on shared names: shared.c ---- */

/* Takes the moment until which grants count from a line, if it has one. With the session's mutex, when the line is read. */
void prw_note_until(struct prw_session *session, const char *line);
/* Whether the moment of the grant has passed, as far as this process knows. It counts as lost from then on. */
bool prw_is_over(struct prw_hold *hold);
/* Whether the moment has passed that this process knows of. The daemon may have stated a newer one. */
bool prw_is_late(const struct prw_hold *hold);
/* Until when to wait for an answer about the grant: nanoseconds of CLOCK_MONOTONIC, at most `end`. */
int64_t prw_end_of(const struct prw_hold *hold, int64_t end);
/* Stores the error, and returns its code. */
int prw_fail_over(struct prw_thread *thread, const char *name);

/* ---- Clients: client.c, greeting.c, place.c, trust.c, start.c ---- */

struct prwlock_client {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct prw_session *session; /* NULL: none */
    bool is_connecting, was_connected;
    unsigned flags;
    char *socket; /* NULL: the rules for all clients */
    prwlock_client *next, **link;
};

struct prwlock_lock {
    uint64_t serial; /* first, for prwlock.h; never used twice */
    prwlock_client *client;
    char *name; /* encoded */
    char *note; /* encoded, or NULL */
};

prwlock_client *prw_default_client(void);
void prw_client_begin(prwlock_client *client);
/* Returns the session for new requests, with a reference for the caller; NULL after an error. */
struct prw_session *prw_client_session(prwlock_client *client, struct prw_thread *thread, int64_t end);
/* New requests use another session from now on. */
void prw_client_leave(prwlock_client *client, struct prw_session *session);

/* How an attempt to connect went. */
enum prw_reach {
    PRW_REACHED,
    PRW_NO_DAEMON, /* no process listens, or it left before its first reply */
    PRW_FAILED     /* the thread's error says why */
};

/* Where a socket is, and so who may have put it there. */
enum prw_origin { PRW_NAMED, PRW_OWN, PRW_SYSTEM };

enum prw_reach prw_greet(
    const char *path, enum prw_origin origin, unsigned flags, struct prw_thread *thread, int64_t end,
    struct prw_session **session);
/* Connects by the rules of protocol.md, "Where the daemon is". */
enum prw_reach prw_reach(
    const prwlock_client *client, struct prw_thread *thread, int64_t end, struct prw_session **session);
/* Runs `prwlock ping`. Returns 0 if it could be run; `said` gets what it complained about. */
int prw_start(struct prw_thread *thread, int64_t end, char *said, size_t capacity);

/* The folder of tests that takes the place of `/`; usually empty. */
const char *prw_root(void);

/* The user of a socket's folder if no other but root and the client's own can put a file there. */
struct prw_folder {
    bool is_sure;
    uid_t owner;
    char reason[PRW_MESSAGE / 2]; /* why another user could */
};
void prw_look_at_folder(struct prw_folder *folder, const char *path, enum prw_origin origin);
/* Whether the user at the other end is trusted. */
bool prw_trusts(struct prw_folder *folder, uid_t user, const char *path);
/*
 * Whether only root, the client's own user and users who could replace the running program could replace this
 * program, which exists.
 */
bool prw_trusts_program(const char *path, char *reason, size_t capacity);
bool prw_is_ambiguous(uid_t user);
/* Whether the kernel takes this process for the owner of the file. */
bool prw_acts_as_owner(int folder, const char *name);

#pragma GCC visibility pop

#endif
