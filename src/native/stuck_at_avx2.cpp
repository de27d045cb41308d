#define LAXITY_STUCK_AT_RUN run_avx2
#include "stuck_at_kernel.inl"
