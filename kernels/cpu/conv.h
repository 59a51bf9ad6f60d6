// What the three convolution kernels share: the geometry of a gather, and its planes.
//
// A convolution never builds its im2col matrix. The input of a box of output positions is copied
// into compact planes, with the padding written as zeros, such that for every tap the inputs of
// consecutive positions are consecutive in memory. Row (channel, tap) of the im2col matrix is then
// just an offset into the planes, and the positions of a box, over several rows and even several
// images, form one axis of lanes. Lanes between the end of one row and the start of the next hold
// nothing useful; their results are dropped.
//
// Per dimension (Axis), the taps are spread over segments: taps that read every step-th input index
// with the same remainder share a segment, each at its own offset; a strided convolution thus has a
// segment per remainder. Taps further apart than the box is long get segments of their own, so the
// planes never exceed taps * positions, however large the dilation. Where the padding to the right
// of a row and to the left of the next are both zeros, one serves as the other (overlap).
#pragma once

#include "gemm.h"
#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int kSpatial = 3;  // fewer dimensions are filled up with ones on the left

constexpr int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

// ceil(a / b) for b > 0 and any sign of a.
constexpr int64_t ceil_div_signed(int64_t a, int64_t b) {
  return a >= 0 ? ceil_div(a, b) : -(-a / b);
}

// One spatial dim of a gather: position t reads, for tap r, input index first + r * tap_step +
// t * step. Indices outside [0, in) read zero.
struct Axis {
  int64_t size = 1;  // positions
  int64_t in = 1;
  int64_t step = 1;
  int64_t taps = 1;
  int64_t first = 0, tap_step = 1;
  int64_t kernel_first = 0, kernel_step = 1;  // tap -> index in the kernel
  int64_t out_first = 0, out_step = 1;        // position -> index in the output

  // Layout of the planes of a box of `box` positions; see lay_out.
  int64_t box = 1;
  int64_t period = 1, jump = 1;
  bool apart = false;  // a segment for each tap, asked for: rows without lanes between them
  bool joined = false;
  int64_t segments = 1;
  int64_t extent = 1;   // of a segment, in positions
  int64_t overlap = 0;  // trailing zeros that the next row's leading zeros stand in for
  int64_t pitch = 1;    // extent - overlap

  int64_t kernel(int64_t tap) const { return kernel_first + tap * kernel_step; }
  int64_t rank(int64_t tap) const { return tap_step < 0 ? taps - 1 - tap : tap; }
  int64_t segment(int64_t tap) const { return joined ? rank(tap) % period : rank(tap); }
  int64_t offset(int64_t tap) const { return joined ? rank(tap) / period * jump : 0; }
  // Input index of a segment's position 0.
  int64_t segment_first(int64_t segment) const {
    return tap_step < 0 ? first + (taps - 1 - segment) * tap_step : first + segment * tap_step;
  }
  // Positions of a row of `length` from `start` on whose input index is at least `index`.
  int64_t from_index(int64_t index, int64_t start, int64_t length) const {
    return clamp(ceil_div_signed(index - start, step), 0, length);
  }

  void lay_out(int64_t positions) {
    box = positions;
    const int64_t distance = tap_step < 0 ? -tap_step : tap_step;
    const int64_t common = gcd(step, distance);
    period = step / common;
    jump = distance / common;
    // Short boxes and long jumps: planes of their own have no lanes between the rows.
    joined = !apart && jump <= box && (taps <= period || 2 * jump <= box || jump <= 4);
    segments = joined ? min(period, taps) : taps;
    extent = box + (joined ? (ceil_div(taps, period) - 1) * jump : 0);
    overlap = box == size ? extent - box : 0;
    for (int64_t s = 0; s < segments && overlap > 0; ++s) {
      const int64_t start = segment_first(s);
      const int64_t leading = from_index(0, start, extent);
      const int64_t trailing = extent - from_index(in, start, extent);
      overlap = min(overlap, min(leading, trailing));
    }
    pitch = extent - overlap;
  }
};

constexpr int kMostParts = 5;

// Cuts an axis where the set of taps that read inside of [0, in) changes: no part multiplies with the
// zeros of the padding. Returns how many parts; 1, and the whole axis, if less than `least` of the
// products are with zeros, or there are too many parts, or one reads nothing.
inline int split_axis(const Axis& axis, double least, Axis* parts) {
  parts[0] = axis;
  if (axis.taps < 2 || axis.taps > 16 || axis.size < 2 || axis.size > (1 << 16)) return 1;
  int count = 0;
  int64_t useful = 0, last_low = -1, last_high = -1;
  for (int64_t t = 0; t < axis.size; ++t) {
    int64_t low = axis.taps, high = 0;
    for (int64_t r = 0; r < axis.taps; ++r) {
      const int64_t index = axis.first + r * axis.tap_step + t * axis.step;
      if (index < 0 || index >= axis.in) continue;
      low = min(low, r);
      high = r + 1;
    }
    if (low >= high) return parts[0] = axis, 1;
    useful += high - low;
    if (low == last_low && high == last_high) {
      ++parts[count - 1].size;
      continue;
    }
    if (count == kMostParts) return parts[0] = axis, 1;
    Axis& part = parts[count++];
    part = axis;
    part.size = 1;
    part.taps = high - low;
    part.first = axis.first + low * axis.tap_step + t * axis.step;
    part.kernel_first = axis.kernel_first + low * axis.kernel_step;
    part.out_first = axis.out_first + t * axis.out_step;
    last_low = low;
    last_high = high;
  }
  const double share = static_cast<double>(useful) / static_cast<double>(axis.size * axis.taps);
  if (1 - share < least) return parts[0] = axis, 1;
  return count;
}

// The axes laid out for a box, and the sizes of its planes in elements.
struct Planes {
  Axis axis[kSpatial];
  int64_t images = 1;    // in a box; more than one only where the box is a whole image
  int64_t channels = 1;  // in a box
  int64_t row = 1, slab = 1, image = 1;  // lanes from one y, z, image to the next
  int64_t segment = 1, channel = 1;

  int64_t taps() const { return axis[0].taps * axis[1].taps * axis[2].taps; }
  int64_t positions() const { return axis[0].size * axis[1].size * axis[2].size; }
  int64_t box_positions() const { return axis[0].box * axis[1].box * axis[2].box; }
  // Boxes of an image.
  int64_t boxes(int d) const { return ceil_div(axis[d].size, axis[d].box); }
  int64_t boxes() const { return boxes(0) * boxes(1) * boxes(2); }
  int64_t image_blocks(int64_t all_images) const { return ceil_div(all_images, images); }

  // `vector`: lanes of a vector; so much is readable, and zero, after each segment.
  void measure(int64_t vector) {
    row = axis[2].pitch;
    slab = axis[1].pitch * row;
    image = axis[0].pitch * slab;
    segment = images * image + tail() + vector;
    channel = round_up(axis[0].segments * axis[1].segments * axis[2].segments * segment, 16) + 16;
  }
  // What the last row's overlap needs after it.
  int64_t tail() const { return axis[0].overlap * slab + axis[1].overlap * row + axis[2].overlap; }

  // Where the lanes of a tap start.
  int64_t tap_offset(int64_t z, int64_t y, int64_t x) const {
    const int64_t s =
        (axis[0].segment(z) * axis[1].segments + axis[1].segment(y)) * axis[2].segments +
        axis[2].segment(x);
    return s * segment + axis[0].offset(z) * slab + axis[1].offset(y) * row + axis[2].offset(x);
  }
};

// The offset of each (channel, tap) of a box in planes of `cell` elements a position; returns the end.
inline int64_t* fill_offsets(const Planes& p, int64_t cell, int64_t* offset) {
  const int64_t taps = p.taps();
  for (int64_t z = 0; z < p.axis[0].taps; ++z) {
    for (int64_t y = 0; y < p.axis[1].taps; ++y) {
      for (int64_t x = 0; x < p.axis[2].taps; ++x) *offset++ = p.tap_offset(z, y, x) * cell;
    }
  }
  for (int64_t i = taps; i < p.channels * taps; ++i, ++offset) {
    *offset = offset[-taps] + p.channel * cell;
  }
  return offset;
}

// Chooses boxes whose planes have at most `most` elements for `channels` channels where that is
// possible, with between `least_lanes` and `most_lanes` positions; then how many channels and images.
inline void choose_box(Planes& p, int64_t images, int64_t channels, int64_t most,
                       int64_t least_lanes, int64_t most_lanes, int64_t vector) {
  for (Axis& axis : p.axis) axis.lay_out(axis.size);
  p.images = 1;
  p.measure(vector);
  // Blocks of channels mean adding to the output several times: only for long reductions.
  const int64_t taps = p.taps();
  int64_t block = channels * taps <= 1152 ? channels : max(1, ceil_div(512, taps));
  for (int d = 0; d < kSpatial; ++d) {
    Axis& axis = p.axis[d];
    int64_t parts = 1;
    for (;;) {
      const double excess =
          static_cast<double>(p.channel) * static_cast<double>(block) / static_cast<double>(most);
      const double long_by =
          static_cast<double>(p.box_positions()) / static_cast<double>(most_lanes);
      const double by = excess > long_by ? excess : long_by;
      if (by <= 1 || axis.box == 1) break;
      const int64_t next =
          max(parts + 1, static_cast<int64_t>(static_cast<double>(parts) * (by < 4 ? 1 : by / 2)));
      const int64_t before = axis.box;
      const int64_t cut = ceil_div(axis.size, min(next, axis.size));
      if (p.box_positions() / before * cut < least_lanes && long_by <= 1) break;
      parts = next;
      axis.lay_out(cut);
      p.measure(vector);
    }
  }
  block = min(channels, max(1, most / p.channel));
  p.channels = max(1, ceil_div(channels, max(1, ceil_div(channels, block))));
  if (p.boxes() == 1) {
    const int64_t fit =
        min(most / max(1, p.image * p.channels), most_lanes / max(1, p.box_positions()));
    const int64_t blocks = ceil_div(images, clamp(fit, 1, max(1, images)));
    p.images = max(1, ceil_div(images, max(1, blocks)));
    p.measure(vector);
  }
}

// Cuts boxes further until there are `wanted` of them for `images`, as far as `least_lanes` allows.
inline void cut_boxes(Planes& p, int64_t images, int64_t wanted, int64_t least_lanes,
                      int64_t vector) {
  if (p.images > 1) {
    p.images = max(1, min(p.images, images / max(1, wanted)));
    p.measure(vector);
  }
  for (int d = 0; d < kSpatial; ++d) {
    const int64_t have = p.image_blocks(images) * p.boxes();
    Axis& axis = p.axis[d];
    if (have >= wanted || p.images > 1 || axis.size == 1) continue;
    const int64_t others = p.box_positions() / axis.box;
    // No part of fewer lanes: a box of a column or two at an image's end costs as much as a whole one.
    const int64_t most_parts = axis.size / min(axis.size, ceil_div(least_lanes, others));
    const int64_t parts = min(most_parts, ceil_div(axis.size, axis.box) * ceil_div(wanted, have));
    const int64_t cut = ceil_div(axis.size, parts);
    if (cut < axis.box) {
      axis.lay_out(cut);
      p.measure(vector);
    }
  }
}

// A box: where it starts, and how many images and positions it has.
struct Box {
  int64_t image, images;
  int64_t origin[kSpatial], size[kSpatial];
  int64_t lanes;

  Box(const Planes& p, int64_t all_images, int64_t index) {
    for (int d = kSpatial - 1; d >= 0; --d) {
      const int64_t count = p.boxes(d);
      origin[d] = index % count * p.axis[d].box;
      size[d] = min(p.axis[d].box, p.axis[d].size - origin[d]);
      index /= count;
    }
    image = index * p.images;
    images = min(p.images, all_images - image);
    lanes = (images - 1) * p.image + (size[0] - 1) * p.slab + (size[1] - 1) * p.row + size[2];
  }
};

// The first useful lane from `lane` on.
inline int64_t useful_lane(const Planes& p, const Box& box, int64_t lane) {
  int64_t image = lane / p.image, rest = lane % p.image;
  int64_t z = rest / p.slab;
  rest %= p.slab;
  int64_t y = rest / p.row, x = rest % p.row;
  if (x >= box.size[2]) {
    x = 0;
    ++y;
  }
  if (y >= box.size[1]) {
    x = y = 0;
    ++z;
  }
  if (z >= box.size[0]) {
    x = y = z = 0;
    ++image;
  }
  return image * p.image + z * p.slab + y * p.row + x;
}

// Calls body(lane, count, image, z, y, x) for the stretches of useful lanes in [begin, end): `count`
// lanes from `lane` on are the positions from (z, y, x) on of one row of the box.
template <class Body>
GS_INLINE void for_runs(const Planes& p, const Box& box, int64_t begin, int64_t end,
                        const Body& body) {
  int64_t image = begin / p.image, rest = begin % p.image;
  int64_t z = rest / p.slab;
  rest %= p.slab;
  int64_t y = rest / p.row, x = rest % p.row;
  int64_t lane = begin;
  while (lane < end) {
    if (z < box.size[0] && y < box.size[1] && x < box.size[2]) {
      body(lane, min(box.size[2] - x, end - lane), image, z, y, x);
    }
    lane += p.row - x;
    x = 0;
    if (++y == p.axis[1].pitch) {
      y = 0;
      if (++z == p.axis[0].pitch) {
        z = 0;
        ++image;
      }
    }
  }
}

// ---- filling the planes ----

template <class T>
GS_INLINE void zero_fill(T* to, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes<T>) store(to + i, Vec<T>{});
}

template <class T>
GS_INLINE void prefetch(const T* from, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / static_cast<int64_t>(sizeof(T))) {
    __builtin_prefetch(from + i);
  }
}

// Every second of 2 * kLanes elements.
template <class T, int... I>
GS_INLINE Vec<T> even_lanes(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  return shuffle<T, 2 * I...>(a, b);
}

// The vector at from + index, zero where the index is outside of [0, in).
template <class T>
GS_INLINE Vec<T> load_inside(const T* from, int64_t index, int64_t in) {
  constexpr int L = kLanes<T>;
  if (index >= 0 && index + L <= in) return load(from + index);
  const int64_t low = clamp(-index, 0, L), high = clamp(in - index, 0, L);
  return low < high ? load_lanes(from + index, low, high) : Vec<T>{};
}

// fill_row for a step of 1, 2 or 4: most vectors lie within the input, and are loaded as they are.
template <class T, int STEP>
GS_INLINE void fill_vectors(T* to, const T* from, int64_t in, int64_t start, int64_t length,
                            Vec<T>& odd) {
  constexpr int L = kLanes<T>;
  const auto fill = [&](int64_t j, const auto& at) {
    constexpr auto kAll = std::make_integer_sequence<int, L>{};
    const int64_t index = start + j * STEP;
    Vec<T> v = at(index);
    if constexpr (STEP > 1) v = even_lanes<T>(v, at(index + L), kAll);
    if constexpr (STEP == 4) {
      v = even_lanes<T>(v, even_lanes<T>(at(index + 2 * L), at(index + 3 * L), kAll), kAll);
    }
    odd += v - v;
    store(to + j, v);
  };
  const auto edge = [&](int64_t index) { return load_inside(from, index, in); };
  const auto inside = [&](int64_t index) { return load(from + index); };
  int64_t j = 0;
  for (; j < length && start + j * STEP < 0; j += L) fill(j, edge);
  const int64_t last = in - start - STEP * L;  // of j * STEP
  for (; j < length && j * STEP <= last; j += L) fill(j, inside);
  for (; j < length; j += L) fill(j, edge);
}

// Writes a row of a segment: to[j] = from[start + j * step], zero where that index is outside of
// [0, in). Up to a vector is written beyond `length`. `odd` collects x - x: not zero where x is not
// finite.
template <class T>
GS_INLINE void fill_row(T* to, const T* from, const Axis& axis, int64_t start, int64_t length,
                        Vec<T>& odd) {
  if (axis.step == 1) return fill_vectors<T, 1>(to, from, axis.in, start, length, odd);
  if (axis.step == 2) return fill_vectors<T, 2>(to, from, axis.in, start, length, odd);
  if (axis.step == 4) return fill_vectors<T, 4>(to, from, axis.in, start, length, odd);
  int64_t j = axis.from_index(0, start, length);
  const int64_t end = max(j, axis.from_index(axis.in, start, length));
  for (int64_t i = 0; i < j; ++i) to[i] = T{};
  T sum{};
  for (; j < end; ++j) {
    const T value = from[start + j * axis.step];
    sum += value - value;
    to[j] = value;
  }
  odd[0] += sum;
  for (; j < length; ++j) to[j] = T{};
}

// Fills the planes of `channels` channels for a box; `x` is channel 0 of image 0. True if all that
// was read is finite.
template <class T>
bool fill_planes(const Planes& p, const Box& box, const T* x, int64_t image_stride,
                 int64_t channel_stride, int64_t channels, T* to) {
  const Axis &az = p.axis[0], &ay = p.axis[1], &ax = p.axis[2];
  Vec<T> odd{};
  for (int64_t c = 0; c < channels; ++c) {
    T* row = to + c * p.channel;
    const T* source = x + box.image * image_stride + c * channel_stride;
    for (int64_t sz = 0; sz < az.segments; ++sz) {
      for (int64_t sy = 0; sy < ay.segments; ++sy) {
        for (int64_t sx = 0; sx < ax.segments; ++sx) {
          const int64_t x0 = ax.segment_first(sx) + box.origin[2] * ax.step;
          const int64_t y0 = ay.segment_first(sy) + box.origin[1] * ay.step;
          const int64_t z0 = az.segment_first(sz) + box.origin[0] * az.step;
          T* const segment = row;
          for (int64_t i = 0; i < box.images; ++i) {
            const T* const image = source + i * image_stride;
            for (int64_t z = 0; z < az.pitch; ++z) {
              const int64_t iz = z0 + z * az.step;
              const bool slab_inside = iz >= 0 && iz < az.in;
              for (int64_t y = 0; y < ay.pitch; ++y) {
                const int64_t iy = y0 + y * ay.step;
                if (slab_inside && iy >= 0 && iy < ay.in) {
                  const T* from = image + (iz * ay.in + iy) * ax.in;
                  // A channel's rows are too few for the hardware's prefetch to learn.
                  if (c + 1 < channels) prefetch(from + channel_stride, ax.in);
                  fill_row(row, from, ax, x0, p.row, odd);
                } else {
                  zero_fill(row, p.row);
                }
                row += p.row;
              }
            }
          }
          zero_fill(row, p.tail() + kLanes<T> - 1);
          row = segment + p.segment;
        }
      }
    }
  }
  bool finite = true;
  for (int i = 0; i < kLanes<T>; ++i) finite &= odd[i] == T{};
  return finite;
}

// ---- arguments ----

// The sizes of a convolution y = x * weight, as in kernels/__init__.py.
struct Geometry {
  int64_t N, C, K, groups;
  int64_t in[kSpatial], out[kSpatial], kernel[kSpatial];
  int64_t stride[kSpatial], padding[kSpatial], dilation[kSpatial];

  int64_t in_positions() const { return in[0] * in[1] * in[2]; }
  int64_t out_positions() const { return out[0] * out[1] * out[2]; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

// A dimension in which the kernel has one element and reads every input once: it and the next such one
// are one dimension. A pointwise convolution has rows of whole images.
inline void merge_dims(Geometry* g) {
  const auto plain = [g](int d) {
    return g->kernel[d] == 1 && g->stride[d] == 1 && g->padding[d] == 0 && g->in[d] == g->out[d];
  };
  for (int d = kSpatial - 2; d >= 0 && plain(kSpatial - 1); --d) {
    if (!plain(d)) break;
    g->in[kSpatial - 1] *= g->in[d];
    g->out[kSpatial - 1] = g->in[kSpatial - 1];
    g->in[d] = g->out[d] = 1;
  }
}

// Fills `g`; false if the shapes do not fit together. detail[0] of the answer is the argument.
inline Status make_geometry(const int64_t* x, int x_dims, const int64_t* weight, int weight_dims,
                            const int64_t* y, int y_dims, const Ints& stride, const Ints& padding,
                            const Ints& dilation, int64_t groups, Geometry* g) {
  const int nd = x_dims - 2;
  const auto wrong = [](int64_t what) { return Status{Code::kShape, {what, 0}}; };
  if (nd < 1 || nd > kSpatial) return wrong(x_dims);
  if (weight_dims != x_dims || y_dims != x_dims) return wrong(weight_dims);
  if (stride.n != nd || padding.n != nd || dilation.n != nd || groups < 1) return wrong(groups);
  g->N = x[0];
  g->C = x[1];
  g->K = weight[0];
  g->groups = groups;
  if (g->C % groups || g->K % groups || weight[1] != g->C / groups) return wrong(weight[1]);
  if (y[0] != g->N || y[1] != g->K) return wrong(y[1]);
  for (int d = 0; d < kSpatial; ++d) {
    const int from = d - (kSpatial - nd);
    g->in[d] = from < 0 ? 1 : x[from + 2];
    g->out[d] = from < 0 ? 1 : y[from + 2];
    g->kernel[d] = from < 0 ? 1 : weight[from + 2];
    g->stride[d] = from < 0 ? 1 : stride.v[from];
    g->padding[d] = from < 0 ? 0 : padding.v[from];
    g->dilation[d] = from < 0 ? 1 : dilation.v[from];
    if (g->in[d] < 0 || g->out[d] < 0 || g->kernel[d] < 0 || g->stride[d] < 1 ||
        g->dilation[d] < 1) {
      return wrong(d);
    }
    // All index arithmetic below stays within these; inputs outside of x read zero.
    int64_t reach, walk;
    if (__builtin_mul_overflow(max(g->kernel[d], 1), g->dilation[d], &reach) ||
        __builtin_mul_overflow(max(g->out[d], 1) + 1, g->stride[d], &walk) ||
        reach > (int64_t{1} << 61) || walk > (int64_t{1} << 61) ||
        g->padding[d] > (int64_t{1} << 61) || g->padding[d] < -(int64_t{1} << 61)) {
      return wrong(d);
    }
  }
  merge_dims(g);
  return kDone;
}

// Of the three passes' arguments.
inline Status make_geometry(const ConvFwdArgs& args, Geometry* g) {
  return make_geometry(args.x.shape, args.x.ndim, args.weight.shape, args.weight.ndim,
                       args.out_shape.v, args.out_shape.n, args.stride, args.padding, args.dilation,
                       args.groups, g);
}
inline Status make_geometry(const ConvBwdInputArgs& args, Geometry* g) {
  return make_geometry(args.x_shape.v, args.x_shape.n, args.weight.shape, args.weight.ndim,
                       args.grad_y.shape, args.grad_y.ndim, args.stride, args.padding,
                       args.dilation, args.groups, g);
}
inline Status make_geometry(const ConvBwdWeightArgs& args, Geometry* g) {
  return make_geometry(args.x.shape, args.x.ndim, args.weight_shape.v, args.weight_shape.n,
                       args.grad_y.shape, args.grad_y.ndim, args.stride, args.padding,
                       args.dilation, args.groups, g);
}

// The axes of y as a gather from x.
inline void forward_axes(const Geometry& g, Axis* axis) {
  for (int d = 0; d < kSpatial; ++d) {
    axis[d].size = g.out[d];
    axis[d].in = g.in[d];
    axis[d].step = g.stride[d];
    axis[d].taps = g.kernel[d];
    axis[d].first = -g.padding[d];
    axis[d].tap_step = g.dilation[d];
  }
}

// Taps that differ by a multiple of this read inputs with the same remainder modulo the stride.
inline int64_t tap_period(const Geometry& g, int d) {
  return g.stride[d] / gcd(g.stride[d], g.dilation[d]);
}

// How many remainders are read at all.
inline int64_t remainders(const Geometry& g, int d) { return min(tap_period(g, d), g.kernel[d]); }

// The axis of the inputs that tap number `tap` < remainders() reads, and which other taps do.
inline Axis backward_axis(const Geometry& g, int d, int64_t tap) {
  const int64_t stride = g.stride[d], period = tap_period(g, d);
  const int64_t reach = tap * g.dilation[d] - g.padding[d];  // the input that output 0 reads
  const int64_t remainder = ((reach % stride) + stride) % stride;
  Axis axis;
  axis.size = max(0, ceil_div_signed(g.in[d] - remainder, stride));
  axis.in = g.out[d];
  axis.first = (remainder - reach) / stride;
  axis.out_first = remainder;
  axis.out_step = stride;
  axis.taps = ceil_div(g.kernel[d] - tap, period);
  axis.tap_step = -(g.dilation[d] / gcd(stride, g.dilation[d]));
  axis.kernel_first = tap;
  axis.kernel_step = period;
  return axis;
}

// bias[c], or zero, everywhere: what remains where no product contributes.
template <class T>
void fill_channels(T* y, const T* bias, int64_t images, int64_t channels, int64_t positions) {
  const int64_t grain = max(1, (1 << 16) / max(1, positions));
  parallel_for(images * channels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T value = bias ? bias[i % channels] : T{};
      for (int64_t j = 0; j < positions; ++j) y[i * positions + j] = value;
    }
  });
}

// FLOPs below which work stays on one thread (about 20 us), and of a block at least.
constexpr double kSerialWork = 4e6;
constexpr double kBlockWork = 2e6;

inline int64_t wanted_blocks(double work, int64_t most) {
  return work < kSerialWork ? 1 : clamp(static_cast<int64_t>(work / kBlockWork), 2, most);
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
