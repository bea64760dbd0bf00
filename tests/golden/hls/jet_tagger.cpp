// jet tagger, written by nacsr from graph b5deb1c8297413a0; do not edit, emit again.
#include "jet_tagger.h"

#include "nacsr_raw.h"

void jet_tagger(
    const ap_fixed<8,4> pT,
    const ap_ufixed<6,6> class_,
    const ap_fixed<5,2> word[3],
    ap_fixed<10,5> out[2],
    ap_ufixed<2,2> &in) {
#pragma HLS pipeline II=1
#pragma HLS array_partition variable=word complete
#pragma HLS array_partition variable=out complete
    const ap_ufixed<3,1> v3 = nacsr::from_raw<ap_ufixed<3,1> >(3LL);
    const ap_fixed<9,5> v4 = pT + v3;
    const ap_fixed<12,8> v5 = class_ - pT;
    const ap_fixed<21,13> v6 = v4 * v5;
    const ap_fixed<6,5,AP_RND_CONV,AP_SAT> v7 = ap_fixed<6,5,AP_RND_CONV,AP_SAT>(v6);
    // made up
    static const signed char v8_table[64] = {
        -6, -5, -2, 3, -3, 6, 4, 4, 6, -3, 3, -2, -5, -6, -5, -2, 3, -3, 6, 4, 4, 6, -3, 3, -2, -5,
        -6, -5, -2, 3, -3, 6, 4, 4, 6, -3, 3, -2, -5, -6, -5, -2, 3, -3, 6, 4, 4, 6, -3, 3, -2, -5,
        -6, -5, -2, 3, -3, 6, 4, 4, 6, -3, 3, -2,
    };
    const ap_fixed<4,2> v8 = nacsr::from_raw<ap_fixed<4,2> >(v8_table[v7.range(5, 0).to_uint()]);
    static const signed char v9_weight[6] = {
        1, -2, 0, 3, -1, 1,
    };
    static const signed char v9_bias[2] = {
        5, -7,
    };
    ap_fixed<9,4> v9[2];
#pragma HLS array_partition variable=v9 complete
    for (int j = 0; j < 2; ++j) {
#pragma HLS unroll
        ap_fixed<9,4> v9_sum = nacsr::from_raw<ap_fixed<5,3> >(v9_bias[j]);
        for (int i = 0; i < 3; ++i) {
#pragma HLS unroll
            v9_sum += word[i] * nacsr::from_raw<ap_fixed<3,1> >(v9_weight[i * 2 + j]);
        }
        v9[j] = v9_sum;
    }
    ap_fixed<10,5> v10[2];
#pragma HLS array_partition variable=v10 complete
    for (int i = 0; i < 2; ++i) {
#pragma HLS unroll
        v10[i] = -v9[i];
    }
    ap_ufixed<9,4> v11[2];
#pragma HLS array_partition variable=v11 complete
    for (int i = 0; i < 2; ++i) {
#pragma HLS unroll
        v11[i] = v10[i][9] ? ap_ufixed<9,4>(0) : ap_ufixed<9,4>(v10[i]);
    }
    ap_fixed<10,5> v12[2];
#pragma HLS array_partition variable=v12 complete
    for (int i = 0; i < 2; ++i) {
#pragma HLS unroll
        v12[i] = ap_fixed<10,5>(v11[i]) > ap_fixed<10,5>(v8) ? ap_fixed<10,5>(v11[i]) : ap_fixed<10,5>(v8);
    }
    const ap_ufixed<8,4> v13 = pT[7] ? ap_ufixed<8,4>(-pT) : ap_ufixed<8,4>(pT);
    ap_fixed<10,5> v14[2];
#pragma HLS array_partition variable=v14 complete
    for (int i = 0; i < 2; ++i) {
#pragma HLS unroll
        v14[i] = v12[i] < ap_fixed<10,5>(v13) ? v12[i] : ap_fixed<10,5>(v13);
    }
    const ap_ufixed<1,1> v15 = ap_ufixed<1,1>(ap_fixed<11,7>(pT) < ap_fixed<11,7>(class_));
    const ap_fixed<6,3> v16 = nacsr::from_bits<ap_fixed<6,3> >(v7);
    ap_fixed<10,5> v17[2];
#pragma HLS array_partition variable=v17 complete
    for (int i = 0; i < 2; ++i) {
#pragma HLS unroll
        v17[i] = v15[0] ? v14[i] : ap_fixed<10,5>(v16);
    }
    ap_fixed<9,5> v18[3];
#pragma HLS array_partition variable=v18 complete
    v18[0] = pT;
    v18[1] = v8;
    v18[2] = v7;
    ap_fixed<9,5> v19_best = v18[0];
    ap_ufixed<2,2> v19 = 0;
    for (int i = 1; i < 3; ++i) {
#pragma HLS unroll
        if (v18[i] > v19_best) {
            v19_best = v18[i];
            v19 = ap_ufixed<2,2>(i);
        }
    }
    for (int i = 0; i < 2; ++i) {
#pragma HLS unroll
        out[i] = v17[i];
    }
    in = v19;
}
