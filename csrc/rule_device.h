/* rule_device.h: a rule's kernels on a device, the counterpart of the loops in rule_end.h;
 * multi_tensor.cuh has what they share. */

/* Arrays in the table of a launch. Sums of blocks go to the one past the last. */
enum {
    AT_P,
    AT_G,
    AT_BESIDE,
    AT_STATE = AT_BESIDE + BESIDE,
    AT_SCALE = AT_STATE + K(states),
    STEP_SLOTS = AT_SCALE + (ANY_BLOCKS ? K(states) : 0),
};

#define STATE_SLOT(name) arrays[AT_STATE + K(at_##name)]
#define SCALE_SLOT(name) arrays[AT_SCALE + K(at_##name)]
#define ROOM(name) T state_##name[AT::N];
#define ELEMENT(name) .name = state_##name[k],
#define KEEP(name) state_##name[k] = FLUSHED(s.name);
/* Between the loops of rule_root.h they are stored. */
#define STORED(name) s.name = FLUSHED(s.name);
/* In code, what a state begins with is rounded as if it had been stored by a step. */
#define BEGIN(name)                                                                    \
    for (int k = 0; k < AT::N; k++)                                                    \
        state_##name[k] = p[k];                                                        \
    if constexpr (S_CODE != PLAIN) {                                                   \
        CLOSE(name)                                                                    \
        __syncwarp();                                                                  \
        OPEN(name)                                                                     \
    }
#if ANY_BLOCKS
#define OPEN(name) decode_block(at, STATE_SLOT(name), SCALE_SLOT(name), state_##name);
#define CLOSE(name)                                                                    \
    encode_block(at, STATE_SLOT(name), SCALE_SLOT(name), r.key[1 + K(at_##name)],      \
                 state_##name);
#else
#define OPEN(name) decode<S_CODE>(at, STATE_SLOT(name), state_##name);
#define CLOSE(name)                                                                    \
    encode<S_CODE>(at, STATE_SLOT(name), r.key[1 + K(at_##name)], state_##name);
#endif

#if RULE_STEPS
/* The elements of one thread. States that begin as the parameter do so in the first pass
 * of a step. */
template <class AT>
RULE_FN void step_elements(const AT &at, void *const *arrays, const gs_record &r,
                           const COEF &c)
{
    T p[AT::N], g[AT::N];
    RULE_STATE(ROOM)
    open_parameter(at, arrays[AT_P], arrays[AT_BESIDE], p);
    decode<G_CODE>(at, arrays[AT_G], g);
    RULE_STATE(OPEN)
#if !GATHERS
    if (r.first) {
        RULE_COPIES(BEGIN)
    }
#endif
    const T grad_scale = (T)r.grad_scale;
#pragma unroll
    for (int k = 0; k < AT::N; k++) {
        STATE s = {RULE_STATE(ELEMENT)};
#if RULE_ROOT
        const T x = K(radicand)(p[k], grad_scale * g[k], &s, &c);
        RULE_STATE(STORED)
        p[k] = K(update)(p[k], grad_scale * g[k], &s, &c, CBRT(x));
#else
        p[k] = K(update)(p[k], grad_scale * g[k], &s, &c);
#endif
        RULE_STATE(KEEP)
    }
    close_parameter(at, arrays[AT_P], arrays[AT_BESIDE], r.key[0], p);
    RULE_STATE(CLOSE)
}

/* Each warp takes pieces of GS_WARP x TOGETHER elements; the last, and those of arrays that
 * are not aligned, one by one. */
extern "C" __global__ void __launch_bounds__(GS_STEP_THREADS)
    gs_step(const __grid_constant__ table<STEP_SLOTS> t)
{
    const uint32_t which = find_tensor(t);
    const gs_record &r = ((const gs_record *)t.head.record)[t.number[which]];
    if (r.stays)
        return;
    const COEF c = *(const COEF *)r.coef;
    void *arrays[STEP_SLOTS + 1] = {};
    uint64_t low = 0;
#pragma unroll
    for (int k = 0; k < STEP_SLOTS; k++) {
        arrays[k] = (void *)t.slot[k][which];
        low |= t.slot[k][which];
    }
    const bool aligned = low % 16 == 0;
    const uint64_t n = t.n[which];
    const uint64_t begin = (uint64_t)(blockIdx.x - t.start[which]) * t.head.chunk;
    const uint64_t end = n - begin < t.head.chunk ? n : begin + t.head.chunk;
    const uint32_t lane = threadIdx.x % GS_WARP, warp = threadIdx.x / GS_WARP;
    enum { PIECE = GS_WARP * TOGETHER };
    for (uint64_t from = begin + (uint64_t)warp * PIECE; from < end;
         from += GS_STEP_THREADS * TOGETHER) {
        const uint64_t i = from + lane * TOGETHER;
        if (aligned && end - from >= PIECE) {
            const place<TOGETHER, 1, true> at = {i, TOGETHER};
            step_elements(at, arrays, r, c);
        } else {
            const uint64_t left = i < end ? end - i : 0;
            const place<TOGETHER, 1, false> at = {
                i, (uint32_t)(left < TOGETHER ? left : TOGETHER)};
            step_elements(at, arrays, r, c);
        }
    }
}
#endif

#if GATHERS
enum {
    GATHER_SLOTS = STEP_SLOTS + 1,
    ROWS = GS_SCALED / GS_LANES, /* of GS_LANES elements, that a thread has at once */
    WIDTH = sizeof(SUMS) / sizeof(double),
};

#define ADD(name) sum.name += term.name;

/* A thread is a lane of a block of elements: it adds each GS_LANES-th in their order. */
template <class AT>
RULE_FN void gather_elements(const AT &at, void *const *arrays, const gs_record &r,
                             T grad_scale, const COEF &c, SUMS &sum)
{
    T p[AT::N], g[AT::N];
    RULE_STATE(ROOM)
    decode<G_CODE>(at, arrays[AT_G], g);
#ifndef RULE_ONLY_G
    open_parameter(at, arrays[AT_P], arrays[AT_BESIDE], p);
    RULE_STATE(OPEN)
    if (r.first) {
        RULE_COPIES(BEGIN)
    }
#endif
#pragma unroll
    for (int k = 0; k < AT::N; k++) {
#ifdef RULE_ONLY_G
        p[k] = g[k];
#endif
        STATE s = {RULE_STATE(ELEMENT)};
        SUMS term;
        K(gather)(p[k], grad_scale * g[k], &s, &c, &term);
        if ((uint32_t)(k * AT::APART) < at.left) {
            RULE_SUMS(ADD)
        }
        RULE_STATE(KEEP)
    }
#ifndef RULE_ONLY_G
    RULE_STATE(CLOSE)
#endif
}
#undef ADD

/* The sums over GS_SUM_THREADS / GS_LANES blocks, by the tree of reduce.c. */
#define OVER_LANES(name)                                                               \
    for (int apart = GS_LANES / 2; apart; apart /= 2)                                  \
        sum.name += __shfl_down_sync(0xffffffffu, sum.name, apart);

extern "C" __global__ void __launch_bounds__(GS_SUM_THREADS)
    gs_gather(const __grid_constant__ table<GATHER_SLOTS> t)
{
    enum { BLOCKS_OF = GS_SUM_THREADS / GS_LANES };
    __shared__ SUMS of_block[BLOCKS_OF];
    const uint32_t which = find_tensor(t);
    const gs_record &r = ((const gs_record *)t.head.record)[t.number[which]];
    const gs_measured *measured = (const gs_measured *)t.head.measured;
    if (measured ? measured->pass != t.head.pass : r.stays)
        return;
    const COEF c = *(const COEF *)r.coef;
    const T grad_scale =
        (T)(measured ? scale_before(r.grad_scale, t.head.pass == GS_FAR ? FAR : 1)
                     : r.grad_scale);
    void *arrays[GATHER_SLOTS + 1] = {};
#pragma unroll
    for (int k = 0; k < GATHER_SLOTS; k++)
        arrays[k] = (void *)t.slot[k][which];
    const uint64_t n = t.n[which], of = blockIdx.x - t.start[which];
    const uint32_t mine = threadIdx.x / GS_LANES, lane = threadIdx.x % GS_LANES;
    const uint64_t begin = (of * BLOCKS_OF + mine) * GS_BLOCK;
    SUMS sum = {};
    for (uint64_t from = begin; from < begin + GS_BLOCK; from += GS_SCALED) {
        const uint64_t i = from + lane, left = i < n ? n - i : 0;
        const place<ROWS, GS_LANES, false> at = {
            i, (uint32_t)(left < GS_SCALED ? left : GS_SCALED)};
        gather_elements(at, arrays, r, grad_scale, c, sum);
    }
    RULE_SUMS(OVER_LANES)
    if (lane == 0)
        of_block[mine] = sum;
    __syncthreads();
    const uint64_t blocks = (n + GS_BLOCK - 1) / GS_BLOCK - of * BLOCKS_OF;
    for (uint32_t apart = 1; apart < BLOCKS_OF; apart *= 2) {
        const uint32_t k = threadIdx.x * 2 * apart;
        if (k + apart < BLOCKS_OF && k + apart < blocks)
            for (int j = 0; j < WIDTH; j++)
                ((double *)&of_block[k])[j] += ((double *)&of_block[k + apart])[j];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        ((SUMS *)arrays[STEP_SLOTS])[of] = of_block[0];
}
#undef OVER_LANES
#endif

#undef CLOSE
#undef OPEN
#undef BEGIN
#undef STORED
#undef KEEP
#undef ELEMENT
#undef ROOM
#undef SCALE_SLOT
#undef STATE_SLOT

/* The records of the coming step, a thread for each tensor; see gs_plan_step. */
extern "C" __global__ void __launch_bounds__(GS_ONE_EACH)
    gs_prepare(const __grid_constant__ gs_prepare_table t)
{
    const uint32_t k = blockIdx.x * GS_ONE_EACH + threadIdx.x;
    if (k >= t.tensors)
        return;
    const uint32_t i = t.number[k];
    gs_record &r = ((gs_record *)t.record)[i];
    const gs_measured *measured = (const gs_measured *)t.measured;
    double *count = (double *)t.count + i;
    if (!t.again) {
        const float *found_inf = (const float *)t.found_inf;
        r.stays = (found_inf && *found_inf != 0) || (t.clips && measured->skipped);
        if (r.stays)
            return;
        float *step = (float *)t.step;
        if (step && step[i] != (float)*count)
            *count = step[i];
        *count = *count + 1;
        if (step)
            step[i] = (float)*count;
        r.first = *count == 1;
        r.grad_scale = t.grad_scale;
        if (t.amp_scale)
            r.grad_scale = r.grad_scale * (1 / (double)*(const float *)t.amp_scale);
        if (t.clips) {
            r.grad_scale = r.grad_scale * measured->clip_factor;
            r.grad_scale =
                r.grad_scale * clip_factor(t.clip_norm, t.clip_eps,
                                           measured->grad_norm * measured->clip_factor);
        }
        for (int a = 0; a <= GS_MAX_STATE; a++)
            r.key[a] = gs_key(t.seed, (uint64_t)*count, t.place[k], a);
    }
    if (r.stays)
        return;
    double hyper[GS_MAX_HYPER];
    for (int j = 0; j < GS_MAX_HYPER; j++)
        hyper[j] = t.hyper[j];
    if (t.lr)
        hyper[t.lr_at] =
            t.lr_is_double ? *(const double *)t.lr : (double)*(const float *)t.lr;
    const double *sums = !t.again ? nullptr : t.across ? measured->sum : r.sum;
    K(prepare_any)(hyper, *count, (double *)t.scalar + (uint64_t)i * t.scalars, sums,
                   r.coef);
}
