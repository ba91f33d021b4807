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
    if (k < t.tensors) {
        gs_record &r = ((gs_record *)t.record)[t.number[k]];
        r.grad_scale = scale_of(t.scale[k], amp);
        r.grad_power = 1;
    }
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
    gs_record &r = ((gs_record *)t.record)[t.number[which]];
    bool stays = t.again == GS_WHERE_NEEDED;
    for (uint32_t k = 0; k < width; k++)
        stays &= r.unit[k] == 1;
    if (stays)
        return;
    double *x = (double *)t.partial[which];
    const uint64_t parts = t.n[which] / GS_SUMMED + (t.n[which] % GS_SUMMED != 0);
    for (uint64_t apart = 1; apart < parts; apart *= 2) {
        for (uint64_t i = threadIdx.x * 2 * apart; i + apart < parts;
             i += GS_SUM_THREADS * 2 * apart)
            for (uint32_t k = 0; k < width; k++)
                x[i * width + k] += x[(i + apart) * width + k];
        __syncthreads();
    }
    if (threadIdx.x < width)
        r.sum[threadIdx.x] = parts ? x[threadIdx.x] : 0;
}

/* What the passes have found: see find_norm in plan.c. */
static inline void conclude(gs_measured &m, const gs_total_table &t)
{
    const gs_squares all = {m.sum[0], m.sum[1], m.sum[2]};
    gs_norm norm = {m.norm[0], m.norm[1]};
    const uint32_t pass = t.pass;
    m.pass = GS_FOUND;
    if (pass == GS_SQUARES) {
        norm = norm_of(all);
        m.nonfinite = 0;
        if (!(all.scaled - all.scaled == 0))
            m.pass = GS_NONFINITE;
        else if (lack_squares(all, t.wide))
            m.pass = GS_NEAR;
    } else if (pass == GS_NONFINITE) {
        m.nonfinite = m.sum[0];
        m.pass = m.nonfinite > 0 ? GS_FOUND : GS_FAR;
    } else {
        norm = {length(all.scaled) * whole_of(m.most), pass == GS_FAR ? FAR : NEAR};
    }
    m.skipped = t.guard && m.nonfinite > 0;
    const bool clips = !m.skipped && t.clip_norm - t.clip_norm == 0;
    const gs_factor clip = clip_factor(clips ? t.clip_norm : 0, t.clip_eps, norm);
    m.grad_norm = norm.size / norm.unit;
    m.clip_factor = clip.factor * clip.power;
    m.norm[0] = norm.size;
    m.norm[1] = norm.unit;
    m.clip[0] = clip.factor;
    m.clip[1] = clip.power;
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
    const bool first = t.pass == GS_SQUARES;
    const bool squares = first || t.pass == GS_FAR || t.pass == GS_NEAR;
    double most = t.begins && first ? 0 : m.most, sum[GS_MAX_SUMS];
    for (int k = 0; k < GS_MAX_SUMS; k++)
        sum[k] = t.begins ? 0 : m.sum[k];
    gs_squares all = {sum[0], sum[1], sum[2]};
    for (uint32_t i = 0; i < t.tensors; i++) {
        const gs_record &r = ((const gs_record *)t.record)[t.number[i]];
        if (first)
            most = fmax(most, fabs(r.grad_scale));
        if (squares)
            add_squares(&all, r.sum[0],
                        scale_after(r.grad_scale) / (first ? 1 : whole_of(most)));
        for (int k = 0; k < GS_MAX_SUMS && !squares; k++)
            if (k < (int)t.sums)
                sum[k] += r.sum[k];
    }
    m.most = most;
    m.sum[0] = squares ? all.scaled : sum[0];
    m.sum[1] = squares ? all.lifted : sum[1];
    m.sum[2] = squares ? all.raw : sum[2];
    if (t.ends && t.pass != GS_FOUND)
        conclude(m, t);
}
