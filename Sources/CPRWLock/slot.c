/*
 * The slot of a record: the slow path's steps on it.
 *
 * 1. A slot that is held has the thread's newest grant of its lock; `holds` of the record are older.
 * 2. A thread's grants of one lock that it holds at once are all for reading (G4), unless some of them are
 *    lost.
 */
#include "internal.h"

#include <stdio.h>

static uint64_t generation(const struct prw_slot *slot) { return prwlock_slot_generation(slot->token); }

static bool is_served(const struct prw_slot *slot) { return prwlock_slot_is_served(slot->session->serving); }

/* Whether the daemon has taken the grant, or is about to. */
static bool is_wanted(const struct prw_slot *slot) {
    uint64_t word = __atomic_load_n(slot->word, __ATOMIC_ACQUIRE);
    return word >> PRWLOCK_SLOT_GENERATION_SHIFT != generation(slot) || (word & PRWLOCK_SLOT_WANTED) != 0;
}

bool prw_enters(struct prw_slot *slot, uint32_t mode) {
    if (slot->session == NULL || slot->mode != mode || slot->is_stale) return false;
    if (!prwlock_slot_enter(slot->word, generation(slot), mode == PRWLOCK_READ)) return false;
    if (is_served(slot)) {
        slot->holds++;
        return true;
    }
    (void)prwlock_slot_leave(slot->word, generation(slot));
    return false;
}

bool prw_leaves(struct prw_slot *slot) {
    return !slot->is_stale && is_served(slot) && prwlock_slot_leave(slot->word, generation(slot));
}

void prw_release_soon(struct prw_session *session, const char *name, uint64_t token) {
    char line[PRW_LINE];
    snprintf(line, sizeof line, "RELEASE %s token=%llu\n", name, (unsigned long long)token);
    prw_session_tell(session, line);
}

void prw_forget_slot(struct prw_record *record) {
    struct prw_session *session = record->slot.session;
    record->slot = (struct prw_slot){0};
    if (session != NULL) prw_session_drop(session);
}

/*
 * The fast path enters, then finds that no process serves, and cannot leave if another one serves by then and
 * wants the lock. Then the daemon waits for a release.
 */
void prw_settle_slot(struct prw_record *record) {
    struct prw_slot *slot = &record->slot;
    if (slot->session == NULL || slot->holds > 0 || !is_wanted(slot)) return;
    if (prwlock_slot_is_held(slot->word, generation(slot))) prw_release_soon(slot->session, record->name, slot->token);
    prw_forget_slot(record);
}

void prw_demote_slot(struct prw_record *record) {
    struct prw_slot *slot = &record->slot;
    if (slot->session == NULL) return;
    if (slot->holds > 0 && !prw_push(record, slot->session, slot->token, slot->mode, slot->holds)) return;
    prw_forget_slot(record);
}
