/* The safetensors reader and writer: good files, hostile files, full disks. */
#include "model/files/safetensors.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

static const char *path;

static void make_dir(void)
{
    temp_dir_make();
    path = temp_path("t.safetensors");
}

TestSuite(safetensors, .init = make_dir, .fini = temp_dir_remove);

/* A file with this header, its length claimed to be `claimed`, and data_bytes bytes 1, 2, 3, ... */
static void write_file(const char *header, uint64_t claimed, size_t data_bytes)
{
    char bytes[4096];
    size_t n = strlen(header);
    memcpy(bytes, &claimed, 8);
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[8 + n + i] = (char)(i + 1);
    temp_write_bytes("t.safetensors", bytes, 8 + n + data_bytes);
}

static void expect_refused(const char *what)
{
    Err err = {""};
    cr_assert_null(safetensors_open(path, &err), "accepted although: %s", what);
    cr_expect(strstr(err.msg, path), "no path in '%s'", err.msg);
    cr_expect(strstr(err.msg, what), "no '%s' in '%s'", what, err.msg);
}

static SafeTensors *open_good(void)
{
    Err err = {""};
    SafeTensors *s = safetensors_open(path, &err);
    cr_assert(s, "%s", err.msg);
    return s;
}

/* Made by the reference implementation, version 0.8.0: safetensors.numpy.save({"b": zeros((2, 3),
 * float32), "e": zeros((0, 4), float32), "a": array([1, -2, 0.5], float16), "s": array(3.0),
 * "h": array([1, -1, 2], int8)}, {"k": "v"}). */
static const char reference_header[] =
    "{\"__metadata__\":{\"k\":\"v\"},\"s\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
    "\"e\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[32,32]},"
    "\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[32,38]},"
    "\"h\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[38,41]}}    ";

static const struct {
    double s;
    float b[6];
    uint16_t a[3];
    int8_t h[3];
} reference_data = {3.0, {0}, {0x3c00, 0xc000, 0x3800}, {1, -1, 2}};

enum { REFERENCE_DATA_BYTES = 41 };

static size_t reference_bytes(char *bytes)
{
    uint64_t length = sizeof reference_header - 1;
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, reference_header, length);
    memcpy(bytes + 8 + length, &reference_data, REFERENCE_DATA_BYTES);
    return 8 + length + REFERENCE_DATA_BYTES;
}

/* The reference implementation takes null for none. */
Test(safetensors, metadata_may_be_null)
{
    static const char header[] = "{\"__metadata__\":null}";
    char bytes[64];
    uint64_t length = sizeof header - 1;
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    temp_write_bytes("t.safetensors", bytes, 8 + length);
    SafeTensors *s = open_good();
    cr_expect(safetensors_count(s) == 0 && !safetensors_metadata(s, "format"));
    safetensors_free(s);
}

Test(safetensors, reads_what_the_reference_implementation_wrote)
{
    char bytes[1024];
    temp_write_bytes("t.safetensors", bytes, reference_bytes(bytes));
    SafeTensors *s = open_good();
    cr_assert_eq(safetensors_count(s), 5);
    cr_expect_str_eq(safetensors_metadata(s, "k"), "v");
    cr_expect_null(safetensors_metadata(s, "absent"));
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(safetensors_at(s, i)->name[0], "sbeah"[i]);

    const STensor *b = safetensors_find(s, "b");
    cr_assert(b && b->dtype == ST_F32 && b->ndim == 2 && b->shape[0] == 2 && b->shape[1] == 3);
    cr_expect_eq(stensor_count(b), 6);
    cr_expect_eq(safetensors_find(s, "s")->ndim, 0);
    cr_expect_eq(stensor_count(safetensors_find(s, "s")), 1);
    cr_expect_eq(stensor_count(safetensors_find(s, "e")), 0);
    cr_expect_null(safetensors_find(s, "x"));
    cr_expect_null(safetensors_find(s, "__metadata__"));
    cr_expect_arr_eq(safetensors_find(s, "h")->data, reference_data.h, 3);

    float a[3];
    Err err;
    cr_assert_eq(safetensors_to_f32(safetensors_find(s, "a"), a, &err), 0);
    cr_expect(a[0] == 1 && a[1] == -2 && a[2] == 0.5f);
    cr_assert_eq(safetensors_to_f32(safetensors_find(s, "s"), a, &err), 0);
    cr_expect_eq(a[0], 3);
    cr_assert_eq(safetensors_to_f32(safetensors_find(s, "h"), a, &err), -1);
    cr_expect(strstr(err.msg, "'h'") && strstr(err.msg, "I8"), "%s", err.msg);
    safetensors_free(s);
}

Test(safetensors, writes_what_the_reference_implementation_would)
{
    STensor t[] = {
        stensor_make("h", ST_I8, 1, (size_t[]){3}, reference_data.h),
        stensor_make("a", ST_F16, 1, (size_t[]){3}, reference_data.a),
        stensor_make("b", ST_F32, 2, (size_t[]){2, 3}, reference_data.b),
        stensor_make("s", ST_F64, 0, NULL, &reference_data.s),
        stensor_make("e", ST_F32, 2, (size_t[]){0, 4}, NULL),
    };
    Err err;
    cr_assert_eq(safetensors_write(path, t, COUNT_OF(t), (const char *[]){"k", "v", NULL}, &err), 0,
                 "%s", err.msg);
    char expected[1024], *actual;
    size_t n = reference_bytes(expected), length;
    actual = file_read(path, 4096, &length, &err);
    cr_assert_eq(length, n);
    cr_expect_arr_eq(actual, expected, n);
    free(actual);
}

Test(safetensors, no_tensors_and_unaligned_data)
{
    write_file("{}", 2, 0);
    SafeTensors *s = open_good();
    cr_expect_eq(safetensors_count(s), 0);
    cr_expect_null(safetensors_find(s, "x"));
    safetensors_free(s);

    const char *odd = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    cr_assert_neq(strlen(odd) % 4, 0);
    write_file(odd, strlen(odd), 4);
    s = open_good();
    float value, expected;
    Err err;
    memcpy(&expected, "\1\2\3\4", 4);
    cr_assert_eq(safetensors_to_f32(safetensors_at(s, 0), &value, &err), 0);
    cr_expect_eq(value, expected);
    safetensors_free(s);
}

/* A tensor description: name, dtype, shape, begin, end. */
#define T(name, dtype, shape, begin, end)                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end \
    "]}"

Test(safetensors, refuses_lying_and_hostile_headers)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *what;
    } cases[] = {
        {"", 0, "not valid JSON"},
        {"[]", 0, "not a JSON object"},
        {"{\"a\":", 0, "not valid JSON"},
        {"{} x", 0, "not valid JSON"},
        {"{" T("a", "F32", "[2]", 0, 8) "," T("a", "F32", "[2]", 0, 8) "}", 8, "duplicate"},
        {"{\"a\":3}", 0, "tensor 'a' is not described"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "tensor 'a' has no dtype"},
        {"{" T("a", "F33", "[2]", 0, 8) "}", 8, "tensor 'a' has the unknown dtype 'F33'"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "no list 'shape'"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "no list 'data_offsets'"},
        {"{" T("a", "F32", "2", 0, 8) "}", 8, "no list 'shape'"},
        {"{" T("a", "F32", "[-2]", 0, 8) "}", 8, "shape[0] is not a non-negative integer"},
        {"{" T("a", "F32", "[2.0]", 0, 8) "}", 8, "shape[0] is not"},
        {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,2]", 0, 8) "}", 8, "9 numbers in shape"},
        {"{" T("a", "F32", "[4294967296,4294967296]", 0, 0) "}", 0, "too large"},
        {"{" T("a", "F32", "[4611686018427387906]", 0, 8) "}", 8, "too large"},
        {"{" T("a", "F32", "[99999999999999999999]", 0, 8) "}", 8, "not valid JSON"},
        {"{" T("a", "F32", "[3]", 0, 8) "}", 8, "occupies 8 bytes"},
        {"{" T("a", "F16", "[2]", 0, 8) "}", 8, "dtype F16 need 4"},
        {"{" T("a", "F32", "[2]", 0, 80) "}", 8, "tensor 'a' ends at byte 80"},
        {"{" T("a", "F32", "[2]", 0, 9223372036854775807) "}", 8, "tensor 'a' ends at byte 92"},
        {"{" T("a", "F32", "[2]", 8, 0) "}", 8, "before its beginning"},
        {"{" T("a", "F32", "[2]", -8, 0) "}", 8, "data_offsets[0] is not"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "two data_offsets"},
        {"{" T("a", "F32", "[2]", 0, 8) "," T("b", "F32", "[2]", 4, 12) "}", 12,
         "tensor 'b' overlaps tensor 'a'"},
        {"{" T("a", "F32", "[2]", 0, 8) "," T("b", "F32", "[2]", 0, 8) "}", 8,
         "tensor 'b' overlaps tensor 'a'"},
        {"{" T("a", "F32", "[2]", 0, 8) "," T("b", "F32", "[0]", 4, 4) "}", 8, "overlaps"},
        {"{" T("a", "F32", "[1]", 0, 4) "," T("b", "F32", "[1]", 8, 12) "}", 12,
         "4 unused bytes before tensor 'b'"},
        {"{" T("a", "F32", "[2]", 0, 8) "}", 12, "4 unused bytes after"},
        {"{}", 1, "1 unused bytes after"},
        {"{\"__metadata__\":3}", 0, "__metadata__ is not"},
        {"{\"__metadata__\":{\"k\":3}}", 0, "'k' is not a string"},
        {"{\"a\\u0000b\":1}", 0, "not valid JSON"},
        {"{\"\xff\":1}", 0, "not valid JSON"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_file(cases[i].header, strlen(cases[i].header), cases[i].data_bytes);
        expect_refused(cases[i].what);
    }
}

Test(safetensors, refuses_lengths_that_do_not_fit)
{
    write_file("{}", (uint64_t)1 << 60, 0);
    expect_refused("1152921504606846976 bytes does not fit into the 2 bytes");
    write_file("{}", UINT64_MAX, 0);
    expect_refused("does not fit");
    write_file("{}", 3, 0);
    expect_refused("3 bytes does not fit into the 2 bytes");
    cr_assert_eq(truncate(path, 200000000), 0); /* sparse */
    FILE *f = fopen(path, "r+b");
    uint64_t length = 150000000;
    cr_assert(f && fwrite(&length, 8, 1, f) == 1 && fclose(f) == 0);
    expect_refused("above the format's limit of 100000000");
}

Test(safetensors, refuses_every_truncation)
{
    char bytes[1024];
    size_t n = reference_bytes(bytes);
    for (size_t i = 0; i < n; i++) {
        temp_write_bytes("t.safetensors", bytes, i);
        expect_refused(path);
    }
}

Test(safetensors, refuses_deep_nesting)
{
    enum { DEPTH = 200000 };
    char *bytes = xmalloc(8 + DEPTH);
    uint64_t length = DEPTH;
    memcpy(bytes, &length, 8);
    memset(bytes + 8, '[', DEPTH);
    temp_write_bytes("t.safetensors", bytes, 8 + DEPTH);
    expect_refused("not valid JSON");
    free(bytes);
}

Test(safetensors, refuses_what_is_no_file)
{
    Err err;
    cr_expect_null(safetensors_open(path, &err));
    cr_expect(strstr(err.msg, "No such file"), "%s", err.msg);
    cr_expect_null(safetensors_open(temp_dir, &err));
    cr_expect(strstr(err.msg, "it is a directory"), "%s", err.msg);
    cr_expect_null(safetensors_open("/dev/null", &err));
    cr_expect(strstr(err.msg, "not a regular file"), "%s", err.msg);
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_refused("not a regular file");
}

/* An error about a very long name still says what is wrong, in one line. */
Test(safetensors, cuts_long_names_in_errors)
{
    char name[1001], header[2048];
    memset(name, 'n', sizeof name - 1);
    name[1000] = '\0';
    snprintf(header, sizeof header, "{\"%s\":3}", name);
    write_file(header, strlen(header), 0);
    expect_refused("is not described by a JSON object");
}

/* Independent of the reader's bit manipulation: sign, exponent and mantissa as the standards define
 * them, in double. */
static double value_of(unsigned bits, int exponent_bits, int mantissa_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
    int exponent = (int)(bits >> mantissa_bits) & top;
    double fraction = (double)(bits & ((1u << mantissa_bits) - 1)) / (1 << mantissa_bits);
    double sign = bits >> 15 ? -1 : 1;
    if (exponent == top)
        return fraction == 0 ? sign * INFINITY : NAN;
    return sign *
           (exponent == 0 ? ldexp(fraction, 1 - bias) : ldexp(1 + fraction, exponent - bias));
}

Test(safetensors, converts_every_half_exactly)
{
    enum { ALL = 1 << 16 };
    uint16_t *half = xmalloc(ALL * sizeof *half);
    float *f = xmalloc(ALL * sizeof *f);
    for (unsigned i = 0; i < ALL; i++)
        half[i] = (uint16_t)i;
    for (StDtype dtype = ST_F16; dtype <= ST_BF16; dtype++) {
        STensor t = stensor_make("t", dtype, 1, (size_t[]){ALL}, half);
        Err err;
        cr_assert_eq(safetensors_to_f32(&t, f, &err), 0);
        for (unsigned i = 0; i < ALL; i++) {
            double expected = dtype == ST_F16 ? value_of(i, 5, 10) : value_of(i, 8, 7);
            bool same = isnan(expected) ? isnan(f[i])
                                        : f[i] == expected && !signbit(f[i]) == !signbit(expected);
            cr_assert(same, "%s %04x: %g instead of %g", st_dtype_name(dtype), i, f[i], expected);
        }
    }
    free(half);
    free(f);
}

Test(safetensors, write_errors_leave_nothing_behind)
{
    float data[4] = {1, 2, 3, 4};
    STensor t = stensor_make("a", ST_F32, 1, (size_t[]){4}, data);
    Err err;
    cr_expect_eq(safetensors_write("/dev/full", &t, 1, NULL, &err), -1);
    cr_expect(strstr(err.msg, "'/dev/full'") && strstr(err.msg, "No space left"), "%s", err.msg);
    const char *missing = temp_path("none/t.safetensors");
    cr_expect_eq(safetensors_write(missing, &t, 1, NULL, &err), -1);
    cr_expect(strstr(err.msg, missing) && strstr(err.msg, "there is no folder"), "%s", err.msg);
    cr_expect_eq(safetensors_write(temp_dir, &t, 1, NULL, &err), -1);
    cr_expect(strstr(err.msg, "Is a directory"), "%s", err.msg);
    cr_expect_eq(temp_dir_count(), 0);
}

/* The disk fills up half-way: the old file stays, and nothing else. */
Test(safetensors, failed_write_keeps_the_old_file)
{
    static float data[4096];
    STensor small = stensor_make("a", ST_F32, 1, (size_t[]){4}, data);
    STensor large = stensor_make("a", ST_F32, 1, (size_t[]){4096}, data);
    Err err;
    cr_assert_eq(safetensors_write(path, &small, 1, NULL, &err), 0, "%s", err.msg);

    struct rlimit old, limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = (struct rlimit){.rlim_cur = 6000, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int status = safetensors_write(path, &large, 1, NULL, &err);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    cr_expect_eq(status, -1);
    cr_expect(strstr(err.msg, "File too large"), "%s", err.msg);
    cr_expect_eq(temp_dir_count(), 1);

    SafeTensors *s = open_good();
    cr_expect_eq(stensor_count(safetensors_at(s, 0)), 4);
    safetensors_free(s);
}

Test(safetensors, symbolic_links_stay_links)
{
    const char *target = temp_path("real");
    cr_assert_eq(symlink(target, path), 0);
    float x = 1;
    STensor t = stensor_make("a", ST_F32, 0, NULL, &x);
    Err err;
    cr_assert_eq(safetensors_write(path, &t, 1, NULL, &err), 0, "%s", err.msg);
    struct stat st;
    cr_expect(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
    safetensors_free(open_good());
}
