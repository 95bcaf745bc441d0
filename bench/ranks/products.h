/* products: matrix products in a cache, to keep threads computing while something else is timed. */
#pragma once

#include "autograd/base.h"

typedef struct Products {
    float *a; /* two factors, the product, and scratch */
    int threads;
} Products;

/* -1: no memory. */
int products_init(Products *p, int threads, Err *err);
void products_release(Products *p);
/* Nanoseconds of `count` products. */
double products_multiply(const Products *p, size_t count);
