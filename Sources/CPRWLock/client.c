/*
 * Clients: which session a request uses.
 *
 * One thread connects for all; the others wait for it as long as their own time lasts. A session that has ended
 * is left at the next request, and its grants are lost. They keep a reference to it, so that their unlock finds
 * that out.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* How long a client tries to reach a daemon that was there before, and may be restarting, in milliseconds. */
    RESTART_TIME = 2000,
    FIRST_PAUSE = 10,
};

/* The default one is never closed. */
static prwlock_client default_client;
static uint32_t has_default;

/* Without a session; also for a forked child, in which a thread of the parent may have had the mutex. */
void prw_client_begin(prwlock_client *client) {
    client->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    memset(&client->changed, 0, sizeof client->changed);
    pthread_cond_init(&client->changed, &clock);
    pthread_condattr_destroy(&clock);
    client->session = NULL;
    client->is_connecting = client->was_connected = false;
}

/* With the mutex of the process. */
static void enlist(prwlock_client *client) {
    prw_client_begin(client);
    client->next = prw_process.clients;
    client->link = &prw_process.clients;
    if (client->next != NULL) client->next->link = &client->next;
    __atomic_store_n(&prw_process.clients, client, __ATOMIC_RELEASE);
}

prwlock_client *prw_default_client(void) {
    if (__atomic_load_n(&has_default, __ATOMIC_ACQUIRE) == 0) {
        pthread_mutex_lock(&prw_process.mutex);
        if (has_default == 0) {
            enlist(&default_client);
            __atomic_store_n(&has_default, 1, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&prw_process.mutex);
    }
    return &default_client;
}

int prwlock_client_open(prwlock_client **client, const char *socket, unsigned flags) {
    struct prw_thread *thread = prw_thread();
    if (thread == NULL) return PRWLOCK_MEMORY;
    *client = NULL;
    if (socket != NULL && strlen(socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return prw_fail(thread, PRWLOCK_INVALID, "%.200s is too long for the path of a socket", socket);
    if ((flags & ~(unsigned)PRWLOCK_NO_CACHE) != 0) return prw_fail(thread, PRWLOCK_INVALID, "unknown flags %u", flags);
    prwlock_client *made = calloc(1, sizeof *made);
    if (made == NULL) return prw_fail(thread, PRWLOCK_MEMORY, "no memory is left");
    made->flags = flags;
    if (socket != NULL && (made->socket = strdup(socket)) == NULL) {
        free(made);
        return prw_fail(thread, PRWLOCK_MEMORY, "no memory is left");
    }
    pthread_mutex_lock(&prw_process.mutex);
    enlist(made);
    pthread_mutex_unlock(&prw_process.mutex);
    *client = made;
    return 0;
}

void prwlock_client_close(prwlock_client *client) {
    if (client == NULL || client == &default_client) return;
    /* In a forked child, this forgets the parent's session first. */
    (void)prw_era();
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    struct prw_session *session = client->session;
    if (session != NULL) {
        prw_session_end(session);
        prw_session_drop(session);
    }
    pthread_mutex_lock(&prw_process.mutex);
    *client->link = client->next;
    if (client->next != NULL) client->next->link = client->link;
    pthread_mutex_unlock(&prw_process.mutex);
    pthread_mutex_destroy(&client->mutex);
    pthread_cond_destroy(&client->changed);
    free(client->socket);
    free(client);
    pthread_setcancelstate(state, NULL);
}

/* ---- The session ---- */

/* Without the mutex. */
static struct prw_session *connect_again(
    const prwlock_client *client, struct prw_thread *thread, int64_t end, bool was_connected) {
    int64_t patience = prw_now() + RESTART_TIME * PRW_MILLISECOND;
    if (patience > end) patience = end;
    for (int64_t pause = FIRST_PAUSE * PRW_MILLISECOND;; pause *= 2) {
        struct prw_session *session = NULL;
        if (prw_reach(client, thread, end, &session) == PRW_REACHED) return session;
        if (!was_connected || thread->error.code != PRWLOCK_UNAVAILABLE || prw_now() + pause > patience) return NULL;
        prw_sleep(pause);
    }
}

static bool wait_for_connection(prwlock_client *client, int64_t end) {
    if (end == PRW_NEVER) return pthread_cond_wait(&client->changed, &client->mutex) == 0;
    struct timespec time = {end / PRW_SECOND, end % PRW_SECOND};
    return pthread_cond_timedwait(&client->changed, &client->mutex, &time) == 0;
}

struct prw_session *prw_client_session(prwlock_client *client, struct prw_thread *thread, int64_t end) {
    struct prw_session *session = NULL;
    pthread_mutex_lock(&client->mutex);
    while (client->session == NULL && client->is_connecting) {
        if (wait_for_connection(client, end)) continue;
        pthread_mutex_unlock(&client->mutex);
        prw_fail(thread, PRWLOCK_SILENT, "no lock daemon has answered in time: another thread connects to one");
        return NULL;
    }
    if (client->session == NULL) {
        client->is_connecting = true;
        bool was_connected = client->was_connected;
        pthread_mutex_unlock(&client->mutex);
        session = connect_again(client, thread, end, was_connected);
        pthread_mutex_lock(&client->mutex);
        client->is_connecting = false;
        client->session = session;
        if (session != NULL) client->was_connected = true;
        pthread_cond_broadcast(&client->changed);
    }
    session = client->session;
    if (session != NULL) prw_session_keep(session);
    pthread_mutex_unlock(&client->mutex);
    return session;
}

void prw_client_leave(prwlock_client *client, struct prw_session *session) {
    bool is_left = false;
    pthread_mutex_lock(&client->mutex);
    if (client->session == session) {
        client->session = NULL;
        is_left = true;
    }
    pthread_mutex_unlock(&client->mutex);
    if (is_left) prw_session_drop(session);
}
