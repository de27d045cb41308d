// One lane of the vector unit: the greatest code, or the sum of codes times factors, over the taps of a window.
module vector_lane #(
  parameter CODE_BITS = 9,
  parameter FACTORS = 0
) (
  input wire clk,
  input wire [CODE_BITS-1:0] code,
  input wire [15:0] factor,
  input wire maximum,
  input wire valid,
  input wire first,
  output reg [31:0] result
);
  reg signed [31:0] term;
  wire signed [31:0] extended = {{(32 - CODE_BITS) {code[CODE_BITS-1]}}, code};
  wire signed [31:0] signed_result = result;
  wire signed [31:0] signed_factor = {16'd0, factor};
  reg term_valid;
  reg term_first;

  always @(posedge clk) begin
    term <= FACTORS ? extended * signed_factor : extended;
    term_valid <= valid;
    term_first <= first;
    if (term_valid) begin
      if (term_first) result <= term;
      else if (maximum) result <= (term > signed_result) ? term : signed_result;
      else result <= result + term;
    end
  end
endmodule
