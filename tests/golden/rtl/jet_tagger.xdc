# 240.0 MHz. Both ports are registered inside, so the paths outside have the whole period.
create_clock -period 4.167 -name clk [get_ports clk]
set_input_delay -clock clk 0.000 [filter [all_inputs] {NAME != clk}]
set_output_delay -clock clk 0.000 [all_outputs]
