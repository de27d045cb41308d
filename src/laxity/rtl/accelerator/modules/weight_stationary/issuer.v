// Order of work of the weight-stationary array: for every tile of the reduction, for every position, one word of
// activations. A tile takes as many cycles as there are positions, and at least ROWS, in which the weights of its rows
// are read. Sums of the last tile leave one position every WORDS cycles, as the post-processing takes ROWS of the
// COLUMNS sums per cycle.
module issuer #(
  parameter ROWS = 2,
  parameter WORDS = 1,
  parameter WEIGHT_ADDRESS_BITS = 1
) (
  input wire clk,
  input wire start,
  input wire running,
  input wire [WEIGHT_ADDRESS_BITS-1:0] weight_base,
  // from the walker
  input wire tap_first,
  input wire tap_last,
  input wire position_last,
  // to the walker
  output wire issue,              // read the word of this tap at this position, and go to the next position
  output wire next_tap,
  output wire keep,               // remember this position
  output wire back,               // return to the position that was remembered
  // to the array
  output wire tile_start,
  output reg [WEIGHT_ADDRESS_BITS-1:0] weight_address,
  output wire pass_end
);
  localparam TICK_BITS = 16;

  reg [TICK_BITS-1:0] tick;       // cycles of this tile so far; stops at ROWS - 1
  reg [TICK_BITS-1:0] gap;        // cycles until the next position may be issued
  reg more;                       // positions of this tile are left
  reg weights_read;               // the weights of all rows of this tile have been read

  assign issue = running && more && gap == 0;
  assign next_tap = running && tick == ROWS - 1 && (!more || (issue && position_last));
  assign pass_end = next_tap & tap_last;
  assign tile_start = running && tick == 0;
  assign keep = 1'b0;
  assign back = 1'b0;

  always @(posedge clk) begin
    if (start) begin
      tick <= 0;
      gap <= 0;
      more <= 1'b1;
      weights_read <= 1'b0;
      weight_address <= weight_base;
    end else if (running) begin
      if (next_tap) begin
        tick <= 0;
        more <= 1'b1;
        weights_read <= 1'b0;
      end else begin
        if (tick != ROWS - 1) tick <= tick + 1'b1;
        else weights_read <= 1'b1;
        if (issue && position_last) more <= 1'b0;
      end
      if (!weights_read) weight_address <= weight_address + 1'b1;
      gap <= issue ? (tap_last ? WORDS - 1 : 0) : (gap != 0 ? gap - 1'b1 : 0);
    end
  end
endmodule
