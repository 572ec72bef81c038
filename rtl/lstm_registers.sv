// The registers of `lstm_axi`: control, sticky flags, counters, the words of the selected cell, and constants.
//
// Addresses and fields: "Registers" in README.md beside this file. A write's address and data stand from a clock before
// `write_i`; `write_error_o` follows it by a clock. Data follow `read_address_i` by 3 clocks, and a state by 2.
`default_nettype none
module lstm_registers #(
  parameter int Cells = 1,
  parameter int Constants = 4,          // words that describe a cell
  parameter logic [31:0] Design = '0,
  parameter bit WritableWeights = 1'b0,
  parameter int Contexts = 1,           // sequences that take turns
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int CellBits = Cells > 1 ? $clog2(Cells) : 1,
  localparam int ConstantBits = 32 * Constants * Cells
) (
  input  wire logic                         clk,
  input  wire logic                         rst,
  // bus
  input  wire logic                         write_i,
  input  wire logic [11:2]                  write_address_i,
  input  wire logic [31:0]                  write_data_i,
  output logic                              write_error_o,
  input  wire logic                         read_i,
  input  wire logic [11:2]                  read_address_i,
  output logic      [31:0]                  read_data_o,
  output logic                              read_error_o,
  // control
  output logic                              soft_reset_o,   // several clocks
  output logic                              enable_o,
  output logic                              keep_o,
  output logic                              start_o,        // one clock
  // status
  input  wire logic                         started_i,
  input  wire logic                         idle_i,
  input  wire logic                         running_i,      // a sequence is under way
  input  wire logic                         step_i,         // one clock each
  input  wire logic                         sequence_i,
  input  wire logic                         length_error_i,
  input  wire logic                         overflow_i,
  input  wire logic                         head_saturated_i,
  input  wire logic [3*Cells-1:0]           saturated_i,    // of each cell: z, c, h
  // the selected cell
  output logic                              select_o,
  input  wire logic [CellBits-1:0]          cell_i,
  input  wire logic                         c_i,
  input  wire logic [ContextWidth-1:0]      context_i,
  input  wire logic [2:0]                   memory_i,
  input  wire logic [31:0]                  words_i,        // of the selected memory
  input  wire logic [31:0]                  pieces_i,
  output logic                              state_write_o,
  output logic                              state_read_o,
  output logic                              load_o,
  input  wire logic                         state_end_i,
  input  wire logic                         load_end_i,
  input  wire logic [31:0]                  state_data_i,
  input  wire logic [ConstantBits-1:0]      constants_i
);
  localparam logic [11:0] IDENTITY = 12'h000;
  localparam logic [11:0] VERSION = 12'h004;
  localparam logic [11:0] DESIGN = 12'h008;
  localparam logic [11:0] CONTROL = 12'h00c;
  localparam logic [11:0] STATUS = 12'h010;
  localparam logic [11:0] FLAGS = 12'h014;
  localparam logic [11:0] SATURATED = 12'h018;
  localparam logic [11:0] CYCLES_LOW = 12'h01c;
  localparam logic [11:0] CYCLES_HIGH = 12'h020;
  localparam logic [11:0] STEPS = 12'h024;
  localparam logic [11:0] SEQUENCES = 12'h028;
  localparam logic [11:0] SELECT = 12'h02c;
  localparam logic [11:0] STATE = 12'h030;
  localparam logic [11:0] LOAD = 12'h034;
  localparam logic [11:0] WORDS = 12'h038;
  localparam logic [11:0] PIECES = 12'h03c;
  localparam logic [11:0] CONSTANTS = 12'h200;
  localparam logic [31:0] IDENTITY_VALUE = 32'h4c53544d;  // "LSTM"
  localparam logic [31:0] VERSION_VALUE = 32'h00010000;   // of this map
  localparam int ResetClocks = 4;
  localparam int IndexWidth = $clog2(Constants);
  if (Constants < 2 || Constants > 128 || Cells > 256) begin : g_check
    $error("Constants must be from 2 to 128, and Cells at most 256");
  end

  // Writes
  logic control, flags, saturation, select, state, load, state_allowed, load_allowed, busy_error;
  logic [11:0] write_address, read_address;
  logic unused_write;
  assign unused_write = ^write_data_i;
  assign write_address = {write_address_i, 2'b00};
  assign read_address = {read_address_i, 2'b00};
  logic control_q, flags_here_q, saturation_q, select_q, state_q, load_q, clear_q;  // decoded a clock before
  logic cell_there_q, context_there_q;
  always_ff @(posedge clk) begin
    control_q <= write_address == CONTROL;
    flags_here_q <= write_address == FLAGS;
    saturation_q <= write_address == SATURATED;
    select_q <= write_address == SELECT;
    cell_there_q <= int'(write_data_i[7:0]) < Cells && write_data_i[11:9] < 3'd7;
    context_there_q <= write_data_i[31:16] >> $clog2(Contexts) == '0;  // their number is a power of two
    state_q <= write_address == STATE;
    load_q <= write_address == LOAD;
  end
  assign control = write_i && control_q;
  assign flags = write_i && flags_here_q;
  assign saturation = write_i && saturation_q;
  assign select = write_i && select_q && cell_there_q && context_there_q;
  assign state = write_i && state_q;
  assign load = write_i && load_q;
  assign state_allowed = idle_i && !state_end_i;
  assign load_allowed = WritableWeights && idle_i && !load_end_i;
  assign busy_error = (state || (load && WritableWeights)) && !idle_i;

  logic [ResetClocks-1:0] reset_q;
  assign soft_reset_o = reset_q[0];
  always_ff @(posedge clk) begin
    write_error_o <= !(control || flags || saturation || select || (state && state_allowed) || (load && load_allowed));
    select_o <= select;
    state_write_o <= state && state_allowed;
    load_o <= load && load_allowed;
    clear_q <= rst || soft_reset_o || (control && write_data_i[9]);  // of the counters
    if (rst) reset_q <= '0;
    else reset_q <= control && write_data_i[10] ? '1 : reset_q >> 1;
    start_o <= control && write_data_i[8] && !rst && !soft_reset_o;
    if (rst || soft_reset_o) {keep_o, enable_o} <= '0;
    else if (control) {keep_o, enable_o} <= write_data_i[1:0];
  end

  // Sticky flags: an event in the clock of its clearing is not lost.
  logic [4:0] flags_q, events;
  logic [3*Cells-1:0] saturated_q, saturated_clear;
  assign events = {head_saturated_i, busy_error, overflow_i, length_error_i, sequence_i};
  assign saturated_clear = saturation ? (3 * Cells)'(write_data_i[2:0]) << (3 * int'(cell_i)) : '0;
  always_ff @(posedge clk) begin
    flags_q <= (flags_q & ~(flags ? write_data_i[4:0] : '0)) | events;
    saturated_q <= (saturated_q & ~saturated_clear) | saturated_i;
    if (rst || soft_reset_o) {flags_q, saturated_q} <= '0;
  end

  // Counters. The upper half of the clocks follows the lower by a clock, and stands still from when that is read.
  logic [31:0] cycles_q, cycles_high_q, cycles_high_early_q, cycles_high_late_q, cycles_caught_q, steps_q, sequences_q;
  logic carry_q, catch_q;
  logic running_q, step_q, sequence_q;  // what is counted, near the counters
  always_ff @(posedge clk) begin
    running_q <= running_i;
    step_q <= step_i;
    sequence_q <= sequence_i;
    {carry_q, cycles_q} <= 33'(cycles_q) + 33'(running_q);
    cycles_high_q <= cycles_high_q + 32'(carry_q);
    cycles_high_early_q <= cycles_high_q;
    cycles_high_late_q <= cycles_high_early_q;
    if (read_i && catch_q) cycles_caught_q <= cycles_high_late_q;
    catch_q <= read_address == CYCLES_LOW;
    steps_q <= steps_q + 32'(step_q);
    sequences_q <= sequences_q + 32'(sequence_q);
    if (clear_q) {carry_q, cycles_q, cycles_high_q, steps_q, sequences_q} <= '0;
  end

  // Reads, in three clocks: where the address is, the word there, and a constant instead.
  logic [31:0] constant_q, cycles_late_q, read_d, word_q;
  logic [2:0] saturated_here_q;
  logic any_saturated_q, mapped_q, constant_here_q, wrong_q, error_d;
  logic [11:0] place_q;  // of the word within the first 64 bytes
  logic [IndexWidth-1:0] index;
  assign index = read_address[2+:IndexWidth];  // CONSTANTS is aligned to a power of two above their number
  always_comb begin
    read_d = '0;
    error_d = 1'b0;
    case (place_q)
      IDENTITY: read_d = IDENTITY_VALUE;
      VERSION: read_d = VERSION_VALUE;
      DESIGN: read_d = Design;
      CONTROL: read_d = {22'b0, 1'b0, started_i, 6'b0, keep_o, enable_o};
      STATUS: read_d = {28'b0, load_end_i, state_end_i, any_saturated_q, !idle_i};
      FLAGS: read_d = {27'b0, flags_q};
      SATURATED: read_d = {29'b0, saturated_here_q};
      CYCLES_LOW: read_d = cycles_late_q;
      CYCLES_HIGH: read_d = cycles_caught_q;
      STEPS: read_d = steps_q;
      SEQUENCES: read_d = sequences_q;
      SELECT: read_d = {16'(context_i), 4'b0, memory_i, c_i, 8'(cell_i)};
      WORDS: read_d = words_i;
      PIECES: read_d = pieces_i;
      STATE: begin
        read_d = state_data_i;
        error_d = !state_allowed;
      end
      default: error_d = 1'b1;
    endcase
  end
  always_ff @(posedge clk) begin
    constant_q <= constants_i[32*(int'(cell_i)*Constants+int'(index))+:32];
    saturated_here_q <= saturated_q[3*int'(cell_i)+:3];
    any_saturated_q <= saturated_q != '0;
    cycles_late_q <= cycles_q;
    place_q <= {6'b0, read_address[5:0]};
    mapped_q <= read_address[11:6] == '0;
    constant_here_q <= int'(read_address) >= int'(CONSTANTS) && int'(read_address) < int'(CONSTANTS) + 4 * Constants;
    word_q <= read_d;
    wrong_q <= error_d || !mapped_q;
    read_data_o <= constant_here_q ? constant_q : word_q;
    read_error_o <= !constant_here_q && wrong_q;
    state_read_o <= read_i && mapped_q && place_q == STATE && state_allowed;
  end
endmodule
`default_nettype wire
