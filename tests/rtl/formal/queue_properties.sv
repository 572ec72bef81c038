// queue keeps words in order without gaps; its user (Given, or proven) neither overfills it nor takes what isn't there.
`default_nettype none
module queue_properties #(
  parameter int Width = 16,
  parameter int Depth = 3,
  parameter bit Hidden = 1'b0,
  parameter bit Given = 1'b0
) (
  input wire logic                   clk,
  input wire logic                   rst,
  input wire logic                   push_i,
  input wire logic [Width-1:0]       data_i,
  input wire logic                   pop_i,
  input wire logic                   shift_i,
  input wire logic [Depth-1:0]       valid_q,
  input wire logic [Depth*Width-1:0] data_q,
  input wire logic [1:0]             valid_o,
  input wire logic [1:0]             soon_o
);
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  always @(posedge clk) if (started) begin
    if (Given) assume (rst || !push_i || !valid_q[Depth-1]); else assert (rst || !push_i || !valid_q[Depth-1]);
    if (Given) assume (rst || !pop_i || valid_q[0]); else assert (rst || !pop_i || valid_q[0]);
    if (Given) assume (rst || !valid_q[0] || shift_i == pop_i); else assert (rst || !valid_q[0] || shift_i == pop_i);
    assert ((valid_q & (valid_q + Depth'(1))) == '0);
  end

  // One word, any, is followed.
  localparam int PlaceWidth = $clog2(Depth + 1);
  logic [PlaceWidth-1:0] held, place_q;
  logic [2:0] in_q, chosen_q;
  logic following_q;
  logic [1:0] soon_q;
  logic [Width-1:0] word_q;
  always_comb begin
    held = '0;
    for (int i = 0; i < Depth; i++) held += PlaceWidth'(valid_q[i]);
  end
  always_ff @(posedge clk) begin
    chosen_q <= chosen_q;
    soon_q <= soon_o;
    in_q <= in_q + 3'(push_i);
    if (push_i && in_q == chosen_q && !following_q) begin
      following_q <= 1'b1;
      place_q <= held - PlaceWidth'(pop_i);
      word_q <= data_i;
    end else if (following_q && pop_i) begin
      following_q <= place_q != '0;
      place_q <= place_q - PlaceWidth'(1);
    end
    if (rst) begin
      in_q <= '0;
      following_q <= 1'b0;
      soon_q <= '0;
    end
  end
  always @(posedge clk) if (started) begin
    assert (!following_q || place_q < held);
    assert (!following_q || word_q == data_q[int'(place_q)*Width+:Width]);
    assert (Hidden ? (soon_q & ~valid_o) == '0 : valid_o == soon_q);
  end
endmodule
`default_nettype wire
