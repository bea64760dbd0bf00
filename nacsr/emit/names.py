"""Names from data files made safe for C++ and Verilog: any text becomes one identifier.

A port has the same name in every back end, so what is a keyword of any is avoided in all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# C++20 keywords and alternative tokens, C macros in lower case, and what emitted code uses itself
_CPP = frozenset(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
    constinit continue decltype default delete do double dynamic_cast else enum explicit export
    extern false final float for friend goto if import inline int long module mutable namespace new
    noexcept not not_eq nullptr operator or or_eq override private protected public register
    reinterpret_cast requires return short signed sizeof static static_assert static_cast struct
    switch template this thread_local throw true try typedef typeid typename union unsigned using
    virtual void volatile wchar_t while xor xor_eq
    alloca assert assert_perror errno issubnormal linux math_errhandling offsetof sched_priority
    stderr stdin stdout strdupa strndupa unix ap_bigint ap_biguint ap_fixed ap_ufixed ap_int ap_uint
    half i i386 j main nacsr std
    """.split()
)
# SystemVerilog, IEEE 1800-2017 Annex B: it holds every keyword of Verilog-2005
_VERILOG = frozenset(
    """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup
    coverpoint cross deassign default defparam design disable dist do edge else end endcase
    endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
    endmodule endpackage endprimitive endprogram endproperty endspecify endsequence endtable
    endtask enum event eventually expect export extends extern final first_match for force foreach
    forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins
    illegal_bins implements implies import incdir include initial inout input inside instance int
    integer interconnect interface intersect join join_any join_none large let liblist library
    local localparam logic longint macromodule matches medium modport module nand negedge nettype
    new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed
    parameter pmos posedge primitive priority program property protected pull0 pull1 pulldown
    pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real
    realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
    s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal
    showcancelled signed small soft solve specify specparam static string strong strong0 strong1
    struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout
    time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type
    typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual
    void wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
    """.split()
)
RESERVED = _CPP | _VERILOG
# v12, v12_table: the variables of emitted code; be64toh and kin: C macros
_TAKEN = re.compile(r"^(v\d+(_.*)?|(be|le)\d+toh|hto(be|le)\d+|pthread_.*)$")
_MACRO = re.compile(r"^[A-Z][A-Z0-9_]")


def identifier(name: str) -> str:
    """An identifier close to ``name``: never a keyword, a macro or a reserved name.

    Capitals at the start belong to macros, so such a name is lowered.

    >>> [identifier(n) for n in ("jet pt", "2nd", "class", "wire", "Δη", "MET", "")]
    ['jet_pt', 'n_2nd', 'class_', 'wire_', 'delta_eta', 'met', 'unnamed']
    """
    text = "".join(_plain(c) for c in unicodedata.normalize("NFKD", name))
    text = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")
    if not text:
        return "unnamed"
    if text[0].isdigit():
        text = f"n_{text}"
    if _MACRO.match(text):
        text = text.lower()
    return f"{text}_" if text in RESERVED or _TAKEN.match(text) else text


def identifiers(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Different identifiers for all names; clashes are numbered from 2.

    >>> identifiers(["a b", "a-b", "a_b_2"], taken=["x"])
    ['a_b', 'a_b_2', 'a_b_2_2']
    """
    used = set(taken)
    found = []
    for name in names:
        base = candidate = identifier(name)
        count = 1
        while candidate in used:
            count += 1
            candidate = f"{base}_{count}"
        used.add(candidate)
        found.append(candidate)
    return found


def _plain(character: str) -> str:
    """ASCII for one character: Greek letters by their names, accents dropped, others a gap."""
    if character.isascii():
        return character
    words = unicodedata.name(character, "").split()
    if words[:1] == ["GREEK"] and "LETTER" in words:
        return f"_{words[words.index('LETTER') + 1].lower()}_"
    return "" if unicodedata.combining(character) else "_"
