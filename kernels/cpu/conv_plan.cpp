// plan_conv: the choice of a convolution's algorithm, by pass, dtype and shape.
//
// Method     special kernels say themselves which cases they take (depthwise, columns, pointwise). Winograd's is
//            weighed against sums of nine products by a model of the time, in multiply-adds of a thread
//            at its peak; its constants are measured (docs/adr/0011).
// Split      none.
// Cache      plans are kept, kPlans a thread: the same case is looked up, not weighed again.
// Cost       about 50 ns.
#include "conv_plan.h"

#include "conv.h"
#include "conv_columns.h"
#include "conv_depthwise.h"
#include "conv_phases.h"
#include "conv_pointwise.h"
#include "conv_winograd.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr double kLane = kLanes<float>;

constexpr int64_t kMostSlices = 7;      // of the filters, each of which transforms all of x
constexpr int64_t kLeastChannels = 16;  // first layers have kernels of their own
// Of each of several groups, which are taken one after another: N8 512->512 14x14 in 32 groups took 2.5 ms
// for 1.1, 1024->1024 7x7 1.5 for 0.9 (two cores of an Emerald Rapids).
constexpr int64_t kLeastOfGroups = 48;
// Multiply-adds that take as long as one step of Winograd's algorithm, for tiles of 4 x 4, 3 x 3 and 2 x 2
// of 3x3 filters, and of 2 x 2 of 5x5 ones.
struct Costs {
  double product[4];            // a product of its planes
  double filter[4], turned[4];  // an element of a filter's planes, transformed
  double row[4], long_row[4];   // a vector of a channel's line, in or out; of a line of many tiles
  double column[4];             // a vector of a channel's tiles
};
// Filters stay in L2, or do not.
constexpr Costs kSmall{{1.2, 1.15, 1.1, 1.2},
                       {0.62 * kLane, 0.68 * kLane, 0.75 * kLane, 0.8 * kLane},
                       {0.75 * kLane, 0.82 * kLane, 0.9 * kLane, 1.0 * kLane},
                       {127 * kLane, 90 * kLane, 54 * kLane, 150 * kLane},
                       {267 * kLane, 190 * kLane, 113 * kLane, 240 * kLane},
                       {150 * kLane, 120 * kLane, 84 * kLane, 140 * kLane}};
constexpr Costs kLarge{{1.05, 1.05, 1.05, 1.05},
                       {1.1 * kLane, 1.3 * kLane, 1.6 * kLane, 1.4 * kLane},
                       {1.3 * kLane, 1.6 * kLane, 1.9 * kLane, 1.6 * kLane},
                       {127 * kLane, 90 * kLane, 54 * kLane, 150 * kLane},
                       {267 * kLane, 190 * kLane, 113 * kLane, 240 * kLane},
                       {150 * kLane, 120 * kLane, 84 * kLane, 140 * kLane}};
// The weight gradient: an element of its planes, a tile of a channel's, a call; an element in order.
constexpr double kGradientElement = 1.5 * kLane, kGradientTile = 600, kGradientCall = 5e4 * kLane;
constexpr double kDirectElement = 1.7 * kLane;
constexpr int64_t kFewTiles = 5 * kLanes<float> / 8;  // of a line (conv_winograd_tile.h)
constexpr int64_t kSmallFilters = 1 << 13;            // filters times channels
// The same for sums in order: packing an element of a filter, copying one in or out.
constexpr double kPhaseCost = 4 * kLane;  // an element, in or out
constexpr double kGroupCost =
    300 * kLane;  // a vector of tiles of phases left in their places, in or out
constexpr double kSmallPackCost = 0.8 * kLane, kPackCost = 3.6 * kLane, kCopyCost = 20;
// Kernels of one element with large weights, in order: one product of all images, whose weights stay in L2
// a block at a time, or tiles of so many positions that an L2 of so much holds several of them, and weights
// are read seldom. N8 7x7 1024->1024, 2048->512 and 512->2048, 2 threads of a Xeon with 2 MB of L2: the
// latter is 8-14 % quicker.
constexpr int64_t kTilePositions = 256, kTileCache = 2 << 20;
// How much quicker Winograd's must seem.
constexpr double kMargin = 1.05, kWeightMargin = 1.6;
// Besides: a dilated convolution's phases, copied and left in their places.
constexpr double kPhaseMargin = 1.4, kInPlaceMargin = 1.15;

bool small_filters(const Geometry& g) { return g.C * g.K * g.kernel[0] <= kSmallFilters; }

// Whether Winograd's transforms compute this at all.
bool winograd_takes(ConvPass pass, DType dtype, const Geometry& g, int tile) {
  if (conv_exact() || dtype != DType::kFloat32) return false;
  if (g.groups != 1 && pass == ConvPass::kWeight) return false;
  const int64_t kernel = g.kernel[1];
  if (kernel == 5 ? tile != 2 || pass == ConvPass::kWeight : pass == ConvPass::kWeight && tile != 4)
    return false;
  const bool flat = g.in[0] == 1 && g.out[0] == 1 && g.kernel[0] == 1 && g.padding[0] == 0;
  if (!flat && pass == ConvPass::kWeight) return false;
  if (g.stride[0] != 1 || g.dilation[0] != 1 || g.kernel[0] > kMostSlices) return false;
  for (int d = 1; d < kSpatial; ++d) {
    if ((kernel != 3 && kernel != 5) || g.kernel[d] != kernel || g.stride[d] != 1 ||
        g.dilation[d] != 1) {
      return false;
    }
  }
  return g.C > 0 && g.K > 0 && g.N > 0 && g.out_positions() > 0;
}

// Of Winograd's algorithm with tiles of `tile` x `tile` outputs: its planes, and its place in Costs.
double planes_of(const Geometry& g, int tile) {
  const double side = static_cast<double>(tile + g.kernel[1] - 1);
  return side * side;
}
int cost_index(const Geometry& g, int tile) { return g.kernel[1] == 5 ? 3 : 4 - tile; }

// What that costs.
double winograd_cost(ConvPass pass, const Geometry& g, int tile) {
  const int64_t* out = pass == ConvPass::kInput ? g.in : g.out;
  const Costs& costs = small_filters(g) ? kSmall : kLarge;
  const int64_t lines = g.N * out[0] * ceil_div(out[1], tile), columns = ceil_div(out[2], tile);
  const double planes = planes_of(g, tile);
  if (pass == ConvPass::kWeight) {
    // The last tiles have as many points as they need.
    const auto points = [=](int64_t n) { return static_cast<double>(n + 2 * ceil_div(n, tile)); };
    return static_cast<double>(round_up(g.C, kLanes<float>) * round_up(g.K, 8)) *
               (static_cast<double>(g.N) * points(out[1]) * points(out[2]) +
                planes * kGradientElement) +
           static_cast<double>(round_up(g.C, kLanes<float>) + round_up(g.K, kLanes<float>)) *
               static_cast<double>(lines * columns) * kGradientTile +
           kGradientCall;
  }
  const bool is_long = columns > kFewTiles && g.kernel[1] == 3;
  const double vectors = static_cast<double>(ceil_div(lines * columns, kLanes<float>));
  // Each slice of the filters is channels of its own.
  const int64_t read = (pass == ConvPass::kInput ? g.K : g.C) * g.kernel[0];
  const int64_t written = pass == ConvPass::kInput ? g.C : g.K;
  const double filters =
      static_cast<double>(round_up(read, 4)) * static_cast<double>(round_up(written, 4));
  const double rows =
      static_cast<double>(lines * ceil_div(is_long ? columns : columns * tile, kLanes<float>));
  const int size = cost_index(g, tile);
  const double filter = (pass == ConvPass::kInput ? costs.turned : costs.filter)[size];
  const double row = is_long ? costs.long_row[size] : costs.row[size];
  return planes * filters * (vectors * kLane * costs.product[size] + filter) +
         static_cast<double>(read + written) * (rows * row + vectors * costs.column[size]);
}

// The same of a dilated convolution's phases: copied, or left in their places.
double phases_cost(ConvPass pass, const Geometry& g, const Geometry& plain, int tile) {
  if (pass == ConvPass::kWeight || !phases_stay(g, plain, tile)) {
    return kPhaseMargin *
           (winograd_cost(pass, plain, tile) +
            kPhaseCost * (static_cast<double>(g.N * g.C) * static_cast<double>(g.in_positions()) +
                          static_cast<double>(g.N * g.K) * static_cast<double>(g.out_positions())));
  }
  const int64_t* out = pass == ConvPass::kInput ? plain.in : plain.out;
  const int64_t tiles = ceil_div(out[1], tile) * ceil_div(out[2], tile);
  const int64_t groups = g.N * tiles * g.dilation[1] * ceil_div(g.dilation[2], kLanes<float>);
  const double vectors = static_cast<double>(ceil_div(plain.N * tiles, kLanes<float>));
  const int size = cost_index(g, tile);
  const double filter = (pass == ConvPass::kInput ? kLarge.turned : kLarge.filter)[size];
  return kInPlaceMargin * (planes_of(g, tile) * static_cast<double>(g.C * g.K) *
                               (vectors * kLane * kLarge.product[size] + filter) +
                           static_cast<double>((g.C + g.K) * groups) * kGroupCost);
}

// The part of the taps that read inputs, not padding: kernels with dilation leave most others out.
double useful(const Geometry& g) {
  double part = 1;
  for (int d = 0; d < kSpatial; ++d) {
    if (g.dilation[d] == 1) continue;
    int64_t inside = 0;
    for (int64_t r = 0; r < g.kernel[d]; ++r) {
      const int64_t first = r * g.dilation[d] - g.padding[d];
      inside += max(0, min(g.out[d], g.in[d] - first) - max(0, -first));
    }
    part *= static_cast<double>(inside) / static_cast<double>(g.kernel[d] * g.out[d]);
  }
  return part;
}

// What sums in order cost: conv.h's planes have a lane between rows, where images are not lanes.
double direct_cost(ConvPass pass, const Geometry& g) {
  const int64_t* out = pass == ConvPass::kInput ? g.in : g.out;
  const bool image_lanes = g.N >= kLanes<float>;
  const double lanes =
      static_cast<double>(g.N * out[0] * out[1] * (image_lanes ? out[2] : out[2] + 1));
  const bool weight = pass == ConvPass::kWeight;
  const double taps = static_cast<double>(g.taps()) * useful(g) * static_cast<double>(g.C) *
                      static_cast<double>(g.K);
  // Of the peak: short rows cost more.
  if (weight) return taps * (lanes / (image_lanes ? 0.85 : 0.7) + kDirectElement);
  const bool small = small_filters(g);
  const double share = image_lanes ? 0.88 : !small && out[2] <= 8 ? 0.55 : 0.92;
  return taps * (lanes / share + (small ? kSmallPackCost : kPackCost)) +
         kCopyCost * static_cast<double>(g.C + g.K) *
             static_cast<double>(g.N * out[0] * out[1] * out[2]);
}

// The special kernels, asked only whether they take a case.
bool depthwise_takes(const ConvFwdArgs& args) { return depthwise_fwd(args, nullptr); }
bool depthwise_takes(const ConvBwdInputArgs& args) { return depthwise_bwd_input(args, nullptr); }
bool depthwise_takes(const ConvBwdWeightArgs& args) { return depthwise_bwd_weight(args, nullptr); }
bool columns_take(const ConvFwdArgs& args) { return columns_fwd(args, nullptr); }
bool columns_take(const ConvBwdInputArgs& args) { return columns_bwd_input(args, nullptr); }
bool columns_take(const ConvBwdWeightArgs& args) { return columns_bwd_weight(args, nullptr); }
bool pointwise_takes(const ConvFwdArgs& args) { return pointwise_fwd(args, nullptr); }
bool pointwise_takes(const ConvBwdInputArgs& args) { return pointwise_bwd_input(args, nullptr); }
bool pointwise_takes(const ConvBwdWeightArgs& args) { return pointwise_bwd_weight(args, nullptr); }

// A strided input gradient whose rows fill tiles (conv_filter_lanes.cpp) reads each remainder's taps in place:
// no columns are written, read and spread over the stride. N8 C512 14x14 K512 3x3 s2, 2 threads of a Xeon with
// 2 MB of L2: 10.0 -> 8.2 ms.
bool tiles_beat_columns(ConvPass pass, const Geometry& g) {
  return pass == ConvPass::kInput && g.stride[2] > 1 && g.stride[2] <= 4 &&
         g.kernel[2] > g.stride[2] && g.in[2] >= 4 * g.stride[2] && g.N * g.out_positions() >= 32;
}

template <class Args>
ConvAlgorithm weigh(ConvPass pass, const Args& args, DType dtype, const Geometry& g) {
  Geometry plain;  // what Winograd's algorithm would compute: of a dilated convolution's phases
  const bool dilated = phase_geometry(g, &plain);
  switch (conv_forced()) {
    case ConvAlgorithm::kDirect: return ConvAlgorithm::kDirect;
    case ConvAlgorithm::kDepthwise:
      if (depthwise_takes(args)) return ConvAlgorithm::kDepthwise;
      break;
    case ConvAlgorithm::kColumns:
      if (columns_take(args)) return ConvAlgorithm::kColumns;
      break;
    case ConvAlgorithm::kWinograd4:
      if (winograd_takes(pass, dtype, g, 4)) return ConvAlgorithm::kWinograd4;
      break;
    case ConvAlgorithm::kWinograd3:
      if (winograd_takes(pass, dtype, g, 3)) return ConvAlgorithm::kWinograd3;
      break;
    case ConvAlgorithm::kWinograd2:
      if (winograd_takes(pass, dtype, g, 2)) return ConvAlgorithm::kWinograd2;
      break;
    case ConvAlgorithm::kPointwise:
      if (pointwise_takes(args)) return ConvAlgorithm::kPointwise;
      break;
    case ConvAlgorithm::kPhases:
      if (dilated) return ConvAlgorithm::kPhases;
      break;
    case ConvAlgorithm::kAuto: break;
  }
  // One tap; or one position, whose columns may be the images themselves: a product of matrices.
  const bool tiles = g.N * g.out_positions() >= kTilePositions &&
                     second_level_cache() >= kTileCache && pointwise_takes(args);
  if (((pass == ConvPass::kForward && g.taps() == 1 && !tiles) || g.out_positions() == 1) &&
      columns_take(args)) {
    return ConvAlgorithm::kColumns;
  }
  if (pointwise_takes(args)) return ConvAlgorithm::kPointwise;
  if (depthwise_takes(args)) return ConvAlgorithm::kDepthwise;
  // Groups are alike: what one of them costs.
  Geometry one = g, plain_one = plain;
  for (Geometry* of : {&one, &plain_one}) {
    of->C /= g.groups;
    of->K /= g.groups;
  }
  if (min(one.C, one.K) >= (g.groups > 1 ? kLeastOfGroups : kLeastChannels)) {
    ConvAlgorithm best = ConvAlgorithm::kAuto;
    double least = direct_cost(pass, one) / (pass == ConvPass::kWeight ? kWeightMargin : kMargin);
    for (const int tile : {4, 3, 2}) {
      if (!winograd_takes(pass, dtype, plain, tile)) continue;
      const double cost =
          dilated ? phases_cost(pass, one, plain_one, tile) : winograd_cost(pass, plain_one, tile);
      if (cost >= least) continue;
      least = cost;
      best = dilated     ? ConvAlgorithm::kPhases
             : tile == 4 ? ConvAlgorithm::kWinograd4
             : tile == 3 ? ConvAlgorithm::kWinograd3
                         : ConvAlgorithm::kWinograd2;
    }
    if (best != ConvAlgorithm::kAuto) return best;
  }
  return columns_take(args) && !tiles_beat_columns(pass, g) ? ConvAlgorithm::kColumns
                                                            : ConvAlgorithm::kDirect;
}

// ---- plans that are kept ----

// All that a choice follows from.
struct Case {
  Geometry geometry;
  int64_t pass, dtype, bias, forced, exact;
};

struct Plan {
  Case made_for;
  ConvAlgorithm algorithm;  // kAuto: empty
};

constexpr uint64_t kPlans = 32;
thread_local Plan plans[kPlans];

template <class Args>
ConvAlgorithm look_up(ConvPass pass, const Args& args, DType dtype, bool bias, const Geometry& g) {
  const Case wanted{g,    static_cast<int64_t>(pass),          static_cast<int64_t>(dtype),
                    bias, static_cast<int64_t>(conv_forced()), conv_exact()};
  static_assert(sizeof(Case) % sizeof(uint64_t) == 0, "nothing but words");
  constexpr size_t kWords = sizeof(Case) / sizeof(uint64_t);
  uint64_t words[kWords], hash = 0;
  __builtin_memcpy(words, &wanted, sizeof(wanted));
  for (const uint64_t word : words) hash = (hash ^ word) * 0x9e3779b97f4a7c15;
  Plan& plan = plans[hash >> 32 & (kPlans - 1)];
  if (plan.algorithm == ConvAlgorithm::kAuto ||
      __builtin_memcmp(&plan.made_for, words, sizeof(words)) != 0) {
    plan.algorithm = weigh(pass, args, dtype, g);
    plan.made_for = wanted;
  }
  return plan.algorithm;
}

}  // namespace

ConvAlgorithm plan_conv(const ConvFwdArgs& args) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return ConvAlgorithm::kAuto;
  return look_up(ConvPass::kForward, args, args.x.dtype, args.bias.data != nullptr, g);
}

ConvAlgorithm plan_conv(const ConvBwdInputArgs& args) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return ConvAlgorithm::kAuto;
  return look_up(ConvPass::kInput, args, args.grad_y.dtype, args.bias.data != nullptr, g);
}

ConvAlgorithm plan_conv(const ConvBwdWeightArgs& args) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return ConvAlgorithm::kAuto;
  return look_up(ConvPass::kWeight, args, args.grad_y.dtype, false, g);
}

// What dispatch.h's table has: the algorithm of shapes, without arrays.
ConvAlgorithm conv_algorithm_of(const ConvShapes& s) {
  const auto array = [&](const Ints& shape) {
    return Array{nullptr, shape.v, nullptr, 1, shape.n, s.dtype, true};
  };
  const Array none{};
  switch (s.pass) {
    case ConvPass::kForward:
      return plan_conv(ConvFwdArgs{array(s.x), array(s.weight), none, s.y, s.stride, s.padding,
                                   s.dilation, s.groups, array(s.y)});
    case ConvPass::kInput:
      return plan_conv(ConvBwdInputArgs{array(s.y), array(s.weight), none, s.x, s.stride, s.padding,
                                        s.dilation, s.groups, array(s.x)});
    default:
      return plan_conv(ConvBwdWeightArgs{array(s.y), array(s.x), s.weight, s.stride, s.padding,
                                         s.dilation, s.groups, array(s.weight)});
  }
}

}  // namespace GS_ISA
}  // namespace gradsmith
