// The projection of h: r = W_hr h + b, which leaves the cell, and which the next step reads, in place of h.
//
// Golden model: "Projection" in docs/fixed-point.md. h comes in groups as the pointwise part finishes it and waits in a
// FIFO; its elements are multiplied one by one, and r leaves in groups of OutUnits, an element a clock.
// Latency from the first group of h to the first of r: README.md beside this file, "Cycles".
`default_nettype none
module lstm_projection #(
  parameter int HiddenSize = 64,
  parameter int OutputSize = 32,  // R
  parameter int Units = 1,        // elements of h per group
  parameter int OutUnits = 1,     // elements of r per group
  parameter int Lanes = 1,        // products per clock; at most R
  parameter int HWidth = 16,
  parameter int WeightWidth = 8,
  parameter int BiasWidth = 24,
  parameter int AccWidth = 32,
  parameter int Shift = 7,        // bits of the sums that are rounded off
  parameter int OutWidth = 16,
  parameter int Clip = 0,         // bound on the magnitude of r, as a code; 0 for none
  parameter WeightFile = "",
  parameter BiasFile = "",
  parameter int MemoryStages = 3,
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1,
  parameter bit WritableWeights = 1'b0,
  localparam int Groups = (OutputSize + OutUnits - 1) / OutUnits,
  localparam int GroupWidth = Groups > 1 ? $clog2(Groups) : 1
) (
  input  wire logic                         clk,
  input  wire logic                         rst,
  // h of a step, in groups
  output logic                              room_o,           // for all groups of a step
  input  wire logic                         start_i,          // that room is taken
  input  wire logic                         h_valid_i,
  input  wire logic [Units-1:0]             h_present_i,
  input  wire logic [Units*HWidth-1:0]      h_i,
  input  wire logic                         h_step_last_i,
  input  wire logic                         h_sequence_last_i,
  // r of a step, likewise
  input  wire logic                         room_i,
  output logic                              start_o,
  output logic                              r_valid_o,
  output logic      [GroupWidth-1:0]        r_group_o,
  output logic      [OutUnits-1:0]          r_present_o,
  output logic      [OutUnits*OutWidth-1:0] r_o,
  output logic                              r_step_last_o,
  output logic                              r_sequence_last_o,
  output logic                              saturated_o,
  output logic                              busy_o,
  // Weights and biases, for the host while nothing is under way.
  input  wire logic                         weight_write_i,
  input  wire logic                         bias_write_i,
  input  wire logic [31:0]                  weight_address_i,  // {word, piece of 32 bits}
  input  wire logic [31:0]                  weight_data_i
);
  localparam int IndexWidth = OutputSize > 1 ? $clog2(OutputSize) : 1;

  logic [HWidth-1:0] h;
  logic h_last, h_valid, h_ready, waiting, unused_context;
  lstm_output #(
    .HiddenSize(HiddenSize), .Units(Units), .OutElements(1), .Width(HWidth), .MemoryStages(MemoryStages)
  ) u_elements (
    .clk,
    .rst,
    .start_i,
    .room_o,
    .valid_i(h_valid_i),
    .present_i(h_present_i),
    .data_i(h_i),
    .step_last_i(h_step_last_i),
    .sequence_last_i(h_sequence_last_i),
    .context_i(1'b0),
    .busy_o(waiting),
    .m_axis_tdata(h),
    .m_axis_tvalid(h_valid),
    .m_axis_tlast(h_last),
    .m_axis_tid(unused_context),
    .m_axis_tready(h_ready)
  );

  logic [OutWidth-1:0] r;
  logic [IndexWidth-1:0] index;
  logic valid, step_last, sequence_last, multiplying;
  dense #(
    .Inputs(HiddenSize),
    .Outputs(OutputSize),
    .Lanes(Lanes),
    .InWidth(HWidth),
    .WeightWidth(WeightWidth),
    .BiasWidth(BiasWidth),
    .AccWidth(AccWidth),
    .Shift(Shift),
    .OutWidth(OutWidth),
    .Clip(Clip),
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
    .data_i(h),
    .last_i(h_last),
    .valid_i(h_valid),
    .ready_o(h_ready),
    .room_i,
    .start_o,
    .valid_o(valid),
    .index_o(index),
    .data_o(r),
    .end_o(step_last),
    .last_o(sequence_last),
    .saturated_o,
    .busy_o(multiplying),
    .weight_write_i,
    .bias_write_i,
    .weight_address_i,
    .weight_data_i
  );
  assign busy_o = waiting || multiplying;

  if (OutUnits == 1) begin : g_single
    assign {r_valid_o, r_group_o, r_present_o, r_o} = {valid, index, valid, r};
    assign {r_step_last_o, r_sequence_last_o} = {step_last, sequence_last};
  end else begin : g_groups
    logic [OutUnits-1:0] place_q, gathered_q;  // of the next element, one-hot; what stands there already
    logic [GroupWidth-1:0] group_q;
    logic complete, unused_index;
    assign unused_index = ^index;
    assign complete = valid && (step_last || place_q[OutUnits-1]);
    assign r_valid_o = r_present_o[0];
    always_ff @(posedge clk) begin
      if (rst) begin
        place_q <= OutUnits'(1);
        gathered_q <= '0;
        group_q <= '0;
        r_present_o <= '0;
      end else begin
        r_present_o <= complete ? gathered_q | place_q : '0;
        if (valid) begin
          place_q <= complete ? OutUnits'(1) : place_q << 1;
          gathered_q <= complete ? '0 : gathered_q | place_q;
        end
        if (complete) group_q <= step_last ? '0 : group_q + GroupWidth'(1);
      end
    end
    always_ff @(posedge clk) begin
      for (int i = 0; i < OutUnits; i++) begin
        if (valid && place_q[i]) r_o[i*OutWidth+:OutWidth] <= r;
      end
      {r_group_o, r_step_last_o, r_sequence_last_o} <= {group_q, step_last, sequence_last};
    end
  end
endmodule
`default_nettype wire
