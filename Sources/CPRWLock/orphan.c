/*
 * Requests that were given up, and may still be granted: README.md, "A request that is given up".
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct prw_orphan **find_orphan(struct prw_session *session, uint64_t owner, const char *name) {
    struct prw_orphan **link = &session->orphans;
    while (*link != NULL && ((*link)->owner != owner || strcmp((*link)->name, name) != 0)) link = &(*link)->next;
    return link;
}

void prw_settle(struct prw_session *session, uint64_t tag, const char *reply) {
    for (struct prw_orphan **link = &session->orphans; *link != NULL; link = &(*link)->next) {
        struct prw_orphan *orphan = *link;
        if (orphan->tag != tag) continue;
        *link = orphan->next;
        uint64_t token;
        if (prw_begins(reply, "GRANTED ") && prw_number(prw_field(reply, "token"), &token)) {
            char line[PRW_LINE];
            int length = snprintf(
                line, sizeof line, "RELEASE %s token=%llu\n", orphan->name, (unsigned long long)token);
            (void)prw_send_line(session, line, (size_t)length);
        }
        free(orphan);
        return;
    }
}

void prw_free_orphans(struct prw_session *session) {
    while (session->orphans != NULL) {
        struct prw_orphan *orphan = session->orphans;
        session->orphans = orphan->next;
        free(orphan);
    }
}

void prw_give_up(struct prw_session *session, uint64_t tag, uint64_t owner, const char *name) {
    char line[64];
    struct prw_orphan *orphan = malloc(sizeof *orphan + strlen(name) + 1);
    if (orphan == NULL) {
        prw_finish(session);
        return;
    }
    orphan->tag = tag;
    orphan->owner = owner;
    strcpy(orphan->name, name);
    orphan->next = session->orphans;
    session->orphans = orphan;
    int length = snprintf(line, sizeof line, "CANCEL #%llu\n", (unsigned long long)tag);
    (void)prw_send_line(session, line, (size_t)length);
}

bool prw_session_has_orphan(struct prw_session *session, const struct prw_thread *thread, const char *name) {
    pthread_mutex_lock(&session->mutex);
    bool has_orphan = *find_orphan(session, thread->owner, name) != NULL;
    pthread_mutex_unlock(&session->mutex);
    return has_orphan;
}

void prw_session_end_orphan(struct prw_session *session, const struct prw_thread *thread, const char *name) {
    char line[PRW_LINE];
    int length =
        snprintf(line, sizeof line, "RELEASE %s owner=t%llu\n", name, (unsigned long long)thread->owner);
    pthread_mutex_lock(&session->mutex);
    struct prw_orphan **link = find_orphan(session, thread->owner, name), *orphan = *link;
    if (orphan != NULL) {
        *link = orphan->next;
        free(orphan);
        if (!session->has_ended) (void)prw_send_line(session, line, (size_t)length);
        prw_leave(session);
    }
    pthread_mutex_unlock(&session->mutex);
}
