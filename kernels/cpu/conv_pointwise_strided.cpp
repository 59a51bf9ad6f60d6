// The copies that pointwise convolutions with a stride are made of: only positions that are read.
//
//   thin_planes:   to[plane, o] = from[plane, o * stride] for the output's positions o
//   spread_planes: to[plane, o * stride] = from[plane, o], zero elsewhere
//
// Split      planes (image, channel), on the pool.
// Cost       bytes only: the rows of the input that are read, or all of them written, past the cache
//            where they are beyond half of its last level.
// Method     rows are whole vectors where memory beyond them is the thread's own: what one writes too much is
//            written over by the next row. With masks 64->128 56x56 took 130 and 170 us to thin and to spread.
// Memory     a plane that is stored past the cache is put together first: kStreamedPlane elements.
#include "conv_pointwise.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 1 << 14;          // elements
constexpr int64_t kStreamedPlane = 1 << 16;  // elements of a plane that is put together first

template <class T>
void thin_row(const T* from, int64_t in, int64_t step, int64_t n, T* to) {
  constexpr int L = kLanes<T>;
  if (step == 1) return copy_run(to, from, n);
  if (step != 2) {
    for (int64_t j = 0; j < n; ++j) to[j] = from[j * step];
    return;
  }
  for (int64_t j = 0; j < n; j += L) {
    const Vec<T> v = even_lanes<T>(load_inside(from, 2 * j, in), load_inside(from, 2 * j + L, in),
                                   std::make_integer_sequence<int, L>{});
    if (j + L <= n) {
      store(to + j, v);
    } else {
      store_n(to + j, v, n - j);
    }
  }
}

// thin_row for a step of 2, of rows that 2 * round_up(n, L) elements may be read of and round_up(n, L) written.
template <class T>
void thin_vectors(const T* from, int64_t n, T* to) {
  constexpr int L = kLanes<T>;
  for (int64_t j = 0; j < n; j += L) {
    store(to + j, even_lanes<T>(load(from + 2 * j), load(from + 2 * j + L),
                                std::make_integer_sequence<int, L>{}));
  }
}

// A row of n elements with a step of 2, then zeros: `size` elements in all, and up to two vectors more.
template <class T>
void spread_vectors(const T* from, int64_t n, T* to, int64_t size) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  for (int64_t j = 0; j < n; j += L, i += 2 * L) {
    Vec<T> pair[2];
    interleave<T>(j + L <= n ? load(from + j) : load_n(from + j, n - j), Vec<T>{}, pair[0],
                  pair[1]);
    store(to + i, pair[0]);
    store(to + i + L, pair[1]);
  }
  for (; i < size; i += L) store(to + i, Vec<T>{});
}

template <class T>
void spread_row(const T* from, int64_t n, int64_t step, T* to, int64_t in) {
  constexpr int L = kLanes<T>;
  if (step != 2) {
    for (int64_t i = 0; i < in; ++i) to[i] = T{};
    for (int64_t j = 0; j < n; ++j) to[j * step] = from[j];
    return;
  }
  for (int64_t i = 0, j = 0; i < in; j += L) {
    const Vec<T> v = j + L <= n ? load(from + j) : j < n ? load_n(from + j, n - j) : Vec<T>{};
    Vec<T> pair[2];
    interleave<T>(v, Vec<T>{}, pair[0], pair[1]);
    for (int h = 0; h < 2 && i < in; ++h, i += L) {
      if (i + L <= in) {
        store(to + i, pair[h]);
      } else {
        store_n(to + i, pair[h], in - i);
      }
    }
  }
}

template <class T>
void thin(const Thinning& t, const T* from, T* to) {
  const int64_t in_size = t.in[0] * t.in[1] * t.in[2], out_size = t.out[0] * t.out[1] * t.out[2];
  parallel_for(t.planes, max(1, kBlock / in_size), [&](int64_t begin, int64_t end) {
    const T *const read_end = from + t.planes * in_size, *const end_of_block = to + end * out_size;
    const int64_t whole = round_up(t.out[2], kLanes<T>);
    for (int64_t i = begin; i < end; ++i) {
      T* row = to + i * out_size;
      for (int64_t z = 0; z < t.out[0]; ++z) {
        for (int64_t y = 0; y < t.out[1]; ++y, row += t.out[2]) {
          const T* const source =
              from + i * in_size + (z * t.stride[0] * t.in[1] + y * t.stride[1]) * t.in[2];
          prefetch(source + t.stride[1] * t.in[2] * 4, t.in[2]);
          if (t.stride[2] == 2 && read_end - source >= 2 * whole && end_of_block - row >= whole) {
            thin_vectors(source, t.out[2], row);
          } else {
            thin_row(source, t.in[2], t.stride[2], t.out[2], row);
          }
        }
      }
    }
  });
}

// `room`: elements at `to` that this thread may write, now or with what follows.
template <class T>
void spread_plane(const Thinning& t, const T* from, T* to, int64_t room) {
  const T* const end = to + room;
  const auto zero = [&](int64_t n) {
    __builtin_memset(to, 0, static_cast<size_t>(n) * sizeof(T));
    to += n;
  };
  for (int64_t z = 0; z < t.in[0]; ++z) {
    const int64_t oz = z / t.stride[0];
    const bool read = oz * t.stride[0] == z && oz < t.out[0];
    for (int64_t oy = 0; read && oy < t.out[1]; ++oy) {
      const T* const row = from + (oz * t.out[1] + oy) * t.out[2];
      const int64_t size = min(t.stride[1], t.in[1] - oy * t.stride[1]) * t.in[2];
      if (t.stride[2] == 2 && end - to >= size + 2 * kLanes<T>) {
        spread_vectors(row, t.out[2], to, size);
        to += size;
      } else {
        spread_row(row, t.out[2], t.stride[2], to, t.in[2]);
        to += t.in[2];
        zero(size - t.in[2]);
      }
    }
    const int64_t rows = read ? t.in[1] - min(t.in[1], t.out[1] * t.stride[1]) : t.in[1];
    zero(rows * t.in[2]);
  }
}

template <class T>
void spread(const Thinning& t, const T* from, T* to) {
  constexpr int L = kLanes<T>;
  const int64_t in_size = t.in[0] * t.in[1] * t.in[2], out_size = t.out[0] * t.out[1] * t.out[2];
  const int64_t bytes = t.planes * in_size * static_cast<int64_t>(sizeof(T));
  const bool stream = GS_VECTOR_BYTES == 64 && beyond_cache(bytes) && in_size <= kStreamedPlane &&
                      in_size % L == 0 && reinterpret_cast<uintptr_t>(to) % GS_VECTOR_BYTES == 0;
  parallel_for(t.planes, max(1, kBlock / in_size), [&](int64_t begin, int64_t end) {
    const int64_t room = in_size + 2 * L;
    T* const whole =
        stream ? static_cast<T*>(thread_scratch(static_cast<size_t>(room) * sizeof(T))) : nullptr;
    for (int64_t i = begin; i < end; ++i) {
      T* const plane = to + i * in_size;
      spread_plane(t, from + i * out_size, whole ? whole : plane,
                   whole ? room : (end - i) * in_size);
      for (int64_t j = 0; whole && j < in_size; j += L) store_stream<T>(plane + j, load(whole + j));
    }
    if (whole) stream_fence();
  });
}

}  // namespace

void thin_planes(const Thinning& t, const float* from, float* to) { thin(t, from, to); }
void thin_planes(const Thinning& t, const double* from, double* to) { thin(t, from, to); }
void spread_planes(const Thinning& t, const float* from, float* to) { spread(t, from, to); }
void spread_planes(const Thinning& t, const double* from, double* to) { spread(t, from, to); }

}  // namespace GS_ISA
}  // namespace gradsmith
