// Order of work of the output-stationary array: for every group of ROWS positions, for every tile of the reduction,
// the words of these positions, one per cycle, and with them the weights of the tile, one word per cycle. Each row
// works on the channels of its word while the other rows get theirs. A group of one tile only is followed by a pause as
// long as a tile, in which its results leave the array.
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

  reg [TICK_BITS-1:0] tick;       // cycles of this tile so far
  reg more;                       // positions of this group are left in this tile
  reg resting;                    // the pause after a single tile
  wire tick_end = tick == ROWS - 1;
  wire positions_end = !more || (issue && position_last);

  assign issue = running & more & ~resting;
  assign next_tap = running & tick_end & ~resting;
  assign back = next_tap & ~tap_last;
  assign keep = running && tick == 0 && tap_first && !resting;
  assign pass_end = next_tap & tap_last & positions_end;
  assign tile_start = running && tick == 0 && !resting;

  always @(posedge clk) begin
    if (start) begin
      tick <= 0;
      more <= 1'b1;
      resting <= 1'b0;
      weight_address <= weight_base;
    end else if (running) begin
      tick <= tick_end ? 0 : tick + 1'b1;
      if (tick_end) begin
        more <= 1'b1;
        resting <= ~resting & tap_first & tap_last;
      end else if (issue && position_last) more <= 1'b0;
      if (!resting) weight_address <= (next_tap && tap_last) ? weight_base : weight_address + 1'b1;
    end
  end
endmodule
