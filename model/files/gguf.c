/* gguf: see gguf.h. Every check on a file from outside is here. */
#include "model/files/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/tokenizer/token_table.h"

static const char magic[4] = {'G', 'G', 'U', 'F'};
enum {
    VERSION = 3,
    ALIGNMENT = 32,
    MAX_ALIGNMENT = 1 << 20,
    MAX_ENTRIES = 1 << 20,
    MAX_NAME = 200
};

#define NAME "'%.200s'"

/* ---- types ---- */

typedef enum ValueType {
    VALUE_U8,
    VALUE_I8,
    VALUE_U16,
    VALUE_I16,
    VALUE_U32,
    VALUE_I32,
    VALUE_F32,
    VALUE_BOOL,
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_U64,
    VALUE_I64,
    VALUE_F64,
    NUM_VALUES
} ValueType;

/* Bytes of one; 0 for those that say their own. */
static const uint8_t value_bytes[NUM_VALUES] = {
    [VALUE_U8] = 1,  [VALUE_I8] = 1,  [VALUE_U16] = 2, [VALUE_I16] = 2,
    [VALUE_U32] = 4, [VALUE_I32] = 4, [VALUE_F32] = 4, [VALUE_BOOL] = 1,
    [VALUE_U64] = 8, [VALUE_I64] = 8, [VALUE_F64] = 8,
};

/* By their numbers in a file; those without a dtype are known by name only. */
static const struct {
    const char *name;
    int dtype;
} tensor_types[] = {
    [0] = {"F32", ST_F32},   [1] = {"F16", ST_F16},    [2] = {"Q4_0", ST_Q4_0},
    [3] = {"Q4_1", ST_Q4_1}, [6] = {"Q5_0", -1},       [7] = {"Q5_1", -1},
    [8] = {"Q8_0", ST_Q8_0}, [9] = {"Q8_1", -1},       [10] = {"Q2_K", -1},
    [11] = {"Q3_K", -1},     [12] = {"Q4_K", -1},      [13] = {"Q5_K", -1},
    [14] = {"Q6_K", -1},     [15] = {"Q8_K", -1},      [16] = {"IQ2_XXS", -1},
    [17] = {"IQ2_XS", -1},   [18] = {"IQ3_XXS", -1},   [19] = {"IQ1_S", -1},
    [20] = {"IQ4_NL", -1},   [21] = {"IQ3_S", -1},     [22] = {"IQ2_S", -1},
    [23] = {"IQ4_XS", -1},   [24] = {"I8", -1},        [25] = {"I16", -1},
    [26] = {"I32", -1},      [27] = {"I64", -1},       [28] = {"F64", -1},
    [29] = {"IQ1_M", -1},    [30] = {"BF16", ST_BF16}, [34] = {"TQ1_0", -1},
    [35] = {"TQ2_0", -1},    [39] = {"MXFP4", -1},
};

/* ---- reading ---- */

/* A key and where its value lies, after the type. */
typedef struct Entry {
    ValueType type, of; /* of: of a list */
    size_t count;       /* values of a list, bytes of a text; else 1 */
    const unsigned char *at;
    char *text; /* a copy that ends with a NUL */
} Entry;

struct Gguf {
    const unsigned char *map;
    size_t map_bytes, at; /* how far it is read */
    TokenTable keys;      /* ids are indices of entries */
    Entry *entries;
    size_t num_entries;
    TokenTable names; /* of tensors */
    STensor *tensors;
    char **tensor_names;
    size_t *offsets; /* while reading */
    size_t num_tensors;
};

bool path_is_gguf(const char *path)
{
    char begin[sizeof magic];
    struct stat s;
    if (stat(path, &s) != 0 || !S_ISREG(s.st_mode))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, begin, sizeof begin) == (ssize_t)sizeof begin &&
              memcmp(begin, magic, sizeof begin) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

int path_check_model(const char *path, Err *err)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && !path_is_gguf(path)
               ? err_set(err, "'%s' is neither a GGUF file nor the directory of a model", path)
               : 0;
}

static int map_file(Gguf *g, const char *path, Err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    void *map = MAP_FAILED;
    if (fd < 0)
        return err_set(err, "cannot open '%s': %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof magic)
        err_set(err, "'%s' is no GGUF file", path);
    else if ((map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        err_set(err, "cannot map '%s': %s", path, strerror(errno));
    close(fd);
    if (map == MAP_FAILED)
        return -1;
    g->map = map;
    g->map_bytes = (size_t)st.st_size;
    return 0;
}

/* The next n bytes; NULL beyond the end. */
static const unsigned char *take(Gguf *g, size_t n, Err *err)
{
    if (n > g->map_bytes - g->at) {
        err_set(err, "it ends at byte %zu, in the middle of its header", g->map_bytes);
        return NULL;
    }
    g->at += n;
    return g->map + g->at - n;
}

static int take_u32(Gguf *g, uint32_t *value, Err *err)
{
    const unsigned char *p = take(g, sizeof *value, err);
    if (p)
        memcpy(value, p, sizeof *value);
    return p ? 0 : -1;
}

static int take_u64(Gguf *g, uint64_t *value, Err *err)
{
    const unsigned char *p = take(g, sizeof *value, err);
    if (p)
        memcpy(value, p, sizeof *value);
    return p ? 0 : -1;
}

static int take_text(Gguf *g, GgufText *text, Err *err)
{
    uint64_t len;
    if (take_u64(g, &len, err) != 0)
        return -1;
    text->at = (const char *)take(g, len, err);
    text->len = len;
    return text->at ? 0 : -1;
}

/* A name: UTF-8 without a NUL. */
static int take_name(Gguf *g, GgufText *name, Err *err)
{
    if (take_text(g, name, err) != 0)
        return -1;
    if (name->len == 0 || memchr(name->at, 0, name->len) ||
        utf8_valid_prefix(name->at, name->len) != name->len)
        return err_set(err, "a name at byte %zu is no text", g->at - name->len);
    return 0;
}

static char *copy_of(GgufText t)
{
    char *copy = xmalloc(t.len + 1);
    memcpy(copy, t.at, t.len);
    copy[t.len] = '\0';
    return copy;
}

/* ---- metadata ---- */

static int take_list(Gguf *g, Entry *e, Err *err)
{
    uint32_t of;
    uint64_t count;
    if (take_u32(g, &of, err) != 0 || take_u64(g, &count, err) != 0)
        return -1;
    if (of >= NUM_VALUES || of == VALUE_LIST)
        return err_set(err, "it is a list of type %u, which is not built", of);
    e->of = (ValueType)of;
    e->count = count;
    e->at = g->map + g->at;
    if (count > g->map_bytes) /* so that the products below do not overflow */
        return err_set(err, "it is a list of %llu values, the file ends before",
                       (unsigned long long)count);
    if (of != VALUE_TEXT)
        return take(g, count * value_bytes[of], err) ? 0 : -1;
    for (uint64_t i = 0; i < count; i++) {
        GgufText text;
        if (take_text(g, &text, err) != 0)
            return -1;
        if (utf8_valid_prefix(text.at, text.len) != text.len)
            return err_set(err, "its text %llu is not UTF-8", (unsigned long long)i);
    }
    return 0;
}

static int take_value(Gguf *g, Entry *e, Err *err)
{
    uint32_t type;
    GgufText text;
    if (take_u32(g, &type, err) != 0)
        return -1;
    if (type >= NUM_VALUES)
        return err_set(err, "its type %u is not known", type);
    e->type = (ValueType)type;
    if (type == VALUE_LIST)
        return take_list(g, e, err);
    e->count = 1;
    if (type != VALUE_TEXT)
        return (e->at = take(g, value_bytes[type], err)) ? 0 : -1;
    if (take_text(g, &text, err) != 0)
        return -1;
    if (utf8_valid_prefix(text.at, text.len) != text.len)
        return err_set(err, "it is not UTF-8");
    e->text = copy_of(text);
    return 0;
}

static int read_entries(Gguf *g, uint64_t count, Err *err)
{
    if (count > MAX_ENTRIES)
        return err_set(err, "it has %llu keys, at most %d are read", (unsigned long long)count,
                       MAX_ENTRIES);
    for (uint64_t i = 0; i < count; i++) {
        GgufText key;
        if (take_name(g, &key, err) != 0)
            return -1;
        if (!token_table_add(&g->keys, key.at, key.len, (int32_t)i))
            return err_set(err, "the key '%.*s' is there twice",
                           (int)(key.len < MAX_NAME ? key.len : MAX_NAME), key.at);
        g->entries = xgrow(g->entries, (size_t)i, sizeof *g->entries);
        g->entries[i] = (Entry){.count = 0};
        g->num_entries++;
        if (take_value(g, &g->entries[i], err) != 0)
            return err_prefix(err, "'%.*s'", (int)(key.len < MAX_NAME ? key.len : MAX_NAME),
                              key.at);
    }
    return 0;
}

/* ---- tensors ---- */

static int read_type(Gguf *g, STensor *t, Err *err)
{
    uint32_t type;
    if (take_u32(g, &type, err) != 0)
        return -1;
    const char *name = type < COUNT_OF(tensor_types) ? tensor_types[type].name : NULL;
    if (!name || tensor_types[type].dtype < 0)
        return err_set(err,
                       "its type %.20s (%u) is not built; F32, F16, BF16, Q8_0, Q4_0 and Q4_1 are",
                       name ? name : "unknown", type);
    t->dtype = (StDtype)tensor_types[type].dtype;
    return 0;
}

/* The file's first dimension is the fastest: ours is the last. */
static int read_shape(Gguf *g, STensor *t, Err *err)
{
    uint32_t dims;
    uint64_t size;
    if (take_u32(g, &dims, err) != 0)
        return -1;
    if (dims == 0 || dims > 4)
        return err_set(err, "it has %u dimensions", dims);
    t->ndim = dims;
    for (uint32_t i = 0; i < dims; i++) {
        if (take_u64(g, &size, err) != 0)
            return -1;
        if (size == 0)
            return err_set(err, "it has a dimension of 0");
        t->shape[dims - 1 - i] = size;
    }
    return 0;
}

static int read_tensor(Gguf *g, size_t i, Err *err)
{
    STensor *t = &g->tensors[i];
    uint64_t offset;
    if (read_shape(g, t, err) != 0 || read_type(g, t, err) != 0 || take_u64(g, &offset, err) != 0)
        return -1;
    g->offsets[i] = offset;
    if (stensor_measure(t) != 0)
        return err_set(err, "the product of its shape is too large, or its rows are not of whole "
                            "blocks");
    return 0;
}

static int read_tensors(Gguf *g, uint64_t count, Err *err)
{
    if (count > MAX_ENTRIES)
        return err_set(err, "it has %llu tensors, at most %d are read", (unsigned long long)count,
                       MAX_ENTRIES);
    for (uint64_t i = 0; i < count; i++) {
        GgufText name;
        if (take_name(g, &name, err) != 0)
            return -1;
        size_t n = (size_t)i;
        g->tensors = xgrow(g->tensors, n, sizeof *g->tensors);
        g->tensor_names = xgrow(g->tensor_names, n, sizeof *g->tensor_names);
        g->offsets = xgrow(g->offsets, n, sizeof *g->offsets);
        g->tensor_names[i] = copy_of(name);
        g->tensors[i] = (STensor){.name = g->tensor_names[i]};
        g->num_tensors = n + 1;
        if (!token_table_add(&g->names, name.at, name.len, (int32_t)i))
            return err_set(err, "tensor " NAME " is there twice", g->tensor_names[i]);
        if (read_tensor(g, (size_t)i, err) != 0)
            return err_prefix(err, "tensor " NAME, g->tensor_names[i]);
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const STensor *x = *(const STensor *const *)a, *y = *(const STensor *const *)b;
    return (x->data > y->data) - (x->data < y->data);
}

static int check_overlap(const Gguf *g, Err *err)
{
    const STensor **order = xmalloc((g->num_tensors + 1) * sizeof *order);
    int rc = 0;
    for (size_t i = 0; i < g->num_tensors; i++)
        order[i] = &g->tensors[i];
    qsort(order, g->num_tensors, sizeof *order, by_place);
    for (size_t i = 1; i < g->num_tensors && rc == 0; i++)
        if ((const char *)order[i - 1]->data + order[i - 1]->bytes > (const char *)order[i]->data)
            rc = err_set(err, "tensor " NAME " overlaps " NAME, order[i - 1]->name, order[i]->name);
    free(order);
    return rc;
}

static int place_tensors(Gguf *g, Err *err)
{
    double asked = ALIGNMENT;
    if (gguf_check_kind(g, "general.alignment", GGUF_NUMBER, err) != 0)
        return -1;
    gguf_number(g, "general.alignment", &asked);
    size_t align = asked >= 1 && asked <= MAX_ALIGNMENT ? (size_t)asked : 0;
    if (align == 0 || (double)align != asked || align & (align - 1))
        return err_set(err, "general.alignment is %g, but must be a power of two up to %d", asked,
                       MAX_ALIGNMENT);
    size_t begin = (g->at + align - 1) / align * align;
    for (size_t i = 0; i < g->num_tensors; i++) {
        STensor *t = &g->tensors[i];
        if (begin > g->map_bytes || g->offsets[i] > g->map_bytes - begin ||
            t->bytes > g->map_bytes - begin - g->offsets[i])
            return err_set(err, "tensor " NAME " ends beyond the file", t->name);
        if (g->offsets[i] % align != 0)
            return err_set(err, "tensor " NAME " begins at %zu, no multiple of %zu", t->name,
                           g->offsets[i], align);
        t->data = g->map + begin + g->offsets[i];
    }
    return check_overlap(g, err);
}

static int read_all(Gguf *g, Err *err)
{
    uint32_t version;
    uint64_t tensors, entries;
    if (memcmp(take(g, sizeof magic, err), magic, sizeof magic) != 0)
        return err_set(err, "it is no GGUF file");
    if (take_u32(g, &version, err) != 0)
        return -1;
    if (version != VERSION)
        return err_set(err, "its version is %u; %d, little-endian, is built", version, VERSION);
    if (take_u64(g, &tensors, err) != 0 || take_u64(g, &entries, err) != 0 ||
        read_entries(g, entries, err) != 0 || read_tensors(g, tensors, err) != 0)
        return -1;
    return place_tensors(g, err);
}

Gguf *gguf_open(const char *path, Err *err)
{
    Gguf *g = xcalloc(1, sizeof *g);
    token_table_init(&g->keys);
    token_table_init(&g->names);
    if (map_file(g, path, err) == 0) {
        if (read_all(g, err) == 0)
            return g;
        err_prefix(err, "'%s'", path);
    }
    gguf_free(g);
    return NULL;
}

void gguf_free(Gguf *g)
{
    if (!g)
        return;
    if (g->map)
        munmap((void *)g->map, g->map_bytes);
    for (size_t i = 0; i < g->num_entries; i++)
        free(g->entries[i].text);
    for (size_t i = 0; i < g->num_tensors; i++)
        free(g->tensor_names[i]);
    token_table_release(&g->keys);
    token_table_release(&g->names);
    free(g->entries);
    free(g->tensors);
    free(g->tensor_names);
    free(g->offsets);
    free(g);
}

/* ---- what is asked ---- */

size_t gguf_num_tensors(const Gguf *g)
{
    return g->num_tensors;
}

const STensor *gguf_tensor(const Gguf *g, size_t i)
{
    CHECK(i < g->num_tensors, "tensor %zu of %zu", i, g->num_tensors);
    return &g->tensors[i];
}

static const Entry *find(const Gguf *g, const char *key)
{
    int32_t i = token_table_find(&g->keys, key, strlen(key));
    return i < 0 ? NULL : &g->entries[i];
}

const char *gguf_text(const Gguf *g, const char *key)
{
    const Entry *e = find(g, key);
    return e ? e->text : NULL;
}

static bool number_at(ValueType type, const unsigned char *at, double *value)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        float f32;
        uint64_t u64;
        int64_t i64;
        double f64;
    } v;
    memcpy(&v, at, value_bytes[type]);
    switch (type) {
    case VALUE_U8:
        *value = v.u8;
        return true;
    case VALUE_BOOL:
        *value = v.u8 != 0;
        return true;
    case VALUE_I8:
        *value = v.i8;
        return true;
    case VALUE_U16:
        *value = v.u16;
        return true;
    case VALUE_I16:
        *value = v.i16;
        return true;
    case VALUE_U32:
        *value = v.u32;
        return true;
    case VALUE_I32:
        *value = v.i32;
        return true;
    case VALUE_F32:
        *value = (double)v.f32;
        return true;
    case VALUE_U64:
        *value = (double)v.u64;
        return true;
    case VALUE_I64:
        *value = (double)v.i64;
        return true;
    case VALUE_F64:
        *value = v.f64;
        return true;
    default:
        return false;
    }
}

bool gguf_number(const Gguf *g, const char *key, double *value)
{
    const Entry *e = find(g, key);
    return e && e->at && e->type != VALUE_LIST && number_at(e->type, e->at, value);
}

int gguf_check_kind(const Gguf *g, const char *key, GgufKind kind, Err *err)
{
    static const char *const names[] = {"a number", "a text", "a list of numbers",
                                        "a list of texts"};
    const Entry *e = find(g, key);
    if (!e)
        return 0;
    ValueType type = e->type == VALUE_LIST ? e->of : e->type;
    GgufKind is = (type == VALUE_TEXT ? GGUF_TEXT : GGUF_NUMBER) +
                  (e->type == VALUE_LIST ? GGUF_NUMBERS - GGUF_NUMBER : 0);
    return is == kind ? 0 : err_set(err, "%s is %s, but must be %s", key, names[is], names[kind]);
}

static const Entry *find_list(const Gguf *g, const char *key, bool texts)
{
    const Entry *e = find(g, key);
    return e && e->type == VALUE_LIST && (e->of == VALUE_TEXT) == texts ? e : NULL;
}

GgufText *gguf_texts(const Gguf *g, const char *key, size_t *count)
{
    const Entry *e = find_list(g, key, true);
    if (!e)
        return NULL;
    GgufText *texts = xmalloc((e->count + 1) * sizeof *texts);
    const unsigned char *at = e->at;
    for (size_t i = 0; i < e->count; i++) {
        uint64_t len;
        memcpy(&len, at, sizeof len);
        texts[i] = (GgufText){(const char *)at + sizeof len, len};
        at += sizeof len + len;
    }
    *count = e->count;
    return texts;
}

double *gguf_numbers(const Gguf *g, const char *key, size_t *count)
{
    const Entry *e = find_list(g, key, false);
    if (!e)
        return NULL;
    double *numbers = xmalloc((e->count + 1) * sizeof *numbers);
    for (size_t i = 0; i < e->count; i++)
        number_at(e->of, e->at + i * value_bytes[e->of], &numbers[i]);
    *count = e->count;
    return numbers;
}
