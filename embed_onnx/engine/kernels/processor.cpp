#include "processor.h"

#include <cstdint>
#include <initializer_list>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#else
#include <sys/auxv.h>
#endif

namespace embed_onnx {
namespace {

#if defined(__x86_64__)

// Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID; volume 1, 13.3, 14.3 and 15.2.
struct Leaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  Leaf(unsigned leaf, unsigned subleaf) { __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx); }
};

bool has(uint64_t bits, std::initializer_list<int> numbers) {
  for (const int number : numbers)
    if (!(bits >> number & 1)) return false;
  return true;
}

// XCR0: the registers that the system keeps from one thread to the next. Zero where it cannot be asked.
uint64_t kept_registers() {
  constexpr int kOsxsave = 27;
  if (!has(Leaf(1, 0).ecx, {kOsxsave})) return 0;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

Processor detect() {
  const Leaf basic(1, 0), extended(7, 0), more(7, 1);
  const uint64_t kept = kept_registers();
  const bool ymm = has(kept, {1, 2}), zmm = ymm && has(kept, {5, 6, 7}), tiles = has(kept, {17, 18});
  Processor result;
  result.avx2 = ymm && has(basic.ecx, {12}) && has(extended.ebx, {5});
  result.avxvnni = result.avx2 && has(more.eax, {4});
  result.avx512vnni = zmm && result.avx2 && has(extended.ebx, {16, 17, 30, 31}) && has(extended.ecx, {11});
  result.amx_int8 = tiles && has(extended.edx, {24, 25});
  return result;
}

#else

Processor detect() {
  Processor result;
#if defined(__APPLE__)
  int value = 0;
  size_t size = sizeof value;
  result.dot_product = !sysctlbyname("hw.optional.arm.FEAT_DotProd", &value, &size, nullptr, 0) && value;
#else
  result.dot_product = getauxval(AT_HWCAP) >> 20 & 1;  // HWCAP_ASIMDDP
#endif
  return result;
}

#endif

}  // namespace

const Processor& processor() {
  static const Processor result = detect();
  return result;
}

}  // namespace embed_onnx
