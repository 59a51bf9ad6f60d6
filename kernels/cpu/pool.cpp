// Maximum pooling, 1 to 3 spatial dimensions: max_pool max_pool_bwd max_pool_gather.
//
// max: y[o] = max over the window's elements inside the input; indices[o] is the place of the first
//   maximum (the last NaN: NaN wins) within the input plane. A window wholly outside the input
//   gives -inf.
// Layout: contiguous (N, C, *in); fewer than 3 spatial dimensions gain leading ones of extent 1.
// Split: a block is a number of whole planes. The backward adds in the order of the outputs within a
//   plane, so the bits do not depend on threads.
// Lanes are neighbouring outputs of a row. Windows that overlap or meet the padding: rows gain their
//   padding in a buffer (-inf, which never wins), each row's part of the windows is found once, with its
//   place, and a window is the maximum of its rows' parts, first rows first: 4 comparisons an output and
//   not 8 for 3x3. Otherwise windows are read in place; large ones, of strides of which no load picks every
//   element: first each column of an output row's windows, lanes along the input, then across a window's
//   columns (8x8 stride 8, 8 x 64 x 56 x 56: 670 -> 260 us, two Emerald Rapids cores). Rows too long for the
//   buffer: outputs at the edges are scalar.
// Working set: one input and one output plane; 32 KB of rows.
// Cost: reads x once (window rows from L1), writes y and indices once. 3x3 stride 1, 16 lanes: 3 loads, 4
//   steps of two comparisons and two blends, 6 loads and 2 stores of parts.
// Accuracy: exact.
// Limits: a plane has at most 2^31 - 1 elements (int32 indices).
#include "pass.h"
#include "pool_3x3.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// One output from its window.
template <class T>
GS_INLINE void max_pool_one(const Window& w, const T* x, Reach d, Reach h, Reach v, T* y,
                            int32_t* index) {
  T best = -T(__builtin_inf());
  int64_t at = -1;
  for (int64_t i = d.first; i < d.end; i += w.dilation[0]) {
    for (int64_t j = h.first; j < h.end; j += w.dilation[1]) {
      const int64_t row = (i * w.in[1] + j) * w.in[2];
      for (int64_t k = v.first; k < v.end; k += w.dilation[2]) {
        const T value = x[row + k];
        if (at < 0 || value > best || value != value) {
          best = value;
          at = row + k;
        }
      }
    }
  }
  *y = best;
  *index = static_cast<int32_t>(at < 0 ? 0 : at);
}

// n neighbouring outputs, n <= kLanes, the first at column `column` of the input, all inside it along
// the last dimension; the rows in reach are not empty.
template <class T, int stride>
GS_INLINE void max_pool_lanes(const Window& w, const T* x, Reach d, Reach h, int64_t column,
                              int64_t n, T* y, int32_t* indices) {
  const int64_t step = stride ? stride : w.stride[2];
  const int64_t first = (d.first * w.in[1] + h.first) * w.in[2] + column;
  const IVec<T> lanes = lane_numbers<T>() * static_cast<IntOf<T>>(step);
  Maxima<T> best{load_outputs<T, stride>(x + first, step, n), lanes + static_cast<IntOf<T>>(first)};
  for (int64_t i = d.first; i < d.end; i += w.dilation[0]) {
    for (int64_t j = h.first; j < h.end; j += w.dilation[1]) {
      const int64_t row = (i * w.in[1] + j) * w.in[2] + column;
      for (int64_t k = 0; k < w.kernel[2]; ++k) {
        const int64_t place = row + k * w.dilation[2];
        best.take(load_outputs<T, stride>(x + place, step, n),
                  lanes + static_cast<IntOf<T>>(place));
      }
    }
  }
  store_maxima<T>(best, y, indices, n);
}

// Whether max_pool_columns is for these windows, read in place: at least kLargeWindow elements, of which a row
// is at most a vector.
constexpr int64_t kRowBytes = 32768, kLargeWindow = 32;
template <class T>
bool by_columns(const Window& w) {
  const int64_t row = (w.out[2] - 1) * w.stride[2] + w.kernel[2];
  return w.stride[2] > 3 && w.dilation[2] == 1 && w.kernel[2] <= kLanes<T> &&
         2 * w.kernel[2] >= w.stride[2] &&
         w.kernel[0] * w.kernel[1] * w.kernel[2] >= kLargeWindow &&
         2 * (row + 2 * kLanes<T>)*int64_t{sizeof(T)} <= kRowBytes;
}

// Of all columns of an output row's windows the maxima, then of each window's columns.
template <class T>
void max_pool_columns(const Window& w, const T* x, T* y, int32_t* indices, T* buffer) {
  constexpr int64_t kN = kLanes<T>;
  const int64_t columns = (w.out[2] - 1) * w.stride[2] + w.kernel[2];
  T *const values = buffer, *const places = buffer + (columns + 2 * kN - 1) / kN * kN;
  const IVec<T> lanes = lane_numbers<T>();
  const auto load_part = [](const T* p, int64_t n) {
    return n == kN ? load<T>(p) : load_n<T>(p, n);
  };
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh, y += w.out[2], indices += w.out[2]) {
      const Reach h = reach(w, 1, oh);
      if (d.first >= d.end || h.first >= h.end) {
        for (int64_t o = 0; o < w.out[2]; ++o) {
          max_pool_one<T>(w, x, d, h, reach(w, 2, o), y + o, indices + o);
        }
        continue;
      }
      for (int64_t c = 0; c < columns; c += kN) {
        const int64_t n = min64(kN, columns - c);
        const int64_t first = (d.first * w.in[1] + h.first) * w.in[2] + c;
        Maxima<T> best{load_part(x + first, n), lanes + static_cast<IntOf<T>>(first)};
        for (int64_t i = d.first; i < d.end; i += w.dilation[0]) {
          for (int64_t j = h.first; j < h.end; j += w.dilation[1]) {
            const int64_t place = (i * w.in[1] + j) * w.in[2] + c;
            best.take(load_part(x + place, n), lanes + static_cast<IntOf<T>>(place));
          }
        }
        store<T>(values + c, best.value);
        store<T>(places + c, bit_cast<Vec<T>>(best.at));
      }
      int64_t o = 0;
      for (; o + 2 <= w.out[2] && 2 * w.kernel[2] <= kN; o += 2) {
        const int64_t c = o * w.stride[2], n = w.kernel[2];
        join_two<T>(values + c, places + c, n, w.stride[2], n, y + o, indices + o);
      }
      for (; o < w.out[2]; ++o) {
        const int64_t c = o * w.stride[2];
        join_columns<T>(values + c, places + c, w.kernel[2], y + o, indices + o);
      }
    }
  }
}

// Rows of windows 2 x 2 side by side: two loads and two permutations give both columns of a row.
template <class T>
void max_pool_2x2(const Window& w, const T* x, T* y, int32_t* indices) {
  constexpr int kN = kLanes<T>;
  const int64_t width = w.in[2], out = w.out[2], rows = w.out[0] * w.out[1];
  const int64_t height = w.in[1], out_height = w.out[1];
  const IVec<T> lanes = lane_numbers<T>() * IntOf<T>(2);
  int64_t row = 0, left = out_height;
  for (int64_t r = 0; r < rows; ++r, y += out, indices += out) {
    for (int64_t o = 0; o < out; o += kN) {
      int64_t n = kN;
      if (out - o < kN) {
        if (out < kN) n = out;
        o = out - n;  // the last vector starts earlier rather than end later
      }
      const int64_t place = row + 2 * o;
      Vec<T> even, odd;
      load_pairs<T>(x + place, n, even, odd);
      Maxima<T> best{even, lanes + static_cast<IntOf<T>>(place)};
      best.take(odd, lanes + static_cast<IntOf<T>>(place + 1));
      load_pairs<T>(x + place + width, n, even, odd);
      best.take(even, lanes + static_cast<IntOf<T>>(place + width));
      best.take(odd, lanes + static_cast<IntOf<T>>(place + width + 1));
      store_maxima<T>(best, y + o, indices + o, n);
    }
    row += 2 * width;
    if (--left == 0) {
      left = out_height;
      row += (height & 1) * width;
    }
  }
}

// What the windows' rows need: a buffer of kRowBytes holds `chunk` rows with their padding, by remainders
// of the column modulo the stride (`phase` elements each), and the parts of `slots` rows for each of the
// window's planes, of `columns` outputs each (whole vectors).
constexpr int64_t kMostRows = 64;
struct RowPlan {
  int64_t columns, phase, length, chunk, slots;
  int64_t tap[kMostRows];  // where a tap's elements are in a row
  bool fits;
};

template <class T>
RowPlan plan_rows(const Window& w) {
  RowPlan p{};
  constexpr int64_t kN = kLanes<T>, kSize = sizeof(T);
  if (max64(max64(w.in[2], w.out[2]), w.kernel[2] * w.dilation[2]) >= kRowBytes ||
      max64(w.stride[2], (w.kernel[1] - 1) * w.dilation[1]) >= kRowBytes ||
      max64(max64(w.kernel[0], w.kernel[1]), w.kernel[2]) > kMostRows ||
      w.kernel[0] * w.kernel[1] > kMostRows) {
    return p;
  }
  p.columns = (w.out[2] + kN - 1) / kN * kN;
  p.phase = p.columns + (w.kernel[2] - 1) * w.dilation[2] / w.stride[2] + 1;
  p.phase = max64(p.phase, (w.padding[2] + w.in[2]) / w.stride[2] + 1);
  p.phase = (p.phase + kN - 1) / kN * kN;
  p.length = p.phase * w.stride[2];
  p.chunk = max64(1, min64(8, kRowBytes / 4 / (p.length * kSize)));
  p.slots = p.chunk + (w.kernel[1] - 1) * w.dilation[1];
  for (int64_t k = 0; k < w.kernel[2]; ++k) {
    const int64_t column = k * w.dilation[2];
    p.tap[k] = column % w.stride[2] * p.phase + column / w.stride[2];
  }
  p.fits =
      (p.chunk * p.length + p.columns + 2 * p.slots * w.kernel[0] * p.columns) * kSize <= kRowBytes;
  for (int d = 0; d < 3 && p.fits; ++d) {
    for (int64_t o = 0; o < w.out[d] && p.fits; ++o) {
      const Reach r = reach(w, d, o);
      p.fits = r.first < r.end;
    }
  }
  return p;
}

// One row's parts of the windows: the maximum and its column after the window's first. `first` has the
// first column inside the input.
template <class T, int kernel>
void part_of_row(const Window& w, const RowPlan& plan, const T* row, const T* first, T* values,
                 T* places) {
  const int64_t taps = kernel ? kernel : w.kernel[2], columns = plan.columns;
  const auto dilation = static_cast<IntOf<T>>(w.dilation[2]);
  for (int64_t o = 0; o < columns; o += kLanes<T>) {
    Maxima<T> best{load<T>(row + o), bit_cast<IVec<T>>(load<T>(first + o))};
#pragma GCC unroll 4
    for (int64_t k = 1; k < taps; ++k) {
      best.take(load<T>(row + plan.tap[k] + o), static_cast<IntOf<T>>(k) * dilation - IVec<T>{});
    }
    store<T>(values + o, best.value);
    store<T>(places + o, bit_cast<Vec<T>>(best.at));
  }
}

// A row of the input with its padding, split into phases.
template <class T>
GS_INLINE void split_row(const Window& w, const RowPlan& plan, const T* x, T* row) {
  const Vec<T> least = splat<T>(-T(__builtin_inf()));
  constexpr int kN = kLanes<T>;
  const int64_t n = w.in[2], stride = w.stride[2], before = w.padding[2];
  // What is at or next to the padding first; the elements then cover a part of it.
  for (int64_t f = 0; f < stride; ++f) {
    T* const phase = row + f * plan.phase;
    for (int64_t i = 0; i * stride < before; i += kN) store<T>(phase + i, least);
    for (int64_t i = plan.phase; i * stride + f >= before + n; i -= kN) {
      store<T>(phase + i - kN, least);
    }
  }
  int64_t i = 0;
  if (stride == 1) {
    T* const to = row + before;
    for (; i + kN <= n; i += kN) store<T>(to + i, load<T>(x + i));
    if (i < n) store_n<T>(to + i, load_n<T>(x + i, n - i), n - i);
    return;
  }
  if (stride == 2) {
    T* const evens = row + before % 2 * plan.phase + before / 2;
    T* const odds = row + (before + 1) % 2 * plan.phase + (before + 1) / 2;
    Vec<T> even, odd;
    for (; i + kN <= n / 2; i += kN) {
      load_pairs<T>(x + 2 * i, kN, even, odd);
      store<T>(evens + i, even);
      store<T>(odds + i, odd);
    }
    if (const int64_t left = n / 2 - i; left > 0) {
      load_pairs<T>(x + 2 * i, left, even, odd);
      store_n<T>(evens + i, even, left);
      store_n<T>(odds + i, odd, left);
    }
    if (n & 1) evens[n / 2] = x[n - 1];
    return;
  }
  int64_t f = before % stride, at = before / stride;
  for (; i < n; ++i) {
    row[f * plan.phase + at] = x[i];
    if (++f == stride) f = 0, ++at;
  }
}

// The first columns inside the input, which are the same for all planes, into their place in the buffer.
template <class T>
void first_columns(const Window& w, const RowPlan& plan, T* buffer) {
  T* const first = buffer + plan.chunk * plan.length;
  for (int64_t o = 0; o < plan.columns; ++o) {
    const int64_t skip = max64(w.padding[2] - o * w.stride[2], 0);
    const auto column =
        static_cast<IntOf<T>>((skip + w.dilation[2] - 1) / w.dilation[2] * w.dilation[2]);
    __builtin_memcpy(first + o, &column, sizeof(column));
  }
}

template <class T>
void max_pool_by_rows(const Window& w, const RowPlan& plan, const T* x, T* y, int32_t* indices,
                      T* buffer) {
  constexpr int64_t kN = kLanes<T>;
  const int64_t columns = plan.columns, slots = plan.slots;
  const T* const first = buffer + plan.chunk * plan.length;
  T* const values = buffer + plan.chunk * plan.length + columns;
  T* const places = values + slots * w.kernel[0] * columns;
  const auto part = w.kernel[2] == 3 ? part_of_row<T, 3> : part_of_row<T, 0>;
  const IVec<T> lanes = lane_numbers<T>() * static_cast<IntOf<T>>(w.stride[2]);
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    int64_t ready = 0, ready_slot = 0;  // rows of each of the planes whose parts are found
    for (int64_t oh = 0; oh < w.out[1]; ++oh, y += w.out[2], indices += w.out[2]) {
      const Reach h = reach(w, 1, oh);
      for (; ready < h.end; ready += plan.chunk) {
        const int64_t count = min64(plan.chunk, w.in[1] - ready);
        int64_t ring = 0;
        for (int64_t i = d.first; i < d.end; i += w.dilation[0], ring += slots) {
          const T* const rows = x + (i * w.in[1] + ready) * w.in[2];
          for (int64_t j = 0; j < count; ++j) {
            split_row<T>(w, plan, rows + j * w.in[2], buffer + j * plan.length);
          }
          int64_t slot = ready_slot;
          for (int64_t j = 0; j < count; ++j) {
            const int64_t at = (ring + slot) * columns;
            part(w, plan, buffer + j * plan.length, first, values + at, places + at);
            if (++slot == slots) slot = 0;
          }
        }
        ready_slot += plan.chunk;
        if (ready_slot >= slots) ready_slot -= slots;
      }
      const int64_t first_slot = h.first % slots;
      struct {
        int64_t slot, place;
      } row[kMostRows];
      int64_t n = 0, ring = 0;
      for (int64_t i = d.first; i < d.end; i += w.dilation[0], ring += slots) {
        int64_t slot = first_slot;
        for (int64_t j = h.first; j < h.end; j += w.dilation[1], ++n) {
          row[n] = {(ring + slot) * columns, (i * w.in[1] + j) * w.in[2] - w.padding[2]};
          slot += w.dilation[1];
          if (slot >= slots) slot -= slots;
        }
      }
      for (int64_t o = 0; o < w.out[2]; o += kN) {
        Maxima<T> best{load<T>(values + row[0].slot + o),
                       bit_cast<IVec<T>>(load<T>(places + row[0].slot + o)) +
                           static_cast<IntOf<T>>(row[0].place)};
        for (int64_t r = 1; r < n; ++r) {
          best.take(load<T>(values + row[r].slot + o),
                    bit_cast<IVec<T>>(load<T>(places + row[r].slot + o)) +
                        static_cast<IntOf<T>>(row[r].place));
        }
        best.at += lanes + static_cast<IntOf<T>>(o * w.stride[2]);
        store_maxima<T>(best, y + o, indices + o, min64(kN, w.out[2] - o));
      }
    }
  }
}

template <class T, int stride>
void max_pool_plane(const Window& w, const Interior& inside, const T* x, T* y, int32_t* indices) {
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh, y += w.out[2], indices += w.out[2]) {
      const Reach h = reach(w, 1, oh);
      const bool rows = d.first < d.end && h.first < h.end;
      const int64_t begin = rows ? inside.begin : 0, end = rows ? inside.end : 0;
      for (int64_t o = 0; o < begin; ++o) {
        max_pool_one<T>(w, x, d, h, reach(w, 2, o), y + o, indices + o);
      }
      for (int64_t o = begin; o < end; o += kLanes<T>) {
        // The last vector starts earlier rather than end later: outputs done twice cost nothing.
        const int64_t from = end - o < kLanes<T> ? max64(begin, end - kLanes<T>) : o;
        max_pool_lanes<T, stride>(w, x, d, h, from * w.stride[2] - w.padding[2],
                                  min64(kLanes<T>, end - from), y + from, indices + from);
      }
      for (int64_t o = end; o < w.out[2]; ++o) {
        max_pool_one<T>(w, x, d, h, reach(w, 2, o), y + o, indices + o);
      }
    }
  }
}

template <class T>
void max_pool_typed(const MaxPoolArgs& args, const Window& w) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  int32_t* const indices = reinterpret_cast<int32_t*>(args.indices.data);
  const Interior inside = interior(w);
  const bool pairs = is_2x2(w);
  // Rows of windows that share no row and meet no padding are read in place.
  const bool in_place = w.padding[2] == 0 && w.stride[1] > (w.kernel[1] - 1) * w.dilation[1] &&
                        (w.out[2] - 1) * w.stride[2] + (w.kernel[2] - 1) * w.dilation[2] < w.in[2];
  const auto of_3x3 = !is_3x3(w)         ? nullptr
                      : w.stride[2] == 1 ? max_pool_3x3<T, 1>
                                         : max_pool_3x3<T, 2>;
  const bool columns = in_place && by_columns<T>(w);
  RowPlan plan{};
  if (!pairs && !of_3x3 && !in_place) plan = plan_rows<T>(w);
  const auto plane = w.stride[2] == 1   ? max_pool_plane<T, 1>
                     : w.stride[2] == 2 ? max_pool_plane<T, 2>
                     : w.stride[2] == 3 ? max_pool_plane<T, 3>
                                        : max_pool_plane<T, 0>;
  const int64_t bytes = w.planes * (w.in_plane + 2 * w.out_plane) * int64_t{sizeof(T)};
  parallel_pass(w.planes, planes_per_block(w), bytes, [&](int64_t begin, int64_t end) {
    alignas(GS_VECTOR_BYTES) T buffer[kRowBytes / sizeof(T)];
    if (plan.fits) first_columns<T>(w, plan, buffer);
    for (int64_t p = begin; p < end; ++p) {
      const T* const from = x + p * w.in_plane;
      T* const to = y + p * w.out_plane;
      int32_t* const at = indices + p * w.out_plane;
      if (pairs) {
        max_pool_2x2<T>(w, from, to, at);
      } else if (of_3x3) {
        of_3x3(w, from, to, at);
      } else if (columns) {
        max_pool_columns<T>(w, from, to, at, buffer);
      } else if (plan.fits) {
        max_pool_by_rows<T>(w, plan, from, to, at, buffer);
      } else {
        plane(w, inside, from, to, at);
      }
    }
  });
}

// Indices out of range, found by several blocks at once: the first place in the array is what counts.
struct BadIndex {
  int64_t place = INT64_MAX;

  // Whether all of indices[begin, end) lie in [0, limit).
  bool check(const int32_t* indices, int64_t begin, int64_t end, int64_t limit) {
    IVec<float> bad{};
    const auto bound = static_cast<int32_t>(limit - 1);
    for (int64_t i = begin; i < end; i += kLanes<float>) {
      const int64_t n = min64(kLanes<float>, end - i);
      const float* const p = reinterpret_cast<const float*>(indices + i);
      const auto v =
          bit_cast<IVec<float>>(n == kLanes<float> ? load<float>(p) : load_n<float>(p, n));
      bad |= (v < 0) | (v > bound);  // the lanes beyond the end are 0
    }
    bool any = limit < 1 && begin < end;
    for (int i = 0; i < kLanes<float>; ++i) any = any || bad[i];
    if (!any) return true;
    int64_t first = begin;
    while (indices[first] >= 0 && indices[first] < limit) ++first;
    int64_t seen = __atomic_load_n(&place, __ATOMIC_RELAXED);
    while (first < seen && !__atomic_compare_exchange_n(&place, &seen, first, true,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return false;
  }

  Status status(const int32_t* indices, int64_t limit) const {
    if (place == INT64_MAX) return kDone;
    return {Code::kIndex, {indices[place], limit}};
  }
};

// Windows of 2 x 2 that tile the plane: every input has one window, so each is written once. false
// where an index lies outside its window (then the plane is to be done by scattering).
template <class T>
bool max_pool_bwd_2x2(const Window& w, const T* grad_y, const int32_t* indices, T* grad_x) {
  constexpr int kN = kLanes<T>;
  const int64_t width = w.in[2], out = w.out[2];
  const IVec<T> lanes = lane_numbers<T>() * IntOf<T>(2);
  IVec<T> lost{};
  for (int64_t r = 0; r < w.out[0] * w.out[1]; ++r) {
    const int64_t row = (r / w.out[1] * w.in[1] + r % w.out[1] * 2) * width;
    for (int64_t o = 0; o < out; o += kN) {
      const int64_t n = min64(kN, out - o);
      const Vec<T> g = n == kN ? load<T>(grad_y + r * out + o) : load_n<T>(grad_y + r * out + o, n);
      IVec<T> at{};
      if constexpr (sizeof(T) == 4) {
        const float* const p = reinterpret_cast<const float*>(indices + r * out + o);
        at = bit_cast<IVec<T>>(n == kN ? load<float>(p) : load_n<float>(p, n));
      } else {
        for (int i = 0; i < kN; ++i) at[i] = i < n ? indices[r * out + o + i] : 0;
      }
      IVec<T> found{};
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        const int64_t place = row + j * width + 2 * o;
        const IVec<T> even = at == lanes + static_cast<IntOf<T>>(place);
        const IVec<T> odd = at == lanes + static_cast<IntOf<T>>(place + 1);
        found |= even | odd;
        Vec<T> first, second;
        interleave<T>(even ? g : Vec<T>{}, odd ? g : Vec<T>{}, first, second);
        store_pair<T>(grad_x + place, first, second, 2 * n);
      }
      lost |= n == kN ? ~found : (lane_mask<T>(n) & ~found);
    }
    if (width & 1) grad_x[row + width - 1] = grad_x[row + 2 * width - 1] = 0;
  }
  if (w.in[1] & 1) {
    for (int64_t d = 0; d < w.in[0]; ++d) {
      __builtin_memset(grad_x + (d * w.in[1] + w.in[1] - 1) * width, 0,
                       static_cast<size_t>(width) * sizeof(T));
    }
  }
  bool all = true;
  for (int i = 0; i < kN; ++i) all = all && !lost[i];
  return all;
}

template <class T>
Status max_pool_bwd_typed(const MaxPoolBwdArgs& args, const Window& w) {
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  const int32_t* const indices = reinterpret_cast<const int32_t*>(args.indices.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  const bool tiles = is_2x2(w);
  BadIndex bad;
  parallel_for(w.planes, planes_per_block(w), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      T* const g = grad_x + p * w.in_plane;
      const int64_t from = p * w.out_plane;
      if (tiles && max_pool_bwd_2x2<T>(w, grad_y + from, indices + from, g)) continue;
      if (!bad.check(indices, from, from + w.out_plane, w.in_plane)) return;
      __builtin_memset(g, 0, static_cast<size_t>(w.in_plane) * sizeof(T));
      for (int64_t o = from; o < from + w.out_plane; ++o) g[indices[o]] += grad_y[o];
    }
  });
  return bad.status(indices, w.in_plane);
}

template <class T>
Status gather_typed(const MaxPoolGatherArgs& args, int64_t planes, int64_t in_plane,
                    int64_t out_plane) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const int32_t* const indices = reinterpret_cast<const int32_t*>(args.indices.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  BadIndex bad;
  parallel_for(planes, max64(kBlock / out_plane, 1), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t from = p * out_plane;
      if (!bad.check(indices, from, from + out_plane, in_plane)) return;
      for (int64_t o = from; o < from + out_plane; ++o) y[o] = x[p * in_plane + indices[o]];
    }
  });
  return bad.status(indices, in_plane);
}

}  // namespace

Status max_pool(const MaxPoolArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  Window w;
  if (args.out_shape.n != args.x.ndim ||
      !make_window(args.x.ndim, args.x.shape, args.out_shape.v, args.kernel, args.stride,
                   args.padding, &args.dilation, w)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.y.size == 0) return kDone;
  if (w.in_plane == 0 || w.in_plane > INT32_MAX) return {Code::kShape, {0, 0}};
  if (args.x.dtype == DType::kFloat32) {
    max_pool_typed<float>(args, w);
  } else {
    max_pool_typed<double>(args, w);
  }
  return kDone;
}

Status max_pool_bwd(const MaxPoolBwdArgs& args) {
  const Array& grad_y = args.grad_y;
  if (!is_float(grad_y.dtype) || args.indices.dtype != DType::kInt32) return kNoDType;
  Window w;
  if (args.x_shape.n != grad_y.ndim ||
      !make_window(grad_y.ndim, args.x_shape.v, grad_y.shape, args.kernel, args.stride,
                   args.padding, &args.dilation, w)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.indices.size != grad_y.size) return {Code::kShape, {1, 0}};
  if (args.grad_x.size == 0 && grad_y.size == 0) return kDone;
  if (w.in_plane > INT32_MAX) return {Code::kShape, {2, 0}};
  return grad_y.dtype == DType::kFloat32 ? max_pool_bwd_typed<float>(args, w)
                                         : max_pool_bwd_typed<double>(args, w);
}

Status max_pool_gather(const MaxPoolGatherArgs& args) {
  const Array &x = args.x, &indices = args.indices;
  if (!is_float(x.dtype) || indices.dtype != DType::kInt32) return kNoDType;
  if (x.ndim < 2 || x.ndim != indices.ndim) return {Code::kShape, {1, 0}};
  if (x.shape[0] != indices.shape[0] || x.shape[1] != indices.shape[1]) {
    return {Code::kShape, {1, 0}};
  }
  if (args.y.size == 0) return kDone;
  const int64_t planes = x.shape[0] * x.shape[1];
  const int64_t in_plane = x.size / planes, out_plane = indices.size / planes;
  if (in_plane > INT32_MAX) return {Code::kShape, {0, 0}};
  return x.dtype == DType::kFloat32 ? gather_typed<float>(args, planes, in_plane, out_plane)
                                    : gather_typed<double>(args, planes, in_plane, out_plane);
}

}  // namespace GS_ISA
}  // namespace gradsmith
