// A value delayed by a fixed number of clocks; zero stages are a wire.
//
// Latency: Stages. Throughput: one value per clock. `rst` clears every stage; tie it low where data need no reset.
`default_nettype none
module delay #(
  parameter int Width = 1,
  parameter int Stages = 1
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic [Width-1:0] data_i,
  output logic      [Width-1:0] data_o
);
  if (Stages == 0) begin : g_wire
    logic unused_clocking;
    assign unused_clocking = &{1'b0, clk, rst};
    assign data_o = data_i;
  end else begin : g_registers
    logic [Stages*Width-1:0] chain_q;
    logic [(Stages+1)*Width-1:0] chain;
    assign chain = {chain_q, data_i};
    always_ff @(posedge clk) begin
      if (rst) chain_q <= '0;
      else chain_q <= chain[Stages*Width-1:0];
    end
    assign data_o = chain[Stages*Width+:Width];
  end
endmodule
`default_nettype wire
