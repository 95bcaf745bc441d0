/* sequences: which rows of a tensor belong to which sequence (Sequences in ops.h). */
#pragma once

#include "autograd/ops.h"

/* For the constructor of an op on so many rows. */
static inline void sequences_check(Sequences s, size_t rows)
{
    if (s.starts)
        CHECK(s.starts->dtype == DT_I32 && tensor_count(s.starts) == s.batch + 1,
              "starts are i32 [B+1]");
    else
        CHECK(rows % s.batch == 0, "%zu rows in a batch of %zu", rows, s.batch);
}

/* The data of the optional input; NULL where sequences have one length. */
static inline const int32_t *starts_data(const Tensor *starts)
{
    return starts ? starts->data : NULL;
}

/* The first row of padding, which belongs to no sequence. */
static inline size_t first_padding(const Tensor *starts, size_t rows)
{
    return starts ? (size_t)starts_data(starts)[starts->shape[0] - 1] : rows;
}

/* The position of a row in its sequence, of which past[b] positions (NULL: none) came before these
 * rows; of padding 0. */
static inline size_t position_of(const Tensor *starts, size_t T, const int32_t *past, size_t row)
{
    if (!starts)
        return row % T + (past ? (size_t)past[row / T] : 0);
    const int32_t *at = starts_data(starts);
    size_t low = 0, high = starts->shape[0] - 1; /* at[low] <= row < at[high] */
    if (row >= (size_t)at[high])
        return 0;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        *((size_t)at[middle] <= row ? &low : &high) = middle;
    }
    return row - (size_t)at[low] + (past ? (size_t)past[low] : 0);
}
