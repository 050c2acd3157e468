/* Handles and requests: what the fast path of prwlock.h cannot do. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* How long a daemon may take to answer a request that does not wait for a lock, in seconds. */
    PATIENCE = 10,
    /* For how long a try is repeated while the daemon grants nothing after an unclean end, and the pauses. */
    GRACE = 1000,
    GRACE_PAUSE = 25,
    /* Pauses between attempts at a daemon that ends, in milliseconds. */
    FIRST_PAUSE = 10,
    MOST_PAUSE = 1000,
};

/* ---- Handles ---- */

static int invalid(struct prw_thread *thread, const char *what) {
    return prw_fail(thread, PRWLOCK_INVALID, "%s: it is empty, or longer than 255 bytes", what);
}

int prwlock_open(prwlock_lock **lock, prwlock_client *client, const char *name) {
    static uint64_t last_serial;
    struct prw_thread *thread = prw_thread();
    if (thread == NULL) return PRWLOCK_MEMORY;
    *lock = NULL;
    char spelled[PRW_MOST_NAME + 1];
    if (!prw_encode(spelled, name)) return invalid(thread, "not a name of a lock");
    /* Neighbours have different places in the fast path. */
    prwlock_lock *made = aligned_alloc(64, (sizeof *made + 63) / 64 * 64);
    char *kept = strdup(spelled);
    if (made == NULL || kept == NULL) {
        free(made);
        free(kept);
        return prw_fail(thread, PRWLOCK_MEMORY, "no memory is left");
    }
    *made = (prwlock_lock){
        .serial = __atomic_add_fetch(&last_serial, 1, __ATOMIC_RELAXED),
        .client = client == NULL ? prw_default_client() : client,
        .name = kept,
    };
    *lock = made;
    return 0;
}

int prwlock_set_note(prwlock_lock *lock, const char *note) {
    struct prw_thread *thread = prw_thread();
    if (thread == NULL) return PRWLOCK_MEMORY;
    char spelled[PRW_MOST_NAME + 1];
    if (note != NULL && !prw_encode(spelled, note)) return invalid(thread, "not a note");
    char *kept = note == NULL ? NULL : strdup(spelled);
    if (note != NULL && kept == NULL) return prw_fail(thread, PRWLOCK_MEMORY, "no memory is left");
    free(lock->note);
    lock->note = kept;
    return 0;
}

/* ---- Acquiring ---- */

/* Forgets the newest grant, which counts as lost. The daemon may still count it. */
static int end_lost(struct prw_thread *thread, const prwlock_lock *lock, struct prw_record *record) {
    const struct prw_hold *newest = &record->holds[record->count - 1];
    prw_release_soon(newest->session, lock->name, newest->token);
    prw_pop(record);
    return prw_fail_over(thread, lock->name);
}

static int take_grant(
    struct prw_thread *thread, const prwlock_lock *lock, struct prw_record *record, struct prw_session *session,
    uint32_t mode, prwlock_grant *grant) {
    const char *reply = thread->reply;
    uint64_t token, number;
    if (!prw_number(prw_field(reply, "token"), &token))
        return prw_fail(thread, PRWLOCK_PROTOCOL, "%s: the lock daemon says: %.200s", lock->name, reply);
    bool has_slot = prw_number(prw_field(reply, "slot"), &number) && number < session->slot_count;
    if (record->slot.holds > 0 || has_slot) prw_demote_slot(record);
    if (has_slot && record->slot.session == NULL) {
        prw_session_keep(session);
        uint64_t *word = prwlock_slot_word(session->slots, (uint32_t)number);
        record->slot = (struct prw_slot){.session = session, .word = word, .token = token, .mode = mode, .holds = 1};
    } else if (!prw_push(record, session, token, mode, 1)) {
        prw_release_soon(session, lock->name, token);
        return prw_fail(thread, PRWLOCK_MEMORY, "no memory is left");
    } else if (prw_field(reply, "until") != NULL) {
        struct prw_hold *hold = &record->holds[record->count - 1];
        hold->is_shared = true;
        if (prw_is_over(hold)) return end_lost(thread, lock, record);
    }
    if (grant != NULL) {
        const char *died = prw_field(reply, "ownerdied");
        bool is_unsure = died != NULL && prw_begins(died, "maybe");
        bool owner_died = is_unsure || (died != NULL && *died == '1');
        *grant = (prwlock_grant){
            .token = token, .mode = (prwlock_mode)mode, .owner_died = owner_died, .is_unsure = is_unsure};
    }
    return 0;
}

static void write_request(
    char line[PRW_LINE], const prwlock_lock *lock, const struct prw_thread *thread, uint32_t mode,
    const struct prw_time *time) {
    char wait[32] = "";
    if (time->is_try) {
        strcpy(wait, " wait=0");
    } else if (time->deadline != PRW_NEVER) {
        int64_t left = (time->deadline - prw_now() + PRW_MILLISECOND - 1) / PRW_MILLISECOND;
        if (left <= 0)
            strcpy(wait, " wait=0");
        else
            snprintf(wait, sizeof wait, " wait=%lldms", (long long)left);
    }
    snprintf(line, PRW_LINE, "%s %s%s owner=t%llu%s%s", mode == PRWLOCK_READ ? "READ" : "WRITE", lock->name, wait,
        (unsigned long long)thread->owner, lock->note == NULL ? "" : " note=", lock->note == NULL ? "" : lock->note);
}

/* After an unclean end the daemon grants nothing for a moment, and names no holder. */
static bool is_grace(struct prw_time *time, const char *reply) {
    const char *holders = prw_field(reply, "held-by");
    if (!time->is_try || !prw_begins(reply, "BUSY ") || holders == NULL || strcmp(holders, "?") != 0) return false;
    int64_t now = prw_now();
    if (time->grace == 0) {
        time->grace = now + GRACE * PRW_MILLISECOND;
        time->end += GRACE * PRW_MILLISECOND;
    }
    return now < time->grace;
}

static int no_answer(struct prw_thread *thread, const prwlock_lock *lock, const struct prw_session *session) {
    return prw_fail(
        thread, PRWLOCK_SILENT, "%s: the lock daemon at %s does not answer", lock->name, session->path);
}

/* A reply to a later line comes behind the reply to the orphan, and its reader has released by then what was granted. */
static enum prw_outcome await_orphan(
    struct prw_thread *thread, const prwlock_lock *lock, struct prw_session *session, int64_t end) {
    if (!prw_session_has_orphan(session, thread, lock->name)) return PRW_ANSWERED;
    return prw_session_ask(session, thread, "PING", end, NULL);
}

/* For a thread that may hold nothing of the lock any more. */
static void end_orphan(struct prw_thread *thread, const prwlock_lock *lock, struct prw_session *session) {
    if (!prw_session_has_orphan(session, thread, lock->name) || prw_holds(thread, session, lock->name)) return;
    prw_forget_slots(thread, session, lock->name);
    prw_session_end_orphan(session, thread, lock->name);
}

enum step { DONE, AGAIN, AT_NEXT_DAEMON };

/* Sends one request and takes its reply. */
static enum step ask_once(
    struct prw_thread *thread, prwlock_lock *lock, struct prw_record *record, struct prw_session *session,
    uint32_t mode, struct prw_time *time, prwlock_grant *grant, int *result) {
    char line[PRW_LINE];
    enum prw_outcome outcome = await_orphan(thread, lock, session, time->end);
    if (outcome == PRW_ANSWERED) {
        write_request(line, lock, thread, mode, time);
        outcome = prw_session_ask(session, thread, line, time->end, lock->name);
    }
    switch (outcome) {
    case PRW_SENT_NOT:
        *result = prw_fail(thread, PRWLOCK_ENDED, "%s: the session with the lock daemon has ended", lock->name);
        return AT_NEXT_DAEMON;
    case PRW_CUT_OFF:
        prw_client_leave(lock->client, session);
        *result = prw_fail(thread, PRWLOCK_ENDED,
            "%s: the session with the lock daemon ended while the request waited: request again", lock->name);
        return DONE;
    case PRW_UNANSWERED:
        end_orphan(thread, lock, session);
        *result = no_answer(thread, lock, session);
        return DONE;
    case PRW_ANSWERED: break;
    }
    if (prw_begins(thread->reply, "ERROR draining")) {
        *result = prw_judge(thread, lock->name, thread->reply);
        return AT_NEXT_DAEMON;
    }
    if (is_grace(time, thread->reply)) return AGAIN;
    *result = prw_judge(thread, lock->name, thread->reply);
    if (*result == PRWLOCK_BUSY && !time->is_try) *result = thread->error.code = PRWLOCK_TIMEOUT;
    if (*result == 0) *result = take_grant(thread, lock, record, session, mode, grant);
    prw_settle_slot(record);
    return DONE;
}

static int request(
    struct prw_thread *thread, prwlock_lock *lock, struct prw_record *record, uint32_t mode, struct prw_time *time,
    prwlock_grant *grant) {
    int result = PRWLOCK_ENDED;
    for (int64_t pause = 0;;) {
        struct prw_session *session = prw_client_session(lock->client, thread, time->end);
        if (session == NULL) return thread->error.code;
        enum step step = ask_once(thread, lock, record, session, mode, time, grant, &result);
        if (step == AT_NEXT_DAEMON) prw_client_leave(lock->client, session);
        prw_session_drop(session);
        if (step == DONE) return result;
        if (step == AGAIN) {
            prw_sleep(GRACE_PAUSE * PRW_MILLISECOND);
            continue;
        }
        if (prw_now() + pause > time->end) return result;
        if (pause > 0) prw_sleep(pause);
        pause = pause == 0 ? FIRST_PAUSE * PRW_MILLISECOND : pause * 2;
        if (pause > MOST_PAUSE * PRW_MILLISECOND) pause = MOST_PAUSE * PRW_MILLISECOND;
    }
}

static bool has_lost(struct prw_record *record) {
    for (uint32_t i = 0; i < record->count; i++)
        if (prw_session_has_ended(record->holds[i].session) || record->holds[i].is_lost) return true;
    return record->slot.holds > 0 && prw_session_has_ended(record->slot.session);
}

static int acquire(
    struct prw_thread *thread, prwlock_lock *lock, struct prw_record *record, uint32_t mode, int64_t milliseconds,
    prwlock_grant *grant) {
    /* First: a reader would count one more hold in a slot that it believes not to hold. */
    prw_settle_slot(record);
    if (prw_enters(&record->slot, mode)) {
        if (grant != NULL) *grant = (prwlock_grant){.token = record->slot.token, .mode = (prwlock_mode)mode};
        return 0;
    }
    if (has_lost(record))
        return prw_fail(thread, PRWLOCK_LOST, "the grant on %s was lost: unlock it first", lock->name);
    prw_settle_slot(record);
    struct prw_time time = prw_time(milliseconds);
    return request(thread, lock, record, mode, &time, grant);
}

/* A binding that has not the inline functions is nearly as quick. */
int prwlock_acquire_(prwlock_lock *lock, uint32_t mode, int64_t milliseconds, prwlock_grant *grant) {
    if (prwlock_enter_(lock, mode, grant)) return 0;
    struct prw_thread *thread = prw_thread();
    if (thread == NULL) return PRWLOCK_MEMORY;
    if (mode != PRWLOCK_READ && mode != PRWLOCK_WRITE)
        return prw_fail(thread, PRWLOCK_INVALID, "%s: no mode has the number %u", lock->name, mode);
    struct prw_record *record = prw_find(thread, lock, true);
    if (record == NULL) return prw_fail(thread, PRWLOCK_MEMORY, "no memory is left");
    /* A thread that is cancelled in the middle would leave a reader's place taken. */
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    int result = acquire(thread, lock, record, mode, milliseconds, grant);
    prw_publish(thread, lock, record);
    pthread_setcancelstate(state, NULL);
    return result;
}

/* ---- Releasing ---- */

static int64_t patience(void) { return prw_now() + PATIENCE * PRW_SECOND; }

static int ask_about(
    struct prw_thread *thread, const prwlock_lock *lock, struct prw_session *session, const char *verb,
    uint64_t token, int64_t end) {
    char line[PRW_LINE];
    snprintf(line, sizeof line, "%s %s token=%llu", verb, lock->name, (unsigned long long)token);
    switch (prw_session_ask(session, thread, line, end, NULL)) {
    case PRW_ANSWERED: return prw_judge(thread, lock->name, thread->reply);
    case PRW_UNANSWERED:
        return no_answer(thread, lock, session);
    case PRW_SENT_NOT:
    case PRW_CUT_OFF: break;
    }
    prw_client_leave(lock->client, session);
    return prw_fail(
        thread, PRWLOCK_LOST, "the grant on %s was lost: the session with the lock daemon has ended", lock->name);
}

static int unlock_slot(struct prw_thread *thread, const prwlock_lock *lock, struct prw_record *record) {
    struct prw_slot *slot = &record->slot;
    bool has_left = prw_leaves(slot);
    if (has_left || slot->holds > 1) {
        /* From here on the word has more holds than the thread, so it no longer counts. */
        if (!has_left) slot->is_stale = true;
        slot->holds--;
        return 0;
    }
    int result = ask_about(thread, lock, slot->session, "RELEASE", slot->token, patience());
    prw_forget_slot(record);
    return result;
}

static int unlock_newest(struct prw_thread *thread, const prwlock_lock *lock, struct prw_record *record) {
    if (record->slot.holds > 0) return unlock_slot(thread, lock, record);
    struct prw_hold *newest = &record->holds[record->count - 1];
    if (newest->count > 1) {
        newest->count--;
        return 0;
    }
    if (newest->is_lost) return end_lost(thread, lock, record);
    /* An unlock in time has lost nothing, whenever the daemon reads it. */
    bool is_late = prw_is_late(newest);
    int64_t end = is_late ? prw_end_of(newest, patience()) : patience();
    int result = ask_about(thread, lock, newest->session, "RELEASE", newest->token, end);
    if (result == PRWLOCK_SILENT && is_late && prw_is_over(newest)) result = prw_fail_over(thread, lock->name);
    prw_pop(record);
    return result;
}

static bool is_held(const struct prw_record *record) {
    return record != NULL && (record->slot.holds > 0 || record->count > 0);
}

static struct prw_session *session_of_newest(const struct prw_record *record) {
    return record->slot.holds > 0 ? record->slot.session : record->holds[record->count - 1].session;
}

static int unlock(struct prw_thread *thread, const prwlock_lock *lock, struct prw_record *record) {
    struct prw_session *session = session_of_newest(record);
    prw_session_keep(session);
    int result = unlock_newest(thread, lock, record);
    end_orphan(thread, lock, session);
    prw_session_drop(session);
    return result;
}

int prwlock_unlock_(prwlock_lock *lock) {
    if (prwlock_leave_(lock)) return 0;
    struct prw_thread *thread = prw_thread();
    if (thread == NULL) return PRWLOCK_MEMORY;
    struct prw_record *record = prw_find(thread, lock, false);
    int state, result;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    if (is_held(record))
        result = unlock(thread, lock, record);
    else
        result = prw_fail(thread, PRWLOCK_NOT_HELD, "this thread does not hold %s", lock->name);
    if (record != NULL) prw_publish(thread, lock, record);
    pthread_setcancelstate(state, NULL);
    return result;
}

static int check_newest(struct prw_thread *thread, const prwlock_lock *lock, struct prw_record *record) {
    const struct prw_slot *slot = &record->slot;
    if (slot->holds > 0) return ask_about(thread, lock, slot->session, "VALIDATE", slot->token, patience());
    struct prw_hold *newest = &record->holds[record->count - 1];
    if (newest->is_lost) return prw_fail_over(thread, lock->name);
    int64_t end = prw_end_of(newest, patience());
    int result = ask_about(thread, lock, newest->session, "VALIDATE", newest->token, end);
    /* The daemon cannot tell: another host has the name by now. */
    if (result == PRWLOCK_CLUSTER) newest->is_lost = true;
    if (result == PRWLOCK_SILENT) (void)prw_is_over(newest);
    return newest->is_lost ? prw_fail_over(thread, lock->name) : result;
}

int prwlock_check(prwlock_lock *lock) {
    struct prw_thread *thread = prw_thread();
    if (thread == NULL) return PRWLOCK_MEMORY;
    struct prw_record *record = prw_find(thread, lock, false);
    if (!is_held(record)) {
        if (record != NULL) prw_publish(thread, lock, record);
        return prw_fail(thread, PRWLOCK_NOT_HELD, "this thread does not hold %s", lock->name);
    }
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    int result = check_newest(thread, lock, record);
    prw_publish(thread, lock, record);
    pthread_setcancelstate(state, NULL);
    return result;
}

/* Releases a grant of the record, or its slot. */
static void give_back(struct prw_thread *thread, const prwlock_lock *lock, struct prw_record *record) {
    bool is_slot = record->count == 0;
    const struct prw_hold *newest = is_slot ? NULL : &record->holds[record->count - 1];
    struct prw_session *session = is_slot ? record->slot.session : newest->session;
    prw_session_keep(session);
    prw_release_soon(session, lock->name, is_slot ? record->slot.token : newest->token);
    if (is_slot)
        prw_forget_slot(record);
    else
        prw_pop(record);
    end_orphan(thread, lock, session);
    prw_session_drop(session);
}

void prwlock_close(prwlock_lock *lock) {
    if (lock == NULL) return;
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    struct prw_thread *thread = prw_thread();
    struct prw_record *record = thread == NULL ? NULL : prw_find(thread, lock, false);
    if (record != NULL) {
        while (record->count > 0 || record->slot.session != NULL) give_back(thread, lock, record);
        prw_publish(thread, lock, record);
    }
    free(lock->name);
    free(lock->note);
    free(lock);
    pthread_setcancelstate(state, NULL);
}
