// Several sequences that take turns: whose step is at hand, what it begins from, and whether its h is there.
//
// Steps are fetched and written back in the order in which they came, of whichever context. Of each context it is counted
// how many of the steps under way, from the oldest on, have to be written until its last one is: 0, and its h is complete;
// 1, and the step under way is its own, whose h is read as it is written.
`default_nettype none
module lstm_contexts #(
  parameter int Contexts = 2,    // a power of two
  parameter int StepsWidth = 4,  // of the count of steps under way
  parameter logic [Contexts-1:0] Keeps = '1,  // contexts that keep_i is for
  localparam int ContextWidth = $clog2(Contexts)
) (
  input  wire logic                    clk,
  input  wire logic                    rst,
  input  wire logic                    keep_i,           // a sequence goes on from the states of the one before
  input  wire logic                    between_i,        // no word of the step at hand is fetched yet
  input  wire logic [ContextWidth-1:0] next_i,           // whose step is at hand in the next clock, where that may change
  input  wire logic                    fetched_i,        // the last word of the step at hand
  input  wire logic                    last_i,           // it ends a sequence
  input  wire logic [StepsWidth-1:0]   steps_i,          // steps fetched and not yet written back
  input  wire logic                    written_i,        // the oldest of them is
  output logic      [Contexts-1:0]     first_o,          // the next step begins a sequence
  output logic                         none_o,           // no step is under way
  output logic      [ContextWidth-1:0] context_o,        // whose step is at hand
  output logic                         initial_o,        // it begins from h0 and c0
  output logic                         settled_o,        // all of h that it needs is there
  output logic                         one_o             // it comes from the step under way
);
  logic [Contexts*StepsWidth-1:0] behind_q, behind;
  logic [Contexts-1:0] first, have_state_q, have_state;  // there are last states
  logic [ContextWidth-1:0] at;
  logic [StepsWidth-1:0] under_way, behind_next;
  logic initial_next;
  assign under_way = steps_i + StepsWidth'(fetched_i) - StepsWidth'(written_i);
  assign at = fetched_i || between_i ? next_i : context_o;
  assign behind_next = behind[int'(at)*StepsWidth+:StepsWidth];
  assign initial_next = fetched_i || between_i ? first[at] && !(keep_i && Keeps[at] && have_state[at]) : initial_o;
  always_comb begin
    first = first_o;
    have_state = have_state_q;
    for (int i = 0; i < Contexts; i++) begin
      behind[i*StepsWidth+:StepsWidth] = behind_q[i*StepsWidth+:StepsWidth]
        - StepsWidth'(written_i && behind_q[i*StepsWidth+:StepsWidth] != '0);
    end
    if (fetched_i) begin
      first[context_o] = last_i;
      have_state[context_o] = 1'b1;
      behind[int'(context_o)*StepsWidth+:StepsWidth] = under_way;
    end
  end
  always_ff @(posedge clk) begin
    if (rst) begin
      behind_q <= '0;
      first_o <= '1;
      have_state_q <= '0;
      none_o <= 1'b1;
      initial_o <= 1'b1;
      settled_o <= 1'b1;
      one_o <= 1'b0;
    end else begin
      behind_q <= behind;
      first_o <= first;
      have_state_q <= have_state;
      none_o <= under_way == '0;
      initial_o <= initial_next;
      settled_o <= initial_next || behind_next == '0;
      one_o <= behind_next == StepsWidth'(1);
    end
    context_o <= rst ? '0 : at;
  end
endmodule
`default_nettype wire
