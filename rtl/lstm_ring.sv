// Partial sums on their way to the lane and the word in which their row comes again.
//
// A ring segment holds Width bits for Depth issues; it moves when `step_i` is high. `clear_i` makes the next sums zero
// instead: the column after is the first of a step.
`default_nettype none
module lstm_ring #(
  parameter int Width = 32,
  parameter int Depth = 4,
  parameter int MemoryStages = 3
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic             step_i,
  input  wire logic             clear_i,  // with step_i
  input  wire logic [Width-1:0] data_i,
  output logic      [Width-1:0] data_o
);
  localparam int RegisterDepth = 2;  // up to here registers are smaller than memory
  localparam int BlockDepth = 8;     // from here on, block RAM with registers behind it

  if (Depth == 0) begin : g_none
    logic fresh_q, unused_reset;
    assign unused_reset = rst;
    always_ff @(posedge clk) begin
      if (clear_i) fresh_q <= 1'b1;
      else if (step_i) fresh_q <= 1'b0;
    end
    assign data_o = fresh_q ? '0 : data_i;
  end else begin : g_some
    logic [Width-1:0] last_d, last_q;
    logic clear;  // the last register does it
    if (Depth <= RegisterDepth) begin : g_registers
      logic [Depth*Width-1:0] chain;
      logic unused_reset;
      assign unused_reset = rst;
      if (Depth > 1) begin : g_chain
        logic [(Depth-1)*Width-1:0] chain_q;
        always_ff @(posedge clk) if (step_i) chain_q <= chain[(Depth-1)*Width-1:0];
        assign chain = {chain_q, data_i};
      end else begin : g_direct
        assign chain = data_i;
      end
      assign last_d = chain[(Depth-1)*Width+:Width];
      assign clear = clear_i;
    end else begin : g_memory
      // A word comes out one turn of the addresses after it went in, and waits in the registers of the read. Where that is
      // at once, upper addresses read zeros: registers with resets of their own can't share a tile of an FPGA with others.
      localparam int Latency = Depth < BlockDepth ? 0 : MemoryStages > 2 ? 2 : MemoryStages;  // its inputs are registers
      localparam int Words = Depth - Latency;
      localparam int AddressWidth = $clog2(Words);
      localparam bit Zeros = Depth < BlockDepth;
      localparam int PlaceWidth = AddressWidth + int'(Zeros);
      logic [AddressWidth-1:0] write_q, read_q;
      always_ff @(posedge clk) begin
        if (rst) begin
          write_q <= '0;
          read_q <= AddressWidth'(1);
        end else if (step_i) begin
          write_q <= read_q;
          read_q <= read_q == AddressWidth'(Words - 1) ? '0 : read_q + AddressWidth'(1);
        end
      end
      ram #(.Width(Width), .Depth(Zeros ? 2 ** PlaceWidth : Words), .Latency(Latency), .Paced(1'b1), .Zeros(Zeros)) u_memory (
        .clk,
        .write_i(step_i),
        .write_address_i(PlaceWidth'(write_q)),
        .write_data_i(data_i),
        .read_i(step_i),
        .read_address_i(PlaceWidth'({clear_i, read_q})),
        .read_data_o(last_d)
      );
      assign clear = clear_i && !Zeros;
    end
    always_ff @(posedge clk) begin
      if (clear) last_q <= '0;
      else if (step_i) last_q <= last_d;
    end
    assign data_o = last_q;
  end
endmodule
`default_nettype wire
