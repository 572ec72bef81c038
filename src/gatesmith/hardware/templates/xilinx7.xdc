# Constraints of @{name} for Xilinx 7 series (Vivado): an example to edit.
# The clock: 5 ns are 200 MHz.
create_clock -name clk -period 5.000 [get_ports clk]
# Buses are synchronous to clk. Where they leave the chip, edit these delays; inside a larger design, remove them.
# set_input_delay -clock clk 1.000 [get_ports {s_axis_* s_axil_*}]
# set_output_delay -clock clk 1.000 [get_ports {m_axis_*}]
# set_property -dict {PACKAGE_PIN E3 IOSTANDARD LVCMOS33} [get_ports clk]
# set_property -dict {PACKAGE_PIN C12 IOSTANDARD LVCMOS33} [get_ports rst]
