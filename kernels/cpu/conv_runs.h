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

// The epilogue of a tile's rows; forward, where neighbouring lanes are neighbours in y.
template <class T>
void finish_runs(const ConvEpilogue* epilogue, const Run* runs, int count, T* y, int64_t rows,
                 int64_t out_size) {
  if (!epilogue) return;
  for (int64_t i = 0; i < rows; ++i, y += out_size) {
    for (int r = 0; r < count; ++r) finish(epilogue, y + runs[r].out, runs[r].count);
  }
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
