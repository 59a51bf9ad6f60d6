// The list of CPU kernels and their arguments: kernels/__init__.py's list, as C++ sees it (a test
// compares the two). Each family's part is in lists/<family>.h: adding a kernel is a struct and a line
// there, and its body in a family file; adding a family is two lines here. A kernel file includes its
// own family's list only.
#pragma once

#include "lists/activation.h"
#include "lists/adaptive.h"
#include "lists/arithmetic.h"
#include "lists/attention.h"
#include "lists/compare.h"
#include "lists/conv.h"
#include "lists/copy.h"
#include "lists/distance.h"
#include "lists/elementwise.h"
#include "lists/embedding_bag.h"
#include "lists/epilogue.h"
#include "lists/index.h"
#include "lists/interpolate.h"
#include "lists/loss.h"
#include "lists/matmul.h"
#include "lists/norm.h"
#include "lists/optim.h"
#include "lists/pad.h"
#include "lists/pair_loss.h"
#include "lists/pool.h"
#include "lists/random.h"
#include "lists/recurrent.h"
#include "lists/reduce.h"
#include "lists/scan.h"
#include "lists/softmax.h"
#include "lists/sort.h"
#include "lists/window.h"

namespace gradsmith {

// One family a line.
// clang-format off
#define GS_KERNELS(X) \
  GS_ELEMENTWISE_KERNELS(X) \
  GS_ACTIVATION_KERNELS(X) \
  GS_SOFTMAX_KERNELS(X) \
  GS_COPY_KERNELS(X) \
  GS_COMPARE_KERNELS(X) \
  GS_ARITHMETIC_KERNELS(X) \
  GS_REDUCE_KERNELS(X) \
  GS_INDEX_KERNELS(X) \
  GS_EMBEDDING_BAG_KERNELS(X) \
  GS_PAD_KERNELS(X) \
  GS_SORT_KERNELS(X) \
  GS_SCAN_KERNELS(X) \
  GS_WINDOW_KERNELS(X) \
  GS_MATMUL_KERNELS(X) \
  GS_CONV_KERNELS(X) \
  GS_EPILOGUE_KERNELS(X) \
  GS_POOL_KERNELS(X) \
  GS_ADAPTIVE_KERNELS(X) \
  GS_LOSS_KERNELS(X) \
  GS_NORM_KERNELS(X) \
  GS_PAIR_LOSS_KERNELS(X) \
  GS_INTERPOLATE_KERNELS(X) \
  GS_RANDOM_KERNELS(X) \
  GS_OPTIM_KERNELS(X) \
  GS_RECURRENT_KERNELS(X) \
  GS_ATTENTION_KERNELS(X) \
  GS_DISTANCE_KERNELS(X)
// clang-format on

// Each ISA build defines all kernels in its own namespace (GS_ISA: v2, v3, v4 or neon).
#define GS_DECLARE_KERNEL(name, Args) Status name(const Args& args);
#define GS_DECLARE_ISA(isa)     \
  namespace isa {               \
  GS_KERNELS(GS_DECLARE_KERNEL) \
  }

// The kernels of one ISA, in the order of GS_KERNELS.
using Kernel = Status (*)(const void* args);

}  // namespace gradsmith
