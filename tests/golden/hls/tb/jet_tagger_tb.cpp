// Testbench: raw words in, raw words out, compared with the reference interpreter's.
// usage: jet_tagger_tb [input.txt [output.txt [expected.txt]]]
// Without arguments: tb/input.txt, tb/output.txt and tb/expected.txt. Given a file of inputs
// and one of outputs, but no expected words, it compares nothing.
// Exit code: 0 all words equal, 1 some differ, 2 a file cannot be used.
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "jet_tagger.h"
#include "nacsr_raw.h"

// One event: reads its words, writes the results; false if there are too few or too many words.
// The names here end in _ because ports may have any other.
namespace nacsr_testbench {

static bool event(std::istream &in_, std::ostream &out_) {
    long long word_ = 0;
    if (!(in_ >> word_)) return false;
    ap_fixed<8,4> pT = nacsr::from_raw<ap_fixed<8,4> >(word_);
    if (!(in_ >> word_)) return false;
    ap_ufixed<6,6> class_ = nacsr::from_raw<ap_ufixed<6,6> >(word_);
    ap_fixed<5,2> word[3];
    for (int i = 0; i < 3; ++i) {
        if (!(in_ >> word_)) return false;
        word[i] = nacsr::from_raw<ap_fixed<5,2> >(word_);
    }
    ap_fixed<4,2> pixels[12];
    for (int i = 0; i < 12; ++i) {
        if (!(in_ >> word_)) return false;
        pixels[i] = nacsr::from_raw<ap_fixed<4,2> >(word_);
    }
    ap_fixed<10,5> out[2];
    ap_ufixed<2,2> in;
    ap_fixed<12,6> image[2];
    ap_ufixed<7,7> bits;
    ::jet_tagger(pT, class_, word, pixels, out, in, image, bits);
    const char *gap_ = "";
    for (int i = 0; i < 2; ++i) {
        out_ << gap_ << nacsr::to_raw(out[i]);
        gap_ = " ";
    }
    out_ << gap_ << nacsr::to_raw(in);
    gap_ = " ";
    for (int i = 0; i < 2; ++i) {
        out_ << gap_ << nacsr::to_raw(image[i]);
        gap_ = " ";
    }
    out_ << gap_ << nacsr::to_raw(bits);
    gap_ = " ";
    return !(in_ >> word_);
}

}  // namespace nacsr_testbench

int main(int argc, char **argv) {
    const std::string input = argc > 1 ? argv[1] : "tb/input.txt";
    const std::string output = argc > 2 ? argv[2] : "tb/output.txt";
    const std::string expected = argc > 3 ? argv[3] : argc > 1 ? "" : "tb/expected.txt";
    const bool compare = !expected.empty();
    std::ifstream in(input.c_str());
    std::ofstream out(output.c_str());
    std::ifstream golden;
    if (compare) golden.open(expected.c_str());
    if (!in || !out || (compare && !golden)) {
        std::cerr << "cannot open " << input << ", " << output << " or " << expected << "\n";
        return 2;
    }
    long events = 0, different = 0;
    std::string line, wanted;
    while (std::getline(in, line)) {
        std::istringstream words(line);
        std::ostringstream found;
        if (!nacsr_testbench::event(words, found)) {
            std::cerr << input << ", line " << events + 1 << ": wrong number of words\n";
            return 2;
        }
        out << found.str() << "\n";
        if (compare) {
            if (!std::getline(golden, wanted)) {
                std::cerr << expected << " ends before " << input << "\n";
                return 2;
            }
            if (wanted != found.str()) {
                if (!different++)
                    std::cerr << "event " << events << ": expected " << wanted << ", found "
                              << found.str() << "\n";
            }
        }
        ++events;
    }
    out.flush();
    if (!out) {
        std::cerr << "cannot write " << output << "\n";
        return 2;
    }
    if (compare)
        std::cout << events << " events, " << different << " different\n";
    return different ? 1 : 0;
}
