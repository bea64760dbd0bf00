# Vitis HLS: C simulation against the golden vectors, synthesis, IP for Vivado.
# run: vitis-run --mode hls --tcl build_vitis.tcl   (or vitis_hls -f build_vitis.tcl)
# A script that sources this one may choose: set steps {csim csynth cosim export}
set here [file normalize [file dirname [info script]]]
set cflags "-std=c++14 -I$here"
set vectors "$here/tb/input.txt $here/tb/output.txt $here/tb/expected.txt"
if {![info exists steps]} { set steps {csim csynth export} }
cd $here
open_project -reset vitis
set_top jet_tagger
add_files $here/jet_tagger.cpp -cflags $cflags
add_files -tb $here/tb/jet_tagger_tb.cpp -cflags $cflags
open_solution -reset -flow_target vivado solution
set_part xcvu9p-flga2577-2-e
create_clock -period 4.167 -name default
if {"csim" in $steps} { csim_design -argv $vectors }
if {"csynth" in $steps} { csynth_design }
if {"cosim" in $steps} { cosim_design -rtl verilog -argv $vectors }
if {"export" in $steps} { export_design -format ip_catalog }
exit
