// What no kernel of an ISA build can exceed on this machine: loops that do one thing only. Not
// kernels: they are in no table and compute nothing of use (gradsmith.benchmarks.roofline times them).
#pragma once

#include <cstdint>

namespace gradsmith {

enum class Ceiling {
  kFma32,       // float32 multiply-adds on registers
  kFma64,       // float64 multiply-adds on registers
  kRead,        // s += x
  kCopy,        // y = x
  kTriad,       // y = x + a * z
  kCopyStream,  // kCopy and kTriad with stores past the caches
  kTriadStream,
};

struct CeilingLoop {
  Ceiling what;
  int threads;     // blocks of equal work, one for each
  int64_t rounds;  // how often each block goes over its part
  float* memory;   // 64-byte aligned; nothing is asked of its contents but numbers
  int64_t count;   // floats of it
};

// Runs the loop on the pool; how many FLOPs were done or bytes read and written. 0: too little memory
// for so many threads.
using CeilingFunction = double (*)(const CeilingLoop&);

}  // namespace gradsmith
