#define _POSIX_C_SOURCE 200809L

#include "parallel.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

/* A clock that nobody sets back, where condition variables can wait by it. */
#ifdef __APPLE__
#define POLL_CLOCK CLOCK_REALTIME
#else
#define POLL_CLOCK CLOCK_MONOTONIC
#endif

typedef struct {
    int64_t n_items;
    int64_t chunk;
    dph_task task;
    void *ctx;
    atomic_llong next; /* first item nobody has taken */
    atomic_llong done; /* items finished */
    atomic_int result; /* first failure, or DPH_OK */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    int running; /* workers still alive; under lock */
} job;

typedef struct {
    job *job;
    int number;
} worker;

static void
fail(job *j, int code)
{
    int expected = DPH_OK;
    atomic_compare_exchange_strong(&j->result, &expected, code);
}

static void
work(job *j, int number)
{
    while (atomic_load(&j->result) == DPH_OK) {
        int64_t begin = (int64_t)atomic_fetch_add(&j->next, (long long)j->chunk);
        int64_t end = 0;
        int code = DPH_OK;

        if (begin >= j->n_items) {
            break;
        }
        end = j->n_items - begin < j->chunk ? j->n_items : begin + j->chunk;
        code = j->task(j->ctx, begin, end, number);
        if (code < 0) {
            fail(j, code);
        }
        atomic_fetch_add(&j->done, (long long)(end - begin));
    }
}

static void *
thread_main(void *arg)
{
    worker *w = arg;
    job *j = w->job;

    work(j, w->number);
    pthread_mutex_lock(&j->lock);
    j->running--;
    pthread_cond_signal(&j->idle);
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

static struct timespec
next_poll(void)
{
    struct timespec t = {0};

    clock_gettime(POLL_CLOCK, &t);
    t.tv_nsec += (long)DPH_POLL_MS * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_nsec -= 1000000000L;
        t.tv_sec += 1;
    }
    return t;
}

/* Wait for all workers, polling on the way. */
static void
attend(job *j, const dph_parallel *opts)
{
    int cancelled = 0;

    pthread_mutex_lock(&j->lock);
    while (j->running > 0) {
        struct timespec until = next_poll();
        int woken = 0;

        while (j->running > 0 && woken == 0) {
            woken = pthread_cond_timedwait(&j->idle, &j->lock, &until);
        }
        if (j->running > 0 && opts->poll != NULL && !cancelled) {
            pthread_mutex_unlock(&j->lock);
            cancelled = opts->poll(opts->poll_ctx, (int64_t)atomic_load(&j->done)) != 0;
            if (cancelled) {
                fail(j, DPH_E_CANCELLED);
                if (opts->stopped != NULL) {
                    atomic_store(opts->stopped, 1);
                }
            }
            pthread_mutex_lock(&j->lock);
        }
    }
    pthread_mutex_unlock(&j->lock);
}

static int
idle_init(pthread_cond_t *idle)
{
    pthread_condattr_t attributes;
    int failed = pthread_condattr_init(&attributes);

    if (failed) {
        return failed;
    }
#ifndef __APPLE__
    failed = pthread_condattr_setclock(&attributes, POLL_CLOCK);
#endif
    if (!failed) {
        failed = pthread_cond_init(idle, &attributes);
    }
    pthread_condattr_destroy(&attributes);
    return failed;
}

int
dph_parallel_for(int64_t n_items, dph_task task, void *ctx, const dph_parallel *opts)
{
    pthread_t threads[DPH_MAX_THREADS];
    worker workers[DPH_MAX_THREADS];
    sigset_t all;
    sigset_t before;
    job j = {.n_items = n_items, .chunk = opts->chunk, .task = task, .ctx = ctx};
    int64_t n_chunks = 0;
    int n_threads = opts->n_threads;
    int started = 0;

    /* The counter of items taken runs past the end by a chunk a thread. */
    if (n_items > INT64_MAX / (2 * DPH_MAX_THREADS)) {
        return DPH_E_ARGUMENT;
    }
    j.chunk = opts->chunk < n_items ? opts->chunk : n_items;
    if (n_threads < 1 || n_threads > DPH_MAX_THREADS || opts->chunk < 1 || n_items < 0) {
        return DPH_E_ARGUMENT;
    }
    if (opts->on_caller || n_items == 0) {
        int code = n_items > 0 ? task(ctx, 0, n_items, 0) : DPH_OK;
        return code < 0 ? code : DPH_OK;
    }
    n_chunks = n_items / j.chunk + (n_items % j.chunk != 0);
    if ((int64_t)n_threads > n_chunks) {
        n_threads = (int)n_chunks;
    }
    atomic_init(&j.next, 0);
    atomic_init(&j.done, 0);
    atomic_init(&j.result, DPH_OK);
    if (pthread_mutex_init(&j.lock, NULL) != 0) {
        return DPH_E_MEMORY;
    }
    if (idle_init(&j.idle) != 0) {
        pthread_mutex_destroy(&j.lock);
        return DPH_E_MEMORY;
    }

    /* Signals belong to the caller: workers must not be the ones that Ctrl-C interrupts. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&j.lock);
    for (int i = 0; i < n_threads; i++) {
        workers[i] = (worker){.job = &j, .number = i};
        if (pthread_create(&threads[i], NULL, thread_main, &workers[i]) != 0) {
            break;
        }
        started++;
    }
    j.running = started;
    pthread_mutex_unlock(&j.lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (started == 0) {
        work(&j, 0); /* no thread to be had: slower, never wrong */
    } else {
        attend(&j, opts);
    }
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_cond_destroy(&j.idle);
    pthread_mutex_destroy(&j.lock);
    return atomic_load(&j.result);
}

int64_t
dph_parallel_chunk(double cost_ns)
{
    const double target_ns = 1e6;
    double items = cost_ns > 0 ? target_ns / cost_ns : target_ns;

    if (!(items > 1)) {
        return 1;
    }
    return items < 1e6 ? (int64_t)items : 1000000;
}
