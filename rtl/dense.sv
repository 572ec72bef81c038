// A linear map of vectors that come element by element: out[k] = saturate(round_shift(b[k] + sum of w[k, j] * in[j])).
//
// Golden model: "Linear maps" in docs/fixed-point.md. Every element is multiplied by its column of weights, Lanes rows in
// a clock; the sums of the last element are caught and handed on one by one, while the next vector is multiplied. Outputs
// begin only where the receiver has room for all of a vector's.
// Latency from the first clock of the last element to the first output: 2 * MemoryStages + OperandStages + ProductStages
// + 3 * SumStages + 3, and SumStages more where there is a clip.
// Throughput: a vector in Inputs * ceil(Outputs / Lanes) clocks, or in Outputs + MemoryStages + OperandStages +
// ProductStages + 3 where that is more.
`default_nettype none
module dense #(
  parameter int Inputs = 32,
  parameter int Outputs = 9,
  parameter int Lanes = 1,  // at most Outputs
  parameter int InWidth = 16,
  parameter int WeightWidth = 8,
  parameter int BiasWidth = 24,
  parameter int AccWidth = 32,
  parameter int Shift = 0,  // bits of the sums that are rounded off
  parameter int OutWidth = 16,
  parameter int Clip = 0,   // bound on the magnitude of an output, as a code; 0 for none
  parameter WeightFile = "",
  parameter BiasFile = "",
  parameter int MemoryStages = 3,
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1,
  parameter bit WritableWeights = 1'b0,
  localparam int IndexWidth = Outputs > 1 ? $clog2(Outputs) : 1
) (
  input  wire logic                  clk,
  input  wire logic                  rst,
  input  wire logic [InWidth-1:0]    data_i,
  input  wire logic                  last_i,       // goes with the vector, read with its last element
  input  wire logic                  valid_i,
  output logic                       ready_o,
  input  wire logic                  room_i,       // for all outputs of a vector
  output logic                       start_o,      // that room is taken
  output logic                       valid_o,
  output logic      [IndexWidth-1:0] index_o,
  output logic      [OutWidth-1:0]   data_o,
  output logic                       end_o,        // the last output of a vector
  output logic                       last_o,
  output logic                       saturated_o,
  output logic                       busy_o,
  // Weights and biases, for the host while nothing is under way.
  input  wire logic                  weight_write_i,
  input  wire logic                  bias_write_i,
  input  wire logic [31:0]           weight_address_i,  // {word, piece of 32 bits}
  input  wire logic [31:0]           weight_data_i
);
  localparam int Turns = (Outputs + Lanes - 1) / Lanes;  // words of weights per element
  localparam int Words = Inputs * Turns;
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1;
  localparam int TurnWidth = Turns > 1 ? $clog2(Turns) : 1;
  localparam int LaneWidth = Lanes > 1 ? $clog2(Lanes) : 1;
  localparam int ProductWidth = InWidth + WeightWidth;
  localparam int SumLatency = MemoryStages + OperandStages + ProductStages;  // of the products
  localparam int ClipStages = Clip > 0 ? SumStages : 0;
  localparam int TailLatency = MemoryStages + 3 * SumStages + ClipStages + 1;  // from the read of a sum to the output
  if (Lanes < 1 || Lanes > Outputs) begin : g_check_lanes
    $error("Lanes must be 1 to Outputs");
  end

  // Issue: one word of weights in a clock.
  logic [WordWidth-1:0] word_q, word_d;
  logic [TurnWidth-1:0] turn_q;
  logic issue, turn_end, word_end, final_word, final_begin, hold_q, caught_end;
  assign turn_end = int'(turn_q) == Turns - 1;
  assign word_end = int'(word_q) == Words - 1;
  assign final_word = int'(word_q) >= Words - Turns;
  assign final_begin = int'(word_q) == Words - Turns;
  assign issue = valid_i && !(final_begin && hold_q);
  assign ready_o = issue && turn_end;
  assign word_d = !issue ? word_q : word_end ? '0 : word_q + WordWidth'(1);
  always_ff @(posedge clk) begin
    if (rst) begin
      word_q <= '0;
      turn_q <= '0;
      hold_q <= 1'b0;
    end else begin
      word_q <= word_d;
      if (issue) turn_q <= turn_end ? '0 : turn_q + TurnWidth'(1);
      hold_q <= (hold_q || (issue && final_begin)) && !caught_end;
    end
  end

  // Products and sums: the sum of a row comes round every Turns words.
  logic [Lanes*WeightWidth-1:0] weights;
  logic [InWidth-1:0] operand;
  logic step, clear, caught, last_at_sums;
  logic [TurnWidth-1:0] caught_turn;
  logic [Lanes*AccWidth-1:0] sums, sums_q, earlier;
  logic renew_q, read_q;  // a word is read in the first clock in which it stands there, and after the host has written
  always_ff @(posedge clk) begin
    renew_q <= rst || weight_write_i;
    read_q <= issue || renew_q;
  end
  rom #(
    .Width(Lanes * WeightWidth), .Depth(Words), .Latency(MemoryStages), .File(WeightFile), .Writable(WritableWeights)
  ) u_weights (
    .clk, .read_i(read_q), .address_i(word_q), .data_o(weights),
    .write_i(weight_write_i), .write_address_i(weight_address_i), .write_data_i(weight_data_i)
  );
  delay #(.Width(InWidth), .Stages(MemoryStages + OperandStages)) u_operand (
    .clk, .rst(1'b0), .data_i, .data_o(operand)
  );
  // A reset is a step that clears.
  delay #(.Width(1), .Stages(SumLatency)) u_step (.clk, .rst(1'b0), .data_i(issue || rst), .data_o(step));
  delay #(.Width(1), .Stages(SumLatency)) u_clear (
    .clk, .rst(1'b0), .data_i(rst || int'(word_d) < Turns), .data_o(clear)
  );
  delay #(.Width(1), .Stages(SumLatency + 1)) u_caught (.clk, .rst, .data_i(issue && final_word), .data_o(caught));
  delay #(.Width(TurnWidth + 1), .Stages(SumLatency + 1)) u_caught_turn (
    .clk, .rst(1'b0), .data_i({turn_q, last_i}), .data_o({caught_turn, last_at_sums})
  );
  for (genvar lane = 0; lane < Lanes; lane++) begin : g_lane
    logic [WeightWidth-1:0] weight_q;
    logic signed [WeightWidth-1:0] weight;
    logic signed [InWidth-1:0] value;
    logic signed [ProductWidth-1:0] product;
    logic [ProductWidth-1:0] product_q;
    delay #(.Width(WeightWidth), .Stages(OperandStages)) u_weight (
      .clk, .rst(1'b0), .data_i(weights[lane*WeightWidth+:WeightWidth]), .data_o(weight_q)
    );
    assign weight = weight_q;
    assign value = operand;
    assign product = weight * value;
    delay #(.Width(ProductWidth), .Stages(ProductStages)) u_product (
      .clk, .rst(1'b0), .data_i(product), .data_o(product_q)
    );
    assign sums[lane*AccWidth+:AccWidth] = earlier[lane*AccWidth+:AccWidth] + AccWidth'($signed(product_q));
  end
  always_ff @(posedge clk) if (step) sums_q <= sums;
  lstm_ring #(.Width(Lanes * AccWidth), .Depth(Turns - 1), .MemoryStages(MemoryStages)) u_ring (
    .clk, .rst, .step_i(step), .clear_i(clear), .data_i(sums_q), .data_o(earlier)
  );

  // Complete sums, caught, and read one by one from the clock after the first is: they come at least as fast.
  logic [Lanes*AccWidth-1:0] lanes;
  logic [AccWidth-1:0] sum;
  logic [BiasWidth-1:0] bias;
  logic [IndexWidth-1:0] index_q;
  logic [TurnWidth-1:0] read_turn_q;
  logic [LaneWidth-1:0] lane_q, lane_read;
  logic pending_q, active_q, active, index_end, vector_last_q;
  assign active = active_q || (pending_q && room_i);
  assign start_o = active && !active_q;
  assign index_end = int'(index_q) == Outputs - 1;
  assign caught_end = active && index_end;
  always_ff @(posedge clk) begin
    if (rst) begin
      pending_q <= 1'b0;
      active_q <= 1'b0;
      index_q <= '0;
      read_turn_q <= '0;
      lane_q <= '0;
    end else begin
      pending_q <= (pending_q && !active) || (caught && caught_turn == '0);
      active_q <= active && !index_end;
      if (active) begin
        index_q <= index_end ? '0 : index_q + IndexWidth'(1);
        lane_q <= index_end || int'(lane_q) == Lanes - 1 ? '0 : lane_q + LaneWidth'(1);
        if (index_end) read_turn_q <= '0;
        else if (int'(lane_q) == Lanes - 1) read_turn_q <= read_turn_q + TurnWidth'(1);
      end
    end
  end
  always_ff @(posedge clk) if (caught) vector_last_q <= last_at_sums;
  ram #(.Width(Lanes * AccWidth), .Depth(Turns), .Latency(MemoryStages)) u_caught_sums (
    .clk,
    .write_i(caught),
    .write_address_i(caught_turn),
    .write_data_i(sums_q),
    .read_i(pending_q || active_q),
    .read_address_i(read_turn_q),
    .read_data_o(lanes)
  );
  rom #(
    .Width(BiasWidth), .Depth(Outputs), .Latency(MemoryStages), .File(BiasFile), .Writable(WritableWeights)
  ) u_bias (
    .clk, .read_i(pending_q || active_q), .address_i(index_q), .data_o(bias),
    .write_i(bias_write_i), .write_address_i(weight_address_i), .write_data_i(weight_data_i)
  );
  delay #(.Width(LaneWidth), .Stages(MemoryStages)) u_lane (.clk, .rst(1'b0), .data_i(lane_q), .data_o(lane_read));
  select #(.Width(AccWidth), .Count(Lanes)) u_select (.words_i(lanes), .index_i(lane_read), .word_o(sum));

  logic [AccWidth-1:0] total, total_q;
  logic [OutWidth-1:0] out;
  logic out_saturated, valid_at_out, saturated_q;
  assign total = sum + AccWidth'($signed(bias));
  delay #(.Width(AccWidth), .Stages(SumStages)) u_total (.clk, .rst(1'b0), .data_i(total), .data_o(total_q));
  saturate_round #(.InWidth(AccWidth), .Shift(Shift), .OutWidth(OutWidth), .Stages(SumStages)) u_out (
    .clk, .value_i(total_q), .base_i('0), .value_o(out), .saturated_o(out_saturated)
  );
  clip #(.Width(OutWidth), .Bound(Clip), .Stages(SumStages)) u_clip (
    .clk, .value_i(out), .saturated_i(out_saturated), .value_o(data_o), .saturated_o(saturated_q)
  );
  delay #(.Width(1), .Stages(TailLatency)) u_valid (.clk, .rst, .data_i(active), .data_o(valid_at_out));
  delay #(.Width(IndexWidth + 2), .Stages(TailLatency)) u_flags (
    .clk, .rst(1'b0), .data_i({index_q, index_end, vector_last_q}), .data_o({index_o, end_o, last_o})
  );
  assign valid_o = valid_at_out;
  assign saturated_o = valid_at_out && saturated_q;

  // Busy from the first element until the last sum is read; the receiver is busy from `start_o` on.
  logic busy_q;
  always_ff @(posedge clk) begin
    if (rst) busy_q <= 1'b0;
    else busy_q <= issue || (busy_q && !(caught_end && word_q == '0));
  end
  assign busy_o = busy_q;
endmodule
`default_nettype wire
