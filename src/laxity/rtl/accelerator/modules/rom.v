// Read-only memory with one cycle of latency; FILE holds one hexadecimal word per line.
module rom #(
  parameter FILE = "",
  parameter WIDTH = 8,
  parameter DEPTH = 2,
  parameter ADDRESS_BITS = 1
) (
  input wire clk,
  input wire [ADDRESS_BITS-1:0] address,
  output reg [WIDTH-1:0] data
);
  reg [WIDTH-1:0] words [0:DEPTH-1];

  initial $readmemh(FILE, words);

  always @(posedge clk) data <= words[address];
endmodule
