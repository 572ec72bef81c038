// Memory of constants read from a file of hexadecimal words, one per line.
//
// Read latency: 0 (combinational), 1 (registered read) or 2 (registered read and a plain output register, which block
// RAM absorbs). The address must be below Depth. Deep memories with a registered read ask for block RAM.
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
  localparam int BlockDepth = 16;  // from here on, block RAM
  if (Latency < 0 || Latency > 2) begin : g_check_latency
    $error("Latency must be 0, 1 or 2");
  end

  // A power of two, so that Yosys takes blocks of that depth and needs no multiplexer behind them.
  if (Latency == 0) begin : g_combinational
    logic [Width-1:0] memory[0:2**AddressWidth-1];
    logic unused_clock;
    assign unused_clock = clk;
    initial if (File != "") $readmemh(File, memory);
    assign data_o = memory[address_i];
  end else begin : g_registered
    logic [Width-1:0] read_q;
    if (Depth >= BlockDepth) begin : g_block
      (* rom_style = "block" *) logic [Width-1:0] memory[0:2**AddressWidth-1];
      initial if (File != "") $readmemh(File, memory);
      always_ff @(posedge clk) read_q <= memory[address_i];
    end else begin : g_small
      logic [Width-1:0] memory[0:2**AddressWidth-1];
      initial if (File != "") $readmemh(File, memory);
      always_ff @(posedge clk) read_q <= memory[address_i];
    end
    delay #(.Width(Width), .Stages(Latency - 1)) u_output (.clk, .rst(1'b0), .data_i(read_q), .data_o(data_o));
  end
endmodule
`default_nettype wire
