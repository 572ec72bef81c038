// Gives a design that Yosys wrote as C++ the ports and calls of one that Verilator did, so that one harness drives both.
//
// Before this file stand the design (CXXRTL's class of the top module, named DESIGN_TOP) and PORTS, a macro list of its
// ports: INPUT(name, member, bits) or OUTPUT(name, member, bits).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

struct VerilatedContext {  // CXXRTL's registers begin with zero, or with what the source says
  void randReset(int) {}
  void randSeed(int) {}
};

// Integers up to 64 bits, arrays of 32-bit words above.
template <size_t Bits>
using Port = std::conditional_t<
    (Bits > 64), std::array<uint32_t, (Bits + 31) / 32>, std::conditional_t<(Bits > 32), uint64_t, uint32_t>>;

template <size_t Bits>
void give(cxxrtl::value<Bits>& to, const Port<Bits>& from) {
  for (size_t word = 0; word < cxxrtl::value<Bits>::chunks; ++word) {
    if constexpr (Bits > 64) to.data[word] = from[word];
    else to.data[word] = static_cast<uint32_t>(static_cast<uint64_t>(from) >> (32 * word));
  }
}

template <size_t Bits>
void take(Port<Bits>& to, const cxxrtl::value<Bits>& from) {
  to = {};
  for (size_t word = 0; word < cxxrtl::value<Bits>::chunks; ++word) {
    if constexpr (Bits > 64) to[word] = from.data[word];
    else to |= static_cast<Port<Bits>>(from.data[word]) << (32 * word);
  }
}

template <size_t Bits>
void take(Port<Bits>& to, const cxxrtl::wire<Bits>& from) {
  take(to, from.curr);
}

class Vtop {
 public:
#define INPUT(name, member, bits) Port<bits> name{};
#define OUTPUT(name, member, bits) Port<bits> name{};
  PORTS
#undef INPUT
#undef OUTPUT

  Vtop(VerilatedContext*, const char*) {}

  void eval() {
#define INPUT(name, member, bits) give<bits>(design_.member, name);
#define OUTPUT(name, member, bits)
    PORTS
#undef INPUT
#undef OUTPUT
    design_.step();
    if (clk) design_.step();  // of outputs behind a register the step with the edge leaves what they were before it
#define INPUT(name, member, bits)
#define OUTPUT(name, member, bits) take<bits>(name, design_.member);
    PORTS
#undef INPUT
#undef OUTPUT
  }

  void final() {}

 private:
  DESIGN_TOP design_;
};
