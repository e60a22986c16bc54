#define _POSIX_C_SOURCE 200809L

#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/veclog.h"
#include "check.h"
#include "suites.h"

static double
now_ms(void)
{
    struct timespec t = {0};

    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void
sleep_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    nanosleep(&t, NULL);
}

/* Counts visits of items and calls; finds two threads under one worker number. */
typedef struct {
    unsigned char *visits;
    int64_t n_items;
    int64_t chunk;
    int n_threads;
    atomic_int busy[DPH_MAX_THREADS];
    atomic_int wrong;
    atomic_llong items;
    atomic_int calls;
} census;

static int
count_items(void *ctx, int64_t begin, int64_t end, int worker)
{
    census *c = ctx;

    if (begin < 0 || end <= begin || end > c->n_items || end - begin > c->chunk || worker < 0 ||
        worker >= c->n_threads) {
        atomic_fetch_add(&c->wrong, 1);
        return DPH_E_ARGUMENT;
    }
    if (atomic_exchange(&c->busy[worker], 1) != 0) {
        atomic_fetch_add(&c->wrong, 1);
    }
    for (int64_t i = begin; i < end; i++) {
        c->visits[i]++; /* nobody else may have these items */
    }
    atomic_fetch_add(&c->items, (long long)(end - begin));
    atomic_fetch_add(&c->calls, 1);
    atomic_store(&c->busy[worker], 0);
    return DPH_OK;
}

static void
test_every_item_once(void)
{
    static const int64_t sizes[] = {0, 1, 2, 7, 64, 1000, 10007};
    static const int64_t chunks[] = {1, 3, 64, 1000, INT64_MAX};
    static const int threads[] = {1, 2, 3, 8, DPH_MAX_THREADS};
    static unsigned char visits[10007];

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (size_t k = 0; k < sizeof chunks / sizeof chunks[0]; k++) {
            for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
                census c = {.visits = visits,
                            .n_items = sizes[s],
                            .chunk = chunks[k],
                            .n_threads = threads[t]};
                dph_parallel opts = {.n_threads = threads[t], .chunk = chunks[k]};
                int missed = 0;

                if (threads[t] == DPH_MAX_THREADS && s != 4) {
                    continue; /* many threads cost time: once, with 64 items, is enough */
                }
                memset(visits, 0, sizeof visits);
                CHECK_INT(dph_parallel_for(sizes[s], count_items, &c, &opts), DPH_OK);
                for (int64_t i = 0; i < sizes[s]; i++) {
                    missed += visits[i] != 1;
                }
                CHECK_INT(missed, 0);
                CHECK_INT(atomic_load(&c.wrong), 0);
                CHECK_INT(atomic_load(&c.items), sizes[s]);
                CHECK_INT(atomic_load(&c.calls),
                          sizes[s] / chunks[k] + (sizes[s] % chunks[k] != 0));
            }
        }
    }
}

typedef struct {
    const double *x;
    double *y;
} columns;

static int
take_logs(void *ctx, int64_t begin, int64_t end, int worker)
{
    columns *c = ctx;

    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        double sum = 0;

        dph_log_many(c->x + 10 * i, c->y + 10 * i, 10);
        for (int k = 0; k < 10; k++) {
            sum += c->y[10 * i + k];
        }
        c->y[10 * i] = sum;
    }
    return DPH_OK;
}

static void
test_same_bits(void)
{
    enum { N_ITEMS = 500 };
    static double x[10 * N_ITEMS];
    static double y[9][10 * N_ITEMS];
    uint64_t seed = 3;

    for (int i = 0; i < 10 * N_ITEMS; i++) {
        x[i] = check_uniform(&seed);
    }
    for (int threads = 1; threads <= 8; threads++) {
        columns c = {.x = x, .y = y[threads]};
        dph_parallel opts = {.n_threads = threads, .chunk = 3 + threads};

        CHECK_INT(dph_parallel_for(N_ITEMS, take_logs, &c, &opts), DPH_OK);
        CHECK_SAME(y[threads], y[1], sizeof y[1]);
    }
}

typedef struct {
    pthread_t caller;
    atomic_int away; /* calls that ran on another thread */
    atomic_int calls;
    int code;
} where;

static int
note_thread(void *ctx, int64_t begin, int64_t end, int worker)
{
    where *w = ctx;

    (void)begin;
    (void)end;
    atomic_fetch_add(&w->calls, 1);
    if (!pthread_equal(pthread_self(), w->caller) || worker != 0) {
        atomic_fetch_add(&w->away, 1);
    }
    return w->code;
}

static void
test_on_caller(void)
{
    where w = {.caller = pthread_self()};
    dph_parallel opts = {.on_caller = 1, .n_threads = 8, .chunk = 5};

    CHECK_INT(dph_parallel_for(500, note_thread, &w, &opts), DPH_OK);
    CHECK_INT(atomic_load(&w.calls), 1); /* all items in one go */
    CHECK_INT(atomic_load(&w.away), 0);
    w.code = DPH_E_RANK;
    CHECK_INT(dph_parallel_for(500, note_thread, &w, &opts), DPH_E_RANK);
    CHECK_INT(dph_parallel_for(0, note_thread, &w, &opts), DPH_OK);
    CHECK_INT(atomic_load(&w.calls), 2);
    opts.on_caller = 0; /* else work never holds up the caller, however little */
    w.code = DPH_OK;
    atomic_store(&w.away, 0);
    CHECK_INT(dph_parallel_for(1, note_thread, &w, &opts), DPH_OK);
    CHECK_INT(atomic_load(&w.away), 1);
}

static void
test_arguments(void)
{
    where w = {.caller = pthread_self()};
    static const dph_parallel bad[] = {
        {.n_threads = 0, .chunk = 1},
        {.n_threads = -1, .chunk = 1},
        {.n_threads = DPH_MAX_THREADS + 1, .chunk = 1},
        {.n_threads = 1, .chunk = 0},
        {.n_threads = 1, .chunk = -1},
        {.n_threads = 1, .chunk = INT64_MIN},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_INT(dph_parallel_for(10, note_thread, &w, &bad[i]), DPH_E_ARGUMENT);
        CHECK_INT(dph_parallel_for(0, note_thread, &w, &bad[i]), DPH_E_ARGUMENT);
    }
    CHECK_INT(dph_parallel_for(-1, note_thread, &w, &(dph_parallel){.n_threads = 1, .chunk = 1}),
              DPH_E_ARGUMENT);
    CHECK_INT(atomic_load(&w.calls), 0);
}

/* Sleep an item; fail at some. */
typedef struct {
    long ms;
    int64_t fail_at;
    int code;
    int64_t fail_too; /* a later failure, with DPH_E_MEMORY */
    atomic_llong done;
} slow;

static int
sleep_items(void *ctx, int64_t begin, int64_t end, int worker)
{
    slow *s = ctx;

    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        sleep_ms(s->ms);
        if (i == s->fail_at) {
            return s->code;
        }
        if (i == s->fail_too) {
            return DPH_E_MEMORY;
        }
        atomic_fetch_add(&s->done, 1);
    }
    return DPH_OK;
}

static void
test_failure(void)
{
    for (int threads = 1; threads <= 8; threads++) {
        slow s = {.ms = 1, .fail_at = 9, .code = DPH_E_NO_CONVERGENCE, .fail_too = -1};
        dph_parallel opts = {.n_threads = threads, .chunk = 1};

        CHECK_INT(dph_parallel_for(2000, sleep_items, &s, &opts), DPH_E_NO_CONVERGENCE);
        CHECK(atomic_load(&s.done) < 1000); /* the rest was left alone */
    }
    for (int last = 0; last < 3; last++) { /* no item after the failing one: still reported */
        slow s = {.ms = 0, .fail_at = 29, .code = DPH_E_RANK, .fail_too = -1};

        CHECK_INT(
            dph_parallel_for(30, sleep_items, &s, &(dph_parallel){.n_threads = 4, .chunk = 1}),
            DPH_E_RANK);
    }
    {
        slow s = {.ms = 0, .fail_at = 5, .code = DPH_E_RANK, .fail_too = 6};

        CHECK_INT(
            dph_parallel_for(30, sleep_items, &s, &(dph_parallel){.n_threads = 1, .chunk = 1}),
            DPH_E_RANK);
        CHECK_INT(atomic_load(&s.done), 5);
    }
}

typedef struct {
    pthread_t caller;
    int calls;
    int cancel_at; /* call that cancels; 0 = never */
    int wrong;     /* calls on another thread, or with a count that fell or ran over */
    int64_t n_items;
    int64_t last;
    double last_ms;
    double longest_ms; /* longest wait between two calls */
} watch;

static int
look(void *ctx, int64_t items_done)
{
    watch *w = ctx;
    double t = now_ms();

    w->calls++;
    w->wrong += !pthread_equal(pthread_self(), w->caller);
    w->wrong += items_done < w->last || items_done > w->n_items;
    w->longest_ms = t - w->last_ms > w->longest_ms ? t - w->last_ms : w->longest_ms;
    w->last = items_done;
    w->last_ms = t;
    return w->calls == w->cancel_at;
}

/* Half of the wait is slack for a busy machine; a tenth of a second of silence is a failure anyway.
 */
static void
test_poll(void)
{
    slow s = {.ms = 30, .fail_at = -1, .fail_too = -1};
    watch w = {.caller = pthread_self(), .n_items = 16, .last_ms = now_ms()};
    dph_parallel opts = {.n_threads = 2, .chunk = 1, .poll = look, .poll_ctx = &w};
    double begin = now_ms();
    double took = 0;

    CHECK_INT(dph_parallel_for(16, sleep_items, &s, &opts), DPH_OK);
    took = now_ms() - begin;
    CHECK_INT(atomic_load(&s.done), 16);
    CHECK_INT(w.wrong, 0);
    CHECK(w.calls >= 2);
    CHECK(w.calls >= (int)(took / (2.0 * DPH_POLL_MS)) - 1);
    CHECK(w.calls <= (int)(took / DPH_POLL_MS) + 1); /* it sleeps in between */
    CHECK(w.longest_ms < 3.0 * DPH_POLL_MS);
}

static void
test_cancel(void)
{
    for (int threads = 1; threads <= 4; threads += 3) {
        slow s = {.ms = 5, .fail_at = -1, .fail_too = -1};
        watch w = {.caller = pthread_self(), .n_items = 2000, .cancel_at = 1, .last_ms = now_ms()};
        atomic_int stopped = 0;
        dph_parallel opts = {.n_threads = threads,
                             .chunk = 1,
                             .poll = look,
                             .poll_ctx = &w,
                             .stopped = threads == 1 ? NULL : &stopped};
        double begin = now_ms();

        CHECK_INT(dph_parallel_for(2000, sleep_items, &s, &opts), DPH_E_CANCELLED);
        CHECK(now_ms() - begin < 500); /* of the 2.5 s or more that all would take */
        CHECK(atomic_load(&s.done) < 1000);
        CHECK_INT(w.wrong, 0);
        CHECK_INT(w.calls, 1); /* no means no */
        CHECK_INT(atomic_load(&stopped), threads != 1);
    }
}

static void
test_chunk(void)
{
    CHECK_INT(dph_parallel_chunk(1000), 1000);
    CHECK_INT(dph_parallel_chunk(3e5), 3);
    CHECK_INT(dph_parallel_chunk(1e6), 1);
    CHECK_INT(dph_parallel_chunk(1e12), 1);
    CHECK_INT(dph_parallel_chunk(INFINITY), 1);
    CHECK_INT(dph_parallel_chunk(1), 1000000);
    CHECK_INT(dph_parallel_chunk(1e-300), 1000000);
    CHECK(dph_parallel_chunk(0) >= 1);
    CHECK(dph_parallel_chunk(-5) >= 1);
    CHECK(dph_parallel_chunk(NAN) >= 1);
}

void
test_parallel(void)
{
    test_every_item_once();
    test_same_bits();
    test_on_caller();
    test_arguments();
    test_failure();
    test_poll();
    test_cancel();
    test_chunk();
}
