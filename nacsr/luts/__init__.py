"""LUT functions: one definition, and every form of it a projection of the same integers.

``LutFunc`` is the definition, ``Form`` how hardware computes it, ``fit`` finds the cheapest form
for an error, ``lut_functions`` reads the shipped and the user's own.
"""

from nacsr.luts.cores import CORES, Bipartite, Leading, Linear, Product, Table
from nacsr.luts.files import lut_functions
from nacsr.luts.fitting import fit
from nacsr.luts.forms import PLAIN, Form
from nacsr.luts.functions import FUNCTIONS, Function
from nacsr.luts.lut import MAX_ADDRESS_BITS, LutFunc
from nacsr.luts.settings import Settings, refitted

__all__ = [
    "CORES",
    "FUNCTIONS",
    "MAX_ADDRESS_BITS",
    "PLAIN",
    "Bipartite",
    "Form",
    "Function",
    "Leading",
    "Linear",
    "LutFunc",
    "Product",
    "Settings",
    "Table",
    "fit",
    "lut_functions",
    "refitted",
]
