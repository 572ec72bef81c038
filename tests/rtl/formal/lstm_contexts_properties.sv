// lstm_contexts counts right: against a list of the steps under way, oldest first, with the context of each.
`default_nettype none
module lstm_contexts_properties #(
  parameter int Contexts = 2,
  parameter int StepsWidth = 4,
  parameter bit Given = 1'b0,
  localparam int ContextWidth = $clog2(Contexts),
  localparam int Most = 4,  // steps under way
  localparam int CountWidth = $clog2(Most + 1)
) (
  input wire logic                           clk,
  input wire logic                           rst,
  input wire logic                           fetched_i,
  input wire logic [StepsWidth-1:0]          steps_i,
  input wire logic                           written_i,
  input wire logic                           none_o,
  input wire logic [ContextWidth-1:0]        context_o,
  input wire logic                           initial_o,
  input wire logic                           settled_o,
  input wire logic                           one_o,
  input wire logic [Contexts*StepsWidth-1:0] behind_q
);
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));

  logic [Most*ContextWidth-1:0] owners_q, left, owners;
  logic [CountWidth-1:0] count_q, kept;
  always_comb begin
    left = written_i ? owners_q >> ContextWidth : owners_q;
    kept = count_q - CountWidth'(written_i);
    owners = left;
    for (int i = 0; i < Most; i++) if (fetched_i && int'(kept) == i) owners[i*ContextWidth+:ContextWidth] = context_o;
  end
  always_ff @(posedge clk) begin
    owners_q <= owners;
    count_q <= rst ? '0 : kept + CountWidth'(fetched_i);
  end

  // The environment: what is written back was fetched, and no more is under way than the list holds.
  logic possible;
  assign possible = int'(steps_i) == int'(count_q) && (!written_i || count_q != '0) && (!fetched_i || int'(kept) < Most);
  always @(posedge clk) if (started && !rst) begin
    if (Given) assume (possible); else assert (possible);
  end

  logic [Contexts*StepsWidth-1:0] behind;  // steps to be written until the last of each context is
  always_comb begin
    behind = '0;
    for (int i = 0; i < Most; i++) begin
      for (int c = 0; c < Contexts; c++) begin
        if (i < int'(count_q) && int'(owners_q[i*ContextWidth+:ContextWidth]) == c) begin
          behind[c*StepsWidth+:StepsWidth] = StepsWidth'(i + 1);
        end
      end
    end
  end
  logic [StepsWidth-1:0] mine;
  assign mine = behind[int'(context_o)*StepsWidth+:StepsWidth];
  always @(posedge clk) if (started) begin
    assert (int'(count_q) <= Most);
    assert (behind_q == behind);
    assert (none_o == (count_q == '0));
    assert (settled_o == (initial_o || mine == '0));
    assert (one_o == (mine == StepsWidth'(1)));
  end
endmodule
`default_nettype wire
