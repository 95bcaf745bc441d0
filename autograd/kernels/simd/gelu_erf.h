/* gelu_erf: the GELU of the error function on one vector, with the relative accuracy of Phi in both
 * tails.
 *
 * One idea: gelu(x) = max(x, 0) - a Phi(-a) with a = |x|. With AVX-512 Phi(-a) is a polynomial in
 * each of 16 segments, looked up by a permutation of one register: a third of the multiplications
 * of vphi, and no division. A lane further out takes vphi; which way it goes depends on itself
 * alone, and most vectors have no such lane. With other instruction sets lookups do not pay. */
#pragma once

#include "autograd/kernels/simd/vmath.h"

#if VL == 16

/* Phi(-a) in powers of r = a s - i, r from -1/2 to 1/2 in segment i: minimax fits of the relative
 * error, within 4.4e-8. */
/* clang-format off */
static const float phi_table[7][VL] __attribute__((aligned(64))) = {
    {0.5f, 0.385784745f, 0.280739814f, 0.191885889f, 0.122761928f, 0.0733046308f, 0.0407598652f,
     0.0210637674f, 0.0101008452f, 0.00448883558f, 0.00184670102f, 0.000702678866f,
     0.000247108808f, 8.02630384e-05f, 2.40661029e-05f, 6.65824564e-06f},
    {-0.11582195f, -0.111042224f, -0.0978543088f, -0.0792622268f, -0.0590129271f, -0.0403852277f,
     -0.0254034381f, -0.0146878064f, -0.00780577352f, -0.00381302345f, -0.00171205436f,
     -0.000706578023f, -0.000268038566f, -9.34606869e-05f, -2.99540279e-05f, -8.82421409e-06f},
    {1.25358368e-09f, 0.00467971945f, 0.00824786536f, 0.0100211874f, 0.0099480683f,
     0.00850989483f, 0.00642355392f, 0.00433297968f, 0.00263170735f, 0.00144625094f,
     0.000721521443f, 0.000327555201f, 0.000135553302f, 5.12039805e-05f, 1.76731646e-05f,
     5.57824796e-06f},
    {0.00162703649f, 0.00142841809f, 0.000911183655f, 0.00026881299f, -0.000288979558f,
     -0.000628126552f, -0.00072598079f, -0.000645836641f, -0.000481866067f, -0.000312138611f,
     -0.00017866712f, -9.13062686e-05f, -4.19360949e-05f, -1.73887911e-05f, -6.53057714e-06f,
     -2.22679773e-06f},
    {8.47932995e-08f, -9.58402306e-05f, -0.000154264038f, -0.000157765971f, -0.000115387957f,
     -5.3364518e-05f, 1.54940562e-06f, 3.43919128e-05f, 4.4258195e-05f, 3.88773842e-05f,
     2.75116563e-05f, 1.65622914e-05f, 8.70006807e-06f, 4.04441744e-06f, 1.67855751e-06f,
     6.25640894e-07f},
    {-2.08187575e-05f, -1.63789955e-05f, -6.3115358e-06f, 4.53543407e-06f, 1.13709029e-05f,
     1.2392512e-05f, 9.00695431e-06f, 4.11778547e-06f, 1.44089356e-07f, -1.93483879e-06f,
     -2.36996425e-06f, -1.9147692e-06f, -1.23115672e-06f, -6.68645555e-07f, -3.15260934e-07f,
     -1.31023597e-07f},
    {3.60030413e-07f, 1.30591047e-06f, 1.90214212e-06f, 1.56854639e-06f, 6.45669331e-07f,
     -2.76837795e-07f, -7.75345256e-07f, -7.85207305e-07f, -5.06329741e-07f, -1.87039475e-07f,
     2.60491664e-08f, 1.09783521e-07f, 1.08741787e-07f, 7.5507721e-08f, 4.22894857e-08f,
     2.00825951e-08f},
};
/* clang-format on */

ALWAYS_INLINE vf phi_coefficient(int power, vf t)
{
    return (vf)_mm512_permutexvar_ps((__m512i)t, (__m512)vload(phi_table[power]));
}

ALWAYS_INLINE vf gelu_erf(vf x)
{
    const float end = 4.5f, segments = 3.44444442f;
    vf a = (vf)((vi)x & INT32_MAX);
    vf t = vfma(a, vset1(segments), vset1(ROUND_MAGIC));
    vf r = vfma(a, vset1(segments), ROUND_MAGIC - t), q = phi_coefficient(6, t);
#pragma GCC unroll 6
    for (int k = 5; k >= 0; k--)
        q = vfma(q, r, phi_coefficient(k, t));
    vf y = vmax(vset1(0), x) - a * q;
    __mmask16 far = _mm512_cmp_ps_mask((__m512)a, (__m512)vset1(end), _CMP_NLT_UQ);
    if (__builtin_expect(far != 0, 0))
        y = (vf)_mm512_mask_mov_ps((__m512)y, far, (__m512)(x * vphi(x, NULL)));
    return y;
}

#else

ALWAYS_INLINE vf gelu_erf(vf x)
{
    return x * vphi(x, NULL);
}

#endif
