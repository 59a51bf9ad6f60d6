// Products of packed operands (packed.h).
//
// Split: pack_right by panels, on the pool; the rest is the caller's, who gives threads rows or
//   matrices of their own. Working set: a panel of b (K x kPanelColumns) stays in cache while all rows
//   of a pass by. Cost: 2 rows N K FLOPs; packing writes rows K + K N elements.
#include "packed.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Tiles up to the panel's width, of every height.
template <class T>
struct PanelTiles {
  Tile<T, StridedRows<T>> entry[TileShape::kRows * TileShape::kVectors];
};

template <class T, int... I>
constexpr PanelTiles<T> make_panel_tiles(std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kVectors;
  return {{&tile<T, I / V + 1, I % V + 1, StridedRows<T>>...}};
}

template <class T>
constexpr PanelTiles<T> kPanelTiles =
    make_panel_tiles<T>(std::make_integer_sequence<int, TileShape::kRows * TileShape::kVectors>{});

template <class T>
void pack_left_typed(const T* a, int64_t row, int64_t column, int64_t rows, int64_t K, T* to) {
  if (rows <= 0) return;
  const Panels panels(rows);
  for (int64_t i = 0; i < panels.count; ++i) {
    const int height = panels.rows(i);
    pack_panel(a + panels.begin(i) * row, row, column, K, height, height, to + panels.begin(i) * K);
  }
}

template <class T>
void pack_right_typed(const T* b, int64_t row, int64_t column, int64_t K, int64_t N, T* to) {
  constexpr int64_t W = kPanelColumns<T>;
  constexpr int64_t kElements = 16384;  // a block of packing
  parallel_for(ceil_div(N, W), max(1, kElements / (max(K, 1) * W)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) {
                   const int lines = static_cast<int>(min(W, N - p * W));
                   pack_panel(b + p * W * column, column, row, K, lines,
                              static_cast<int>(round_up(lines, kLanes<T>)), to + p * W * K);
                 }
               });
}

template <class T>
void multiply_typed(const T* a, const T* b, int64_t rows, int64_t N, int64_t K, T* y,
                    int64_t stride, bool add) {
  constexpr int64_t W = kPanelColumns<T>, L = kLanes<T>;
  if (rows <= 0) return;
  const Panels panels(rows);
  const Start start = add ? Start::kOutput : Start::kZero;
  alignas(GS_VECTOR_BYTES) T edge[TileShape::kRows * W];
  if (add && N % L)
    __builtin_memset(edge, 0, sizeof(edge));  // lanes behind the last column are added to
  for (int64_t n = 0; n < N; n += W) {
    const int64_t columns = min(W, N - n), vectors = ceil_div(columns, L);
    const T* const right = b + n * K;
    const StridedRows<T> panel{right, vectors * L};
    for (int64_t i = 0; i < panels.count; ++i) {
      const int height = panels.rows(i);
      const auto run = kPanelTiles<T>.entry[(height - 1) * TileShape::kVectors + vectors - 1];
      const T* const left = a + panels.begin(i) * K;
      T* const c = y + panels.begin(i) * stride + n;
      if (columns == vectors * L) {
        run(K, left, panel, c, stride, start, nullptr);
        continue;
      }
      if (add) {
        for (int r = 0; r < height; ++r) copy_run(edge + r * W, c + r * stride, columns);
      }
      run(K, left, panel, edge, W, start, nullptr);
      for (int r = 0; r < height; ++r) copy_run(c + r * stride, edge + r * W, columns);
    }
  }
}

}  // namespace

void pack_left(const float* a, int64_t row, int64_t column, int64_t rows, int64_t K, float* to) {
  pack_left_typed(a, row, column, rows, K, to);
}
void pack_left(const double* a, int64_t row, int64_t column, int64_t rows, int64_t K, double* to) {
  pack_left_typed(a, row, column, rows, K, to);
}

void pack_right(const float* b, int64_t row, int64_t column, int64_t K, int64_t N, float* to) {
  pack_right_typed(b, row, column, K, N, to);
}
void pack_right(const double* b, int64_t row, int64_t column, int64_t K, int64_t N, double* to) {
  pack_right_typed(b, row, column, K, N, to);
}

void multiply_packed(const float* a, const float* b, int64_t rows, int64_t N, int64_t K, float* y,
                     int64_t stride, bool add) {
  multiply_typed(a, b, rows, N, K, y, stride, add);
}
void multiply_packed(const double* a, const double* b, int64_t rows, int64_t N, int64_t K,
                     double* y, int64_t stride, bool add) {
  multiply_typed(a, b, rows, N, K, y, stride, add);
}

}  // namespace GS_ISA
}  // namespace gradsmith
