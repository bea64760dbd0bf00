// jet tagger, written by nacsr from graph 57eecfb47f778068; do not edit, emit again.
#include "jet_tagger.h"

#include "nacsr_raw.h"

void jet_tagger(
    const ap_fixed<8,4> pT,
    const ap_ufixed<6,6> class_,
    const ap_fixed<5,2> word[3],
    const ap_fixed<4,2> pixels[12],
    ap_fixed<10,5> out[2],
    ap_ufixed<2,2> &in,
    ap_fixed<12,6> image[2],
    ap_ufixed<7,7> &bits) {
#pragma HLS pipeline II=1
#pragma HLS array_partition variable=word complete
#pragma HLS array_partition variable=pixels complete
#pragma HLS array_partition variable=out complete
#pragma HLS array_partition variable=image complete
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
    ap_fixed<9,5> v19_max[3];
#pragma HLS array_partition variable=v19_max complete
    ap_ufixed<2,2> v19_at[3];
#pragma HLS array_partition variable=v19_at complete
    for (int i = 0; i < 3; ++i) {
#pragma HLS unroll
        v19_max[i] = v18[i];
        v19_at[i] = ap_ufixed<2,2>(i);
    }
    for (int j = 0; j < 2; j += 2) {
#pragma HLS unroll
        if (v19_max[j + 1] > v19_max[j]) {
            v19_max[j] = v19_max[j + 1];
            v19_at[j] = v19_at[j + 1];
        }
    }
    for (int j = 0; j < 1; j += 4) {
#pragma HLS unroll
        if (v19_max[j + 2] > v19_max[j]) {
            v19_max[j] = v19_max[j + 2];
            v19_at[j] = v19_at[j + 2];
        }
    }
    const ap_ufixed<2,2> v19 = v19_at[0];
    static const signed char v21_weight[8] = {
        1, -2, 3, 0, -1, 2, 2, 1,
    };
    static const signed char v21_bias[2] = {
        1, -1,
    };
    ap_fixed<7,3> v21[12];
#pragma HLS array_partition variable=v21 complete
    for (int v21_r = 0; v21_r < 3; ++v21_r) {
#pragma HLS unroll
        for (int v21_c = 0; v21_c < 2; ++v21_c) {
#pragma HLS unroll
            for (int j = 0; j < 2; ++j) {
#pragma HLS unroll
                ap_fixed<7,3> v21_sum = nacsr::from_raw<ap_fixed<3,1> >(v21_bias[j]);
                for (int v21_a = 0; v21_a < 2; ++v21_a) {
#pragma HLS unroll
                    for (int v21_b = 0; v21_b < 2; ++v21_b) {
#pragma HLS unroll
                        for (int i = 0; i < 1; ++i) {
#pragma HLS unroll
                            const int v21_y = v21_r + v21_a - 1;
                            const int v21_x = v21_c * 2 + v21_b;
                            if (v21_y >= 0 && v21_x < 4) v21_sum += pixels[v21_y * 4 + v21_x] * nacsr::from_raw<ap_fixed<3,1> >(v21_weight[(v21_a * 2 + v21_b) * 2 + j]);
                        }
                    }
                }
                v21[(v21_r * 2 + v21_c) * 2 + j] = v21_sum;
            }
        }
    }
    ap_fixed<9,3> v22[12];
#pragma HLS array_partition variable=v22 complete
    for (int i = 0; i < 12; ++i) {
#pragma HLS unroll
        v22[i] = v21[i][6] ? ap_fixed<9,3>(nacsr::from_bits<ap_fixed<7,1> >(v21[i])) : ap_fixed<9,3>(v21[i]);
    }
    ap_fixed<9,3> v23[8];
#pragma HLS array_partition variable=v23 complete
    for (int v23_r = 0; v23_r < 2; ++v23_r) {
#pragma HLS unroll
        for (int v23_c = 0; v23_c < 2; ++v23_c) {
#pragma HLS unroll
            for (int i = 0; i < 2; ++i) {
#pragma HLS unroll
                ap_fixed<9,3> v23_part[2];
#pragma HLS array_partition variable=v23_part complete
                for (int v23_a = 0; v23_a < 2; ++v23_a) {
#pragma HLS unroll
                    for (int v23_b = 0; v23_b < 1; ++v23_b) {
#pragma HLS unroll
                        const int v23_y = v23_r + v23_a;
                        const int v23_x = v23_c + v23_b;
                        v23_part[v23_a] = v22[(v23_y * 2 + v23_x) * 2 + i];
                    }
                }
                for (int j = 0; j < 1; j += 2) {
#pragma HLS unroll
                    if (v23_part[j + 1] > v23_part[j]) v23_part[j] = v23_part[j + 1];
                }
                v23[(v23_r * 2 + v23_c) * 2 + i] = v23_part[0];
            }
        }
    }
    ap_fixed<9,3> v24[8];
#pragma HLS array_partition variable=v24 complete
    for (int i = 0; i < 8; ++i) {
#pragma HLS unroll
        v24[i] = v23[i];
    }
    ap_fixed<9,3> v25[6];
#pragma HLS array_partition variable=v25 complete
    v25[0] = v24[6];
    v25[1] = v24[7];
    v25[2] = 0;
    for (int i = 0; i < 3; ++i) {
#pragma HLS unroll
        v25[i + 3] = v24[i * 2];
    }
    ap_fixed<9,3> v26[8];
#pragma HLS array_partition variable=v26 complete
    for (int i = 0; i < 4; ++i) {
#pragma HLS unroll
        v26[i] = v24[i * 2];
    }
    for (int i = 0; i < 4; ++i) {
#pragma HLS unroll
        v26[i + 4] = v24[i * 2 + 1];
    }
    ap_fixed<9,3> v27[14];
#pragma HLS array_partition variable=v27 complete
    for (int i = 0; i < 4; ++i) {
#pragma HLS unroll
        v27[i] = v26[i];
    }
    for (int i = 0; i < 3; ++i) {
#pragma HLS unroll
        v27[i + 4] = v25[i];
    }
    for (int i = 0; i < 4; ++i) {
#pragma HLS unroll
        v27[i + 7] = v26[i + 4];
    }
    for (int i = 0; i < 3; ++i) {
#pragma HLS unroll
        v27[i + 11] = v25[i + 3];
    }
    ap_fixed<12,6> v28[2];
#pragma HLS array_partition variable=v28 complete
    for (int v28_p = 0; v28_p < 2; ++v28_p) {
#pragma HLS unroll
        ap_fixed<12,6> v28_part[7];
#pragma HLS array_partition variable=v28_part complete
        for (int j = 0; j < 7; ++j) {
#pragma HLS unroll
            v28_part[j] = v27[v28_p * 7 + j];
        }
        for (int j = 0; j < 6; j += 2) {
#pragma HLS unroll
            v28_part[j] = v28_part[j] + v28_part[j + 1];
        }
        for (int j = 0; j < 5; j += 4) {
#pragma HLS unroll
            v28_part[j] = v28_part[j] + v28_part[j + 2];
        }
        for (int j = 0; j < 3; j += 8) {
#pragma HLS unroll
            v28_part[j] = v28_part[j] + v28_part[j + 4];
        }
        v28[v28_p] = v28_part[0];
    }
    const ap_ufixed<7,7> v29 = nacsr::from_raw<ap_ufixed<7,7> >((v15.range(0, 0).to_uint64() << 6) | v7.range(5, 0).to_uint64());
    for (int i = 0; i < 2; ++i) {
#pragma HLS unroll
        out[i] = v17[i];
    }
    in = v19;
    for (int i = 0; i < 2; ++i) {
#pragma HLS unroll
        image[i] = v28[i];
    }
    bits = v29;
}
