/* measure.cuh: sums over tensors, and the norm of all gradients, on a device: what reduce.c
 * and plan.c do on the host. Compiled as multi_tensor.cuh is, without a rule. */
#include "device.h"
#include "measure.h"

/* Scales of gradients to records, before they are measured. */
extern "C" __global__ void __launch_bounds__(GS_ONE_EACH)
    gs_scale(const __grid_constant__ gs_scale_table t)
{
    const uint32_t k = blockIdx.x * GS_ONE_EACH + threadIdx.x;
    const float *amp = (const float *)t.amp_scale;
    if (k < t.tensors)
        ((gs_record *)t.record)[t.number[k]].grad_scale = scale_of(t.scale[k], amp);
    if (k == 0 && t.begins)
        ((gs_measured *)t.measured)->pass = GS_SQUARES;
}

/* From sums of GS_SUM_BLOCKS blocks of elements to those of a tensor: a block of threads for
 * each. */
extern "C" __global__ void __launch_bounds__(GS_SUM_THREADS)
    gs_reduce(const __grid_constant__ gs_reduce_table t)
{
    const gs_measured *measured = (const gs_measured *)t.measured;
    if (measured && measured->pass != t.pass)
        return;
    const uint32_t which = blockIdx.x, width = t.sums;
    double *x = (double *)t.partial[which];
    const uint64_t parts = t.n[which] / GS_SUMMED + (t.n[which] % GS_SUMMED != 0);
    for (uint64_t apart = 1; apart < parts; apart *= 2) {
        for (uint64_t i = threadIdx.x * 2 * apart; i + apart < parts;
             i += GS_SUM_THREADS * 2 * apart)
            for (uint32_t k = 0; k < width; k++)
                x[i * width + k] += x[(i + apart) * width + k];
        __syncthreads();
    }
    double *sum = ((gs_record *)t.record)[t.number[which]].sum;
    if (threadIdx.x < width)
        sum[threadIdx.x] = parts ? x[threadIdx.x] : 0;
}

/* What the passes have found: see find_norm in plan.c. */
static inline void conclude(gs_measured &m, const gs_total_table &t)
{
    if (t.pass == GS_SQUARES) {
        m.grad_norm = length(m.sum[0]);
        m.nonfinite = 0;
        m.pass = m.sum[0] - m.sum[0] == 0 ? GS_FOUND : GS_NONFINITE;
    } else if (t.pass == GS_NONFINITE) {
        m.nonfinite = m.sum[0];
        m.pass = m.nonfinite > 0 ? GS_FOUND : GS_FAR;
    } else {
        m.grad_norm = length(m.sum[0]) * m.most / FAR;
        m.pass = GS_FOUND;
    }
    const bool clips = t.clip_norm - t.clip_norm == 0;
    m.skipped = t.guard && m.nonfinite > 0;
    m.clip_factor =
        m.skipped || !clips ? 1 : clip_factor(t.clip_norm, t.clip_eps, m.grad_norm);
}

/* Sums over tensors, in their order: one thread, which keeps them in registers. pass
 * GS_FOUND: of a rule; else of one over gradients. */
extern "C" __global__ void gs_total(const __grid_constant__ gs_total_table t)
{
    gs_measured &m = *(gs_measured *)t.measured;
    if (t.pass == GS_SQUARES && t.begins)
        m.pass = GS_SQUARES;
    if (t.pass != GS_FOUND && m.pass != t.pass)
        return;
    const bool squares = t.pass == GS_SQUARES || t.pass == GS_FAR;
    double most = t.begins && t.pass == GS_SQUARES ? 0 : m.most, sum[GS_MAX_SUMS];
    for (int k = 0; k < GS_MAX_SUMS; k++)
        sum[k] = t.begins ? 0 : m.sum[k];
    for (uint32_t i = 0; i < t.tensors; i++) {
        const gs_record &r = ((const gs_record *)t.record)[t.number[i]];
        const double rest = t.pass == GS_FAR ? scale_after(r.grad_scale, FAR) / most
                                             : scale_after(r.grad_scale, 1);
        if (t.pass == GS_SQUARES)
            most = fmax(most, fabs(r.grad_scale));
        for (int k = 0; k < GS_MAX_SUMS; k++)
            if (k < (int)t.sums)
                sum[k] += squares ? r.sum[k] * (rest * rest) : r.sum[k];
    }
    m.most = most;
    for (int k = 0; k < GS_MAX_SUMS; k++)
        m.sum[k] = sum[k];
    if (t.ends && t.pass != GS_FOUND)
        conclude(m, t);
}
