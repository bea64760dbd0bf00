"""From formulas to the IR, at one working precision or within an error budget."""
