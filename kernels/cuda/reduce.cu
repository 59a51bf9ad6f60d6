// Reductions: sum prod mean amax amin any all amax_weight max_dim min_dim var sum_squares sum_exp.
//
// Formula   y = the fold over any set of x's dimensions: sum (divided by a count for mean), maximum,
//           maximum with its first place, number of elements equal to a given maximum.
// Layout    x of any strides; y contiguous, its elements in C order of the kept dimensions. With
//           kVector > 1 the innermost reduced dimension is contiguous and read 16 bytes at a time.
// Split     reduce: teams of 1 to 256 threads (reduce.cuh), one team a result. Neighbouring threads
//           take neighbouring reduced elements or neighbouring results, whichever lie side by side.
//           A large reduction into few results is cut into chunks (grid y), which a second launch
//           folds; the borders follow from shape and strides alone, and nothing is atomic: the same
//           bits at every run.
// Memory    one partial result a thread: 2 KB (sum, float64 maximum), 1 KB (float32), 4 KB (with
//           places).
// Cost      reads x once; amax_weight reads it twice.
// Accuracy  sums are of float64 partials: float32 results within 0.5 ULP + n * 2^-53 of the sum of
//           magnitudes, float64 within n * 2^-53 of it. NaN wins in maxima.
// Limits    16 dimensions.
#include "common.cuh"
#include "reduce.cuh"

using gs::int64;

// ---- what is reduced ---------------------------------------------------------------------------------
// Each has the types In (of x), Aux (of a second input), Out, and add(), which takes up one element:
// x[at] of result `output`, at `place` among the reduced elements.

template <class T, class To>
struct Sum : gs::AddPartials<double> {
  using In = T;
  using Aux = void;
  using Out = To;
  static __device__ __forceinline__ void add(double& sum, T x, const void*, int64, int64, int64) {
    sum += static_cast<double>(x);
  }
  static __device__ __forceinline__ void store(To* y, int64*, int64 i, double sum, double divisor) {
    y[i] = static_cast<To>(sum / divisor);
  }
};

template <class T, class To>
struct Product : gs::MultiplyPartials<double> {
  using In = T;
  using Aux = void;
  using Out = To;
  static __device__ __forceinline__ void add(double& product, T x, const void*, int64, int64,
                                             int64) {
    product *= static_cast<double>(x);
  }
  static __device__ __forceinline__ void store(To* y, int64*, int64 i, double product, double) {
    y[i] = static_cast<To>(product);
  }
};

// Elements folded in their own type by Partials.
template <class T, class Partials>
struct Fold : Partials {
  using In = T;
  using Aux = void;
  using Out = T;
  using Partial = typename Partials::Partial;
  static __device__ __forceinline__ void add(Partial& all, T x, const void*, int64, int64, int64) {
    all = Partials::combine(all, static_cast<Partial>(x));
  }
  static __device__ __forceinline__ void store(T* y, int64*, int64 i, Partial all, double) {
    y[i] = static_cast<T>(all);
  }
};
template <class T>
using Max = Fold<T, gs::MaxPartials<T>>;
template <class T>
using Min = Fold<T, gs::MinPartials<T>>;
using SumIntegers = Fold<int64, gs::AddPartials<int64>>;
using ProductIntegers = Fold<int64, gs::MultiplyPartials<int64>>;
using Any = Fold<bool, gs::OrPartials>;
using All = Fold<bool, gs::AndPartials>;

// (x - center)^2; without centers x^2.
template <class T, class To>
struct Squares : gs::AddPartials<double> {
  using In = T;
  using Aux = double;
  using Out = To;
  static __device__ __forceinline__ void add(double& sum, T x, const double* centers, int64 output,
                                             int64, int64) {
    const double d = static_cast<double>(x) - (centers ? centers[output] : 0.0);
    sum += d * d;
  }
  static __device__ __forceinline__ void store(To* y, int64*, int64 i, double sum, double divisor) {
    y[i] = static_cast<To>(sum / divisor);
  }
};

template <class T, class To>
struct SumExp : gs::AddPartials<double> {
  using In = T;
  using Aux = T;
  using Out = To;
  static __device__ __forceinline__ void add(double& sum, T x, const T* centers, int64 output,
                                             int64, int64) {
    sum += exp(static_cast<double>(x) - static_cast<double>(centers[output]));
  }
  static __device__ __forceinline__ void store(To* y, int64*, int64 i, double sum, double) {
    y[i] = static_cast<To>(sum);
  }
};

// How many elements equal aux[output].
template <class T, class To>
struct Ties : gs::AddPartials<double> {
  using In = T;
  using Aux = T;
  using Out = To;
  static __device__ __forceinline__ void add(double& ties, T x, const T* maxima, int64 output,
                                             int64, int64) {
    ties += x == maxima[output] ? 1.0 : 0.0;
  }
  static __device__ __forceinline__ void store(To* y, int64*, int64 i, double ties, double) {
    y[i] = static_cast<To>(ties);
  }
};

// A maximum and where it stood; place -1 is no element.
template <class T>
struct Placed {
  T value;
  int64 place;
};

template <class T>
__device__ __forceinline__ Placed<T> shuffle_partial(Placed<T> v, int lanes) {
  return {__shfl_xor_sync(0xffffffffu, v.value, lanes),
          __shfl_xor_sync(0xffffffffu, v.place, lanes)};
}

// The first maximum (or with kMin minimum), or the first NaN. With kFolded the elements are those of
// chunks and their places are in aux.
template <class T, bool kMin, bool kFolded>
struct Place {
  using In = T;
  using Aux = int64;
  using Out = T;
  using Partial = Placed<T>;
  static __device__ __forceinline__ Partial identity() { return {T(0), -1}; }
  static __device__ __forceinline__ Partial combine(Partial a, Partial b) {
    if (a.place < 0) return b;
    if (b.place < 0) return a;
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    const bool equal = a.value == b.value || (a_nan && b_nan);
    const bool b_wins = equal ? b.place < a.place
                              : !a_nan && (b_nan || (kMin ? b.value < a.value : b.value > a.value));
    return b_wins ? b : a;
  }
  static __device__ __forceinline__ void add(Partial& best, T x, const int64* places, int64,
                                             int64 at, int64 place) {
    best = combine(best, {x, kFolded ? places[at] : place});
  }
  static __device__ __forceinline__ void store(T* y, int64* places, int64 i, Partial best, double) {
    y[i] = best.value;
    places[i] = best.place;
  }
};

// ---- the fold ------------------------------------------------------------------------------------------

// y[c * outputs + o] = the fold of chunk c = blockIdx.y of result o's elements. `extent` and `chunk`
// count vectors of kVector elements; `tail` elements more lie behind the last.
template <class R, int kVector>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    reduce(const typename R::In* x, const typename R::Aux* aux, typename R::Out* y, int64* places,
           gs::StridedLoop<1> kept, gs::StridedLoop<1> reduced, int64 outputs, int64 extent,
           int64 chunk, int tail, int lanes, int along, double divisor) {
  using In = typename R::In;
  using Partial = typename R::Partial;
  using Elements = gs::Vector<In, kVector>;
  GS_SHARED(Partial[gs::kTeamThreads], shared);
  const gs::Team team(lanes, along != 0);
  const int64 begin = blockIdx.y * chunk;
  const int64 end = min(begin + chunk, extent);
  const bool has_tail = blockIdx.y == gridDim.y - 1 && team.lane < tail;
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < outputs;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    const int64 output = first + team.slot;
    Partial sums[kVector];
#pragma unroll
    for (int j = 0; j < kVector; ++j) sums[j] = R::identity();
    if (output < outputs) {
      int64 row[1];
      gs::locate(kept, output, row);
      const auto add = [&](int64 i, int64 at) {
        const Elements v = *reinterpret_cast<const Elements*>(x + at);
#pragma unroll
        for (int j = 0; j < kVector; ++j) {
          R::add(sums[j], v.value[j], aux, output, at + j, i * kVector + j);
        }
      };
      if (reduced.ndim == 1) {
        const int64 stride = reduced.stride[0][0];
#pragma unroll 4
        for (int64 i = begin + team.lane; i < end; i += team.lanes) add(i, row[0] + i * stride);
      } else {
#pragma unroll 1
        for (int64 i = begin + team.lane; i < end; i += team.lanes) {
          int64 at[1];
          gs::locate(reduced, i, at);
          add(i, row[0] + at[0]);
        }
      }
      if (has_tail) {
        const int64 i = extent * kVector + team.lane;
        R::add(sums[0], x[row[0] + i], aux, output, row[0] + i, i);
      }
    }
#pragma unroll
    for (int j = 1; j < kVector; ++j) sums[0] = R::combine(sums[0], sums[j]);
    const Partial all = gs::fold_team<R>(team, sums[0], shared);
    if (output < outputs && team.lane == 0) {
      R::store(y, places, blockIdx.y * outputs + output, all, divisor);
    }
  }
}

// ---- the weights of maxima ----------------------------------------------------------------

// w = (x == y) / ties; NaN where no element equals y (a NaN). Operand 0 is x, 1 is y and ties.
template <class T>
__global__ void amax_weight(const T* x, const T* y, const T* ties, T* w, gs::StridedLoop<2> loop,
                            int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    const T count = ties[at[1]];
    w[i] = (x[at[0]] == y[at[1]] ? T(1) : T(0)) / count;
  }
}
