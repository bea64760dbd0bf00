// jet tagger, written by nacsr from graph b5deb1c8297413a0; do not edit, emit again.
#ifndef NACSR_JET_TAGGER_H
#define NACSR_JET_TAGGER_H

#include <ap_fixed.h>

void jet_tagger(
    const ap_fixed<8,4> pT,
    const ap_ufixed<6,6> class_,
    const ap_fixed<5,2> word[3],
    ap_fixed<10,5> out[2],
    ap_ufixed<2,2> &in);

#endif
