/* The library against a server by hand: lines of older daemons, lines that come again, ends in the middle. */
#define _GNU_SOURCE

#include "test.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int listener;

static void listen_by_hand(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 8) == 0);
}

/* Expects a line, and sends bytes in answer. */
static void expect(int connection, const char *line, const char *answer) {
    const char *came = next_line(connection);
    if (strncmp(came, line, strlen(line)) != 0) {
        printf("  came: %s\n  expected: %s\n", came, line);
        fail(__FILE__, __LINE__, line);
    }
    CHECK(write(connection, answer, strlen(answer)) == (ssize_t)strlen(answer));
}

static int greet_client(void) {
    int connection = accept(listener, NULL, NULL);
    CHECK(connection >= 0);
    expect(connection, "HELLO client=", "HELLO version=1 server=hand session=1 slots=0\n");
    expect(connection, "PING", "PONG\n");
    return connection;
}

/* The greeting has 46 and 5 bytes, the grant 30. */
static void repeat_lines(int from, int to) {
    (void)to;
    int connection = greet_client();
    expect(connection, "#1 WRITE jobs owner=t", "#1 GRANTED jobs write token=7\n! RESUMED from=46\nPONG\n#1 GRAN");
    CHECK(write(connection, "TED jobs write token=7\n", 23) == 23);
    expect(connection, "#2 RELEASE jobs token=7",
        "! RESUMED from=51\n#1 GRANTED jobs write token=7\n! RESUMED from=46\nPONG\n#1 GRANTED jobs write token=7\n"
        "#2 RELEASED jobs token=7\n");
    expect(connection, "#3 WRITE jobs",
        "#1 BUSY jobs write held-by=?\n#3 GRANTED jobs write token=9 ownerdied=1 new=4\n");
    await_word(from);
}

static void lines_that_come_again_are_passed_over(void) {
    listen_by_hand();
    struct process server = start_process(repeat_lines);
    prwlock_lock *jobs = own("jobs");
    prwlock_grant grant;
    OK(prwlock_write_lock(jobs, &grant));
    CHECK(grant.token == 7 && !grant.owner_died);
    OK(prwlock_unlock(jobs));
    OK(prwlock_write_lock(jobs, &grant));
    CHECK(grant.token == 9 && grant.owner_died);
    tell(server.to);
    CHECK(await_end(server.pid) == 0);
}

static void be_an_older_daemon(int from, int to) {
    (void)from;
    (void)to;
    int connection = accept(listener, NULL, NULL);
    CHECK(connection >= 0);
    const char *came = next_line(connection);
    CHECK(strstr(came, " cache=1") != NULL);
    expect(connection, "PING", "ERROR unknown-argument no such argument\nPONG\n");
    came = next_line(connection);
    CHECK(strncmp(came, "HELLO client=", 13) == 0 && strstr(came, "cache") == NULL);
    expect(connection, "PING", "HELLO version=1 server=old session=1\nPONG\n");
    expect(connection, "#1 READ jobs", "! DRAIN\n#1 GRANTED jobs read token=3\n");
    expect(connection, "#2 RELEASE jobs", "#2 RELEASED jobs token=3\n");
}

static void an_older_daemon_is_understood(void) {
    listen_by_hand();
    struct process server = start_process(be_an_older_daemon);
    prwlock_lock *jobs = own("jobs");
    OK(prwlock_read_lock(jobs, NULL));
    OK(prwlock_unlock(jobs));
    CHECK(await_end(server.pid) == 0);
}

static void leave_before_answering(int from, int to) {
    (void)from;
    (void)to;
    for (int i = 0; i < 2; i++) close(accept(listener, NULL, NULL));
    int connection = greet_client();
    expect(connection, "#1 WRITE jobs", "");
    close(connection);
    connection = greet_client();
    expect(connection, "#1 WRITE jobs", "#1 GRANTED jobs write token=5\n");
    expect(connection, "#2 RELEASE jobs", "#2 ERROR not-held no such grant\n");
}

static void a_daemon_that_leaves_is_asked_again(void) {
    listen_by_hand();
    struct process server = start_process(leave_before_answering);
    prwlock_lock *jobs = own("jobs");
    CHECK_CODE(prwlock_write_lock(jobs, NULL), PRWLOCK_ENDED);
    OK(prwlock_write_lock(jobs, NULL));
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_LOST);
    CHECK(await_end(server.pid) == 0);
}

static void take_no_more(int from, int to) {
    (void)from;
    (void)to;
    int connection = accept(listener, NULL, NULL);
    CHECK(dprintf(connection, "ERROR limit-sessions too many sessions\n") > 0);
    close(connection);
}

static void a_full_daemon_is_reported(void) {
    listen_by_hand();
    struct process server = start_process(take_no_more);
    CHECK_CODE(prwlock_write_lock(own("jobs"), NULL), PRWLOCK_LIMIT);
    CHECK(strstr(prwlock_last_error()->message, "limit-sessions") != NULL);
    CHECK(await_end(server.pid) == 0);
}

static void grant_nothing_at_first(int from, int to) {
    (void)from;
    (void)to;
    int connection = greet_client();
    expect(connection, "#1 WRITE jobs wait=0", "#1 BUSY jobs write held-by=?\n");
    expect(connection, "#2 WRITE jobs wait=0", "#2 BUSY jobs write held-by=?\n");
    expect(connection, "#3 WRITE jobs wait=0", "#3 GRANTED jobs write token=5\n");
    expect(connection, "#4 WRITE mail wait=0", "#4 BUSY mail write held-by=?/read,12/update,13/read,+9\n");
}

static void a_try_is_repeated_while_nothing_is_granted(void) {
    listen_by_hand();
    struct process server = start_process(grant_nothing_at_first);
    OK(prwlock_try_write_lock(own("jobs"), NULL));
    CHECK_CODE(prwlock_try_write_lock(own("mail"), NULL), PRWLOCK_BUSY);
    const prwlock_error *error = prwlock_last_error();
    CHECK(error->holder_count == 3 && error->more_holders == 9);
    CHECK(error->holders[0].pid == 0 && error->holders[0].mode == 'r');
    CHECK(error->holders[1].pid == 12 && error->holders[1].mode == 'u' && error->holders[2].pid == 13);
    CHECK(await_end(server.pid) == 0);
}

static void send_slots_without_descriptors(int from, int to) {
    (void)from;
    (void)to;
    int connection = accept(listener, NULL, NULL);
    expect(connection, "HELLO", "HELLO version=1 server=odd session=1 slots=64\n");
    expect(connection, "PING", "PONG\n");
    expect(connection, "#1 WRITE jobs", "#1 GRANTED jobs write token=5 slot=70 gen=5\n");
    expect(connection, "#2 RELEASE jobs token=5", "#2 RELEASED jobs token=5\n");
    expect(connection, "#3 WRITE jobs", "#3 GRANTED jobs write\n");
}

static void slots_that_are_not_there_are_not_used(void) {
    listen_by_hand();
    struct process server = start_process(send_slots_without_descriptors);
    prwlock_lock *jobs = own("jobs");
    OK(prwlock_write_lock(jobs, NULL));
    OK(prwlock_unlock(jobs));
    CHECK_CODE(prwlock_write_lock(jobs, NULL), PRWLOCK_PROTOCOL);
    CHECK(await_end(server.pid) == 0);
}

/* ---- Shared names ---- */

/* Milliseconds of the clock that the daemon states. */
static long long boot_clock(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* `begin`, and until when a grant counts, and `end`. */
static const char *with_until(const char *begin, int until, const char *end) {
    static char line[256];
    snprintf(line, sizeof line, "%suntil=%dms clock=%lldms%s", begin, until, boot_clock(), end);
    return line;
}

enum { A_MOMENT = 50, AN_HOUR = 3600000 };

static void say_nothing_in_time(int from, int to) {
    (void)to;
    int connection = greet_client();
    expect(connection, "#1 WRITE jobs", with_until("#1 GRANTED jobs write token=7 ", A_MOMENT, "\n"));
    expect(connection, "#2 VALIDATE jobs token=7", "");
    await_word(from);
    expect(connection, "#3 WRITE other", with_until("! UNTIL ", AN_HOUR, "\n#3 BUSY other write held-by=?\n"));
    expect(connection, "RELEASE jobs token=7", "ERROR not-held no such grant\n");
}

static void a_grant_without_news_is_lost_in_time(void) {
    listen_by_hand();
    struct process server = start_process(say_nothing_in_time);
    prwlock_lock *jobs = own("jobs"), *other = own("other");
    OK(prwlock_write_lock(jobs, NULL));
    CHECK_CODE(prwlock_check(jobs), PRWLOCK_LOST);
    CHECK_CODE(prwlock_read_lock(jobs, NULL), PRWLOCK_LOST);
    tell(server.to);
    CHECK_CODE(prwlock_timed_write_lock(other, AN_HOUR, NULL), PRWLOCK_TIMEOUT);
    CHECK_CODE(prwlock_check(jobs), PRWLOCK_LOST);
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_LOST);
    CHECK_CODE(prwlock_unlock(jobs), PRWLOCK_NOT_HELD);
    CHECK(await_end(server.pid) == 0);
}

static void say_so_in_time(int from, int to) {
    (void)from;
    (void)to;
    int connection = greet_client();
    char granted[300];
    snprintf(granted, sizeof granted, "#1 GRANTED jobs read token=7 until=0 clock=5ms\n%s",
        with_until("! UNTIL ", AN_HOUR, "\n"));
    expect(connection, "#1 READ jobs", granted);
    expect(connection, "#2 VALIDATE jobs", "#2 VALID jobs token=7\n");
    expect(connection, "#3 RELEASE jobs", "#3 RELEASED jobs token=7\n");
}

static void a_grant_counts_until_the_newest_moment(void) {
    listen_by_hand();
    struct process server = start_process(say_so_in_time);
    prwlock_lock *jobs = own("jobs");
    OK(prwlock_read_lock(jobs, NULL));
    OK(prwlock_check(jobs));
    OK(prwlock_unlock(jobs));
    CHECK(await_end(server.pid) == 0);
}

/* Between calls nothing reads, so the library does not know the newest moment: here the daemon has said none. */
static void answer_after_the_moment(int from, int to) {
    (void)to;
    int connection = greet_client();
    expect(connection, "#1 WRITE jobs", with_until("#1 GRANTED jobs write token=7 ", A_MOMENT, "\n"));
    await_word(from);
    expect(connection, "#2 VALIDATE jobs", "#2 VALID jobs token=7\n");
    expect(connection, "#3 RELEASE jobs", "#3 RELEASED jobs token=7\n");
}

static void the_answer_of_a_daemon_counts_before_the_clock(void) {
    listen_by_hand();
    struct process server = start_process(answer_after_the_moment);
    prwlock_lock *jobs = own("jobs");
    OK(prwlock_write_lock(jobs, NULL));
    long long end = boot_clock() + A_MOMENT;
    struct timespec moment = {.tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000};
    CHECK(clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &moment, NULL) == 0);
    tell(server.to);
    OK(prwlock_check(jobs));
    OK(prwlock_unlock(jobs));
    CHECK(await_end(server.pid) == 0);
}

/* As in another time namespace. */
static void have_a_clock_that_is_ahead(int from, int to) {
    (void)from;
    (void)to;
    int connection = greet_client();
    expect(connection, "#1 READ jobs", "#1 GRANTED jobs read token=8 until=1ms clock=9000000000000ms\n");
    next_line(connection);
}

static void the_earlier_clock_decides(void) {
    listen_by_hand();
    struct process server = start_process(have_a_clock_that_is_ahead);
    prwlock_lock *jobs = own("jobs");
    int code = prwlock_read_lock(jobs, NULL);
    if (code == 0) code = prwlock_check(jobs);
    CHECK(code == PRWLOCK_LOST);
    CHECK(await_end(server.pid) == 0);
}

static void speak_of_other_hosts(int from, int to) {
    int connection = greet_client();
    expect(connection, "#1 WRITE jobs", "#1 BUSY jobs write held-by=host:web-1/read,42/read,host:web2/read,+3\n");
    expect(connection, "#2 WRITE jobs",
        "#2 ERROR cluster-unavailable lock=jobs mode=write etcd does not answer for 8 s\n");
    expect(connection, "#3 WRITE jobs", with_until("#3 GRANTED jobs write token=7 ownerdied=maybe ", AN_HOUR, "\n"));
    expect(connection, "#4 RELEASE jobs", "#4 RELEASED jobs token=7\n");
    (void)from;
    (void)to;
}

static void other_hosts_are_named(void) {
    listen_by_hand();
    struct process server = start_process(speak_of_other_hosts);
    prwlock_lock *jobs = own("jobs");
    CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_BUSY);
    const prwlock_error *error = prwlock_last_error();
    CHECK(error->holder_count == 3 && error->more_holders == 3);
    CHECK(strcmp(error->hosts[0], "web-1") == 0 && error->hosts[1] == NULL && strcmp(error->hosts[2], "web2") == 0);
    CHECK(error->holders[0].pid == 0 && error->holders[0].mode == 'r' && error->holders[1].pid == 42);
    CHECK(strstr(error->message, "host web-1 reads, process 42 reads") != NULL);
    CHECK_CODE(prwlock_try_write_lock(jobs, NULL), PRWLOCK_CLUSTER);
    prwlock_grant grant;
    OK(prwlock_try_write_lock(jobs, &grant));
    CHECK(grant.owner_died && grant.is_unsure);
    OK(prwlock_unlock(jobs));
    CHECK(await_end(server.pid) == 0);
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"lines that come again are passed over (G14)", lines_that_come_again_are_passed_over},
        {"an older daemon, without slots, is understood", an_older_daemon_is_understood},
        {"a daemon that leaves before it answers is asked again", a_daemon_that_leaves_is_asked_again},
        {"a daemon that takes no more sessions is reported", a_full_daemon_is_reported},
        {"a try is repeated while the daemon grants nothing", a_try_is_repeated_while_nothing_is_granted},
        {"slots that did not come are not used", slots_that_are_not_there_are_not_used},
        {"a grant on a shared name counts as lost when its moment passes, whatever comes later",
            a_grant_without_news_is_lost_in_time},
        {"a grant on a shared name counts until the newest moment", a_grant_counts_until_the_newest_moment},
        {"the answer of a daemon about a grant counts before the clock",
            the_answer_of_a_daemon_counts_before_the_clock},
        {"the earlier clock decides until when a grant counts", the_earlier_clock_decides},
        {"refusals name other hosts, and a cluster that cannot be reached", other_hosts_are_named},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
