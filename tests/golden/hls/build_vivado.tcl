# Vivado: out-of-context synthesis, placement and routing of what Vitis HLS wrote.
# run: vivado -mode batch -source build_vivado.tcl   (after build_vitis.tcl)
# A script that sources this one may stop after synthesis: set stage vsynth
set here [file normalize [file dirname [info script]]]
set rtl $here/vitis/solution/syn/verilog
if {![info exists stage]} { set stage pnr }
if {![llength [glob -nocomplain $rtl/*.v]]} {
    puts stderr "no Verilog in $rtl; run build_vitis.tcl first"
    exit 1
}
cd $here
create_project -in_memory -part xcvu9p-flga2577-2-e
foreach script [glob -nocomplain $rtl/*.tcl] { source $script }
read_verilog [glob $rtl/*.v]
foreach table [glob -nocomplain $rtl/*.dat] { add_files $table }
synth_design -top jet_tagger -part xcvu9p-flga2577-2-e -mode out_of_context
if {[llength [get_ports -quiet ap_clk]]} {
    create_clock -period 4.167 -name ap_clk [get_ports ap_clk]
}
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
