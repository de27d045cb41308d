// Takes an image in, executes the passes of the program one after the other, gives the result out, and starts again.
//
// A pass of the array: for every tile of the reduction, for every position, one word of activations. A tile takes as
// many cycles as there are positions, and at least ROWS, in which the weights of its rows are read. Sums of the last
// tile leave one position every WORDS cycles, as the post-processing takes ROWS of the COLUMNS sums per cycle.
// A pass of the vector unit: for every position, for every tap, one word of activations per cycle.
module controller #(
  parameter ROWS = 2,
  parameter WORDS = 1,
  parameter PASS_BITS = 1,
  parameter WEIGHT_ADDRESS_BITS = 1
) (
  input wire clk,
  input wire rst,
  input wire image_loaded,
  input wire pass_done,
  input wire result_unloaded,
  // from the descriptor
  input wire vector,
  input wire step_end,
  input wire program_end,
  input wire [WEIGHT_ADDRESS_BITS-1:0] weight_base,
  // from the walker
  input wire tap_last,
  input wire position_last,
  // to the others
  output reg [PASS_BITS-1:0] pass,
  output wire loading,
  output wire unloading,
  output wire start,
  output wire next_tap,
  output wire next_position,
  output wire issue,
  output wire tile_start,
  output reg [WEIGHT_ADDRESS_BITS-1:0] weight_address,
  // for observation: a step ends in this cycle; cycles since its first one, this one included
  output wire step_done,
  output wire [31:0] step_cycles
);
  localparam LOAD = 3'd0, FETCH = 3'd1, SETUP = 3'd2, RUN = 3'd3, DRAIN = 3'd4, UNLOAD = 3'd5;
  localparam TICK_BITS = 16;

  reg [2:0] state;
  reg [TICK_BITS-1:0] tick;       // cycles of this tile so far; stops at ROWS - 1
  reg [TICK_BITS-1:0] gap;        // cycles until the next position may be issued
  reg more;                       // positions of this tile are left
  reg fresh;                      // the next cycle is the first one of a step
  reg [31:0] cycles;
  reg weights_read;               // the weights of all rows of this tile have been read

  wire running = state == RUN;
  wire array_issue = more && gap == 0;
  wire tile_end = tick == ROWS - 1 && (!more || (array_issue && position_last));

  assign loading = state == LOAD;
  assign unloading = state == UNLOAD;
  assign start = state == SETUP;
  assign issue = running & (vector | array_issue);
  assign next_position = issue & (~vector | tap_last);
  assign next_tap = running & (vector | tile_end);
  assign tile_start = running & ~vector & (tick == 0);
  assign step_done = state == DRAIN && pass_done && step_end;
  assign step_cycles = (fresh ? 32'd0 : cycles) + 32'd1;

  always @(posedge clk) begin
    if (rst) begin
      state <= LOAD;
      pass <= 0;
      fresh <= 1'b1;
    end else begin
      case (state)
        LOAD: if (image_loaded) state <= FETCH;
        FETCH: state <= SETUP;
        SETUP: state <= RUN;
        RUN: if (next_tap && tap_last && (!vector || position_last)) state <= DRAIN;
        DRAIN:
        if (pass_done) begin
          pass <= program_end ? {PASS_BITS{1'b0}} : pass + 1'b1;
          state <= program_end ? UNLOAD : FETCH;
        end
        default: if (result_unloaded) state <= LOAD;
      endcase
      if (!loading && !unloading) begin
        fresh <= step_done;
        cycles <= step_cycles;
      end
    end
  end

  always @(posedge clk) begin
    if (start) begin
      tick <= 0;
      gap <= 0;
      more <= 1'b1;
      weights_read <= 1'b0;
      weight_address <= weight_base;
    end else if (running && !vector) begin
      if (tile_end) begin
        tick <= 0;
        more <= 1'b1;
      end else begin
        if (tick != ROWS - 1) tick <= tick + 1'b1;
        if (array_issue && position_last) more <= 1'b0;
      end
      // The weights of the rows are read in the first ROWS cycles of a tile.
      if (tick != ROWS - 1 || !weights_read) weight_address <= weight_address + 1'b1;
      if (tile_end) weights_read <= 1'b0;
      else if (tick == ROWS - 1) weights_read <= 1'b1;
      gap <= array_issue ? (tap_last ? WORDS - 1 : 0) : (gap != 0 ? gap - 1'b1 : 0);
    end
  end
endmodule
