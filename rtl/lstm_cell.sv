// One time step's arithmetic: a stream of operands x[0] … x[D-1], h[0] … h[R-1] in, the new h out, c kept inside.
//
// Golden model: docs/fixed-point.md. Steps follow each other without a gap; the lanes begin the next step while the
// pointwise part (lstm_gather, lstm_pointwise) still works on the one before. The first group of h comes StepLatency
// clocks after the issue that completes its sums. Throughput: one step per Words clocks.
`default_nettype none
module lstm_cell #(
  parameter int InputSize = 32,
  parameter int HiddenSize = 64,
  parameter int OutputSize = HiddenSize,  // R: elements that the next step reads, of h or of its projection
  parameter int Multipliers = 16,
  parameter int OperandWidth = 16,
  parameter int HWidth = 16,
  parameter int HFrac = 15,
  parameter int WeightWidth = 8,
  parameter int BiasWidth = 24,
  parameter int AccWidth = 32,
  parameter int AccFrac = 22,
  parameter int ZWidth = 16,
  parameter int ZFrac = 12,
  parameter int ActWidth = 18,
  parameter int ActFrac = 16,
  parameter int CellWidth = 18,
  parameter int CellFrac = 14,
  parameter int TableBits = 8,
  parameter int SlopeWidth = 16,
  parameter WeightFile = "",
  parameter BiasFile = "",
  parameter SigmoidFile = "",
  parameter TanhFile = "",
  parameter OutputFile = "",
  parameter int Peepholes = 0,    // gates that see c: 1 for i, 2 for f, 4 for o, added up
  parameter int PeepholeWidth = 8,
  parameter int PeepholeFrac = 6,
  parameter PeepholeFile = "",
  parameter bit GateClip = 1'b0,  // the tables clip the pre-activations, so that their saturation is no event
  parameter int CellClip = 0,     // bound on the magnitude of c, as a code; 0 for none
  parameter int MemoryStages = 3,
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1,
  parameter bit WritableWeights = 1'b0,
  parameter int Contexts = 1,     // sequences that take turns; a power of two
  parameter int WeightSets = 1,   // of weights and biases; above 1, one for each context
  // Derived: leave them alone.
  localparam int Rows = 4 * HiddenSize,
  localparam int ColumnsPerCycle = Multipliers > Rows ? Multipliers / Rows : 1,
  localparam int Units = ColumnsPerCycle < HiddenSize ? ColumnsPerCycle : HiddenSize,
  localparam int Groups = (HiddenSize + Units - 1) / Units,
  localparam int GroupWidth = Groups > 1 ? $clog2(Groups) : 1,
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int OperandsWidth = ColumnsPerCycle * OperandWidth
) (
  input  wire logic                       clk,
  input  wire logic                       rst,
  // Operands of a column (of ColumnsPerCycle columns), and of the one after it.
  input  wire logic [1:0]                 operand_soon_i,     // they are there in the next clock
  input  wire logic [OperandsWidth-1:0]   operand_front_i,
  input  wire logic [OperandsWidth-1:0]   operand_next_i,
  input  wire logic                       operand_initial_i,  // this step begins from c0
  input  wire logic                       operand_last_i,     // this step ends a sequence
  input  wire logic [ContextWidth-1:0]    operand_context_i,  // whose step it is
  output logic                            operand_pop_o,
  output logic                            operand_shift_o,    // equal to it
  // Results, a group of Units elements of h at a time.
  input  wire logic                       room_i,             // the receiver has room for all groups of a step
  output logic                            start_o,            // a step takes that room
  output logic                            h_valid_o,
  output logic      [GroupWidth-1:0]      h_group_o,
  output logic      [Units-1:0]           h_present_o,        // the last group may have fewer
  output logic      [Units*HWidth-1:0]    h_o,
  output logic                            h_step_last_o,
  output logic                            h_sequence_last_o,
  output logic      [ContextWidth-1:0]    h_context_o,
  // Cell states, for the host while no step is under way.
  input  wire logic                       host_i,
  input  wire logic [Units-1:0]           host_write_i,
  input  wire logic [GroupWidth-1:0]      host_group_i,
  input  wire logic [ContextWidth-1:0]    host_context_i,
  input  wire logic [CellWidth-1:0]       host_data_i,
  output logic      [Units*CellWidth-1:0] host_data_o,
  output logic      [2:0]                 saturated_o,        // z, c, h
  // Weights and biases, for the host likewise.
  input  wire logic                       weight_write_i,
  input  wire logic [ContextWidth-1:0]    weight_context_i,
  input  wire logic [1:0]                 weight_memory_i,    // 0: weights, 1: biases, 2: peepholes
  input  wire logic [31:0]                weight_address_i,   // {word, piece of 32 bits}
  input  wire logic [31:0]                weight_data_i
);
  localparam int Columns = InputSize + OutputSize;
  localparam int SetWidth = WeightSets > 1 ? $clog2(WeightSets) : 1;
  localparam int Lanes = Multipliers < Rows ? Multipliers : Rows;
  localparam int Words = ColumnsPerCycle > 1 ? (Columns + ColumnsPerCycle - 1) / ColumnsPerCycle
                                             : (Rows * Columns + Lanes - 1) / Lanes;
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1;
  localparam int BaseWidth = $clog2(Rows + 1);
  localparam int TreeStages = SumStages > 0 ? $clog2(ColumnsPerCycle) : 0;
  localparam int SumLatency = 1 + MemoryStages + OperandStages + ProductStages + TreeStages;
  localparam int ProductLatency = OperandStages + ProductStages;
  localparam int EarlyStages = Peepholes % 4 != 0
    ? (ProductLatency > 3 * SumStages ? ProductLatency : 3 * SumStages) - 2 * SumStages : 0;
  localparam int LateStages = Peepholes / 4 % 2 != 0 ? ProductLatency + 1 : 0;
  localparam int ClipStages = CellClip > 0 ? SumStages : 0;
  localparam int PointwiseLatency = 5 + 3 * MemoryStages + 4 * OperandStages + 4 * ProductStages + 17 * SumStages
    + EarlyStages + LateStages + ClipStages;

  if (InputSize < 1 || HiddenSize < 1 || Multipliers < 1) begin : g_check_sizes
    $error("InputSize, HiddenSize and Multipliers must be at least 1");
  end
  if (TreeStages < 0 || SumStages > 1 || MemoryStages > 3) begin : g_check_stages
    $error("MemoryStages must be 0 to 3, SumStages 0 or 1");
  end

  // The capture buffer holds so many steps that no step of another context waits for its reads.
  localparam bit Straddles = ColumnsPerCycle == 1 && Rows * (Columns - 1) % Lanes != 0;
  localparam int HoldTime = SumLatency + (Straddles ? 3 : 2) + (Lanes < 4 ? 4 : 1) * Groups;
  localparam int Captures = Contexts == 1 || HoldTime <= Words ? 1 : 2 ** $clog2((HoldTime + Words - 1) / Words);

  logic issue, moved, capture, capture_begin, capture_enough, gather_done;
  logic [1:0] hold;
  logic [WordWidth-1:0] word;
  logic [BaseWidth-1:0] base;
  logic [1:0] fresh;
  lstm_schedule #(.Rows(Rows), .Columns(Columns), .Lanes(Lanes), .ColumnsPerCycle(ColumnsPerCycle)) u_schedule (
    .clk,
    .rst,
    .operand_soon_i,
    .hold_i(hold),
    .issue_o(issue),
    .pop_o(operand_pop_o),
    .shift_o(operand_shift_o),
    .word_o(word),
    .moved_o(moved),
    .base_o(base),
    .capture_o(capture),
    .capture_begin_o(capture_begin),
    .capture_enough_o(capture_enough),
    .fresh_o(fresh)
  );

  // A place in the capture buffer belongs to one step, from the issue of its first word to the last read.
  if (Captures == 1) begin : g_hold
    logic hold_q;
    always_ff @(posedge clk) begin
      if (rst || gather_done) hold_q <= 1'b0;
      else if (issue && capture_begin) hold_q <= 1'b1;
    end
    assign hold = {1'b1, hold_q};
  end else begin : g_holds
    localparam int CountWidth = $clog2(Captures + 1);
    logic [CountWidth-1:0] held_q, held;
    assign held = held_q + CountWidth'(issue && capture_begin) - CountWidth'(gather_done);
    always_ff @(posedge clk) begin
      if (rst) begin
        held_q <= '0;
        hold <= 2'b00;
      end else begin
        held_q <= held;
        hold <= {int'(held) >= Captures - 1, int'(held) == Captures};
      end
    end
  end

  logic [Lanes*AccWidth-1:0] sums;
  lstm_mac #(
    .Rows(Rows),
    .Lanes(Lanes),
    .ColumnsPerCycle(ColumnsPerCycle),
    .Words(Words),
    .WeightWidth(WeightWidth),
    .OperandWidth(OperandWidth),
    .AccWidth(AccWidth),
    .WeightFile(WeightFile),
    .MemoryStages(MemoryStages),
    .OperandStages(OperandStages),
    .ProductStages(ProductStages),
    .SumStages(SumStages),
    .WritableWeights(WritableWeights),
    .WeightSets(WeightSets)
  ) u_mac (
    .clk,
    .rst,
    .issue_i(issue),
    .word_i(word),
    .moved_i(moved),
    .base_i(base),
    .set_i(operand_context_i[SetWidth-1:0]),
    .fresh_i(fresh),
    .front_i(operand_front_i),
    .next_i(operand_next_i),
    .sums_o(sums),
    .weight_write_i(weight_write_i && weight_memory_i == 2'd0),
    .weight_set_i(weight_context_i[SetWidth-1:0]),
    .weight_address_i,
    .weight_data_i
  );

  localparam int CaptureCopies = (Lanes + 3) / 4;
  logic [CaptureCopies-1:0] captured;
  localparam int TagWidth = 2 + $clog2(Contexts);  // {context, initial, last} of a step
  logic complete;
  logic [TagWidth-1:0] step_tag, tag_at_sums, tag;
  assign step_tag = TagWidth'({operand_context_i, operand_initial_i, operand_last_i});
  fanout #(.Width(1), .Copies(CaptureCopies), .Stages(SumLatency)) u_capture (
    .clk, .rst, .data_i(issue && capture), .data_o(captured)
  );
  delay #(.Width(1), .Stages(SumLatency)) u_complete (
    .clk, .rst, .data_i(issue && capture_enough), .data_o(complete)
  );
  delay #(.Width(TagWidth), .Stages(SumLatency)) u_tag (
    .clk, .rst(1'b0), .data_i(step_tag), .data_o(tag_at_sums)
  );

  // Room may be far away. It is known a clock late, and no step of a single buffer begins so soon after another.
  logic room;
  delay #(.Width(1), .Stages(Captures == 1 ? SumStages : 0)) u_room (.clk, .rst, .data_i(room_i), .data_o(room));

  logic read, group_last;
  logic [GroupWidth-1:0] group;
  logic [4*Units*AccWidth-1:0] rows;
  lstm_gather #(
    .Rows(Rows),
    .Columns(Columns),
    .Lanes(Lanes),
    .ColumnsPerCycle(ColumnsPerCycle),
    .Units(Units),
    .Steps(Captures),
    .AccWidth(AccWidth),
    .MemoryStages(MemoryStages),
    .SumStages(SumStages)
  ) u_gather (
    .clk,
    .rst,
    .capture_i(captured),
    .complete_i(complete),
    .room_i(room),
    .sums_i(sums),
    .start_o,
    .done_o(gather_done),
    .read_o(read),
    .group_o(group),
    .group_last_o(group_last),
    .rows_o(rows)
  );
  if (Captures == 1) begin : g_tag
    always_ff @(posedge clk) if (complete) tag <= tag_at_sums;
  end else begin : g_tags
    // Tags of the steps in the buffer; a step is handed on some clocks after its last read.
    localparam int Places = 2 * Captures;
    localparam int PlaceWidth = $clog2(Places);
    logic [PlaceWidth-1:0] write_q, read_q;
    logic [TagWidth-1:0] tags_q[0:Places-1];
    always_ff @(posedge clk) begin
      if (rst) begin
        write_q <= '0;
        read_q <= '0;
      end else begin
        write_q <= write_q + PlaceWidth'(complete);
        read_q <= read_q + PlaceWidth'(read && group_last);
      end
    end
    always_ff @(posedge clk) if (complete) tags_q[write_q] <= tag_at_sums;
    assign tag = tags_q[read_q];
  end

  logic [ContextWidth-1:0] owner;
  assign owner = Contexts > 1 ? tag[TagWidth-1-:ContextWidth] : '0;

  logic [3*Units-1:0] saturated;
  for (genvar i = 0; i < Units; i++) begin : g_unit
    lstm_pointwise #(
      .HiddenSize(HiddenSize),
      .First(i),
      .Stride(Units),
      .HWidth(HWidth),
      .HFrac(HFrac),
      .BiasWidth(BiasWidth),
      .AccWidth(AccWidth),
      .AccFrac(AccFrac),
      .ZWidth(ZWidth),
      .ZFrac(ZFrac),
      .ActWidth(ActWidth),
      .ActFrac(ActFrac),
      .CellWidth(CellWidth),
      .CellFrac(CellFrac),
      .TableBits(TableBits),
      .SlopeWidth(SlopeWidth),
      .BiasFile(BiasFile),
      .SigmoidFile(SigmoidFile),
      .TanhFile(TanhFile),
      .OutputFile(OutputFile),
      .Peepholes(Peepholes),
      .PeepholeWidth(PeepholeWidth),
      .PeepholeFrac(PeepholeFrac),
      .PeepholeFile(PeepholeFile),
      .GateClip(GateClip),
      .CellClip(CellClip),
      .MemoryStages(MemoryStages),
      .OperandStages(OperandStages),
      .ProductStages(ProductStages),
      .SumStages(SumStages),
      .WritableWeights(WritableWeights),
      .Contexts(Contexts),
      .WeightSets(WeightSets)
    ) u_pointwise (
      .clk,
      .rst,
      .read_i(read),
      .group_i(group),
      .initial_i(tag[1]),
      .context_i(owner),
      .rows_i(rows[4*i*AccWidth+:4*AccWidth]),
      .host_i,
      .host_write_i(host_write_i[i]),
      .host_group_i,
      .host_context_i,
      .host_data_i,
      .host_data_o(host_data_o[i*CellWidth+:CellWidth]),
      .bias_write_i(weight_write_i && weight_memory_i == 2'd1),
      .peephole_write_i(weight_write_i && weight_memory_i == 2'd2),
      .bias_context_i(weight_context_i),
      .bias_address_i(weight_address_i),
      .bias_data_i(weight_data_i),
      .h_valid_o(h_present_o[i]),
      .h_o(h_o[i*HWidth+:HWidth]),
      .saturated_o(saturated[3*i+:3])
    );
  end
  localparam int GroupTagWidth = GroupWidth + 2 + $clog2(Contexts);
  logic [GroupTagWidth-1:0] group_tag, h_tag;
  assign group_tag = GroupTagWidth'({owner, group, group_last, tag[0]});
  delay #(.Width(GroupTagWidth), .Stages(PointwiseLatency)) u_group (
    .clk, .rst(1'b0), .data_i(group_tag), .data_o(h_tag)
  );
  assign {h_group_o, h_step_last_o, h_sequence_last_o} = h_tag[GroupWidth+1:0];
  assign h_context_o = Contexts > 1 ? h_tag[GroupTagWidth-1-:ContextWidth] : '0;
  assign h_valid_o = h_present_o[0];

  always_comb begin
    saturated_o = '0;
    for (int i = 0; i < Units; i++) saturated_o |= saturated[3*i+:3];
  end
endmodule
`default_nettype wire
