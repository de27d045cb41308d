// The channels of a word one after the other: the first in the cycle in which the word arrives.
module serialiser #(
  parameter LANES = 2,
  parameter WIDTH = 9
) (
  input wire clk,
  input wire load,
  input wire [LANES*WIDTH-1:0] word,
  output wire [WIDTH-1:0] lane
);
  reg [(LANES-1)*WIDTH-1:0] rest;

  assign lane = load ? word[WIDTH-1:0] : rest[WIDTH-1:0];

  always @(posedge clk) rest <= load ? word[LANES*WIDTH-1:WIDTH] : rest >> WIDTH;
endmodule
