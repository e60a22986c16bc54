/* Per-call threads: split [0, n_items) into chunks, let workers take them, keep the caller awake.
 *
 * No pool, no global state: threads live as long as the call, so fork and other runtimes are safe.
 * Which worker takes which chunk is left to chance, hence a task writes only to the items it is
 * given and its result never depends on the worker number (that only picks scratch).
 */
#ifndef DPH_PARALLEL_H
#define DPH_PARALLEL_H

#include <stdatomic.h>
#include <stdint.h>

#include "status.h"

#define DPH_MAX_THREADS 256
#define DPH_POLL_MS 50

/* Do items [begin, end). worker is in [0, n_threads). Return DPH_OK, or a code < 0 to stop
 * everything. */
typedef int (*dph_task)(void *ctx, int64_t begin, int64_t end, int worker);

/* Called on the calling thread at least every DPH_POLL_MS while workers run; a non-zero return
 * cancels. */
typedef int (*dph_poll)(void *ctx, int64_t items_done);

typedef struct {
    int on_caller;  /* do it all on the calling thread, without polling: for work of a few ms */
    int n_threads;  /* 1 .. DPH_MAX_THREADS */
    int64_t chunk;  /* items taken at a time, >= 1; a chunk should last about a millisecond */
    dph_poll poll;  /* may be NULL */
    void *poll_ctx; /* handed to poll */
    atomic_int *stopped; /* set to 1 when poll cancels, for long items to look at; may be NULL */
} dph_parallel;

/* Run task over all items.
 * Returns DPH_OK, DPH_E_CANCELLED (poll asked for it), DPH_E_ARGUMENT, DPH_E_MEMORY, or the first
 * code < 0 a task returned. When poll has asked to cancel it is not called again.
 */
DPH_MUST_CHECK int
dph_parallel_for(int64_t n_items, dph_task task, void *ctx, const dph_parallel *opts);

/* A chunk size for items that cost about cost_ns nanoseconds each: near a millisecond of work. */
int64_t dph_parallel_chunk(double cost_ns);

#endif
