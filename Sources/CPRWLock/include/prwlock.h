/*
 * libprwlock: reader-writer locks for all processes of one Linux host, by name.
 *
 *     prwlock_lock *jobs;
 *     if (prwlock_open(&jobs, NULL, "jobs") != 0) …
 *     if (prwlock_write_lock(jobs, NULL) == 0) {
 *         …
 *         prwlock_unlock(jobs);
 *     }
 *
 * The daemon prwlockd(8) has the locks. It is found, or started, at the first request. When a process dies, its
 * locks are free at once. libprwlock(3) is the manual.
 *
 * 1. An owner is a thread: what a thread locks, that thread unlocks. A thread that ends releases everything
 *    that it holds.
 * 2. All functions may be called by any thread, but by no signal handler.
 * 3. A forked child has none of its parent's grants. It connects anew at its next request, with the same
 *    handles.
 * 4. The second lock in a row of the same name and mode by one thread comes with a slot: from then on, as long
 *    as no other owner wants the lock, unlocking and locking again take a few nanoseconds each and no system
 *    call.
 *
 * C11 or C++11, with GCC or Clang. Names that end in `_` are not for callers.
 */
#ifndef PRWLOCK_H
#define PRWLOCK_H

#include "prwlock_slot.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PRWLOCK_VERSION "1.0.0"

/* A function that other programs may call. */
#define PRWLOCK_PUBLIC __attribute__((visibility("default")))

/* ---- Results ---- */

/* Every function that can fail returns 0 or one of these. `prwlock_last_error` has the details. */
enum prwlock_code {
    PRWLOCK_BUSY = -1,        /* a try: the lock cannot be granted at once */
    PRWLOCK_TIMEOUT = -2,     /* the lock could not be granted in time */
    PRWLOCK_DEADLOCK = -3,    /* waiting would close a cycle of waiting owners, or this thread holds the lock */
    PRWLOCK_DENIED = -4,      /* the daemon's rules do not allow it */
    PRWLOCK_LOST = -5,        /* the grant was lost: revoked, its session has ended, or its host has lost the name */
    PRWLOCK_NOT_HELD = -6,    /* this thread does not hold the lock */
    PRWLOCK_UNAVAILABLE = -7, /* no daemon runs, and none could be started */
    PRWLOCK_SILENT = -8,      /* a daemon is there and does not answer */
    PRWLOCK_ENDED = -9,       /* the session ended while the request waited: request again */
    PRWLOCK_REFUSED = -10,    /* the daemon may not be used by this user, or is not trusted */
    PRWLOCK_LIMIT = -11,      /* a limit of the daemon is reached: try again later */
    PRWLOCK_INVALID = -12,    /* an argument is not valid */
    PRWLOCK_MEMORY = -13,     /* this process has no memory, or no descriptor, left */
    PRWLOCK_PROTOCOL = -14,   /* an answer that the library does not know */
    PRWLOCK_CLUSTER = -15,    /* hosts share the lock, and their cluster cannot be reached: try again later */
};

/* Returns a text of a few words for a code. It is static, in English, and for people. */
PRWLOCK_PUBLIC const char *prwlock_strerror(int code);

/* How a lock is held: by any number of readers, or by one writer. */
typedef enum prwlock_mode {
    PRWLOCK_READ = 1,
    PRWLOCK_WRITE = 2,
} prwlock_mode;

/* A holder that conflicts with a request. */
typedef struct prwlock_holder {
    int pid;   /* 0 if the daemon cannot see the process, or the holder is another host */
    char mode; /* 'r' read, 'u' update, 'w' write */
} prwlock_holder;

enum { PRWLOCK_MOST_HOLDERS = 3 };

/* Why the last call of this thread failed. Fields may be added at the end. */
typedef struct prwlock_error {
    int code;
    const char *message; /* for people: one line, with the lock's name and what to do */
    /* With BUSY and TIMEOUT: holders that conflict, and how many more there are. */
    unsigned holder_count;
    prwlock_holder holders[PRWLOCK_MOST_HOLDERS];
    unsigned long more_holders;
    const char *cycle;  /* with DEADLOCK: the cycle, as protocol.md writes it; otherwise NULL */
    const char *reply;  /* the daemon's line, if one caused the error; otherwise NULL */
    const char *hosts[PRWLOCK_MOST_HOLDERS]; /* for a holder that is another host: its name; otherwise NULL */
} prwlock_error;

/*
 * Returns the error of the last call of this thread that failed. It is never NULL, and is valid until the
 * thread's next call that fails, or the thread's end.
 */
PRWLOCK_PUBLIC const prwlock_error *prwlock_last_error(void);

/* ---- Clients: sessions with a daemon. Most programs need none of their own, and pass NULL. ---- */

typedef struct prwlock_client prwlock_client;

enum prwlock_client_flags {
    PRWLOCK_NO_CACHE = 1, /* no grant is cached */
};

/*
 * Makes a client of the daemon at this socket; NULL applies the rules for all clients, as the default client
 * does. Nothing is connected before the first request.
 */
PRWLOCK_PUBLIC int prwlock_client_open(prwlock_client **client, const char *socket, unsigned flags);

/* Ends its session, and so all its grants. Close the client's locks first. */
PRWLOCK_PUBLIC void prwlock_client_close(prwlock_client *client);

/* ---- Locks ---- */

/* A lock by its name. Threads may share it. Its first member is for the functions below. */
typedef struct prwlock_lock prwlock_lock;

/* What a thread has while it holds a lock. */
typedef struct prwlock_grant {
    uint64_t token;    /* higher than that of every grant before it: protocol.md, "A fenced write" */
    prwlock_mode mode;
    bool owner_died;   /* an earlier writer died, so the protected data may be half written */
    bool is_unsure;    /* with owner_died: a host died, which may have had no writer at that time */
} prwlock_grant;

/* Milliseconds until a request gives up: 0 is a try. */
#define PRWLOCK_FOREVER (-1)

/*
 * Makes a handle of the lock with this name. Any bytes make a name; encoded, it has at most 255. This connects
 * to nothing. A NULL client is the default one of the process.
 */
PRWLOCK_PUBLIC int prwlock_open(prwlock_lock **lock, prwlock_client *client, const char *name);

/*
 * Ends a handle. No thread may use it any more. What this thread holds by it is released; what other threads
 * hold by it is released when they end.
 */
PRWLOCK_PUBLIC void prwlock_close(prwlock_lock *lock);

/* Sets the text that `prwlock status` shows beside the handle's grants, before requests are made; NULL for none. */
PRWLOCK_PUBLIC int prwlock_set_note(prwlock_lock *lock, const char *note);

/* The general request: the functions below are this one with fewer arguments. `grant` may be NULL. */
static inline int prwlock_acquire(prwlock_lock *lock, prwlock_mode mode, int64_t milliseconds, prwlock_grant *grant);

/*
 * Wait until the lock is granted. A thread that reads may read again (G4): each needs an unlock. If the first
 * grant was revoked meanwhile, the further ones under its slot are lost with it, and the last unlock says so.
 */
static inline int prwlock_read_lock(prwlock_lock *lock, prwlock_grant *grant);
static inline int prwlock_write_lock(prwlock_lock *lock, prwlock_grant *grant);

/* Do not wait: PRWLOCK_BUSY if the lock is held, or if a writer waits. */
static inline int prwlock_try_read_lock(prwlock_lock *lock, prwlock_grant *grant);
static inline int prwlock_try_write_lock(prwlock_lock *lock, prwlock_grant *grant);

/* Wait for so many milliseconds at most; also for the daemon, if one has to be started. */
static inline int prwlock_timed_read_lock(prwlock_lock *lock, int64_t milliseconds, prwlock_grant *grant);
static inline int prwlock_timed_write_lock(prwlock_lock *lock, int64_t milliseconds, prwlock_grant *grant);

/*
 * Releases the thread's newest grant of this lock. PRWLOCK_LOST says that it was lost meanwhile, so another
 * owner may have had the lock; the grant is gone then too.
 */
static inline int prwlock_unlock(prwlock_lock *lock);

/*
 * Asks the daemon whether the thread's newest grant of this lock is still valid. Returns 0, PRWLOCK_LOST, or
 * PRWLOCK_NOT_HELD. The answer was true when the daemon made it.
 */
PRWLOCK_PUBLIC int prwlock_check(prwlock_lock *lock);

/*
 * Releases everything that this thread holds or has cached, by all clients. The end of the thread does so as
 * well: call it in a thread of a pool that has no use for locks for a long time.
 */
PRWLOCK_PUBLIC void prwlock_release_all(void);

/* ---- The fast path ---- */

/* The slot of a lock that this thread has used of late. Only its thread reads and writes it. */
struct prwlock_cached_ {
    const void *lock;
    uint64_t serial;
    uint64_t *word;
    const uint32_t *serving;
    const uint32_t *unforked; /* 0 in a forked child: the kernel wipes the page */
    uint64_t token;
    uint32_t mode;
    uint32_t holds;
} __attribute__((aligned(64)));

enum { PRWLOCK_CACHED_COUNT_ = 4 };

/* The model saves a call for each access. 256 bytes fit into the reserve that the loader has for loaded libraries. */
extern PRWLOCK_PUBLIC __thread struct prwlock_cached_ prwlock_cached_[PRWLOCK_CACHED_COUNT_]
    __attribute__((tls_model("initial-exec")));

PRWLOCK_PUBLIC int prwlock_acquire_(prwlock_lock *lock, uint32_t mode, int64_t milliseconds, prwlock_grant *grant);
PRWLOCK_PUBLIC int prwlock_unlock_(prwlock_lock *lock);

/* ThreadSanitizer cannot see that a daemon orders two threads. */
#if defined(__SANITIZE_THREAD__)
#define PRWLOCK_TSAN_ 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PRWLOCK_TSAN_ 1
#endif
#endif
#ifdef PRWLOCK_TSAN_
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define PRWLOCK_ACQUIRED_(lock) __tsan_acquire(lock)
#define PRWLOCK_RELEASING_(lock) __tsan_release(lock)
#else
#define PRWLOCK_ACQUIRED_(lock) ((void)0)
#define PRWLOCK_RELEASING_(lock) ((void)0)
#endif

/* The place depends on the address alone, so that nothing is loaded before the swap but the entry itself. */
static inline struct prwlock_cached_ *prwlock_place_(const prwlock_lock *lock) {
    return &prwlock_cached_[(uintptr_t)lock / 64 % PRWLOCK_CACHED_COUNT_];
}

/* Another handle may have had the same address before. So the serial number counts, too. */
static inline bool prwlock_is_for_(const struct prwlock_cached_ *cached, const prwlock_lock *lock) {
    return cached->lock == (const void *)lock && cached->serial == *(const uint64_t *)(const void *)lock;
}

static inline bool prwlock_enter_(prwlock_lock *lock, uint32_t mode, prwlock_grant *grant) {
    struct prwlock_cached_ *cached = prwlock_place_(lock);
    if (!prwlock_is_for_(cached, lock) || cached->mode != mode || *cached->unforked == 0) return false;
    uint64_t generation = prwlock_slot_generation(cached->token);
    if (!prwlock_slot_enter(cached->word, generation, mode == PRWLOCK_READ)) return false;
    if (__builtin_expect(!prwlock_slot_is_served(cached->serving), 0)) {
        /* If another process serves by now and wants the lock, this fails. Then the slow path releases the grant. */
        if (!prwlock_slot_leave(cached->word, generation)) cached->mode = 0;
        return false;
    }
    cached->holds++;
    if (grant != NULL) {
        grant->token = cached->token;
        grant->mode = (prwlock_mode)mode;
        grant->owner_died = false;
        grant->is_unsure = false;
    }
    return true;
}

static inline bool prwlock_leave_(prwlock_lock *lock) {
    struct prwlock_cached_ *cached = prwlock_place_(lock);
    if (!prwlock_is_for_(cached, lock) || cached->holds == 0 || *cached->unforked == 0) return false;
    if (!prwlock_slot_is_served(cached->serving)) return false;
    if (!prwlock_slot_leave(cached->word, prwlock_slot_generation(cached->token))) return false;
    cached->holds--;
    return true;
}

static inline int prwlock_acquire(prwlock_lock *lock, prwlock_mode mode, int64_t milliseconds, prwlock_grant *grant) {
    int result = 0;
    if (__builtin_expect(!prwlock_enter_(lock, (uint32_t)mode, grant), 0))
        result = prwlock_acquire_(lock, (uint32_t)mode, milliseconds, grant);
    if (result == 0) PRWLOCK_ACQUIRED_(lock);
    return result;
}

static inline int prwlock_read_lock(prwlock_lock *lock, prwlock_grant *grant) {
    return prwlock_acquire(lock, PRWLOCK_READ, PRWLOCK_FOREVER, grant);
}

static inline int prwlock_write_lock(prwlock_lock *lock, prwlock_grant *grant) {
    return prwlock_acquire(lock, PRWLOCK_WRITE, PRWLOCK_FOREVER, grant);
}

static inline int prwlock_try_read_lock(prwlock_lock *lock, prwlock_grant *grant) {
    return prwlock_acquire(lock, PRWLOCK_READ, 0, grant);
}

static inline int prwlock_try_write_lock(prwlock_lock *lock, prwlock_grant *grant) {
    return prwlock_acquire(lock, PRWLOCK_WRITE, 0, grant);
}

static inline int prwlock_timed_read_lock(prwlock_lock *lock, int64_t milliseconds, prwlock_grant *grant) {
    return prwlock_acquire(lock, PRWLOCK_READ, milliseconds, grant);
}

static inline int prwlock_timed_write_lock(prwlock_lock *lock, int64_t milliseconds, prwlock_grant *grant) {
    return prwlock_acquire(lock, PRWLOCK_WRITE, milliseconds, grant);
}

static inline int prwlock_unlock(prwlock_lock *lock) {
    PRWLOCK_RELEASING_(lock);
    if (__builtin_expect(prwlock_leave_(lock), 1)) return 0;
    return prwlock_unlock_(lock);
}

#ifdef __cplusplus
}
#endif

#endif
