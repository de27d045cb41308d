// Processing element of the output-stationary array: it adds up the products that pass, and gives the sum away upwards.
//
// Operands are a sign and the bits that enter the multiplier core. Activations, with two tokens, move to the right by
// one column per cycle, weights move down by one row per cycle. The token `first` begins a new sum, with `done` the sum
// is complete; results move up by one row per cycle.
module pe #(
  parameter A_BITS = 8,
  parameter W_BITS = 8,
  parameter PRODUCT_BITS = 16,
  parameter SUM_BITS = 32,
  parameter SELECT_BITS = 1
) (
  input wire clk,
  input wire [SELECT_BITS-1:0] select,
  input wire first_in,
  input wire done_in,
  input wire [A_BITS:0] a_in,
  input wire [W_BITS:0] w_in,
  input wire [SUM_BITS-1:0] result_in,
  output reg first_out,
  output reg done_out,
  output reg [A_BITS:0] a_out,
  output reg [W_BITS:0] w_out,
  output reg [SUM_BITS-1:0] result_out
);
  reg [SUM_BITS-1:0] sum;
  wire [PRODUCT_BITS:0] p;
  wire negative = a_in[A_BITS] ^ w_in[W_BITS];
  wire [SUM_BITS-1:0] extended = {{(SUM_BITS - PRODUCT_BITS - 1) {p[PRODUCT_BITS]}}, p};
  // The product is negated by inverting it and carrying 1 into the adder.
  wire [SUM_BITS-1:0] start = first_in ? {SUM_BITS{1'b0}} : sum;
  wire [SUM_BITS-1:0] after = start + (extended ^ {SUM_BITS{negative}}) + {{(SUM_BITS - 1) {1'b0}}, negative};

  product product (.select(select), .a(a_in[A_BITS-1:0]), .b(w_in[W_BITS-1:0]), .p(p));

  always @(posedge clk) begin
    sum <= after;
    result_out <= done_in ? after : result_in;
    first_out <= first_in;
    done_out <= done_in;
    a_out <= a_in;
    w_out <= w_in;
  end
endmodule
