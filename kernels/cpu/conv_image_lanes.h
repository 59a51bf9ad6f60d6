// Image lanes: the other way to lay out the planes of a convolution, for small images.
//
// With positions as lanes (conv.h), the lanes between the rows of a box are lost: little for a row
// of 56, a fifth for a row of 8. Here a lane is an image: a cell is a vector of the same position of
// kLanes images, and planes are made of cells. Nothing is lost for any size of image, but the images
// have to be transposed on the way in and out, and there have to be enough of them.
#pragma once

#include "conv.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Cells from images: to[position] = lanes `from + image * image_stride`, zero from `images` on.
// `odd` as in fill_row.
template <class T>
GS_INLINE void gather_cells(const T* from, int64_t image_stride, int64_t images, int64_t positions,
                            T* to, Vec<T>& odd) {
  constexpr int L = kLanes<T>;
  Vec<T> cell[L];
  int64_t position = 0;
  for (; position + L <= positions; position += L) {
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      cell[i] = i < images ? load(from + i * image_stride + position) : Vec<T>{};
      odd += cell[i] - cell[i];
    }
    transpose<T>(cell);
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) store(to + (position + i) * L, cell[i]);
  }
  const int64_t rest = positions - position;
  if (rest == 0) return;
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    cell[i] = i < images ? load_n(from + i * image_stride + position, rest) : Vec<T>{};
    odd += cell[i] - cell[i];
  }
  transpose<T>(cell);
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i < rest) store(to + (position + i) * L, cell[i]);
  }
}

// The reverse: image i gets its positions at to + i * image_stride.
template <class T>
GS_INLINE void scatter_cells(const T* from, int64_t positions, int64_t images, T* to,
                             int64_t image_stride) {
  constexpr int L = kLanes<T>;
  Vec<T> cell[L];
  int64_t position = 0;
  for (; position + L <= positions; position += L) {
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) cell[i] = load(from + (position + i) * L);
    transpose<T>(cell);
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      if (i < images) store(to + i * image_stride + position, cell[i]);
    }
  }
  const int64_t rest = positions - position;
  if (rest == 0) return;
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    cell[i] = i < rest ? load(from + (position + i) * L) : Vec<T>{};
  }
  transpose<T>(cell);
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i < images) store_n(to + i * image_stride + position, cell[i], rest);
  }
}

template <class T>
GS_INLINE void copy_cells(T* to, const T* from, int64_t step, int64_t n) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < n; ++i) store(to + i * L, load(from + i * step * L));
}

// Fills the planes of `channels` channels for a box of whole images; p and box count blocks of
// kLanes images, of `images` images in all; `x` is channel 0 of image 0. `stage` holds the cells of
// one channel. True if all that was read is finite.
template <class T>
bool fill_image_planes(const Planes& p, const Box& box, int64_t images, const T* x,
                       int64_t image_stride, int64_t channel_stride, int64_t channels, T* stage,
                       T* to) {
  constexpr int L = kLanes<T>;
  const Axis &az = p.axis[0], &ay = p.axis[1], &ax = p.axis[2];
  Vec<T> odd{};
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t block = 0; block < box.images; ++block) {
      const int64_t image = (box.image + block) * L;
      gather_cells(x + image * image_stride + c * channel_stride, image_stride,
                   min(L, images - image), channel_stride, stage, odd);
      T* segment = to + (c * p.channel + block * p.image) * L;
      for (int64_t sz = 0; sz < az.segments; ++sz) {
        for (int64_t sy = 0; sy < ay.segments; ++sy) {
          for (int64_t sx = 0; sx < ax.segments; ++sx, segment += p.segment * L) {
            const int64_t x0 = ax.segment_first(sx);
            const int64_t begin = ax.from_index(0, x0, p.row);
            const int64_t end = max(begin, ax.from_index(ax.in, x0, p.row));
            T* row = segment;
            for (int64_t z = 0; z < az.pitch; ++z) {
              const int64_t iz = az.segment_first(sz) + z * az.step;
              const bool slab_inside = iz >= 0 && iz < az.in;
              for (int64_t y = 0; y < ay.pitch; ++y, row += p.row * L) {
                const int64_t iy = ay.segment_first(sy) + y * ay.step;
                if (slab_inside && iy >= 0 && iy < ay.in) {
                  const T* from = stage + ((iz * ay.in + iy) * ax.in + x0 + begin * ax.step) * L;
                  zero_fill(row, begin * L);
                  copy_cells(row + begin * L, from, ax.step, end - begin);
                  zero_fill(row + end * L, (p.row - end) * L);
                } else {
                  zero_fill(row, p.row * L);
                }
              }
            }
            if (block == box.images - 1) zero_fill(row, p.tail() * L);
          }
        }
      }
    }
  }
  bool finite = true;
  for (int i = 0; i < L; ++i) finite &= odd[i] == T{};
  return finite;
}

// Whether image lanes waste less than lanes of positions, for axes laid out for whole images. The
// transposes are worth about a tenth.
template <class T>
bool prefer_image_lanes(const Planes& p, int64_t images) {
  constexpr int L = kLanes<T>;
  if (L < 4) return false;
  const int64_t lanes =
      (p.axis[0].size - 1) * p.slab + (p.axis[1].size - 1) * p.row + p.axis[2].size;
  const double useful = static_cast<double>(p.positions());
  const double by_position = useful / static_cast<double>(min(round_up(lanes, L), p.image + L));
  const double by_image = static_cast<double>(images) / static_cast<double>(round_up(images, L));
  return 0.9 * by_image > by_position;
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
