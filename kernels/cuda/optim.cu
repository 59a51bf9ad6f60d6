// Optimizer kernels, in place, many tensors a launch: sgd_step adam_step.
//
// Formula   sgd: g = grad (-grad to maximize) + weight_decay * p; with momentum b = momentum * b +
//           (1 - dampening) * g, on the first step b = g; d = b, or g + momentum * b (Nesterov);
//           p -= lr * d.
//           adam: g as above (decoupled: p *= 1 - lr * weight_decay instead); m += (1 - beta1) *
//           (g - m); v = beta2 * v + (1 - beta2) * g * g;
//           p -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps).
// Layout    all contiguous. The tensors' addresses and sizes travel in the launch's arguments, up to
//           kTensors a launch.
// Split     a block is kBlock elements of one tensor, which it finds by its number; a thread takes 16
//           bytes of each array where all four are aligned, else one element.
// Memory    no shared memory.
// Cost      sgd reads p and grad (and b), writes p (and b); adam reads p, grad, m, v, writes p, m, v.
// Accuracy  a few ULP; the coefficients are rounded from float64 to the tensors' type on the host.
// Limits    2^31 - 1 blocks a launch, of kBlock elements.
// Source    torch.optim's single-tensor formulas; Sutskever et al. 2013; Kingma and Ba 2015;
//           Loshchilov and Hutter 2019 (decoupled).
#include "common.cuh"

using gs::int64;
using gs::uint64;

constexpr int kTensors = 64;
constexpr int kBlock = 4096;
constexpr int kVectorBytes = 16;

struct Tensor {
  void* param;
  const void* grad;
  void* state0;  // nullptr: none
  void* state1;
  int64 size;
  int64 first_block;  // of the launch's
};

struct Tensors {
  int64 count;
  Tensor tensor[kTensors];
};

__device__ __forceinline__ float square_root(float x) { return sqrtf(x); }
__device__ __forceinline__ double square_root(double x) { return sqrt(x); }

template <class T>
struct Sgd {
  T lr, momentum, gradient_share, weight_decay, sign;
  int has_momentum, nesterov, first;
  static constexpr int kStates = 1;

  __device__ __forceinline__ bool reads_state() const { return has_momentum && !first; }
  __device__ __forceinline__ bool writes_state() const { return has_momentum; }

  __device__ __forceinline__ void step(T& p, T g, T (&state)[2]) const {
    g *= sign;
    if (weight_decay != T(0)) g += p * weight_decay;
    if (has_momentum) {
      state[0] = first ? g : state[0] * momentum + g * gradient_share;
      g = nesterov ? g + state[0] * momentum : state[0];
    }
    p -= g * lr;
  }
};

template <class T>
struct Adam {
  T step_size, one_minus_beta1, beta2, one_minus_beta2, inverse_root, eps, weight_decay, shrink,
      sign;
  int decoupled;
  static constexpr int kStates = 2;

  __device__ __forceinline__ bool reads_state() const { return true; }
  __device__ __forceinline__ bool writes_state() const { return true; }

  __device__ __forceinline__ void step(T& p, T g, T (&state)[2]) const {
    g *= sign;
    if (weight_decay != T(0)) {
      if (decoupled) {
        p *= shrink;
      } else {
        g += p * weight_decay;
      }
    }
    state[0] += (g - state[0]) * one_minus_beta1;
    state[1] = state[1] * beta2 + g * g * one_minus_beta2;
    p -= state[0] * step_size / (square_root(state[1]) * inverse_root + eps);
  }
};

// kCount elements from i on.
template <int kCount, class T, class Rule>
__device__ __forceinline__ void step_at(const Rule& rule, T* p, const T* grad,
                                        T* const (&states)[2], int64 i) {
  using Lanes = gs::Vector<T, kCount>;
  Lanes value = *reinterpret_cast<const Lanes*>(p + i);
  const Lanes g = *reinterpret_cast<const Lanes*>(grad + i);
  Lanes state[2] = {};
  if (rule.reads_state()) {
#pragma unroll
    for (int k = 0; k < Rule::kStates; ++k) {
      state[k] = *reinterpret_cast<const Lanes*>(states[k] + i);
    }
  }
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    T own[2] = {state[0].value[j], state[1].value[j]};
    rule.step(value.value[j], g.value[j], own);
    state[0].value[j] = own[0];
    state[1].value[j] = own[1];
  }
  *reinterpret_cast<Lanes*>(p + i) = value;
  if (rule.writes_state()) {
#pragma unroll
    for (int k = 0; k < Rule::kStates; ++k) *reinterpret_cast<Lanes*>(states[k] + i) = state[k];
  }
}

template <class T, class Rule>
__device__ __forceinline__ void step_block(const Tensors& tensors, const Rule& rule) {
  // The last tensor whose first block is not after this one.
  int low = 0, high = static_cast<int>(tensors.count) - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (tensors.tensor[middle].first_block <= static_cast<int64>(blockIdx.x)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  const Tensor& tensor = tensors.tensor[low];
  T* const p = static_cast<T*>(tensor.param);
  const T* const grad = static_cast<const T*>(tensor.grad);
  T* const states[2] = {static_cast<T*>(tensor.state0), static_cast<T*>(tensor.state1)};
  const int64 begin = (static_cast<int64>(blockIdx.x) - tensor.first_block) * kBlock;
  const int64 end = min(begin + kBlock, tensor.size);
  constexpr int kLanes = kVectorBytes / sizeof(T);
  const uint64 addresses =
      reinterpret_cast<uint64>(tensor.param) | reinterpret_cast<uint64>(tensor.grad) |
      reinterpret_cast<uint64>(tensor.state0) | reinterpret_cast<uint64>(tensor.state1);
  int64 tail = begin;
  if (addresses % kVectorBytes == 0) {
    tail = end - (end - begin) % kLanes;
    for (int64 i = begin + threadIdx.x * kLanes; i < tail; i += blockDim.x * kLanes) {
      step_at<kLanes>(rule, p, grad, states, i);
    }
  }
  for (int64 i = tail + threadIdx.x; i < end; i += blockDim.x) step_at<1>(rule, p, grad, states, i);
}

template <class T>
__global__ void sgd_step(Tensors tensors, Sgd<T> rule) {
  step_block<T>(tensors, rule);
}

template <class T>
__global__ void adam_step(Tensors tensors, Adam<T> rule) {
  step_block<T>(tensors, rule);
}
