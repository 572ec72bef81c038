// What a stack of engines says of itself: busy, done, errors, and the state that the host reads.
//
// A bare engine answers for itself; else everything comes a clock later, for all cells together.
`default_nettype none
module stack_status #(
  parameter int Cells = 2,
  parameter bit Bare = 1'b0,  // a single engine and nothing around it
  parameter int MemoryStages = 3,
  localparam int CellBits = Cells > 1 ? $clog2(Cells) : 1
) (
  input  wire logic                clk,
  input  wire logic                rst,
  input  wire logic                clear_i,            // of the sticky flags
  input  wire logic [Cells-1:0]    cell_busy_i,
  input  wire logic [Cells-1:0]    cell_done_i,
  input  wire logic [Cells-1:0]    cell_error_i,
  input  wire logic [32*Cells-1:0] cell_state_i,
  input  wire logic                buffers_busy_i,     // whatever stands around the cells is
  input  wire logic                short_i,            // one clock: tlast came inside a step
  input  wire logic                long_i,             // one clock: a sequence was cut
  input  wire logic                score_saturated_i,  // in this clock
  input  wire logic                write_i,            // of a state, weight or bias
  input  wire logic [CellBits-1:0] state_cell_i,
  output logic      [31:0]         state_data_o,       // MemoryStages + 3 clocks after state_cell_i; bare: with the cell's
  output logic                     busy_o,
  output logic                     done_o,
  output logic                     protocol_error_o,
  output logic                     overflow_o,
  output logic                     head_saturated_o
);
  if (Bare) begin : g_bare
    logic unused_flags;
    assign unused_flags = &{1'b0, clk, rst, clear_i, buffers_busy_i, short_i, long_i, score_saturated_i, write_i, state_cell_i};
    assign busy_o = cell_busy_i;
    assign done_o = cell_done_i;
    assign protocol_error_o = cell_error_i;
    assign overflow_o = 1'b0;
    assign head_saturated_o = 1'b0;
    assign state_data_o = cell_state_i;
  end else begin : g_combined
    localparam int ReadStages = MemoryStages + 2;
    logic active, short_q;
    logic [CellBits-1:0] read_cell;
    logic unused_done;
    assign unused_done = ^cell_done_i;
    assign active = buffers_busy_i || cell_busy_i != '0;
    assign protocol_error_o = short_q || cell_error_i != '0;
    always_ff @(posedge clk) begin
      if (rst) begin
        busy_o <= 1'b0;
        done_o <= 1'b0;
        short_q <= 1'b0;
        overflow_o <= 1'b0;
        head_saturated_o <= 1'b0;
      end else begin
        busy_o <= active;
        done_o <= busy_o && !active;
        short_q <= (short_q && !clear_i) || short_i || (write_i && busy_o);
        overflow_o <= (overflow_o && !clear_i) || long_i;
        head_saturated_o <= (head_saturated_o && !clear_i) || score_saturated_i;
      end
    end
    delay #(.Width(CellBits), .Stages(ReadStages)) u_read_cell (
      .clk, .rst(1'b0), .data_i(state_cell_i), .data_o(read_cell)
    );
    always_ff @(posedge clk) state_data_o <= cell_state_i[32*int'(read_cell)+:32];
  end
endmodule
`default_nettype wire
