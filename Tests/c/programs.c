/* Programs that use the library: PROGRAMS names their folder. */
#define _GNU_SOURCE

#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a program with up to three arguments; returns what it prints. */
static const char *output_of(const char *name, const char *first, const char *second, const char *third) {
    static char text[1024];
    char path[512];
    int output[2];
    const char *programs = getenv("PROGRAMS");
    CHECK(programs != NULL && pipe(output) == 0);
    snprintf(path, sizeof path, "%s/%s", programs, name);
    pid_t child = fork();
    if (child == 0) {
        dup2(output[1], 1);
        close(output[0]);
        close(output[1]);
        execl(path, name, first, second, third, (char *)NULL);
        perror(path);
        _exit(127);
    }
    close(output[1]);
    size_t length = 0;
    ssize_t count;
    while ((count = read(output[0], text + length, sizeof text - 1 - length)) > 0) length += (size_t)count;
    text[length] = 0;
    int status = await_end(child);
    if (status != 0) printf("  %s ended with %#x and printed: %s\n", name, (unsigned)status, text);
    CHECK(status == 0);
    return text;
}

static void the_header_is_for_cpp(void) {
    start_daemon(NULL);
    CHECK(strstr(output_of("header", NULL, NULL, NULL), "as expected: c++ would never be granted") != NULL);
}

static void the_ported_program_does_the_same(void) {
    start_daemon(NULL);
    CHECK(strcmp(output_of("counter_pthread", "4", "500", NULL), "2000\n") == 0);
    CHECK(strncmp(output_of("counter_prwlock", "4", "500", NULL), "2000, ", 6) == 0);
}

static void the_readmes_program_runs(void) {
    start_daemon(NULL);
    CHECK(strcmp(output_of("readme", NULL, NULL, NULL), "") == 0);
}

/* There the former program would wait for ever. */
static void the_ported_program_goes_on_after_a_kill(void) {
    start_daemon(NULL);
    CHECK(strstr(output_of("counter_prwlock", "4", "200", "100"), "1 killed, 1 repairs") != NULL);
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"the header is for C++ as well", the_header_is_for_cpp},
        {"the program of the library's README runs", the_readmes_program_runs},
        {"a program that used pthread_rwlock counts as before", the_ported_program_does_the_same},
        {"that program goes on after a process was killed with the lock (G6, G11)",
            the_ported_program_goes_on_after_a_kill},
    };
    return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
