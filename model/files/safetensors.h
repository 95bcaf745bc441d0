/* safetensors: named tensors in one file, mapped for reading, written whole or not at all.
 *
 * The format (github.com/huggingface/safetensors, "Format"): eight bytes with the little-endian
 * length of a JSON header, the header, then the tensors' bytes without a gap. The reader treats a
 * file as hostile until it has checked every offset, shape and length; after safetensors_open
 * nothing in it needs checking again. It knows no models: names and shapes mean nothing here. */
#pragma once

#include "autograd/base.h"

/* The dtypes that are known; the floating-point ones come first. The last three are GGUF's: no
 * safetensors file has them. They are blocks of 32 elements of a row (quant_blocks.h). */
typedef enum StDtype {
    ST_F64,
    ST_F32,
    ST_F16,
    ST_BF16,
    ST_I64,
    ST_I32,
    ST_I8,
    ST_U8,
    ST_BOOL,
    ST_Q8_0,
    ST_Q4_0,
    ST_Q4_1,
} StDtype;

enum { NUM_ST_DTYPES = ST_Q4_1 + 1 };

enum { ST_MAX_DIMS = 8 };

/* One tensor, row-major. The reader's tensors point into the mapped file, where `data` need not be
 * aligned: go through safetensors_to_f32 or memcpy. */
typedef struct STensor {
    const char *name; /* borrowed */
    StDtype dtype;
    size_t ndim; /* 0 = a scalar, one element */
    size_t shape[ST_MAX_DIMS];
    const void *data; /* borrowed */
    size_t bytes;
} STensor;

const char *st_dtype_name(StDtype dtype); /* "F32", as in the file */
size_t st_dtype_size(StDtype dtype);      /* bytes of one element, of GGUF's of one block */
size_t stensor_count(const STensor *t);   /* number of elements */

/* Bytes of so many elements, whole blocks of GGUF's. */
size_t st_bytes(StDtype dtype, size_t elements);

/* Whether it is one of GGUF's. */
static inline bool st_is_blocks(StDtype dtype)
{
    return dtype > ST_BOOL;
}

/* Whether a number of it stands for a real one: safetensors_to_f32 takes these alone. */
bool st_is_float(StDtype dtype);

/* Sets t->bytes by dtype and shape; -1 where that overflows, or a row is not of whole blocks. */
int stensor_measure(STensor *t);

/* A tensor to be written; `bytes` follows from dtype and shape. Borrows name and data. */
STensor stensor_make(const char *name, StDtype dtype, size_t ndim, const size_t *shape,
                     const void *data);

typedef struct SafeTensors SafeTensors;

/* Maps the file and checks all of it: the header's length against the file's, the JSON (a name
 * given twice is refused), dtypes, shapes without overflow, and that the tensors cover the data
 * exactly, without overlap or hole. NULL, naming the file and, where one is at fault, the tensor.
 * Truncating the file later ends the process with SIGBUS at the next read of the lost part, as with
 * any mapped file. */
SafeTensors *safetensors_open(const char *path, Err *err);

/* Any tensors of different names as if they were of a file; copies the list, and calls
 * release(owner) at the end. */
SafeTensors *safetensors_over(const STensor *tensors, size_t n, void *owner,
                              void (*release)(void *));

/* All tensors of n opened files as if they were of one, in the order of the files; no two may have
 * the same name. Takes over the files, not the list. */
SafeTensors *safetensors_join(SafeTensors **files, size_t n);

void safetensors_free(SafeTensors *s); /* NULL is fine; the tensors of s are gone with it */

/* Tensors in the order of their data in the file; an array, of which safetensors_at(s, 0) is the
 * first. */
size_t safetensors_count(const SafeTensors *s);
const STensor *safetensors_at(const SafeTensors *s, size_t i);

const STensor *safetensors_find(const SafeTensors *s, const char *name); /* NULL = not there */

/* The string under `key` of the header's __metadata__, or NULL. Lives as long as s. */
const char *safetensors_metadata(const SafeTensors *s, const char *key);

/* Converts all elements of an F64, F32, F16, BF16 or GGUF tensor to fp32 (F64 is rounded, the
 * others are exact) into dst[stensor_count(t)]. -1 for any other dtype, naming the tensor. */
int safetensors_to_f32(const STensor *t, float *dst, Err *err);

/* Writes n tensors of different names: wider dtypes first, so that every tensor is aligned in the
 * file, otherwise in the order given. `metadata` is key, value, key, value, ..., NULL, or NULL for
 * none; PyTorch's loaders expect "format", "pt". The file appears only when it is complete and on
 * disk: it is written as PATH.tmp.PID, synchronised and renamed. A symbolic link stays one: what it
 * names is written. A device or a pipe is written in place. -1 when any of that fails; a regular
 * file that was there before stays as it was. */
int safetensors_write(const char *path, const STensor *tensors, size_t n,
                      const char *const *metadata, Err *err);
