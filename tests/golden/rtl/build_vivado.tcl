# Vivado: out-of-context synthesis, placement and routing, with reports of use and timing.
# run: vivado -mode batch -source build_vivado.tcl
# A script that sources this one may stop after synthesis: set stage vsynth
set here [file normalize [file dirname [info script]]]
if {![info exists stage]} { set stage pnr }
cd $here
create_project -in_memory -part xcvu9p-flga2577-2-e
read_verilog $here/src/jet_tagger.v
read_verilog $here/src/jet_tagger_table0.v
read_xdc -mode out_of_context $here/jet_tagger.xdc
synth_design -top jet_tagger -part xcvu9p-flga2577-2-e -mode out_of_context -retiming
report_utilization -file $here/vivado_synth_utilization.rpt
report_timing_summary -file $here/vivado_synth_timing.rpt
if {$stage eq "vsynth"} { exit }
opt_design
place_design
phys_opt_design
route_design
report_utilization -file $here/vivado_utilization.rpt
report_timing_summary -file $here/vivado_timing.rpt
exit
