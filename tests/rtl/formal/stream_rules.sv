// AXI-Stream: what is offered stays as it is until it is taken, or a reset comes.
`default_nettype none
module stream_rules #(
  parameter int Width = 16,
  parameter bit Given = 1'b0
) (
  input wire logic             clk,
  input wire logic             rst,
  input wire logic             valid,
  input wire logic             ready,
  input wire logic [Width-1:0] data
);
  logic waiting_q;
  logic [Width-1:0] data_q;
  initial waiting_q = 1'b0;
  always_ff @(posedge clk) begin
    waiting_q <= valid && !ready && !rst;
    data_q <= data;
  end
  always @(posedge clk) begin
    if (Given) assume (rst || !waiting_q || (valid && data == data_q)); else assert (rst || !waiting_q || (valid && data == data_q));
  end
endmodule
`default_nettype wire
