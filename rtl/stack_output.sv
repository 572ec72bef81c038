// The way out of a stack of layers: turned back where every layer is reverse, cut down to the last step and led through
// the head of a classifier where asked.
//
// With forward layers, every step and no head it is a wire.
`default_nettype none
module stack_output #(
  parameter int Width = 16,
  parameter int Beats = 64,      // per step
  parameter int Direction = 0,   // 0: forward, 1: reverse, 2: both
  parameter int MaxSteps = 64,
  parameter bit LastOnly = 1'b0,
  parameter int Head = 0,        // 0: none, 1: scores, 2: class; one element per beat then
  parameter int Classes = 9,
  parameter int HeadLanes = 1,
  parameter int HeadWeightWidth = 8,
  parameter int HeadBiasWidth = 24,
  parameter int HeadAccWidth = 32,
  parameter int HeadAccFrac = 22,
  parameter int ScoreWidth = 16,
  parameter int ScoreFrac = 11,
  parameter Files = "weights/",
  parameter int MemoryStages = 3,
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1,
  parameter bit WritableWeights = 1'b0,
  parameter int Contexts = 1,    // sequences that take turns
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int OutWidth = Head == 0 ? Width : Head == 1 ? ScoreWidth : Classes > 1 ? $clog2(Classes) + 1 : 2
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic [Width-1:0] s_data_i,
  input  wire logic             s_last_i,
  input  wire logic [ContextWidth-1:0] s_id_i,  // whose step it is
  input  wire logic             s_valid_i,
  output logic                  s_ready_o,
  output logic   [OutWidth-1:0] m_data_o,
  output logic                  m_last_o,
  output logic [ContextWidth-1:0] m_id_o,
  output logic                  m_valid_o,
  input  wire logic             m_ready_i,
  output logic                  saturated_o,  // a score was, in this clock
  output logic                  busy_o,
  // The head's weights and biases, for the host while nothing is under way.
  input  wire logic             weight_write_i,
  input  wire logic             bias_write_i,
  input  wire logic [31:0]      weight_address_i,  // {word, piece of 32 bits}
  input  wire logic [31:0]      weight_data_i
);
  logic [Width-1:0] data, cut;
  logic last, valid, ready, cut_last, cut_valid, cut_ready, turn_busy, last_busy, head_busy;
  logic [ContextWidth-1:0] cut_id;
  if (Direction == 1) begin : g_turned
    sequence_reverser #(.Width(Width), .Beats(Beats), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)) u_turn (
      .clk,
      .rst,
      .s_data_i,
      .s_last_i,
      .s_valid_i,
      .s_ready_o,
      .m_data_o(data),
      .m_last_o(last),
      .m_valid_o(valid),
      .m_ready_i(ready),
      .busy_o(turn_busy)
    );
  end else begin : g_as_is
    assign {data, last, valid} = {s_data_i, s_last_i, s_valid_i};
    assign s_ready_o = ready;
    assign turn_busy = 1'b0;
  end
  if (LastOnly) begin : g_last
    // The step that ends a sequence is the last that came, of whichever sequence: its owner goes with its beats.
    localparam int BeatBits = Width + $clog2(Contexts);
    logic [BeatBits-1:0] beat, cut_beat;
    assign beat = BeatBits'({s_id_i, data});
    assign cut = cut_beat[Width-1:0];
    assign cut_id = Contexts > 1 ? cut_beat[BeatBits-1-:ContextWidth] : '0;
    sequence_reverser #(.Width(BeatBits), .Beats(Beats), .MaxSteps(1), .MemoryStages(MemoryStages)) u_last (
      .clk,
      .rst,
      .s_data_i(beat),
      .s_last_i(last),
      .s_valid_i(valid),
      .s_ready_o(ready),
      .m_data_o(cut_beat),
      .m_last_o(cut_last),
      .m_valid_o(cut_valid),
      .m_ready_i(cut_ready),
      .busy_o(last_busy)
    );
  end else begin : g_every
    assign {cut, cut_last, cut_valid} = {data, last, valid};
    assign cut_id = s_id_i;
    assign ready = cut_ready;
    assign last_busy = 1'b0;
  end
  if (Head != 0) begin : g_head
    logic head_valid, head_ready, out_valid, out_ready, owner_ready, owner_valid;
    dense_head #(
      .Inputs(Beats),
      .Classes(Classes),
      .Lanes(HeadLanes),
      .Argmax(Head == 2),
      .InWidth(Width),
      .WeightWidth(HeadWeightWidth),
      .BiasWidth(HeadBiasWidth),
      .AccWidth(HeadAccWidth),
      .AccFrac(HeadAccFrac),
      .ScoreWidth(ScoreWidth),
      .ScoreFrac(ScoreFrac),
      .WeightFile({Files, "head_weight.hex"}),
      .BiasFile({Files, "head_bias.hex"}),
      .MemoryStages(MemoryStages),
      .OperandStages(OperandStages),
      .ProductStages(ProductStages),
      .SumStages(SumStages),
      .WritableWeights(WritableWeights)
    ) u_head (
      .clk,
      .rst,
      .weight_write_i,
      .bias_write_i,
      .weight_address_i,
      .weight_data_i,
      .s_data_i(cut),
      .s_last_i(cut_last),
      .s_valid_i(head_valid),
      .s_ready_o(head_ready),
      .m_data_o,
      .m_last_o,
      .m_valid_o(out_valid),
      .m_ready_i(out_ready),
      .saturated_o,
      .busy_o(head_busy)
    );
    assign {head_valid, cut_ready} = {cut_valid && owner_ready, head_ready && owner_ready};
    assign {m_valid_o, out_ready} = {out_valid && owner_valid, m_ready_i && owner_valid};
    if (Contexts > 1) begin : g_owners
      // Vectors come out of the head in the order in which they went in.
      logic unused_owners;
      if (!LastOnly) begin : g_check_last
        $error("where several Contexts take turns, a head needs LastOnly");
      end
      stream_buffer #(.Width(ContextWidth), .Depth(8), .MemoryStages(0)) u_owners (
        .clk,
        .rst,
        .s_data_i(cut_id),
        .s_valid_i(cut_valid && cut_ready && cut_last),
        .s_ready_o(owner_ready),
        .m_data_o(m_id_o),
        .m_valid_o(owner_valid),
        .m_ready_i(m_valid_o && m_ready_i && m_last_o),
        .busy_o(unused_owners)
      );
    end else begin : g_owner
      logic unused_owner;
      assign unused_owner = ^cut_id;
      assign {m_id_o, owner_ready, owner_valid} = 3'b011;
    end
  end else begin : g_no_head
    assign {m_data_o, m_last_o, m_valid_o} = {cut, cut_last, cut_valid};
    assign m_id_o = cut_id;
    assign cut_ready = m_ready_i;
    assign head_busy = 1'b0;
    assign saturated_o = 1'b0;
    logic unused_write;
    assign unused_write = ^{weight_write_i, bias_write_i, weight_address_i, weight_data_i};
  end
  if (Direction != 1 && !LastOnly && Head == 0) begin : g_wire
    logic unused_clocking;
    assign unused_clocking = &{1'b0, clk, rst};
  end
  assign busy_o = turn_busy || last_busy || head_busy;
endmodule
`default_nettype wire
