/*
 * What each thread has, the end of a thread, and forks.
 *
 * A forked child has a copy of all this memory, and nothing of its parent's locks. The kernel wipes the page
 * `era` in it (MADV_WIPEONFORK), also after a bare clone(2). The fast path reads that page before it touches a
 * slot, which the child does not have (MADV_DONTFORK). The first request in the child makes a new page, and
 * forgets the parent's sessions.
 */
#include "internal.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct prw_process prw_process = {.mutex = PTHREAD_MUTEX_INITIALIZER};

__thread struct prwlock_cached_ prwlock_cached_[PRWLOCK_CACHED_COUNT_];

static __thread struct prw_thread *own __attribute__((tls_model("initial-exec")));
static pthread_key_t at_end;
static uint64_t last_owner;

/* ---- Forks ---- */

/* Word 0: 1, or wiped. Word 1: the process, for a kernel that does not wipe. */
static uint32_t *era;
static bool is_wiped_on_fork;
/* The process that begins an era. A number of another process is of a parent, which was at it when it forked. */
static uint32_t beginner;

static bool is_current(const uint32_t *page) {
    if (page == NULL || __atomic_load_n(&page[0], __ATOMIC_ACQUIRE) != 1) return false;
    return is_wiped_on_fork || page[1] == (uint32_t)getpid();
}

static void before_fork(void) { pthread_mutex_lock(&prw_process.mutex); }

static void after_fork_in_parent(void) { pthread_mutex_unlock(&prw_process.mutex); }

/* Ends the copies of the descriptors early. A bare clone(2) has no such call, and its copies end at `exec`. */
static void after_fork_in_child(void) {
    if (era != NULL) __atomic_store_n(&era[0], 0, __ATOMIC_RELEASE);
    for (struct prw_session *session = prw_process.sessions; session != NULL; session = session->next) {
        close(session->descriptor);
        session->descriptor = -1;
    }
    prw_process.mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

static void end_thread(void *thread);

/* Of the parent nothing is freed: what other threads had in hand at the fork may be half changed. */
static void forget_parent(void) {
    prw_process.mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    struct prw_session **end = &prw_process.sessions_of_parents;
    while (*end != NULL) end = &(*end)->next;
    *end = prw_process.sessions;
    prw_process.sessions = NULL;
    for (prwlock_client *client = prw_process.clients; client != NULL; client = client->next) prw_client_begin(client);
}

static bool begin_era(void) {
    static bool has_begun;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    uint32_t *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return false;
    is_wiped_on_fork = madvise(page, size, MADV_WIPEONFORK) == 0;
    page[1] = (uint32_t)getpid();
    if (has_begun) {
        forget_parent();
    } else {
        if (pthread_key_create(&at_end, end_thread) != 0) return false;
        /* First, so that a child which is forked here does not register a second time. */
        has_begun = true;
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    }
    __atomic_store_n(&page[0], 1, __ATOMIC_RELEASE);
    __atomic_store_n(&era, page, __ATOMIC_RELEASE);
    return true;
}

const uint32_t *prw_era(void) {
    for (;;) {
        uint32_t *page = __atomic_load_n(&era, __ATOMIC_ACQUIRE);
        if (is_current(page)) return page;
        uint32_t process = (uint32_t)getpid();
        uint32_t other = __atomic_load_n(&beginner, __ATOMIC_ACQUIRE);
        if (other == process) {
            sched_yield();
            continue;
        }
        if (!__atomic_compare_exchange_n(
                &beginner, &other, process, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        bool has_begun = is_current(__atomic_load_n(&era, __ATOMIC_ACQUIRE)) || begin_era();
        __atomic_store_n(&beginner, 0, __ATOMIC_RELEASE);
        if (!has_begun) return NULL;
    }
}

bool prw_knows_forks(void) { return is_wiped_on_fork; }

/* ---- Threads ---- */

static void free_record(struct prw_record *record) {
    free(record->holds);
    free(record);
}

/* The records of a parent process: its sessions are not this one's. */
static void forget_records(struct prw_thread *thread) {
    memset(prwlock_cached_, 0, sizeof prwlock_cached_);
    for (int i = 0; i < PRW_BUCKETS; i++) {
        while (thread->records[i] != NULL) {
            struct prw_record *record = thread->records[i];
            thread->records[i] = record->next;
            free_record(record);
        }
    }
}

static bool begin_thread(struct prw_thread *thread) {
    thread->reply_capacity = PRW_LINE;
    thread->reply = malloc(thread->reply_capacity);
    if (thread->reply == NULL) return false;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&thread->changed, &clock);
    pthread_condattr_destroy(&clock);
    thread->owner = __atomic_add_fetch(&last_owner, 1, __ATOMIC_RELAXED);
    thread->error.message = thread->message;
    return pthread_setspecific(at_end, thread) == 0;
}

struct prw_thread *prw_thread(void) {
    const uint32_t *page = prw_era();
    if (page == NULL) return NULL;
    if (own == NULL) {
        struct prw_thread *thread = calloc(1, sizeof *thread);
        if (thread == NULL) return NULL;
        if (!begin_thread(thread)) {
            free(thread->reply);
            free(thread);
            return NULL;
        }
        thread->era = page;
        own = thread;
    } else if (own->era != page) {
        forget_records(own);
        own->era = page;
    }
    return own;
}

const prwlock_error *prwlock_last_error(void) {
    static const prwlock_error no_memory = {.code = PRWLOCK_MEMORY, .message = "no memory is left"};
    const struct prw_thread *thread = prw_thread();
    return thread == NULL ? &no_memory : &thread->error;
}

/* ---- Records ---- */

static struct prw_record **bucket(struct prw_thread *thread, uint64_t serial) {
    return &thread->records[serial % PRW_BUCKETS];
}

static struct prw_record *record_of(struct prw_thread *thread, uint64_t serial) {
    struct prw_record *record = *bucket(thread, serial);
    while (record != NULL && record->serial != serial) record = record->next;
    return record;
}

/* Takes an entry of the fast path back. */
static void withdraw(struct prw_thread *thread, struct prwlock_cached_ *cached) {
    if (cached->lock == NULL) return;
    struct prw_record *record = record_of(thread, cached->serial);
    if (record != NULL && record->slot.token == cached->token) record->slot.holds = cached->holds;
    memset(cached, 0, sizeof *cached);
}

static bool has_place(const struct prw_record *record) {
    for (int i = 0; i < PRWLOCK_CACHED_COUNT_; i++)
        if (prwlock_cached_[i].lock != NULL && prwlock_cached_[i].serial == record->serial) return true;
    return false;
}

/*
 * Frees records without a grant. If another thread has closed the handle, no call comes for the record any more.
 * Its slot is taken when the session's slots are used up, so at most as many records stay.
 */
static void free_empty_records(struct prw_record **link) {
    while (*link != NULL) {
        struct prw_record *record = *link;
        /* In the fast path, `holds` is not up to date. */
        if (!has_place(record)) prw_settle_slot(record);
        if (record->count > 0 || record->slot.session != NULL) {
            link = &record->next;
            continue;
        }
        *link = record->next;
        free_record(record);
    }
}

struct prw_record *prw_find(struct prw_thread *thread, const prwlock_lock *lock, bool makes) {
    struct prwlock_cached_ *cached = prwlock_place_(lock);
    if (prwlock_is_for_(cached, lock)) withdraw(thread, cached);
    struct prw_record *record = record_of(thread, lock->serial);
    if (record != NULL || !makes) return record;
    free_empty_records(bucket(thread, lock->serial));
    record = calloc(1, sizeof *record + strlen(lock->name) + 1);
    if (record == NULL) return NULL;
    strcpy(record->name, lock->name);
    record->serial = lock->serial;
    record->next = *bucket(thread, lock->serial);
    *bucket(thread, lock->serial) = record;
    return record;
}

bool prw_holds(struct prw_thread *thread, const struct prw_session *session, const char *name) {
    for (int i = 0; i < PRWLOCK_CACHED_COUNT_; i++) withdraw(thread, &prwlock_cached_[i]);
    for (int i = 0; i < PRW_BUCKETS; i++) {
        for (const struct prw_record *record = thread->records[i]; record != NULL; record = record->next) {
            if (strcmp(record->name, name) != 0) continue;
            if (record->slot.session == session && record->slot.holds > 0) return true;
            for (uint32_t j = 0; j < record->count; j++)
                if (record->holds[j].session == session) return true;
        }
    }
    return false;
}

void prw_forget_slots(struct prw_thread *thread, const struct prw_session *session, const char *name) {
    for (int i = 0; i < PRW_BUCKETS; i++)
        for (struct prw_record *record = thread->records[i]; record != NULL; record = record->next)
            if (record->slot.session == session && strcmp(record->name, name) == 0) {
                prw_settle_slot(record);
                prw_forget_slot(record);
            }
}

static void remove_record(struct prw_thread *thread, struct prw_record *record) {
    struct prw_record **link = bucket(thread, record->serial);
    while (*link != record) link = &(*link)->next;
    *link = record->next;
    free_record(record);
}

void prw_publish(struct prw_thread *thread, const prwlock_lock *lock, struct prw_record *record) {
    const struct prw_slot *slot = &record->slot;
    if (slot->session == NULL) {
        if (record->count == 0) remove_record(thread, record);
        return;
    }
    /* The fast path would not end what the orphan may have been granted. */
    if (slot->is_stale || prw_session_has_orphan(slot->session, thread, record->name)) return;
    struct prwlock_cached_ *cached = prwlock_place_(lock);
    withdraw(thread, cached);
    *cached = (struct prwlock_cached_){
        .lock = lock,
        .serial = lock->serial,
        .word = slot->word,
        .serving = slot->session->serving,
        .unforked = slot->session->unforked,
        .token = slot->token,
        .mode = slot->mode,
        .holds = slot->holds,
    };
}

bool prw_push(struct prw_record *record, struct prw_session *session, uint64_t token, uint32_t mode, uint32_t count) {
    if (record->count == record->capacity) {
        uint32_t capacity = record->capacity * 2 + 1;
        struct prw_hold *grown = realloc(record->holds, capacity * sizeof *grown);
        if (grown == NULL) return false;
        record->holds = grown;
        record->capacity = capacity;
    }
    prw_session_keep(session);
    record->holds[record->count++] =
        (struct prw_hold){.session = session, .token = token, .mode = mode, .count = count};
    return true;
}

void prw_pop(struct prw_record *record) { prw_session_drop(record->holds[--record->count].session); }

/* ---- The end of a thread ---- */

void prw_release_thread(struct prw_thread *thread) {
    char line[64];
    snprintf(line, sizeof line, "RELEASE * owner=t%llu\n", (unsigned long long)thread->owner);
    /* Usually all are of one session, to which the line goes once. */
    struct prw_session *told = NULL;
    memset(prwlock_cached_, 0, sizeof prwlock_cached_);
    for (int i = 0; i < PRW_BUCKETS; i++) {
        while (thread->records[i] != NULL) {
            struct prw_record *record = thread->records[i];
            thread->records[i] = record->next;
            for (;;) {
                struct prw_session *session =
                    record->count > 0 ? record->holds[record->count - 1].session : record->slot.session;
                if (session == NULL) break;
                if (session != told) {
                    prw_session_tell(session, line);
                    prw_session_keep(session);
                    if (told != NULL) prw_session_drop(told);
                    told = session;
                }
                if (record->count > 0)
                    prw_pop(record);
                else
                    prw_forget_slot(record);
            }
            free_record(record);
        }
    }
    if (told != NULL) prw_session_drop(told);
}

static void end_thread(void *value) {
    struct prw_thread *thread = value;
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    const uint32_t *page = __atomic_load_n(&era, __ATOMIC_ACQUIRE);
    if (thread->era == page && is_current(page))
        prw_release_thread(thread);
    else
        forget_records(thread);
    pthread_cond_destroy(&thread->changed);
    free(thread->reply);
    free(thread->error_reply);
    free(thread->cycle);
    free(thread);
    own = NULL;
    pthread_setcancelstate(state, NULL);
}

void prwlock_release_all(void) {
    struct prw_thread *thread = prw_thread();
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    if (thread != NULL) prw_release_thread(thread);
    pthread_setcancelstate(state, NULL);
}
