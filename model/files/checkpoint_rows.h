/* checkpoint_rows: some rows of a parameter, put together from the tensors of a file that hold them.
 *
 * A file may keep apart what the model reads as one matrix, keep it transposed, in fp32, 16 bits or
 * quantised; all that ends here. Names are checkpoint.c's business. */
#ifndef TARE_MODEL_FILES_CHECKPOINT_ROWS_H
#define TARE_MODEL_FILES_CHECKPOINT_ROWS_H

#include "model/params.h"
#include "model/files/safetensors.h"

/* One tensor that a parameter is read from: all of it, or one of equal parts, stacked by rows. */
typedef struct Source {
    const ParamSpec *spec; /* of the whole parameter */
    size_t rows;           /* of it that this tensor holds */
    const STensor *weight;
    const STensor *scale; /* of an I8 weight: one a row; NULL otherwise */
} Source;

/* That shapes and dtypes are what the spec demands; a sentence naming the tensor otherwise. */
int source_check(const Source *s, Err *err);

/* Rows [from, to) of the parameter whose parts are sources[0..]: as fp32 ... */
int sources_read_values(const Source *sources, size_t from, size_t to, float *values, Err *err);
/* ... or, when every part is I8, as levels and scales. Level -128 is an error: no quantiser makes it. */
int sources_read_levels(const Source *sources, size_t from, size_t to, int8_t *levels, float *scale,
                        Err *err);

#endif
