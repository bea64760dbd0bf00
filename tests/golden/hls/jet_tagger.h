// jet tagger, written by nacsr from graph 57eecfb47f778068; do not edit, emit again.
#ifndef NACSR_JET_TAGGER_H
#define NACSR_JET_TAGGER_H

#include <ap_fixed.h>

void jet_tagger(
    const ap_fixed<8,4> pT,
    const ap_ufixed<6,6> class_,
    const ap_fixed<5,2> word[3],
    const ap_fixed<4,2> pixels[12],
    ap_fixed<10,5> out[2],
    ap_ufixed<2,2> &in,
    ap_fixed<12,6> image[2],
    ap_ufixed<7,7> &bits);

#endif
