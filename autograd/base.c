/* base: see base.h. */
#include "autograd/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

/* Length of the sequence a lead byte announces, 0 if it is none, and the range of its second
 * byte. */
static size_t announced(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

size_t utf8_piece(const unsigned char *p, size_t len, bool *well_formed)
{
    unsigned char low, high;
    size_t n = 1, want = announced(p[0], &low, &high);
    while (n < want && n < len && p[n] >= low && p[n] <= high) {
        low = 0x80;
        high = 0xbf;
        n++;
    }
    *well_formed = n == want;
    return n;
}

/* Whether a well-formed sequence does something to a terminal, or to the line it is in, beside
 * being shown: C0, DEL, C1, line separators, and what turns the direction of text. */
static bool is_control(const unsigned char *p, size_t n)
{
    if (n == 1)
        return *p < 0x20 || *p == 0x7f;
    if (n == 2) /* U+0080 to U+009F, U+061C */
        return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c);
    bool bidi =
        (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
        (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
    return n == 3 && p[0] == 0xe2 && bidi; /* U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069 */
}

void text_clean(const char *text, char *clean, size_t size)
{
    size_t out = 0;
    const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);
    while (p < end) {
        bool shown;
        size_t n = utf8_piece(p, (size_t)(end - p), &shown);
        shown = shown && !is_control(p, n);
        size_t need = shown ? n : 4;
        if (out + need >= size)
            break;
        if (shown)
            memcpy(clean + out, p, n);
        else
            snprintf(clean + out, 5, "\\x%02x", *p);
        out += need;
        p += shown ? n : 1;
    }
    clean[out] = '\0';
}

char *text_cleaned(const char *text)
{
    size_t size = 4 * strlen(text) + 1;
    char *clean = xmalloc(size);
    text_clean(text, clean, size);
    return clean;
}

void print_clean(FILE *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = xvasprintf(fmt, ap), *clean = text_cleaned(text);
    va_end(ap);
    fprintf(f, "%s\n", clean);
    free(clean);
    free(text);
}

int err_set(Err *err, const char *fmt, ...)
{
    char text[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text_clean(text, err->msg, sizeof err->msg);
    return -1;
}

int err_prefix(Err *err, const char *fmt, ...)
{
    char prefix[sizeof err->msg / 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    Err inner = *err;
    return err_set(err, "%s: %.*s", prefix, (int)(sizeof inner.msg - 1), inner.msg);
}

void check_failed(const char *file, int line, const char *cond, const char *fmt, ...)
{
    fprintf(stderr, "%s:%d: CHECK(%s) failed: ", file, line, cond);
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

static void *checked(void *p, size_t bytes)
{
    CHECK(p || bytes == 0, "out of memory for %zu bytes", bytes);
    return p;
}

void *xmalloc(size_t bytes)
{
    return checked(malloc(bytes), bytes);
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count, size), count * size);
}

void *xrealloc(void *p, size_t bytes)
{
    return checked(realloc(p, bytes), bytes);
}

void *xgrow(void *items, size_t count, size_t size)
{
    const size_t first = 16;
    if (count != 0 && (count < first || (count & (count - 1)) != 0))
        return items;
    return xrealloc(items, (count ? 2 * count : first) * size);
}

bool text_ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

char *xstrdup(const char *s)
{
    return checked(strdup(s), strlen(s) + 1);
}

void free_owned(void *pointer)
{
    void *owned;
    memcpy(&owned, pointer, sizeof owned);
    free(owned);
}

char *xvasprintf(const char *fmt, va_list ap)
{
    char *s = NULL;
    int n = vasprintf(&s, fmt, ap);
    CHECK(n >= 0, "out of memory for a string");
    return s;
}

char *xasprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = xvasprintf(fmt, ap);
    va_end(ap);
    return s;
}

enum { HUGE_PAGE = 2 << 20 };

static size_t block_size(size_t bytes)
{
    return (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

/* mmap aligns to 4 KiB: map one huge page more and unmap both ends. */
void *block_alloc(size_t bytes, Err *err)
{
    size_t size = block_size(bytes ? bytes : 1);
    if (size < bytes || size > SIZE_MAX - HUGE_PAGE) {
        err_set(err, "a block of %zu bytes is beyond the address space", bytes);
        return NULL;
    }
    char *raw = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) {
        err_set(err, "cannot map %zu bytes: %s", bytes, strerror(errno));
        return NULL;
    }
    size_t head = (HUGE_PAGE - (uintptr_t)raw % HUGE_PAGE) % HUGE_PAGE;
    if (head)
        munmap(raw, head);
    if (head < HUGE_PAGE)
        munmap(raw + head + size, HUGE_PAGE - head);
    madvise(raw + head, size, MADV_HUGEPAGE);
    return raw + head;
}

void block_free(void *p, size_t bytes)
{
    if (p)
        munmap(p, block_size(bytes ? bytes : 1));
}

int64_t clock_ns(void)
{
    struct timespec t;
    int rc = clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    CHECK(rc == 0, "CLOCK_MONOTONIC_RAW");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

char *file_read(const char *path, size_t max_bytes, size_t *len, Err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO must not wait */
    FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");
    if (!f) {
        err_set(err, "cannot open '%s': %s", path, strerror(errno));
        return NULL;
    }
    char *data = NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        err_set(err, "cannot read '%s': it is %s", path,
                S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
        goto done;
    }
    size_t size = 0, capacity = st.st_size > 0 ? (size_t)st.st_size + 1 : 4096;
    if (capacity > max_bytes)
        capacity = max_bytes + 1; /* one byte too many shows that the file is too large */
    data = xmalloc(capacity + 1);
    for (;;) {
        size += fread(data + size, 1, capacity - size, f);
        if (size < capacity || size > max_bytes)
            break;
        capacity = capacity * 2 > max_bytes ? max_bytes + 1 : capacity * 2;
        data = xrealloc(data, capacity + 1);
    }
    if (ferror(f) || size > max_bytes) {
        if (size > max_bytes)
            err_set(err, "'%s' is larger than the %zu bytes allowed", path, max_bytes);
        else
            err_set(err, "cannot read '%s': %s", path, strerror(errno));
        free(data);
        data = NULL;
        goto done;
    }
    data[size] = '\0';
    *len = size;
done:
    fclose(f);
    return data;
}

bool file_is_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static size_t edit_distance(const char *a, const char *b)
{
    enum { MAX_NAME = 64 };
    size_t n = strlen(a), m = strlen(b), row[MAX_NAME + 1];
    if (n > MAX_NAME || m > MAX_NAME)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (up + 1 < best)
                best = up + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = up;
        }
    }
    return row[m];
}

const char *did_you_mean(Hint hint, const char *wrong, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(wrong) / 3 + 2; /* beyond, a suggestion would be a guess */
    for (size_t i = 0; i < count; i++) {
        size_t d = edit_distance(wrong, names[i]);
        if (d < best_distance) {
            best_distance = d;
            best = names[i];
        }
    }
    hint[0] = '\0';
    if (best)
        snprintf(hint, sizeof(Hint), "; did you mean '%s'?", best);
    return hint;
}

static uint64_t mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#define GOLDEN 0x9e3779b97f4a7c15u

uint64_t rng_key(uint64_t seed, uint64_t stream)
{
    return mix64(seed + GOLDEN * (mix64(stream + GOLDEN) | 1));
}

uint64_t rng_u64(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return mix64(rng_key(seed, stream) + GOLDEN * (counter + 1));
}

double rng_uniform(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return (double)(rng_u64(seed, stream, counter) >> 11) * 0x1p-53;
}
