/* emulation.h: CUDA's words for kernels that are compiled as C++, so that they can be run,
 * and watched by sanitizers, without a device. The threads of a block are fibers, one
 * running at a time; those that wait for others let them run. */
#ifndef EMULATION_H
#define EMULATION_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <vector>

#define __global__
#define __grid_constant__
#define __launch_bounds__(...)
#define __shared__ static

struct index {
    unsigned x;
};
static struct index blockIdx, threadIdx;

enum { LANES = 32, STACK = 1 << 17 };

struct fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(STACK);
    bool done = false;
};

static ucontext_t scheduler;
static std::vector<fiber> fibers;

static void let_others_run()
{
    swapcontext(&fibers[threadIdx.x].context, &scheduler);
}

/* Threads that have to meet. */
struct meeting {
    unsigned arrived, generation;
    void wait(unsigned all)
    {
        const unsigned mine = generation;
        if (++arrived == all) {
            arrived = 0;
            generation++;
        }
        while (mine == generation)
            let_others_run();
    }
};

static meeting of_block;
static std::vector<meeting> of_warp;
static std::vector<uint64_t> told;

static void __syncthreads()
{
    of_block.wait((unsigned)fibers.size());
}

static void __syncwarp()
{
    of_warp[threadIdx.x / LANES].wait(LANES);
}

/* What lane `from` of our warp says, of all 32 lanes. */
template <class X> X exchange(X mine, unsigned from)
{
    const unsigned warp = threadIdx.x / LANES;
    X found;
    memcpy(&told[threadIdx.x], &mine, sizeof mine);
    of_warp[warp].wait(LANES);
    memcpy(&found, &told[warp * LANES + from], sizeof found);
    of_warp[warp].wait(LANES);
    return found;
}

template <class X> X __shfl_xor_sync(unsigned, X x, int lanes)
{
    return exchange(x, threadIdx.x % LANES ^ (unsigned)lanes);
}

template <class X> X __shfl_down_sync(unsigned, X x, int lanes)
{
    const unsigned lane = threadIdx.x % LANES, from = lane + (unsigned)lanes;
    return exchange(x, from < LANES ? from : lane);
}

static void (*work)();

static void begin()
{
    work();
    fibers[threadIdx.x].done = true;
    swapcontext(&fibers[threadIdx.x].context, &scheduler);
}

static void run_block(unsigned threads)
{
    of_block = {};
    of_warp.assign(threads / LANES + 1, {});
    told.assign(threads + LANES, 0);
    fibers.resize(threads);
    for (auto &f : fibers) {
        f.done = false;
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = STACK;
        f.context.uc_link = nullptr;
        makecontext(&f.context, begin, 0);
    }
    for (bool going = true; going;) {
        going = false;
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) {
            if (fibers[threadIdx.x].done)
                continue;
            swapcontext(&scheduler, &fibers[threadIdx.x].context);
            going = true;
        }
    }
}

/* A launch of a kernel whose one parameter begins at `argument`. */
template <class A>
void emulate(void (*kernel)(A), const void *argument, unsigned grid, unsigned threads)
{
    static void (*now)(A);
    static A parameter;
    now = kernel;
    memcpy((void *)&parameter, argument, sizeof parameter);
    work = [] { now(parameter); };
    for (blockIdx.x = 0; blockIdx.x < grid; blockIdx.x++)
        run_block(threads);
}

#define EMULATED(kernel)                                                               \
    extern "C" void emulate_##kernel(const void *argument, unsigned grid,              \
                                     unsigned threads)                                 \
    {                                                                                  \
        emulate(kernel, argument, grid, threads);                                      \
    }

#endif
