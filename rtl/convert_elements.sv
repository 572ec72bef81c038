// The elements of a beat from one format into another, each rounded and saturated.
//
// Latency: 0.
`default_nettype none
module convert_elements #(
  parameter int Elements = 1,
  parameter int InWidth = 16,  // of an element
  parameter int Shift = 0,     // fraction bits of what comes beyond those of what leaves
  parameter int OutWidth = 16
) (
  input  wire logic                         clk,
  input  wire logic [Elements*InWidth-1:0]  data_i,
  output logic      [Elements*OutWidth-1:0] data_o
);
  for (genvar i = 0; i < Elements; i++) begin : g_element
    logic unused_saturated;
    saturate_round #(.InWidth(InWidth), .Shift(Shift), .OutWidth(OutWidth)) u_convert (
      .clk,
      .value_i(data_i[i*InWidth+:InWidth]),
      .base_i('0),
      .value_o(data_o[i*OutWidth+:OutWidth]),
      .saturated_o(unused_saturated)
    );
  end
endmodule
`default_nettype wire
