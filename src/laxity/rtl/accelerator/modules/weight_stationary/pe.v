// Processing element of the weight-stationary array: sum_out = sum_in + a * weight, one cycle later.
//
// Operands are a sign and the bits that enter the multiplier core. Activations, with the two tokens that travel in
// their row, move to the right by one column per cycle, sums move down by one row per cycle. The next weight waits in
// `shadow`: it is taken from the column's weight wire when the load token passes, and put to work when the swap token
// passes, so that weights are loaded while the array computes.
module pe #(
  parameter A_BITS = 8,
  parameter W_BITS = 8,
  parameter PRODUCT_BITS = 16,
  parameter SUM_BITS = 20,
  parameter SELECT_BITS = 1
) (
  input wire clk,
  input wire [SELECT_BITS-1:0] select,
  input wire load_in,
  input wire swap_in,
  input wire [A_BITS:0] a_in,
  input wire [W_BITS:0] w_in,
  input wire [SUM_BITS-1:0] sum_in,
  output reg load_out,
  output reg swap_out,
  output reg [A_BITS:0] a_out,
  output reg [SUM_BITS-1:0] sum_out
);
  reg [W_BITS:0] shadow;
  reg [W_BITS:0] weight;
  wire [PRODUCT_BITS:0] p;
  wire negative = a_in[A_BITS] ^ weight[W_BITS];
  wire [SUM_BITS-1:0] extended = {{(SUM_BITS - PRODUCT_BITS - 1) {p[PRODUCT_BITS]}}, p};

  product product (.select(select), .a(a_in[A_BITS-1:0]), .b(weight[W_BITS-1:0]), .p(p));

  always @(posedge clk) begin
    if (load_in) shadow <= w_in;
    if (swap_in) weight <= shadow;
    load_out <= load_in;
    swap_out <= swap_in;
    a_out <= a_in;
    // The product is negated by inverting it and carrying 1 into the adder.
    sum_out <= sum_in + (extended ^ {SUM_BITS{negative}}) + {{(SUM_BITS - 1) {1'b0}}, negative};
  end
endmodule
