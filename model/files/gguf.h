/* gguf: the container that llama.cpp keeps a model in: metadata and named tensors in one file,
 * mapped for reading.
 *
 * The format (github.com/ggml-org/ggml, docs/gguf.md), version 3, little-endian: "GGUF",
 * version, counts; metadata; tensors' names, shapes, types, offsets; then the tensors, aligned.
 * The reader treats a file as hostile until it has checked every length and offset; after
 * gguf_open nothing in it needs checking again. What the metadata means is gguf_model.h's
 * business. */
#pragma once

#include "model/files/safetensors.h"

typedef struct Gguf Gguf;

/* Whether the path is a file, no directory, that begins as a GGUF. */
bool path_is_gguf(const char *path);
/* 0 unless the path is a file of another kind, such as what is left of a download. */
int path_check_model(const char *path, Err *err);

/* Maps and checks the file. NULL, naming it and the key or tensor, for another version, a length
 * beyond the file, a name that is doubled or no UTF-8, tensors that overlap, and a tensor type
 * other than F32, F16, BF16, Q8_0, Q4_0 and Q4_1. */
Gguf *gguf_open(const char *path, Err *err);
void gguf_free(Gguf *g); /* NULL is fine */

/* Its tensors; the shape is the row-major one, [rows, columns]. */
size_t gguf_num_tensors(const Gguf *g);
const STensor *gguf_tensor(const Gguf *g, size_t i);

/* A key's text; NULL where it is missing or no text. Lives as long as g. */
const char *gguf_text(const Gguf *g, const char *key);

/* A key's number, or truth as 1 or 0; false where it is missing or neither. */
bool gguf_number(const Gguf *g, const char *key, double *value);

typedef struct GgufText {
    const char *at; /* UTF-8, not ended by a NUL, may hold some */
    size_t len;
} GgufText;

/* 0 where the key is missing or of this kind; -1, naming it, where it is of another. */
typedef enum GgufKind { GGUF_NUMBER, GGUF_TEXT, GGUF_NUMBERS, GGUF_TEXTS } GgufKind;
int gguf_check_kind(const Gguf *g, const char *key, GgufKind kind, Err *err);

/* The texts of a list, to be given to free; NULL where the key is missing or no list of texts. */
GgufText *gguf_texts(const Gguf *g, const char *key, size_t *count);

/* The numbers of a list, in the same way. */
double *gguf_numbers(const Gguf *g, const char *key, size_t *count);
