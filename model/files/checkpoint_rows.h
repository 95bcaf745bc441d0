/* checkpoint_rows: rows of a parameter, put together from the tensors of a file that hold them.
 *
 * The one idea: a file may split, transpose, narrow or quantise what the model reads as one matrix;
 * nobody above this sees any of it. Names are checkpoint.c's business. */
#pragma once

#include "model/params.h"
#include "model/files/safetensors.h"

/* One tensor that a parameter is read from: the whole, or one of the parts stacked by rows. */
typedef struct Source {
    const ParamSpec *spec; /* of the whole parameter */
    size_t rows;           /* of it that this tensor holds */
    STensor weight;        /* its name is NULL where there is none */
    const STensor *scale;  /* of an I8 weight: one a row; NULL otherwise */
} Source;

/* Of spec and rows, with `weight` and `scale` or NULL. Bytes of a row as wide as the parameter's
 * groups of q8_0 or q4_0 are these groups. */
Source source_make(const ParamSpec *spec, size_t rows, const STensor *weight, const STensor *scale);

/* Checks shapes and dtypes against the spec; -1 names the tensor. */
int source_check(const Source *s, Err *err);

/* Reads rows [from, to) of the parameter whose parts are sources[0..] as fp32: values [to - from,
 * cols]. */
int sources_read_values(const Source *sources, size_t from, size_t to, float *values, Err *err);

/* Reads them, of parts that are all I8, as levels [to - from, cols] and scale [to - from]. -1 for
 * level -128, which no quantiser makes. */
int sources_read_levels(const Source *sources, size_t from, size_t to, int8_t *levels, float *scale,
                        Err *err);

/* Reads them, of parts that are all of one type of blocks, as these, row by row. */
void sources_read_blocks(const Source *sources, size_t from, size_t to, void *blocks);
