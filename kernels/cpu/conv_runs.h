// Where the lanes of a tile lie in the output of a convolution.
#pragma once

#include "epilogue.h"
#include "gemm.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// A stretch of a tile's lanes and where it lies in the output.
struct Run {
  int64_t lane, count, out;
};

// Copies between a tile's rows and the output along the runs.
template <class T>
void store_runs(const Run* runs, int count, const T* tile, T* y, int64_t step) {
  for (int r = 0; r < count; ++r) {
    T* to = y + runs[r].out;
    const T* from = tile + runs[r].lane;
    if (step == 1) {
      copy_run(to, from, runs[r].count);
    } else {
      for (int64_t i = 0; i < runs[r].count; ++i) to[i * step] = from[i];
    }
  }
}

template <class T>
void load_runs(const Run* runs, int count, T* tile, const T* y, int64_t step) {
  for (int r = 0; r < count; ++r) {
    const T* from = y + runs[r].out;
    T* to = tile + runs[r].lane;
    for (int64_t i = 0; i < runs[r].count; ++i) to[i] = from[i * step];
  }
}

// The epilogue of a tile of rows of `width` lanes that have still to be stored along the runs, at y.
template <class T>
void finish_tile(const ConvEpilogue* epilogue, const Run* runs, int count, const T* y,
                 int64_t out_size, T* tile, int64_t width, int64_t rows) {
  if (!epilogue) return;
  alignas(64) T residual[TileShape::kRows * TileShape::kMaxVectors * kLanes<T>];
  if (!epilogue->residual) {
    return finish_rows(epilogue->activation, static_cast<T*>(nullptr), tile, width, rows, width);
  }
  // The lanes between runs are finished, too.
  __builtin_memset(residual, 0, static_cast<size_t>(rows * width) * sizeof(T));
  const char* from = epilogue->residual + (reinterpret_cast<const char*>(y) - epilogue->y);
  for (int64_t i = 0; i < rows; ++i) {
    load_runs(runs, count, residual + i * width, reinterpret_cast<const T*>(from) + i * out_size,
              1);
  }
  finish_rows(epilogue->activation, residual, tile, width, rows, width);
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
