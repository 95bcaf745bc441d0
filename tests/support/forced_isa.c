/* forced_isa: TARE_ISA and TARE_CPU choose the kernels of every test that chooses none itself, as
 * main does for the program: `TARE_ISA=avx2 build/tare_tests`. */
#include "autograd/kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void choose_kernels(void)
{
    Err err;
    if ((getenv("TARE_ISA") || getenv("TARE_CPU")) && kernels_select(NULL, &err) != 0) {
        fprintf(stderr, "tests: %s\n", err.msg);
        exit(1);
    }
}
