#define LAXITY_STUCK_AT_RUN run_portable
#include "stuck_at_kernel.inl"
