// One value delivered to several distant places: the last registers of a delay form a tree with one leaf per place.
//
// Latency: Stages (zero is a wire). Synthesis would merge equal registers, so the copies are kept by attribute.
`default_nettype none
module fanout #(
  parameter int Width = 1,
  parameter int Copies = 2,
  parameter int Stages = 1
) (
  input  wire logic                    clk,
  input  wire logic                    rst,
  input  wire logic [Width-1:0]        data_i,
  output logic      [Copies*Width-1:0] data_o
);
  localparam int Branch = 8;  // registers that one register before them feeds, where there are stages enough
  localparam int Trunks = Stages > 1 ? (Copies + Branch - 1) / Branch : 1;
  if (Stages == 0) begin : g_wire
    logic unused_clocking;
    assign unused_clocking = &{1'b0, clk, rst};
    assign data_o = {Copies{data_i}};
  end else begin : g_copies
    logic [Trunks*Width-1:0] trunks;
    if (Trunks > 1) begin : g_tree
      fanout #(.Width(Width), .Copies(Trunks), .Stages(Stages - 1)) u_trunks (.clk, .rst, .data_i, .data_o(trunks));
    end else begin : g_trunk
      delay #(.Width(Width), .Stages(Stages - 1)) u_trunk (.clk, .rst, .data_i, .data_o(trunks));
    end
    for (genvar i = 0; i < Copies; i++) begin : g_copy
      logic [Width-1:0] leaf_q;
      (* keep *) always_ff @(posedge clk) begin
        if (rst) leaf_q <= '0;
        else leaf_q <= trunks[i*Trunks/Copies*Width+:Width];
      end
      assign data_o[i*Width+:Width] = leaf_q;
    end
  end
endmodule
`default_nettype wire
