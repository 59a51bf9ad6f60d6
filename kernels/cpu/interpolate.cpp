// Interpolation along one dimension: resample resample_bwd.
//
// y[o] = the sum of weight * x[index] over the taps of output o, of which there is one (nearest), two
//   (linear), four (cubic, A = -0.75) or a window (area). With scale s (inputs an output) and
//   u = s * (o + 0.5) - 0.5, or s * o with align_corners: nearest takes floor(s * o), nearest-exact
//   floor(s * (o + 0.5)), linear floor(u) and the next with weights 1 - t and t, t = u - floor(u), u not
//   below 0; cubic the four around u. Indices beyond the ends are the ends. Area: the mean of
//   [floor(o * in / out), ceil((o + 1) * in / out)). resample_bwd is the adjoint.
// Layout: contiguous (outer, size, inner).
// Split: the taps of all outputs (for the backward: of all inputs) are listed once; then a block is a
//   number of output rows. Each result is a sum in the order of its taps.
// Lanes are neighbours of a row; along a line neighbouring outputs, whose taps are picked out of two
//   vectors of the line: places and weights of each vector of outputs are made once a call.
// Working set: the list, 16 bytes a tap (lines: 8 more); a few rows of inner elements.
// Cost: reads x once for each tap (from cache), writes y once.
// Accuracy: coordinates in float64 (nearest: as PyTorch, in the element's type); sums in T.
#include "lists/interpolate.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 16384;
enum Mode : int64_t { kNearest, kNearestExact, kLinear, kCubic, kArea };

struct Map {
  int64_t in, out, mode;
  bool align;
  double scale;
};

inline double scale_of(const Map& m) {
  if (m.align)
    return m.out > 1 ? static_cast<double>(m.in - 1) / static_cast<double>(m.out - 1) : 0;
  return m.scale > 0 ? 1 / m.scale : static_cast<double>(m.in) / static_cast<double>(m.out);
}

inline int64_t clamp(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

inline void cubic_weights(double t, double (&w)[4]) {
  constexpr double a = -0.75;  // PyTorch's
  const auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  w[0] = far(t + 1);
  w[1] = near(t);
  w[2] = near(1 - t);
  w[3] = far(2 - t);
}

// Calls tap(index, weight) for each tap of output o.
template <class T, class F>
void for_taps(const Map& m, double scale, int64_t o, const F& tap) {
  if (m.mode == kNearest || m.mode == kNearestExact) {
    const T at = static_cast<T>(scale) * (static_cast<T>(o) + T(m.mode == kNearest ? 0 : 0.5));
    tap(clamp(static_cast<int64_t>(__builtin_floorf(static_cast<float>(at))), m.in), 1.0);
    return;
  }
  if (m.mode == kArea) {
    const int64_t begin = o * m.in / m.out, end = ((o + 1) * m.in + m.out - 1) / m.out;
    for (int64_t i = begin; i < end; ++i) tap(i, 1.0 / static_cast<double>(end - begin));
    return;
  }
  const auto place = static_cast<double>(o);
  double u = m.align ? scale * place : scale * (place + 0.5) - 0.5;
  if (m.mode == kLinear && u < 0) u = 0;
  const double floor = __builtin_floor(u), t = u - floor;
  const auto i = static_cast<int64_t>(floor);
  if (m.mode == kLinear) {
    tap(clamp(i, m.in), 1 - t);
    tap(clamp(i + 1, m.in), t);
    return;
  }
  double w[4];
  cubic_weights(t, w);
  for (int k = 0; k < 4; ++k) tap(clamp(i - 1 + k, m.in), w[k]);
}

// Result r has the taps [start[r], start[r + 1]).
template <class T>
struct Taps {
  int64_t* start;
  int64_t* index;
  T* weight;
};

template <class T>
size_t bytes_of(int64_t results, int64_t taps) {
  return static_cast<size_t>(results + 2) * sizeof(int64_t) +
         static_cast<size_t>(taps) * (sizeof(int64_t) + sizeof(T));
}

// The taps of all outputs, or, turned around, the outputs that each input goes to, in their order.
template <class T>
void list_taps(const Map& m, bool turned, const Taps<T>& list) {
  const double scale = scale_of(m);
  const int64_t results = turned ? m.in : m.out;
  for (int64_t r = 0; r <= results + 1; ++r) list.start[r] = 0;
  // start[r + 2] counts; after the sums start[r + 1] is where r's next tap goes.
  for (int64_t o = 0; o < m.out; ++o) {
    for_taps<T>(m, scale, o, [&](int64_t i, double) { ++list.start[(turned ? i : o) + 2]; });
  }
  for (int64_t r = 2; r <= results + 1; ++r) list.start[r] += list.start[r - 1];
  for (int64_t o = 0; o < m.out; ++o) {
    for_taps<T>(m, scale, o, [&](int64_t i, double w) {
      const int64_t at = list.start[(turned ? i : o) + 1]++;
      list.index[at] = turned ? o : i;
      list.weight[at] = static_cast<T>(w);
    });
  }
}

// One row of n neighbouring elements: the sum of its taps' rows.
template <class T>
GS_INLINE void sum_rows(const Taps<T>& list, int64_t r, const T* x, int64_t n, T* y) {
  const int64_t begin = list.start[r], end = list.start[r + 1];
  if (end - begin == 1 && list.weight[begin] == T(1)) {
    __builtin_memcpy(y, x + list.index[begin] * n, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    const int64_t m = min64(kLanes<T>, n - i);
    Vec<T> sum{};
    for (int64_t k = begin; k < end; ++k) {
      const T* const p = x + list.index[k] * n + i;
      sum += (m == kLanes<T> ? load<T>(p) : load_n<T>(p, m)) * list.weight[k];
    }
    if (m == kLanes<T>) {
      store<T>(y + i, sum);
    } else {
      store_n<T>(y + i, sum, m);
    }
  }
}

// A line of single elements; `taps` is how many each has, 0: they vary.
template <class T, int taps>
void sum_line(const Taps<T>& list, int64_t results, const T* x, T* y) {
  for (int64_t r = 0; r < results; ++r) {
    const int64_t begin = taps ? r * taps : list.start[r];
    const int64_t count = taps ? taps : list.start[r + 1] - begin;
    T sum = 0;
    for (int64_t k = begin; k < begin + count; ++k) sum += x[list.index[k]] * list.weight[k];
    y[r] = sum;
  }
}

// The same line by vectors of results: tap k of vector v is two vectors of the line from base[v * taps + k]
// on, of which it takes lanes `pick`; a lane that has no such tap has pick -1.
template <class T>
constexpr bool kPicks =
    GS_VECTOR_BYTES >= 32 && sizeof(T) == 4;  // SSE cannot permute by a vector of places

template <class T>
struct Picks {
  int64_t taps, vectors;
  bool whole;  // every result has all taps
  int64_t* base;
  IntOf<T>* pick;
  T* weight;
};

// How many taps a result has, at most `limit`.
template <class T>
bool count_taps(const Taps<T>& list, int64_t results, int64_t limit, Picks<T>& picks) {
  int64_t least = limit + 1, most = 0;
  for (int64_t r = 0; r < results; ++r) {
    const int64_t count = list.start[r + 1] - list.start[r];
    least = min64(least, count);
    most = max64(most, count);
  }
  picks.taps = most;
  picks.whole = least == most;
  return most <= limit;
}

// Where the arrays are, in memory for count_taps' limit.
template <class T>
bool place_picks(char* memory, Picks<T>& picks) {
  const int64_t n = picks.vectors * picks.taps;
  picks.pick = reinterpret_cast<IntOf<T>*>(memory);
  picks.weight = reinterpret_cast<T*>(memory + n * GS_VECTOR_BYTES);
  picks.base = reinterpret_cast<int64_t*>(memory + 2 * n * GS_VECTOR_BYTES);
  return true;
}

// Fills in `picks`; false: a vector's results lie too far apart.
template <class T>
bool pick_taps(const Taps<T>& list, int64_t results, int64_t sources, const Picks<T>& picks) {
  constexpr int64_t kN = kLanes<T>;
  for (int64_t v = 0; v < picks.vectors; ++v) {
    for (int64_t k = 0; k < picks.taps; ++k) {
      const int64_t at = v * picks.taps + k;
      const auto index = [&](int64_t lane) {
        const int64_t r = v * kN + lane;
        if (r >= results || list.start[r] + k >= list.start[r + 1]) return int64_t{-1};
        return list.start[r] + k;
      };
      int64_t least = sources, most = 0;
      for (int64_t i = 0; i < kN; ++i) {
        if (index(i) < 0) continue;
        const int64_t place = list.index[index(i)];
        least = place < least ? place : least;
        most = max64(most, place);
      }
      least = max64(min64(least, sources - 2 * kN), 0);
      if (most - least >= 2 * kN) return false;
      picks.base[at] = least;
      for (int64_t i = 0; i < kN; ++i) {
        const int64_t tap = index(i);
        picks.pick[at * kN + i] = static_cast<IntOf<T>>(tap < 0 ? -1 : list.index[tap] - least);
        picks.weight[at * kN + i] = tap < 0 ? T(0) : list.weight[tap];
      }
    }
  }
  return true;
}

template <class T, bool whole>
void pick_line(const Picks<T>& picks, int64_t results, int64_t sources, const T* x, T* y) {
  constexpr int64_t kN = kLanes<T>;
  const bool is_long = sources >= 2 * kN;
  Vec<T> low{}, high{};
  if (!is_long) {  // then every base is 0
    low = sources >= kN ? load<T>(x) : load_n<T>(x, sources);
    if (sources > kN) high = load_n<T>(x + kN, sources - kN);
  }
  for (int64_t v = 0, at = 0; v < picks.vectors; ++v) {
    Vec<T> sum{};
    for (int64_t k = 0; k < picks.taps; ++k, ++at) {
      if (is_long) {
        low = load<T>(x + picks.base[at]);
        high = load<T>(x + picks.base[at] + kN);
      }
      const auto pick =
          bit_cast<IVec<T>>(load<T>(reinterpret_cast<const T*>(picks.pick) + at * kN));
      const Vec<T> value = shuffle<T>(low, high, pick);
      const Vec<T> next = sum + value * load<T>(picks.weight + at * kN);
      sum = whole ? next : pick >= 0 ? next : sum;
    }
    if (const int64_t n = results - v * kN; n >= kN) {
      store<T>(y + v * kN, sum);
    } else {
      store_n<T>(y + v * kN, sum, n);
    }
  }
}

template <class T>
Status resample_typed(const Map& m, bool turned, const Array& from, const Array& to, int64_t outer,
                      int64_t inner) {
  const int64_t results = turned ? m.in : m.out, sources = turned ? m.out : m.in;
  const int64_t most = m.mode == kArea ? m.in + m.out
                                       : m.out * (m.mode == kCubic    ? 4
                                                  : m.mode == kLinear ? 2
                                                                      : 1);
  Picks<T> picks{};
  picks.vectors = (results + kLanes<T> - 1) / kLanes<T>;
  const bool may_pick = kPicks<T> && inner == 1 && m.mode != kArea && outer > 16 &&
                        results >= kLanes<T> / 2 && sources <= 4 * results;
  // Turned around, an input has the taps of out / in outputs, and one or two at the borders more.
  const int64_t per_result = m.mode == kCubic ? 4 : m.mode == kLinear ? 2 : 1;
  const int64_t most_taps = turned ? per_result * (m.out / m.in + 3) : per_result;
  const auto listed = static_cast<int64_t>(bytes_of<T>(results, most) + 63) / 64 * 64;
  const int64_t lanes_of_taps = may_pick ? picks.vectors * most_taps : 0;
  const auto bytes = static_cast<size_t>(listed + lanes_of_taps * (2 * GS_VECTOR_BYTES + 8));
  char* const memory = static_cast<char*>(allocate(bytes));
  if (!memory) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  Taps<T> list;
  list.start = reinterpret_cast<int64_t*>(memory);
  list.index = list.start + results + 2;
  list.weight = reinterpret_cast<T*>(list.index + most);
  list_taps<T>(m, turned, list);
  const T* const x = reinterpret_cast<const T*>(from.data);
  T* const y = reinterpret_cast<T*>(to.data);
  if (inner > 1) {
    parallel_for(outer * results, max64(kBlock / inner, 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        sum_rows<T>(list, i % results, x + i / results * sources * inner, inner, y + i * inner);
      }
    });
  } else if (kPicks<T> && may_pick && count_taps<T>(list, results, most_taps, picks) &&
             place_picks<T>(memory + listed, picks) &&
             pick_taps<T>(list, results, sources, picks)) {
    const auto line = picks.whole ? pick_line<T, true> : pick_line<T, false>;
    parallel_for(outer, max64(kBlock / results, 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        line(picks, results, sources, x + i * sources, y + i * results);
      }
    });
  } else {
    auto line = sum_line<T, 0>;
    if (!turned && m.mode == kLinear) line = sum_line<T, 2>;
    if (!turned && (m.mode == kNearest || m.mode == kNearestExact)) line = sum_line<T, 1>;
    if (!turned && m.mode == kCubic) line = sum_line<T, 4>;
    parallel_for(outer, max64(kBlock / results, 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) line(list, results, x + i * sources, y + i * results);
    });
  }
  release(memory, bytes);
  return kDone;
}

// Both shapes are those of the other's but along dim.
Status run(const Array& from, const Array& to, int64_t dim, Map m, bool turned) {
  if (from.dtype != DType::kFloat32 && from.dtype != DType::kFloat64) return kNoDType;
  if (from.ndim != to.ndim || dim < 0 || dim >= from.ndim || m.mode < kNearest || m.mode > kArea) {
    return {Code::kShape, {0, 0}};
  }
  int64_t outer = 1, inner = 1;
  for (int d = 0; d < from.ndim; ++d) {
    if (d == dim) continue;
    if (from.shape[d] != to.shape[d]) return {Code::kShape, {0, 0}};
    (d < dim ? outer : inner) *= from.shape[d];
  }
  m.in = (turned ? to : from).shape[dim];
  m.out = (turned ? from : to).shape[dim];
  if (to.size == 0) return kDone;
  if (from.size == 0) return {Code::kShape, {0, 0}};
  return from.dtype == DType::kFloat32 ? resample_typed<float>(m, turned, from, to, outer, inner)
                                       : resample_typed<double>(m, turned, from, to, outer, inner);
}

}  // namespace

Status resample(const ResampleArgs& args) {
  const Map m{0, 0, args.mode, args.align_corners, args.scale};
  return run(args.x, args.y, args.dim, m, false);
}

Status resample_bwd(const ResampleBwdArgs& args) {
  const Map m{0, 0, args.mode, args.align_corners, args.scale};
  return run(args.grad_y, args.grad_x, args.dim, m, true);
}

}  // namespace GS_ISA
}  // namespace gradsmith
