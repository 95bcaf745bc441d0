/* base: the two kinds of failure, memory that cannot fail, the clock, files, and random numbers.
 *
 * Our bug: CHECK aborts with file and line, in every build.
 * The world's fault (a file, a command line, a full disk): the function returns 0 or -1 and fills
 * an Err with one finished sentence, without a full stop and without a newline. Only main prints
 * it and picks the exit code. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct Err {
    char msg[1024];
} Err;

/* Formats the sentence and returns -1, so that callers write `return err_set(err, ...)`. An Err is
 * always one line of clean UTF-8 (text_clean). */
int err_set(Err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the sentence in err; returns -1. */
int err_prefix(Err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Texts from files, made safe for a terminal: one line of UTF-8, in which every byte of a control
 * character (C0, DEL, C1, line separators, directions of text) and of what is no UTF-8 is shown as
 * \xNN. What does not fit in `size` bytes is cut, between two characters. */
void text_clean(const char *text, char *clean, size_t size);
char *text_cleaned(const char *text); /* whole; caller frees */
/* Formats one line, made clean, and ends it. */
void print_clean(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

_Noreturn void check_failed(const char *file, int line, const char *cond, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* CHECK(cond, "what %d", ...): an invariant of ours; aborts when it does not hold. */
#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            check_failed(__FILE__, __LINE__, #cond, __VA_ARGS__);                                  \
    } while (0)

/* [from, to) */
typedef struct Range {
    size_t from, to;
} Range;

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

bool text_ends_with(const char *s, const char *end);

/* Small allocations; running out of memory aborts with a message. */
void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t bytes);
/* Makes room for one more item behind `count` of `size` bytes each; the room doubles, so that n
 * items cost O(n). For an array that only grows: `count` alone tells how much room there is. */
void *xgrow(void *items, size_t count, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/* OWNED char *path = xasprintf(...): freed at the end of its scope, whichever way that is left. */
#define OWNED __attribute__((cleanup(free_owned)))
void free_owned(void *pointer); /* the address of one */

/* Large blocks: anonymous zero pages, 2 MiB aligned, huge where the system can; untouched memory
 * costs nothing. NULL with a reason where the system refuses. block_free takes the same byte
 * count. */
void *block_alloc(size_t bytes, Err *err);
void block_free(void *p, size_t bytes);

/* Length of the well-formed UTF-8 sequence at p, or of the maximal subpart of an ill-formed one
 * (Unicode 15, section 3.9); len > 0. */
size_t utf8_piece(const unsigned char *p, size_t len, bool *well_formed);

/* Nanoseconds of CLOCK_MONOTONIC_RAW, the one clock of the program: no time server slews it. */
int64_t clock_ns(void);

/* Reads a whole regular file into a fresh NUL-terminated buffer (the NUL is not counted in *len).
 * Refuses at once what is no regular file (a FIFO would never end), and files above max_bytes.
 * Caller frees. */
char *file_read(const char *path, size_t max_bytes, size_t *len, Err *err);

/* Whether both paths lead to one existing file or directory; follows links. */
bool file_is_same(const char *a, const char *b);

/* "; did you mean 'name'?" with the nearest of `count` names (Levenshtein), or "" where none is
 * near enough to suggest. Returns `hint`. */
typedef char Hint[96];
const char *did_you_mean(Hint hint, const char *wrong, const char *const *names, size_t count);

/* A random number as a pure function of its arguments (SplitMix64 finaliser, Steele, Lea & Flood
 * 2014): any element can be computed again without a stored state. */
uint64_t rng_u64(uint64_t seed, uint64_t stream, uint64_t counter);
/* The part of rng_u64 that depends on seed and stream only, for many numbers of one stream
 * (simd/hash.h). */
uint64_t rng_key(uint64_t seed, uint64_t stream);
/* Uniform in [0, 1) with 53 bits. */
double rng_uniform(uint64_t seed, uint64_t stream, uint64_t counter);
