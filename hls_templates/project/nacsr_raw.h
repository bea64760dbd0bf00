// Raw words: the bits of a fixed-point value as an integer. Copied into every project.
#ifndef NACSR_RAW_H
#define NACSR_RAW_H

#include <ap_fixed.h>
#include <ap_int.h>

namespace nacsr {

// V is the integer behind a value. It wraps to its width as range(width - 1, 0) would, and
// compiles several times faster.

// The value of type T whose bits are those of `word`; no conversion of any kind.
template <typename T, typename Word>
T from_raw(Word word) {
#pragma HLS inline
    T value;
    value.V = word;
    return value;
}

// The bits of `source` read as another type of the same width: moves the binary point.
template <typename T, typename Source>
T from_bits(const Source &source) {
#pragma HLS inline
    T value;
    value.V = source.V;
    return value;
}

// The bits of an unsigned or signed value as an integer; overloads tell the two apart.
template <int W, int I, ap_q_mode Q, ap_o_mode O, int N>
long long to_raw(const ap_fixed<W, I, Q, O, N> &value) {
    return ap_int<W>(value.range(W - 1, 0)).to_int64();
}

template <int W, int I, ap_q_mode Q, ap_o_mode O, int N>
long long to_raw(const ap_ufixed<W, I, Q, O, N> &value) {
    return ap_uint<W>(value.range(W - 1, 0)).to_int64();
}

}  // namespace nacsr

#endif
