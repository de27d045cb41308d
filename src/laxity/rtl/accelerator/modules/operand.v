// One activation code as it enters the array: shifted up, and as sign and magnitude where the core wants magnitudes.
module operand #(
  parameter CODE_BITS = 9,
  parameter A_BITS = 8,
  parameter SHIFT_BITS = 1,
  parameter WIDE_BITS = 18
) (
  input wire [CODE_BITS-1:0] code,
  input wire [SHIFT_BITS-1:0] shift,
  input wire magnitude,
  output wire [A_BITS:0] a
);
  wire [WIDE_BITS-1:0] extended = {{(WIDE_BITS - CODE_BITS) {code[CODE_BITS-1]}}, code};
  wire [WIDE_BITS-1:0] shifted = extended << shift;
  wire negative = magnitude & shifted[WIDE_BITS-1];
  wire [WIDE_BITS-1:0] pattern = negative ? ~shifted + 1'b1 : shifted;

  assign a = {negative, pattern[A_BITS-1:0]};
endmodule
