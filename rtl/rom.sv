// Memory of constants read from a file of hexadecimal words, one per line.
//
// Read latency: 0 (combinational), 1 (registered read) or 2 (registered read and a plain output register, which block
// RAM absorbs). The address must be below Depth.
`default_nettype none
module rom #(
  parameter int Width = 16,
  parameter int Depth = 64,
  parameter int Latency = 1,
  parameter File = "",
  localparam int AddressWidth = Depth > 1 ? $clog2(Depth) : 1
) (
  input  wire logic                    clk,
  input  wire logic [AddressWidth-1:0] address_i,
  output logic      [Width-1:0]        data_o
);
  if (Latency < 0 || Latency > 2) begin : g_check_latency
    $error("Latency must be 0, 1 or 2");
  end

  logic [Width-1:0] memory[0:Depth-1];
  initial if (File != "") $readmemh(File, memory);

  if (Latency == 0) begin : g_combinational
    logic unused_clock;
    assign unused_clock = clk;
    assign data_o = memory[address_i];
  end else begin : g_registered
    logic [Width-1:0] read_q;
    always_ff @(posedge clk) read_q <= memory[address_i];
    delay #(.Width(Width), .Stages(Latency - 1)) u_output (.clk, .rst(1'b0), .data_i(read_q), .data_o(data_o));
  end
endmodule
`default_nettype wire
