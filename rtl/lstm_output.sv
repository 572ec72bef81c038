// Collects groups of h in a FIFO and sends them as a stream, OutElements per beat.
//
// A step is computed only when there is room for all of it, so the pointwise part never stalls. A step has
// ceil(HiddenSize / OutElements) beats; the last is filled up with zeros. Where several contexts take turns, there is room
// for all groups that can be on their way, so that a step need not wait for the one before.
`default_nettype none
module lstm_output #(
  parameter int HiddenSize = 64,
  parameter int Units = 1,        // per group
  parameter int OutElements = 1,  // per beat
  parameter int Width = 16,
  parameter int Contexts = 1,
  parameter int Latency = 0,      // of a group, from start_i; only where there are several contexts
  parameter int MemoryStages = 3,
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1
) (
  input  wire logic                          clk,
  input  wire logic                          rst,
  input  wire logic                          start_i,          // a step will come
  output logic                               room_o,           // it may
  input  wire logic                          valid_i,
  input  wire logic [Units-1:0]              present_i,
  input  wire logic [Units*Width-1:0]        data_i,
  input  wire logic                          step_last_i,
  input  wire logic                          sequence_last_i,
  input  wire logic [ContextWidth-1:0]       context_i,
  output logic                               busy_o,
  output logic      [OutElements*Width-1:0]  m_axis_tdata,
  output logic                               m_axis_tvalid,
  output logic                               m_axis_tlast,
  output logic      [ContextWidth-1:0]       m_axis_tid,
  input  wire logic                          m_axis_tready
);
  localparam int Groups = (HiddenSize + Units - 1) / Units;
  // Two steps. With several contexts a step may begin before room_o knows of the three before it, and none of them waits for
  // groups to leave.
  localparam int Unknown = Contexts == 1 || Groups > 3 ? 0 : 3;
  localparam int Depth = 2 ** $clog2((2 + Unknown) * Groups + (Contexts == 1 ? 0 : Latency + MemoryStages + 10));
  localparam int CountWidth = $clog2(Depth + 1);
  localparam int FullBeats = Units / OutElements;
  localparam int LastUnits = HiddenSize - (Groups - 1) * Units;
  localparam int LastBeats = (LastUnits + OutElements - 1) / OutElements;
  localparam int BeatWidth = FullBeats > 1 ? $clog2(FullBeats) : 1;
  if (Units % OutElements != 0) begin : g_check_elements
    $error("elements per output beat must divide the units per group, min(columns per cycle, HiddenSize)");
  end

  logic [CountWidth-1:0] taken_q, change_q;  // groups in the FIFO or promised to a step, known a clock late
  logic start_q, popped, group_valid, group_ready, step_last, sequence_last;
  logic [Units*Width-1:0] masked, group;
  // Where there is one context, nothing of it is stored.
  localparam int StoredWidth = Contexts > 1 ? ContextWidth : 0;
  localparam int GroupBits = Units * Width + 2 + StoredWidth;
  localparam int BeatBits = OutElements * Width + 1 + StoredWidth;
  logic [GroupBits-1:0] stored;
  logic [BeatBits-1:0] sent;
  logic [ContextWidth-1:0] owner;
  always_ff @(posedge clk) begin
    if (rst) begin
      taken_q <= '0;
      change_q <= '0;
      start_q <= 1'b0;
      room_o <= 1'b1;
    end else begin
      if (start_i) change_q <= popped ? CountWidth'(Groups - 1) : CountWidth'(Groups);
      else change_q <= popped ? '1 : '0;
      taken_q <= taken_q + change_q;
      start_q <= start_i;
      room_o <= (Unknown > 0 || (!start_i && !start_q)) && int'(taken_q) <= Depth - (1 + Unknown) * Groups;
    end
  end
  // Of the last group some may be missing.
  logic unused_present;
  assign unused_present = ^present_i;
  for (genvar i = 0; i < Units; i++) begin : g_mask
    assign masked[i*Width+:Width] = HiddenSize % Units == 0 || present_i[i] ? data_i[i*Width+:Width] : '0;
  end

  stream_fifo #(.Width(GroupBits), .Depth(Depth), .Latency(MemoryStages)) u_fifo (
    .clk,
    .rst,
    .push_i(valid_i),
    .data_i(GroupBits'({context_i, step_last_i, sequence_last_i, masked})),
    .popped_o(popped),
    .data_o(stored),
    .valid_o(group_valid),
    .ready_i(group_ready)
  );

  assign {step_last, sequence_last, group} = stored[Units*Width+1:0];
  assign owner = Contexts > 1 ? stored[GroupBits-1-:ContextWidth] : '0;

  // Beats of a group, through a register slice: the pins may be far from the FIFO.
  logic [BeatWidth-1:0] beat;
  logic beat_ready, beat_last;
  assign group_ready = beat_ready && beat_last;
  if (FullBeats == 1) begin : g_whole
    assign {beat, beat_last} = {BeatWidth'(0), 1'b1};
  end else begin : g_beats
    always_ff @(posedge clk) begin
      if (rst || (group_valid && group_ready)) beat <= '0;
      else if (group_valid && beat_ready) beat <= beat + BeatWidth'(1);
    end
    assign beat_last = int'(beat) == (step_last ? LastBeats : FullBeats) - 1;
  end
  logic out_last;
  assign out_last = sequence_last && step_last && beat_last;
  stream_register #(.Width(BeatBits)) u_out (
    .clk,
    .rst,
    .s_data_i(BeatBits'({owner, out_last, group[int'(beat)*OutElements*Width+:OutElements*Width]})),
    .s_valid_i(group_valid),
    .s_ready_o(beat_ready),
    .m_data_o(sent),
    .m_valid_o(m_axis_tvalid),
    .m_ready_i(m_axis_tready)
  );
  assign {m_axis_tlast, m_axis_tdata} = sent[OutElements*Width:0];
  assign m_axis_tid = Contexts > 1 ? sent[BeatBits-1-:ContextWidth] : '0;

  // The pins, the FIFO and the status may be far from each other.
  logic held_q, offered_q;
  always_ff @(posedge clk) begin
    if (rst) begin
      held_q <= 1'b0;
      offered_q <= 1'b0;
    end else begin
      held_q <= start_q || taken_q != '0;
      offered_q <= m_axis_tvalid;
    end
  end
  assign busy_o = held_q || offered_q;
endmodule
`default_nettype wire
