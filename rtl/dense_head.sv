// The head of a classifier: scores of every vector, or the class with the largest of them.
//
// Golden model: "Linear maps" in docs/fixed-point.md. The scores of a vector come one by one, `last` with the last one.
// The class is the first of the largest exact sums, which no rounding or saturation touches.
`default_nettype none
module dense_head #(
  parameter int Inputs = 32,
  parameter int Classes = 9,
  parameter int Lanes = 1,
  parameter bit Argmax = 1'b0,  // 1: the class comes out; 0: the scores
  parameter int InWidth = 16,
  parameter int WeightWidth = 8,
  parameter int BiasWidth = 24,
  parameter int AccWidth = 32,
  parameter int AccFrac = 22,
  parameter int ScoreWidth = 16,
  parameter int ScoreFrac = 11,
  parameter WeightFile = "",
  parameter BiasFile = "",
  parameter int MemoryStages = 3,
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1,
  parameter bit WritableWeights = 1'b0,
  localparam int IndexWidth = Classes > 1 ? $clog2(Classes) : 1,
  localparam int OutWidth = Argmax ? IndexWidth + 1 : ScoreWidth  // a class is never negative
) (
  input  wire logic                clk,
  input  wire logic                rst,
  input  wire logic [InWidth-1:0]  s_data_i,
  input  wire logic                s_last_i,
  input  wire logic                s_valid_i,
  output logic                     s_ready_o,
  output logic      [OutWidth-1:0] m_data_o,
  output logic                     m_last_o,
  output logic                     m_valid_o,
  input  wire logic                m_ready_i,
  output logic                     saturated_o,  // a score was, in this clock
  output logic                     busy_o,
  // Weights and biases, for the host while nothing is under way.
  input  wire logic                weight_write_i,
  input  wire logic                bias_write_i,
  input  wire logic [31:0]         weight_address_i,  // {word, piece of 32 bits}
  input  wire logic [31:0]         weight_data_i
);
  localparam int SumWidth = Argmax ? AccWidth : ScoreWidth;
  logic room, start, valid, last_of_vector, last, saturated, sums_busy, out_busy, unused_context;
  logic [IndexWidth-1:0] index;
  logic [SumWidth-1:0] sum;
  dense #(
    .Inputs(Inputs),
    .Outputs(Classes),
    .Lanes(Lanes),
    .InWidth(InWidth),
    .WeightWidth(WeightWidth),
    .BiasWidth(BiasWidth),
    .AccWidth(AccWidth),
    .Shift(Argmax ? 0 : AccFrac - ScoreFrac),
    .OutWidth(SumWidth),
    .WeightFile(WeightFile),
    .BiasFile(BiasFile),
    .MemoryStages(MemoryStages),
    .OperandStages(OperandStages),
    .ProductStages(ProductStages),
    .SumStages(SumStages),
    .WritableWeights(WritableWeights)
  ) u_dense (
    .clk,
    .rst,
    .weight_write_i,
    .bias_write_i,
    .weight_address_i,
    .weight_data_i,
    .data_i(s_data_i),
    .last_i(s_last_i),
    .valid_i(s_valid_i),
    .ready_o(s_ready_o),
    .room_i(room),
    .start_o(start),
    .valid_o(valid),
    .index_o(index),
    .data_o(sum),
    .end_o(last_of_vector),
    .last_o(last),
    .saturated_o(saturated),
    .busy_o(sums_busy)
  );

  logic out_valid, out_end, out_last;
  logic [OutWidth-1:0] out;
  if (Argmax) begin : g_class
    logic [IndexWidth-1:0] best_q, best;
    logic [AccWidth-1:0] largest_q;
    logic first, better, unused_saturated;
    assign unused_saturated = saturated;
    assign saturated_o = 1'b0;
    assign first = index == '0;
    assign better = first || $signed(sum) > $signed(largest_q);
    assign best = better ? index : best_q;
    always_ff @(posedge clk) begin
      if (valid && better) begin
        largest_q <= sum;
        best_q <= index;
      end
    end
    delay #(.Width(1), .Stages(1)) u_valid (.clk, .rst, .data_i(valid && last_of_vector), .data_o(out_valid));
    delay #(.Width(OutWidth + 1), .Stages(1)) u_out (
      .clk, .rst(1'b0), .data_i({1'b0, best, last}), .data_o({out, out_last})
    );
    assign out_end = 1'b1;
  end else begin : g_scores
    logic unused_index;
    assign unused_index = ^index;
    assign saturated_o = saturated;
    assign {out_valid, out_end, out_last, out} = {valid, last_of_vector, last, sum};
  end

  lstm_output #(
    .HiddenSize(Argmax ? 1 : Classes), .Units(1), .OutElements(1), .Width(OutWidth), .MemoryStages(MemoryStages)
  ) u_output (
    .clk,
    .rst,
    .start_i(start),
    .room_o(room),
    .valid_i(out_valid),
    .present_i(out_valid),
    .data_i(out),
    .step_last_i(out_end),
    .sequence_last_i(out_last),
    .context_i(1'b0),
    .busy_o(out_busy),
    .m_axis_tdata(m_data_o),
    .m_axis_tvalid(m_valid_o),
    .m_axis_tlast(m_last_o),
    .m_axis_tid(unused_context),
    .m_axis_tready(m_ready_i)
  );
  assign busy_o = sums_busy || out_busy;
endmodule
`default_nettype wire
