/*
 * Grants on names that hosts share, and until when they count.
 *
 * The daemon has such a name from a cluster, for a time. It says until when: in the reply that grants, and again by
 * `! UNTIL` for all of a session's grants on shared names. Once that moment has passed without a newer one, the grant
 * counts as lost, also if the daemon or the whole machine was stopped: another host may have the lock.
 *
 * The library has no thread that reads. So after a long time without a call, it does not know the newest moment: the
 * socket has room for a few hundred notices, and the daemon keeps the others. Therefore a call asks the daemon before
 * it counts a grant as lost. A daemon that answers has looked at its own clock first, so its answer about the grant is
 * the truth. If it does not answer at once, the clock decides. A grant that has counted as lost stays lost, whatever the
 * daemon says later, and its unlock releases it nevertheless.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    /* How long a daemon may take to answer about a grant that its client has heard nothing of, in milliseconds. */
    AT_ONCE = 750
};

/* It counts the time in which the machine sleeps. */
static int64_t boot_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (int64_t)time.tv_sec * PRW_SECOND + time.tv_nsec;
}

/* Reads `8000ms` or `8s`, in nanoseconds. */
static bool read_duration(const char *text, int64_t *nanoseconds) {
    int64_t number = 0;
    const char *digit = text;
    if (text == NULL) return false;
    for (; *digit >= '0' && *digit <= '9'; digit++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *digit - '0', &number))
            return false;
    size_t length = strcspn(digit, " ");
    bool is_milliseconds = length == 2 && prw_begins(digit, "ms");
    if (digit == text || (!is_milliseconds && (length != 1 || *digit != 's'))) return false;
    return !__builtin_mul_overflow(number, is_milliseconds ? PRW_MILLISECOND : PRW_SECOND, nanoseconds);
}

void prw_note_until(struct prw_session *session, const char *line) {
    const char *text = prw_field(line, "until");
    if (text == NULL) return;
    int64_t now = boot_now(), length, clock, until;
    /* The line may have waited in the socket since the daemon wrote it. A line without sense counts for no time. */
    if (!read_duration(text, &length)) length = 0;
    if (read_duration(prw_field(line, "clock"), &clock) && clock < now) now = clock;
    if (__builtin_add_overflow(now, length, &until)) until = PRW_NEVER;
    if (until > session->until) session->until = until;
}

/* Takes the lines that have come, unless another thread reads them. */
static void catch_up(struct prw_session *session) {
    char bytes[1024];
    while (!session->has_ended && !session->has_reader) {
        ssize_t count = recv(session->descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return;
        if (count == 0 || !prw_session_receive(session, bytes, (size_t)count)) prw_finish(session);
    }
}

bool prw_is_over(struct prw_hold *hold) {
    if (!hold->is_shared || hold->is_lost) return hold->is_lost;
    struct prw_session *session = hold->session;
    pthread_mutex_lock(&session->mutex);
    if (boot_now() >= session->until) catch_up(session);
    hold->is_lost = boot_now() >= session->until;
    pthread_mutex_unlock(&session->mutex);
    return hold->is_lost;
}

static int64_t left_of(const struct prw_hold *hold) {
    pthread_mutex_lock(&hold->session->mutex);
    int64_t left = hold->session->until - boot_now();
    pthread_mutex_unlock(&hold->session->mutex);
    return left;
}

bool prw_is_late(const struct prw_hold *hold) { return hold->is_shared && left_of(hold) <= 0; }

int64_t prw_end_of(const struct prw_hold *hold, int64_t end) {
    if (!hold->is_shared) return end;
    int64_t left = left_of(hold), at_once = AT_ONCE * PRW_MILLISECOND;
    int64_t until = prw_now() + (left > at_once ? left : at_once);
    return until < end ? until : end;
}

int prw_fail_over(struct prw_thread *thread, const char *name) {
    return prw_fail(thread, PRWLOCK_LOST,
        "the grant on %s was lost: the lock daemon did not say in time that this host still has the lock", name);
}
