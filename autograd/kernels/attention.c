/* attention: divides heads among threads. One thread works the heads of one sequence that share
 * their keys from beginning to end (simd/attention.c), so results do not depend on the number of
 * threads. Where forward would have too few such tasks, their heads, then their queries are
 * divided too; backward has tasks worked by all threads together, with the same sums
 * (simd/attention_backward.c). */
#include "autograd/kernels/gemm/low_kernel.h"
#include "autograd/kernels/placement.h"

#include <omp.h>

enum { LINE = 16 }; /* floats in a cache line */

static size_t lines(size_t floats)
{
    return (floats + LINE - 1) / LINE * LINE;
}

enum { PANEL = 48, LANES = 16 }; /* the widest tile */

/* What backward takes from scratch, in whole lines: once for a task, and once for each thread. */
typedef struct BackwardFloats {
    size_t task, thread;
} BackwardFloats;

/* Of simd/attention_backward_bf16.c, each array in whole lines. */
static BackwardFloats backward_floats_bf16(const Attention *a)
{
    enum { SHARED_ARRAYS = 5, OWN_ARRAYS = 11, QUERIES = 64 }; /* in a block at most */
    size_t T = a->T, D = a->D, channels = lines(D), half_D = D / 2 + 1, half_T = T / 2 + 1;
    size_t operands = 2 * T * low_row_stride(half_D) + D * low_row_stride(half_T);
    size_t queries = 2 * half_D * QUERIES + QUERIES * channels + LANES * D;
    size_t scores = 3 * T * QUERIES + half_T * QUERIES;
    return (BackwardFloats){lines(operands + 2 * T * channels) + SHARED_ARRAYS * LINE,
                            lines(queries + scores + D * QUERIES) + OWN_ARRAYS * LINE};
}

static BackwardFloats backward_floats(const Attention *a)
{
    if (a->product != DT_F32)
        return backward_floats_bf16(a);
    size_t T = a->T, D = a->D, row = lines(T) + LINE;
    size_t operands = row + 2 * D * lines(T) + T * lines(D), sums = 2 * lines(T * D);
    return (BackwardFloats){lines(operands) + sums, 2 * ATTENTION_ROWS * (2 * lines(D) + row)};
}

/* What simd/attention.c and simd/attention_products.c take from scratch, with any instruction
 * set. */
static size_t forward_floats(const Attention *a)
{
    size_t T = a->capacity ? a->capacity : a->T, D = a->D;
    size_t most = D > ATTENTION_KEYS ? D : ATTENTION_KEYS; /* units of the deeper product, twice */
    size_t forward = PANEL * (ATTENTION_KEYS + 2 * D);
    if (a->capacity) /* one query of several heads */
        forward += D * ATTENTION_KEYS + (PANEL / 2 + 2 * LANES) * most + LANES * PANEL + 2 * LINE;
    DType keys_type = a->capacity ? a->cache_type : a->type;
    if (a->product != DT_F32) /* keys and values in units of two, weights, a staging buffer */
        forward += lines(T * (D / 2 + 1 + 2 * LINE)) + lines(D * (T / 2 + 1 + 2 * LINE)) +
                   PANEL * (ATTENTION_KEYS / 2 + 1) + LANES * most;
    else if (a->type != DT_F32 || keys_type != DT_F32) /* keys, values, a panel of queries */
        forward += (keys_type == DT_F32 ? 0 : 2 * lines(T * D)) + PANEL * D;
    return lines(forward);
}

static size_t blocks_of(size_t queries)
{
    return (queries + ATTENTION_ROWS - 1) / ATTENTION_ROWS;
}

static size_t shared_heads(const Attention *a)
{
    return a->KV ? a->H / a->KV : 1;
}

/* The heads of a sequence that share keys are one. */
static size_t num_tasks(const Attention *a)
{
    return a->B * a->H / shared_heads(a);
}

/* How many tasks of backward have a thread each. Those left over, fewer than threads, are worked by
 * all threads together, one after the other, if that takes 3/4 of the time at most; a thread
 * without a block of queries is no help. */
static size_t tasks_apart(const Attention *a, size_t threads)
{
    size_t tasks = num_tasks(a), left = tasks % threads;
    size_t blocks = blocks_of(a->T), useful = threads < blocks ? threads : blocks;
    return 4 * left <= 3 * useful ? tasks - left : tasks;
}

static size_t tasks_at_once(size_t apart, size_t threads)
{
    return apart < 1 ? 1 : apart < threads ? apart : threads;
}

size_t attention_scratch_bytes(const Attention *a, int threads, bool backward)
{
    size_t n = (size_t)threads;
    if (!backward)
        return n * forward_floats(a) * sizeof(float);
    BackwardFloats floats = backward_floats(a);
    size_t apart = tasks_apart(a, n), copies = tasks_at_once(apart, n);
    size_t members = apart < num_tasks(a) ? n : copies;
    return (copies * floats.task + members * floats.thread) * sizeof(float);
}

DType attention_product(void)
{
    return product_support(DT_BF16) == SUPPORT_NATIVE ? DT_BF16 : DT_F32;
}

/* Of sequence b. */
static size_t num_queries(const Attention *a, size_t b)
{
    Range rows = sequence_rows(a->starts, a->T, b);
    return a->num_queries ? a->num_queries : rows.to - rows.from;
}

/* A parallel region pays from some 50 microseconds on; from 10 on where the products around it are
 * so large that all threads are surely still awake. A single query of a sequence does little with
 * each key: it takes ten times as long for a pair. */
static bool worth_threads(const Attention *a)
{
    double us = 0, rows = 0, C = (double)(a->H * a->D);
    for (size_t b = 0; b < a->B; b++) {
        double queries = (double)num_queries(a, b);
        double pairs = queries * (double)(attention_keys(a, b) + 16); /* 16: the fixed cost */
        us += pairs * C / (queries > 1 ? 2e4 : 2e3);
        rows += queries;
    }
    double compute = 6 * rows * C * C / 120e3, memory = 3 * C * C / 8e3;
    double qkv_us = compute > memory ? compute : memory;
    return us > (qkv_us > 80 ? 10 : 50);
}

/* How many threads shall work; a layer that runs without a plan is placed here, not by exec_run. */
static int begin_team(const Attention *a, int threads)
{
    if (!worth_threads(a))
        return 1;
    if (threads > 1)
        placement_mend();
    return threads;
}

/* How the work of forward is cut: the heads that share keys, and the queries of a head. */
typedef struct Cut {
    size_t heads, queries;
} Cut;

static size_t parts_for(size_t tasks, size_t wanted, size_t most)
{
    size_t parts = (wanted + tasks - 1) / tasks;
    return parts < most ? parts : most;
}

/* Heads are cut as soon as threads may wait for the last of few tasks; but reading the keys is most
 * of the work on a single query. Queries, of the longest sequence, are cut in whole blocks of
 * ATTENTION_ROWS, so that each is computed as in an undivided head. */
static Cut cut_for(const Attention *a, int threads)
{
    size_t queries = a->num_queries ? a->num_queries : a->T, tasks = num_tasks(a);
    Cut cut;
    cut.heads = parts_for(tasks, (size_t)threads * (queries > 1 ? 4 : 1), shared_heads(a));
    cut.queries = parts_for(tasks * cut.heads, (size_t)threads, blocks_of(queries));
    return cut;
}

/* What multiplies bf16; NULL: products are fp32. */
static const LowKernel *kernel_of(const Attention *a, const Isa *isa)
{
    CHECK(a->product == DT_F32 || a->product == attention_product(), "attention of %s",
          dtype_name(a->product));
    CHECK(a->type == DT_F32 || a->product == DT_F32 || a->type == a->product, "%s of %s",
          dtype_name(a->product), dtype_name(a->type));
    return a->product == DT_F32 ? NULL : low_kernel(isa, a->product);
}

void attention_forward(const Attention *a, int threads, void *scratch)
{
    CHECK(a->scale > 0, "the largest score must stay the largest when it is scaled");
    const Isa *isa = isa_in_use();
    const LowKernel *kernel = kernel_of(a, isa);
    CHECK(!a->capacity || (a->causal && !a->key_mask && !a->lse),
          "attention over a cache is causal, for a forward pass");
    CHECK(!a->capacity || a->product == DT_F32 || (a->cache_type == a->product && a->D % 2 == 0),
          "%s of a cache of %s, %zu channels", dtype_name(a->product), dtype_name(a->cache_type),
          a->D);
    CHECK(a->KV == 0 || a->H % a->KV == 0, "%zu heads for %zu of keys", a->H, a->KV);
    if (a->B * a->H * a->T * a->D == 0)
        return;
    product_note(1u << a->product);
    size_t part_floats = forward_floats(a);
    threads = begin_team(a, threads);
    const Cut cut = cut_for(a, threads);
    const size_t shared = shared_heads(a), groups = a->H / shared;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < a->B * groups * cut.heads * cut.queries; i++) {
        placement_note();
        size_t part = i / cut.queries, group = part / cut.heads, b = group / groups;
        size_t queries = num_queries(a, b), blocks = blocks_of(queries);
        Range heads = share(shared, part % cut.heads, cut.heads);
        Range rows = share(blocks, i % cut.queries, cut.queries);
        AttentionTask task = {
            .a = a,
            .kernel = kernel,
            .b = b,
            .h = group % groups * shared + heads.from,
            .heads = heads.to - heads.from,
            .first = a->first_query + rows.from * ATTENTION_ROWS,
            .last = a->first_query + (rows.to == blocks ? queries : rows.to * ATTENTION_ROWS),
        };
        if (rows.from < rows.to)
            isa->attention_forward(&task,
                                   (float *)scratch + (size_t)omp_get_thread_num() * part_floats);
        if (kernel)
            low_release(kernel);
    }
}

/* The i-th task of all. */
static void backward_task(const Isa *isa, const AttentionTask *all, size_t i,
                          const AttentionTeam *team)
{
    const Attention *a = all->a;
    const size_t shared = shared_heads(a), groups = a->H / shared;
    AttentionTask task = *all;
    task.b = i / groups;
    task.h = i % groups * shared;
    task.heads = shared;
    task.last = num_queries(a, task.b);
    if (task.last > 0)
        isa->attention_backward(&task, team);
    if (task.kernel)
        low_release(task.kernel);
}

void attention_wait(const AttentionTeam *team)
{
    if (team->members > 1) {
#pragma omp barrier
    }
}

void attention_backward(const Attention *a, const float *dout, float *dq, float *dk, float *dv,
                        int threads, void *scratch)
{
    CHECK(a->lse, "attention backward needs lse of the forward pass");
    CHECK(!a->capacity, "attention over a cache has no backward pass");
    if (a->B * a->H * a->T * a->D == 0)
        return;
    product_note(1u << a->product);
    const Isa *isa = isa_in_use();
    const AttentionTask all = {
        .a = a, .kernel = kernel_of(a, isa), .dout = dout, .dq = dq, .dk = dk, .dv = dv};
    const BackwardFloats floats = backward_floats(a);
    threads = begin_team(a, threads);
    const size_t tasks = num_tasks(a), apart = tasks_apart(a, (size_t)threads);
    const size_t copies = tasks_at_once(apart, (size_t)threads);
    float *shared = scratch, *own = shared + copies * floats.task;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        size_t member = (size_t)omp_get_thread_num(), members = (size_t)omp_get_num_threads();
        const AttentionTeam team = {member, members, shared, own, floats.thread};
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < apart; i++) {
            size_t copy = apart < (size_t)threads ? i : member;
            const AttentionTeam alone = {0, 1, shared + copy * floats.task,
                                         own + copy * floats.thread, floats.thread};
            placement_note();
            backward_task(isa, &all, i, &alone);
        }
        for (size_t i = apart; i < tasks; i++) {
            placement_note();
            backward_task(isa, &all, i, &team);
            attention_wait(&team);
        }
    }
}
