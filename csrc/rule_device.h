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
    encode_block(at, STATE_SLOT(name), SCALE_SLOT(name),                               \
                 told.record->key[1 + K(at_##name)], state_##name);
#else
#define OPEN(name) decode<S_CODE>(at, STATE_SLOT(name), state_##name);
#define CLOSE(name)                                                                    \
    encode<S_CODE>(at, STATE_SLOT(name), told.record->key[1 + K(at_##name)],           \
                   state_##name);
#endif

#if RULE_STEPS
/* The elements of one thread. States that begin as the parameter do so in the first pass
 * of a step. */
template <class AT>
RULE_FN void step_elements(const AT &at, void *const *arrays, const known &told,
                           const COEF &c)
{
    T p[AT::N], g[AT::N];
    RULE_STATE(ROOM)
    open_parameter(at, arrays[AT_P], arrays[AT_BESIDE], p);
    decode<G_CODE>(at, arrays[AT_G], g);
    scale_gradient<AT::N>(told, g);
    RULE_STATE(OPEN)
#if !GATHERS
    if (told.first) {
        RULE_COPIES(BEGIN)
    }
#endif
#pragma unroll
    for (int k = 0; k < AT::N; k++) {
        STATE s = {RULE_STATE(ELEMENT)};
#if RULE_ROOT
        const T x = K(radicand)(p[k], g[k], &s, &c);
        RULE_STATE(STORED)
        p[k] = K(update)(p[k], g[k], &s, &c, CBRT(x));
#else
        p[k] = K(update)(p[k], g[k], &s, &c);
#endif
        RULE_STATE(KEEP)
    }
    close_parameter(at, arrays[AT_P], arrays[AT_BESIDE], told.record->key[0], p);
    RULE_STATE(CLOSE)
}

/* The same one by one, neighbours by threads that are; together only where a block needs all
 * of its elements, since that takes twice the registers. */
RULE_FN void single_elements(uint64_t i, uint64_t end, void *const *arrays,
                             const known &told, const COEF &c)
{
    enum { N = ANY_BLOCKS ? TOGETHER : 1, PIECE = GS_WARP * N };
#pragma unroll 1
    for (int k = 0; k < TOGETHER; k += N, i += PIECE) {
        const uint64_t left = i < end ? end - i : 0;
        const place<N, GS_WARP, GUARDED> at = {i,
                                               (uint32_t)(left < PIECE ? left : PIECE)};
        step_elements(at, arrays, told, c);
    }
}

/* Each warp takes pieces of GS_WARP x TOGETHER elements; of the last, and of arrays that are
 * not aligned, one by one. */
extern "C" __global__ void STEP_BOUNDS
gs_step(const __grid_constant__ table<STEP_SLOTS> t)
{
    enum { PIECE = GS_WARP * TOGETHER };
    const uint32_t which = find_tensor(t);
    const gs_record &r = ((const gs_record *)t.head.record)[t.number[which]];
    if (r.stays)
        return;
    const COEF c = *(const COEF *)r.coef;
    const known told = known_of(r, r.grad_scale);
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
    for (uint64_t from = begin + (uint64_t)warp * PIECE; from < end;
         from += GS_STEP_THREADS * TOGETHER) {
        if (aligned && end - from >= PIECE) {
            const place<TOGETHER, 1, VECTORS> at = {from + lane * TOGETHER, PIECE};
            step_elements(at, arrays, told, c);
        } else {
            single_elements(from + lane, end, arrays, told, c);
        }
    }
}
#endif

#if GATHERS
enum {
    GATHER_SLOTS = STEP_SLOTS + 1,
    /* Of GS_LANES elements, that a thread has at once: a block with a scale, or as many as
     * twice the threads find room with. */
    ROWS = ANY_BLOCKS ? GS_SCALED / GS_LANES : 32 / sizeof(T),
    WIDTH = sizeof(SUMS) / sizeof(double),
    WIDE_T = sizeof(T) == sizeof(double),
};

#if RULE_SQUARES
#define ADD(name) sum.name += squared(WIDE_T ? term.name * unit.name : term.name);
RULE_FN double squared(double x)
{
    return x * x;
}
#else
#define ADD(name) sum.name += term.name;
#endif

/* A thread is a lane of a block of elements: it adds each GS_LANES-th in their order. */
template <class AT>
RULE_FN void gather_elements(const AT &at, void *const *arrays, const known &told,
                             const COEF &c, bool again, const SUMS &unit, SUMS &sum)
{
    T p[AT::N], g[AT::N];
    RULE_STATE(ROOM)
    (void)again, (void)unit;
    decode<G_CODE>(at, arrays[AT_G], g);
    scale_gradient<AT::N>(told, g);
#ifndef RULE_ONLY_G
    open_parameter(at, arrays[AT_P], arrays[AT_BESIDE], p);
    RULE_STATE(OPEN)
    if (told.first && !again) {
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
#if RULE_ADVANCES
        if (!again) {
            K(advance)(p[k], g[k], &s, &c);
            RULE_STATE(KEEP)
        }
#endif
        K(terms)(p[k], g[k], &s, &c, &term);
        if (at.has(k)) {
            RULE_SUMS(ADD)
        }
    }
#if RULE_ADVANCES
    if (!again) {
        RULE_STATE(CLOSE)
    }
#endif
}
#undef ADD

/* The sums of one lane. Guards, which most blocks could do without, cost nothing: without
 * them the loads of all arrays come at once, and LAMB takes a quarter longer. */
RULE_FN SUMS gather_lane(void *const *arrays, uint64_t begin, uint64_t n,
                         const known &told, const COEF &c, bool again, const SUMS &unit)
{
    enum { PIECE = ROWS * GS_LANES };
    SUMS sum = {};
    for (uint64_t from = begin; from < begin + GS_BLOCK; from += PIECE) {
        const uint64_t i = from + threadIdx.x % GS_LANES, left = i < n ? n - i : 0;
        const place<ROWS, GS_LANES, GUARDED> at = {
            i, (uint32_t)(left < PIECE ? left : PIECE)};
        gather_elements(at, arrays, told, c, again, unit, sum);
    }
    return sum;
}

/* The sum over the blocks of a block of threads, by the tree of reduce.c, in of_block[0]. */
RULE_FN void add_blocks(SUMS *of_block, uint64_t blocks)
{
    __syncthreads();
    for (uint32_t apart = 1; apart < GS_SUM_BLOCKS; apart *= 2) {
        const uint32_t k = threadIdx.x * 2 * apart;
        if (k + apart < GS_SUM_BLOCKS && k + apart < blocks)
            for (int j = 0; j < WIDTH; j++)
                ((double *)&of_block[k])[j] += ((double *)&of_block[k + apart])[j];
        __syncthreads();
    }
}

/* Squares of float leave the range of double only by a unit, which may come later. */
#define IN_UNITS(name) sum.name = sum.name * units.name * units.name;

/* The units of a tensor, of which it returns whether its sums are taken with them. */
RULE_FN bool find_units(const gs_head &head, gs_record &r, SUMS &unit)
{
    double *units = (double *)&unit;
    const double whole = head.pass == GS_FAR ? FAR : head.pass == GS_NEAR ? NEAR : 1;
    bool again = head.measured ? whole != 1 : head.again == GS_ALL_AGAIN;
#pragma unroll
    for (int k = 0; k < WIDTH; k++) {
        units[k] = head.measured          ? scale_with(r.grad_scale, whole)
                   : WIDE_T && head.again ? unit_of(r.sum[k])
                                          : 1;
        if (!head.measured) {
            again |= units[k] != 1;
            r.unit[k] = units[k];
        }
    }
    return again;
}

#define OVER_LANES(name)                                                               \
    for (int apart = GS_LANES / 2; apart; apart /= 2)                                  \
        sum.name += __shfl_down_sync(0xffffffffu, sum.name, apart);

extern "C" __global__ void __launch_bounds__(GS_SUM_THREADS)
    gs_gather(const __grid_constant__ table<GATHER_SLOTS> t)
{
    __shared__ SUMS of_block[GS_SUM_BLOCKS];
    const uint32_t which = find_tensor(t);
    gs_record &r = ((gs_record *)t.head.record)[t.number[which]];
    const gs_measured *measured = (const gs_measured *)t.head.measured;
    if (measured ? measured->pass != t.head.pass : r.stays)
        return;
    SUMS units;
    const bool again = find_units(t.head, r, units);
    if (t.head.again && !again)
        return;
    const COEF c = *(const COEF *)r.coef;
    const double scale =
        measured ? scale_before(r.grad_scale, again ? FAR : 1) : r.grad_scale;
    const known told = known_of(r, scale);
    void *arrays[GATHER_SLOTS + 1] = {};
#pragma unroll
    for (int k = 0; k < GATHER_SLOTS; k++)
        arrays[k] = (void *)t.slot[k][which];
    const uint64_t n = t.n[which], of = blockIdx.x - t.start[which];
    const uint64_t first = of * GS_SUM_BLOCKS, mine = threadIdx.x / GS_LANES;
    SUMS sum = gather_lane(arrays, (first + mine) * GS_BLOCK, n, told, c, again, units);
#if RULE_SQUARES
    if (again && !WIDE_T) {
        RULE_SUMS(IN_UNITS)
    }
#endif
    RULE_SUMS(OVER_LANES)
    if (threadIdx.x % GS_LANES == 0)
        of_block[mine] = sum;
    add_blocks(of_block, (n + GS_BLOCK - 1) / GS_BLOCK - first);
    if (threadIdx.x == 0)
        ((SUMS *)arrays[STEP_SLOTS])[of] = of_block[0];
}
#undef OVER_LANES
#undef IN_UNITS
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

/* Counts a step, and scales gradients; false if none is taken. A count that users have
 * changed to what is none stays ours. */
RULE_FN bool begin_step(const gs_prepare_table &t, uint32_t k, gs_record &r)
{
    const float *found_inf = (const float *)t.found_inf;
    gs_measured *measured = (gs_measured *)t.measured;
    const bool overflows = found_inf && *found_inf != 0;
    r.stays = overflows || (t.clips && measured->skipped);
    if (overflows && t.clips)
        measured->skipped = 1;
    if (r.stays)
        return false;
    double *count = (double *)t.count + t.number[k];
    float *step = t.step ? (float *)t.step + t.number[k] : nullptr;
    if (step && *step != (float)*count && *step >= 0 && *step < 0x1p53f)
        *count = floor((double)*step);
    *count = *count + 1;
    if (step)
        *step = (float)*count;
    r.first = *count == 1;
    gs_factor scale = {scale_of(t.grad_scale, (const float *)t.amp_scale), 1};
    if (t.clips) {
        const gs_factor clip = {measured->clip[0], measured->clip[1]};
        const gs_norm norm = {measured->norm[0], measured->norm[1]};
        scale = scale_by(scale, clip);
        scale = scale_by(scale,
                         clip_factor(t.clip_norm, t.clip_eps, norm_after(norm, clip)));
    }
    r.grad_scale = scale.factor;
    r.grad_power = scale.power;
    for (int k = 0; k < GS_MAX_SUMS; k++)
        r.unit[k] = 1;
    for (int a = 0; a <= GS_MAX_STATE; a++)
        r.key[a] = gs_key(t.seed, (uint64_t)*count, t.place[k], a);
    return true;
}

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
    if (t.again ? r.stays : !begin_step(t, k, r))
        return;
    double hyper[GS_MAX_HYPER];
    for (int j = 0; j < GS_MAX_HYPER; j++)
        hyper[j] = t.hyper[j];
    if (t.lr)
        hyper[t.lr_at] =
            t.lr_is_double ? *(const double *)t.lr : (double)*(const float *)t.lr;
    const double *sums = !t.again ? nullptr : t.across ? measured->sum : r.sum;
#if RULE_SQUARES
    for (int j = 0; j < WIDTH && t.again; j++)
        r.norm[j] = length(sums[j]) / r.unit[j];
    sums = t.again ? r.norm : nullptr;
#endif
    K(prepare_any)(hyper, ((const double *)t.count)[i],
                   (double *)t.scalar + (uint64_t)i * t.scalars, sums, r.coef);
}
