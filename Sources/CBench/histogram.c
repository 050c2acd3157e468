#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "CBench.h"

/* Log-linear buckets: exact below 256, then 128 for each power of two, up to 2^40 ns (18 minutes). */
enum { SUB_BITS = 7, SUB = 1 << SUB_BITS, TOP_BIT = 40, BUCKETS = (TOP_BIT - SUB_BITS + 1) * SUB };

struct bench_histogram {
    uint64_t count;
    uint64_t buckets[BUCKETS];
};

int64_t bench_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct bench_histogram *bench_histogram_create(void) {
    void *memory = mmap(
        NULL, sizeof(struct bench_histogram), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    return memory;
}

void bench_histogram_free(struct bench_histogram *histogram) {
    munmap(histogram, sizeof *histogram);
}

void bench_histogram_record(struct bench_histogram *histogram, int64_t nanoseconds) {
    uint64_t value = nanoseconds < 0 ? 0 : (uint64_t)nanoseconds;
    if (value >= (uint64_t)1 << TOP_BIT) value = ((uint64_t)1 << TOP_BIT) - 1;
    unsigned shift = value < 2 * SUB ? 0 : 63 - SUB_BITS - (unsigned)__builtin_clzll(value);
    histogram->buckets[shift * SUB + (value >> shift)] += 1;
    histogram->count += 1;
}

uint64_t bench_histogram_count(const struct bench_histogram *histogram) {
    return histogram->count;
}

int64_t bench_histogram_quantile(const struct bench_histogram *histogram, double share) {
    double rank = share * (double)histogram->count;
    uint64_t passed = 0;
    for (unsigned bucket = 0; histogram->count > 0 && bucket < BUCKETS; bucket += 1) {
        passed += histogram->buckets[bucket];
        if (passed == 0 || (double)passed < rank) continue;
        unsigned shift = bucket < 2 * SUB ? 0 : bucket / SUB - 1;
        uint64_t first = (uint64_t)(bucket - shift * SUB) << shift;
        return (int64_t)(first + (((uint64_t)1 << shift) >> 1));
    }
    return 0;
}
