"""Names from data files made safe for C++: any text becomes an identifier that compiles."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# C++20 keywords and alternative tokens, C macros in lower case, and what emitted code uses itself
RESERVED = frozenset(
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
# v12, v12_table: the variables of emitted code; be64toh and kin: C macros
_TAKEN = re.compile(r"^(v\d+(_.*)?|(be|le)\d+toh|hto(be|le)\d+|pthread_.*)$")
_MACRO = re.compile(r"^[A-Z][A-Z0-9_]")


def identifier(name: str) -> str:
    """A C++ identifier close to ``name``: never a keyword, a macro or a reserved name.

    Capitals at the start belong to macros, so such a name is lowered.

    >>> [identifier(n) for n in ("jet pt", "2nd", "class", "Δη", "MET", "")]
    ['jet_pt', 'n_2nd', 'class_', 'delta_eta', 'met', 'unnamed']
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
