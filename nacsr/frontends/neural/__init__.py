"""Networks: searched, trained, quantised, lowered."""
