/* comm: see comm.h. */
#include "bench/ranks/comm.h"

#include <stdlib.h>
#include <string.h>

enum {
    LINE = 16,           /* floats */
    SUM_PIECE = 1 << 17, /* floats of one rank that wait to be added up */
    HAND_ON = 1 << 18,   /* floats that a broadcast hands on at once */
    ADD_BLOCK = 1024,    /* floats that stay in the first-level cache while they are added */
};

void comm_start(Comm *c, const CommPlugin *plugin, bool use_mpi)
{
    *c = (Comm){.plugin = plugin, .use_mpi = use_mpi, .piece = COMM_PIECE / sizeof(float)};
    c->world = plugin->start(use_mpi, &c->rank, &c->size, c->name);
    c->parts = xmalloc(COMM_UNDER_WAY * (size_t)c->size * SUM_PIECE * sizeof *c->parts);
}

void comm_finish(Comm *c)
{
    c->plugin->finish(c->world);
    free(c->parts);
    *c = (Comm){0};
}

Range comm_segment(size_t n, int size, int r)
{
    size_t lines = n / LINE, ranks = (size_t)size, at = (size_t)r;
    return (Range){lines * at / ranks * LINE,
                   at + 1 == ranks ? n : lines * (at + 1) / ranks * LINE};
}

static size_t length(Range s)
{
    return s.to - s.from;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Part number `piece` of `size` elements of s; empty behind its end. */
static Range part_of(Range s, size_t piece, size_t size)
{
    size_t from = s.from + least(piece * size, length(s));
    return (Range){from, least(from + size, s.to)};
}

static void begin(Comm *c, const float *out, size_t out_count, int to, float *in, size_t in_count,
                  int from)
{
    c->plugin->begin(c->world, out, out_count * sizeof *out, to, in, in_count * sizeof *in, from);
    c->sent_bytes += to < 0 ? 0 : out_count * sizeof *out;
}

static void end(Comm *c)
{
    c->plugin->end(c->world);
}

static void exchange(Comm *c, const float *out, size_t out_count, int to, float *in,
                     size_t in_count, int from)
{
    begin(c, out, out_count, to, in, in_count, from);
    end(c);
}

static void exchange_bytes(Comm *c, const void *out, size_t out_bytes, int to, void *in,
                           size_t in_bytes, int from)
{
    c->plugin->begin(c->world, out, out_bytes, to, in, in_bytes, from);
    end(c);
}

static int neighbour(const Comm *c, int step)
{
    return (c->rank + step + c->size) % c->size;
}

/* ---- our own ---- */

/* Where a rank's part of a piece waits to be added up. */
static float *part_place(const Comm *c, size_t piece, int rank)
{
    return c->parts + (piece % COMM_UNDER_WAY * (size_t)c->size + (size_t)rank) * SUM_PIECE;
}

/* own = sum over ranks, in their order. */
static void add_in_order(const Comm *c, float *own, size_t n, size_t piece)
{
    float sum[ADD_BLOCK];
    for (size_t from = 0; from < n; from += ADD_BLOCK) {
        size_t count = least(ADD_BLOCK, n - from);
        for (int r = 0; r < c->size; r++) {
            const float *x = (r == c->rank ? own : part_place(c, piece, r)) + from;
            if (r == 0)
                memcpy(sum, x, count * sizeof *sum);
            else
                for (size_t i = 0; i < count; i++)
                    sum[i] += x[i];
        }
        memcpy(own + from, sum, count * sizeof *sum);
    }
}

/* Of the longest segment: every rank goes through as many rounds, with messages of nothing behind
 * the end of a shorter one. */
static size_t count_pieces(const Comm *c, size_t n, size_t size)
{
    size_t longest = 0;
    for (int r = 0; r < c->size; r++) {
        size_t l = length(comm_segment(n, c->size, r));
        longest = l > longest ? l : longest;
    }
    return (longest + size - 1) / size;
}

/* Exchange k of a reduce-scatter in pieces of `size`: one with each other rank a piece. */
static void begin_parts(Comm *c, const float *x, size_t n, size_t size, size_t k)
{
    size_t others = (size_t)c->size - 1, piece = k / others;
    int step = (int)(k % others) + 1, to = neighbour(c, step), from = neighbour(c, -step);
    Range out = part_of(comm_segment(n, c->size, to), piece, size);
    Range own = part_of(comm_segment(n, c->size, c->rank), piece, size);
    begin(c, x + out.from, length(out), to, part_place(c, piece, from), length(own), from);
}

/* The next exchange is under way while one is waited for and added up. */
static void own_reduce_scatter(Comm *c, float *x, size_t n)
{
    size_t size = least(c->piece, SUM_PIECE), others = (size_t)c->size - 1;
    size_t count = count_pieces(c, n, size) * others;
    if (count > 0)
        begin_parts(c, x, n, size, 0);
    for (size_t k = 0; k < count; k++) {
        if (k + 1 < count)
            begin_parts(c, x, n, size, k + 1);
        end(c);
        if ((k + 1) % others > 0)
            continue;
        Range own = part_of(comm_segment(n, c->size, c->rank), k / others, size);
        add_in_order(c, x + own.from, length(own), k / others);
    }
}

static void own_all_gather(Comm *c, float *x, size_t n)
{
    size_t pieces = count_pieces(c, n, c->piece);
    for (int step = 0; step + 1 < c->size; step++) {
        Range out = comm_segment(n, c->size, neighbour(c, -step));
        Range in = comm_segment(n, c->size, neighbour(c, -step - 1));
        for (size_t piece = 0; piece < pieces; piece++) {
            Range o = part_of(out, piece, c->piece), i = part_of(in, piece, c->piece);
            exchange(c, x + o.from, length(o), neighbour(c, 1), x + i.from, length(i),
                     neighbour(c, -1));
        }
    }
}

/* Along the ring from the root: a rank hands a piece on while it receives the next. */
static void own_broadcast(Comm *c, float *x, size_t n, int root)
{
    int place = (c->rank - root + c->size) % c->size;
    int to = place + 1 < c->size ? neighbour(c, 1) : -1, from = place > 0 ? neighbour(c, -1) : -1;
    Range all = {0, n};
    size_t size = least(c->piece, HAND_ON), pieces = (n + size - 1) / size;
    for (size_t i = 0; i <= pieces; i++) {
        bool first = place == 0;
        Range in = part_of(all, i, size), out = first ? in : part_of(all, i - 1, size);
        bool sends = to >= 0 && (first ? i < pieces : i > 0), receives = from >= 0 && i < pieces;
        exchange(c, x + out.from, sends ? length(out) : 0, sends ? to : -1, x + in.from,
                 receives ? length(in) : 0, receives ? from : -1);
    }
}

/* ---- by MPI, in pieces that it can count ---- */

/* Whether MPI's integers hold the places of all segments. */
static bool is_countable(const Comm *c, size_t n)
{
    return n <= c->piece;
}

static void mpi_counts(const Comm *c, size_t n, int *counts, int *places)
{
    for (int r = 0; r < c->size; r++) {
        Range s = comm_segment(n, c->size, r);
        counts[r] = (int)length(s);
        places[r] = (int)s.from;
    }
}

static void mpi_reduce_scatter(Comm *c, float *x, size_t n)
{
    Range own = comm_segment(n, c->size, c->rank);
    if (is_countable(c, n)) {
        OWNED int *counts = xmalloc(2 * (size_t)c->size * sizeof *counts);
        OWNED float *sum = xmalloc((length(own) + 1) * sizeof *sum);
        mpi_counts(c, n, counts, counts + c->size);
        c->plugin->reduce_scatter(c->world, x, counts, sum);
        memcpy(x + own.from, sum, length(own) * sizeof *sum);
        return;
    }
    for (int r = 0; r < c->size; r++) {
        Range s = comm_segment(n, c->size, r);
        for (size_t at = s.from; at < s.to; at += c->piece)
            c->plugin->reduce(c->world, x + at, least(c->piece, s.to - at), r);
    }
}

static void mpi_broadcast(Comm *c, float *x, size_t n, int root)
{
    for (size_t at = 0; at < n; at += c->piece)
        c->plugin->broadcast(c->world, x + at, least(c->piece, n - at) * sizeof *x, root);
}

static void mpi_all_gather(Comm *c, float *x, size_t n)
{
    if (is_countable(c, n)) {
        OWNED int *counts = xmalloc(2 * (size_t)c->size * sizeof *counts);
        mpi_counts(c, n, counts, counts + c->size);
        c->plugin->all_gather(c->world, x, counts, counts + c->size);
        return;
    }
    for (int r = 0; r < c->size; r++) {
        Range s = comm_segment(n, c->size, r);
        mpi_broadcast(c, x + s.from, length(s), r);
    }
}

/* ---- either ---- */

void comm_reduce_scatter(Comm *c, float *x, size_t n)
{
    (c->use_mpi ? mpi_reduce_scatter : own_reduce_scatter)(c, x, n);
}

void comm_all_gather(Comm *c, float *x, size_t n)
{
    (c->use_mpi ? mpi_all_gather : own_all_gather)(c, x, n);
}

void comm_broadcast(Comm *c, float *x, size_t n, int root)
{
    (c->use_mpi ? mpi_broadcast : own_broadcast)(c, x, n, root);
}

void comm_all_reduce(Comm *c, float *x, size_t n)
{
    if (!c->use_mpi) {
        own_reduce_scatter(c, x, n);
        own_all_gather(c, x, n);
        return;
    }
    for (size_t at = 0; at < n; at += c->piece)
        c->plugin->all_reduce(c->world, x + at, least(c->piece, n - at));
}

void comm_gather(Comm *c, float *x, size_t n, int root)
{
    for (int r = 0; r < c->size; r++) {
        Range s = comm_segment(n, c->size, r);
        bool sends = c->rank == r && r != root, receives = c->rank == root && r != root;
        for (size_t at = s.from; at < s.to && (sends || receives); at += c->piece) {
            size_t count = least(c->piece, s.to - at);
            exchange(c, x + at, sends ? count : 0, sends ? root : -1, x + at, receives ? count : 0,
                     receives ? r : -1);
        }
    }
}

void comm_share_bytes(Comm *c, void *x, size_t bytes, int root)
{
    for (int r = 0; r < c->size && c->rank == root; r++)
        if (r != root)
            exchange_bytes(c, x, bytes, r, NULL, 0, -1);
    if (c->rank != root)
        exchange_bytes(c, NULL, 0, -1, x, bytes, root);
}

void comm_gather_doubles(Comm *c, const double *own, size_t n, double *all)
{
    memcpy(all + (size_t)c->rank * n, own, n * sizeof *own);
    for (int step = 0; step + 1 < c->size; step++)
        exchange_bytes(c, all + (size_t)neighbour(c, -step) * n, n * sizeof *all, neighbour(c, 1),
                       all + (size_t)neighbour(c, -step - 1) * n, n * sizeof *all,
                       neighbour(c, -1));
}
