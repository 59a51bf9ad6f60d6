// Optimizer kernels, in place, many tensors a launch: sgd_step adagrad_step adadelta_step
// rmsprop_step adam_step adamax_step nadam_step radam_step lion_step rprop_step asgd_step lerp_step
// clip_step; total_norm.
//
// Formula   optim_rules.cuh, one text for both devices. total_norm: (sum |x|^p)^(1/p) over all
//           elements of all tensors; p = inf: the largest magnitude, -inf: the smallest, 0: the number
//           of elements that are not 0.
// Layout    all contiguous. The tensors' addresses and sizes travel in the launch's arguments, up to
//           kTensors a launch. The total norm stays on the device: a step that clips reads it there.
// Split     a block is kBlock elements of one tensor, which it finds by its number; a thread takes 16
//           bytes of each array where all are aligned, else one element. A norm's blocks each leave a
//           partial result in double; one block then combines them.
// Memory    steps: no shared memory; norms: 2 KB for the block's partial results.
// Cost      a step reads p, g and its states, writes p and its states; a norm reads each element once.
// Accuracy  a few ULP; the numbers are rounded from float64 to the tensors' type on the host. Norms
//           are summed in T by a thread (kBlock / its threads elements), in double beyond.
// Limits    2^31 - 1 blocks a launch, of kBlock elements.
// Source    torch.optim's single-tensor formulas.
#include "common.cuh"

using gs::int64;
using gs::uint64;

constexpr int kTensors = 64;
constexpr int kBlock = 4096;
constexpr int kThreads = 256;
constexpr int kVectorBytes = 16;
constexpr int kStates = 3;

struct Tensor {
  void* param;
  const void* grad;
  void* state[kStates];  // nullptr: none
  int64 size;
  int64 first_block;  // of the launch's
};

struct Tensors {
  int64 count;
  Tensor tensor[kTensors];
};

#define GS_RULE __device__ __forceinline__
__device__ __forceinline__ float square_root(float x) { return sqrtf(x); }
__device__ __forceinline__ double square_root(double x) { return sqrt(x); }
#include "optim_rules.cuh"

// The last tensor whose first block is not after this one.
__device__ __forceinline__ const Tensor& tensor_of_block(const Tensors& tensors) {
  int low = 0, high = static_cast<int>(tensors.count) - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (tensors.tensor[middle].first_block <= static_cast<int64>(blockIdx.x)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return tensors.tensor[low];
}

// kCount elements from i on.
template <int kCount, class T, class Rule>
__device__ __forceinline__ void step_at(const Common<T>& common, const Rule& rule, T* p,
                                        const T* grad, T* const (&states)[kStates], int64 i) {
  using Lanes = gs::Vector<T, kCount>;
  Lanes value = *reinterpret_cast<const Lanes*>(p + i);
  const Lanes g = *reinterpret_cast<const Lanes*>(grad + i);
  Lanes state[kStates] = {};
#pragma unroll
  for (int k = 0; k < kStates; ++k) {
    if (states[k]) state[k] = *reinterpret_cast<const Lanes*>(states[k] + i);
  }
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    T own[kStates] = {state[0].value[j], state[1].value[j], state[2].value[j]};
    T own_g = g.value[j];
    common.apply(value.value[j], own_g);
    rule.step(value.value[j], own_g, own);
#pragma unroll
    for (int k = 0; k < kStates; ++k) state[k].value[j] = own[k];
  }
  *reinterpret_cast<Lanes*>(p + i) = value;
#pragma unroll
  for (int k = 0; k < kStates; ++k) {
    if (states[k]) *reinterpret_cast<Lanes*>(states[k] + i) = state[k];
  }
}

// One kernel for all optimizers. `norm`, of `norm_bytes` each: nullptr where nothing is clipped by it.
template <class T, template <class> class Rule>
__global__ void step(Tensors tensors, const void* norm, int norm_bytes, Common<T> common,
                     Rule<T> rule) {
  if (norm) {
    if (norm_bytes == 4) {
      common.clip(*static_cast<const float*>(norm));
    } else {
      common.clip(*static_cast<const double*>(norm));
    }
  }
  const Tensor& tensor = tensor_of_block(tensors);
  T* const p = static_cast<T*>(tensor.param);
  const T* const grad = static_cast<const T*>(tensor.grad);
  T* const states[kStates] = {static_cast<T*>(tensor.state[0]), static_cast<T*>(tensor.state[1]),
                              static_cast<T*>(tensor.state[2])};
  const int64 begin = (static_cast<int64>(blockIdx.x) - tensor.first_block) * kBlock;
  const int64 end = min(begin + kBlock, tensor.size);
  constexpr int kLanes = kVectorBytes / sizeof(T);
  const uint64 addresses =
      reinterpret_cast<uint64>(tensor.param) | reinterpret_cast<uint64>(tensor.grad) |
      reinterpret_cast<uint64>(tensor.state[0]) | reinterpret_cast<uint64>(tensor.state[1]) |
      reinterpret_cast<uint64>(tensor.state[2]);
  int64 tail = begin;
  if (addresses % kVectorBytes == 0) {
    tail = end - (end - begin) % kLanes;
    for (int64 i = begin + threadIdx.x * kLanes; i < tail; i += blockDim.x * kLanes) {
      step_at<kLanes>(common, rule, p, grad, states, i);
    }
  }
  for (int64 i = tail + threadIdx.x; i < end; i += blockDim.x) {
    step_at<1>(common, rule, p, grad, states, i);
  }
}

// ---- norms ----

struct OneNorm {
  static __device__ __forceinline__ double first() { return 0; }
  template <class T>
  static __device__ __forceinline__ T term(T x, double) {
    return magnitude(x);
  }
  template <class T>
  static __device__ __forceinline__ T combine(T a, T b) {
    return a + b;
  }
  static __device__ __forceinline__ double finish(double sum, double) { return sum; }
};

struct TwoNorm : OneNorm {
  template <class T>
  static __device__ __forceinline__ T term(T x, double) {
    return x * x;
  }
  static __device__ __forceinline__ double finish(double sum, double) { return sqrt(sum); }
};

struct LargestNorm : OneNorm {
  template <class T>
  static __device__ __forceinline__ T combine(T a, T b) {
    return larger(a, b);
  }
};

struct SmallestNorm : OneNorm {
  static __device__ __forceinline__ double first() {
    return static_cast<double>(__int_as_float(0x7f800000));
  }
  template <class T>
  static __device__ __forceinline__ T combine(T a, T b) {
    return smaller(a, b);
  }
};

struct CountNorm : OneNorm {
  template <class T>
  static __device__ __forceinline__ T term(T x, double) {
    return x != T(0) ? T(1) : T(0);
  }
};

struct PowerNorm : OneNorm {
  template <class T>
  static __device__ __forceinline__ T term(T x, double power) {
    return static_cast<T>(pow(static_cast<double>(magnitude(x)), power));
  }
  static __device__ __forceinline__ double finish(double sum, double power) {
    return pow(sum, 1 / power);
  }
};

// The combination of all threads' values, in thread 0.
template <class Norm>
__device__ __forceinline__ double combine_block(double v) {
  GS_SHARED(double[kThreads], partial);
  partial[threadIdx.x] = v;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < half) {
      partial[threadIdx.x] = Norm::combine(partial[threadIdx.x], partial[threadIdx.x + half]);
    }
  }
  return partial[0];
}

template <class T, class Norm>
__global__ void norm_of_blocks(Tensors tensors, double* partials, double power) {
  const Tensor& tensor = tensor_of_block(tensors);
  const T* const x = static_cast<const T*>(tensor.grad);
  const int64 begin = (static_cast<int64>(blockIdx.x) - tensor.first_block) * kBlock;
  const int64 end = min(begin + kBlock, tensor.size);
  T v = static_cast<T>(Norm::first());
  for (int64 i = begin + threadIdx.x; i < end; i += blockDim.x) {
    v = Norm::combine(v, Norm::term(x[i], power));
  }
  const double whole = combine_block<Norm>(static_cast<double>(v));
  if (threadIdx.x == 0) partials[blockIdx.x] = whole;
}

template <class T, class Norm>
__global__ void norm_of_partials(const double* partials, int64 count, double power, T* y) {
  double v = Norm::first();
  for (int64 i = threadIdx.x; i < count; i += blockDim.x) v = Norm::combine(v, partials[i]);
  const double whole = combine_block<Norm>(v);
  if (threadIdx.x == 0) *y = static_cast<T>(Norm::finish(whole, power));
}
