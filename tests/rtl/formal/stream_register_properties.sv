// stream_register loses, invents and reorders nothing: one word, any, is followed through it.
`default_nettype none
module stream_register_properties #(
  parameter int Width = 16
) (
  input wire logic             clk,
  input wire logic             rst,
  input wire logic [Width-1:0] s_data_i,
  input wire logic             s_valid_i,
  input wire logic             s_ready_o,
  input wire logic [Width-1:0] m_data_o,
  input wire logic             m_valid_o,
  input wire logic             m_ready_i,
  input wire logic [Width-1:0] data_q,
  input wire logic [Width-1:0] spare_q,
  input wire logic             spare_valid_q
);
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  stream_rules #(.Width(Width)) u_out (.clk, .rst, .valid(m_valid_o), .ready(m_ready_i), .data(m_data_o));

  logic take, give;
  logic [1:0] held, place_q;  // words inside; how many leave before the one that is followed
  logic [2:0] in_q, out_q, chosen_q;
  logic following_q;
  logic [Width-1:0] word_q;
  assign take = s_valid_i && s_ready_o;
  assign give = m_valid_o && m_ready_i;
  assign held = 2'(m_valid_o) + 2'(spare_valid_q);
  always_ff @(posedge clk) begin
    chosen_q <= chosen_q;
    in_q <= in_q + 3'(take);
    out_q <= out_q + 3'(give);
    if (take && in_q == chosen_q && !following_q) begin
      following_q <= 1'b1;
      place_q <= held - 2'(give);
      word_q <= s_data_i;
    end else if (following_q && give) begin
      following_q <= place_q != '0;
      place_q <= place_q - 2'd1;
    end
    if (rst) begin
      in_q <= '0;
      out_q <= '0;
      following_q <= 1'b0;
    end
  end
  always @(posedge clk) if (started) begin
    assert (3'(in_q - out_q) == 3'(held));
    assert (m_valid_o || !spare_valid_q);
    assert (!s_ready_o || !spare_valid_q);
    assert (!following_q || place_q < held);
    assert (!following_q || word_q == (place_q == '0 ? data_q : spare_q));
  end
endmodule
`default_nettype wire
