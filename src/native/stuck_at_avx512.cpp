#define LAXITY_STUCK_AT_RUN run_avx512
#include "stuck_at_kernel.inl"
